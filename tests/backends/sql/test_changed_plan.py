# Generated from test_changed_plan_async.py by scripts/twins.py. Do not edit.
"""A migration changes a table under statements that PostgreSQL has prepared: reads heal by themselves, writes run again."""

from __future__ import annotations

from typing import Any

import pytest
from fix_rigs import Rig
from sqlalchemy import text
from sqlalchemy.exc import NotSupportedError

from regionkit import STRONG, RegionKit

HERE = "us-east-1"
OFTEN = 8
"""Runs after which psycopg has prepared a statement."""
QUERY = text("SELECT code FROM items")


def prepared(kit: RegionKit, kind: str) -> None:
    """A table, and a statement on it that is prepared on one connection."""
    with kit.session() as s:
        with s.write("orders", core=True) as c:
            c.execute(text("CREATE TABLE items (code varchar(10))"))
            c.execute(text("INSERT INTO items VALUES ('a')"))
        for _ in range(OFTEN):
            asked(kit, kind)


def migrate(rig: Rig, width: int = 20) -> None:
    """By somebody else, past the library."""
    import psycopg

    with psycopg.connect(rig.plain.replace("+psycopg", ""), autocommit=True) as c:
        c.execute(f"ALTER TABLE items ALTER COLUMN code TYPE varchar({width})")


def asked(kit: RegionKit, kind: str) -> Any:
    """The statement in a block of that kind."""
    with kit.session() as s:
        if kind == "write":
            with s.write("orders") as db:
                return (db.execute(QUERY)).scalar()
        with s.read("orders", consistency=STRONG, snapshot=kind == "snapshot") as db:
            return (db.execute(QUERY)).scalar()


@pytest.mark.parametrize("kind", ["read", "snapshot", "write"])
def test_the_first_statement_of_a_block_is_run_again(postgresql_rig: Rig, kind: str) -> None:
    """The block loses nothing, so no error is raised."""
    with RegionKit(postgresql_rig.topology(), local=HERE) as kit:
        prepared(kit, kind)
        migrate(postgresql_rig)
        for _ in range(OFTEN):
            assert asked(kit, kind) == "a"


def test_later_in_a_block_the_block_is_rolled_back_and_runs_again(postgresql_rig: Rig) -> None:
    """What went before it is gone with it: execute_write runs its function again, a block says so."""
    with RegionKit(postgresql_rig.topology(), local=HERE) as kit:
        prepared(kit, "write")
        runs = 0

        def work(db: Any) -> Any:
            nonlocal runs
            runs += 1
            db.execute(text("INSERT INTO items VALUES ('b')"))
            return (db.execute(QUERY)).all()

        with kit.session() as s:
            for _ in range(OFTEN):
                s.execute_write("orders", work)
            migrate(postgresql_rig)
            runs = 0
            assert len(s.execute_write("orders", work)) == OFTEN + 2
            assert runs == 2
            for _ in range(OFTEN):
                s.execute_write("orders", work)
            with pytest.raises(NotSupportedError):  # as a deadlock: the driver's own error leaves a block
                with s.write("orders") as db:
                    db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
                    migrate(postgresql_rig, 30)
                    db.execute(QUERY)
