"""What an inbox costs on PostgreSQL with fsync: a message alone, with claim or gate, a copy, a hundred in one transaction.

The effect is an UPDATE of one row by its key. "Bare UPDATE" is that in autocommit; "handle" is the same handle's BEGIN, effect
and COMMIT without an inbox; "hand-written" is psycopg with BEGIN, INSERT ON CONFLICT DO NOTHING, UPDATE, COMMIT. Sources are
left out: decoding counts, fetching and acknowledging do not.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import psycopg
from sqlalchemy import create_engine, text

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin, pin_children
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.messaging.admitting import opened
from regionkit.messaging.applying import Applier, Step
from regionkit.messaging.batches import Batches
from regionkit.messaging.consumer_options import Options
from regionkit.messaging.counters import Counters
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, encode
from regionkit.messaging.handlers import Handler, Handlers
from regionkit.messaging.inboxes.rows_sql import InboxStatements, bucket_of
from regionkit.messaging.inboxes.sql import SqlInbox
from regionkit.messaging.sources.source import Delivery
from regionkit.messaging.statement_sql import SqlStatement
from regionkit.testing import servers

BATCH, ACCOUNTS, OPS = 100, 1000, 60
SQL = "UPDATE account SET balance = balance + :by WHERE id = :id"
PSYCOPG = "UPDATE account SET balance = balance + %(by)s WHERE id = %(id)s"
SET_BASED = (
    "UPDATE account AS t SET balance = t.balance + a.by FROM unnest(CAST(:by AS int[]), CAST(:id AS int[])) AS a(by, id)"
    " WHERE t.id = a.id"
)
BARE, HANDLE, HAND = "bare UPDATE", "handle", "hand-written"
BARE_TEXT, ONE_TEXT = "bare UPDATE, by its text", "claim and UPDATE, one text"


def run(settings: Settings) -> list[Report]:
    """One report, on one core."""
    report = Report("inbox", "A consumer's inbox on PostgreSQL, fsync on", settings)
    core = pin()
    with servers.postgresql(settings={"fsync": "on", "synchronous_commit": "on"}) as found:
        pin_children(core)
        with ExitStack() as stack:
            report.add(_rows(), measure(_candidates(stack, found.primary.url), settings, OPS))
    report.note(
        "FastStream and taskiq have no inbox: the loop that one writes by hand there is measured. See also `streams`."
    )
    report.note(
        "Why rows are missed: the bare UPDATE is one round trip in autocommit. Whatever goes through a unit has a second one for "
        "COMMIT, which also tells the position and puts back what a handler may have set, and a decision about the endpoint."
    )
    return [report]


def _rows() -> list[Row]:
    inbox = [
        Row(f"{name} / the same handle's BEGIN, effect, COMMIT", name, HANDLE, most=1.45)
        for name in ("gate", "claim", "claim of a key in order")
    ]
    return [
        Row(
            "claim and effect as one text / bare UPDATE, by its text",
            ONE_TEXT,
            BARE_TEXT,
            most=1.30,
        ),
        Row("consumer.statement, all of it / bare UPDATE", "statement", BARE, most=1.30),
        Row("consumer.statement, all of it / the same handle's BEGIN, effect, COMMIT", "statement", HANDLE),
        *inbox,
        Row("batch handler, set-based, a message / bare UPDATE", "batch handler", BARE, most=0.10),
        Row("batch handler with gates, a message / bare UPDATE", "batch handler, gates", BARE),
        Row("statement in a batch, a message / bare UPDATE", "statement, batch", BARE),
        Row("handlers in a batch, psycopg, a message / bare UPDATE", "handlers, psycopg", BARE, most=0.60),
        Row("handlers in a batch, Session, a message / bare UPDATE", "handlers, Session", BARE, most=0.90),
        Row("duplicate alone, by claim / bare UPDATE", "duplicate claim", BARE, most=0.40),
        Row("duplicate alone, by gate / bare UPDATE", "duplicate gate", BARE, most=0.40),
        Row("duplicate in a batch, a message / bare UPDATE", "duplicates, batch", BARE, most=0.05),
        Row("hand-written / bare UPDATE", HAND, BARE),
        Row("handle / bare UPDATE", HANDLE, BARE),
        Row("claim / hand-written", "claim", HAND),
    ]


def _payloads() -> Iterator[dict[str, int]]:
    for n in itertools.count():
        yield {"by": 1, "id": n % ACCOUNTS}


def _candidates(stack: ExitStack, url: str) -> list[Candidate]:
    engine = create_engine(url)
    stack.callback(engine.dispose)
    inbox = SqlInbox(engine)
    stack.callback(inbox.close)
    inbox.create_tables()
    inbox.open(Deadline(SYSTEM_CLOCK, 30.0))
    with engine.begin() as db:
        db.execute(text("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)"))
        db.execute(text("CREATE TABLE seen (id text PRIMARY KEY)"))
        db.execute(text("INSERT INTO account SELECT n, 0 FROM generate_series(0, :most - 1) AS n"), {"most": ACCOUNTS})
    plain = stack.enter_context(psycopg.connect(engine.url.render_as_string(False).replace("+psycopg", "")))
    bare = stack.enter_context(engine.connect().execution_options(isolation_level="AUTOCOMMIT"))
    payloads, effect = _payloads(), text(SQL)

    def handle() -> None:
        with inbox.unit(Deadline(SYSTEM_CLOCK, 30.0)) as unit:
            unit.native.execute(effect, next(payloads))

    def by_hand() -> None:
        with plain.transaction():
            made = plain.execute("INSERT INTO seen VALUES (%s) ON CONFLICT DO NOTHING", (str(uuid7()),))
            if made.rowcount == 1:
                plain.execute(PSYCOPG, next(payloads))

    rows, statement = InboxStatements(inbox.backing.namespace, engine), SqlStatement(SQL)

    def one_text() -> None:
        id = str(uuid7())
        claim = {"rk_scope": b"text", "rk_id": id.encode(), "rk_print": bytes(16), "rk_seen_at": 0.0}
        fused = rows.of_day(rows.fused(statement), bucket_of(id))
        given = fused.values({**next(payloads), **claim, "rk_bucket": bucket_of(id)})
        assert bare.exec_driver_sql(fused.text, given).rowcount == 1

    return [
        Candidate(BARE, lambda: bare.execute(effect, next(payloads))),
        Candidate(BARE_TEXT, lambda: bare.exec_driver_sql(PSYCOPG, next(payloads))),
        Candidate(ONE_TEXT, one_text),
        Candidate(HANDLE, handle),
        Candidate(HAND, by_hand),
        *_singles(inbox, effect, payloads),
        *_batches(inbox, effect, payloads),
    ]


def _applier(inbox: SqlInbox, handler: Handler, *, ordered: bool) -> Applier:
    handlers = Handlers()
    handlers.add(handler)
    options = Options("bench", ordered).checked()
    return Applier(inbox, handlers, options, Counters(), lambda event: None, SYSTEM_CLOCK)


def _loose(payload: Any, key: str | None = None) -> Delivery:
    return Delivery(None, encode(Envelope(str(uuid7()), "moved", msgspec.msgpack.encode(payload), key=key)))


def _numbered(payloads: Iterator[Any], keys: int) -> Iterator[Delivery]:
    name = str(uuid7())
    for n in itertools.count():
        place = n // keys + 1
        before = Number(1, "h", place - 1) if place > 1 else NOTHING_BEFORE
        yield Delivery(
            None,
            encode(
                Envelope(
                    str(uuid7()),
                    "moved",
                    msgspec.msgpack.encode(next(payloads)),
                    key=f"{name}-{n % keys}",
                    lineage="bench",
                    number=Number(1, "h", place),
                    prev=before,
                )
            ),
        )


def _singles(inbox: SqlInbox, effect: Any, payloads: Iterator[Any]) -> Iterator[Candidate]:
    one = Handler("moved", lambda message, db: db.execute(effect, message.payload))

    def timed(applier: Applier, make: Callable[[], Delivery]) -> Callable[[], float]:
        def call() -> float:
            delivery = make()
            began = time.perf_counter()
            assert applier.work(opened(delivery)) is Step.ACK
            return time.perf_counter() - began

        return call

    unordered, ordered = (_applier(inbox, one, ordered=ordered) for ordered in (False, True))
    in_order, loose = _numbered(payloads, 20), _loose(next(payloads))
    first = [next(in_order) for _ in range(40)]
    for delivery in first:
        ordered.work(opened(delivery))
    unordered.work(opened(loose))
    yield Candidate("gate", timed(ordered, lambda: next(in_order)), own=True)
    yield Candidate("claim", timed(unordered, lambda: _loose(next(payloads))), own=True)
    yield Candidate("claim of a key in order", timed(ordered, lambda: _loose(next(payloads), "key")), own=True)
    yield Candidate("duplicate claim", timed(unordered, lambda: loose), own=True)
    yield Candidate("duplicate gate", timed(ordered, lambda: first[-1]), own=True)


def _batches(inbox: SqlInbox, effect: Any, payloads: Iterator[Any]) -> Iterator[Candidate]:
    statement, set_based = SqlStatement(SQL), text(SET_BASED)

    def many(messages: Any, db: Any) -> None:
        values = [message.payload for message in messages]
        db.execute(set_based, {name: [value[name] for value in values] for name in ("by", "id")})

    def by_driver(message: Any, db: Any) -> None:
        db.connection().exec_driver_sql(PSYCOPG, message.payload)

    def timed(
        handler: Handler, make: Callable[[], Delivery], size: int, *, ordered: bool = False
    ) -> Callable[[], float]:
        batches, ended = Batches(_applier(inbox, handler, ordered=ordered)), []

        def call() -> float:
            deliveries = [make() for _ in range(size)]
            began = time.perf_counter()
            ended.clear()
            left = batches.run([opened(delivery) for delivery in deliveries], lambda taken, step: ended.append(step))
            assert not left and ended == [Step.ACK] * size
            return (time.perf_counter() - began) / size

        return call

    def made(call: Any = None, **more: Any) -> Handler:
        return Handler("moved", call or (lambda message, db: None), rerunnable=True, batch=BATCH, **more)

    fused = made(statement.one, many=statement.many, fused=statement)
    in_order = _numbered(payloads, 20)
    old = [_loose(next(payloads)) for _ in range(BATCH)]
    copies = itertools.cycle(old)
    fresh: Callable[[], Delivery] = lambda: _loose(next(payloads))  # noqa: E731
    again = timed(made(many=many), lambda: next(copies), BATCH)
    again()
    yield Candidate("statement", timed(fused, fresh, 1), own=True)
    yield Candidate("statement, batch", timed(fused, fresh, BATCH), own=True)
    yield Candidate("batch handler", timed(made(many=many), fresh, BATCH), own=True)
    yield Candidate(
        "batch handler, gates", timed(made(many=many), lambda: next(in_order), BATCH, ordered=True), own=True
    )
    yield Candidate("handlers, psycopg", timed(made(by_driver), fresh, BATCH), own=True)
    session = made(lambda message, db: db.execute(effect, message.payload))
    yield Candidate("handlers, Session", timed(session, fresh, BATCH), own=True)
    yield Candidate("duplicates, batch", again, own=True)
