# Generated from test_claim_inboxes_async.py by scripts/twins.py. Do not edit.
"""Inboxes of claims alone: what they refuse, and effects inside Redis with their record."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from fix_inboxes import InboxStore
from fix_plain import plain_of

from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.messaging.claim import Wish, Won
from regionkit.messaging.consumer import Consumer
from regionkit.messaging.envelope import fingerprint, stored_id
from regionkit.messaging.inboxes.cassandra import CassandraInbox
from regionkit.messaging.inboxes.redis import EVICTS, NOT_KEPT, RedisInbox, lost_by
from regionkit.messaging.sources import MemoryQueue
from regionkit.testing import FaultProxy

from .outside_rigs import IDLE, OutsideRig, mail, soon


@pytest.fixture
def rig(inbox_store: InboxStore) -> Iterator[OutsideRig]:
    """A queue over an inbox."""
    with inbox_store.opened() as opened:
        yield OutsideRig(opened)


redis_alone = pytest.mark.parametrize("inbox_store", ["redis"], indirect=True)


def counting(rig: OutsideRig, commands: Any, **options: Any) -> Any:
    """A consumer whose effect is those commands; "KEY" in one is a key of the test's own."""
    made = Consumer(rig.queue.member("billing"), inbox=rig.inbox)

    def count(message: Any) -> Any:
        rig.calls.append(message.payload)
        return commands(message) if callable(commands) else commands

    made.handler("mail.send", effect="redis", **options)(count)
    return made


def asked(rig: OutsideRig, *words: Any) -> Any:
    """What the server answers."""

    def ask(connection: Any) -> Any:
        return connection.ask_one(*words)

    return rig.inbox._ask(soon(), ask, changes=False)


@redis_alone
def test_an_effect_and_its_record_are_one_step(rig: OutsideRig) -> None:
    """Every kind of command, once, however often the message comes."""
    a = mail("a")
    commands = [
        ["SET", "t:text", "x"],
        ["INCRBY", "t:number", 5],
        ["HSET", "t:hash", "name", "n", "other", "o"],
        ["HINCRBY", "t:hash", "count", -2],
        ["SADD", "t:set", "m", b"\xff"],
        ["ZADD", "t:zset", 1.5, "m"],
        ["RPUSH", "t:list", "1", "2"],
        ["XADD", "t:stream", "*", "f", "v"],
        ["PEXPIRE", "t:text", 600_000],
    ]
    rig.publish(a, a)
    done = counting(rig, commands).run(until_idle=IDLE)
    assert (done.applied, done.duplicates) == (1, 1)
    rig.publish(a)
    assert (counting(rig, commands).run(until_idle=IDLE)).duplicates == 1
    assert asked(rig, "GET", "t:number") == b"5" and asked(rig, "HGET", "t:hash", "count") == b"-2"
    assert asked(rig, "XLEN", "t:stream") == 1 and asked(rig, "LLEN", "t:list") == 2
    assert 0 < asked(rig, "PTTL", "t:text") <= 600_000


@redis_alone
def test_half_an_effect_is_none(rig: OutsideRig) -> None:
    """The second command does not fit its key, so the first is not done, there is no record, and a case stands."""
    asked(rig, "SET", "h:text", "abc")
    for bad in (["HSET", "h:text", "f", "v"], ["INCRBY", "h:text", 1], ["LPUSH", "h:text", "v"]):
        rig.publish(mail("a"))
        done = counting(rig, [["INCRBY", "h:number", 1], bad], attempts=1).run(until_idle=IDLE)
        assert (done.applied, done.parked) == (0, 1), bad
    assert asked(rig, "GET", "h:number") is None
    cases = rig.cases()
    assert {case.reason for case in cases} == {"failed"} and "h:text is a string" in "".join(
        c.error.text for c in cases
    )
    rig.retry(cases[0])
    asked(rig, "DEL", "h:text")
    done = counting(rig, [["INCRBY", "h:number", 1]]).run(until_idle=IDLE)
    assert done.applied == 1 and asked(rig, "GET", "h:number") == b"1"


@redis_alone
def test_an_effect_that_failed_is_a_case_and_its_copies_are_duplicates(rig: OutsideRig) -> None:
    """Asked for again in place first; and one whose claim has lapsed meanwhile is done, unless its case stands."""
    a = mail("a")
    rig.fails = {"a": 2}

    def commands(message: Any) -> Any:
        if rig.fails["a"]:
            rig.fails["a"] -= 1
            raise RegionUnavailable("a store of the handler's own is away.", fix="wait.")
        return [["INCRBY", "f:number", 1]]

    rig.publish(a)
    assert (counting(rig, commands, attempts=3).run(until_idle=IDLE)).applied == 1
    b = mail("b")
    rig.fails = {"a": 9}
    rig.publish(b)
    assert (counting(rig, commands, attempts=1).run(until_idle=IDLE)).parked == 1
    rig.fails = {"a": 0}
    rig.publish(b)
    assert (counting(rig, commands).run(until_idle=IDLE)).duplicates == 1
    c = mail("c")
    wish = Wish(b"consumer:billing", stored_id(c.id), os.urandom(16), fingerprint(c), 0.2)
    assert isinstance(rig.inbox.records.claims.claim(wish, within=30.0), Won)
    rig.publish(c)
    assert (counting(rig, commands).run(until_idle=1.0)).applied == 1  # given back for half of that
    assert asked(rig, "GET", "f:number") == b"2"


@redis_alone
def test_an_effect_done_in_part_is_in_doubt(rig: OutsideRig) -> None:
    """The account lacks a right in the middle: nobody does the first commands again, and somebody has to look."""
    a = mail("a")
    asked(rig, "ACL", "SETUSER", "default", "-zadd")
    try:
        rig.publish(a, a)
        commands = [["INCRBY", "p:number", 1], ["ZADD", "p:zset", 1, "m"]]
        done = counting(rig, commands, attempts=3).run(until_idle=IDLE)
    finally:
        asked(rig, "ACL", "SETUSER", "default", "+zadd")
    assert (done.applied, done.parked, done.duplicates) == (0, 1, 1)
    assert [case.reason for case in rig.cases()] == ["in_doubt"]
    assert asked(rig, "GET", "p:number") == b"1"


@redis_alone
def test_commands_that_may_not_be_one_effect(rig: OutsideRig) -> None:
    """Told to the handler, as its mistake, before anything is sent."""
    rig.publish(mail("a"))
    done = counting(rig, [["SADD", "c:k", "m"], ["FLUSHALL", "x"]], attempts=1).run(until_idle=IDLE)
    assert (done.applied, done.parked) == (0, 1) and asked(rig, "EXISTS", "c:k") == 0
    assert [case.error.type.rpartition(".")[2] for case in rig.cases()] == ["UsageError"]


@redis_alone
def test_what_a_server_may_lose_is_said(rig: OutsideRig) -> None:
    """EFFECTIVELY_ONCE needs noeviction and an append-only file: else the label drops, and the notes say why."""
    notes: tuple[str, ...] = ("n",)
    assert lost_by(notes, {"maxmemory_policy": "noeviction", "aof_enabled": "1"}) == (notes, True)
    assert lost_by(notes, {"maxmemory_policy": "allkeys-lru", "aof_enabled": "1"}) == (("n", EVICTS), False)
    assert lost_by(notes, {"maxmemory_policy": "noeviction", "aof_enabled": "0"}) == (("n", NOT_KEPT), False)
    with pytest.raises(ConfigurationError, match="Cluster"):
        lost_by(notes, {"cluster_enabled": "1"})
    said = asked(rig, "INFO", "persistence")
    assert rig.inbox.transactional is (b"aof_enabled:1" in said)


@pytest.mark.parametrize("inbox_store", ["redis", "cassandra"], indirect=True)
def test_what_needs_a_transaction_is_refused(rig: OutsideRig, inbox_store: InboxStore) -> None:
    """Order, an effect in a transaction that there is none of, and cases without a database for them."""
    queue = MemoryQueue("q", group="g")
    with pytest.raises(ConfigurationError, match="no gates"):
        Consumer(queue, inbox=rig.inbox, order="key")
    consumer = Consumer(queue, inbox=rig.inbox)
    with pytest.raises(ConfigurationError, match="serves external"):
        consumer.handler("t")(lambda message, db: None)
    with pytest.raises(ConfigurationError, match="serves external"):
        consumer.batch_handler("t", rerunnable=True)(lambda messages, db: None)
    with pytest.raises(ConfigurationError, match="serves external"):
        consumer.statement("t", "UPDATE a SET b = 1")
    kind = {"redis": RedisInbox, "cassandra": CassandraInbox}[inbox_store.name]
    for hospital in (None, rig.inbox):
        with pytest.raises(ConfigurationError, match="hospital"):
            kind(rig.inbox.records._given, hospital=hospital)


@redis_alone
def test_another_payload_of_an_id_changes_nothing(rig: OutsideRig) -> None:
    """It is a case, beside the record."""
    a = mail("a")
    rig.publish(a, msgspec.structs.replace(a, payload=msgspec.msgpack.encode("z")))
    done = counting(rig, [["INCRBY", "m:number", 1]]).run(until_idle=IDLE)
    assert (done.applied, done.mismatches) == (1, 1) and asked(rig, "GET", "m:number") == b"1"


@redis_alone
def test_an_answer_that_is_lost_is_asked_for_again(rig: OutsideRig, inbox_store: InboxStore) -> None:
    """The reply to an effect is lost, and that to "done": the effect stands once, and the call is made once."""
    with FaultProxy(inbox_store.rig.urls[0]) as proxy:
        with plain_of(SimpleNamespace(server="redis", urls=[proxy.url])) as client:  # type: ignore[arg-type]
            inbox = RedisInbox(client, hospital=rig.inbox.cases, namespace="inboxes")
            through = OutsideRig(inbox)

            script = inbox._script

            class Lossy:
                """The reply to the second one is lost."""

                def run(self, *words: Any) -> Any:
                    if len(through.calls) == 2:  # the server knows the script by then
                        proxy.drop_replies()
                    return script.run(*words)

            def commands(message: Any) -> Any:
                proxy.heal()
                return [["INCRBY", "l:number", 1]]

            inbox._script = Lossy()
            through.publish(mail("w"))
            assert (counting(through, commands).run(until_idle=IDLE)).applied == 1
            through.publish(mail("a"))
            done = counting(through, commands).run(until_idle=2.0)
            assert (done.applied, done.duplicates) == (0, 1) and proxy.dropped > 0
            assert asked(rig, "GET", "l:number") == b"2"
            sent: list[str] = []
            made = Consumer(through.queue.member("billing"), inbox=inbox)

            def send(message: Any, context: Any) -> None:
                sent.append(message.payload)
                proxy.drop_replies()
                threading.Timer(0.7, proxy.heal).start()

            made.handler("mail.send", effect="external", on_in_doubt="hospital")(send)
            through.publish(mail("b"))
            done = made.run(until_idle=2.0)
            assert (done.applied, done.parked, sent) == (1, 0, ["b"])
            inbox.records.close()
