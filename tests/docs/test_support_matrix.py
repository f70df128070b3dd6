"""The support matrix says what the backends declare."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from fix_store_rigs import BACKENDS

from regionkit import messaging
from regionkit.messaging.guarantee import guarantee_of

SCRIPT = Path(__file__).parents[2] / "scripts" / "support_matrix.py"
EFFECTS = ("transaction", "redis", "external")


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


def test_the_inboxes_are_as_the_page_says(script: ModuleType) -> None:
    """Which effects each serves, whether it keeps keys in order, and what a consumer explains of an effect in its transaction."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in script.PAGE.read_text().splitlines()
        if line.startswith("| `") and "Inbox` |" in line
    ]
    assert sorted(row[0].strip("`") for row in rows) == sorted(
        name for name in messaging.__all__ if name.endswith("Inbox") and not name.startswith("Async")
    )
    for name, _, inside, redis, external, order, _ in rows:
        inbox = getattr(messaging, name.strip("`"))
        served = [effect for effect, cell in zip(EFFECTS, (inside, redis, external), strict=True) if cell != "-"]
        assert sorted(served) == sorted(inbox.effects), name
        assert order == ("yes" if inbox.gates else "no"), name
        if inside != "-":
            assert inside == guarantee_of(external=False, transactional=inbox.transactional).name, name
