# Generated from test_in_kit_async.py by scripts/twins.py. Do not edit.
"""Global transactions of a kit's sessions: at the owners, by key, and what the session sees afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import Order, Rig
from sqlalchemy import text
from waiting import PATIENCE, seen

from regionkit import (
    EVENTUAL,
    Endpoint,
    Intrinsic,
    Region,
    RegionKit,
    Role,
    SqlStore,
    Topology,
    WritePartitioning,
)
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, UsageError
from regionkit.facts.bookmark import OWNER_ONLY
from regionkit.transactions.kit_stores import participant_name
from regionkit.transactions.logs.memory import MemoryDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.participants.participant import BranchOptions
from regionkit.transactions.participants.postgres import PostgresParticipant
from regionkit.transactions.protocol import Decision, Finish
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid, gtrid_of

from .participant_rigs import within

US, KR = "us-east-1", "ap-northeast-2"
ADD = "INSERT INTO bank (id, total) VALUES ({}, 100)"


class Bank:
    """Two stores on two databases, a copy of each in the other region; and a store with a home in each."""

    def __init__(self, pg: Any) -> None:
        self.pg = pg
        self.names = {store: pg.database() for store in ("orders", "payments")}
        for store in self.names:
            self.sql(store, "CREATE TABLE bank (id INTEGER PRIMARY KEY, total INTEGER NOT NULL)")
        pg.wait_for_replicas()

    def sql(self, store: str, statement: str) -> list[Any]:
        """Run one on the primary, past the library."""
        engine = sqlalchemy.create_engine(self.pg.primary.url_for(self.names[store]))
        with engine.begin() as connection:
            found = connection.execute(text(statement))
            rows = [tuple(row) for row in found] if found.returns_rows else []
        engine.dispose()
        return rows

    def accounts(self, store: str) -> list[int]:
        """Which are there."""
        return [row[0] for row in self.sql(store, "SELECT id FROM bank ORDER BY id")]

    def topology(self) -> Topology:
        """Owners in one region."""
        stores = [
            SqlStore(
                store,
                endpoints=[
                    Endpoint(US, Role.PRIMARY, self.pg.primary.url_for(name)),
                    Endpoint(KR, Role.REPLICA, self.pg.replicas[0].url_for(name)),
                ],
            )
            for store, name in self.names.items()
        ]
        carts = SqlStore(
            "carts",
            strategy=WritePartitioning(home=Intrinsic(r"(?P<region>[^:]+):")),
            endpoints=[
                Endpoint(region, Role.PRIMARY, self.pg.primary.url_for(name))
                for region, name in zip((US, KR), self.names.values(), strict=True)
            ],
        )
        return Topology(namespace="shop", regions=[Region(US), Region(KR)], stores=[*stores, carts])


def manager(kit: RegionKit, *stores: str, log: Any = None) -> TransactionManager:
    """Of these stores; the test's servers do not flush."""
    made = {}
    for store in stores:
        homes = kit.homes(store)
        for part in ("",) if homes is None else homes.parts:
            name = participant_name(store, part)
            made[name] = PostgresParticipant(
                name, kit if homes is None else homes, namespace="shop", store=part or store, unsafe_no_flush=True
            )
    return TransactionManager(kit, log=log or MemoryDecisionLog(), stores=stores, participants=made)


@pytest.fixture
def bank(pg: Any) -> Iterator[Bank]:
    """On empty databases."""
    made = Bank(pg)
    yield made
    for store in made.names:
        assert made.sql(store, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()") == []


def test_a_session_reads_what_its_transaction_wrote(bank: Bank) -> None:
    """The near copy applies nothing: EVENTUAL reads are stale, SESSION reads go to the owner; so do those of its bookmark."""
    with RegionKit(bank.topology(), local=KR) as kit:
        manager(kit, "orders", "payments")
        seen(kit)
        bank.pg.replicas[0].pause_replay()
        try:
            with kit.session() as s:
                with s.transaction(stores=["orders", "payments"]) as tx:
                    for store in ("orders", "payments"):
                        (tx.session(store)).execute(text(ADD.format(1)))
                bookmark = s.bookmark()
                for store in ("orders", "payments"):
                    with s.read(store) as db:
                        assert (db.execute(text("SELECT count(*) FROM bank"))).scalar() == 1
                    with s.read(store, consistency=EVENTUAL) as db:
                        assert (db.execute(text("SELECT count(*) FROM bank"))).scalar() == 0
            with kit.session(bookmark=bookmark) as s, s.read("payments") as db:
                assert (db.execute(text("SELECT count(*) FROM bank"))).scalar() == 1
            entries = kit._signer.decode(bookmark).sources
            assert entries.keys() == {"orders/", "payments/"}
            assert OWNER_ONLY not in (*entries["orders/"], *entries["payments/"]), "positions were taken"
        finally:
            bank.pg.replicas[0].resume_replay()


def test_what_is_pending_is_read_from_the_owner_until_it_is_settled(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second branch does not answer its COMMIT: recovery ends it, and then a copy may serve again."""
    with RegionKit(bank.topology(), local=KR) as kit:
        tm = manager(kit, "orders", "payments")
        seen(kit)
        real = PostgresParticipant.finish_on

        def silent(self: Any, link: Any, xid: Any, commit: bool) -> Finish:
            return Finish.UNREACHED if self.name == "payments" else real(self, link, xid, commit)

        monkeypatch.setattr(PostgresParticipant, "finish_on", silent)
        with kit.session() as s:
            with s.transaction(stores=["orders", "payments"], settle=0.3) as tx:
                for store in ("orders", "payments"):
                    (tx.session(store)).execute(text(ADD.format(1)))
            assert tx.pending == ("payments",)
            with s.read("payments"):
                pass
            assert s.last_route is not None
            assert s.last_route.role == "primary"
            assert OWNER_ONLY in s._state.bookmark.entries("payments")
            monkeypatch.undo()
            tm.recover()
            assert tx.wait_settled(PATIENCE)
            assert OWNER_ONLY not in s._state.bookmark.entries("payments")
            with s.read("payments") as db:
                assert (db.execute(text("SELECT id FROM bank"))).all() == [(1,)]


def test_acknowledgements_bear_the_history_of_the_store(bank: Bank) -> None:
    """With it recovery knows what a promotion may have undone."""
    log = MemoryDecisionLog()
    with RegionKit(bank.topology(), local=US) as kit:
        tm = manager(kit, "orders", "payments", log=log)
        seen(kit)
        with kit.session() as s, s.transaction(stores=["orders", "payments"]) as tx:
            for store in ("orders", "payments"):
                (tx.session(store)).execute(text(ADD.format(1)))
        deadline = Deadline(SYSTEM_CLOCK, PATIENCE)
        owners = {store: kit.backing(store).owner(deadline=deadline) for store in ("orders", "payments")}
    assert tm.closed, "with its kit"
    row = log.row(tx.gtrid, deadline)
    assert row is not None
    assert row.done
    for store, history in row.branches.items():
        assert (history or "").partition(".")[0] == owners[store].history != ""


def test_each_part_of_a_partitioned_store_is_a_branch(bank: Bank) -> None:
    """By key; the session's own key is the default, and another one is refused."""
    with RegionKit(bank.topology(), local=US) as kit:
        manager(kit, "carts")
        seen(kit)
        with kit.session() as s:
            with s.transaction(stores=["carts"]) as tx:
                for number, key in enumerate((f"{US}:a", f"{KR}:b", f"{US}:c")):
                    (tx.session("carts", key=key)).execute(text(ADD.format(number)))
            with pytest.raises(UsageError, match="key"):
                with s.transaction(stores=["carts"]) as tx:
                    tx.session("carts")
        with kit.session(key=f"{KR}:d") as s, s.transaction(stores=["carts"]) as tx:
            (tx.session("carts")).execute(text(ADD.format(3)))
    assert (bank.accounts("orders"), bank.accounts("payments")) == ([0, 2], [1, 3])


def test_what_cannot_be_is_refused(bank: Bank) -> None:
    """Stores that were not named, blocks inside of each other, a kit without a manager or with two one."""
    with RegionKit(bank.topology(), local=US) as kit:
        with kit.session() as s:
            with pytest.raises(ConfigurationError, match="no manager"):
                s.transaction(stores=["orders"])
        manager(kit, "orders", "payments")
        with pytest.raises(ConfigurationError, match="already"):
            manager(kit, "orders")
        with pytest.raises(ConfigurationError, match="no stores"):
            TransactionManager(kit, log=MemoryDecisionLog())
        seen(kit)
        with kit.session() as s:
            with pytest.raises(UsageError, match="no part"):
                s.transaction(stores=["orders", "carts"])
            with pytest.raises(UsageError, match="no stores"):
                s.transaction(stores=[])
            with pytest.raises(UsageError, match="not begun for"):
                with s.transaction(stores=["orders"]) as tx:
                    tx.session("payments")
            with s.transaction(stores=["orders", "payments"]) as tx:
                (tx.session("orders")).execute(text(ADD.format(1)))
                with pytest.raises(UsageError, match="own write"):
                    with s.read("orders"):
                        pass
                (tx.session("payments")).execute(text(ADD.format(1)))
            with s.read("orders") as db:
                assert (db.execute(text("SELECT id FROM bank"))).all() == [(1,)]
            with s.write("orders"):
                with pytest.raises(UsageError, match="own write"):
                    with s.transaction(stores=["orders"]) as tx:
                        tx.session("orders")


@pytest.mark.parametrize("given", ["a kit and its store", "the pair"])
def test_a_store_of_a_kits_takes_part(given: str, rig: Rig) -> None:
    """Its branch opens at the current owner; the log gets kit and store as a pair."""
    with RegionKit(rig.topology(), local="us-east-1") as kit:
        kit.create_tables()
        pair = given == "the pair"
        made: Any = participant_of(
            "orders",
            (kit, "orders") if pair else kit,
            namespace="shop",
            store=None if pair else "orders",
            unsafe_no_flush=True,
        )
        assert made.given == (kit, "orders")
        made.create_tables(within())
        made.open(within())
        xid = Xid("shop", "0a1b2c3d", gtrid_of(1_700_000_000_000, os.urandom(10)), "orders", 0)
        branch = made.begin(BranchOptions(xid), within())
        branch.session().add(Order(id=811, item="tea"))
        branch.flush()
        assert (branch.commit_one_phase([], within())).winner is Decision.COMMIT
        branch.close()
        assert rig.count("id = 811") == 1
        assert made.evidence(xid, within()) is Evidence.COMMITTED
        made.close()
