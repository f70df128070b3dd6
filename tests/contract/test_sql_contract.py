# Generated from test_sql_contract_async.py by scripts/twins.py. Do not edit.
"""What every SQL backend does, the same way: the contract of routing, run on real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, Order, Rig
from placing import set_placement
from sqlalchemy import text
from waiting import seen

from regionkit import (
    BOUNDED,
    EVENTUAL,
    SESSION,
    STRONG,
    ConfigurationError,
    DeadlineExceeded,
    InvalidBookmark,
    OutcomeUnknown,
    RegionKit,
    StaleRead,
    TransactionRolledBack,
    UsageError,
)
from regionkit.backends.sql.schema import metadata
from regionkit.core.concurrency import Flag, gather, sleep
from regionkit.core.deadline import Deadline
from regionkit.facts.placement import Placement, placement_record
from regionkit.facts.position import Position, Uuids

KEY = "a key of more than sixteen characters"


@pytest.fixture
def kit(rig: Rig) -> Iterator[RegionKit]:
    """A kit in ap-northeast-2, its tables made, every endpoint seen."""
    with RegionKit(rig.topology(), local="ap-northeast-2", bookmark_keys=[KEY]) as kit:
        yield seen(kit)


def test_a_write_goes_to_the_owner_and_commits(kit: RegionKit, rig: Rig) -> None:
    """A write block is one transaction on the primary, committed at its end."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.add(Order(id=1, item="tea"))
        assert s.last_route is not None
        assert s.last_route.region == "us-east-1"
        assert s.last_route.epoch == 1
    assert rig.count() == 1


def test_a_keyed_write_without_tables_says_what_to_call(rig: Rig) -> None:
    """The statement that failed was not the application's; nothing was written, and the server is healthy."""

    def work(db: Any) -> None:
        db.add(Order(id=1, item="tea"))

    with RegionKit(rig.topology(), local="us-east-1", bookmark_keys=[KEY]) as kit, kit.session() as s:
        for _ in range(4):
            with pytest.raises(ConfigurationError, match="create_tables"):
                s.execute_write("orders", work, idempotency_key="k")
        with s.write("orders") as db:
            db.add(Order(id=2, item="tea"))
    assert rig.count() == 1


def test_an_exception_rolls_a_write_back(kit: RegionKit, rig: Rig) -> None:
    """An application's error passes as it is, and nothing is committed."""
    with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
                db.flush()
                raise ZeroDivisionError
        assert s.bookmark() == ""
    assert rig.count() == 0


def test_a_session_sees_its_own_write(kit: RegionKit) -> None:
    """A SESSION read sees what the session wrote, on a replica or on the owner."""
    with kit.session() as s:
        for number in range(1, 6):
            with s.write("orders") as db:
                db.add(Order(id=number, item="tea"))
            with s.read("orders") as db:
                assert (db.get(Order, number)).item == "tea"


def test_a_write_inside_an_open_read_block_is_seen_by_it(kit: RegionKit, rig: Rig) -> None:
    """A block that has sent nothing yet decides on what the session knows at its first statement."""
    with rig.held():
        with kit.session() as s, s.read("orders") as db:
            with s.write("orders") as writing:
                writing.add(Order(id=1, item="tea"))
            assert (db.get(Order, 1)).item == "tea"


def test_an_eventual_read_is_local_and_may_miss(kit: RegionKit, rig: Rig) -> None:
    """EVENTUAL takes the local copy as it is; SESSION does not while that copy is held back."""
    with rig.held():
        with kit.session() as s:
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
            with s.read("orders", consistency=EVENTUAL) as db:
                assert db.get(Order, 1) is None
            assert s.last_route is not None
            assert s.last_route.region == "ap-northeast-2"
            with s.read("orders") as db:
                assert (db.get(Order, 1)).item == "tea"
            assert s.last_route.region != "ap-northeast-2"


def test_a_caught_up_local_copy_serves_the_session(kit: RegionKit) -> None:
    """Once the local copy has the write, SESSION reads stay local and ask the server for nothing."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.add(Order(id=1, item="tea"))
        end = time.monotonic() + 10
        while True:
            with s.read("orders") as db:
                assert (db.get(Order, 1)).item == "tea"
            assert s.last_route is not None
            if s.last_route.region == "ap-northeast-2":
                break
            assert time.monotonic() < end, "the local copy never served the session"
            sleep(0.05)
        with s.read("orders") as db:
            db.get(Order, 1)
        assert [a.kind for a in s.last_route.attempts] == ["initial"]


def test_a_bookmark_carries_the_session_to_another_kit(kit: RegionKit, rig: Rig) -> None:
    """Another process with the bookmark sees the write, and one without it may miss it."""
    with rig.held():
        with kit.session() as s:
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
            bookmark = s.bookmark()
        assert 0 < len(bookmark) <= 2048
        with RegionKit(rig.topology(), local="ap-northeast-2", bookmark_keys=[KEY]) as other:
            with other.session() as s:
                with s.read("orders", consistency=EVENTUAL) as db:
                    assert db.get(Order, 1) is None
            with other.session(bookmark=bookmark) as s:
                with s.read("orders") as db:
                    assert (db.get(Order, 1)).item == "tea"
            with other.session(bookmark=["", bookmark]) as s:
                with s.read("orders") as db:
                    assert (db.get(Order, 1)).item == "tea"


def test_a_held_replica_is_waited_for_or_refused_as_asked(kit: RegionKit, rig: Rig) -> None:
    """on_stale: raise refuses at once, serve reads it as it is, primary goes to the owner."""
    with rig.held():
        with kit.session() as s:
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
            with pytest.raises(StaleRead) as caught:
                with s.read("orders", on_stale="raise") as db:
                    db.get(Order, 1)
            assert not caught.value.lost
            assert caught.value.committed == "no"
            with s.read("orders", on_stale="serve") as db:
                assert db.get(Order, 1) is None
            with s.read("orders", on_stale="primary") as db:
                assert (db.get(Order, 1)).item == "tea"
            assert s.last_route is not None
            assert s.last_route.region == "us-east-1"


@pytest.mark.slow
def test_bounded_reads_measure_staleness(kit: RegionKit, rig: Rig) -> None:
    """BOUNDED uses the local copy while its measured staleness is within the bound, and not after."""
    with kit.session() as s:
        with s.read("orders", consistency=BOUNDED(5.0)) as db:
            db.get(Order, 1)
        assert s.last_route is not None
        assert s.last_route.region == "ap-northeast-2"
        assert s.last_route.staleness is not None
        with rig.held():
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
            sleep(1.5)
            with s.read("orders", consistency=BOUNDED(1.0), on_stale=("next", "primary")) as db:
                assert (db.get(Order, 1)).item == "tea"
            assert s.last_route.region != "ap-northeast-2"


@pytest.mark.slow
def test_a_bound_holds_at_each_statement(kit: RegionKit, rig: Rig) -> None:
    """A bounded block whose copy stops following refuses its next statement; it does not serve what is too old."""
    with kit.session() as s:
        end = time.monotonic() + 10.0
        while (
            s.last_route is None or s.last_route.region != "ap-northeast-2"
        ):  # positions are sampled from the first one on
            assert time.monotonic() < end, "bounded reads are not served here"
            with s.read("orders", consistency=BOUNDED(0.8)) as db:
                db.execute(text("SELECT 1"))
            sleep(0.05)
        with s.read("orders", consistency=BOUNDED(0.8)) as db:
            db.execute(text("SELECT 1"))
            sleep(1.0)
            db.execute(text("SELECT 1"))  # asked anew, and still within the bound
        assert s.last_route is not None
        assert s.last_route.region == "ap-northeast-2"
        with rig.held(), pytest.raises(StaleRead, match="during a read block"):
            with s.read("orders", consistency=BOUNDED(0.8), timeout=20.0) as db:
                db.execute(text("SELECT 1"))
                with kit.session() as writer:
                    with writer.write("orders") as writing:
                        writing.add(Order(id=1, item="tea"))
                sleep(1.2)
                db.execute(text("SELECT count(*) FROM orders"))


def test_strong_reads_the_owner_and_says_how_it_is_proved(kit: RegionKit) -> None:
    """STRONG is the owner; without a lease explain says so."""
    with kit.session() as s:
        with s.read("orders", consistency=STRONG) as db:
            db.get(Order, 1)
        assert s.last_route is not None
        assert s.last_route.region == "us-east-1"
        assert s.last_decision is not None
        assert "without a lease" in str(s.explain("orders", consistency=STRONG))


def test_a_write_in_a_read_block_is_refused_by_the_server(kit: RegionKit, rig: Rig) -> None:
    """Read connections are read-only on the server; a write is a UsageError, and nothing is written."""
    with kit.session() as s:
        with pytest.raises(UsageError):
            with s.read("orders") as db:
                db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
        with pytest.raises(UsageError):
            with s.read("orders", consistency=STRONG) as db:
                db.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
    assert rig.count() == 0


def test_pending_changes_in_a_read_block_are_not_lost_silently(kit: RegionKit) -> None:
    """An object added in a read block is an error at its end."""
    with kit.session() as s:
        with pytest.raises(UsageError, match="pending"):
            with s.read("orders") as db:
                db.add(Order(id=1, item="tea"))


def test_a_read_inside_ones_own_write_is_refused(kit: RegionKit) -> None:
    """It would not see what the open block has written."""
    with kit.session() as s:
        with s.write("orders") as db:
            with pytest.raises(UsageError, match="own write"):
                with s.read("orders"):
                    pass
            db.add(Order(id=1, item="tea"))


def test_core_blocks_give_connections(kit: RegionKit) -> None:
    """core=True gives a Connection, in reads and writes."""
    with kit.session() as s:
        with s.write("orders", core=True) as connection:
            connection.execute(text("INSERT INTO orders (id, item) VALUES (1, 'tea')"))
        with s.read("orders", core=True) as connection:
            assert (connection.execute(text("SELECT item FROM orders"))).scalar() == "tea"


def test_a_snapshot_read_is_one_transaction(kit: RegionKit) -> None:
    """snapshot=True sees one state; a plain read block sees what is committed in between."""
    with kit.session() as other, kit.session() as s:
        with s.read("orders", snapshot=True, consistency=STRONG) as db:
            before = (db.execute(text("SELECT count(*) FROM orders"))).scalar()
            with other.write("orders") as writing:
                writing.add(Order(id=1, item="tea"))
            assert (db.execute(text("SELECT count(*) FROM orders"))).scalar() == before
        with s.read("orders", consistency=STRONG) as db:
            assert (db.execute(text("SELECT count(*) FROM orders"))).scalar() == before + 1


def test_a_write_that_changes_nothing_keeps_reads_local(kit: RegionKit) -> None:
    """It has no position of its own; a later one of the owner covers what it was shown."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.execute(text("UPDATE orders SET item = 'x' WHERE id = 99"))
        bookmark = s.bookmark()
    end = time.monotonic() + 10
    while True:
        with kit.session(bookmark=bookmark) as s:
            with s.read("orders") as db:
                db.execute(text("SELECT 1"))
            assert s.last_route is not None
            if s.last_route.region == "ap-northeast-2":
                break
        assert time.monotonic() < end, "the local copy never served the session"
        sleep(0.05)


def test_commit_inside_a_write_block_moves_the_bookmark(kit: RegionKit, rig: Rig) -> None:
    """db.commit() is allowed; what follows is another transaction."""
    with kit.session() as s:
        with pytest.raises(ZeroDivisionError):
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
                db.commit()
                db.add(Order(id=2, item="tea"))
                db.flush()
                raise ZeroDivisionError
        assert s.bookmark() != ""
    assert rig.count() == 1


def test_reads_are_monotonic(kit: RegionKit, rig: Rig) -> None:
    """What a session saw on one copy it sees on the next, though that one is behind."""
    with kit.session() as writer:
        with writer.write("orders") as db:
            db.add(Order(id=1, item="tea"))
    with kit.session() as s:
        with s.read("orders", consistency=STRONG) as db:
            assert db.get(Order, 1) is not None
        with rig.held():
            with kit.session() as writer:
                with writer.write("orders") as db:
                    db.add(Order(id=2, item="tea"))
            with s.read("orders", consistency=STRONG) as db:
                assert db.get(Order, 2) is not None
            with s.read("orders") as db:
                assert db.get(Order, 2) is not None
            bookmark = s.bookmark()
            with kit.session(bookmark=bookmark) as later:
                with later.read("orders") as db:
                    assert db.get(Order, 2) is not None


def test_execute_read_and_write(kit: RegionKit) -> None:
    """The unit of work as a function gives its result."""

    def place(db) -> int:  # type: ignore[no-untyped-def]
        db.add(Order(id=1, item="tea"))
        return 7

    def look(db) -> str:  # type: ignore[no-untyped-def]
        return (db.get(Order, 1)).item

    with kit.session() as s:
        assert s.execute_write("orders", place) == 7
        assert s.execute_read("orders", look) == "tea"


def test_a_keyed_write_can_not_end_its_own_transaction(kit: RegionKit, rig: Rig) -> None:
    """Marker and effect commit together or not at all: commit and rollback inside are refused, and nothing is there."""

    def rolls_back(db) -> None:  # type: ignore[no-untyped-def]
        db.rollback()
        db.add(Order(id=2, item="tea"))

    def commits(db) -> None:  # type: ignore[no-untyped-def]
        db.add(Order(id=3, item="tea"))
        db.commit()

    def nests(db) -> str:  # type: ignore[no-untyped-def]
        with db.begin_nested():
            db.add(Order(id=4, item="tea"))
        return "nested"

    with kit.session() as s:
        for work in (rolls_back, commits):
            with pytest.raises(UsageError, match="own transaction"):
                s.execute_write("orders", work, idempotency_key="k")
        assert rig.count() == 0
        assert s.execute_write("orders", nests, idempotency_key="k") == "nested"
        assert s.execute_write("orders", nests, idempotency_key="k") == "nested"
    assert rig.count() == 1


def test_a_half_committed_write_is_not_run_again(kit: RegionKit, rig: Rig) -> None:
    """After db.commit() inside, a rollback that the server proves concerns the rest only: unknown, and run once."""
    runs = []

    def half(db) -> None:  # type: ignore[no-untyped-def]
        runs.append(1)
        db.add(Order(id=len(runs), item="tea"))
        db.commit()
        raise TransactionRolledBack("as a server would say", retryable=True)

    with kit.session() as s:
        with pytest.raises((OutcomeUnknown, TransactionRolledBack)):
            s.execute_write("orders", half)
    assert len(runs) == 1
    assert rig.count() == 1


def test_what_a_read_block_leaves_behind_reaches_nobody(kit: RegionKit, rig: Rig) -> None:
    """A raw BEGIN, an open result, a SET: the next block sees the present, and none of it."""
    begin = {
        "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ",
        **dict.fromkeys(("mariadb", "mysql"), "START TRANSACTION"),
        "sqlite": "BEGIN",
    }
    left_open = []
    with kit.session() as s:
        for number in range(1, 4):
            with s.read("orders", consistency=STRONG) as db:
                if number > 1:
                    db.execute(text(begin[rig.server]))
                left_open.append(db.execute(text("SELECT id FROM orders UNION SELECT 0 UNION SELECT 1000")))
                left_open[-1].fetchone()
            with s.write("orders") as db:
                db.add(Order(id=number, item="tea"))
            with s.read("orders", consistency=STRONG) as db:
                assert (db.execute(text("SELECT count(*) FROM orders"))).scalar() == number
        if rig.server == "postgresql":
            with s.read("orders", consistency=STRONG) as db:
                db.execute(text("SET app.tenant = 'A'"))
            with s.read("orders", consistency=STRONG) as db:
                assert (db.execute(text("SELECT current_setting('app.tenant', true)"))).scalar() in (None, "")


def test_bad_arguments_leave_the_session_usable(kit: RegionKit) -> None:
    """A refused time-out, of a write too, does not count as an open block."""
    with kit.session() as s:
        with pytest.raises(ConfigurationError):
            with s.write("orders", timeout=0.0):
                pass
        with s.read("orders") as db:
            db.execute(text("SELECT 1"))


def test_impatient_callers_do_not_take_an_endpoint_down(kit: RegionKit, rig: Rig) -> None:
    """Deadlines shorter than a probe's say nothing about the server."""
    with kit.session() as s:
        for _ in range(6):
            with pytest.raises(DeadlineExceeded):
                with s.read("orders", consistency=STRONG, timeout=0.02) as db:
                    db.execute(text("SELECT 1"))
                    sleep(0.03)
                    db.execute(text("SELECT 1"))
        with s.read("orders", consistency=STRONG) as db:
            db.execute(text("SELECT 1"))


def test_a_closed_kit_says_so(rig: Rig) -> None:
    """Nothing starts again after close."""
    kit = RegionKit(rig.topology(), local="us-east-1")
    s = kit.session()
    kit.close()
    kit.close()
    with pytest.raises(UsageError, match="closed"):
        kit.session()
    with pytest.raises(UsageError, match="closed"):
        s.read("orders")
    with pytest.raises(UsageError, match="closed"):
        kit.replace(rig.topology())


def test_bad_arguments_are_refused_early(kit: RegionKit) -> None:
    """Keys, time-outs, stores, levels and bookmarks that cannot work are named."""

    def nothing(db) -> None:  # type: ignore[no-untyped-def]
        return None

    with kit.session() as s:
        for key in ("", "x" * 201, "a\x00b"):
            with pytest.raises(ConfigurationError):
                s.execute_write("orders", nothing, idempotency_key=key)
        with pytest.raises(ConfigurationError):
            with s.read("orders", timeout=-1.0):
                pass
        with pytest.raises(ConfigurationError, match="orders"):
            s.read("order")
        with pytest.raises(ConfigurationError):
            s.read("orders", on_stale="sometimes")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError):
            s.read("orders", consistency=BOUNDED(0))
    with pytest.raises(InvalidBookmark):
        kit.session(bookmark="rk1.forged")


def _beyond(position: Position) -> Position:
    """A position far behind all that was written."""
    if isinstance(position, int):
        return 1 << 50
    if isinstance(position, Uuids):
        return Uuids(tuple((uuid, n + 10**6) for uuid, n in position.upto))
    return tuple((domain, server, n + 10**6) for domain, server, n in position)


def test_a_bookmark_past_the_end_is_refused_without_waiting(kit: RegionKit, rig: Rig) -> None:
    """A signed position that the owner never had was lost; the error comes at once."""
    with kit.session() as s:
        with s.write("orders") as db:
            db.add(Order(id=1, item="tea"))
        (entry,) = s._state.bookmark.entries("orders")
        far = type(entry)(entry.history, entry.epoch, _beyond(entry.position))
        s._state.bookmark = s._state.bookmark.add("orders", far)
        began = time.monotonic()
        with pytest.raises(StaleRead) as caught:
            with s.read("orders") as db:
                db.get(Order, 1)
        assert caught.value.lost
        assert time.monotonic() - began < 3.0  # the deadline of a read is 5
        s.accept_loss()
        with s.read("orders", consistency=SESSION) as db:
            assert db.get(Order, 1) is not None


def test_a_deadline_ends_a_slow_statement(kit: RegionKit, rig: Rig) -> None:
    """timeout= bounds the whole block; the error says that nothing was committed."""
    slow = {
        "postgresql": "SELECT pg_sleep(5)",
        **dict.fromkeys(("mariadb", "mysql"), "SELECT SLEEP(5)"),
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n",
    }[rig.server]
    with kit.session() as s:
        for block in (s.read("orders", timeout=0.4), s.write("orders", timeout=0.4)):
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded) as caught:
                with block as db:
                    db.execute(text(slow))
            assert time.monotonic() - began < 3.0  # the statement takes 5
            assert caught.value.committed == "no"
        with s.read("orders") as db:
            db.execute(text("SELECT 1"))


def test_the_pool_is_bounded_and_its_wait_ends(rig: Rig) -> None:
    """With every connection in use a block waits until its deadline, and no longer."""
    options = {"pool_size": 1, "max_overflow": 0}
    with RegionKit(rig.topology(options=options), local="us-east-1") as kit:
        with kit.session() as one, kit.session() as two:
            with one.read("orders", consistency=STRONG) as db:
                db.execute(text("SELECT 1"))
                began = time.monotonic()
                with pytest.raises(DeadlineExceeded):
                    with two.read("orders", consistency=STRONG, timeout=0.3) as db2:
                        db2.execute(text("SELECT 1"))
                assert 0.2 < time.monotonic() - began < 3.0
            with two.read("orders", consistency=STRONG, timeout=1.0) as db2:
                db2.execute(text("SELECT 1"))


def test_without_tables_bookmarks_say_owner_only(rig: Rig) -> None:
    """Before create_tables reads and writes work, and a session's reads go to the owner after a write."""
    with RegionKit(rig.topology(), local="ap-northeast-2") as kit:
        with kit.session() as s:
            with s.write("orders") as db:
                db.add(Order(id=1, item="tea"))
            with s.read("orders") as db:
                assert db.get(Order, 1) is not None
            assert s.last_route is not None
            assert s.last_route.region == "us-east-1"
            assert "create_tables" in str(s.explain("orders"))


def test_explain_is_made_from_the_decision_that_was_used(kit: RegionKit) -> None:
    """The very object: no second decision."""
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as db:
            db.execute(text("SELECT 1"))
        decision = s.last_decision
        assert decision is not None
        assert decision.explain().decision is decision
        assert len(decision.candidates) == len(kit.status().endpoints)


def test_create_tables_is_idempotent(kit: RegionKit) -> None:
    """A second call changes nothing: the store keeps its history."""
    before = kit._store("orders").state.snapshot.lineage
    kit.create_tables()
    assert kit._store("orders").state.snapshot.lineage == before


def test_a_home_that_is_being_given_is_waited_for(rig: Rig) -> None:
    """By a connection that is new, so the server was asked on it a moment before: its answer is of now, not of then."""
    with RegionKit(rig.topology(), local="ap-northeast-2") as kit:
        kit.create_tables()
    with RegionKit(rig.topology(), local="ap-northeast-2") as kit:
        shard = kit._store("orders").shards[0]
        backend = shard.backend(0)
        engine = sqlalchemy.create_engine(rig.plain)
        table = metadata(NAMESPACE).tables[f"{NAMESPACE}_rk_record"]

        given = Flag()

        def another_gives() -> None:
            with engine.begin() as connection:
                row = placement_record(Placement("carts", "c9", "us-east-1"))
                connection.execute(table.insert().values({name: getattr(row, name) for name in row.__struct_fields__}))
                given.set()
                sleep(0.6)

        def give() -> Placement:
            given.wait(10.0)
            wanted = Placement("carts", "c9", "eu-west-1")
            return set_placement(backend, Deadline(shard.clock, 10.0), wanted, expected=0)

        _, stands = gather([another_gives, give])
        engine.dispose()
        assert isinstance(stands, Placement)
        assert stands.home == "us-east-1"


def test_old_markers_are_swept(kit: RegionKit, rig: Rig) -> None:
    """The janitor forgets markers beyond their age, in bounded portions."""
    from regionkit.core.clock import SYSTEM_CLOCK
    from regionkit.core.deadline import Deadline

    def nothing(db) -> None:  # type: ignore[no-untyped-def]
        db.execute(text("SELECT 1"))

    with kit.session() as s:
        for n in range(5):
            s.execute_write("orders", nothing, idempotency_key=f"k{n}")
    backend = kit._store("orders").backend(0)
    assert backend.sweep(Deadline(SYSTEM_CLOCK, 5), 3600.0, 10) == 0
    assert backend.sweep(Deadline(SYSTEM_CLOCK, 5), -1.0, 3) == 3
    assert backend.sweep(Deadline(SYSTEM_CLOCK, 5), -1.0, 10) == 2


def test_replace_keeps_what_did_not_change(kit: RegionKit, rig: Rig) -> None:
    """The same store keeps its connections; a changed one is made anew, and residency holds at once."""
    before = kit._store("orders")
    kit.replace(rig.topology())
    assert kit._store("orders") is before
    from regionkit import Residency

    kit.replace(rig.topology(residency=Residency(allow=["us-east-1"])))
    assert kit._store("orders") is not before
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as db:
            db.execute(text("SELECT 1"))
        assert s.last_route is not None
        assert s.last_route.region == "us-east-1"
        assert kit._store("orders").backends[1] is None


def test_parameters_stay_out_of_errors(kit: RegionKit) -> None:
    """A value bound to a failing statement does not show in its exception."""
    with kit.session() as s:
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            with s.write("orders") as db:
                db.execute(text("INSERT INTO nowhere VALUES (:card)"), {"card": "4111-1111"})
        assert "4111" not in str(caught.value)
