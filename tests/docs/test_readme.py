"""A new user pastes the README's first block: it runs as printed, prints what stands beneath it, and needs no driver."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 150
"""Lines of a README that somebody reads to its end."""
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
DRIVERS = ("psycopg", "pymysql", "aiomysql", "redis", "pymongo", "cassandra", "click", "rich")
BEFORE = f"""
import sys
sys.modules |= dict.fromkeys({DRIVERS!r})  # importing one fails
from regionkit.transactions import FilesParticipant
FilesParticipant.__init__.__kwdefaults__["unsafe_place"] = True  # the folder of tests may be in memory
"""
READMES = ("README.md", "README.ko.md")


def blocks(name: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / name).read_text())


def test_the_quickstart_prints_what_stands_beneath_it(tmp_path: Path) -> None:
    """Twice in the same folder, as a user would."""
    found = blocks("README.md")
    at = next(number for number, (kind, _) in enumerate(found) if kind == "python")
    code, (kind, shown) = found[at][1], found[at + 1]
    assert kind == "console"
    command, _, wanted = shown.partition("\n")
    assert command == "$ python quickstart.py"
    (tmp_path / "quickstart.py").write_text(BEFORE + code)
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "quickstart.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (ran.stderr, ran.stdout) == ("", wanted)


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short(name: str) -> None:
    """One screen to be convinced, and not many more."""
    assert len((ROOT / name).read_text().splitlines()) <= LONGEST


def test_the_readme_in_korean_has_the_same_examples() -> None:
    """Code, configuration and output, to the letter; comments are translated."""
    plain = [[(kind, re.sub(r"\s+#.*", "", text)) for kind, text in blocks(name)] for name in READMES]
    assert plain[0] == plain[1]


def test_the_picture_is_what_its_script_draws() -> None:
    """Nobody edits the SVG by hand."""
    subprocess.run([sys.executable, ROOT / "scripts/picture.py", "--check"], check=True)
