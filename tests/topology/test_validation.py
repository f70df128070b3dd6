"""How a mistake is told: near matches, places, and never a value that may be a secret."""

from __future__ import annotations

import re
from typing import Any

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology.validation import check_name, did_you_mean, from_mapping, located, sequence_of, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("us-east-1", "'us-east-1'"),
        ("postgresql://app:CANARY@us/shop", "(a text of 31 characters)"),
        ("x" * 65, "(a text of 65 characters)"),
        (3, "3"),
        (None, "None"),
        (["CANARY"], "(a value of type list)"),
    ],
)
def test_a_value_is_shown_only_when_it_looks_like_a_name(value: object, text: str) -> None:
    """A URL or a key in the wrong argument is described."""
    assert shown(value) == text


def test_the_nearest_word_is_named_and_what_is_known() -> None:
    """Whatever its case; a long list ends somewhere."""
    assert did_you_mean("Primry", ["primary", "replica"]) == "did you mean 'primary'? Known: primary, replica."
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b."
    assert did_you_mean(None, []) == "none is known."
    assert did_you_mean("zzz", [f"w{i:02}" for i in range(30)]).endswith("w19, ....")


def test_a_name_matches_the_whole_pattern() -> None:
    """A line end after it is no part of a name."""
    pattern = re.compile("[a-z]+")
    check_name("store name", "orders", pattern)
    for wrong in ("orders\n", "Orders", "", 3):
        with pytest.raises(ConfigurationError, match="store name"):
            check_name("store name", wrong, pattern)


def test_an_unknown_key_is_refused_before_anything_is_made() -> None:
    """It would be ignored."""
    made: list[dict[str, Any]] = []
    with pytest.raises(ConfigurationError, match="options: unknown key 'poolsize'") as caught:
        from_mapping("options", lambda **given: made.append(given), {"poolsize": 1}, ["pool_size"])
    assert "did you mean 'pool_size'" in caught.value.fix
    assert made == []


@pytest.mark.parametrize("given", ["KR", b"KR", 5, ["KR", 3]])
def test_a_sequence_is_no_bare_text_and_holds_one_type(given: object) -> None:
    """ "KR" would be the regions K and R."""
    assert sequence_of("regions", iter(["KR", "US"]), str) == ("KR", "US")
    with pytest.raises(ConfigurationError, match="regions must be a sequence of str"):
        sequence_of("regions", given, str)


def test_a_located_mistake_carries_its_place_and_no_chain() -> None:
    """The error that it was made of would show what the text leaves out."""

    def fail() -> None:
        raise ConfigurationError("CANARY is bad.", why="CANARY", fix="no CANARY")

    with pytest.raises(ConfigurationError) as caught:
        located("stores.orders", fail, lambda text: text.replace("CANARY", "${NAME}"))
    assert caught.value.what == "stores.orders: ${NAME} is bad."
    assert "CANARY" not in str(caught.value)
    assert caught.value.__context__ is None
