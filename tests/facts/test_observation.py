"""An answer of a server: whether its newest history row tells of where it stands."""

from __future__ import annotations

import pytest
from routing.worlds import PRIMARY, chain, told

from regionkit.facts.history import Lineage


@pytest.mark.parametrize(
    ("lineage", "origin", "recorded"),
    [
        (chain("h1"), "at h1", True),
        (chain("h1", "h2"), "at h2", True),
        (chain("h1", "h2"), "at h1", False),  # promoted back, or restored: no row tells of it
        (chain("h1"), "at elsewhere", False),
        (chain("h1"), "", True),  # the server cannot tell: its rows are all there is
        (None, "", False),
        (None, "at h1", False),
    ],
)
def test_a_promotion_is_recorded_by_the_newest_row_only(lineage: Lineage | None, origin: str, recorded: bool) -> None:
    """An earlier row of the same origin says nothing of now."""
    assert told(PRIMARY, lineage, origin=origin).recorded is recorded
