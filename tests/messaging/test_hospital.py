# Generated from test_hospital_async.py by scripts/twins.py. Do not edit.
"""The error hospital: cases that people look at and treat, and keys that go on in order."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_caches import Engines
from sqlalchemy import text

from regionkit.core.concurrency import sleep, spawn
from regionkit.errors import ConfigurationError, MessagingError, UsageError
from regionkit.messaging.case import Key
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.envelope import NOTHING_BEFORE, Envelope, Number, decode
from regionkit.messaging.hospital import Hospital
from regionkit.messaging.hospital_rules import NoSuchCase, NotPossible
from regionkit.messaging.inboxes.sql import SqlInbox
from regionkit.messaging.sources import MemoryQueue
from regionkit.testing.crash import DroppedReply, crash_points

from .hospital_rig import Ward, numbered, soon, the_due

IS_ASYNC = False
HELD, LAST = (150, 250) if os.environ.get("REGIONKIT_MESSAGING") == "whole" else (60, 120)
"""Messages of a key that wait behind its case, and all of it: the others come while it goes on."""


def poison(key: str, n: int, **more: Any) -> Envelope:
    """The n-th message of a key, which its handler cannot take."""
    return numbered(key, n, {"n": n, "poison": True, "card": "4111-1111"}, **more)


@pytest.fixture
def one(data_path: Path) -> Iterator[Engines]:
    """A database of its own, where servers make no difference."""
    made = Engines(f"sqlite:///{data_path}/orders.db")
    yield made
    made.engine.dispose()


def parked(ward: Ward, key: str = "a") -> Any:
    """A key with a poison as its second message, and three that wait behind it; the case."""
    ward.take(numbered(key, 1), poison(key, 2), *(numbered(key, n) for n in (3, 4, 5)))
    assert ward.ledger(key) == [1]
    return ward.the_case(key=key)


def test_a_key_waits_for_its_poison_and_goes_on_in_order(accounts: Any) -> None:
    """Edited and retried: what waits behind it is applied after it, in order; others never waited."""
    with Ward(accounts) as ward:
        followers = [numbered("a", n) for n in (3, 4, 5)]
        summary = ward.take(numbered("a", 1), poison("a", 2), *followers, numbered("b", 1))
        assert (summary.parked, summary.held, summary.applied) == (1, 3, 2)
        assert (ward.ledger("a"), ward.ledger("b")) == ([1], [1])
        case = ward.the_case()
        assert (case.status, case.reason, case.key, case.attempts) == ("admitted", "failed", "a", 1)
        shown = ward.hospital.show(case.id)
        assert shown.message.payload == {"n": 2, "poison": True, "card": "4111-1111"}
        assert [held.n for held in shown.held] == [3, 4, 5]
        assert "Poison" in shown.case.error_type and "cannot take 2" in shown.case.error

        edited = ward.hospital.edit(case.id, {"n": 2}, reason="a typo")
        assert edited.status == "admitted"
        assert (ward.treat()).applied == 0  # it waits until it is retried
        assert (ward.hospital.retry(case.id)).status == "retrying"
        assert (ward.treat()).applied == 4
        assert ward.ledger("a") == [1, 2, 3, 4, 5]
        assert ward.rows("held") == 0
        summary = ward.take(numbered("a", 6), poison("a", 2))  # a copy of the old one comes late
        assert (summary.applied, summary.duplicates) == (1, 1)
        over = ward.hospital.show(case.id)
        assert over.case.status == "discharged"
        assert over.message.headers["amends"] == shown.message.id != over.message.id
        assert [(line.what, line.who) for line in over.trail] == [
            ("admitted", "consumer"),
            ("edited", "ann"),
            ("retried", "ann"),
            ("discharged", "consumer"),
        ]
        assert over.trail[1].reason == "a typo"
        assert over.trail[1].was is not None and over.trail[1].was.payload == shown.message.payload


class Mute(Exception):
    """An error that cannot say anything."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_no_server_keeps_as_it_is_makes_a_case(accounts: Any) -> None:
    """NUL, half of a surrogate pair, no text at all: a case that could not be written would stop the whole queue."""
    errors = {"nul": ValueError("a\x00b"), "half": ValueError("a\ud800b"), "mute": Mute(), "odd": ValueError("odd")}
    with Ward(accounts) as ward:
        consumer = ward.consumer()

        @consumer.handler("odd", attempts=1)
        def break_(message: Any, db: Any) -> None:
            db.execute(text("DELETE FROM ledger WHERE k = 'nobody'"))  # a transaction that is to end
            raise errors[message.payload]

        envelopes = [numbered(name, 1, name, type="odd") for name in errors]
        ward.publish(*envelopes, numbered("type", 1, type="\x00"), numbered("z", 1))
        summary = consumer.run(until_idle=0.2)
        assert (summary.parked, summary.unhandled, summary.applied) == (4, 1, 1)
        cases = {case.key: case for case in ward.hospital.cases()}
        assert cases["nul"].error == "a\\x00b"
        assert cases["half"].error == "a\\ud800b"
        assert "no text" in cases["mute"].error
        assert cases["type"].type == "\\x00"
        ward.hospital.bury(cases["odd"].id, reason="\x00\ud800")
        assert (ward.hospital.show(cases["odd"].id)).trail[-1].reason == "\\x00\\ud800"


def test_a_retried_poison_comes_back_after_one_run(one: Any) -> None:
    """However often somebody asks for it, it runs once for each time, and its key waits meanwhile."""
    with Ward(one) as ward:
        case = parked(ward)
        for time_ in (1, 2):
            ward.runs.clear()
            ward.hospital.retry(case.id)
            ward.treat()
            again = ward.the_case()
            assert (len(ward.runs), again.status, again.attempts) == (1, "admitted", 1 + time_)
        assert ward.ledger("a") == [1]
        trail = [line.what for line in (ward.hospital.show(case.id)).trail]
        assert trail == ["admitted", "retried", "given up", "retried", "given up"]


def test_a_buried_case_lets_its_key_go_on(one: Any) -> None:
    """Without it; no copy of it is applied later, and nothing can be done with it any more."""
    with Ward(one) as ward:
        case = parked(ward)
        with pytest.raises(UsageError):
            ward.hospital.bury(case.id, reason="")
        would = ward.hospital.bury(case.id, reason="cancelled", dry_run=True)
        assert would.status == "buried" and (ward.the_case()).status == "admitted"
        assert (ward.hospital.bury(case.id, reason="cancelled")).status == "buried"
        ward.treat()
        assert ward.ledger("a") == [1, 3, 4, 5]
        for act in (ward.hospital.retry, ward.hospital.release):
            with pytest.raises((NotPossible, NoSuchCase)):
                act(case.id)
        assert (ward.take(poison("a", 2), numbered("a", 6))).duplicates == 1
        assert ward.ledger("a") == [1, 3, 4, 5, 6]
        with pytest.raises(NoSuchCase):
            ward.hospital.show("nobody")


def test_a_key_is_released_from_its_case_or_its_gap(accounts: Any) -> None:
    """It says which. Giving up one gap gives up that one: behind the next the key waits again."""
    with Ward(accounts) as ward:
        parked(ward, "a")
        (done,) = ward.hospital.release("a", reason="never mind")
        assert (done.gap, done.held, done.case.status) == (False, 3, "buried")
        ward.treat()
        assert ward.ledger("a") == [1, 3, 4, 5]

        ward.take(numbered("b", 1), *(numbered("b", n) for n in (3, 4, 7, 8)))
        assert ward.ledger("b") == [1]
        gap = ward.the_case(reason="gap")
        with pytest.raises(NotPossible):
            ward.hospital.retry(gap.id)
        (done,) = ward.hospital.release("b", dry_run=True)
        assert (ward.the_case(reason="gap")).status == "admitted"
        (done,) = ward.hospital.release("b", reason="2 is lost")
        assert (done.gap, done.held) == (True, 4)
        ward.treat()
        assert ward.ledger("b") == [1, 3, 4]
        ward.take(numbered("b", 5), numbered("b", 6))
        ward.treat()
        assert ward.ledger("b") == [1, 3, 4, 5, 6, 7, 8]
        with pytest.raises(NoSuchCase):
            ward.hospital.release("b")
        closed = (ward.hospital.cases(status="discharged", reason="gap"))[0]
        assert [line.what for line in (ward.hospital.show(closed.id)).trail] == ["admitted", "discharged"]
        summary = ward.take(numbered("b", 1), numbered("b", 2))  # a copy of what was applied; what was given up
        assert (summary.duplicates, summary.stale, summary.applied) == (1, 1, 0)
        assert (ward.the_case()).reason == "overtaken"


def test_a_message_is_redirected(one: Any) -> None:
    """It is elsewhere with its id and without its number; a crash between the two steps publishes the same id again."""
    with Ward(one) as ward:
        case = parked(ward)
        before = ward.hospital.show(case.id)
        other = MemoryQueue("dead", group="people")
        other.open(soon())
        with crash_points({"case.published": "drop_reply"}), pytest.raises(DroppedReply):
            ward.hospital.redirect(case.id, other)
        assert (ward.the_case()).status == "admitted"
        assert (ward.hospital.redirect(case.id, other, reason="by hand")).status == "redirected"
        there = [decode(one.body) for one in other.fetch(10, 1.0)]
        assert [one.id for one in there] == [before.message.id] * 2
        assert {(one.number, one.prev, one.lineage, one.key) for one in there} == {(None, NOTHING_BEFORE, "", "a")}
        ward.treat()
        assert ward.ledger("a") == [1, 3, 4, 5]
        trail = [line.what for line in (ward.hospital.show(case.id)).trail]
        assert trail == ["admitted", "redirecting", "redirecting", "redirected"]
        other.close()


def test_a_redirect_that_somebody_crossed_says_so(one: Any) -> None:
    """Edited while it was published: the case stays. A target that refuses leaves it as it was."""

    class Crossing:
        name = "dead"
        refuses = False

        def publish(self, bodies: Any, deadline: Any) -> Any:
            if self.refuses:
                full = MemoryQueue("dead", most=1)
                full.open(soon())
                return (full.publish([bodies[0]] * 2, soon(0.1)))[1:]
            ward.hospital.edit(case.id, {"n": 2})
            return MemoryQueue("dead").publish(bodies, deadline)

    with Ward(one) as ward:
        case, target = parked(ward), Crossing()
        with pytest.raises(NotPossible, match="while its message was published"):
            ward.hospital.redirect(case.id, target)  # type: ignore[arg-type]
        assert (ward.the_case()).status == "admitted"
        target.refuses = True
        with pytest.raises(MessagingError, match="did not confirm"):
            ward.hospital.redirect(case.id, target)  # type: ignore[arg-type]
        ward.hospital.retry(case.id)
        ward.treat()
        assert ward.ledger("a") == [1, 2, 3, 4, 5]


def test_a_run_under_way_is_not_disturbed(accounts: Any) -> None:
    """Whoever comes while it runs is told to come again; a run beyond its time is not, and its effect is rolled back."""
    with Ward(accounts) as ward:
        case = parked(ward)
        ward.hospital.retry(case.id)
        due = the_due(ward.inbox)
        running = ward.inbox.begin_treatment(due, ward.inbox.now() + 30.0, soon())
        assert running is not None
        for act in (
            lambda: ward.hospital.retry(case.id),
            lambda: ward.hospital.bury(case.id, reason="x"),
            lambda: ward.hospital.edit(case.id, {}),
            lambda: ward.hospital.release("a"),
        ):
            with pytest.raises(NotPossible) as told:
                act()
            assert told.value.retryable
        with accounts.engine.begin() as db:
            db.execute(text("UPDATE regionkit_rk_hospital SET due_at = 1"))
        ward.hospital.bury(case.id, reason="it hangs")
        with ward.inbox.unit(soon()) as unit:
            assert not ward.inbox.discharge(unit, running)
        assert not ward.inbox.end_treatment(running, running, soon())
        assert (ward.hospital.show(case.id)).case.status == "buried"
        with ward.hospital.rows.unit(soon()) as unit:  # where no lock keeps it, the comparison does
            with pytest.raises(NotPossible):
                ward.hospital.rows.change(unit, due, running, "retried", "ann", "")


def test_what_was_edited_just_now_runs_as_it_is(one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at what is due and the start of the run somebody edits and retries it again: the new message runs."""
    with Ward(one) as ward:
        case = parked(ward)
        ward.hospital.retry(case.id)
        look = ward.inbox.due

        def due(*args: Any) -> Any:
            found = look(*args)
            if found and found[0].status == "retrying":
                ward.hospital.edit(case.id, {"n": 22})
                ward.hospital.retry(case.id)
            return found

        monkeypatch.setattr(ward.inbox, "due", due)
        ward.treat()
        assert ward.ledger("a") == [1, 22, 3, 4, 5]
        assert ward.runs.count({"n": 22}) == 1


def test_what_another_process_let_go_on_is_not_taken_again(one: Any) -> None:
    """A held message that was read before: its place in the table is another one's by now, which stays."""
    plain = {"lineage": "", "number": None, "prev": NOTHING_BEFORE}
    with Ward(one) as ward:
        first = numbered("u", 2, **plain)
        ward.take(poison("u", 1, **plain), first)
        key = Key(b"", b"u")
        ward.hospital.release("u")
        with ward.inbox.unit(soon(), core=True) as unit:
            seen = ward.inbox.next_held(unit, b"billing", key)
        assert seen is not None
        ward.treat()
        ward.take(poison("u", 3, **plain), numbered("u", 4, **plain))
        ward.hospital.release("u")
        with ward.inbox.unit(soon(), core=True) as unit:
            now = ward.inbox.next_held(unit, b"billing", key)
            assert now is not None and now.seq == seen.seq and now.id != seen.id
            assert (ward.inbox.take_held(unit, b"billing", seen, first)).verdict is Verdict.BUSY
        ward.treat()
        assert ward.ledger("u") == [2, 4]


def test_a_group_runs_again_at_a_rate(one: Any) -> None:
    """So many a second, at most so many, the oldest first; gaps and other groups stay."""
    with Ward(one) as ward:
        for n in range(6):
            ward.take(poison(f"k{n}", 1))
        ward.take(numbered("g", 1), numbered("g", 3))
        group = next(one for one in ward.hospital.groups() if one.reason == "failed")
        assert (group.count, group.waiting, group.error_type.rpartition(".")[2]) == (6, 6, "Poison")
        assert (ward.hospital.show(group.example)).case.group == group.group
        would = ward.hospital.retry_group(group.group, max=4, dry_run=True)
        assert (would.retried, would.left) == (4, 2)
        before = [case.id for case in ward.hospital.cases(group=group.group)]
        done = ward.hospital.retry_group(group.group, rate=2.0, max=4)
        assert (done.retried, done.left) == (4, 2)
        cases = ward.hospital.cases(status="retrying")
        assert [case.id for case in cases] == before[:4]
        due = [case.due_at for case in cases]
        assert [round(later - due[0], 3) for later in due] == [0.0, 0.5, 1.0, 1.5]
        ward.runs.clear()
        ward.treat()
        assert len(ward.runs) < 4  # the last one is due in a second and a half
        assert len(ward.hospital.cases(reason="gap")) == 1
        with pytest.raises(UsageError):
            ward.hospital.retry_group(group.group, rate=0.0)
        with pytest.raises(UsageError):
            ward.hospital.retry_group(group.group, max=0)


def test_a_group_is_gone_through_once(one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases that come back while the others are set on their way are not set on theirs again."""
    monkeypatch.setattr(sys.modules[Hospital.__module__], "AT_ONCE", 2)

    def back() -> None:
        with one.engine.begin() as db:
            db.execute(text("UPDATE regionkit_rk_hospital SET status = 'admitted'"))

    with Ward(one) as ward:
        ward.take(*(poison(f"k{n}", 1) for n in range(5)))
        (group,) = ward.hospital.groups()
        with crash_points({"case.changed": back}):
            done = ward.hospital.retry_group(group.group)
        assert (done.retried, done.left) == (5, 5)


def test_listings_have_limits_and_filters(accounts: Any) -> None:
    """Pages by the last id; what is over is listed when it is asked for; counts and exports agree."""
    with Ward(accounts) as ward:
        for n in range(5):
            ward.take(poison(f"k{n}", 1))
        ward.take(b"no message", numbered("k0", 2))
        hospital = ward.hospital
        every = hospital.cases()
        assert [case.id for case in every] == sorted(case.id for case in every) and len(every) == 6
        first = hospital.cases(limit=4)
        assert first + hospital.cases(limit=4, after=first[-1].id) == every
        hospital.bury(every[0].id, reason="x")
        assert len(hospital.cases()) == 5 and len(hospital.cases(status=None)) == 6
        assert len(hospital.cases(key="k3", consumer="billing", type="order.placed", reason="failed")) == 1
        assert hospital.cases(consumer="other") == []
        stats = hospital.stats()
        assert (stats.open, stats.waiting, stats.held) == (5, 5, 1)
        assert sum(count for *_, count in stats.cases) == 6
        lines = [json.loads(line) for line in hospital.export()]
        assert [line["case"]["id"] for line in lines] == [case.id for case in hospital.cases(status=None)]
        bare = [line for line in hospital.export(payload=False, limit=3)]
        assert len(bare) == 3 and b"4111-1111" not in b"".join(bare)
        for wrong in ({"limit": 0}, {"limit": 5000}, {"status": "ill"}):
            with pytest.raises(UsageError):
                hospital.cases(**wrong)


class Rot:
    """A cipher: every byte is turned, and a mark says whose it is."""

    def encrypt(self, data: bytes) -> bytes:
        return b"rot" + bytes(255 - byte for byte in data)

    def decrypt(self, token: bytes) -> bytes:
        assert token.startswith(b"rot")
        return bytes(255 - byte for byte in token[3:])


def test_payloads_are_redacted_and_encrypted(one: Any) -> None:
    """Nothing of a payload stands readable in the tables, edited ones included; what is shown is what the policy leaves."""

    def mask(payload: Any) -> Any:
        return {**payload, "card": "****"}

    with Ward(one, cipher=Rot(), hospital={"redact": mask}) as ward:
        case = parked(ward)
        assert (ward.hospital.show(case.id)).message.payload == {"n": 2, "poison": True, "card": "****"}
        ward.hospital.edit(case.id, {"n": 2, "card": "4242"})
        shown = ward.hospital.show(case.id)
        assert shown.trail[1].was is not None and shown.trail[1].was.payload["card"] == "****"
        with one.engine.connect() as db:
            for table in ("hospital", "held", "hospital_event"):
                for row in db.execute(text(f"SELECT body FROM regionkit_rk_{table} WHERE body IS NOT NULL")):
                    assert b"order.placed" not in bytes(row[0]) and b"42" not in bytes(row[0])
        plain = Hospital(ward.engine)
        with pytest.raises(ConfigurationError, match="encrypted"):
            plain.show(case.id)
        assert not plain.is_beside(ward.inbox)
        plain.close()
        ward.hospital.retry(case.id)
        ward.treat()
        assert ward.ledger("a") == [1, 2, 3, 4, 5]


def test_a_hospital_stands_beside_its_inbox(one: Any) -> None:
    """The same engine and namespace; without tables it says so; a redaction that fails shows nothing."""
    engine, other = one.make(is_async=IS_ASYNC), one.make(is_async=IS_ASYNC)
    inbox, hospital = SqlInbox(engine), Hospital(engine, redact=lambda payload: payload["card"])
    assert hospital.is_beside(inbox)
    assert not hospital.is_beside(SqlInbox(engine, namespace="shop"))
    assert not hospital.is_beside(SqlInbox(other))
    with pytest.raises(ConfigurationError, match=r"no tables|no hospital collections"):
        hospital.stats()
    hospital.close()
    with Ward(one, hospital={"redact": lambda payload: payload["nothing"]}) as ward:
        shown = ward.hospital.show((parked(ward)).id)
        assert (shown.message.payload, shown.message.unreadable) == (None, "redact raised KeyError.")
    engine.dispose()
    other.dispose()


def test_what_is_no_message_is_buried_or_sent_on_as_it_came(one: Any) -> None:
    """It cannot be edited; bytes that look encrypted are what they are."""
    with Ward(one) as ward:
        ward.take(b"rk1\x01nothing of ours")
        case = ward.the_case()
        shown = ward.hospital.show(case.id)
        assert shown.message.payload == b"rk1\x01nothing of ours" and shown.message.unreadable
        with pytest.raises(NotPossible, match="no message"):
            ward.hospital.edit(case.id, {})
        other = MemoryQueue("dead", group="people")
        other.open(soon())
        ward.hospital.redirect(case.id, other)
        assert [one.body for one in other.fetch(10, 1.0)] == [b"rk1\x01nothing of ours"]
        other.close()


def test_a_payload_that_cannot_be_read_keeps_its_place(one: Any) -> None:
    """Its key waits, as for any other poison, and goes on when it was edited."""
    with Ward(one) as ward:
        broken = Envelope(
            "x", "order.placed", b"\xc1", "a", lineage="outbox", number=Number(1, "h", 2), prev=Number(1, "h", 1)
        )
        summary = ward.take(numbered("a", 1), broken, numbered("a", 3))
        assert (summary.parked, summary.held) == (1, 1)
        case = ward.the_case()
        shown = ward.hospital.show(case.id)
        assert (case.reason, shown.message.payload) == ("malformed", b"\xc1") and "damaged" in shown.message.unreadable
        ward.hospital.edit(case.id, {"n": 2})
        ward.hospital.retry(case.id)
        ward.treat()
        assert ward.ledger("a") == [1, 2, 3]


def test_what_is_held_is_judged_again_when_its_key_goes_on(accounts: Any) -> None:
    """What has expired, has no handler or was overtaken is a case of its own, and the key goes on, after a crash at each step."""
    with Ward(accounts) as ward:
        ward.take(numbered("a", 1), poison("a", 2), numbered("a", 3, expires_at=time.time() + 3600.0))
        ward.take(numbered("a", 4, type="order.lost"), numbered("a", 5), numbered("b", 1), numbered("b", 3))
        undone = numbered(
            "b", 2, number=Number(2, "i", 2), prev=Number(1, "h", 1)
        )  # after a failover: 2 and 3 are undone
        ward.take(undone)
        assert (ward.rows("held"), ward.ledger("b")) == (4, [1, 2])
        ward.hospital.bury((ward.the_case(reason="failed")).id, reason="x")
        for _ in range(6):
            with crash_points({"held.released": "drop_reply"}), contextlib.suppress(DroppedReply):
                ward.treat(later=7200.0)
        assert (ward.rows("held"), ward.ledger("a"), ward.ledger("b")) == (0, [1, 5], [1, 2])
        assert sorted(one.reason for one in ward.hospital.cases()) == ["expired", "overtaken", "unhandled"]
        later = numbered("b", 3, number=Number(2, "i", 3), prev=Number(2, "i", 2))
        assert (ward.take(numbered("a", 6), later)).applied == 2
        expired = ward.the_case(reason="expired")
        ward.hospital.retry(expired.id)  # somebody wants it all the same
        ward.treat(later=7200.0)
        assert ward.ledger("a") == [1, 5, 6, 3]


def test_a_retry_does_not_run_what_has_expired(one: Any) -> None:
    """Retries by the hospital itself end with the time of the message; then it waits for somebody."""
    with Ward(one, attempts=1000) as ward:
        ward.take(poison("a", 1, expires_at=time.time() + 3600.0))
        assert (ward.the_case()).status == "retrying"
        ward.runs.clear()
        ward.treat(later=7200.0)
        case = ward.the_case()
        assert (case.status, case.reason, ward.runs) == ("admitted", "expired", [])


def test_cases_aside_do_not_hide_one_another(one: Any) -> None:
    """Two payloads under one id, and gaps of keys that begin alike, are cases each."""
    with Ward(one) as ward:
        ward.take(Envelope("x" * 60, "order.placed", b"\x81\xa1n\x01"))
        for n in (2, 3):
            ward.take(Envelope("x" * 60, "order.placed", b"\x81\xa1n" + bytes([n])))
        ward.take(numbered("k" * 100 + "1", 2), numbered("k" * 100 + "2", 2))
        assert sorted(case.reason for case in ward.hospital.cases(status=None)) == ["gap"] * 2 + ["mismatch"] * 2


def test_nothing_overtakes_while_a_key_goes_on(accounts: Any) -> None:
    """A thousand arrivals a second of the key that goes on, numbered or not: each in order, each message once."""
    with Ward(accounts, concurrency=4) as ward:
        kinds: dict[str, dict[str, Any]] = {"a": {}, "u": {"lineage": "", "number": None, "prev": NOTHING_BEFORE}}
        for key, more in kinds.items():
            ward.take(poison(key, 1, **more), *(numbered(key, n, **more) for n in range(2, HELD + 1)))
        consumer = ward.consumer()
        task = spawn("consumer", lambda: consumer.run())
        overlapped = 0
        for key, more in kinds.items():
            case = ward.the_case(key=key)
            ward.hospital.edit(case.id, {"n": 1})
            ward.hospital.retry(case.id)
            began = time.monotonic()  # the first may come before its key goes on, the last behind it
            for n in range(HELD + 1, LAST + 1):
                ward.publish(numbered(key, n, **more))
                sleep(max(0.0, 0.001 * (n - HELD) - (time.monotonic() - began)))
            overlapped += consumer._counters.summary().held
        ward.until(lambda: all(len(ward.ledger(key)) >= LAST for key in kinds))
        consumer.stop()
        task.ended(30.0)
        for key in kinds:
            assert ward.ledger(key) == list(range(1, LAST + 1))
        assert ward.rows("held") == 0 and overlapped > 0
        print(f"{overlapped} came while their key went on")
