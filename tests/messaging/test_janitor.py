# Generated from test_janitor_async.py by scripts/twins.py. Do not edit.
"""Days are made before they begin, old ones go, nobody waits for that; and what is still needed stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.inbox_days_sql import attach_day, days_of, days_wanted
from regionkit.messaging.inboxes.rows_sql import bucket_of
from regionkit.messaging.janitor import SWEPT_EVERY, Janitor
from regionkit.messaging.retention import Retention

from .inbox_rigs import SERVERS, InboxRig, event, server_url

DAY = 86_400.0
INBOX = "regionkit_rk_inbox"


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    return request.param, server_url(request, request.param, tmp_path)


@pytest.fixture
def rig(server: tuple[str, str]) -> Iterator[InboxRig]:
    made = InboxRig(*server)
    yield made
    made.close()


def soon() -> Deadline:
    """A deadline that no test here is about."""
    return Deadline(SYSTEM_CLOCK, 30.0)


def id_of(seconds: float) -> str:
    """An id of ours that was made then."""
    made = f"{int(seconds * 1000):012x}"
    return f"{made[:8]}-{made[8:]}-7abc-8abc-0123456789ab"


def partitions(rig: InboxRig) -> set[int]:
    """The days that are there."""
    found = rig.rows("SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid")
    return days_of(INBOX, [row[0] for row in found])


def claim(inbox: Any, *ids: str) -> None:
    """Claim messages with these ids."""
    with inbox.unit(soon()) as unit:
        for id in ids:
            inbox.judge(unit, b"billing", event(id=id), ordered=False)


def claimed(rig: InboxRig) -> set[str]:
    """Whose claims are there."""
    return {bytes(row[0]).decode() for row in rig.rows(f"SELECT id FROM {INBOX}")}


def test_days_are_there_before_they_begin_and_more_are_made_at_start(rig: InboxRig) -> None:
    """A week back and two days ahead by default; a consumer that accepts older messages has older days made as it starts."""
    inbox = rig.inbox()
    if rig.server != "postgresql":
        inbox.prepare(30 * DAY, soon())
        return
    assert partitions(rig) == days_wanted(time.time(), 7 * DAY)
    today = bucket_of(id_of(time.time()))
    rig.do(f"DROP TABLE {INBOX}_d{today + 2}")
    old = event(id=id_of(time.time() - 20 * DAY))
    consumer = rig.consumer(inbox, accept_for=30 * DAY)

    @consumer.handler("moved")
    def count(message: Any, db: Any) -> None:
        db.execute(text("UPDATE account SET balance = balance + 1 WHERE id = 1"))

    rig.publish(old, event(id="of-somebody-else"))
    assert (consumer.run(until_idle=0.1)).applied == 2
    assert partitions(rig) >= {0, today - 30, today + 2}


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_day_is_attached_beside_an_open_transaction_and_dropped_only_when_nobody_is_in_the_way(
    rig: InboxRig,
) -> None:
    """With a transaction open that has a claim: a day is made at once; a DROP gives up, and is done later."""
    inbox = rig.inbox()
    now = time.time()
    old, today = bucket_of(id_of(now - 40 * DAY)), bucket_of(id_of(now))
    for statement in attach_day(INBOX, old):
        rig.do(statement)
    claim(inbox, id_of(now - 40 * DAY), id_of(now))
    kept = Retention(10 * DAY)
    with inbox.unit(soon()) as unit:
        inbox.judge_many(unit, b"billing", [event()], ordered=False)
        rig.do(f"DROP TABLE IF EXISTS {INBOX}_d{today + 3}")
        inbox.prepare(60 * DAY, soon())
        assert today - 60 in partitions(rig)
        began, before = time.monotonic(), partitions(rig)
        inbox.sweep(kept, soon())
        assert time.monotonic() - began < 15.0 and partitions(rig) == before
    while inbox.sweep(kept, soon()):
        pass
    assert min(partitions(rig) - {0}) == today - 10
    assert id_of(now) in claimed(rig) and id_of(now - 40 * DAY) not in claimed(rig)


def test_old_claims_go_and_foreign_ones_only_where_that_was_asked_for(rig: InboxRig) -> None:
    """What a copy can still ask for stays; ids without a time stay for ever."""
    inbox = rig.inbox()
    now = time.time()
    inbox.prepare(60 * DAY, soon())
    old, young = [id_of(now - n * DAY) for n in (20, 30)], [id_of(now - n * DAY) for n in (0, 6)]
    claim(inbox, *old, *young, "foreign")
    rig.do(f"UPDATE {INBOX} SET seen_at = :at WHERE bucket = 0", at=now - 300 * DAY)
    while inbox.sweep(Retention(10 * DAY), soon()):
        pass
    assert claimed(rig) == {*young, "foreign"}
    while inbox.sweep(Retention(10 * DAY, 400 * DAY), soon()):
        pass
    assert claimed(rig) == {*young, "foreign"}
    while inbox.sweep(Retention(10 * DAY, 200 * DAY), soon()):
        pass
    assert claimed(rig) == set(young)


def test_cases_that_are_over_go_with_their_lines_and_open_ones_stay(rig: InboxRig) -> None:
    """An open case, one that a key waits for, and one that is young keep their lines, however old these are."""
    inbox = rig.inbox(hospital_retention=50 * DAY)
    old, young = time.time() - 60 * DAY, time.time() - 10 * DAY
    for name, status, parks, at in (
        ("over", "discharged", 0, old),
        ("open", "admitted", 0, old),
        ("parks", "buried", 1, old),
        ("young", "buried", 0, young),
    ):
        rig.do(
            "INSERT INTO regionkit_rk_hospital (case_id, scope, message_id, status, reason, type, lineage, parks, attempts,"
            " error_type, error, stack, stack_group, region, source, position, body, admitted_at, changed_at) VALUES"
            " (:name, :scope, :id, :status, 'failed', 't', :none, :parks, 1, '', '', '', '', '', '', '', :none, :at, :at)",
            **{"name": name, "scope": b"billing", "id": name.encode(), "status": status, "none": b"", "parks": parks},
            at=at,
        )
        rig.do(
            "INSERT INTO regionkit_rk_hospital_event (case_id, at, who, what, reason) VALUES (:name, :at, '', '', '')",
            name=name,
            at=old,
        )
    rig.do(
        "INSERT INTO regionkit_rk_started (scope, id, runs, seen_at) VALUES (:scope, :a, 1, :at), (:scope, :b, 1, :now)",
        **{"scope": b"billing", "a": b"a", "b": b"b", "at": old, "now": time.time()},
    )
    while inbox.sweep(Retention(10 * DAY), soon()):
        pass
    for table in ("hospital", "hospital_event"):
        assert {row[0] for row in rig.rows(f"SELECT case_id FROM regionkit_rk_{table}")} == {"open", "parks", "young"}
    assert [bytes(row[0]) for row in rig.rows("SELECT id FROM regionkit_rk_started")] == [b"b"]


def test_there_is_one_janitor_and_the_longest_retention_counts(rig: InboxRig) -> None:
    """A second one waits until the first has let go; what one consumer wants kept is not swept by another one."""
    inbox, longer = rig.inbox(), rig.inbox(retention=100 * DAY)
    first, second = (Janitor(i, 7 * DAY, SYSTEM_CLOCK) for i in (inbox, longer))
    second.open()
    first.open()
    inbox.prepare(60 * DAY, soon())
    kept = id_of(time.time() - 50 * DAY)
    claim(inbox, kept)
    assert first.round() == SWEPT_EVERY
    assert second.round() < SWEPT_EVERY
    assert kept in claimed(rig)
    first.close()
    assert second.round() == SWEPT_EVERY


def test_a_database_whose_clock_is_days_ahead_forgets_nothing(rig: InboxRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set right again, it would take a copy for new: the claim that refuses it is kept for as much longer."""
    inbox = rig.inbox()
    fresh, old = id_of(time.time() - 60.0), id_of(time.time() - 9 * DAY)
    inbox.prepare(12 * DAY, soon())
    claim(inbox, fresh, old)
    janitor = Janitor(inbox, 7 * DAY, SYSTEM_CLOCK)
    janitor.open()
    monkeypatch.setattr(inbox, "now", lambda: time.time() + 8 * DAY)
    for _ in range(40):  # a day of PostgreSQL's goes with each
        if janitor.round() == SWEPT_EVERY:
            break
    assert claimed(rig) == {fresh}, "what no clock keeps is gone"
    monkeypatch.undo()
    with inbox.unit(soon()) as unit:
        copy = inbox.judge(unit, b"billing", event(id=fresh), ordered=False)
    assert copy.verdict is Verdict.DUPLICATE
    janitor.close()
