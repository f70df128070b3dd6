"""The sync twins are what the script makes of the async sources, and the script notices when they are not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 120
MOST_RULES = 25


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "scripts" / "twins.py"), "--check"], capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tree as it is, with twins made anew."""
    for name in ("regionkit", "tests", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([sys.executable, str(tmp_path / "scripts" / "twins.py")], capture_output=True, check=True)
    return tmp_path


def test_no_twin_is_stale() -> None:
    """Every committed twin is what its source gives."""
    done = check(ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_twin_is_noticed(copy: Path) -> None:
    """A source that changed without its twin fails the check, which names the twin."""
    source = copy / "regionkit" / "routing" / "session_async.py"
    source.write_text(source.read_text() + "\nADDED = 1\n")
    done = check(copy)
    assert done.returncode == 1
    assert "stale: regionkit/routing/session.py" in done.stderr


def test_a_twin_changed_by_hand_is_noticed(copy: Path) -> None:
    """A line added at the very end of a twin fails the check."""
    twin = copy / "regionkit" / "routing" / "session.py"
    twin.write_text(twin.read_text() + "# by hand\n")
    assert "stale: regionkit/routing/session.py" in check(copy).stderr


def test_a_missing_twin_is_noticed(copy: Path) -> None:
    """A source without a twin fails the check."""
    (copy / "regionkit" / "kit.py").unlink()
    assert "stale: regionkit/kit.py" in check(copy).stderr


def test_an_unused_rule_is_noticed(copy: Path) -> None:
    """A rule that no file needs any more is an error, so that the list stays short."""
    script = copy / "scripts" / "twins.py"
    script.write_text(script.read_text().replace("RULES = [\n", 'RULES = [\n    (r"\\bnowhere_at_all\\b", "x"),\n'))
    done = check(copy)
    assert done.returncode == 1
    assert "unused rule" in done.stderr


def test_the_script_stays_small() -> None:
    """Needing more means that a shell holds logic that belongs into the pure core."""
    text = (ROOT / "scripts" / "twins.py").read_text()
    rules = re.search(r"^RULES = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert rules is not None
    assert len(text.splitlines()) <= MOST_LINES
    assert 0 < rules[1].count("\n    (r") + rules[1].startswith("    (r") <= MOST_RULES
