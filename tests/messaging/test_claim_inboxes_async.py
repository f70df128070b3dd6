"""Inboxes of claims alone: what they refuse, and effects inside Redis with their record."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from fix_inboxes import InboxStore
from fix_plain import async_plain_of

from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.messaging.claim import Wish, Won
from regionkit.messaging.consumer_async import AsyncConsumer
from regionkit.messaging.envelope import fingerprint, stored_id
from regionkit.messaging.inboxes.cassandra_async import AsyncCassandraInbox
from regionkit.messaging.inboxes.redis_async import EVICTS, NOT_KEPT, AsyncRedisInbox, lost_by
from regionkit.messaging.sources import AsyncMemoryQueue
from regionkit.testing import FaultProxy

from .outside_rigs_async import IDLE, AsyncOutsideRig, mail, soon


@pytest.fixture
async def rig(inbox_store: InboxStore) -> AsyncIterator[AsyncOutsideRig]:
    """A queue over an inbox."""
    async with inbox_store.opened_async() as opened:
        yield AsyncOutsideRig(opened)


redis_alone = pytest.mark.parametrize("inbox_store", ["redis"], indirect=True)


def counting(rig: AsyncOutsideRig, commands: Any, **options: Any) -> Any:
    """A consumer whose effect is those commands; "KEY" in one is a key of the test's own."""
    made = AsyncConsumer(rig.queue.member("billing"), inbox=rig.inbox)

    def count(message: Any) -> Any:
        rig.calls.append(message.payload)
        return commands(message) if callable(commands) else commands

    made.handler("mail.send", effect="redis", **options)(count)
    return made


async def asked(rig: AsyncOutsideRig, *words: Any) -> Any:
    """What the server answers."""

    async def ask(connection: Any) -> Any:
        return await connection.ask_one(*words)

    return await rig.inbox._ask(soon(), ask, changes=False)


@redis_alone
async def test_an_effect_and_its_record_are_one_step(rig: AsyncOutsideRig) -> None:
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
    await rig.publish(a, a)
    done = await counting(rig, commands).run(until_idle=IDLE)
    assert (done.applied, done.duplicates) == (1, 1)
    await rig.publish(a)
    assert (await counting(rig, commands).run(until_idle=IDLE)).duplicates == 1
    assert await asked(rig, "GET", "t:number") == b"5" and await asked(rig, "HGET", "t:hash", "count") == b"-2"
    assert await asked(rig, "XLEN", "t:stream") == 1 and await asked(rig, "LLEN", "t:list") == 2
    assert 0 < await asked(rig, "PTTL", "t:text") <= 600_000


@redis_alone
async def test_half_an_effect_is_none(rig: AsyncOutsideRig) -> None:
    """The second command does not fit its key, so the first is not done, there is no record, and a case stands."""
    await asked(rig, "SET", "h:text", "abc")
    for bad in (["HSET", "h:text", "f", "v"], ["INCRBY", "h:text", 1], ["LPUSH", "h:text", "v"]):
        await rig.publish(mail("a"))
        done = await counting(rig, [["INCRBY", "h:number", 1], bad], attempts=1).run(until_idle=IDLE)
        assert (done.applied, done.parked) == (0, 1), bad
    assert await asked(rig, "GET", "h:number") is None
    cases = await rig.cases()
    assert {case.reason for case in cases} == {"failed"} and "h:text is a string" in "".join(
        c.error.text for c in cases
    )
    await rig.retry(cases[0])
    await asked(rig, "DEL", "h:text")
    done = await counting(rig, [["INCRBY", "h:number", 1]]).run(until_idle=IDLE)
    assert done.applied == 1 and await asked(rig, "GET", "h:number") == b"1"


@redis_alone
async def test_an_effect_that_failed_is_a_case_and_its_copies_are_duplicates(rig: AsyncOutsideRig) -> None:
    """Asked for again in place first; and one whose claim has lapsed meanwhile is done, unless its case stands."""
    a = mail("a")
    rig.fails = {"a": 2}

    def commands(message: Any) -> Any:
        if rig.fails["a"]:
            rig.fails["a"] -= 1
            raise RegionUnavailable("a store of the handler's own is away.", fix="wait.")
        return [["INCRBY", "f:number", 1]]

    await rig.publish(a)
    assert (await counting(rig, commands, attempts=3).run(until_idle=IDLE)).applied == 1
    b = mail("b")
    rig.fails = {"a": 9}
    await rig.publish(b)
    assert (await counting(rig, commands, attempts=1).run(until_idle=IDLE)).parked == 1
    rig.fails = {"a": 0}
    await rig.publish(b)
    assert (await counting(rig, commands).run(until_idle=IDLE)).duplicates == 1
    c = mail("c")
    wish = Wish(b"consumer:billing", stored_id(c.id), os.urandom(16), fingerprint(c), 0.2)
    assert isinstance(await rig.inbox.records.claims.claim(wish, within=30.0), Won)
    await rig.publish(c)
    assert (await counting(rig, commands).run(until_idle=1.0)).applied == 1  # given back for half of that
    assert await asked(rig, "GET", "f:number") == b"2"


@redis_alone
async def test_an_effect_done_in_part_is_in_doubt(rig: AsyncOutsideRig) -> None:
    """The account lacks a right in the middle: nobody does the first commands again, and somebody has to look."""
    a = mail("a")
    await asked(rig, "ACL", "SETUSER", "default", "-zadd")
    try:
        await rig.publish(a, a)
        commands = [["INCRBY", "p:number", 1], ["ZADD", "p:zset", 1, "m"]]
        done = await counting(rig, commands, attempts=3).run(until_idle=IDLE)
    finally:
        await asked(rig, "ACL", "SETUSER", "default", "+zadd")
    assert (done.applied, done.parked, done.duplicates) == (0, 1, 1)
    assert [case.reason for case in await rig.cases()] == ["in_doubt"]
    assert await asked(rig, "GET", "p:number") == b"1"


@redis_alone
async def test_commands_that_may_not_be_one_effect(rig: AsyncOutsideRig) -> None:
    """Told to the handler, as its mistake, before anything is sent."""
    await rig.publish(mail("a"))
    done = await counting(rig, [["SADD", "c:k", "m"], ["FLUSHALL", "x"]], attempts=1).run(until_idle=IDLE)
    assert (done.applied, done.parked) == (0, 1) and await asked(rig, "EXISTS", "c:k") == 0
    assert [case.error.type.rpartition(".")[2] for case in await rig.cases()] == ["UsageError"]


@redis_alone
async def test_what_a_server_may_lose_is_said(rig: AsyncOutsideRig) -> None:
    """EFFECTIVELY_ONCE needs noeviction and an append-only file: else the label drops, and the notes say why."""
    notes: tuple[str, ...] = ("n",)
    assert lost_by(notes, {"maxmemory_policy": "noeviction", "aof_enabled": "1"}) == (notes, True)
    assert lost_by(notes, {"maxmemory_policy": "allkeys-lru", "aof_enabled": "1"}) == (("n", EVICTS), False)
    assert lost_by(notes, {"maxmemory_policy": "noeviction", "aof_enabled": "0"}) == (("n", NOT_KEPT), False)
    with pytest.raises(ConfigurationError, match="Cluster"):
        lost_by(notes, {"cluster_enabled": "1"})
    said = await asked(rig, "INFO", "persistence")
    assert rig.inbox.transactional is (b"aof_enabled:1" in said)


@pytest.mark.parametrize("inbox_store", ["redis", "cassandra"], indirect=True)
async def test_what_needs_a_transaction_is_refused(rig: AsyncOutsideRig, inbox_store: InboxStore) -> None:
    """Order, an effect in a transaction that there is none of, and cases without a database for them."""
    queue = AsyncMemoryQueue("q", group="g")
    with pytest.raises(ConfigurationError, match="no gates"):
        AsyncConsumer(queue, inbox=rig.inbox, order="key")
    consumer = AsyncConsumer(queue, inbox=rig.inbox)
    with pytest.raises(ConfigurationError, match="serves external"):
        consumer.handler("t")(lambda message, db: None)
    with pytest.raises(ConfigurationError, match="serves external"):
        consumer.batch_handler("t", rerunnable=True)(lambda messages, db: None)
    with pytest.raises(ConfigurationError, match="serves external"):
        consumer.statement("t", "UPDATE a SET b = 1")
    kind = {"redis": AsyncRedisInbox, "cassandra": AsyncCassandraInbox}[inbox_store.name]
    for hospital in (None, rig.inbox):
        with pytest.raises(ConfigurationError, match="hospital"):
            kind(rig.inbox.records._given, hospital=hospital)


@redis_alone
async def test_another_payload_of_an_id_changes_nothing(rig: AsyncOutsideRig) -> None:
    """It is a case, beside the record."""
    a = mail("a")
    await rig.publish(a, msgspec.structs.replace(a, payload=msgspec.msgpack.encode("z")))
    done = await counting(rig, [["INCRBY", "m:number", 1]]).run(until_idle=IDLE)
    assert (done.applied, done.mismatches) == (1, 1) and await asked(rig, "GET", "m:number") == b"1"


@redis_alone
async def test_an_answer_that_is_lost_is_asked_for_again(rig: AsyncOutsideRig, inbox_store: InboxStore) -> None:
    """The reply to an effect is lost, and that to "done": the effect stands once, and the call is made once."""
    with FaultProxy(inbox_store.rig.urls[0]) as proxy:
        async with async_plain_of(SimpleNamespace(server="redis", urls=[proxy.url])) as client:  # type: ignore[arg-type]
            inbox = AsyncRedisInbox(client, hospital=rig.inbox.cases, namespace="inboxes")
            through = AsyncOutsideRig(inbox)

            script = inbox._script

            class Lossy:
                """The reply to the second one is lost."""

                async def run(self, *words: Any) -> Any:
                    if len(through.calls) == 2:  # the server knows the script by then
                        proxy.drop_replies()
                    return await script.run(*words)

            def commands(message: Any) -> Any:
                proxy.heal()
                return [["INCRBY", "l:number", 1]]

            inbox._script = Lossy()
            await through.publish(mail("w"))
            assert (await counting(through, commands).run(until_idle=IDLE)).applied == 1
            await through.publish(mail("a"))
            done = await counting(through, commands).run(until_idle=2.0)
            assert (done.applied, done.duplicates) == (0, 1) and proxy.dropped > 0
            assert await asked(rig, "GET", "l:number") == b"2"
            sent: list[str] = []
            made = AsyncConsumer(through.queue.member("billing"), inbox=inbox)

            def send(message: Any, context: Any) -> None:
                sent.append(message.payload)
                proxy.drop_replies()
                threading.Timer(0.7, proxy.heal).start()

            made.handler("mail.send", effect="external", on_in_doubt="hospital")(send)
            await through.publish(mail("b"))
            done = await made.run(until_idle=2.0)
            assert (done.applied, done.parked, sent) == (1, 0, ["b"])
            await inbox.records.close()
