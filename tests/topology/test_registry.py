"""Values that TOML describes by name."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology.registry import named


@dataclass
class Spread:
    """Something with a number, and with a part that nobody sets."""

    count: int = 1
    made: bool = field(default=True, init=False)


REGISTRY = {"spread": Spread}


def test_a_name_alone_is_the_default_and_keys_are_arguments() -> None:
    """The same value, however it is written."""
    assert named("home", "spread", REGISTRY) == named("home", {"name": "spread"}, REGISTRY) == Spread()
    assert named("home", {"name": "spread", "count": 3}, REGISTRY) == Spread(3)


@pytest.mark.parametrize("spec", ["sprad", {"name": "sprad"}, {"count": 3}, {"name": 7}])
def test_a_name_that_is_not_registered_is_refused(spec: object) -> None:
    """With those that are."""
    with pytest.raises(ConfigurationError, match="is not in this version") as caught:
        named("home", spec, REGISTRY)  # type: ignore[arg-type]  # the point
    assert "spread" in caught.value.fix


@pytest.mark.parametrize("key", ["cuont", "made"])
def test_a_key_that_is_no_argument_is_refused(key: str) -> None:
    """Misspelt, or not to be set."""
    with pytest.raises(ConfigurationError, match=f"home spread: unknown key '{key}'"):
        named("home", {"name": "spread", key: 3}, REGISTRY)
