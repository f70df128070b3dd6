"""What each backend declares, frozen: a capability that is given up, or claimed, is a change of this table.

The contract asserts the refusal of what a backend cannot do; so it cannot pass over a test in silence.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from importlib import import_module
from typing import Any

import pytest

from regionkit.contract.capabilities import Capabilities
from regionkit.topology import Store

OWNER = "the owner, primary as configured or by descent"
SERIAL = "SERIAL: linearizable, on tables written by conditional statements only"
LINEARIZABLE = "the primary, linearizable: it confirms with a majority before it answers (for single documents)"
SQL_MODES = {"core", "snapshot"}

EXPECTED = (
    (
        "positions",
        "bounded",
        "strong",
        "read_only",
        "transactions",
        "markers",
        "detects_promotion",
        "leaderless",
        "modes",
        "eager",
        "exchanges_data",
        "counts_others",
    ),
    {
        "postgresql": (True, True, OWNER, "server", True, True, True, False, SQL_MODES, False, False, True),
        "mariadb": (True, True, OWNER, "server", True, True, False, False, SQL_MODES, False, False, True),
        "mysql": (True, True, OWNER, "server", True, True, False, False, SQL_MODES, False, False, True),
        "sqlite": (True, True, OWNER, "server", True, True, False, False, SQL_MODES, False, False, False),
        "redis": (True, True, OWNER, "client", False, True, True, False, set(), False, True, True),
        "mongodb": (True, True, LINEARIZABLE, "client", False, True, True, False, {"transaction"}, False, False, True),
        "cassandra": (True, False, SERIAL, "client", False, False, False, True, set(), False, False, True),
        "memory": (
            True,
            True,
            OWNER,
            "client",
            True,
            True,
            False,
            False,
            {"snapshot", "transaction"},
            True,
            False,
            True,
        ),
    },
)
HOMES = {
    "postgresql": ("sql", "sql.postgres_server", "PostgresServer"),
    "mariadb": ("sql", "sql.mariadb_server", "MariaServer"),
    "mysql": ("sql", "sql.mysql_words", "MYSQL_WORDS"),
    "sqlite": ("sql", "sql.sqlite_server", "SqliteServer"),
    "redis": ("redis", "redis.endpoint", "RedisEndpoint"),
    "mongodb": ("mongo", "mongo.endpoint", "MongoEndpoint"),
    "cassandra": ("cassandra", "cassandra.endpoint", "CassandraEndpoint"),
    "memory": ("memory", "memory.endpoint", "MemoryEndpoint"),
}
"""Backend, module, class."""


def declared(server: str, *, is_async: bool = False) -> Capabilities:
    """What the code says."""
    backend, module, name = HOMES[server]
    if is_async and backend != "sql":  # one class of a SQL server serves both
        module, name = f"{module}_async", f"Async{name}"
    found: Capabilities = getattr(import_module(f"regionkit.backends.{module}"), name).capabilities
    return found


@pytest.mark.parametrize("server", HOMES)
def test_a_backend_can_what_it_could(server: str) -> None:
    """Every field of its declaration but the notes and the advice, which only have to be there."""
    names, table = EXPECTED
    expected: dict[str, Any] = dict(zip(names, table[server], strict=True))
    found = asdict(declared(server))
    assert found.pop("server") == server
    assert found.pop("notes")
    assert found.pop("advice")
    assert found == expected


@pytest.mark.parametrize("server", HOMES)
def test_both_forms_declare_the_same(server: str) -> None:
    """Threads and asyncio."""
    assert declared(server) == declared(server, is_async=True)


def test_the_table_names_every_field_and_every_backend() -> None:
    """A new capability, or a new class of stores, has to be put into it."""
    names, table = EXPECTED
    assert {f.name for f in fields(Capabilities)} == {"server", "notes", "advice", *names}
    assert table.keys() == HOMES.keys()
    import_module("regionkit.topology.loading")
    assert {kind.backend for kind in Store.__subclasses__()} == {backend for backend, _, _ in HOMES.values()}
