"""Fixtures live in `fix_*.py`, one topic a file; a new one is found by its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["SSL_CERT_FILE"] = os.devnull
"""The system's authorities vouch for no test server, and a plain engine of PyMySQL reads them all, 27 ms, at each connection."""

_PACKAGE = f"{__package__}." if __package__ else ""

pytest_plugins = [f"{_PACKAGE}{path.stem}" for path in sorted(Path(__file__).parent.glob("fix_*.py"))]
pytest.register_assert_rewrite(*pytest_plugins)  # they import one another
