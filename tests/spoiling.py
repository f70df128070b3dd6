"""A module of rules with one protection switched off: the tests of the rules have to turn red over it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["spoiled"]


def spoiled(module: ModuleType, changes: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The names of the module, made anew from its text with these changes: each text stands there once."""
    text = Path(str(module.__file__)).read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"the text is not there once: {old}"
        text = text.replace(old, new)
    made = ModuleType(f"{module.__name__}_spoiled")
    sys.modules[made.__name__] = made  # msgspec looks its types up there
    try:
        exec(compile(text, made.__name__, "exec"), made.__dict__)
    finally:
        del sys.modules[made.__name__]
    return made.__dict__
