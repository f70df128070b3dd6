# Generated from test_effects_together_async.py by scripts/twins.py. Do not edit.
"""Effects inside Redis of many messages in one script: each as if it were alone."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from fix_inboxes import InboxStore
from fix_plain import plain_of

from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.effects_together import MOST_AT_ONCE, EffectsTogether
from regionkit.messaging.handlers import EFFECTS_TOGETHER
from regionkit.messaging.inboxes.redis import RedisInbox
from regionkit.testing import FaultProxy

from .outside_rigs import IDLE, OutsideRig, mail, soon

BOUNDS = sys.modules[EffectsTogether.__module__]

pytestmark = pytest.mark.parametrize("inbox_store", ["redis"], indirect=True)


@pytest.fixture
def rig(inbox_store: InboxStore) -> Iterator[OutsideRig]:
    """A queue over an inbox."""
    with inbox_store.opened() as opened:
        yield OutsideRig(opened)


def counting(rig: OutsideRig, commands: Any, **options: Any) -> Any:
    """A consumer with such an effect. The messages of `mail` have one key, so they are of one lane."""
    made = Consumer(rig.queue.member("billing"), inbox=rig.inbox)

    def count(message: Any) -> Any:
        rig.calls.append(message.payload)
        return commands(message)

    made.handler("mail.send", effect="redis", **options)(count)
    return made


def plus(message: Any) -> Any:
    """The effect of most: a field of a hash grows by one."""
    return [["HINCRBY", "e:hits", message.payload, 1]]


def asked(rig: OutsideRig, *words: Any) -> Any:
    """What the server answers."""

    def ask(connection: Any) -> Any:
        return connection.ask_one(*words)

    return rig.inbox._ask(soon(), ask, changes=False)


def hits(rig: OutsideRig) -> dict[str, int]:
    """How often each effect took place."""
    said = asked(rig, "HGETALL", "e:hits")
    pairs = said.items() if isinstance(said, dict) else zip(said[::2], said[1::2], strict=True)
    return {name.decode(): int(count) for name, count in pairs}


def scripts(rig: OutsideRig) -> list[int]:
    """The sizes of the scripts that a consumer sends from now on."""
    sizes: list[int] = []
    apply_many = rig.inbox.apply_many

    def counted(wishes: Any, *args: Any, **options: Any) -> Any:
        sizes.append(len(wishes))
        return apply_many(wishes, *args, **options)

    rig.inbox.apply_many = counted
    return sizes


def test_what_waits_goes_in_one_script(rig: OutsideRig) -> None:
    """In its order, each with a record of its own: a copy is a duplicate in the same script and in a later one."""
    mails = [mail(f"m{n}") for n in range(20)]
    sizes = scripts(rig)
    rig.publish(*mails, mails[3])
    done = counting(rig, plus).run(until_idle=IDLE)
    assert (done.applied, done.duplicates) == (20, 1) and sizes == [21]
    assert hits(rig) == {f"m{n}": 1 for n in range(20)} and rig.calls == [*(f"m{n}" for n in range(20)), "m3"]
    rig.publish(*mails)
    assert (counting(rig, plus).run(until_idle=IDLE)).duplicates == 20
    assert set((hits(rig)).values()) == {1}


def test_the_bounds_of_a_script(rig: OutsideRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many messages, so many commands; and `batch` of a handler says less."""
    sizes = scripts(rig)
    monkeypatch.setattr(BOUNDS, "GATHER_FOR", 60.0)
    rig.publish(*(mail(f"m{n}") for n in range(EFFECTS_TOGETHER + 5)))
    counting(rig, plus).run(until_idle=IDLE)
    assert sum(sizes) == EFFECTS_TOGETHER + 5 and max(sizes) <= EFFECTS_TOGETHER
    sizes.clear()
    rig.publish(*(mail(f"n{n}") for n in range(10)))
    counting(rig, lambda message: plus(message) * 64).run(until_idle=IDLE)
    assert sum(sizes) == 10 and max(sizes) <= MOST_AT_ONCE // 64
    sizes.clear()
    rig.publish(*(mail(f"o{n}") for n in range(6)))
    counting(rig, plus, batch=2).run(until_idle=IDLE)
    assert sizes == [2, 2, 2]


def test_a_slow_handler_holds_up_no_effect(rig: OutsideRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is after a moment is sent: the first effect stands before the last handler is called."""
    monkeypatch.setattr(BOUNDS, "GATHER_FOR", 0.0)
    seen: list[int] = []
    made = Consumer(rig.queue.member("billing"), inbox=rig.inbox)

    def slow(message: Any) -> Any:
        seen.append(len(hits(rig)))
        return plus(message)

    made.handler("mail.send", effect="redis")(slow)
    rig.publish(*(mail(f"m{n}") for n in range(4)))
    assert (made.run(until_idle=IDLE)).applied == 4 and seen == [0, 1, 2, 3]


def test_one_that_fails_goes_on_alone(rig: OutsideRig) -> None:
    """The first run counts, so no handler is called more often than it may be; the others are applied."""
    rig.fails = {"m2": 1, "m4": 99, "m6": 99}

    def commands(message: Any) -> Any:
        if rig.fails.get(message.payload, 0):
            rig.fails[message.payload] -= 1
            if message.payload == "m6":
                return [["FLUSHALL", "x"]]
            raise RegionUnavailable("a store of the handler's own is away.", fix="wait.")
        return plus(message)

    rig.publish(*(mail(f"m{n}") for n in range(8)))
    done = counting(rig, commands, attempts=2).run(until_idle=IDLE)
    assert (done.applied, done.parked) == (6, 2)
    assert [rig.calls.count(f"m{n}") for n in range(8)] == [1, 1, 2, 1, 2, 1, 2, 1]
    assert hits(rig) == dict.fromkeys(("m0", "m1", "m2", "m3", "m5", "m7"), 1)
    cases = {case.reason: case for case in rig.cases()}
    assert set(cases) == {"failed"} and cases["failed"].attempts == 2


def test_one_that_may_run_once_runs_once(rig: OutsideRig) -> None:
    """With attempts=1: an error, commands that are none, a key of another type. Each is a case with its own error."""
    asked(rig, "SET", "e:text", "x")
    bad = {"m1": [["HSET", "e:text", "f", "v"]], "m2": "SET", "m3": [["INCRBY", "e:text", 1]]}
    rig.publish(*(mail(f"m{n}") for n in range(5)))
    done = counting(rig, lambda m: bad.get(m.payload) or plus(m), attempts=1).run(until_idle=IDLE)
    assert (done.applied, done.parked) == (2, 3) and rig.calls == [f"m{n}" for n in range(5)]
    texts = sorted(case.error.text for case in rig.cases())
    assert len(texts) == 3 and {"is a string" in text for text in texts} == {True, False}
    assert hits(rig) == {"m0": 1, "m4": 1}


def test_one_done_in_part_is_in_doubt(rig: OutsideRig) -> None:
    """It alone; the case names the command that was refused."""
    asked(rig, "ACL", "SETUSER", "default", "-zadd")
    try:
        rig.publish(*(mail(f"m{n}") for n in range(3)))

        def commands(message: Any) -> Any:
            return [*plus(message), ["ZADD", "e:zset", 1, "m"]] if message.payload == "m1" else plus(message)

        done = counting(rig, commands, attempts=3).run(until_idle=IDLE)
    finally:
        asked(rig, "ACL", "SETUSER", "default", "+zadd")
    assert (done.applied, done.parked) == (2, 1) and hits(rig) == {"m0": 1, "m1": 1, "m2": 1}
    [case] = rig.cases()
    assert case.reason == "in_doubt" and "ZADD was refused" in case.error.text and rig.calls.count("m1") == 1


def test_another_payload_of_an_id_is_a_case(rig: OutsideRig) -> None:
    """In the same script as the first one."""
    a, b = mail("a"), mail("b")
    rig.publish(a, msgspec.structs.replace(a, payload=msgspec.msgpack.encode("z")), b)
    done = counting(rig, plus).run(until_idle=IDLE)
    assert (done.applied, done.mismatches) == (2, 1) and hits(rig) == {"a": 1, "b": 1}


def test_a_lost_answer(rig: OutsideRig, inbox_store: InboxStore) -> None:
    """All of them are delivered again, and found done. Where nothing was sent, they wait for the server and are applied."""
    with FaultProxy(inbox_store.rig.urls[0]) as proxy:
        with plain_of(SimpleNamespace(server="redis", urls=[proxy.url])) as client:  # type: ignore[arg-type]
            inbox = RedisInbox(client, hospital=rig.inbox.cases, namespace="inboxes")
            through = OutsideRig(inbox)
            through.publish(mail("w"))
            assert (counting(through, plus).run(until_idle=IDLE)).applied == 1
            lost: list[int] = []

            def commands(message: Any) -> Any:
                if not lost:
                    lost.append(1)
                    proxy.drop_replies()
                return plus(message)

            through.publish(*(mail(f"m{n}") for n in range(5)))
            threading.Thread(target=_heals, args=(proxy,), daemon=True).start()
            done = counting(through, commands).run(until_idle=2.0)
            assert (done.applied, done.duplicates) == (0, 5) and proxy.dropped > 0
            assert hits(rig) == {"w": 1, **{f"m{n}": 1 for n in range(5)}}
            inbox.records.close()


def _heals(proxy: FaultProxy) -> None:
    while not proxy.dropped:
        time.sleep(0.01)
    time.sleep(0.1)
    proxy.heal()


def test_calls_outside_are_no_batch(rig: OutsideRig) -> None:
    """Each has a claim and a key of its own: a batch of them is refused when it is registered."""
    consumer = Consumer(rig.queue.member("billing"), inbox=rig.inbox, batch=50)
    with pytest.raises(ConfigurationError, match="a claim and a key of its own"):
        consumer.handler("mail.send", effect="external", on_in_doubt="retry", batch=2)(plus)
    consumer.handler("mail.send", effect="external", on_in_doubt="retry", rerunnable=True)(plus)
    assert [handler.batch for handler in consumer._handlers] == [1]
