"""Inboxes that are no SQL database, where rules alone do not say it: who comes second, and what stands there from long ago."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from fix_inboxes import InboxStore

from regionkit.core.deadline import Deadline
from regionkit.messaging.case import Case, HeldMessage, Key, gap_case
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.envelope import Envelope, encode
from regionkit.messaging.inboxes.claims_async import AsyncClaimInbox
from regionkit.messaging.inboxes.memory_async import AsyncMemoryInbox
from regionkit.messaging.inboxes.rows_async import place_of
from regionkit.messaging.records_async import AsyncMemoryRecords
from regionkit.messaging.retention import Retention

from .test_inboxes_async import SCOPE, admit, case_of, judged, message, released, soon

APPLY, DUPLICATE, HELD = Verdict.APPLY, Verdict.DUPLICATE, Verdict.HELD
each = pytest.mark.parametrize("inbox_store", ["memory", "mongo"], indirect=True)


@pytest.fixture
async def inbox(inbox_store: InboxStore) -> AsyncIterator[Any]:
    """Of each store, open."""
    async with inbox_store.opened_async() as opened:
        yield opened


async def over(inbox: Any, case: Case) -> Case:
    """The case was run, and that took effect: its key may go on."""
    (found,) = [found for found in await inbox.due(SCOPE, 20, soon()) if found.id == case.id]
    started: Case = await inbox.begin_treatment(found, inbox.now() + 60.0, soon())
    async with inbox.unit(soon()) as unit:
        assert await inbox.discharge(unit, started)
    return started


async def lowest(inbox: Any, key: Key) -> HeldMessage:
    """What the key goes on with."""
    async with inbox.unit(soon()) as unit:
        found: HeldMessage = await inbox.next_held(unit, SCOPE, key)
        return found


async def parking(inbox: Any, envelope: Envelope) -> list[Case]:
    """What the key of a message waits for."""
    async with inbox.unit(soon()) as unit:
        found: list[Case] = await inbox.rows(unit).parking(place_of(SCOPE, envelope))
        return found


async def due(inbox: Any) -> list[str]:
    """Ids of the cases whose time has come."""
    return [case.id for case in await inbox.due(SCOPE, 20, soon())]


async def behind(inbox: Any, *line: Envelope) -> Case:
    """The first one is a case that is over, and the others are held behind it."""
    case = case_of(inbox, line[0], "retrying", due_at=inbox.now() - 1.0)
    assert await admit(inbox, case, line[0]) is APPLY
    for envelope in line[1:]:
        assert await judged(inbox, envelope) is HELD
    return await over(inbox, case)


@each
async def test_of_two_that_read_a_held_message_one_takes_it(inbox: Any) -> None:
    """The other one is told that it is gone, with a number or without; and a case does not take its place."""
    unnumbered = [message(key="u") for _ in range(3)]
    for key, line in ((Key(b"out", b"k"), [message(n) for n in (1, 2, 3)]), (Key(b"", b"u"), unnumbered)):
        await behind(inbox, *line)
        held = await lowest(inbox, key)
        for verdict in (APPLY, Verdict.BUSY):
            async with inbox.unit(soon()) as unit:
                assert (await inbox.take_held(unit, SCOPE, held, line[1])).verdict is verdict
        late = case_of(inbox, line[1], "retrying", due_at=inbox.now() - 1.0)
        async with inbox.unit(soon()) as unit:
            await inbox.park_held(unit, SCOPE, held, line[1], late)
        assert late.id not in await due(inbox)
        assert await released(inbox, key) == [line[2].id.encode()]


@each
async def test_a_message_that_has_an_old_case_gets_another_one(inbox: Any) -> None:
    """Else its key would wait for a case that is over: admitted, parked in its turn, and before a gap. Aside it is one case."""
    one, two = message(key="u"), message(key="u")
    four, gap = message(4, "k"), gap_case(SCOPE, message(4, "k"), b"", inbox.now(), 600.0)
    for envelope, id in ((one, one.id.encode()), (two, two.id.encode()), (four, gap.message_id)):
        first = case_of(inbox, envelope, "retrying", message_id=id, parks=False, due_at=inbox.now() - 1.0)
        for old in (first, case_of(inbox, envelope, "retrying", message_id=id, parks=False, due_at=first.due_at)):
            assert (await inbox.admit(SCOPE, old, None, soon(), ordered=True)).verdict is APPLY
        assert await due(inbox) == [first.id]
        await over(inbox, first)
    await behind(inbox, one, two, message(key="u"))
    again = case_of(inbox, two, "retrying", due_at=inbox.now() - 1.0)
    async with inbox.unit(soon()) as unit:
        held = await inbox.next_held(unit, SCOPE, Key(b"", b"u"))
        await inbox.park_held(unit, SCOPE, held, two, again)
    assert await released(inbox, Key(b"", b"u")) == [] and await due(inbox) == [again.id]
    assert (await inbox.admit_gap(SCOPE, gap, four, soon())).verdict is HELD
    assert [case.id for case in await parking(inbox, four)] == [gap.id]


@each
async def test_a_gap_that_was_given_up_is_not_the_next_one(inbox: Any) -> None:
    """Buried, its key goes on to the next gap, and waits there for a case of its own."""
    three, five = message(3), message(5)
    assert await judged(inbox, message(1)) is APPLY
    gap = gap_case(SCOPE, three, encode(three), inbox.now(), 600.0)
    assert (await inbox.admit_gap(SCOPE, gap, three, soon())).verdict is HELD
    assert await judged(inbox, five) is HELD
    for envelope in (three, five):
        (found,) = [case for case in await parking(inbox, three) if case.status == "admitted"]
        buried = msgspec.structs.replace(found, status="buried", due_at=inbox.now() - 1.0)
        assert await inbox.end_treatment(found, buried, soon())
        assert await released(inbox, Key(b"out", b"k")) == [envelope.id.encode()]
    assert await judged(inbox, message(6)) is APPLY


@each
async def test_what_lets_a_key_go_on_is_done_with_when_it_waits_again(inbox: Any) -> None:
    """A case that parks nothing leaves it due; one that does ends that, and no gap makes the key go on past it."""
    line = [message(n) for n in (1, 2, 3)]
    first = await behind(inbox, *line)
    aside = case_of(inbox, line[1], parks=False)
    async with inbox.unit(soon()) as unit:
        await inbox.park_held(unit, SCOPE, await inbox.next_held(unit, SCOPE, Key(b"out", b"k")), line[1], aside)
    assert await due(inbox) == [first.id]
    async with inbox.unit(soon()) as unit:
        held = await inbox.next_held(unit, SCOPE, Key(b"out", b"k"))
        await inbox.park_held(unit, SCOPE, held, line[2], case_of(inbox, line[2]))
    assert await due(inbox) == []
    seven = message(7, "never")
    gap = gap_case(SCOPE, seven, encode(seven), inbox.now(), -1.0)
    assert (await inbox.admit_gap(SCOPE, gap, seven, soon())).verdict is HELD
    assert await due(inbox) == [gap.id]
    async with inbox.unit(soon()) as unit:
        held = await inbox.next_held(unit, SCOPE, Key(b"out", b"never"))
        await inbox.park_held(unit, SCOPE, held, seven, case_of(inbox, seven))
    assert await due(inbox) == []


@each
async def test_a_start_that_did_not_begin_does_not_count(inbox: Any) -> None:
    """The last one only: whoever comes late takes back no other one's."""
    one = message(key=None)
    for n in (1, 2):
        assert await inbox.start(SCOPE, one, soon(), ordered=False) == n
    await inbox.unstart(SCOPE, one, 1, soon())
    assert await inbox.start(SCOPE, one, soon(), ordered=False) == 3
    await inbox.unstart(SCOPE, one, 3, soon())
    assert await inbox.start(SCOPE, one, soon(), ordered=False) == 3
    await inbox.unstart(SCOPE, message(key=None), 1, soon())


@each
async def test_claims_of_ids_without_a_time_are_kept(inbox: Any) -> None:
    """For ever, or as long as was said; those of ours go by their age."""
    ours, foreign = message(key=None), message(key=None, id="order 17")
    everything = -60.0  # what was claimed a minute from now, or before
    for envelope in (ours, foreign):
        assert await judged(inbox, envelope) is APPLY
    for retention, left in (
        (Retention(), (DUPLICATE, DUPLICATE)),
        (Retention(claims=everything), (APPLY, DUPLICATE)),
        (Retention(foreign=everything), (DUPLICATE, APPLY)),
    ):
        assert not await inbox.sweep(retention, soon())
        assert (await judged(inbox, ours), await judged(inbox, foreign)) == left, retention


async def test_an_inbox_of_claims_looks_after_both_of_its_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands beside the cases is prepared there, and records that are over go, too; starts are counted by the cases."""
    cases, records, prepared = AsyncMemoryInbox(), AsyncMemoryRecords(), []
    made = AsyncClaimInbox(records, cases, "regionkit")

    async def prepare(accept_for: float, deadline: Deadline) -> None:
        prepared.append(accept_for)

    async def sweep() -> int:
        return left.pop()

    left = [0, 3]
    monkeypatch.setattr(cases, "prepare", prepare)
    monkeypatch.setattr(records, "sweep", sweep)
    await made.prepare(60.0, soon())
    assert prepared == [60.0]
    assert [await made.sweep(Retention(), soon()), await made.sweep(Retention(), soon())] == [True, False]
    one = message(key=None)
    assert await made.start(SCOPE, one, soon(), ordered=False) == 1
    await made.unstart(SCOPE, one, 1, soon())
    assert await made.start(SCOPE, one, soon(), ordered=False) == 1
    await made.close()
