"""Texts from outside, as every server keeps them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regionkit.core.storable import storable, words_of


class Mute(Exception):
    """An error that cannot say anything."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_whatever_it_is_it_can_be_kept(text: str) -> None:
    """No NUL, no half of a surrogate pair; what has neither stays as it is."""
    kept = storable(text)
    assert "\x00" not in kept
    kept.encode()
    if "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert kept == text


def test_what_cannot_be_kept_is_written_out() -> None:
    """Somebody who reads it sees what was there."""
    assert storable("a\x00b\ud800é") == "a\\x00b\\ud800é"


def test_an_error_without_words_is_named_so() -> None:
    """It is somebody's bug, and no reason to lose what the error was about."""
    assert words_of(ValueError("\ud800")) == "\\ud800"
    assert words_of(Mute()) == "(no text: its __str__ raises RuntimeError)"
