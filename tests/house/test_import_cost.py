"""`import regionkit` is cheap: no driver, no optional library, under a tenth of a second."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HEAVY = (
    "sqlalchemy",
    "psycopg",
    "pymysql",
    "aiomysql",
    "aiosqlite",
    "click",
    "rich",
    "opentelemetry",
    "tenacity",
    "redis",
)
OURS = "from regionkit import RegionKit"
"""`import regionkit` alone loads no kit."""
LONGEST = 0.1
LEAST = 9
"""Rounds before anything is judged: of fewer none may have been undisturbed."""
ROUNDS = 60
"""At most: a cheap import shows itself in one of them, also beside busy loops; a dear one in none."""


def test_importing_loads_no_driver_and_no_optional_library() -> None:
    """Whoever imports regionkit pays for a driver only once a store needs it."""
    code = f"from regionkit import RegionKit; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def seconds(code: str, cache: Path) -> float:
    """What the run takes by itself: processor seconds, so that a busy machine counts little."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    pid = os.posix_spawn(
        sys.executable, [sys.executable, "-c", code], environment | {"PYTHONPYCACHEPREFIX": str(cache)}
    )
    _, status, used = os.wait4(pid, 0)
    assert status == 0
    return used.ru_utime + used.ru_stime


def test_importing_takes_less_than_100_ms(tmp_path: Path) -> None:
    """Of a machine on which asyncio takes 30: a busy or slow one is slow at both. Compiled, as after an installation."""
    seconds("from regionkit import RegionKit; import asyncio", tmp_path)  # compiles
    best = dict.fromkeys(("pass", "import asyncio", OURS), 60.0)
    for done in range(1, ROUNDS + 1):
        for code in best:  # in turn, so that what is busy meanwhile disturbs all three
            best[code] = min(best[code], seconds(code, tmp_path))
        ours, yardstick = best[OURS] - best["pass"], best["import asyncio"] - best["pass"]
        if done >= LEAST and 0.0 < ours < max(LONGEST, LONGEST / 0.03 * yardstick):
            return
    pytest.fail(f"import regionkit takes {ours:.3f} s, and asyncio {yardstick:.3f} s")
