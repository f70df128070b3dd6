"""Redis under faults: lost replies, frozen and killed servers, promotions that were recorded, lost, or made behind our back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import redis.asyncio
from fix_rig_redis import DATABASE
from fix_rigs import wait_until
from fix_store_rigs import NAMESPACE, REGIONS

from regionkit import (
    EVENTUAL,
    AsyncRegionKit,
    DeadlineExceeded,
    Endpoint,
    Fenced,
    NoEligibleEndpoint,
    OutcomeUnknown,
    RedisStore,
    Region,
    RegionKit,
    RegionKitError,
    RegionUnavailable,
    Role,
    StaleRead,
    Topology,
)
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.facts.record import Record
from regionkit.testing import FaultProxy

pytestmark = pytest.mark.redis

KEY = "a key of more than sixteen characters"
QUICK = {"base": "aggressive", "probe_timeout": 2.0, "trip_probes": 20, "open_first": 0.1, "open_longest": 0.2}
QUICK |= {"read_deadline": 10.0, "write_deadline": 10.0}
MONITOR_ONLY = {"base": "gentle", "sample_every": 3600.0, "probe_every": 3600.0}


def regions(*urls: str, **options: Any) -> Topology:
    """A primary and its replicas."""
    endpoints = [Endpoint(r, Role.REPLICA if i else Role.PRIMARY, u) for i, (r, u) in enumerate(zip(REGIONS, urls))]
    store = RedisStore("orders", endpoints=endpoints, options=options or None)
    return Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])


def kit_of(servers: Any, local: str = REGIONS[1]) -> RegionKit:
    """A kit over these servers whose monitor is quick."""
    return RegionKit(regions(*[n.url for n in servers.nodes]), local=local, profile=QUICK, bookmark_keys=[KEY])


@pytest.fixture
def proxied(redis_store_rig: Any) -> Iterator[tuple[RegionKit, FaultProxy, redis.Redis]]:
    """A kit that reaches the primary through a proxy, the proxy, and a client past both."""
    url = redis_store_rig.urls[0]
    with FaultProxy(url) as proxy, redis.Redis.from_url(url) as plain:
        with RegionKit(regions(proxy.url), local=REGIONS[0], profile=QUICK) as kit:
            kit.create_tables()
            yield kit, proxy, plain


def healed(kit: RegionKit, proxy: FaultProxy) -> None:
    """Heal the network, and wait until the breaker lets writes through again."""
    proxy.heal()
    wait_until(lambda: kit.explain("orders", "write").decision.outcome.value == "use")


def executions(client: redis.Redis, command: str) -> int:
    """How often the server ran a command."""
    found: Any = client.info("commandstats")
    return int(found.get(f"cmdstat_{command}", {"calls": 0})["calls"])


class Relay(socketserver.ThreadingTCPServer):
    """Passes everything on, handshakes too, except replies to requests that hold `word`: the server has executed those.

    Attributes:
        asked: all that clients sent.
        spoils: how many more replies are not passed on.
        instead: what the client gets in place of such a reply; by default its connection ends.
    """

    daemon_threads = True

    def __init__(self, url: str, word: bytes) -> None:
        self._parts = urlsplit(url)
        self.word = word
        self.asked: list[bytes] = []
        self.spoils = 1_000
        self.instead = b""
        super().__init__(("127.0.0.1", 0), _Passage)

    @property
    def url(self) -> str:
        """The server's URL, through the relay."""
        return self._parts._replace(netloc=f"127.0.0.1:{self.server_address[1]}").geturl()

    def dial(self) -> socket.socket:
        """A connection to the server."""
        return socket.create_connection((self._parts.hostname or "", self._parts.port or 0))


class _Passage(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        """One client's connection, until either side ends it."""
        client: socket.socket = self.request
        struck = False
        with contextlib.suppress(OSError), self.server.dial() as server:
            while True:
                for side in select.select([client, server], [], [])[0]:
                    data = side.recv(65536)
                    if side is client:
                        self.server.asked.append(data)
                        struck = self.server.word in data and self.server.spoils > 0
                    elif struck:
                        self.server.spoils -= 1
                        struck, data = False, self.server.instead
                    if not data:
                        return
                    (server if side is client else client).sendall(data)


@contextlib.contextmanager
def relayed(url: str, word: bytes) -> Iterator[Relay]:
    """A relay that runs."""
    with Relay(url, word) as relay:
        thread = threading.Thread(target=relay.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()


def test_a_lost_reply_runs_a_command_once_and_redis_py_runs_it_eleven_times(redis_store_rig: Any) -> None:
    """Connecting anew works each time, and the server counts (redis-py sends INCRBY): the driver alone repeats it
    until its retries are used up, or tells a success that is two; a block sends it once and does not know."""
    url = redis_store_rig.urls[0]
    with relayed(url, b"INCRBY") as relay, redis.Redis.from_url(url) as plain:
        with RegionKit(regions(relay.url), local=REGIONS[0], profile=QUICK) as kit:
            kit.create_tables()
            before = executions(plain, "incrby")
            with pytest.raises(OutcomeUnknown) as caught, kit.session() as s, s.write("orders") as client:
                client.incr("ours")
            assert caught.value.committed == "unknown"
        assert executions(plain, "incrby") - before == 1
        assert plain.get("ours") == b"1"
        host, port = relay.server_address[:2]
        with redis.Redis(str(host), port, db=DATABASE) as alone:  # from_url() makes one that does not retry
            before = executions(plain, "incrby")
            with pytest.raises(redis.exceptions.ConnectionError):
                alone.incr("theirs")
            assert executions(plain, "incrby") - before == 11  # redis-py 8 retries ten times by default
            assert plain.get("theirs") == b"11"
            relay.spoils = 1
            assert alone.incr("once") == 2


@pytest.mark.parametrize("way", ["pipeline", "transaction", "script", "watched"])
def test_a_lost_reply_of_several_commands_is_unknown(
    proxied: tuple[RegionKit, FaultProxy, redis.Redis], way: str
) -> None:
    """Also where the driver alone would say that a watched variable changed."""
    kit, proxy, plain = proxied
    with kit.session() as s:
        with pytest.raises(OutcomeUnknown), s.write("orders") as client:
            pipe = client.pipeline(transaction=way != "pipeline")
            if way == "watched":
                pipe.watch("n")
                pipe.multi()
            client.ping()
            proxy.drop_replies()
            if way == "script":
                client.eval("return redis.call('INCR', KEYS[1])", 1, "n")
            else:
                pipe.incr("n")
                pipe.execute()
        healed(kit, proxy)
        with s.read("orders") as client:
            assert client.get("n") == b"1"
    assert plain.get("n") == b"1"


def test_a_swallowed_loss_is_told_at_the_end(proxied: tuple[RegionKit, FaultProxy, redis.Redis]) -> None:
    """A block does not go on over another connection, and its loss does not get lost."""
    kit, proxy, _ = proxied
    with pytest.raises(OutcomeUnknown), kit.session() as s, s.write("orders") as client:
        client.ping()
        proxy.drop_replies()
        with pytest.raises(redis.exceptions.ConnectionError):
            client.incr("n")
        proxy.heal()
        with pytest.raises(redis.exceptions.ConnectionError, match="does not change it"):
            client.incr("n")
        raise ZeroDivisionError


def test_a_keyed_write_whose_reply_is_lost_takes_effect_once(
    proxied: tuple[RegionKit, FaultProxy, redis.Redis],
) -> None:
    """The next run finds the marker; so does resolve."""
    kit, proxy, plain = proxied
    runs = []

    def work(pipe: Any) -> None:
        runs.append(1)
        pipe.incr("n")
        if len(runs) == 1:
            proxy.drop_replies()
            threading.Timer(0.3, proxy.heal).start()

    with kit.session() as s:
        assert s.execute_write("orders", work, idempotency_key="k", timeout=20.0) == [1]
    assert plain.get("n") == b"1"
    assert kit.resolve(OutcomeUnknown("x", store="orders", idempotency_key="k", began_at=time.time())) == "yes"


def test_a_script_that_comes_after_resolve_does_nothing(proxied: tuple[RegionKit, FaultProxy, redis.Redis]) -> None:
    """It was held on the way; "no" stays true when it arrives."""
    kit, proxy, plain = proxied

    def work(pipe: Any) -> None:
        pipe.incr("n")
        proxy.freeze()

    with kit.session() as s:
        s.execute_write("orders", lambda pipe: pipe.ping(), idempotency_key="first")  # the server knows the script
    with pytest.raises(OutcomeUnknown) as caught, kit.session() as s:
        s.execute_write("orders", work, idempotency_key="k", timeout=0.5)
    direct = RegionKit(regions(plain_url(plain)), local=REGIONS[0], profile=QUICK)
    with direct:
        assert direct.resolve(caught.value) == "no"
    before = executions(plain, "evalsha")
    proxy.heal()
    wait_until(lambda: executions(plain, "evalsha") > before)
    assert plain.get("n") is None


def plain_url(client: redis.Redis) -> str:
    """The URL of a client."""
    arguments = client.get_connection_kwargs()
    return f"redis://{arguments['host']}:{arguments['port']}/{arguments['db']}"


@pytest.mark.parametrize("kind", ["read", "write", "blocking", "connecting"])
def test_a_frozen_server_costs_no_more_than_the_deadline(
    proxied: tuple[RegionKit, FaultProxy, redis.Redis], kind: str
) -> None:
    """A read fails for sure, a write is unknown, a blocking command is bounded too."""
    kit, proxy, _ = proxied
    expected: Any = {"read": DeadlineExceeded, "connecting": (DeadlineExceeded, RegionUnavailable)}
    with kit.session() as s, pytest.raises(expected.get(kind, OutcomeUnknown)):
        began = time.monotonic()
        if kind == "connecting":
            kit._store("orders").shards[0].backend(0).evict()
            proxy.freeze()
        block = s.write("orders", timeout=0.5) if kind in ("write", "blocking") else s.read("orders", timeout=0.5)
        with block as client:
            client.ping()
            if kind == "blocking":
                client.blpop("nothing", timeout=0)
            proxy.freeze()
            client.set("a", "1") if kind == "write" else client.get("a")
    assert time.monotonic() - began < 5.0
    healed(kit, proxy)
    with kit.session() as s, s.read("orders") as client:
        assert client.ping()


def test_a_slow_trickle_ends_at_the_deadline_too(proxied: tuple[RegionKit, FaultProxy, redis.Redis]) -> None:
    """Each byte in time, the reply not: the deadline is the command's, not the byte's."""
    kit, proxy, plain = proxied
    plain.set("large", "x" * 2_000_000)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded), kit.session() as s, s.read("orders", timeout=1.0) as client:
        client.ping()
        proxy.bandwidth(100_000)
        client.get("large")
    assert time.monotonic() - began < 6.0
    healed(kit, proxy)


def test_a_full_pool_is_waited_for_within_the_deadline(redis_store_rig: Any) -> None:
    """And the endpoint is not blamed for it."""
    with RegionKit(regions(redis_store_rig.urls[0], pool_size=1), local=REGIONS[0], profile=QUICK) as kit:
        with kit.session() as s, s.read("orders") as client, kit.session() as other:
            client.ping()
            with pytest.raises(DeadlineExceeded, match="in use"), other.read("orders", timeout=0.2) as second:
                second.ping()
        with kit.session() as s, s.read("orders") as client:
            assert client.ping()


async def test_a_cancelled_command_leaves_no_reply_to_another(redis_store_rig: Any) -> None:
    """Of a hundred readers that are cancelled at any moment, none leaves a connection on which the next gets a foreign value."""
    with redis.Redis.from_url(redis_store_rig.urls[0]) as plain:
        for number in range(50):
            plain.set(f"k{number}", f"value {number}")
    topology = regions(redis_store_rig.urls[0], pool_size=4)
    async with AsyncRegionKit(topology, local=REGIONS[0], profile=QUICK) as kit:

        async def read(number: int) -> None:
            async with kit.session() as s, s.read("orders", consistency=EVENTUAL) as client:
                for _ in range(5):
                    assert await client.get(f"k{number}") == f"value {number}".encode()
                    async with client.pipeline() as pipe:
                        pipe.get(f"k{number}")
                        assert await pipe.execute() == [f"value {number}".encode()]

        for wait in range(20):
            tasks = [asyncio.create_task(read(number)) for number in range(50)]
            await asyncio.sleep(0.0005 * wait)
            for task in tasks[::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [d for d in done if isinstance(d, BaseException) and not isinstance(d, asyncio.CancelledError)]
            assert wrong == []


async def test_a_cancelled_write_is_read_from_the_owner(redis_store_rig: Any) -> None:
    """Nobody knows whether it is there, so its session asks where it would be."""
    url = redis_store_rig.urls[0]
    with FaultProxy(url) as proxy:
        async with AsyncRegionKit(regions(proxy.url), local=REGIONS[0], profile=QUICK, bookmark_keys=[KEY]) as kit:
            await kit.create_tables()
            async with kit.session() as s:

                async def write() -> None:
                    async with s.write("orders") as client:
                        await client.ping()
                        proxy.freeze()
                        await client.set("a", "1")

                task = asyncio.create_task(write())
                await asyncio.sleep(0.5)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                [entry] = s._state.bookmark.entries("orders", "")
                assert entry.position is None
            proxy.heal()


@pytest.mark.parametrize("way", ["command", "pipeline", "script"])
def test_a_primary_that_became_a_replica_takes_no_write(own_redis: Any, way: str) -> None:
    """The server refuses, so nothing was done: the block says so, and the next one does not ask it again."""
    servers = own_redis(1)
    url = servers.primary.url
    with RegionKit(regions(url), local=REGIONS[0], profile=MONITOR_ONLY) as kit:
        kit.create_tables()
        with kit.session() as s, s.write("orders") as client:
            client.set("a", "1")
        servers.wait_for_replicas()
        servers.replicas[0].promote()
        servers.primary.follow(servers.replicas[0])
        with pytest.raises(RegionUnavailable) as caught, kit.session() as s, s.write("orders") as client:
            if way == "command":
                client.set("a", "2")
            elif way == "script":
                client.eval("return redis.call('SET', KEYS[1], '2')", 1, "a")
            else:
                client.pipeline(transaction=False).set("a", "2").execute()
        assert caught.value.committed == "no"


def test_a_keyed_write_that_meets_a_switchover_is_done_once_at_the_new_owner(own_redis: Any) -> None:
    """Its script reaches the former primary, which refuses: nothing was done there, so it runs again."""
    servers = own_redis(1)
    old, new = servers.nodes
    runs = 0

    def work(pipe: Any) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            servers.wait_for_replicas()
            new.promote()
            old.follow(new)
            wait_until(lambda: owner_is(kit, REGIONS[1]), 30)
        pipe.incr("n")

    with kit_of(servers) as kit:
        kit.create_tables()
        with kit.session() as s:
            assert s.execute_write("orders", work, idempotency_key="k", timeout=60.0) == [1]
    assert runs > 1
    with new.client() as client:
        assert client.get("n") == b"1"


def owner_is(kit: RegionKit, region: str) -> bool:
    """Whether the kit takes `region` for the owner."""
    return any(e["region"] == region and e["role"] == "owner" for e in kit.status().to_dict()["endpoints"])


def written(kit: RegionKit, value: str) -> str:
    """Write a value; the session's bookmark."""
    with kit.session() as s:
        with s.write("orders") as client:
            client.set("a", value)
        return s.bookmark()


def read_in(kit: RegionKit) -> str:
    """The region that answers an eventual read."""
    with kit.session() as s:
        with s.read("orders", consistency=EVENTUAL) as client:
            client.get("a")
        assert s.last_route is not None
        return s.last_route.region


def read_back(kit: RegionKit, bookmark: str) -> Any:
    """What a session with this bookmark reads."""
    with kit.session(bookmark=bookmark) as s, s.read("orders") as client:
        return client.get("a")


@pytest.mark.parametrize("provider", ["local", "wheel"])
def test_a_promotion_is_recorded_and_what_it_lost_is_told(
    own_redis: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis and Valkey: bookmarks up to the fork stay valid to the byte, one past it is lost, and writes go on."""
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", provider)
    servers = own_redis(2)
    old, new, third = servers.nodes
    with kit_of(servers) as kit:
        kit.create_tables()
        kept = written(kit, "kept")
        servers.wait_for_replicas()
        new.pause_replay()
        third.pause_replay()
        lost = written(kit, "lost")
        old.kill()
        new.promote()
        third.follow(new)
        wait_until(lambda: owner_is(kit, REGIONS[1]), 30)
        assert read_back(kit, kept) == b"kept"
        with pytest.raises(StaleRead) as caught:
            read_back(kit, lost)
        assert caught.value.lost
        after = written(kit, "after")
        assert read_back(kit, after) == b"after"
        with kit.session() as s:
            with s.read("orders"):
                pass
            lineage = kit._store("orders").shards[0].state.snapshot.lineage
        assert lineage is not None
        assert [row.epoch for row in lineage.rows] == [1, 2]
        old.follow(new)
        wait_until(lambda: not kit.explain("orders", "read").decision.snapshot.endpoints[0].barred, 30)
        assert read_back(kit, after) == b"after"


def test_a_bookmark_outlives_two_switchovers_that_lost_nothing(own_redis: Any) -> None:
    """The servers' own rule knows one ancestor only; regionkit's rows know all."""
    servers = own_redis(2)
    first, second, third = servers.nodes
    with kit_of(servers, local=REGIONS[2]) as kit:
        kit.create_tables()
        bookmark = written(kit, "kept")
        for old, new, other in ((first, second, third), (second, third, first)):
            servers_in_step(old, new, other)
            new.promote()
            old.follow(new)
            other.follow(new)
            wait_until(lambda n=new: owner_is(kit, REGIONS[servers.nodes.index(n)]), 30)  # type: ignore[misc]
        assert read_back(kit, bookmark) == b"kept"
        assert read_back(kit, written(kit, "later")) == b"later"
    servers_in_step(third, first, second)  # the bookmark asks for "kept" only
    with kit_of(servers, local=REGIONS[0]) as other_process:
        assert read_back(other_process, bookmark) == b"later"


def servers_in_step(primary: Any, *replicas: Any) -> None:
    """Wait until the replicas have all that the primary has."""
    for replica in replicas:
        replica._await_position_of(primary, 10.0)


def test_the_first_replica_changes_the_id_of_its_primary_and_nothing_is_lost(own_redis: Any) -> None:
    """The same run without a second id was never demoted: the monitor writes the row by itself, and writes go on."""
    servers = own_redis(1)
    primary, replica = servers.nodes
    with replica.client() as client:
        client.replicaof("NO", "ONE")
    with primary.client() as client:
        client.config_set("repl-backlog-ttl", 1)
        wait_until(lambda: client.info("replication")["repl_backlog_active"] == 0, 30)
        with RegionKit(regions(primary.url), local=REGIONS[0], profile=QUICK, bookmark_keys=[KEY]) as kit:
            kit.create_tables()
            bookmark = written(kit, "kept")
            before = client.info("replication")["master_replid"]
            replica.follow(primary)
            assert client.info("replication")["master_replid"] != before
            wait_until(lambda: epoch_of(kit) == 2, 30)
            assert read_back(kit, bookmark) == b"kept"
            assert read_back(kit, written(kit, "later")) == b"later"


def epoch_of(kit: RegionKit) -> Any:
    """The epoch that the kit knows of."""
    return kit.status().to_dict()["endpoints"][0]["epoch"]


def test_a_demotion_and_promotion_by_others_is_not_proved(own_redis: Any) -> None:
    """The same run, and yet what it had may be gone: writes wait for an operator, and a bookmark made before is not served."""
    servers = own_redis(1)
    a, b = servers.nodes
    with kit_of(servers, local=REGIONS[0]) as kit:
        kit.create_tables()
        servers.wait_for_replicas()
        b.pause_replay()
        lost = written(kit, "lost")
        kit.close()
    b.promote()
    a.follow(b)  # what only it had is lost
    with b.client() as client:
        client.set("filler", "x" * 1000)
    servers_in_step(b, a)
    a.promote()
    b.kill()
    with kit_of(servers, local=REGIONS[0]) as kit:
        kit.session()  # its monitor begins
        wait_until(lambda: "no history row" in str(kit.explain("orders", "write")), 30)
        with pytest.raises((Fenced, NoEligibleEndpoint, RegionUnavailable)):
            written(kit, "no")
        with pytest.raises(RegionKitError):
            read_back(kit, lost)
        kit.adopt("orders", REGIONS[0])
        wait_until(lambda: owner_is(kit, REGIONS[0]), 30)
        assert read_back(kit, written(kit, "yes")) == b"yes"


def test_an_empty_restart_is_another_store(own_redis: Any) -> None:
    """A primary that came back without its data takes no write, and serves no session that saw some."""
    servers = own_redis(0)
    with RegionKit(regions(servers.primary.url), local=REGIONS[0], profile=QUICK, bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        bookmark = written(kit, "gone")
        servers.primary.kill()
        servers.primary.start()
        wait_until(lambda: "history rows are gone" in str(kit.explain("orders", "write")), 30)
        with pytest.raises((Fenced, NoEligibleEndpoint, RegionUnavailable)):
            written(kit, "no")
        with pytest.raises(RegionKitError):
            read_back(kit, bookmark)


def test_no_record_is_put_at_an_empty_restart(own_redis: Any) -> None:
    """By a process that had not looked since: its new connection tells of another run of the server."""
    servers = own_redis(0)
    with RegionKit(regions(servers.primary.url), local=REGIONS[0], profile=QUICK) as kit:
        kit.create_tables()
    with RegionKit(regions(servers.primary.url), local=REGIONS[0], profile={**QUICK, **MONITOR_ONLY}) as kit:
        records, row = kit.backing("orders").records(), Record("kind", "key", b"value", 1)
        assert records.put(Deadline(SYSTEM_CLOCK, 10.0), row, expected=0) == row
        servers.primary.kill()
        servers.primary.start()
        with pytest.raises(RegionUnavailable, match="does not own the store now"):
            records.put(Deadline(SYSTEM_CLOCK, 10.0), row, expected=0)
    with redis.Redis.from_url(servers.primary.url) as plain:
        assert plain.dbsize() == 0


def attached(servers: Any, *kits: RegionKit) -> None:
    """Wait until the replica follows this run of the primary, and the kits know: that changes the replication id.

    Until the monitor has recorded it, nobody is told a position, and who asks for one is refused and may come again.
    """

    def follows() -> bool:
        with servers.primary.client() as primary, servers.replicas[0].client() as replica:
            there = replica.info("replication")
            return (
                there["master_link_status"] == "up"
                and there["master_replid"] == primary.info("replication")["master_replid"]
            )

    wait_until(follows, 30)
    for kit in kits:
        wait_until(lambda k=kit: all(e["lag"] is not None for e in k.status().to_dict()["endpoints"]), 30)  # type: ignore[misc]


@pytest.mark.parametrize("signed", [True, False])
def test_an_adoption_after_a_loss_of_all_data_reaches_every_process(own_redis: Any, signed: bool) -> None:
    """One operator's word, twice over: running processes and new ones write again, and old bookmarks say that it is lost."""
    servers = own_redis(1)
    keys = [KEY] if signed else []

    def kit(local: str) -> RegionKit:
        return RegionKit(regions(*(n.url for n in servers.nodes)), local=local, profile=QUICK, bookmark_keys=keys)

    with kit(REGIONS[0]) as one, kit(REGIONS[1]) as other:
        one.create_tables()
        written(other, "0")
        for number in ("1", "2"):
            attached(servers, one, other)
            bookmark = written(one, number)
            servers.wait_for_replicas()
            servers.primary.kill()
            servers.primary.start()
            for running in (one, other):
                wait_until(lambda k=running: "history rows are gone" in str(k.explain("orders", "write")), 30)  # type: ignore[misc]
                with pytest.raises((Fenced, NoEligibleEndpoint, RegionUnavailable)):
                    written(running, "no")
            with kit(REGIONS[0]) as operator:
                operator.adopt("orders", REGIONS[0])
            attached(servers, one, other)  # until the replica begins anew, it has all that the bookmark asks for
            for running in (one, other):
                assert owner_is(running, REGIONS[0])
                with pytest.raises(StaleRead) as caught:
                    read_back(running, bookmark)
                assert caught.value.lost and not caught.value.retryable
                assert read_back(running, written(running, "new")) == b"new"
            with kit(REGIONS[1]) as started_later:
                with pytest.raises(StaleRead) as caught:
                    read_back(started_later, bookmark)
                assert caught.value.lost, str(caught.value)
                assert read_back(started_later, written(started_later, "new")) == b"new"


def test_a_killed_replica_is_left_for_another_copy(own_redis: Any) -> None:
    """Reads go on elsewhere; a block that had begun on it fails for sure."""
    servers = own_redis(1)
    with kit_of(servers) as kit:
        kit.create_tables()
        bookmark = written(kit, "kept")
        servers.wait_for_replicas()
        with pytest.raises(RegionUnavailable) as caught, kit.session() as s:
            with s.read("orders", consistency=EVENTUAL) as client:
                assert client.get("a") == b"kept"
                servers.replicas[0].kill()
                client.get("a")
        assert caught.value.committed == "no"
        assert read_back(kit, bookmark) == b"kept"


def test_a_replica_that_lost_its_primary_and_may_not_serve_is_no_answer(own_redis: Any) -> None:
    """MASTERDOWN is the server's state and not the application's mistake: the block fails for sure, and may be run again."""
    servers = own_redis(1)
    replica = servers.replicas[0]
    topology = regions(*[n.url for n in servers.nodes])
    with RegionKit(topology, local=REGIONS[1], profile=MONITOR_ONLY) as kit, replica.client() as plain:
        kit.create_tables()
        wait_until(lambda: read_in(kit) == REGIONS[1])
        plain.config_set("replica-serve-stale-data", "no")
        servers.primary.kill()
        wait_until(lambda: plain.info("replication")["master_link_status"] == "down")
        with pytest.raises(RegionUnavailable) as caught, kit.session() as s:
            with s.read("orders", consistency=EVENTUAL) as client:
                client.get("a")
        assert isinstance(caught.value.__cause__, redis.exceptions.MasterDownError)
        assert (caught.value.region, caught.value.committed, caught.value.retryable) == (REGIONS[1], "no", True)


@pytest.mark.parametrize(("word", "kind"), [("MOVED", "MovedError"), ("ASK", "AskError")])
def test_a_server_that_sends_its_keys_elsewhere_is_no_answer(redis_store_rig: Any, word: str, kind: str) -> None:
    """As if it had become a member of a cluster: the block fails for sure, and does not follow to where nothing is proved."""
    url = redis_store_rig.urls[0]
    with relayed(url, b"\r\nGET\r\n") as relay, RegionKit(regions(relay.url), local=REGIONS[0], profile=QUICK) as kit:
        kit.create_tables()
        relay.instead = f"-{word} 15495 127.0.0.1:1\r\n".encode()
        with pytest.raises(RegionUnavailable) as caught, kit.session() as s, s.read("orders") as client:
            client.get("a")
        assert type(caught.value.__cause__).__name__ == kind
        assert (caught.value.committed, caught.value.retryable) == ("no", True)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_drivers_maintenance_notifications_are_off(redis_store_rig: Any, kind: str) -> None:
    """They would let a server change time-outs and addresses behind the deadline: a client of RESP3 alone asks for them."""
    url = redis_store_rig.urls[0]
    with relayed(url, b"no such word") as relay:
        with redis.Redis.from_url(relay.url, protocol=3) as plain:
            plain.ping()
        assert b"MAINT_NOTIFICATIONS" in b"".join(relay.asked).upper()
        relay.asked.clear()
        topology = regions(relay.url, protocol=3)
        if kind == "sync":
            with RegionKit(topology, local=REGIONS[0], profile=QUICK) as kit, kit.session() as s:
                kit.create_tables()
                with s.write("orders") as client:
                    client.set("a", "1")
        else:

            async def run() -> None:
                async with AsyncRegionKit(topology, local=REGIONS[0], profile=QUICK) as kit, kit.session() as s:
                    await kit.create_tables()
                    async with s.write("orders") as client:
                        await client.set("a", "1")

            asyncio.run(run())
        asked = b"".join(relay.asked).upper()
        assert b"HELLO" in asked
        assert b"MAINT" not in asked


def test_a_forked_child_has_connections_of_its_own(redis_store_rig: Any) -> None:
    """Parent and child both go on, each on its own socket."""
    with RegionKit(regions(redis_store_rig.urls[0]), local=REGIONS[0], profile=QUICK) as kit:
        kit.create_tables()

        def number() -> int:
            with kit.session() as s, s.read("orders", consistency=EVENTUAL) as client:
                return int(client.client_id())

        before = number()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, str(number()).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        childs = int(os.read(reader, 100))
        os.close(reader)
        assert childs != before and number() != childs
