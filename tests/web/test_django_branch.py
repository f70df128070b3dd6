"""Django's ORM in a branch, on real databases, in a process of its own: `django_branch_program.py` has the cases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("django_branch_program.py")


@pytest.mark.postgresql
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_the_orm_in_a_branch(pg: Any, tmp_path: Path, kind: str) -> None:
    """Beside a branch of SQLAlchemy's in a second database: all or none, and Django's own connection is left as it was."""
    url = f"sqlite:///{tmp_path}/shop.db" if kind == "sqlite" else pg.primary.url_for(pg.database())
    urls = {"django": str(url), "bank": str(pg.primary.url_for(pg.database()))}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), json.dumps(urls)],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.splitlines()[-1:] == ["done []"], done.stdout + done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 11
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr[-3000:]
