"""The support matrix says what the backends declare."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from fix_store_rigs import BACKENDS

SCRIPT = Path(__file__).parents[2] / "scripts" / "support_matrix.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that makes the page."""
    spec = importlib.util.spec_from_file_location("support_matrix", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_backends_declare(script: ModuleType) -> None:
    """`python scripts/support_matrix.py` writes it anew."""
    assert script.PAGE.read_text() == script.page()


def test_every_server_of_the_contract_has_a_column(script: ModuleType) -> None:
    """Under the name that its capabilities say."""
    assert {"mongo" if name == "mongodb" else name for name in script.SERVERS} == set(BACKENDS)
    assert [script.capabilities(server).server for server in script.SERVERS] == list(script.SERVERS)


def test_every_word_on_the_page_is_explained(script: ModuleType) -> None:
    """Each row of the table has its line below it."""
    made, _, prose = script.page().partition(script.END)
    rows = [line.split("`")[1].partition("=")[0] for line in made.splitlines() if line.startswith("| `")]
    assert len(rows) == 11
    assert [row for row in rows if f"`{row}`" not in prose] == []
