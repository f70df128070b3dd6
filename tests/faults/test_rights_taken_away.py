"""Rights on regionkit's tables that are taken away while a consumer runs: it waits, and no message is to blame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
from sending import envelope
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionUnavailable, TransactionAborted
from regionkit.messaging import SqlRecords, idempotent
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.inboxes.sql import SqlInbox
from regionkit.messaging.sources.memory import MemoryQueue
from regionkit.transactions import FilesParticipant, SqlDecisionLog, TransactionManager

PATIENT = 30.0
MESSAGES = 40


class Account(NamedTuple):
    """An account that may write each table, and what changes that."""

    owner: Engine
    engine: Engine
    revoke: Callable[[str], None]
    grant: Callable[[str], None]


@pytest.fixture(params=["postgresql", "mariadb"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    """All tables were made by another one."""
    is_postgres = request.param == "postgresql"
    servers = request.getfixturevalue("pg" if is_postgres else "mariadb")
    database = servers.database()
    name = f"limited_{database[-12:]}"
    who, more = (name, {"database": database}) if is_postgres else (f"{name}@'%'", {})
    say: Callable[[str], Any] = lambda query: servers.primary.sql(query, **more)  # noqa: E731
    url = servers.primary.url_for(database)
    owner = create_engine(url)
    limited = create_engine(make_url(url).set(username=name, password="word"))
    inbox = SqlInbox(owner)
    inbox.create_tables()
    inbox.open(soon())
    inbox.prepare(7 * 86_400.0, soon())
    inbox.close()
    with owner.begin() as db:
        db.execute(text("CREATE TABLE ledger (n INTEGER NOT NULL)"))

    def change(word: str, table: str) -> None:
        rights, to = "SELECT, INSERT, UPDATE, DELETE", "TO" if word == "GRANT" else "FROM"
        with owner.connect() as db:
            listed = "SELECT table_name FROM information_schema.tables WHERE table_schema IN ('public', :name)"
            for (found,) in db.execute(text(listed), {"name": database}).all():
                if found.startswith(table):
                    place = found if is_postgres else f"{database}.{found}"
                    say(f"{word} {rights} ON {place} {to} {who}")

    say(f"CREATE ROLE {name} LOGIN PASSWORD 'word'" if is_postgres else f"CREATE USER {who} IDENTIFIED BY 'word'")
    change("GRANT", "")
    if is_postgres:
        say(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}")
    try:
        yield Account(owner, limited, lambda table: change("REVOKE", table), lambda table: change("GRANT", table))
    finally:
        limited.dispose()
        owner.dispose()
        if is_postgres:
            say(f"DROP OWNED BY {name}")
        say(f"DROP ROLE {name}" if is_postgres else f"DROP USER {who}")


def soon() -> Deadline:
    return Deadline(SYSTEM_CLOCK, PATIENT)


def test_a_consumer_waits_for_the_right_to_claim(account: Account) -> None:
    """Not one message is counted as tried, and what is said names the right and how to grant it."""
    events: list[Any] = []
    queue = MemoryQueue("orders", group="billing")
    queue.open(soon())
    queue.publish([envelope(n) for n in range(MESSAGES)], soon())
    inbox = SqlInbox(account.engine)
    consumer = Consumer(queue, inbox=inbox, concurrency=2)
    consumer.on_event(events.append)

    @consumer.handler("moved", attempts=1)
    def apply(message: Any, db: Any) -> None:
        if message.payload == 3:
            account.revoke("regionkit_rk_inbox")
        db.execute(text("INSERT INTO ledger VALUES (:n)"), {"n": message.payload})

    runs = Thread(target=lambda: consumer.run(until_idle=0.5))
    runs.start()
    try:
        end = time.monotonic() + PATIENT
        while not events and time.monotonic() < end:
            time.sleep(0.02)
        said = str(events[0])
        assert type(events[0]).__name__ == "ConsumerPaused", said
        assert "lacks INSERT on" in said and "regionkit_rk_inbox" in said, said
        account.grant("regionkit_rk_inbox")
    finally:
        runs.join(PATIENT)
        inbox.close()
    with account.owner.connect() as db:
        applied = sorted(db.execute(text("SELECT n FROM ledger")).scalars())
        cases = db.execute(text("SELECT reason, error FROM regionkit_rk_hospital")).all()
    assert (applied, cases, consumer.summary().broken) == (list(range(MESSAGES)), [], 0)


@pytest.mark.parametrize("account", ["postgresql"], indirect=True)
def test_a_consumer_waits_for_the_right_to_write_a_case(account: Account) -> None:
    """What cannot be admitted is kept in the source. What numbers the rows on PostgreSQL has rights of its own."""
    events: list[Any] = []
    queue = MemoryQueue("orders", group="billing")
    queue.open(soon())
    queue.publish([envelope(1)], soon())
    with account.owner.begin() as db:
        name = db.execute(text("SELECT pg_get_serial_sequence('regionkit_rk_hospital_event', 'seq')")).scalar()
        who = account.engine.url.username
        db.execute(text(f"REVOKE USAGE ON SEQUENCE {name} FROM {who}"))
    inbox = SqlInbox(account.engine)
    consumer = Consumer(queue, inbox=inbox)
    consumer.on_event(events.append)

    @consumer.handler("moved", attempts=1)
    def fail(message: Any, db: Any) -> None:
        raise ValueError("poison")

    runs = Thread(target=lambda: consumer.run(until_idle=0.5))
    runs.start()
    try:
        end = time.monotonic() + PATIENT
        while not events and time.monotonic() < end:
            time.sleep(0.02)
        assert "Fix: GRANT USAGE ON SEQUENCE regionkit_rk_hospital_event" in str(events[0])
        with account.owner.begin() as db:
            db.execute(text(f"GRANT USAGE ON SEQUENCE {name} TO {who}"))
    finally:
        runs.join(PATIENT)
        inbox.close()
    assert consumer.summary().parked == 1


def test_a_missing_right_on_a_table_of_the_application_is_its_own_affair(account: Account) -> None:
    """The message fails, others go on, and the error is the driver's."""
    queue = MemoryQueue("orders", group="billing")
    queue.open(soon())
    queue.publish([envelope(1), envelope(2)], soon())
    account.revoke("ledger")
    inbox = SqlInbox(account.engine)
    consumer = Consumer(queue, inbox=inbox)
    failed: list[BaseException] = []

    @consumer.handler("moved", attempts=1)
    def apply(message: Any, db: Any) -> None:
        if message.payload == 1:
            try:
                db.execute(text("INSERT INTO ledger VALUES (1)"))
            except Exception as error:
                failed.append(error)
                raise

    done = consumer.run(until_idle=0.5)
    inbox.close()
    assert (done.applied, done.parked) == (1, 1)
    assert isinstance(failed[0], DBAPIError)


def test_an_idempotent_function_says_which_right_is_missing(account: Account) -> None:
    """RegionUnavailable before it runs; and it runs once the right is there."""
    runs: list[int] = []

    records = SqlRecords(account.engine)

    @idempotent(records, key=lambda n: n, name="pay")
    def pay(n: int) -> int:
        runs.append(n)
        return n

    account.revoke("regionkit_rk_idempotency")
    with pytest.raises(RegionUnavailable, match=r"lacks .* on .*regionkit_rk_idempotency"):
        pay(1)
    assert not runs
    account.grant("regionkit_rk_idempotency")
    assert (pay(1), pay(1), runs) == (1, 1, [1])
    records.close()


def test_a_transaction_aborts_where_its_log_may_not_be_written(account: Account, data_path: Path) -> None:
    """Nothing was decided, whoever is asked says which right is missing, and it goes on when that is there."""

    def manager(engine: Engine) -> TransactionManager:
        log = SqlDecisionLog(engine, unsafe_async_replica=True)  # the servers of tests do not flush
        parts = {name: FilesParticipant(name, data_path / name, unsafe_place=True) for name in ("a", "b")}
        return TransactionManager(namespace="shop", log=log, participants=parts)

    def write(tm: TransactionManager, value: bytes) -> None:
        with tm.begin(timeout=10.0) as tx:
            for name in ("a", "b"):
                tx.session(name).put("paid.txt", value)

    with manager(account.owner) as tm:
        tm.create_tables()
    account.grant("shop_rk")
    with manager(account.engine) as tm:
        write(tm, b"1")
        account.revoke("shop_rk_tpc_log")
        with pytest.raises(TransactionAborted, match=r"lacks .*(INSERT|SELECT).* on .*shop_rk_tpc_log") as aborted:
            write(tm, b"2")
        assert aborted.value.committed == "no"
        with pytest.raises(RegionUnavailable, match=r"GRANT .*SELECT.* ON .*shop_rk_tpc_log"):
            tm.recover(timeout=10.0)
        account.grant("shop_rk_tpc_log")
        tm.recover(timeout=10.0)
        assert [(data_path / name / "paid.txt").read_bytes() for name in ("a", "b")] == [b"1", b"1"]
        write(tm, b"3")
        assert [(data_path / name / "paid.txt").read_bytes() for name in ("a", "b")] == [b"3", b"3"]
