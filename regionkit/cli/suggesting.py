"""What a misspelt or unfinished word probably meant. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["suggestion"]


def suggestion(word: str, known: Iterable[str]) -> str:
    """A question (Did you mean status?), or "" where nothing is near. A word that others begin with means all of those."""
    names = list(dict.fromkeys(known))
    begun = [name for name in names if word and name.startswith(word)]
    near = begun or difflib.get_close_matches(word, names, n=2)
    return f"Did you mean {' or '.join(near)}?" if near else ""
