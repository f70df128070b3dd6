"""The scripts of log mode on a real server: they answer what the model answers, and keep what it keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import redis

from regionkit.caching.back.log_rules import LogModel
from regionkit.caching.back.record import unpacked
from regionkit.caching.back.rules import Answer, text_of
from regionkit.caching.keys import digest_of

from .test_back_scripts import NAMES, PAUSE, Both

pytestmark = pytest.mark.redis

MOST, BYTES, LASTS = 5, 3000, 5_000


@pytest.fixture
def client(redis_server: Any) -> Iterator[redis.Redis]:
    """Of the suite's server."""
    with redis_server.primary.client() as found:
        yield found


class BothLogs(Both):
    """The same steps on a model and at a server."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.log = self.model = LogModel(max_dirty=MOST, max_bytes=BYTES)
        self.given: list[tuple[bytes, list[Any], int, int]] = []

    def put_log(self, chance: Random, name: str) -> None:
        self.made += 1
        id, stored = b"%016d" % self.made, b"s" + name.encode()
        head, entry, size = self.sized(name, chance.choice((1, 2, 50, 300)))
        mine, version = self.log.put_log(stored, id, None, size, self.now, run=self.run)
        told = [self.run, id, digest_of(name), head, entry, "", "", "", 0, MOST, BYTES, "l", "", ""]
        answer, given, _ = self.account.run("back_put", [stored], *told)
        assert (answer.decode(), int(given or 0)) == (mine.value, version)
        self.seen[mine.value] += 1
        if mine is Answer.OPEN:
            self.open_log(chance, name)

    def open_log(self, chance: Random, name: str) -> None:
        self.epoch += chance.choice((0, 1, 1))
        opens = self.epoch > self.log.epoch
        mine = self.log.open(self.run, self.epoch)
        is_open, epoch = self.account.run("back_open", [], self.run, self.epoch, "l")
        assert (bool(is_open), int(epoch)) == (mine, self.log.epoch)
        if opens:
            self.log.lease = b""
        self.now = int(self.account.field("c"))

    def is_open(self) -> bool:
        """Of the present run."""
        return self.log.epoch > 0 and self.log.run == self.run

    def claim_log(self, chance: Random, name: str) -> None:
        if chance.random() < 0.8:  # else the last comes once more, or late
            self.made += 1
        token = b"%016d" % self.made
        is_open, _, _, *found = self.account.run("back_log_claim", [], self.run, 3, 10**6, LASTS, 1000, token)
        assert bool(is_open) == self.is_open()
        if is_open:
            mine = self.log.claim_log(token, 3, self.now, LASTS)
            assert list(zip(found[::3], (unpacked(r).version for r in found[1::3]), strict=True)) == [
                (entry.name, entry.held.version) for entry in mine
            ]
            assert [int(tries) for tries in found[2::3]] == [self.log.tried.get(e.held.version, 0) for e in mine]
            self.seen["claimed" if mine else "not claimed" if self.log.log else "empty"] += 1
            if mine:
                self.given.append((token, mine, self.now, self.log.epoch))

    def done(self, chance: Random, name: str) -> None:
        if self.given:
            token, entries, claimed, epoch = chance.choice(self.given[-3:])
            written = entries[: chance.randrange(len(entries)) + 1]
            for entry in {
                entry.name: entry for entry in written
            }.values():  # before their entries go: rule 3 of the flusher
                mine = self.log.ack(entry.name, entry.held.version, claimed, self.now, epoch=epoch)
                told = [entry.name, text_of(entry.held.version), claimed, digest_of(entry.name[1:].decode()), epoch]
                assert [word.decode() for word in self.account.run("back_ack", [], *told)] == [mine.value]
            entry = written[-1]
            before = len(self.log.log)
            through = chance.choice((entry.held.version, 0))
            self.log.done(token, through)
            gone = self.account.run("back_log_done", [], token, text_of(through) if through else "")
            assert gone == before - len(self.log.log)
            self.seen[f"done {min(gone, 2)}"] += 1

    def failed(self, chance: Random, name: str) -> None:
        if self.given:
            token, entries, *_ = chance.choice(self.given[-3:])
            version = chance.choice((0, entries[0].held.version))
            pause = chance.choice((0, PAUSE))
            mine = self.log.failed(token, self.now, pause, version)
            told = [token, pause, text_of(version) if version else ""]
            assert self.account.run("back_log_fail", [], *told) == mine
            self.seen[f"failed {min(mine, 2)}"] += 1

    def end(self, chance: Random, name: str) -> None:
        token = b"%016d" % self.made
        had = self.log.lease == token
        self.log.end(token, self.now, LASTS)
        self.account.run("back_end", [], token, LASTS)
        self.seen["ended"] += had

    def park_log(self, chance: Random, name: str) -> None:
        if self.given:
            token, entries, *_ = chance.choice(self.given[-2:])
            entry = chance.choice(entries)
            mine = self.log.park_log(token, entry.held.version, entry.size + 20)
            assert self.account.run("back_log_park", [], text_of(entry.held.version), "why", token) == mine
            self.seen[f"parked {mine}"] += 1

    def version_of_some(self, chance: Random) -> int:
        """Of a parked entry, mostly."""
        return chance.choice([*self.log.aside, *self.log.aside, 7])

    def retry_log(self, chance: Random, name: str) -> None:
        version = self.version_of_some(chance)
        aside = self.log.aside.get(version)
        word = b"%b%b" % (text_of(version).encode(), aside.name if aside else b"sa")
        told = self.account.run("back_log_retry", [], self.run, word)
        if not self.is_open():
            assert told == [b"open"]
            return
        new = self.log.retry_log(version, aside.size - 20 if aside else 0, self.now)
        assert told == [b"dirty" if new else b"gone"]
        self.seen[told[0].decode()] += 1

    def discard_log(self, chance: Random, name: str) -> None:
        version = self.version_of_some(chance)
        aside = self.log.aside.get(version)
        word = b"%b%b" % (text_of(version).encode(), aside.name if aside else b"sa")
        assert self.account.run("back_log_discard", [], word) == [self.log.discard_log(version)]

    def restarts(self, chance: Random, name: str) -> None:
        super().restarts(chance, name)
        if chance.random() < 0.6:  # one of the two is lost, or neither
            lost = chance.choice(("log", "records"))
            entries = [(e.name, e.held.version) for e in self.log.log]
            last = {name: version for name, version in entries}
            whole = {name: held.version for name, held in self.log.dirty.items()} == last
            if whole and len(entries) == len(last):  # else the other has not all of it
                self.client.delete(self.key("log" if lost == "log" else "dirty"))
                self.log.log.sort(key=lambda entry: entry.held.version)
                self.epoch = self.log.epoch + 1
                self.seen[f"lost {lost}"] += 1
                if lost == "records":
                    self.log.due = dict.fromkeys(self.log.dirty, 0)
                    self.log.tried.clear()
                self.reopened(lost)

    def reopened(self, lost: str) -> None:
        """After a loss: what is left of one makes the other whole."""
        assert self.log.open(self.run, self.epoch)
        assert self.account.run("back_open", [], self.run, self.epoch, "l") == [1, self.epoch]
        self.now = int(self.account.field("c"))
        self.log.lease = b""
        if lost == "records":
            self.log.due = dict.fromkeys(self.log.dirty, int(self.account.field("c")))
            for name in self.log.dirty:  # they are due at the clock before the new generation
                self.log.due[name] = int(self.client.zscore(self.key("due"), name))

    def alike(self) -> None:
        """All that both keep."""
        client, model = self.client, self.log
        kept = {name: unpacked(data) for name, data in client.hgetall(self.key("dirty")).items() if name}
        assert {name: (r.version, r.id, r.time) for name, r in kept.items()} == {
            name: (held.version, held.id, held.time) for name, held in model.dirty.items()
        }
        entries = [(fields[b"n"], unpacked(fields[b"r"])) for _, fields in client.xrange(self.key("log"))]
        assert [(name, r.version, r.id) for name, r in entries] == [
            (e.name, e.held.version, e.held.id) for e in model.log
        ]
        ages = {name: int(at) for name, at in client.zrange(self.key("ages"), 0, -1, withscores=True)}
        assert ages == model.ages
        assert {int(v): int(n) for v, n in client.hgetall(self.key("tries")).items()} == model.tried
        aside = {field: unpacked(data[20:]).version for field, data in client.hgetall(self.key("parked")).items()}
        assert aside == {b"%019d%b" % (version, entry.name): version for version, entry in model.aside.items()}
        counted = [int(n or 0) for n in client.hmget(self.key("back"), "b", "g", "p")]
        assert counted == [model.bytes, model.logged, model.aside_bytes]
        assert (client.hget(self.key("back"), "l") or b"") == model.lease


STEPS = {
    "put_log": 12, "claim_log": 9, "done": 7, "failed": 3, "park_log": 3, "retry_log": 3, "discard_log": 1, "open_log": 0.5,
    "end": 2, "passes": 4, "restarts": 0.6,
}  # fmt: skip


def test_the_scripts_answer_what_the_model_answers(client: redis.Redis) -> None:
    """The same steps at random on both: the same answers, entries, records, times and counts."""
    seen: Counter[str] = Counter()
    for seed in range(40):
        chance, both = Random(seed), BothLogs(client)
        for name in chance.choices(list(STEPS), list(STEPS.values()), k=90):
            getattr(both, name)(chance, chance.choice(NAMES))
            both.alike()
        seen.update(both.seen)
    wanted = {"ended", "done", "open", "full", "claimed", "not claimed", "empty", "done 0", "done 1", "done 2"}
    wanted |= {
        "failed 0",
        "failed 1",
        "failed 2",
        "parked True",
        "parked False",
        "dirty",
        "gone",
        "lost log",
        "lost records",
    }
    assert all(seen[word] > 1 for word in wanted), seen


def test_a_buffer_of_the_other_mode_is_refused_unless_it_is_empty(client: redis.Redis) -> None:
    """Both ways."""
    both = BothLogs(client)
    both.epoch = 1
    both.log.open(both.run, 1)
    assert both.account.run("back_open", [], both.run, 1, "l") == [1, 1]
    both.put_log(Random(1), "a")
    assert both.account.run("back_open", [], both.run, 2, "") == [-1, 1]
    assert both.account.run("back_claim", [], both.run, 9, 10**6, LASTS, 1000)[0] == 0
    head, entry, _ = both.sized("b", 2)
    told = [both.run, b"i" * 16, digest_of("b"), head, entry, "", "", "", 0, MOST, BYTES, "", "", ""]
    assert both.account.run("back_put", [b"sb"], *told)[0] == b"open"
    both.claim_log(Random(1), "a")
    [(token, [first], claimed, _)] = both.given
    both.account.run("back_ack", [], first.name, text_of(first.held.version), claimed, digest_of("a"), 1)
    both.account.run("back_log_done", [], token, text_of(first.held.version))
    assert both.account.run("back_open", [], both.run, 2, "") == [1, 2]
    assert both.account.run("back_put", [b"sb"], *told)[0] == b"done"
    assert both.account.run("back_open", [], both.run, 3, "l") == [-1, 2]
    assert both.account.run("back_log_claim", [], both.run, 9, 10**6, LASTS, 1000, b"t" * 16)[0] == 0


def with_two(client: redis.Redis) -> BothLogs:
    """An open log with a put of each of two keys."""
    both, chance = BothLogs(client), Random(1)
    both.epoch = 1
    both.log.open(both.run, 1)
    both.account.run("back_open", [], both.run, 1, "l")
    both.put_log(chance, "a")
    both.put_log(chance, "b")
    return both


def test_a_claim_is_bounded_in_bytes_says_that_a_flusher_lives_and_needs_the_log(client: redis.Redis) -> None:
    """One entry at least; a log that was lost is opened anew, with what stands in the records."""
    both = with_two(client)
    found = both.account.run("back_log_claim", [], both.run, 9, 1, LASTS, 1000, b"t" * 16)
    assert (found[0], len(found[3:]) // 3) == (1, 1)
    assert int(client.hget(both.key("back"), "f")) == int(found[2]) + 1000
    client.delete(both.key("log"))
    assert both.account.run("back_log_claim", [], both.run, 9, 10**6, LASTS, 1000, b"t" * 16)[0] == 0
    assert both.account.run("back_open", [], both.run, 2, "l") == [1, 2]
    found = both.account.run("back_log_claim", [], both.run, 9, 10**6, LASTS, 1000, b"t" * 16)
    assert found[3::3] == [b"sa", b"sb"]


def test_a_claim_reads_no_more_of_the_log_than_it_gives(client: redis.Redis) -> None:
    """Large entries: reading all that it counts would hold up the server, and the claim would never come back in time."""
    both = BothLogs(client)
    both.account.run("back_open", [], both.run, 1, "l")
    for n in range(60):
        head, _, _ = both.sized("a", 1)
        told = [both.run, b"%016d" % n, digest_of("a"), head, b"x" * 500_000, "", "", "", 0, 99, 10**9, "l", "", ""]
        assert both.account.run("back_put", [b"sa"], *told)[0] == b"done"
    client.script_flush()  # and what the scripts have in memory
    found = both.account.run("back_log_claim", [], both.run, 99, 10**6, LASTS, 1000, b"t" * 16)
    assert 1 <= len(found[3:]) // 3 <= 2
    assert client.info("memory")["used_memory_lua"] < 12 * 10**6


def test_an_emptied_log_is_filled_again_from_the_records(client: redis.Redis) -> None:
    """Somebody has trimmed it: what readers get is still written, and nothing counts as written that was not."""
    both = with_two(client)
    client.xtrim(both.key("log"), maxlen=0, approximate=False)
    assert both.account.run("back_log_claim", [], both.run, 9, 10**6, LASTS, 1000, b"t" * 16)[0] == 0
    assert both.account.run("back_status", [], both.run)[0] == 0
    assert both.account.run("back_open", [], both.run, 2, "l") == [1, 2]
    found = both.account.run("back_log_claim", [], both.run, 9, 10**6, LASTS, 1000, b"t" * 16)
    assert found[3::3] == [b"sa", b"sb"]
    assert int(client.hget(both.key("back"), "g")) == sum(map(len, found[4::3]))
