"""The sync twins are what the script makes of the async sources, and the script notices when they are not."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 120
MOST_RULES = 25


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "scripts" / "twins.py"), "--check"], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they are, with twins made anew; each test leaves it as it was."""
    root = tmp_path_factory.mktemp("twins")
    for source in [path for room in ("regionkit", "tests", "scripts") for path in (ROOT / room).rglob("*.py")]:
        if source.name.endswith("_async.py") or source.parent.name == "scripts":
            target = root / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    shutil.copy(ROOT / "pyproject.toml", root)
    subprocess.run([sys.executable, str(root / "scripts" / "twins.py")], capture_output=True, check=True)
    return root


@contextlib.contextmanager
def holding(path: Path, text: str | None) -> Iterator[None]:
    """A file with another text, or gone, for a while."""
    before = path.read_text()
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def test_no_twin_is_stale() -> None:
    """Every committed twin is what its source gives."""
    done = check(ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_twin_is_noticed(copy: Path) -> None:
    """A source that changed without its twin fails the check, which names the twin."""
    source = copy / "regionkit" / "routing" / "session_async.py"
    with holding(source, source.read_text() + "\nADDED = 1\n"):
        done = check(copy)
    assert done.returncode == 1
    assert "stale: regionkit/routing/session.py" in done.stderr


def test_a_twin_changed_by_hand_is_noticed(copy: Path) -> None:
    """A line added at the very end of a twin fails the check."""
    twin = copy / "regionkit" / "routing" / "session.py"
    with holding(twin, twin.read_text() + "# by hand\n"):
        assert "stale: regionkit/routing/session.py" in check(copy).stderr


def test_a_missing_twin_is_noticed(copy: Path) -> None:
    """A source without a twin fails the check."""
    with holding(copy / "regionkit" / "kit.py", None):
        assert "stale: regionkit/kit.py" in check(copy).stderr


def test_an_unused_rule_is_noticed(copy: Path) -> None:
    """A rule that no file needs any more is an error, so that the list stays short."""
    script = copy / "scripts" / "twins.py"
    more = script.read_text().replace("RULES = [\n", 'RULES = [\n    (r"\\bnowhere_at_all\\b", "x"),\n')
    with holding(script, more):
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
