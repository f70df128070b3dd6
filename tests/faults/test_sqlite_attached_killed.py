"""A coordinator dies at each step of SQLite's COMMIT over two files: both have it or none, and so has the other database.

With a setting that `sqlite_files` refuses that is not so, or this rig were blind.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from sqlite_attached_children import DECIDES, SHIM
from test_transactions_killed import prepared

sys.path.pop(0)

CHILDREN = Path(__file__).with_name("sqlite_attached_children.py")
WHOLE = int(os.environ.get("REGIONKIT_TRANSACTION_KILLS", "0")) > 1000
STRIDES = {"DELETE": 1, "TRUNCATE": 1 if WHOLE else 3, "PERSIST": 1 if WHOLE else 3}
"""Each so many of the first steps of a COMMIT; `make campaign-transactions` takes each one in each mode."""

pytestmark = [pytest.mark.slow, pytest.mark.postgresql, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that kills its process at a system call."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler: a COMMIT that is cut short is not tested")
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    made = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, folder / "shim.c", "-ldl"], check=True)
    return made


@pytest.fixture
def deaths(pg: Any, shim: Path, data_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """What became of each death, by the pragmas of the files."""

    def made(*pragmas: str, checked: bool = True, first: int = 1, stride: int = 1) -> list[dict[str, Any]]:
        cell: dict[str, Any] = {"a": str(pg.primary.url_for(pg.database())), "b": f"sqlite:///{data_path}/b.db"}
        cell |= {"log": cell["b"], "archive": f"{data_path}/archive.db", "folder": str(data_path)}
        cell |= {"pragmas": pragmas, "checked": checked, "first": first, "stride": stride}
        prepared(cell)
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(CHILDREN), json.dumps(cell)],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            env={
                **os.environ,
                "LD_PRELOAD": str(shim),
                "PYTHONPATH": os.pathsep.join((str(CHILDREN.parents[2]), str(CHILDREN.parent))),
            },
        )
        assert done.returncode == 0, done.stderr
        told = [json.loads(line) for line in done.stdout.splitlines()]
        print(f"{pragmas}: {told}")
        return told

    return made


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
def test_both_files_have_it_or_none(deaths: Callable[..., list[dict[str, Any]]], mode: str) -> None:
    """In each journal mode that is taken. One step decides; whoever dies before it has changed nothing."""
    stride = STRIDES[mode]
    *told, end = deaths(f"PRAGMA main.journal_mode = {mode}", f"PRAGMA archive.journal_mode = {mode}", stride=stride)
    tried = [one["step"] for one in told]
    assert tried == [step for step in range(1, end["ended"]) if step % stride == 1 % stride or step > DECIDES]
    assert len(tried) > 20
    assert [one for one in told if one["differ"]] == []
    assert (end["torn"], end["hazards"]) == (0, 0), end
    committed = [one["step"] for one in told if one["committed"]]
    assert 10 < committed[0] < tried[-1]
    assert committed == [step for step in tried if step >= committed[0]]


@pytest.mark.parametrize("spoiled", ["journal_mode = WAL", "journal_mode = MEMORY", "synchronous = OFF"])
def test_what_is_refused_would_tear(deaths: Callable[..., list[dict[str, Any]]], spoiled: str) -> None:
    """With the check switched off one file has what the other has not."""
    *told, _ = deaths(f"PRAGMA archive.{spoiled}", checked=False, first=20)
    assert [one["step"] for one in told if one["differ"]]
