"""The package's files, parsed once for all tests of a module."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "regionkit"


@cache
def parsed() -> tuple[tuple[Path, str, ast.Module], ...]:
    """Each file with its text and tree. The collector is off meanwhile: it would find nothing, and take most of the time."""
    gc.disable()
    try:
        texts = ((path, path.read_text()) for path in sorted(PACKAGE.rglob("*.py")))
        return tuple((path, text, ast.parse(text)) for path, text in texts)
    finally:
        gc.enable()
