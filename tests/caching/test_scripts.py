"""The scripts of the shared tier on a real server: they answer what the ledger answers, and lose the account whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import redis

from regionkit.backends.redis.lua import lua
from regionkit.caching.entry import Envelope, sealed
from regionkit.caching.keys import digest_of
from regionkit.caching.ledger import Ledger, Verdict
from regionkit.caching.version import NOTHING, OWNER_ONLY, of_position, of_row

VERSION_0 = "0" * 27
FLOOR, TAG_LIFE, LEASE = 60_000, 86_400_000, 10_000
KEYS = (b"a", b"b", b"c")
TAGS = (b"t" * 16, b"u" * 16)


class Account:
    """The account of one cache at a server, its scripts by hand."""

    def __init__(self, client: redis.Redis, *, settles: bool = False, most: int = 1000, floor: int = FLOOR) -> None:
        self.client = client
        self.prefix = os.urandom(6).hex().encode()
        self.account, self.ends, self.news = (self.prefix + end for end in (b":account", b":ends", b":news"))
        self.fixed = [floor, TAG_LIFE, most, int(settles)]
        self.stands = False

    def value(self, key: bytes) -> bytes:
        """Where a value stands."""
        return self.prefix + b":v:" + key

    def lease(self, key: bytes) -> bytes:
        """Where a lease stands."""
        return self.prefix + b":l:" + key

    def run(self, script: str, keys: Any, *words: Any) -> Any:
        """One script."""
        names = [name for key in keys for name in (self.value(key), self.lease(key))]
        given = [self.account, self.ends, self.news, *names]
        text = lua("regionkit.caching", script).text
        if self.stands:  # the machine's clock has gone back since the last step
            self.client.hset(self.account, "w", 10**13)
        return self.client.eval(text, len(given), *given, os.urandom(8), *self.fixed, *words)

    def entry(self, key: bytes, body: bytes, version: str = NOTHING, tags: tuple[bytes, ...] = ()) -> bytes:
        """An entry that is to be stored."""
        made = Envelope(
            bytes(8), 0, version, soft=TAG_LIFE, hard=TAG_LIFE, tags=tuple(sorted(tags)), body=body, schema=bytes(8)
        )
        return sealed(made, digest_of(key))

    def hello(self, run: str = "one") -> list[Any]:
        """Greet."""
        return self.run("hello", [], run)  # type: ignore[no-any-return]

    def begin(self, key: bytes, token: bytes, lasts: int = LEASE, rejected: bytes = b"") -> list[Any]:
        """Answers the key's part."""
        return self.run("fill_begin", [key], lasts, digest_of(key), token, rejected)[2]  # type: ignore[no-any-return]

    def commit(
        self, key: bytes, token: bytes, body: bytes, version: str = "", tags: Any = (), *, owner: bool = True
    ) -> str:
        """Answers the verdict."""
        entry = self.entry(key, body, version, tags)
        words = [digest_of(key), token, b"", version or VERSION_0, int(owner), entry, TAG_LIFE]
        return self.run("fill_commit", [key], *words)[2].decode()  # type: ignore[no-any-return]

    def invalidate(self, key: bytes, version: str = "") -> None:
        """One key."""
        self.run("invalidate", [key], version, digest_of(key))

    def invalidate_tag(self, tag: bytes, version: str = "") -> bool:
        """Whether there was room."""
        return bool(self.run("invalidate_tag", [], tag, version)[2])

    def clear(self, version: str = "") -> None:
        """Everything."""
        self.run("clear", [], version)

    def intend(self, key: bytes, id: bytes, lasts: int) -> None:
        """A write begins."""
        self.run("intend", [key], id, lasts, digest_of(key))

    def publish(self, key: bytes, id: bytes, lo: str, hi: str, body: bytes, tags: Any = ()) -> str:
        """Answers the verdict."""
        entry = self.entry(key, body, lo, tags)
        return self.run("publish", [key], digest_of(key), id, lo, hi, entry, TAG_LIFE)[0].decode()  # type: ignore[no-any-return]

    def abort(self, key: bytes, id: bytes) -> None:
        """A write has done nothing."""
        self.run("abort", [key], id, digest_of(key))

    def put(self, key: bytes, body: bytes) -> int:
        """Answers the stamp."""
        return int(self.run("put", [key], digest_of(key), self.entry(key, body), TAG_LIFE))

    def abandon(self, key: bytes, token: bytes) -> bool:
        """Whether the lease was this one's."""
        return bool(self.run("fill_abandon", [key], digest_of(key), token))

    def body(self, key: bytes) -> bytes | None:
        """What a reader finds: of the present generation, and above its tags."""
        data = self.client.get(self.value(key))
        if data is None or data[27:35] != self.field("g"):
            return None
        count = int(data[118:120])
        for tag in (data[120 + 16 * at : 136 + 16 * at] for at in range(count)):
            if int(data[35:51]) <= int((self.field(b"t" + tag) or b"0")[:16]):
                return None
        return bytes(data[120 + 16 * count :])

    def field(self, name: str | bytes) -> Any:
        """Of the account."""
        return self.client.hget(self.account, name)

    def passes(self, milliseconds: int) -> None:
        """The account's clock goes on. Leases that a server forgets by itself do so by the machine's, which does not."""
        self.client.hset(self.account, "c", int(self.field("c")) + milliseconds)

    def generation(self) -> bytes:
        """The present one."""
        return self.field("g")  # type: ignore[no-any-return]


@pytest.fixture
def client(redis_server: Any) -> Iterator[redis.Redis]:
    """Of the suite's server."""
    with redis_server.primary.client() as found:
        yield found


def forms(version: str) -> str:
    """A version as a script says it."""
    return version or VERSION_0


class Both:
    """The same steps on a ledger and at a server."""

    def __init__(self, client: redis.Redis, *, settles: bool) -> None:
        self.account = Account(client, settles=settles)
        self.account.hello()
        self.account.stands = True
        client.hset(self.account.account, mapping={"c": 0, "o": FLOOR})
        self.ledger = Ledger(b"12345678", floor_life=FLOOR, tag_life=TAG_LIFE, most=1000, settles=settles)
        self.ledger.owner_until = FLOOR
        self.now, self.made = 0, 0
        self.loads: list[Any] = []
        self.writes: list[tuple[bytes, bytes]] = []
        self.seen: Counter[str] = Counter()

    def id(self) -> bytes:
        """16 bytes."""
        self.made += 1
        return b"%016d" % self.made

    def version(self, chance: Random) -> str:
        """Of either kind, none, or the owner alone."""
        number = chance.randrange(6)
        if chance.random() < 0.03:
            return OWNER_ONLY
        return chance.choice((NOTHING, of_row(number), of_position(1, number), of_position(1, number)))

    def begin(self, chance: Random, key: bytes) -> None:
        token = self.id()
        mine = self.ledger.begin(key, token, self.now, LEASE)
        verdict, _, stamp, floor, *rest = self.account.begin(key, token)
        assert (verdict.decode(), floor.decode()) == (mine.verdict.value, forms(mine.floor))
        self.seen[verdict.decode()] += 1
        if mine.lease is not None:
            assert (int(stamp), bool(rest[0])) == (mine.lease.stamp, mine.lease.owner_only)
            self.loads.append((key, mine.lease))
        if mine.verdict is Verdict.SETTLE:
            ids = tuple(sorted(rest[1][at : at + 16] for at in range(0, len(rest[1]), 16)))
            assert ids == mine.intents
            for id in ids:
                self.ledger.abort(key, id)
                self.account.abort(key, id)

    def commit(self, chance: Random, key: bytes) -> None:
        if not self.loads:
            return
        key, lease = chance.choice(self.loads[-3:])
        version, owner = self.version(chance), chance.random() < 0.3
        tags = tuple(sorted(chance.sample(TAGS, chance.randrange(3))))
        mine = self.ledger.commit(key, lease, self.now, version, owner=owner, tags=tags)
        assert self.account.commit(key, lease.token, b"x", version, tags, owner=owner) == mine.value
        self.seen[mine.value] += 1
        if mine is Verdict.STORED:
            assert self.account.body(key) == b"x"
            self.account.client.delete(self.account.value(key))  # the ledger keeps no values

    def abandon(self, chance: Random, key: bytes) -> None:
        if self.loads:
            key, lease = chance.choice(self.loads[-3:])
            answers = {self.account.abandon(key, lease.token), self.ledger.abandon(key, lease.token)}
            over = lease.until <= self.now or lease.generation != self.ledger.generation
            assert len(answers) == 1 or over, "a lease that is over may be gone, or not"

    def invalidate(self, chance: Random, key: bytes) -> None:
        version = self.version(chance)
        self.ledger.invalidate(key, self.now, version)
        self.account.invalidate(key, version)

    def invalidate_tag(self, chance: Random, key: bytes) -> None:
        version, tag = self.version(chance), chance.choice(TAGS)
        assert self.account.invalidate_tag(tag, version) == self.ledger.invalidate_tag(tag, self.now, version)

    def clear(self, chance: Random, key: bytes) -> None:
        version = self.version(chance)
        self.account.clear(version)
        self.ledger.clear(self.id()[-8:], self.now, version)

    def put(self, chance: Random, key: bytes) -> None:
        assert self.account.put(key, b"y") == self.ledger.put(key, self.now)
        self.account.client.delete(self.account.value(key))

    def intend(self, chance: Random, key: bytes) -> None:
        id, lasts = self.id(), chance.choice((5_000, 90_000))
        self.writes.append((key, id))
        self.ledger.intend(key, id, self.now, lasts)
        self.account.intend(key, id, lasts)

    def publish(self, chance: Random, key: bytes) -> None:
        if not self.writes:
            return
        key, id = chance.choice(self.writes[-2:])
        lo, hi = self.version(chance), self.version(chance)
        mine = self.ledger.publish(key, id, self.now, lo, hi, TAGS[:1])
        assert self.account.publish(key, id, lo, hi, b"z", TAGS[:1]) == mine.value
        assert self.account.body(key) == (b"z" if mine is Verdict.STORED else None)
        self.seen[f"published {mine.value}"] += 1
        self.account.client.delete(self.account.value(key))

    def abort(self, chance: Random, key: bytes) -> None:
        if self.writes:
            key, id = chance.choice(self.writes[-2:])
            self.ledger.abort(key, id)
            self.account.abort(key, id)

    def passes(self, chance: Random, key: bytes) -> None:
        milliseconds = chance.choice((1_000, 4_000, 20_000, FLOOR))
        self.now += milliseconds
        self.account.passes(milliseconds)
        for _ in KEYS:  # a ledger lets go of two at a step, a server of eight
            self.ledger._prune(self.now)

    def alike(self) -> None:
        """Floors, intents and stamps of both."""
        account = self.account.client.hgetall(self.account.account)
        assert int(account[b"q"]) == self.ledger.stamp
        for kind, names, table in (("f", KEYS, self.ledger.floors), ("t", TAGS, self.ledger.tags)):
            for name in names:
                found = account.get(kind.encode() + (digest_of(name) if kind == "f" else name))
                floor = table.get(name)
                if found is None or floor is None:
                    assert floor is None or floor.until <= self.now, "a floor is gone at the server"
                    continue
                assert found[:43].decode() == f"{floor.stamp:016d}{forms(floor.version)}"
        for name in KEYS:
            text = account.get(b"i" + digest_of(name), b"")
            ids = {text[at : at + 16] for at in range(0, len(text), 45)}
            assert ids == set(self.ledger.intents.get(name, {}))


STEPS = {
    "begin": 14, "commit": 12, "abandon": 1, "invalidate": 5, "invalidate_tag": 2, "clear": 0.5, "put": 1, "intend": 4,
    "publish": 4, "abort": 1, "passes": 4,
}  # fmt: skip


@pytest.mark.parametrize("settles", [False, True])
def test_the_scripts_answer_what_the_ledger_answers(client: redis.Redis, settles: bool) -> None:
    """The same steps at random on both: the same verdicts, stamps and floors."""
    seen: Counter[str] = Counter()
    for seed in range(25):
        chance, both = Random(seed), Both(client, settles=settles)
        for name in chance.choices(list(STEPS), list(STEPS.values()), k=100):
            getattr(both, name)(chance, chance.choice(KEYS))
            both.alike()
        seen.update(both.seen)
    wanted = {"load", "wait", "bypass", "stored", "lost", "below", "published stored", "published below"}
    wanted |= {"settle"} if settles else set()
    assert all(seen[word] > 10 for word in wanted), seen


@pytest.mark.parametrize("lost", ["account", "ends", "all"])
def test_an_account_that_is_lost_in_part_is_lost_whole(own_redis: Any, lost: str) -> None:
    """Whoever finds it so opens a generation: values of before are misses, loads lost, copies not enough for a while."""
    with own_redis().primary.client() as client:
        account = Account(client)
        account.hello()
        client.hset(account.account, "o", 0)
        account.begin(b"a", b"1" * 16)
        account.commit(b"a", b"1" * 16, b"old")
        assert account.body(b"a") == b"old"
        account.invalidate(b"b", of_position(1, 9))
        account.begin(b"b", b"2" * 16)
        account.intend(b"c", b"3" * 16, 10_000)
        before = account.generation()
        if lost == "all":
            client.flushall()
        else:
            client.delete(getattr(account, lost))
        assert account.commit(b"b", b"2" * 16, b"late", of_position(1, 9), owner=True) == "lost"
        assert account.generation() != before
        assert account.body(b"a") is None
        assert account.begin(b"a", b"4" * 16)[0] == b"load", "an entry of another generation is handed out"
        assert account.commit(b"a", b"4" * 16, b"copy", of_position(1, 99), owner=False) == "below"
        assert account.publish(b"c", b"3" * 16, "", "", b"late") == "below"
        account.passes(FLOOR + 1)
        account.begin(b"a", b"5" * 16)
        assert account.commit(b"a", b"5" * 16, b"copy", of_position(1, 99), owner=False) == "stored"


def test_another_run_of_the_server_is_another_generation(client: redis.Redis) -> None:
    """What it told before may be undone: a replica was promoted, or a file was read that ends early."""
    account = Account(client)
    generation, *_ = account.hello("run one")
    account.put(b"a", b"old")
    assert account.hello("run one")[0] == generation
    assert account.body(b"a") == b"old"
    opened = account.hello("run two")
    assert (opened[0] != generation, opened[3]) == (True, 1)
    assert account.body(b"a") is None
    assert account.hello("run two")[0] == opened[0]


@pytest.mark.parametrize("jump", [-3_600_000, 3_600_000], ids=["an hour back", "an hour on"])
def test_a_clock_that_is_set_ends_no_floor_and_keeps_none(client: redis.Redis, jump: int) -> None:
    """The account's clock goes on by a second at most, and is not stopped for an hour."""
    account = Account(client)
    account.hello()
    client.hset(account.account, "o", 0)
    account.invalidate(b"a", of_position(1, 9))
    account.intend(b"b", b"1" * 16, 5_000)
    before = int(account.field("c"))
    client.hset(account.account, "w", int(account.field("w")) - jump)
    assert account.begin(b"b", b"2" * 16)[0] == b"bypass", "an intent ended with the machine's clock"
    assert 0 <= int(account.field("c")) - before <= 1_500
    account.begin(b"a", b"3" * 16)
    assert account.commit(b"a", b"3" * 16, b"copy", of_position(1, 8), owner=False) == "below"
    for _ in range(5):  # an hour back: it goes on from the next step
        client.hset(account.account, "w", int(account.field("w")) - 1_000)
        account.hello()
    assert int(account.field("c")) - before >= 4_900
    assert account.begin(b"b", b"4" * 16)[0] == b"load"


def test_too_many_floors_leave_the_oldest_to_the_owner(client: redis.Redis) -> None:
    """None is lost in silence, and memory is bounded."""
    account = Account(client, most=10)
    account.hello()
    client.hset(account.account, "o", 0)
    account.invalidate(b"first", of_position(1, 9))
    account.begin(b"first", b"1" * 16)
    account.intend(b"written", b"2" * 16, 10_000)
    account.invalidate(b"written")
    for number in range(30):
        account.invalidate(b"%d" % number)
    assert client.zcard(account.ends) <= 12
    assert client.hlen(account.account) <= 8 + 12
    assert account.field(b"i" + digest_of(b"written")), "an intent is no floor, and stays"
    assert account.commit(b"first", b"1" * 16, b"copy", of_position(1, 8), owner=False) == "below"
    assert account.publish(b"written", b"2" * 16, "", "", b"older") == "below", "what was told meanwhile is forgotten"
    account.begin(b"first", b"3" * 16)
    assert account.commit(b"first", b"3" * 16, b"copy", of_position(1, 99), owner=False) == "below"
    account.begin(b"first", b"4" * 16)
    assert account.commit(b"first", b"4" * 16, b"owner", owner=True) == "stored"


def test_what_a_load_was_told_when_it_began_holds_until_it_ends(client: redis.Redis) -> None:
    """A floor whose time is over meanwhile, and the time in which only the owner will do."""
    account = Account(client, floor=5_000)
    account.hello()
    for key, owner_only in ((b"a", False), (b"b", True)):
        account.invalidate(key, of_position(1, 9 if key == b"a" else 0))
        client.hset(account.account, "o", int(account.field("c")) + 5_000 if owner_only else 0)
        assert account.begin(key, b"1" * 16, 20_000)[4] == owner_only
        account.passes(6_000)
        account.hello()
        assert account.field(b"f" + digest_of(key)) is None
        assert account.commit(key, b"1" * 16, b"copy", of_position(1, 8), owner=False) == "below"
        account.begin(key, b"2" * 16, 20_000)
        assert account.commit(key, b"2" * 16, b"copy", of_position(1, 8), owner=False) == "stored"


@pytest.mark.parametrize("by", ["tags", "keys"])
def test_too_many_tags_clear_the_cache(client: redis.Redis, by: str) -> None:
    """A tag that is forgotten would make valid again what it had made wrong, whichever step it is that needs its place."""
    account = Account(client, most=5, floor=2 * TAG_LIFE)
    account.hello()
    client.hset(account.account, "o", 0)
    account.begin(b"a", b"1" * 16)
    account.commit(b"a", b"1" * 16, b"old", tags=TAGS[:1])
    assert account.invalidate_tag(TAGS[0], of_position(1, 9))
    assert account.body(b"a") is None
    before = account.generation()
    account.intend(b"written", b"9" * 16, 10_000)
    for number in range(20):
        if by == "tags":
            account.invalidate_tag(b"%016d" % number)
        else:
            account.invalidate(b"%d" % number)
    assert account.field(b"t" + TAGS[0]) is None
    assert account.generation() != before
    assert account.body(b"a") is None, "it stands again"
    assert account.field(b"i" + digest_of(b"written")), "an intent is no floor, and stays"
    client.hset(account.account, "o", 0)
    account.begin(b"a", b"2" * 16)
    assert account.commit(b"a", b"2" * 16, b"copy", of_position(1, 8), TAGS[:1], owner=False) == "below"
    assert client.zcard(account.ends) <= 8


def test_at_the_limit_of_memory_what_is_told_is_told_and_no_value_is_stored(own_redis: Any) -> None:
    """A server without room: deletions, floors, intents and news as ever; hits too; a load that ends is not waited for."""
    with own_redis().primary.client() as client:
        account = Account(client)
        account.hello()
        steps = {
            b"invalidated": lambda key: account.invalidate(key),
            b"intended": lambda key: account.intend(key, b"9" * 16, 10_000),
            b"set": lambda key: account.put(key, b"new"),
            b"published": lambda key: account.publish(key, b"9" * 16, "", "", b"new"),
            b"expired": lambda key: account.run("expire", [key], digest_of(key)),
        }
        for number, key in enumerate(steps):
            account.begin(key, b"%016d" % number)
            account.commit(key, b"%016d" % number, b"old")
            assert account.body(key) == b"old"
            account.begin(key, b"%016d" % (number + 10), rejected=client.get(account.value(key))[:118])
        account.begin(b"loaded", b"7" * 16)
        account.intend(b"published", b"9" * 16, 10_000)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.exceptions.ResponseError, match=r"OOM|maxmemory"):
            client.set("a", "b")
        told = int(account.field("n"))
        answers = {key: step(key) for key, step in steps.items()}
        assert (answers[b"set"], answers[b"published"]) == (0, "below")
        assert int(account.field("n")) == told + len(steps)
        assert account.body(b"expired") == b"old"
        assert not any(account.body(key) for key in steps if key != b"expired")
        for key in (b"invalidated", b"set", b"published"):
            assert account.field(b"f" + digest_of(key))
        assert account.begin(b"intended", b"6" * 16)[0] == b"bypass"
        assert account.commit(b"loaded", b"7" * 16, b"new") == "lost"
        assert client.exists(account.lease(b"loaded")) == 0, "others would wait for a load that has ended"
        assert account.body(b"loaded") is None
        assert account.begin(b"loaded", b"8" * 16)[0] == b"load"
        account.invalidate_tag(TAGS[0])
        account.clear()
        assert account.body(b"expired") is None
        client.config_set("maxmemory", 0)
        account.put(b"set", b"new")
        assert account.body(b"set") == b"new"


def test_a_newer_row_stays_and_is_told(client: redis.Redis) -> None:
    """An entry whose row version is above the one told is kept where it is whole; processes may hold an older one."""
    account = Account(client)
    account.hello()
    for version, told, stays in (
        (of_row(5), of_row(4), True),
        (of_row(5), of_row(5), False),
        (of_row(5), of_position(1, 4), False),
        (of_position(1, 5), of_position(1, 4), False),
        (of_position(1, 5), of_row(4), False),
        (of_row(5), "", False),
    ):
        account.begin(b"a", b"1" * 16)
        assert account.commit(b"a", b"1" * 16, b"x", version) == "stored"
        number = int(account.field("n"))
        account.invalidate(b"a", told)
        assert (account.body(b"a") == b"x") is stays, (version, told)
        assert int(account.field("n")) == number + 1, "nobody was told"
        client.delete(account.value(b"a"))
    other = account.entry(b"b", b"x", of_row(9))
    other = other[:27] + account.generation() + other[35:]
    for spoiled in (b"rk1", b"rk1" + b"9" * 200, other):
        client.set(account.value(b"a"), spoiled)
        account.invalidate(b"a", of_row(4))
        assert client.exists(account.value(b"a")) == 0, "what is no entry of this key stays"


def test_an_intent_over_its_time_is_forgotten_or_handed_out(client: redis.Redis) -> None:
    """Where nobody can settle it, what comes after is above it."""
    for settles, verdict in ((False, b"load"), (True, b"settle")):
        account = Account(client, settles=settles)
        account.hello()
        account.intend(b"a", b"1" * 16, 5_000)
        account.passes(5_000)
        answer = account.begin(b"a", b"2" * 16)
        assert answer[0] == verdict
        if settles:
            assert answer[5] == b"1" * 16
        assert account.publish(b"a", b"1" * 16, "", "", b"late") == "below"


def test_a_wait_is_told_when_the_load_has_ended(client: redis.Redis) -> None:
    """Nobody is told where nobody waits."""
    account = Account(client)
    account.hello()
    for wait, told in ((False, 0), (True, 1)):
        for end in (lambda: account.commit(b"a", b"1" * 16, b"x"), lambda: account.abandon(b"a", b"1" * 16)):
            account.begin(b"a", b"1" * 16)
            if wait:
                verdict, *_, left = account.begin(b"a", b"2" * 16)
                assert (verdict, 0 < left <= LEASE) == (b"wait", True)
            number = int(account.field("n"))
            end()
            assert int(account.field("n")) - number == told
            client.delete(account.value(b"a"))


def test_an_expired_entry_is_over_at_once_for_who_asked(client: redis.Redis) -> None:
    """Its ends are the clock that is answered; it is still kept."""
    account = Account(client)
    account.hello()
    account.put(b"a", b"x")
    generation, clock = account.run("expire", [b"a"], digest_of(b"a"))
    data = client.get(account.value(b"a"))
    assert (data[79:92], data[92:105], generation) == (clock, clock, account.generation())
    assert account.body(b"a") == b"x"


def test_a_plain_miss_and_fill_takes_few_commands(own_redis: Any) -> None:
    """The first part of each script answers alone, also long after a `clear`; one that has to look further does not."""
    with own_redis().primary.client() as client:
        account = Account(client)
        account.hello()
        account.clear()
        keys = [b"%d" % number for number in range(20)]
        client.config_resetstat()
        for key in keys:
            assert account.begin(key, b"1" * 16)[0] == b"load"
            assert account.commit(key, b"1" * 16, b"x") == "stored"
        calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in client.info("commandstats").items()}
        assert not any(calls.get(name) for name in ("hdel", "hincrby", "zrangebyscore", "xadd")), calls
        assert sum(
            calls.get(name, 0) for name in ("hmget", "zrange", "set", "time", "get", "getrange", "del")
        ) == 11 * len(keys)


def test_who_did_not_look_is_given_what_stands(client: redis.Redis) -> None:
    """Nothing is loaded where an entry stands, whatever its reader knew."""
    account = Account(client)
    account.hello()
    account.begin(b"a", b"1" * 16)
    account.commit(b"a", b"1" * 16, b"x")
    verdict, entry = account.begin(b"a", b"2" * 16, rejected=b"-")[:2]
    assert (verdict, entry[120:]) == (b"stored", b"x")


@pytest.mark.parametrize("what", ["a key", "a tag's cache", "an intent", "everything"])
def test_a_plain_fill_is_no_shorter_way(client: redis.Redis, what: str) -> None:
    """A lease that stands where it should have gone stores nothing: floors, intents and generation say so by themselves."""
    account, key, token = Account(client), b"k", b"t" * 16
    account.hello()
    client.hset(account.account, "o", 0)
    assert account.begin(key, token)[0] == b"load"
    held = client.get(account.lease(key))
    if what == "a key":
        account.invalidate(key)
    elif what == "a tag's cache":
        client.hset(account.account, "t*", f"{int(account.field('q')) + 1:016}{VERSION_0}")
        client.hincrby(account.account, "q", 1)
    elif what == "an intent":
        account.intend(key, b"i" * 16, 60_000)
        client.hdel(account.account, b"f" + digest_of(key))
    else:
        account.clear()
        client.hdel(account.account, "t*")
    client.set(account.lease(key), held, px=60_000)
    verdict = {"a key": "below", "a tag's cache": "below", "an intent": "intended", "everything": "lost"}[what]
    assert account.commit(key, token, b"old") == verdict
    assert account.body(key) is None
