"""Consumers over a queue in memory and a SQL inbox: once each, in the order of their keys, or found in the hospital."""

from __future__ import annotations

import random
import time
from typing import Any

import msgspec
import pytest
from sending import Numbering, envelope
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, MessagingError, UsageError
from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.envelope import NOTHING_BEFORE, Number, decode, encode
from regionkit.messaging.inboxes.sql_async import AsyncSqlInbox
from regionkit.messaging.sources.memory_async import AsyncMemoryQueue

from .ledger_async import IS_ASYNC, LedgerRig


def row(key: str, n: int) -> dict[str, Any]:
    return {"k": key, "n": n}


async def test_a_message_takes_effect_once(accounts: Any) -> None:
    """However often it comes, in one run or in the next."""
    message = envelope(row("a", 1))
    async with LedgerRig(accounts, order=None) as rig:
        await rig.publish(message, message)
        first = await rig.run()
        await rig.publish(message)
        second = await rig.run()
    assert rig.ledger() == {"a": [1]}
    assert (first.applied, first.duplicates, second.applied, second.duplicates) == (1, 1, 0, 1)


async def test_messages_of_a_key_take_effect_in_order(accounts: Any) -> None:
    """Copies, disorder: the ledger is the one of a sequential consumer."""
    numbers, chance = Numbering(), random.Random(7)
    sent = [numbers.message(f"k{key}", row(f"k{key}", n)) for n in range(1, 9) for key in range(6)]
    mixed = sent + chance.sample(sent, 12)
    for start in range(0, len(mixed), 12):  # shuffled within what is under way
        part = mixed[start : start + 12]
        chance.shuffle(part)
        mixed[start : start + 12] = part
    async with LedgerRig(accounts) as rig:
        await rig.publish(*mixed)
        summary = await rig.run()
    assert rig.ledger() == {f"k{key}": list(range(1, 9)) for key in range(6)}
    assert (summary.applied, summary.duplicates) == (48, 12)


async def test_what_failed_for_a_moment_runs_again_in_place(accounts: Any) -> None:
    """It counts as an attempt, and is not in the hospital."""
    seen: list[int] = []

    def fail_once(message: Any, db: Any) -> None:
        seen.append(message.attempt)
        if message.attempt == 1:
            raise ValueError("a hiccup")

    async with LedgerRig(accounts, order=None) as rig:
        rig.inside = fail_once
        await rig.publish(envelope(row("a", 1)))
        summary = await rig.run()
    assert (rig.ledger(), seen, summary.applied) == ({"a": [1]}, [1, 2], 1)
    assert not rig.cases()


async def test_a_poison_message_parks_its_key_alone(accounts: Any) -> None:
    """Its followers wait behind it in order, other keys go on; with the case it is all there."""
    numbers = Numbering()
    sent = [numbers.message(key, row(key, n)) for n in range(1, 7) for key in ("good", "bad")]

    def poison(message: Any, db: Any) -> None:
        if message.payload == row("bad", 3):
            raise ValueError("never")

    async with LedgerRig(accounts) as rig:
        rig.inside = poison
        await rig.publish(*sent)
        summary = await rig.run()
        assert rig.ledger() == {"good": [1, 2, 3, 4, 5, 6], "bad": [1, 2]}
        assert (summary.parked + summary.retrying, summary.held) == (1, 3)
        ((reason, status, attempts, error),) = rig.cases("reason, status, attempts, error_type")
        assert (reason, status, attempts, error) == ("failed", "admitted", 3, "builtins.ValueError")
        rig.inside = None
        with accounts.engine.begin() as db:
            db.execute(text("UPDATE regionkit_rk_hospital SET status = 'retrying', due_at = 0"))
        await rig.run()
    assert rig.ledger()["bad"] == [1, 2, 3, 4, 5, 6]
    assert rig.cases() == [("failed", "discharged")]


async def test_a_case_is_retried_by_itself(accounts: Any) -> None:
    """With its followers behind it."""
    numbers, seen = Numbering(), [0.0]

    def fail_for_a_while(message: Any, db: Any) -> None:
        seen[0] = seen[0] or time.monotonic() + 1.2  # above what is tried in place
        if message.payload["n"] == 1 and time.monotonic() < seen[0]:
            raise ConnectionError("their service is down")
        if message.payload["n"] == 3:
            rig.consumer.stop()

    async with LedgerRig(accounts) as rig:
        rig.consumer.handler("slow", attempts=50)(rig.apply)
        rig.inside = fail_for_a_while
        await rig.publish(*[numbers.message("a", row("a", n), type="slow") for n in (1, 2, 3)])
        await rig.run(idle=60.0)
    assert rig.ledger() == {"a": [1, 2, 3]}
    assert rig.cases() == [("failed", "discharged")]


async def test_skip_lets_the_key_go_on(accounts: Any) -> None:
    """The case stays, and waits for somebody."""
    numbers = Numbering()

    def poison(message: Any, db: Any) -> None:
        if message.payload["n"] == 2:
            raise ValueError("never")

    async with LedgerRig(accounts, on_poison="skip") as rig:
        rig.inside = poison
        await rig.publish(*[numbers.message("a", row("a", n)) for n in (1, 2, 3)])
        await rig.run()
    assert rig.ledger() == {"a": [1, 3]}
    assert rig.cases() == [("failed", "admitted")]


async def test_halt_stops_at_the_message(accounts: Any) -> None:
    """It is given back, and applied by the next run."""
    numbers = Numbering()

    def poison(message: Any, db: Any) -> None:
        if message.payload["n"] == 2:
            raise ValueError("never")

    async with LedgerRig(accounts, on_poison="halt") as rig:
        rig.inside = poison
        await rig.publish(*[numbers.message("a", row("a", n)) for n in (1, 2, 3)])
        with pytest.raises(MessagingError, match="stopped at a message"):
            await rig.run()
        assert rig.ledger() == {"a": [1]}
        rig.inside = None
        await rig.run()
    assert rig.ledger() == {"a": [1, 2, 3]}


async def test_numbers_given_out_twice_are_not_duplicates(accounts: Any) -> None:
    """A failover of the outbox has lost three messages that were applied here, and gives their numbers out again."""
    numbers = Numbering()
    before = [numbers.message("a", row("a", n)) for n in range(1, 11)]
    numbers.fail_over({"a": 3})
    after = [numbers.message("a", row("a", n)) for n in (108, 109, 110)]
    async with LedgerRig(accounts) as rig:
        await rig.publish(*before)
        await rig.run()
        await rig.publish(*before[6:], *after)
        summary = await rig.run()
    assert rig.ledger() == {"a": [*range(1, 11), 108, 109, 110]}
    assert (summary.applied, summary.duplicates, summary.diverged) == (3, 4, 1)


async def test_a_gap_that_is_never_closed_is_a_case(accounts: Any) -> None:
    """The key waits before it; when the missing message comes after all, it goes on by itself."""
    numbers = Numbering()
    first, missing, *rest = [numbers.message("a", row("a", n)) for n in (1, 2, 3, 4)]
    async with LedgerRig(accounts, gap_wait=0.3) as rig:
        await rig.publish(first, *rest)
        await rig.run()
        assert (rig.ledger(), rig.cases()) == ({"a": [1]}, [("gap", "admitted")])
        await rig.publish(missing)
        await rig.run()
    assert rig.ledger() == {"a": [1, 2, 3, 4]}
    assert rig.cases() == [("gap", "discharged")]


async def test_a_gap_that_is_given_up_is_passed(accounts: Any) -> None:
    """Somebody buries its case."""
    numbers = Numbering()
    first, missing, *rest = [numbers.message("a", row("a", n)) for n in (1, 2, 3, 4)]
    async with LedgerRig(accounts, gap_wait=0.3) as rig:
        await rig.publish(first, *rest)
        await rig.run()
        with accounts.engine.begin() as db:
            db.execute(text("UPDATE regionkit_rk_hospital SET status = 'buried', due_at = 0"))
        await rig.run()
        assert rig.ledger() == {"a": [1, 3, 4]}
        await rig.publish(missing)
        await rig.run()
    assert rig.ledger() == {"a": [1, 3, 4]}


async def test_a_new_consumer_of_an_old_stream_begins_where_it_can(accounts: Any) -> None:
    """What came before was trimmed. If it comes all the same, it is a case, and no duplicate."""
    numbers = Numbering()
    old = [numbers.message("a", row("a", n)) for n in range(1, 6)]
    async with LedgerRig(accounts, gap_wait=0.3) as rig:
        await rig.publish(*old[2:])
        summary = await rig.run(idle=0.6)  # above the wait
        assert (rig.ledger(), summary.began) == ({"a": [3, 4, 5]}, 1)
        await rig.publish(old[1])
        await rig.run()
    assert rig.ledger() == {"a": [3, 4, 5]}
    assert ("overtaken", "admitted") in rig.cases()


async def test_what_cannot_be_applied_is_a_case(accounts: Any) -> None:
    """Once, however often it comes; and the others go on."""
    wrong = [
        ((None, b"not ours"), "undecodable"),
        ((None, envelope(row("a", 1))[1][:-3]), "undecodable"),
        (envelope(row("a", 1), id=""), "no_id"),
        (envelope(b"\xc1"), "malformed"),
        (envelope(row("a", 1), type="unheard"), "unhandled"),
        (envelope(row("a", 1), expires_at=time.time() - 365 * 86400.0), "expired"),
        (envelope(row("a", 1), id="018b0000-0000-7000-8000-000000000000"), "stale"),
        (envelope(row("a", 1), id="fff00000-0000-7000-8000-000000000000"), "future"),
        (envelope(row("a", 1), id="mine", published_at=1.0), "stale"),
    ]
    async with LedgerRig(accounts, order=None) as rig:
        messages = [message for message, _ in wrong]
        await rig.publish(*messages, envelope(row("b", 1)), *messages)
        await rig.run()
        cases = rig.cases("body, reason, status")
    assert rig.ledger() == {"b": [1]}
    assert len(cases) == len(wrong)
    assert {bytes(body): (reason, status) for body, reason, status in cases} == {
        body: (reason, "admitted") for (_, body), reason in wrong
    }


async def test_ids_of_any_form(accounts: Any) -> None:
    """Two that differ are two messages."""
    others = {"ends in blanks  ": "ends in blanks", "Ümläut": "ümläut"}
    ids = ["x" * 10_000, "ends in blanks  ", "Ümläut", "sha256:pretender", "x"]
    names = [name for id in ids for name in (id, others.get(id, id + "x"), id)]
    numbers = {name: n for n, name in enumerate(dict.fromkeys(names))}
    async with LedgerRig(accounts, order=None) as rig:
        await rig.publish(*(envelope(row("a", numbers[name]), id=name) for name in names))
        summary = await rig.run()
    assert (sorted(rig.ledger()["a"]), summary.duplicates) == (list(range(10)), len(ids))


async def test_one_id_with_two_payloads(accounts: Any) -> None:
    """The second one is a case, and not dropped as a copy."""
    async with LedgerRig(accounts, order=None) as rig:
        await rig.publish(envelope(row("a", 1), id="one"), envelope(row("a", 2), id="one"))
        summary = await rig.run()
    assert (len(rig.ledger()["a"]), rig.cases(), summary.mismatches) == (1, [("mismatch", "admitted")], 1)


async def test_numbers_that_went_elsewhere(accounts: Any) -> None:
    """An expired message, one of an unknown type and tombstones in the middle of a key: the next ones go on.

    A tombstone is no case: its payload is gone, and its relay has counted it.
    """
    numbers = Numbering()
    sent = [
        numbers.message("a", row("a", 1)),
        numbers.message("a", row("a", 2), expires_at=1.0),
        numbers.message("a", row("a", 3), type="unheard"),
        numbers.message("a", b"", tomb="redirected"),
        numbers.message("a", b"", tomb="expired", expires_at=1.0),
        numbers.message("a", row("a", 6)),
    ]
    async with LedgerRig(accounts, expired="drop") as rig:
        await rig.publish(*sent)
        summary = await rig.run()
    assert rig.ledger() == {"a": [1, 6]}
    assert (summary.expired, summary.unhandled, summary.skipped) == (1, 1, 2)
    assert rig.cases() == [("unhandled", "admitted")]


async def test_unnumbered_messages_of_a_parked_key_wait_too(accounts: Any) -> None:
    """In the order in which they come."""

    def poison(message: Any, db: Any) -> None:
        if message.payload["n"] == 1:
            raise ValueError("never")

    async with LedgerRig(accounts) as rig:
        rig.inside = poison
        await rig.publish(*[envelope(row("a", n), key="a") for n in (1, 2, 3)])
        await rig.run()
        assert rig.ledger() == {}
        with accounts.engine.begin() as db:
            db.execute(text("UPDATE regionkit_rk_hospital SET status = 'buried', due_at = 0"))
        await rig.run()
    assert rig.ledger() == {"a": [2, 3]}


async def test_a_handler_that_commits_is_told(accounts: Any) -> None:
    """Nothing of it stays, and the case names the reason."""

    async def commit(message: Any, db: Any) -> None:
        await db.commit()

    async with LedgerRig(accounts, order=None) as rig:
        rig.inside = commit
        await rig.publish(envelope(row("a", 1)))
        await rig.run()
    assert rig.ledger() == {}
    ((reason, error),) = rig.cases("reason, error")
    assert reason == "failed"
    assert "the consumer commits when its handler has returned" in error


async def test_an_error_of_sql_that_is_swallowed_is_no_success(accounts: Any) -> None:
    """PostgreSQL rolls back at the COMMIT then; elsewhere only the statement is undone, and the rest is the handler's wish."""

    async def swallow(message: Any, db: Any) -> None:
        try:
            await db.execute(text("SELECT * FROM not_there"))
        except SQLAlchemyError:
            pass

    async with LedgerRig(accounts, order=None) as rig:
        rig.inside = swallow
        await rig.publish(envelope(row("a", 1)))
        summary = await rig.run()
    if accounts.engine.dialect.name == "postgresql":
        assert (rig.ledger(), summary.applied) == ({}, 0)
        assert rig.cases("reason") == [("failed",)]
    else:
        assert (rig.ledger(), summary.applied) == ({"a": [1]}, 1)


async def test_mistakes_are_told_before_a_message_is_taken(accounts: Any) -> None:
    """Each with what to do."""
    engine = accounts.make(is_async=IS_ASYNC)
    inbox, queue = AsyncSqlInbox(engine), AsyncMemoryQueue("orders")
    with pytest.raises(ConfigurationError, match="needs a name"):
        AsyncConsumer(queue, inbox=inbox)
    with pytest.raises(ConfigurationError, match="not a valid consumer name"):
        AsyncConsumer(queue, inbox=inbox, name="ä b")
    with pytest.raises(ConfigurationError, match="on_poison"):
        AsyncConsumer(queue, inbox=inbox, name="a", on_poison="explode")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="order="):
        AsyncConsumer(queue, inbox=inbox, name="a", order="keys")  # type: ignore[arg-type]
    consumer = AsyncConsumer(queue, inbox=inbox, name="a")
    with pytest.raises(ConfigurationError, match="no handler"):
        await consumer.run(until_idle=0.1)
    with pytest.raises(ConfigurationError, match="attempts"):
        consumer.handler("moved", attempts=0)(print)
    consumer.handler("moved")(print)
    with pytest.raises(ConfigurationError, match="create_tables"):
        await consumer.run(until_idle=0.1)
    await inbox.close()
    await engine.dispose()


async def test_handlers_are_registered_before_it_runs(accounts: Any) -> None:
    """Else a message might have been turned away already."""
    async with LedgerRig(accounts, order=None) as rig:

        def late(message: Any, db: Any) -> None:
            rig.consumer.handler("late")(print)

        rig.inside = late
        await rig.publish(envelope(row("a", 1)))
        await rig.run()
        assert UsageError.__name__ in rig.cases("error_type")[0][0]


async def test_a_message_whose_name_an_older_case_has(accounts: Any) -> None:
    """It comes again without its number, as a redirected one does, and fails again: it has a case of its own, none is lost."""

    def poison(message: Any, db: Any) -> None:
        raise ValueError("never")

    numbers = Numbering()
    message = numbers.message("a", row("a", 1))
    bare = encode(msgspec.structs.replace(decode(message[1]), number=None, prev=NOTHING_BEFORE, lineage=""))
    async with LedgerRig(accounts) as rig:
        rig.inside = poison
        await rig.publish(message)
        await rig.run()
        with accounts.engine.begin() as db:
            db.execute(text("UPDATE regionkit_rk_hospital SET status = 'redirected', parks = 0, due_at = NULL"))
        await rig.publish(("a", bare))
        await rig.run()
        assert rig.cases() == [("failed", "redirected"), ("failed", "admitted")]


async def test_a_gap_after_a_gap_that_was_given_up_is_a_case_of_its_own(accounts: Any) -> None:
    """9 waits before a gap, which is given up; then 7 comes, is applied, and 9 has a gap again."""
    numbers = Numbering()
    sent = [numbers.message("a", row("a", n)) for n in range(1, 11)]
    async with LedgerRig(accounts, gap_wait=0.2) as rig:
        await rig.publish(*sent[:5], sent[6], sent[8])
        await rig.run()
        for _ in range(3):
            with accounts.engine.begin() as db:
                open_gap = "reason = 'gap' AND status = 'admitted'"
                db.execute(text(f"UPDATE regionkit_rk_hospital SET status = 'buried', due_at = 0 WHERE {open_gap}"))
            await rig.run()
        await rig.publish(sent[9])
        await rig.run()
    assert rig.ledger()["a"] == [1, 2, 3, 4, 5, 7, 9, 10]


async def test_a_gap_that_closes_on_a_poison_does_not_spin(accounts: Any) -> None:
    """The case of the gap is not due while another one stands; the consumer ends when it is idle."""
    numbers = Numbering()
    first, second, third = [numbers.message("a", row("a", n)) for n in (1, 2, 3)]

    def poison(message: Any, db: Any) -> None:
        if message.payload["n"] == 3:
            raise ValueError("never")

    async with LedgerRig(accounts, gap_wait=0.2) as rig:
        rig.inside = poison
        await rig.publish(first, third)
        await rig.run()
        await rig.publish(second)
        await rig.run()
        for _ in range(20):
            with accounts.engine.begin() as db:
                db.execute(text("UPDATE regionkit_rk_hospital SET due_at = 0 WHERE status = 'retrying'"))
            await rig.run()
            if ("failed", "admitted") in rig.cases():
                break
        with accounts.engine.connect() as db:
            due = db.execute(text("SELECT count(*) FROM regionkit_rk_hospital WHERE due_at IS NOT NULL")).scalar()
        assert due == 0
    assert rig.ledger()["a"] == [1, 2]


async def test_numbers_that_no_outbox_gives_are_no_messages(accounts: Any) -> None:
    """They are cases; the others go on."""
    wrong: list[dict[str, Any]] = [
        {"number": Number(1, "h", 1 << 63)},
        {"number": Number(-1, "h", 1)},
        {"number": Number(1, "h" * 41, 1)},
        {"number": Number(1, "h", 1), "lineage": "x" * 41},
    ]
    async with LedgerRig(accounts) as rig:
        bad = [envelope(row("a", 1), key="a", **more) for more in wrong]
        await rig.publish(*bad, envelope(row("b", 1), key="b"))
        await rig.run()
    assert rig.ledger() == {"b": [1]}
    assert rig.cases() == [("undecodable", "admitted")] * len(wrong)


async def test_what_is_given_back_is_no_attempt(accounts: Any) -> None:
    """A suspect that is delivered again and again while its run ends without an end that counts."""
    async with LedgerRig(accounts, order=None) as rig:
        sent = decode(envelope(row("a", 1))[1])
        deadline = Deadline(SYSTEM_CLOCK, 30.0)
        await rig.inbox.open(deadline)
        for _ in range(9):
            assert await rig.inbox.start(b"billing", sent, deadline, ordered=False) == 1
            await rig.inbox.unstart(b"billing", sent, 1, deadline)
        assert await rig.inbox.start(b"billing", sent, deadline, ordered=False) == 1
        await rig.inbox.unstart(b"billing", sent, 7, deadline)  # not the last one: another has begun since
        assert await rig.inbox.start(b"billing", sent, deadline, ordered=False) == 2


async def test_a_name_is_of_one_source(accounts: Any) -> None:
    """Else messages of one would be copies of the other's; unless both are said to carry the same."""
    async with LedgerRig(accounts, order=None) as rig:
        await rig.publish(envelope(row("a", 1)))
        await rig.run()
        other = AsyncMemoryQueue("invoices", group="billing")
        for options, refused in (({}, True), ({"shared": True}, False)):
            consumer = AsyncConsumer(other, inbox=rig.inbox, **options)  # type: ignore[arg-type]
            consumer.handler("moved")(rig.apply)
            if refused:
                with pytest.raises(ConfigurationError, match="one of that name"):
                    await consumer.run(until_idle=0.1)
            else:
                await consumer.run(until_idle=0.1)
        await rig.run()
