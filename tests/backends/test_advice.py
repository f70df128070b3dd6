"""The words of a refusal fit the backend that it comes from: no DDL on Redis, no `adopt` where members elect their primary.

Three walks: what each backend declares, the refusals that routing makes of it, and every text of an error in the sources: of a
backend's folder, and of the rooms that serve all of them and may use no backend's words.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from regionkit.contract.advice import NEUTRAL, Advice
from regionkit.facts.request import Kind, Request
from regionkit.routing.block_errors import unknown_outcome
from regionkit.routing.decision import decide
from regionkit.routing.refusal import error_of
from regionkit.routing.snapshot import Snapshot
from regionkit.routing.verdict import Refusal

from .test_capabilities import HOMES, declared

SOURCES = Path(__file__).parents[2] / "regionkit"
WORDS = {
    "adopt": r"\badopt",
    "sql": r"\bDDL\b|db\.commit|begin_nested|[Ss]avepoint|\bCOMMIT\b|lock order",
    "postgresql": r"\bpg_\w+|REPLICATION|search_path",
    "mariadb": r"\bSLAVE\b|SUPER\b|read_only = ",
    "mysql": r"REPLICA ALL|super_read_only",
    "sqlite": r"Sqlite",
    "redis": r"REPLICAOF|\bACL\b|\bMULTI\b|\bEXEC\b|\bWATCH\b",
    "mongodb": r"\brs\.|replSet|replicaSet|stepDown|grantRoles|\bmembers elect",
    "cassandra": r"QUORUM|SERIAL\b|nodetool|KEYSPACE|data cent(?:er|re)",
    "memory": r"MemoryRegions",
}
"""What gives away of which backend a text speaks."""
FITS = {
    "postgresql": {"adopt", "sql", "postgresql"},
    "mariadb": {"adopt", "sql", "mariadb"},
    "mysql": {"adopt", "sql", "mariadb", "mysql"},
    "sqlite": {"adopt", "sql", "sqlite"},
    "redis": {"adopt", "redis"},
    "mongodb": {"mongodb"},
    "cassandra": {"cassandra"},
    "memory": {"adopt", "memory"},
}
FOLDERS = {
    "backends/sql": FITS["postgresql"] | FITS["mysql"] | FITS["sqlite"],
    "backends/redis": FITS["redis"],
    "backends/mongo": FITS["mongodb"],
    "backends/cassandra": FITS["cassandra"],
    "backends/memory": FITS["memory"],
    "routing": {"adopt"},
    "contract": {"adopt"},
    "core": set[str](),
}


def foreign(text: str, fits: set[str]) -> list[str]:
    """Words of other backends."""
    return [found[0] for kind, words in WORDS.items() if kind not in fits and (found := re.search(words, text))]


@pytest.mark.parametrize("server", HOMES)
def test_what_a_backend_advises_is_its_own(server: str) -> None:
    """Each word of it, and something is said of each case."""
    advice = declared(server).advice
    assert advice != NEUTRAL
    for name, text in asdict(advice).items():
        assert text, name
        assert foreign(text, FITS[server]) == [], (name, text)


def refusals(advice: Advice) -> Iterator[str]:
    """What a caller is told, for each way in which a call may be refused or end."""
    for kind in Kind:
        decision = decide(Snapshot("orders", "us", ()), Request(kind=kind), 0.0, ())
        for refusal in Refusal:
            yield str(error_of(msgspec.structs.replace(decision, refusal=refusal), advice))
    what = f"it failed after a part of it had been committed ({advice.parts})."
    yield str(unknown_outcome(OSError("lost"), what, advice.unknown, store="orders", key="", partition=""))


@pytest.mark.parametrize("server", HOMES)
def test_the_refusals_of_a_backend_speak_its_language(server: str) -> None:
    """Those of routing, which serves all of them."""
    for text in refusals(declared(server).advice):
        assert foreign(text, FITS[server]) == [], text


def texts_of_errors(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of what errors say: their first argument, `why` and `fix`, also where these are made before."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            told = [word.value for word in node.keywords if word.arg in ("why", "fix")]
            if name in ("Advice", "Capabilities"):
                continue  # which have a test of their own
            if name[:1].isupper() or name in ("unavailable", "too_late", "in_use", "not_had"):
                told += node.args
        elif isinstance(node, ast.Assign) and any(getattr(t, "id", "") in ("why", "fix", "what") for t in node.targets):
            told = [node.value]
        else:
            continue
        for value in told:
            for part in ast.walk(value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield node.lineno, part.value


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_error_in_the_sources_fits(folder: str) -> None:
    """A room that serves all backends uses no backend's words."""
    sources = sorted((SOURCES / folder).rglob("*.py"))
    assert sources
    found = [
        f"{path.name}:{line}: {word} in {text!r}"
        for path in sources
        for line, text in texts_of_errors(path)
        for word in foreign(text, FOLDERS[folder])
    ]
    assert found == []
