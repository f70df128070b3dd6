# Generated from test_inboxes_async.py by scripts/twins.py. Do not edit.
"""What every inbox promises (`inbox_async`), over each store; and the same random steps as the pure rules of delivery."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from fix_inboxes import InboxStore

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import gather, sleep
from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.errors import DeadlineExceeded, TransactionRolledBack
from regionkit.messaging.case import NO_ERROR, Case, Key, gap_case
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.delivery import Gate, Judged, Verdict, judge, moved
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, decode, encode, stored_id, stored_key
from regionkit.messaging.sources import MemoryQueue

SCOPE = b"billing"
APPLY, DUPLICATE, HELD, GAP = Verdict.APPLY, Verdict.DUPLICATE, Verdict.HELD, Verdict.GAP


def soon(seconds: float = 60.0) -> Deadline:
    """A deadline that no test here is about."""
    return Deadline(SYSTEM_CLOCK, seconds)


@pytest.fixture
def inbox(inbox_store: InboxStore) -> Iterator[Any]:
    """Of each store, open."""
    with inbox_store.opened() as opened:
        yield opened


def message(n: int = 0, key: str | None = "k", *, id: str = "", prev: int | None = None, **more: Any) -> Envelope:
    """The n-th of a key in history "a"; 0: nobody numbered it."""
    before = n - 1 if prev is None else prev
    values: dict[str, Any] = {"key": key, **more}
    if n:
        values |= {"number": Number(1, "a", n), "lineage": "out"}
        values["prev"] = Number(1, "a", before) if before else NOTHING_BEFORE
    return Envelope(id or str(uuid7()), "t", b"\x01", **values)


def case_of(inbox: Any, envelope: Envelope, status: str = "admitted", **more: Any) -> Case:
    """A case of a message, whose key waits for it."""
    now, key = inbox.now(), envelope.key
    values: dict[str, Any] = {
        **{"id": str(uuid7()), "scope": SCOPE, "message_id": stored_id(envelope.id), "status": status},
        **{"reason": "failed", "type": "t", "lineage": b"" if envelope.number is None else envelope.lineage.encode()},
        **{"key": None if key is None else stored_key(key), "parks": key is not None, "attempts": 1, "due_at": None},
        **{"error": NO_ERROR, "region": "", "source": "", "position": "", "body": encode(envelope)},
        **{"admitted_at": now, "changed_at": now},
    }
    return Case(**{**values, **more})


class Undone(Exception):
    """Rolls a unit back."""


def judged(inbox: Any, envelope: Envelope, *, ordered: bool = True, undo: bool = False) -> Verdict:
    """What is to be done with a message, and it is: the unit commits, or with `undo` rolls back."""
    verdicts: list[Verdict] = []
    try:
        with inbox.unit(soon()) as unit:
            verdicts.append((inbox.judge(unit, SCOPE, envelope, ordered=ordered)).verdict)
            if undo:
                raise Undone
    except Undone:
        pass
    return verdicts[0]


def admit(inbox: Any, case: Case, envelope: Envelope) -> Verdict:
    """Into the hospital."""
    found: Judged = inbox.admit(SCOPE, case, envelope, soon(), ordered=True)
    return found.verdict


def released(inbox: Any, key: Key, most: int = 100) -> list[bytes]:
    """Let a key go on, as the clinic does; the ids of what was applied."""
    done: list[bytes] = []
    for _ in range(most):
        with inbox.unit(soon()) as unit:
            held = inbox.next_held(unit, SCOPE, key)
            if held is None:
                break
            took = inbox.take_held(unit, SCOPE, held, decode(held.body))
            if took.verdict is APPLY:
                done.append(held.id)
        if took.verdict is GAP:
            break
    return done


def test_a_claim_commits_with_its_unit_or_not_at_all(inbox: Any) -> None:
    """Promise 1: rolled back it is as if it had never been; committed, each copy is a duplicate, another payload a mismatch."""
    one = message(key=None)
    for _ in range(2):
        assert judged(inbox, one, undo=True) is APPLY
    assert judged(inbox, one) is APPLY
    assert judged(inbox, one) is DUPLICATE
    assert judged(inbox, msgspec.structs.replace(one, headers={"x": "y"})) is DUPLICATE
    assert judged(inbox, msgspec.structs.replace(one, payload=b"\x02")) is Verdict.MISMATCH
    assert judged(inbox, one, ordered=False) is DUPLICATE


def test_ids_are_told_apart_byte_for_byte(inbox: Any) -> None:
    """Blanks, case, accents, zeros, lone surrogates, and what is longer than a column takes."""
    ids = ["a", "A", "a ", " a", "a\x00", "é", "e\u0301", "\ud800", "%", "a" * 5000, "a" * 5001, "sha256:x"]
    for id in ids:
        assert judged(inbox, message(key=None, id=id)) is APPLY, id[:10]
    for id in ids:
        assert judged(inbox, message(key=None, id=id)) is DUPLICATE, id[:10]


def test_a_gate_commits_with_its_unit_or_not_at_all(inbox: Any) -> None:
    """Promise 1, with numbers: in line once, before it a gap, and nothing of what was rolled back stays."""
    assert judged(inbox, message(2)) is GAP
    assert judged(inbox, message(1), undo=True) is APPLY
    for n in (1, 2, 3):
        assert judged(inbox, message(n), undo=True) is APPLY
        assert judged(inbox, message(n)) is APPLY
        assert judged(inbox, message(n)) is DUPLICATE
        assert judged(inbox, message(n + 2)) is GAP
    assert judged(inbox, message(1, "other")) is APPLY


def test_of_two_at_once_one_is_applied(inbox: Any) -> None:
    """The second one waits for the first one's end, or has its unit rolled back; after that it is a duplicate."""
    for envelope in (message(key=None), message(1), message(key="unnumbered")):

        def once(envelope: Envelope = envelope) -> Verdict:
            for _ in range(200):
                try:
                    with inbox.unit(soon()) as unit:
                        found: Judged = inbox.judge(unit, SCOPE, envelope, ordered=True)
                        sleep(0.05)
                        return found.verdict
                except (TransactionRolledBack, DeadlineExceeded):
                    sleep(0.02)
            raise AssertionError("never its turn")

        verdicts = gather([once, once, once])
        for one in verdicts:
            if isinstance(one, BaseException):
                raise one
        assert sorted(str(one) for one in verdicts) == sorted(map(str, (APPLY, DUPLICATE, DUPLICATE))), verdicts


def test_starts_are_counted(inbox: Any) -> None:
    """Each one more, by message and by consumer."""
    one, two = Envelope("x", "moved", b""), Envelope("y", "moved", b"")
    for n in (1, 2, 3):
        assert inbox.start(SCOPE, one, soon(), ordered=False) == n
    assert inbox.start(SCOPE, two, soon(), ordered=False) == 1
    assert inbox.start(b"other", one, soon(), ordered=False) == 1


def test_a_case_takes_the_place_of_its_message(inbox: Any) -> None:
    """Promise 2: claim or gate, case and parking commit together; admitting twice is admitting once; followers are held."""
    one = message(1)
    assert admit(inbox, case_of(inbox, one), one) is APPLY
    assert admit(inbox, case_of(inbox, one), one) is DUPLICATE
    assert judged(inbox, one) is DUPLICATE
    assert judged(inbox, message(2), undo=True) is HELD
    assert judged(inbox, message(4)) is HELD
    three = message(3)
    assert judged(inbox, three) is HELD
    assert judged(inbox, three) is DUPLICATE
    assert judged(inbox, message(1, "other")) is APPLY
    loose = message(key="unnumbered")
    assert admit(inbox, case_of(inbox, loose), loose) is APPLY
    assert judged(inbox, message(key="unnumbered")) is HELD
    assert inbox.due(SCOPE, 20, soon()) == [], "they wait for somebody"


def test_a_run_of_a_case_is_ended_by_itself_only(inbox: Any) -> None:
    """Promise 3: whoever comes with an older number of a run changes nothing."""
    one = message(1)
    first = case_of(inbox, one, "retrying", due_at=inbox.now() - 1.0)
    assert admit(inbox, first, one) is APPLY
    (found,) = inbox.due(SCOPE, 20, soon())
    assert found == first
    started = inbox.begin_treatment(found, inbox.now() - 1.0, soon())
    assert started.attempts == 2 and started.status == "treating"
    assert inbox.begin_treatment(found, inbox.now(), soon()) is None
    (again,) = inbox.due(SCOPE, 20, soon())
    second = inbox.begin_treatment(again, inbox.now() + 60.0, soon())
    assert second.attempts == 3
    with inbox.unit(soon()) as unit:
        assert not inbox.discharge(unit, started), "its run is over"
    assert not inbox.end_treatment(started, msgspec.structs.replace(started, status="admitted"), soon())
    with pytest.raises(Undone):
        with inbox.unit(soon()) as unit:
            assert inbox.discharge(unit, second)
            raise Undone
    with inbox.unit(soon()) as unit:
        assert inbox.discharge(unit, second)
    (over,) = inbox.due(SCOPE, 20, soon())
    assert over.status == "discharged", "it is due until its key has gone on"
    assert released(inbox, Key(b"out", b"k")) == []
    assert inbox.due(SCOPE, 20, soon()) == []
    assert judged(inbox, message(2)) is APPLY


def test_a_key_goes_on_in_the_order_of_its_numbers(inbox: Any) -> None:
    """Held 4, 2, 3 behind a case for 1: once that is over they come as 2, 3, 4, each gone with its effect only."""
    one, followers = message(1), {n: message(n) for n in (4, 2, 3)}
    case = case_of(inbox, one, "retrying", due_at=inbox.now() - 1.0)
    assert admit(inbox, case, one) is APPLY
    for envelope in followers.values():
        assert judged(inbox, envelope) is HELD
    key = Key(b"out", b"k")
    assert released(inbox, key) == [], "the case is open"
    started = inbox.begin_treatment(case, inbox.now() + 60.0, soon())
    with inbox.unit(soon()) as unit:
        assert inbox.discharge(unit, started)
    with pytest.raises(Undone):
        with inbox.unit(soon()) as unit:
            held = inbox.next_held(unit, SCOPE, key)
            assert (inbox.take_held(unit, SCOPE, held, decode(held.body))).verdict is APPLY
            raise Undone
    assert judged(inbox, message(5)) is HELD, "it is parked until nothing is held any more"
    assert (released(inbox, key))[:3] == [followers[n].id.encode() for n in (2, 3, 4)]
    assert judged(inbox, message(6)) is APPLY


def test_what_was_held_and_fails_parks_its_key_again(inbox: Any) -> None:
    """A case takes its place, and those behind it stay."""
    one, two, three = message(key="u"), message(key="u"), message(key="u")
    case = case_of(inbox, one, "retrying", due_at=inbox.now() - 1.0)
    assert admit(inbox, case, one) is APPLY
    for envelope in (two, three):
        assert judged(inbox, envelope) is HELD
    started = inbox.begin_treatment(case, inbox.now() + 60.0, soon())
    key = Key(b"", b"u")
    with inbox.unit(soon()) as unit:
        inbox.discharge(unit, started)
    with inbox.unit(soon()) as unit:
        held = inbox.next_held(unit, SCOPE, key)
        assert held.id == two.id.encode()
        again = case_of(inbox, two, "retrying", due_at=inbox.now() - 1.0)
        inbox.park_held(unit, SCOPE, held, two, again)
    assert released(inbox, key) == []
    assert [found.message_id for found in inbox.due(SCOPE, 20, soon())] == [two.id.encode()]
    started = inbox.begin_treatment(again, inbox.now() + 60.0, soon())
    with inbox.unit(soon()) as unit:
        inbox.discharge(unit, started)
    assert released(inbox, key) == [three.id.encode()]


def test_a_gap_parks_its_key_until_it_is_closed(inbox: Any) -> None:
    """What waits behind it stands in the store; the missing one closes it, and a key that never began begins after its time."""
    assert judged(inbox, message(1)) is APPLY
    three = message(3)
    gap = gap_case(SCOPE, three, encode(three), inbox.now(), 600.0)
    assert (inbox.admit_gap(SCOPE, gap, three, soon())).verdict is HELD
    assert inbox.due(SCOPE, 20, soon()) == []
    assert judged(inbox, message(2)) is APPLY
    (closed,) = inbox.due(SCOPE, 20, soon())
    assert closed.reason == "gap"
    assert released(inbox, Key(b"out", b"k")) == [three.id.encode()]
    assert judged(inbox, message(4)) is APPLY
    seven = message(7, "never")
    gap = gap_case(SCOPE, seven, encode(seven), inbox.now(), -1.0)
    assert (inbox.admit_gap(SCOPE, gap, seven, soon())).verdict is HELD
    assert released(inbox, Key(b"out", b"never")) == [seven.id.encode()]
    assert judged(inbox, message(8, "never")) is APPLY
    assert judged(inbox, message(6, "never")) is Verdict.OVERTAKEN


class Model:
    """One key by the pure rules alone."""

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self.held: dict[str, Envelope] = {}
        self.open: Case | None = None

    def next_is(self, envelope: Envelope) -> bool:
        """Whether it is the next one."""
        at = NOTHING_BEFORE if self.gate is None else self.gate.at
        return envelope.prev == at and not any(one.number == envelope.number for one in self.held.values())

    def judged(self, envelope: Envelope) -> Verdict:
        """What `judge` of an inbox has to say, and then stands."""
        assert envelope.number is not None
        found = judge(self.gate, envelope.number, envelope.prev)
        if found.verdict is APPLY:
            self.gate = moved(self.gate, envelope.number)
        if found.verdict is HELD:
            if envelope.id in self.held:
                return DUPLICATE
            self.held[envelope.id] = envelope
        return found.verdict

    def released(self) -> list[bytes]:
        """What is applied when the case is over."""
        done = []
        for envelope in sorted(self.held.values(), key=lambda one: (one.number.epoch, one.number.n)):  # type: ignore[union-attr]
            assert self.gate is not None and envelope.number is not None
            found = judge(msgspec.structs.replace(self.gate, parked=""), envelope.number, envelope.prev)
            if found.verdict is GAP:
                self.gate = msgspec.structs.replace(self.gate, parked="gap")
                return done
            del self.held[envelope.id]
            if found.verdict is APPLY:
                self.gate = moved(self.gate, envelope.number)
                done.append(envelope.id.encode())
        assert self.gate is not None
        self.gate = msgspec.structs.replace(self.gate, parked="")
        return done


def published(chance: random.Random) -> list[Envelope]:
    """What an outbox gives a key, with a failover that undoes the last few and gives their numbers again."""
    found, prev = [], NOTHING_BEFORE
    for epoch, history in ((1, "a"), (2, "b"), (3, "c")):
        if found:
            prev = found[-chance.randint(1, 3)].number or NOTHING_BEFORE
        for _ in range(chance.randint(4, 7)):
            number = Number(epoch, history, prev.n + 1)
            found.append(Envelope(str(uuid7()), "t", b"\x01", key="k", lineage="out", number=number, prev=prev))
            prev = number
    return found


def test_random_steps_are_judged_as_by_the_rules(inbox: Any, inbox_store: InboxStore) -> None:
    """Duplicated, reordered, late and lost messages of one key, cases and releases in between: the same words each time."""
    chance = random.Random(os.environ.get("REGIONKIT_SEED", "11"))
    seen: set[Verdict] = set()
    for number in range(3 if inbox_store.name in ("memory", "sqlite") else 1):
        scope_key, model, line = f"k{number}", Model(), published(chance)
        for step in range(90):
            near = chance.choice(line)
            if chance.random() < 0.5:  # what comes next, as far as it is there
                near = next((one for one in line if model.next_is(one)), near)
            envelope = msgspec.structs.replace(near, key=scope_key, id=f"{number}:{near.id}")
            key = Key(b"out", stored_key(scope_key))
            if model.open is not None and chance.random() < 0.2:
                started = inbox.begin_treatment(model.open, inbox.now() + 60.0, soon())
                with inbox.unit(soon()) as unit:
                    assert inbox.discharge(unit, started)
                model.open = None
                assert released(inbox, key) == model.released(), step
            elif model.open is None and model.gate is not None and not model.gate.parked and chance.random() < 0.12:
                case = case_of(inbox, envelope)
                expected = model.judged(envelope)
                assert admit(inbox, case, envelope) is expected, step
                if expected is APPLY:
                    model.open = case
                    model.gate = msgspec.structs.replace(model.gate, parked="case")
            else:
                undo = chance.random() < 0.2
                gate, held = model.gate, dict(model.held)
                expected = model.judged(envelope)
                closes = gate is not None and gate.parked == "gap" and expected is APPLY
                assert judged(inbox, envelope, undo=undo) is expected, step
                seen.add(expected)
                if undo:
                    model.gate, model.held = gate, held
                elif closes:
                    assert released(inbox, key) == model.released(), step
    assert {APPLY, DUPLICATE, GAP, HELD} <= seen


@pytest.mark.parametrize("inbox_store", ["mongo"], indirect=True)
def test_documents_of_a_handler_commit_with_its_claim(inbox: Any) -> None:
    """A handler of a consumer over MongoDB: what it raised after leaves nothing, what returned stands once."""
    queue, seen = MemoryQueue("orders", group="billing"), []
    consumer = Consumer(queue, inbox=inbox, order="key")

    def apply(message: Any, db: Any) -> None:
        seen.append(message.id)
        db.ledger.insert_one({"message": message.id, "n": len(seen)})
        if len(seen) == 1:
            raise RuntimeError("not yet")

    consumer.handler("t")(apply)
    line = [message(n) for n in (1, 2, 3)]
    queue.publish([(None, encode(one)) for one in (*line, *line)], soon())
    done = consumer.run(until_idle=1.0)
    assert (done.applied, done.duplicates, len(seen)) == (3, 3, 4)
    with inbox.unit(soon()) as unit:
        ledger = [row["message"] for row in unit.native.ledger.find({}, sort=[("n", 1)])]
    assert ledger == [one.id for one in line]


@pytest.mark.parametrize("inbox_store", ["mongo"], indirect=True)
def test_a_run_is_over_before_the_server_ends_its_transaction(inbox: Any, inbox_store: InboxStore) -> None:
    """Half of the server's own limit, which is asked for when it is opened."""
    with inbox_store.rig.servers.primary.client() as client:
        client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=2)
        try:
            inbox.open(soon())
        finally:
            client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=60)
    with pytest.raises(DeadlineExceeded):
        with inbox.unit(soon()) as unit:
            sleep(1.2)
            inbox.judge(unit, SCOPE, message(1), ordered=True)
