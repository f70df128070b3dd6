# Generated from test_kept_async.py by scripts/twins.py. Do not edit.
"""Inboxes that are no SQL database, where rules alone do not say it: who comes second, and what stands there from long ago."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from fix_inboxes import InboxStore

from regionkit.core.deadline import Deadline
from regionkit.messaging.case import Case, HeldMessage, Key, gap_case
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.envelope import Envelope, encode
from regionkit.messaging.inboxes.claims import ClaimInbox
from regionkit.messaging.inboxes.memory import MemoryInbox
from regionkit.messaging.inboxes.rows import place_of
from regionkit.messaging.records import MemoryRecords
from regionkit.messaging.retention import Retention

from .test_inboxes import SCOPE, admit, case_of, judged, message, released, soon

APPLY, DUPLICATE, HELD = Verdict.APPLY, Verdict.DUPLICATE, Verdict.HELD
each = pytest.mark.parametrize("inbox_store", ["memory", "mongo"], indirect=True)


@pytest.fixture
def inbox(inbox_store: InboxStore) -> Iterator[Any]:
    """Of each store, open."""
    with inbox_store.opened() as opened:
        yield opened


def over(inbox: Any, case: Case) -> Case:
    """The case was run, and that took effect: its key may go on."""
    (found,) = [found for found in inbox.due(SCOPE, 20, soon()) if found.id == case.id]
    started: Case = inbox.begin_treatment(found, inbox.now() + 60.0, soon())
    with inbox.unit(soon()) as unit:
        assert inbox.discharge(unit, started)
    return started


def lowest(inbox: Any, key: Key) -> HeldMessage:
    """What the key goes on with."""
    with inbox.unit(soon()) as unit:
        found: HeldMessage = inbox.next_held(unit, SCOPE, key)
        return found


def parking(inbox: Any, envelope: Envelope) -> list[Case]:
    """What the key of a message waits for."""
    with inbox.unit(soon()) as unit:
        found: list[Case] = inbox.rows(unit).parking(place_of(SCOPE, envelope))
        return found


def due(inbox: Any) -> list[str]:
    """Ids of the cases whose time has come."""
    return [case.id for case in inbox.due(SCOPE, 20, soon())]


def behind(inbox: Any, *line: Envelope) -> Case:
    """The first one is a case that is over, and the others are held behind it."""
    case = case_of(inbox, line[0], "retrying", due_at=inbox.now() - 1.0)
    assert admit(inbox, case, line[0]) is APPLY
    for envelope in line[1:]:
        assert judged(inbox, envelope) is HELD
    return over(inbox, case)


@each
def test_of_two_that_read_a_held_message_one_takes_it(inbox: Any) -> None:
    """The other one is told that it is gone, with a number or without; and a case does not take its place."""
    unnumbered = [message(key="u") for _ in range(3)]
    for key, line in ((Key(b"out", b"k"), [message(n) for n in (1, 2, 3)]), (Key(b"", b"u"), unnumbered)):
        behind(inbox, *line)
        held = lowest(inbox, key)
        for verdict in (APPLY, Verdict.BUSY):
            with inbox.unit(soon()) as unit:
                assert (inbox.take_held(unit, SCOPE, held, line[1])).verdict is verdict
        late = case_of(inbox, line[1], "retrying", due_at=inbox.now() - 1.0)
        with inbox.unit(soon()) as unit:
            inbox.park_held(unit, SCOPE, held, line[1], late)
        assert late.id not in due(inbox)
        assert released(inbox, key) == [line[2].id.encode()]


@each
def test_a_message_that_has_an_old_case_gets_another_one(inbox: Any) -> None:
    """Else its key would wait for a case that is over: admitted, parked in its turn, and before a gap. Aside it is one case."""
    one, two = message(key="u"), message(key="u")
    four, gap = message(4, "k"), gap_case(SCOPE, message(4, "k"), b"", inbox.now(), 600.0)
    for envelope, id in ((one, one.id.encode()), (two, two.id.encode()), (four, gap.message_id)):
        first = case_of(inbox, envelope, "retrying", message_id=id, parks=False, due_at=inbox.now() - 1.0)
        for old in (first, case_of(inbox, envelope, "retrying", message_id=id, parks=False, due_at=first.due_at)):
            assert (inbox.admit(SCOPE, old, None, soon(), ordered=True)).verdict is APPLY
        assert due(inbox) == [first.id]
        over(inbox, first)
    behind(inbox, one, two, message(key="u"))
    again = case_of(inbox, two, "retrying", due_at=inbox.now() - 1.0)
    with inbox.unit(soon()) as unit:
        held = inbox.next_held(unit, SCOPE, Key(b"", b"u"))
        inbox.park_held(unit, SCOPE, held, two, again)
    assert released(inbox, Key(b"", b"u")) == [] and due(inbox) == [again.id]
    assert (inbox.admit_gap(SCOPE, gap, four, soon())).verdict is HELD
    assert [case.id for case in parking(inbox, four)] == [gap.id]


@each
def test_a_gap_that_was_given_up_is_not_the_next_one(inbox: Any) -> None:
    """Buried, its key goes on to the next gap, and waits there for a case of its own."""
    three, five = message(3), message(5)
    assert judged(inbox, message(1)) is APPLY
    gap = gap_case(SCOPE, three, encode(three), inbox.now(), 600.0)
    assert (inbox.admit_gap(SCOPE, gap, three, soon())).verdict is HELD
    assert judged(inbox, five) is HELD
    for envelope in (three, five):
        (found,) = [case for case in parking(inbox, three) if case.status == "admitted"]
        buried = msgspec.structs.replace(found, status="buried", due_at=inbox.now() - 1.0)
        assert inbox.end_treatment(found, buried, soon())
        assert released(inbox, Key(b"out", b"k")) == [envelope.id.encode()]
    assert judged(inbox, message(6)) is APPLY


@each
def test_what_lets_a_key_go_on_is_done_with_when_it_waits_again(inbox: Any) -> None:
    """A case that parks nothing leaves it due; one that does ends that, and no gap makes the key go on past it."""
    line = [message(n) for n in (1, 2, 3)]
    first = behind(inbox, *line)
    aside = case_of(inbox, line[1], parks=False)
    with inbox.unit(soon()) as unit:
        inbox.park_held(unit, SCOPE, inbox.next_held(unit, SCOPE, Key(b"out", b"k")), line[1], aside)
    assert due(inbox) == [first.id]
    with inbox.unit(soon()) as unit:
        held = inbox.next_held(unit, SCOPE, Key(b"out", b"k"))
        inbox.park_held(unit, SCOPE, held, line[2], case_of(inbox, line[2]))
    assert due(inbox) == []
    seven = message(7, "never")
    gap = gap_case(SCOPE, seven, encode(seven), inbox.now(), -1.0)
    assert (inbox.admit_gap(SCOPE, gap, seven, soon())).verdict is HELD
    assert due(inbox) == [gap.id]
    with inbox.unit(soon()) as unit:
        held = inbox.next_held(unit, SCOPE, Key(b"out", b"never"))
        inbox.park_held(unit, SCOPE, held, seven, case_of(inbox, seven))
    assert due(inbox) == []


@each
def test_a_start_that_did_not_begin_does_not_count(inbox: Any) -> None:
    """The last one only: whoever comes late takes back no other one's."""
    one = message(key=None)
    for n in (1, 2):
        assert inbox.start(SCOPE, one, soon(), ordered=False) == n
    inbox.unstart(SCOPE, one, 1, soon())
    assert inbox.start(SCOPE, one, soon(), ordered=False) == 3
    inbox.unstart(SCOPE, one, 3, soon())
    assert inbox.start(SCOPE, one, soon(), ordered=False) == 3
    inbox.unstart(SCOPE, message(key=None), 1, soon())


@each
def test_claims_of_ids_without_a_time_are_kept(inbox: Any) -> None:
    """For ever, or as long as was said; those of ours go by their age."""
    ours, foreign = message(key=None), message(key=None, id="order 17")
    everything = -60.0  # what was claimed a minute from now, or before
    for envelope in (ours, foreign):
        assert judged(inbox, envelope) is APPLY
    for retention, left in (
        (Retention(), (DUPLICATE, DUPLICATE)),
        (Retention(claims=everything), (APPLY, DUPLICATE)),
        (Retention(foreign=everything), (DUPLICATE, APPLY)),
    ):
        assert not inbox.sweep(retention, soon())
        assert (judged(inbox, ours), judged(inbox, foreign)) == left, retention


def test_an_inbox_of_claims_looks_after_both_of_its_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands beside the cases is prepared there, and records that are over go, too; starts are counted by the cases."""
    cases, records, prepared = MemoryInbox(), MemoryRecords(), []
    made = ClaimInbox(records, cases, "regionkit")

    def prepare(accept_for: float, deadline: Deadline) -> None:
        prepared.append(accept_for)

    def sweep() -> int:
        return left.pop()

    left = [0, 3]
    monkeypatch.setattr(cases, "prepare", prepare)
    monkeypatch.setattr(records, "sweep", sweep)
    made.prepare(60.0, soon())
    assert prepared == [60.0]
    assert [made.sweep(Retention(), soon()), made.sweep(Retention(), soon())] == [True, False]
    one = message(key=None)
    assert made.start(SCOPE, one, soon(), ordered=False) == 1
    made.unstart(SCOPE, one, 1, soon())
    assert made.start(SCOPE, one, soon(), ordered=False) == 1
    made.close()
