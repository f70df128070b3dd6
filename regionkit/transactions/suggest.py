"""What somebody may have meant by a name that is not there. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(name: str, names: Iterable[str]) -> str:
    """`: did you mean 'accounts'?`, or ""."""
    if not isinstance(name, str):
        return ""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f": did you mean {near[0]!r}?" if near else ""
