"""A version that a server would clamp, round or refuse is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import ConfigurationError
from regionkit.contract.record_checks import LARGEST_VERSION, check_record
from regionkit.facts.record import Record


@pytest.mark.parametrize("version", [2**63, 2**70, 1.5, float("nan"), True, "1", -1])
def test_a_version_that_no_column_keeps(version: Any) -> None:
    """As the new version, and as the one that is expected."""
    with pytest.raises(ConfigurationError, match="version="):
        check_record(Record("job", "a", b"x", version), 0, None)
    with pytest.raises(ConfigurationError, match="expected="):
        check_record(Record("job", "a", b"x", 1), version, None)


def test_the_largest_version_is_one() -> None:
    """It is not one too few."""
    check_record(Record("job", "a", b"x", LARGEST_VERSION), LARGEST_VERSION - 1, None)
