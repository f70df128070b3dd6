"""Fixtures live in `fix_*.py`, one topic a file; a new one is found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

_PACKAGE = f"{__package__}." if __package__ else ""

pytest_plugins = [f"{_PACKAGE}{path.stem}" for path in sorted(Path(__file__).parent.glob("fix_*.py"))]
pytest.register_assert_rewrite(*pytest_plugins)  # they import one another
