"""The scripts of the buffer on a real server: they answer what the model answers, and keep what it keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import redis

from regionkit.backends.redis.lua import lua
from regionkit.caching.back.buffer_model import BufferModel
from regionkit.caching.back.record import body_of, unpacked
from regionkit.caching.back.rules import EPOCH, PUTS_REMEMBERED, Answer, Fate, text_of
from regionkit.caching.keys import digest_of
from regionkit.caching.version import of_row

from ..test_scripts import TAG_LIFE, Account

pytestmark = pytest.mark.redis

NAMES = ("a", "b", "c")
MOST, BYTES, LASTS, PAUSE = 4, 1200, 5_000, 3_000


@pytest.fixture
def client(redis_server: Any) -> Iterator[redis.Redis]:
    """Of the suite's server."""
    with redis_server.primary.client() as found:
        yield found


class Both:
    """The same steps on a model and at a server, whose clock stands but for `passes`."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.account = Account(client)
        self.account.fixed[3] = 2
        self.account.hello("run 1")
        self.account.stands = True
        client.hset(self.account.account, mapping={"c": 0, "o": 0})
        self.model = BufferModel(max_dirty=MOST, max_bytes=BYTES)
        self.now, self.made, self.epoch, self.runs = 0, 0, 0, 1
        self.claimed: list[tuple[bytes, Any, int, int]] = []
        self.tokens = [b"%016d" % 0]
        self.sent: list[tuple[str, bytes, int, int]] = []
        self.seen: Counter[str] = Counter()
        self.reserved: list[tuple[str, bytes, int, int | None, int, bytes]] = []

    @property
    def run(self) -> str:
        """Of the server."""
        return f"run {self.runs}"

    def key(self, of: str) -> Any:
        """Of the buffer."""
        return self.account.prefix + b":" + of.encode()

    def sized(self, name: str, body: int) -> tuple[bytes, bytes, int]:
        """Record from its kind to its key, entry, and the bytes of all."""
        head = body_of(digest_of(name), name, TAG_LIFE, deleted=body % 2 == 1)
        entry = self.account.entry(name.encode(), b"x" * body)
        entry = entry[:11] + digest_of(name) + entry[27:]
        return head, entry, 48 + len(head) + len(entry)

    def put(self, chance: Random, name: str) -> None:
        self.made += 1
        self.puts(name, b"%016d" % self.made, chance.choice((1, 2, 50, 300)), chance, None)

    def again(self, chance: Random, name: str) -> None:
        """One that was done, or one that never came."""
        self.made += 1
        done = chance.choice(self.sent[-5:]) if self.sent and chance.random() < 0.7 else None
        epoch = max(0, self.model.epoch - chance.choice((0, 0, 1)))
        fresh = (name, b"%016d" % self.made, 1, epoch * EPOCH + self.model.number)
        self.puts(*(done or fresh)[:3], chance, (done or fresh)[3])

    def puts(
        self,
        name: str,
        id: bytes,
        body: int,
        chance: Random | None,
        since: int | None,
        *,
        reserves: bool = False,
        late: tuple[int | None, int, bytes] | None = None,
    ) -> None:
        head, entry, size = self.sized(name, body)
        stored = b"s" + name.encode()
        present = self.model.read(stored)
        expected = chance and chance.choice((None, None, None, 5 * EPOCH, present.version if present else 7))
        how: Any = {"reserves": reserves}
        words: Any = ["r" if reserves else "", ""]
        if late is not None:
            expected, reserved, stamp = late
            self.heard(name)
            how = {"reserved": reserved, "unsure": int(stamp) < int(self.account.field("d"))}
            words = [text_of(reserved), stamp]
        known = self.model.epoch * EPOCH + self.model.number
        mine, version = self.model.put(
            stored, id, None, size, self.now, run=self.run, expected=expected, since=since, **how
        )
        told = [
            *(self.run, id, digest_of(name), head, entry, "" if expected is None else text_of(expected)),
            *("" if since is None else f"{since // EPOCH}-{since % EPOCH}", "", 0, MOST, BYTES, ""),
            *words,
        ]
        answer, given, stamp = self.account.run("back_put", [stored], *told)
        assert (answer.decode(), int(given or 0)) == (mine.value, version)
        self.seen[answer.decode()] += 1
        if mine is Answer.DONE:
            self.sent.append((name, id, body, known if since is None else since))
        if mine is Answer.RESERVED:
            self.reserved.append((name, id, body, expected, version, stamp))
        if mine is Answer.OPEN and chance:
            self.open(chance, name)

    def heard(self, name: str) -> None:
        """Floors end with their time, which the model does not know."""
        floor, stored = self.account.field(b"f" + digest_of(name)) or b"", b"s" + name.encode()
        kind, version = floor[16:17], int(floor[24:43] or 0)
        self.model.floors[stored] = version if kind == b"2" else 0
        self.model.discarded[stored] = version if kind == b"8" else 0

    def reserve(self, chance: Random, name: str) -> None:
        self.made += 1
        self.puts(name, b"%016d" % self.made, chance.choice((1, 2, 50, 300)), chance, None, reserves=True)

    def put_reserved(self, chance: Random, name: str) -> None:
        if self.reserved:
            name, id, body, *late = self.reserved.pop(chance.randrange(len(self.reserved)))
            self.puts(name, id, body, None, None, late=tuple(late))  # type: ignore[arg-type]

    def settle(self, chance: Random, name: str) -> None:
        if self.model.epoch and self.model.run == self.run:
            self.heard(name)
            stored = b"s" + name.encode()
            there = [held.version for held in [self.model.dirty.get(stored)] if held]
            version = chance.choice([self.model.epoch * EPOCH + self.model.number, 7, *there])
            if self.reserved and chance.random() < 0.5:
                name, _, _, _, version, _ = chance.choice(self.reserved)
                self.heard(name)
                stored = b"s" + name.encode()
            fate = self.model.settle(stored, version)
            told = self.account.run("back_settle", [], self.run, stored, text_of(version), digest_of(name))
            assert told == [1, self.model.epoch, fate.value.encode()]
            self.seen[fate.value] += 1

    def open(self, chance: Random, name: str) -> None:
        self.epoch += chance.choice((0, 1, 1))
        mine = self.model.open(self.run, self.epoch)
        is_open, epoch = self.account.run("back_open", [], self.run, self.epoch, "")
        assert (bool(is_open), int(epoch)) == (mine, self.model.epoch)
        self.now = int(self.account.field("c"))  # another generation has a later clock

    def claim(self, chance: Random, name: str) -> None:
        if chance.random() < 0.8:  # else another step of the last
            self.made += 1
            self.tokens.append(b"%016d" % self.made)
        token = self.tokens[-1]
        is_open, _, _, *found = self.account.run("back_claim", [], self.run, 2, 10**6, LASTS, 1000, token)
        assert bool(is_open) == (self.model.epoch > 0 and self.model.run == self.run)
        if is_open:
            given = {at: unpacked(record).version for at, record in zip(found[::3], found[1::3], strict=True)}
            mine = self.model.claim(2, self.now, LASTS, token)
            self.seen["late"] += self.model.was_ended(token)
            assert given == {at: held.version for at, held in mine.items()}
            assert [int(tries) for tries in found[2::3]] == [self.model.tries.get(at, 0) for at in found[::3]]
            self.claimed += [(at, held, self.now, self.model.epoch) for at, held in mine.items()]

    def end(self, chance: Random, name: str) -> None:
        token = chance.choice(self.tokens[-3:])
        before = dict(self.model.due)
        self.model.end(token, self.now, LASTS)
        self.account.run("back_end", [], token, LASTS)
        self.seen["ended"] += before != self.model.due

    def one(self, chance: Random) -> tuple[bytes, Any, int, int] | None:
        """A claim."""
        return chance.choice(self.claimed[-4:]) if self.claimed else None

    def ack(self, chance: Random, name: str) -> None:
        if one := self.one(chance):
            at, held, claimed, epoch = one
            epoch = chance.choice((0, epoch, epoch))
            mine = self.model.ack(at, held.version, claimed, self.now, epoch=epoch)
            told = [at, text_of(held.version), claimed, digest_of(at[1:].decode()), epoch]
            assert [word.decode() for word in self.account.run("back_ack", [], *told)] == [mine.value]
            self.seen[mine.value] += 1

    def fail(self, chance: Random, name: str) -> None:
        if one := self.one(chance):
            at, held, *_ = one
            tries = chance.choice((0, 1))
            told = [PAUSE, tries, at, text_of(held.version), digest_of(at[1:].decode())]
            mine = self.model.fail(at, held.version, self.now, PAUSE, tried=bool(tries))
            assert self.account.run("back_fail", [], *told) == [mine]

    def park(self, chance: Random, name: str) -> None:
        if one := self.one(chance):
            at, held, *_ = one
            parked = self.account.run("back_park", [], at, text_of(held.version), "why")
            assert parked == self.model.park(at, held.version, "why", held.size + 20, self.now)
            self.seen[f"parked {parked}"] += 1

    def retry(self, chance: Random, name: str) -> None:
        stored = b"s" + name.encode()
        word = self.account.run("back_retry", [], stored)[0].decode()
        assert word == self.model.retry(stored, self.now)
        self.seen[word] += 1

    def discard(self, chance: Random, name: str) -> None:
        stored = b"s" + name.encode()
        assert self.account.run("back_discard", [], stored) == [self.model.discard([stored])]

    def passes(self, chance: Random, name: str) -> None:
        milliseconds = chance.choice((1, 1000, LASTS))
        self.now += milliseconds
        self.account.passes(milliseconds)

    def restarts(self, chance: Random, name: str) -> None:
        """With all that it had; its connections greet."""
        self.runs += 1
        self.account.hello(self.run)
        self.now = int(self.account.field("c"))
        self.model.clean.clear()

    def alike(self) -> None:
        """All that both keep."""
        client, model = self.client, self.model
        epoch = client.hget(self.key("dirty"), "")
        assert int(epoch or 0) == model.epoch
        kept = {name: unpacked(data) for name, data in client.hgetall(self.key("dirty")).items() if name}
        assert {name: (r.version, r.id, r.time) for name, r in kept.items()} == {
            name: (held.version, held.id, held.time) for name, held in model.dirty.items()
        }
        for of, table in (("due", model.due), ("ages", model.ages)):
            assert {name: int(at) for name, at in client.zrange(self.key(of), 0, -1, withscores=True)} == table
        assert {name: int(n) for name, n in client.hgetall(self.key("tries")).items()} == model.tries
        aside = client.hgetall(self.key("parked"))
        assert {name: (int(data[:13]), unpacked(data[20:]).version) for name, data in aside.items()} == {
            name: (parked.since, parked.held.version) for name, parked in model.parked.items()
        }
        counted = sum(int(n or 0) for n in client.hmget(self.key("back"), "b", "p"))
        assert counted == model.bytes
        for name in (b"sa", b"sb", b"sc"):
            value = client.get(self.account.value(name))
            if value is not None and value[27:35] != self.account.generation():
                value = None
            held = model.clean.get(name)
            assert (value[51:78].decode() if value else "") == (of_row(held.version) if held else "")


STEPS = {
    "put": 12, "again": 4, "claim": 10, "ack": 8, "fail": 2, "park": 5, "retry": 5, "discard": 1, "open": 0.5, "passes": 6,
    "end": 4,
    "restarts": 0.5, "reserve": 8, "put_reserved": 7, "settle": 3,
}  # fmt: skip


def test_the_scripts_answer_what_the_model_answers(client: redis.Redis) -> None:
    """The same steps at random on both: the same answers, records, times and counts."""
    seen: Counter[str] = Counter()
    for seed in range(30):
        chance, both = Random(seed), Both(client)
        for name in chance.choices(list(STEPS), list(STEPS.values()), k=90):
            getattr(both, name)(chance, chance.choice(NAMES))
            both.alike()
        seen.update(both.seen)
    wanted = (
        {answer.value for answer in Answer}
        | {fate.value for fate in Fate}
        | {"ended", "late", "clean", "again", "gone", "parked 1", "parked 0", "dirty"}
    )
    assert all(seen[word] > 3 for word in wanted), seen


def test_the_script_remembers_as_many_puts_as_the_rules_say() -> None:
    """One number in two places."""
    assert f"'MAXLEN', '~', {PUTS_REMEMBERED}," in lua("regionkit.caching", "back_put").text.decode()


@pytest.mark.parametrize("lost", ["dirty", "due", "ages", "back", "parked"])
def test_a_buffer_that_is_lost_in_part_is_opened_anew_and_whole(client: redis.Redis, lost: str) -> None:
    """What is left of it is due, and counted right; nothing is claimed before."""
    both, chance = Both(client), Random(5)
    both.epoch = 1
    both.model.open(both.run, 1)
    both.account.run("back_open", [], both.run, 1, "")
    for name in NAMES:
        both.puts(name, name.encode() * 16, 2, None, None)
    at, _ = next(iter(client.zrange(both.key("due"), 0, 0, withscores=True)))
    both.claim(chance, "a")
    version = unpacked(client.hget(both.key("dirty"), at)).version
    assert both.account.run("back_park", [], at, text_of(version), "why") == 1
    client.delete(both.key(lost))
    if lost != "parked":
        assert both.account.run("back_claim", [], both.run, 9, 10**6, LASTS, 1000, b"t" * 16)[0] == 0
    both.account.run("back_open", [], both.run, 2, "")
    is_open, epoch, _, *found = both.account.run("back_claim", [], both.run, 9, 10**6, LASTS, 1000, b"t" * 16)
    assert (is_open, epoch, len(found) // 3) == (1, 2, 0 if lost == "dirty" else 2)
    for of in ("dirty", "parked"):
        _, _, size, wrong, counted = both.account.run("back_audit", [], of, 0, 100)
        assert (counted, wrong) == (size, 0)


def test_a_plain_put_ends_loads_and_is_told(client: redis.Redis) -> None:
    """Whoever loads the key stores nothing; news have no gap; a buffer that is not this run's, or not whole, is none."""
    both = Both(client)
    account, stored = both.account, b"sa"
    both.epoch = 1
    both.model.open(both.run, 1)
    account.run("back_open", [], both.run, 1, "")
    token = b"t" * 16
    assert account.begin(stored, token)[0] == b"load"
    client.set(account.value(stored), b"an older value")
    for number in range(3):
        both.puts("a", b"%016d" % number, 2, None, None)
        both.puts("b", b"%016d" % (9 - number), 2, None, None)
    assert client.exists(account.value(stored), account.lease(stored)) == 0
    assert account.commit(stored, token, b"what was loaded") == "lost"
    assert account.begin(stored, b"u" * 16)[0] == b"stored", "what is dirty is what there is"
    told = [int(fields[b"n"]) for _, fields in client.xrange(account.news)]
    assert told == list(range(told[0], told[0] + len(told)))
    assert len(told) > 6
    assert told[-1] == int(account.field("n"))
    head, entry, _ = both.sized("a", 2)
    words = [both.run, b"p" * 16, digest_of("a"), head, entry, "", "", "", 0, MOST, BYTES, "", "", ""]
    client.hset(account.account, "r", "run 0")
    assert account.run("back_put", [stored], *words)[0] == b"open"
    client.hset(account.account, "r", both.run)
    client.delete(both.key("dirty"))
    assert account.run("back_put", [stored], *words)[0] == b"open"
