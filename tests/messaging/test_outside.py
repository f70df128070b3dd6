# Generated from test_outside_async.py by scripts/twins.py. Do not edit.
"""Effects outside: called once with one key if nothing fails, in doubt where a process died in a call, in order on demand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from fix_inboxes import InboxStore
from fix_plain import plain_of

from regionkit import RegionKit
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.errors import ConfigurationError, LeaseLost, MessagingError
from regionkit.messaging import MongoInbox, RedisInbox, SqlInbox
from regionkit.messaging.claim import Wish, Won
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.delivery import Judged, Verdict
from regionkit.messaging.envelope import fingerprint, message_of, stored_id
from regionkit.messaging.handlers import Handler
from regionkit.messaging.outside import Errand, Outside
from regionkit.messaging.runs import Runs

from .outside_rigs import IDLE, OutsideRig, mail, soon
from .test_inboxes import case_of

IS_ASYNC = False


def over(*stores: str) -> Any:
    """Which inboxes a test is for: what differs between them, it has to see. In threads those that need a server or none."""
    in_threads = [name for name in stores if name in ("memory", "redis")]
    return pytest.mark.parametrize("inbox_store", stores if IS_ASYNC else in_threads, indirect=True)


EVERY = ("memory", "sqlite", "postgresql", "mariadb", "mongo", "redis", "cassandra")


@pytest.fixture
def rig(inbox_store: InboxStore) -> Iterator[OutsideRig]:
    """Over each inbox."""
    with inbox_store.opened() as opened:
        yield OutsideRig(opened)


@over(*EVERY)
def test_each_is_called_once_and_copies_are_duplicates(rig: OutsideRig) -> None:
    """With one key for all its copies, by whichever consumer, now or later."""
    a, b = mail("a"), mail("b")
    rig.publish(a, b, a)
    first = rig.consumer().run(until_idle=IDLE)
    assert sorted(rig.calls) == ["a", "b"] and (first.applied, first.duplicates) == (2, 1)
    rig.publish(a)
    again = rig.consumer().run(until_idle=IDLE)
    assert (again.applied, again.duplicates) == (0, 1) and len(rig.calls) == 2
    assert rig.keys[rig.calls.index("a")] == f"billing:{a.id}"


@over("memory", "redis")
def test_another_payload_under_one_id_is_a_case(rig: OutsideRig) -> None:
    """It is not called, and not lost."""
    a = mail("a")
    rig.publish(a, msgspec.structs.replace(a, payload=msgspec.msgpack.encode("z")))
    done = rig.consumer().run(until_idle=IDLE)
    assert (done.applied, done.mismatches) == (1, 1)
    assert [case.reason for case in rig.cases()] == ["mismatch"]


@over("memory", "postgresql", "mongo", "redis")
def test_what_fails_is_called_again_with_the_same_key(rig: OutsideRig) -> None:
    """In place, then from the hospital, then it waits for somebody; and a copy of it is a duplicate all the while."""
    a, b = mail("a"), mail("b")
    rig.fails = {"a": 2, "b": 99}
    rig.publish(a, b)
    done = rig.consumer(attempts=3).run(until_idle=IDLE)
    assert (rig.calls.count("a"), rig.calls.count("b")) == (3, 3) and done.applied == 1
    (case,) = rig.cases()
    assert (case.status, case.reason, case.attempts) == ("admitted", "failed", 3)
    rig.publish(a, b)
    again = rig.consumer(attempts=3).run(until_idle=IDLE)
    assert again.duplicates == 2 and len(rig.calls) == 6
    rig.fails = {}
    rig.retry(case)
    done = rig.consumer(attempts=3).run(until_idle=IDLE)
    assert done.applied == 1 and rig.calls.count("b") == 4
    assert len(set(rig.keys)) == 2
    assert (rig.cases())[0].status == "discharged"


@over("memory", "redis")
@pytest.mark.parametrize(
    ("told", "policy", "calls", "status"),
    [
        ("yes", "", 0, None),
        ("no", "", 1, None),
        ("unknown", "retry", 1, None),
        ("unknown", "", 0, "admitted"),
        (None, "retry", 1, None),
        (None, "hospital", 0, "admitted"),
        ("raises", "", 0, "admitted"),
        ("perhaps", "retry", 1, None),
        ("perhaps", "", 0, "admitted"),
    ],
)
def test_a_call_that_somebody_died_in_is_in_doubt(
    rig: OutsideRig, told: str | None, policy: Any, calls: int, status: str | None
) -> None:
    """`resolve` is asked first, with the key; without it, or where it does not know, `on_in_doubt` decides."""
    a = mail("a")
    rig.died(a)

    def resolve(message: Any, context: Any) -> str:
        rig.asked.append(context.idempotency_key)
        if told == "raises":
            raise RuntimeError("the provider is away")
        assert told is not None
        return told

    asks = {} if told is None else {"resolve": resolve}
    rig.publish(a, a)
    done = rig.consumer(on_in_doubt=policy, **asks).run(until_idle=IDLE)
    assert len(rig.calls) == calls and rig.asked == ([] if told is None else [f"billing:{a.id}"])
    assert (done.applied, done.parked) == ((1, 0) if status is None else (0, 1))
    assert done.duplicates == 1
    cases = rig.cases()
    assert [(case.reason, case.status) for case in cases] == ([] if status is None else [("in_doubt", status)])


@over("memory", "postgresql", "redis")
def test_who_died_before_its_case_was_told_of_finds_the_case(rig: OutsideRig) -> None:
    """Admitted, and killed before the claim said so: whoever takes over calls nothing, the case has it."""
    a = mail("a")
    rig.fails = {"a": 99}
    rig.publish(a)
    step = rig.inbox.records.claims.step

    def dies(name: str, *more: Any, **named: Any) -> bool:
        return True if name == "complete" else step(name, *more, **named)

    rig.inbox.records.claims.step = dies
    rig.consumer(attempts=1, lease=0.4).run(until_idle=IDLE)
    rig.inbox.records.claims.step = step
    assert rig.calls == ["a"] and len(rig.cases()) == 1
    sleep(0.6)
    rig.publish(a)
    done = rig.consumer(attempts=1).run(until_idle=IDLE)
    assert done.duplicates == 1 and rig.calls == ["a"]


@over("memory", "sqlite", "mongo")
def test_keys_stay_in_order(rig: OutsideRig) -> None:
    """Reordered and doubled in the source, each is called once, in the order of its number."""
    line = [mail(f"{key}{n}", n, key) for key in "xy" for n in range(1, 6)]
    rig.publish(*line[::-1], *line)
    done = rig.consumer(order="key").run(until_idle=IDLE)
    for key in "xy":
        assert [call for call in rig.calls if call[0] == key] == [f"{key}{n}" for n in range(1, 6)]
    assert (done.applied, done.duplicates) == (10, 10)


@over("memory", "postgresql", "mongo")
def test_a_key_waits_while_one_of_it_is_in_doubt(rig: OutsideRig) -> None:
    """The others go on; once somebody has asked for it, it is called, and those behind it follow in order."""
    line = [mail(f"x{n}", n, "x") for n in range(1, 4)]
    rig.died(line[0])
    rig.publish(*line, mail("y1", 1, "y"))
    done = rig.consumer(order="key", on_in_doubt="hospital").run(until_idle=IDLE)
    assert rig.calls == ["y1"] and (done.parked, done.held) == (1, 2)
    (case,) = rig.cases()
    rig.retry(case)
    done = rig.consumer(order="key", on_in_doubt="hospital").run(until_idle=IDLE)
    assert rig.calls == ["y1", "x1", "x2", "x3"] and done.applied == 3
    rig.publish(mail("x4", 4, "x"), line[2])
    done = rig.consumer(order="key").run(until_idle=IDLE)
    assert rig.calls[-1] == "x4" and (done.applied, done.duplicates) == (1, 1)


@over("memory", "mongo")
def test_what_was_held_when_it_failed_is_called_when_its_key_goes_on(rig: OutsideRig) -> None:
    """Somebody parks the key in the middle of the call: the claim is free for whoever lets it go on."""
    one, two = mail("u1", key="u"), mail("u2", key="u")
    made = Consumer(rig.queue.member("billing"), inbox=rig.inbox, order="key")

    def send(message: Any, context: Any) -> None:
        rig.calls.append(message.payload)
        if len(rig.calls) == 1:
            case = case_of(rig.inbox, one, type="mail.send")
            assert (rig.inbox.admit(case.scope, case, one, soon(), ordered=True)).verdict is Verdict.APPLY
            raise RuntimeError("the provider is away")

    made.handler("mail.send", effect="external", attempts=1, on_in_doubt="hospital")(send)
    rig.publish(two)
    done = made.run(until_idle=IDLE)
    assert rig.calls == ["u2"] and (done.held, done.parked) == (1, 0)
    (case,) = rig.cases()
    rig.retry(case)
    made.run(until_idle=IDLE)
    assert rig.calls == ["u2", "u1", "u2"]
    assert [case.status for case in rig.cases()] == ["discharged"]


@over("memory")
def test_a_case_of_a_later_run_is_not_done_by_an_older_one(rig: OutsideRig) -> None:
    """It takes over a claim that is over, finds the case another one's, and leaves the doubt to that one."""
    a = mail("a")
    rig.died(a, case=SimpleNamespace(id="x"))

    def begin(unit: Any) -> Judged:
        return Judged(Verdict.DUPLICATE)

    def send(message: Any, context: Any) -> None:
        rig.calls.append(message.payload)

    handler = Handler("mail.send", send, effect="external", on_in_doubt="retry")
    message = message_of(a)
    errand = Errand(b"case:x", fingerprint(a), "key", handler, message, begin, looks=False, settles=True)
    outside = Outside(rig.inbox, Runs(rig.inbox, SYSTEM_CLOCK), b"billing", 60.0)
    assert (outside.run(errand)).judged.verdict is Verdict.DUPLICATE
    wish = Wish(b"consumer:billing", b"case:x", os.urandom(16), fingerprint(a), 60.0, calling=True)
    assert rig.inbox.records.claims.claim(wish, within=30.0) == Won(3, "calling") and rig.calls == []


@over("memory", "postgresql")
def test_what_is_done_and_not_yet_in_its_gate_is_not_called_again(rig: OutsideRig) -> None:
    """Killed between the two: the gate moves, nothing is called."""
    one, two = mail("x1", 1, "x"), mail("x2", 2, "x")
    wish = Wish(b"consumer:billing", stored_id(one.id), os.urandom(16), fingerprint(one), 60.0, calling=True)
    assert rig.inbox.records.claims.claim(wish, within=30.0) == Won(1)
    assert rig.inbox.records.claims.step("complete", wish, 1, within=30.0)
    rig.publish(one, two)
    rig.consumer(order="key").run(until_idle=IDLE)
    assert rig.calls == ["x2"]


@over("memory", "redis", "cassandra")
def test_who_lost_its_claim_writes_nothing(rig: OutsideRig) -> None:
    """Taken over in the middle of the call: `check_fence` raises, and the message is left to whoever has it."""
    a, lost = mail("a"), []
    made = Consumer(rig.queue.member("billing"), inbox=rig.inbox)

    def send(message: Any, context: Any) -> None:
        context.check_fence()
        watch = context._watch
        assert rig.inbox.records.claims.step("doubt", watch.wish, watch.fence, within=30.0)  # as if it were over
        other = Wish(watch.wish.scope, watch.wish.id, os.urandom(16), watch.wish.fingerprint, 600.0, calling=True)
        assert rig.inbox.records.claims.claim(other, within=30.0) == Won(2, "calling")
        try:
            context.check_fence()
        except LeaseLost:
            lost.append(message.id)
            made.stop()
            raise
        raise AssertionError("check_fence did not raise LeaseLost")

    made.handler("mail.send", effect="external", on_in_doubt="retry")(send)
    rig.publish(a)
    done = made.run()
    assert lost == [a.id] and (done.applied, done.parked, done.given_back) == (0, 0, 1)
    assert rig.cases() == []


@over("memory")
def test_mistakes_are_told_when_they_are_made(rig: OutsideRig) -> None:
    """What becomes of a doubt has to be said; an effect outside stands alone for its type."""
    for options, word in (
        ({"effect": "external"}, "on_in_doubt"),
        ({"effect": "external", "on_in_doubt": "ask"}, "retry"),
        ({"effect": "external", "on_in_doubt": "retry", "lease": 0}, "seconds"),
        ({"on_in_doubt": "retry"}, "no effect outside"),
        ({"effect": "elsewhere"}, "serves"),
        ({"effect": "redis"}, "serves"),
    ):
        consumer: Any = Consumer(rig.queue.member("billing"), inbox=rig.inbox)
        with pytest.raises(ConfigurationError, match=word):
            consumer.handler("t", **options)(lambda message, context: None)
    consumer = Consumer(rig.queue.member("billing"), inbox=rig.inbox)
    consumer.handler("t", effect="external", on_in_doubt="retry")(lambda message, context: None)
    with pytest.raises(ConfigurationError, match="several handlers"):
        consumer.handler("t")(lambda message, db: None)


@over("memory", "redis")
def test_who_is_to_halt_gives_the_message_back(rig: OutsideRig) -> None:
    """With on_poison="halt" there is no case, and the claim is free for the next run at once."""
    a = mail("a")
    rig.fails = {"a": 1}
    rig.publish(a)
    made = rig.consumer(attempts=1, on_poison="halt")
    with pytest.raises(MessagingError, match="stopped at a message"):
        made.run(until_idle=IDLE)
    assert rig.cases() == [] and rig.calls == ["a"]
    done = rig.consumer(attempts=2).run(until_idle=1.0)
    assert done.applied == 1 and rig.calls == ["a", "a"]


@pytest.mark.parametrize("name", ["mongo", "redis", "postgresql"])
def test_an_inbox_in_a_kits_store(request: pytest.FixtureRequest, name: str, sqlite_store_rig: Any) -> None:
    """On its owner, under the kit's namespace; who comes with another kit finds what was done."""
    topology = request.getfixturevalue(f"{name}_store_rig").topology()
    kinds: dict[str, Any] = {"mongo": MongoInbox, "redis": RedisInbox, "postgresql": SqlInbox}
    done, one = [], mail("a")
    with plain_of(sqlite_store_rig) as cases:
        for _ in range(2):
            with RegionKit(topology, local="us-east-1") as kit:
                more = {"hospital": cases} if name == "redis" else {}
                inbox = kinds[name](kit, store="orders", **more)
                kit.create_tables()
                inbox.create_tables()
                rig = OutsideRig(inbox)
                rig.publish(one)
                done.append(rig.consumer().run(until_idle=IDLE))
                inbox.close()
    assert [(one.applied, one.duplicates) for one in done] == [(1, 0), (0, 1)]


@over("memory", "postgresql", "mongo")
def test_who_dies_in_the_run_of_a_case_leaves_a_doubt(rig: OutsideRig) -> None:
    """The next run does not call by itself; once somebody has asked for it, it does, with the key of the message."""
    a = mail("a")
    rig.fails = {"a": 1}
    rig.publish(a)
    assert (rig.consumer(attempts=1).run(until_idle=IDLE)).parked == 1
    (case,) = rig.cases()
    rig.retry(case)
    (case,) = rig.cases()
    dead = rig.inbox.begin_treatment(case, rig.inbox.now() - 1.0, soon())
    rig.died(a, case=dead)
    rig.consumer(attempts=5, on_in_doubt="hospital").run(until_idle=IDLE)
    (case,) = rig.cases()
    assert (case.status, case.error.type.rpartition(".")[2], rig.calls) == ("admitted", "InDoubt", ["a"])
    rig.retry(case)
    done = rig.consumer(attempts=5, on_in_doubt="hospital").run(until_idle=IDLE)
    assert done.applied == 1 and rig.calls == ["a", "a"] and len(set(rig.keys)) == 1
