"""A hidden truth for model tests: servers with their data, promoted, cut, restarted; and one process that watches.

Data is a list of writes and history rows; a position is how long the list is. A replica follows one server as long as
its list is a prefix of that one's. What the watching process believes comes only from answers, as in real life.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from regionkit.facts.bookmark import EMPTY, OWNER_ONLY, Bookmark, Entry
from regionkit.facts.consistency import BOUNDED, SESSION
from regionkit.facts.history import HistoryRow, lineage_of
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind, Request
from regionkit.routing.decision import Decision
from regionkit.routing.verdict import Outcome
from regionkit.topology import Role

from .worlds import PRIMARY, REPLICA, store_of


@dataclass
class Server:
    """One server as it really is."""

    role: Role
    timeline: str
    upstream: int
    run: int = 1
    data: list[int | HistoryRow] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)  # where each earlier timeline was left
    told_origin: bool = False
    connected: bool = True

    def writes(self) -> set[int]:
        return {item for item in self.data if isinstance(item, int)}

    def answer(self, now: float, *, mute: bool, uncounted: int = 0, vague: bool = False) -> Observation:
        """`uncounted`: of the newest items, so many are shown and not counted yet; `vague`: it cannot say what it shows."""
        origin = self.timeline
        if self.role is REPLICA and mute and self.told_origin:
            origin = ""  # its receiver is down
        self.told_origin = True
        lineage = lineage_of([item for item in self.data if isinstance(item, HistoryRow)])
        shown = len(self.data)
        counted = shown - uncounted if self.role is REPLICA else shown
        return Observation(
            self.role, f"run {self.run}", lineage, origin, counted, now, 0.001, shown=None if vague else shown
        )


@dataclass
class Session:
    """What one session must see from now on, and the bookmark that says so."""

    needs: set[int] = field(default_factory=set)
    bookmark: Bookmark = EMPTY


class Cluster:
    """Three servers, one watching process, some sessions; every step is drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.state, self.clock, _ = store_of("PRR", local=f"r{seed % 3}")
        root = HistoryRow("h1", None, None, 1, "tl1")
        self.servers = [Server(PRIMARY if i == 0 else REPLICA, "tl1", 0, data=[root]) for i in range(3)]
        self.sessions = [Session() for _ in range(3)]
        self.late: list[tuple[int, Observation]] = []
        self.commits: list[tuple[float, int, int]] = []
        self.count = self.timelines = self.histories = 1
        self.served = {"session": 0, "bounded": 0, "write": 0, "refused": 0}
        for i in range(3):
            self.observe(i)

    def step(self) -> None:
        steps = [
            (self.follow, 8),
            (self.look, 8),
            (self.write, 5),
            (self.read, 8),
            (self.read_bounded, 4),
            (self.promote, 1),
            (self.foreign_write, 2),
            (self.record, 1),
            (self.restart, 1),
            (self.rejoin, 1),
            (self.repoint, 3),
            (lambda: self.state.forget(self.random.randrange(3)), 1),
        ]
        self.clock.advance(self.random.choice([0.0, 0.01, 0.1, 0.5]))
        self.random.choices([step for step, _ in steps], [weight for _, weight in steps])[0]()

    # What the world does.

    def follow(self) -> None:
        server = self.servers[self.random.randrange(3)]
        if server.role is REPLICA and server.connected:
            source = self.servers[server.upstream]
            have = len(server.data)
            if source.data[:have] == server.data:
                server.data.extend(source.data[have : have + self.random.randint(0, 4)])
                server.timeline, server.left = source.timeline, source.left

    def promote(self) -> None:
        server = self.servers[self.random.randrange(3)]
        if server.role is REPLICA:
            self.timelines += 1
            have = len(server.data)  # it may not have come to where an earlier timeline was left
            server.left = {name: min(at, have) for name, at in {**server.left, server.timeline: have}.items()}
            server.role, server.timeline = PRIMARY, f"tl{self.timelines}"

    def record(self) -> None:
        """Somebody writes the history row of a promotion, with the fork that the server proves."""
        server = self.servers[self.random.randrange(3)]
        rows = [item for item in server.data if isinstance(item, HistoryRow)]
        if server.role is PRIMARY and rows[-1].origin != server.timeline:
            self.histories += 1
            parent, fork = rows[-1], server.left[rows[-1].origin]
            server.data.append(
                HistoryRow(f"h{self.histories}", parent.history, fork, parent.epoch + 1, server.timeline)
            )

    def foreign_write(self) -> None:
        server = self.servers[self.random.randrange(3)]
        if server.role is PRIMARY:
            for _ in range(self.random.randint(1, 5)):
                self._append(server)

    def restart(self) -> None:
        server = self.servers[self.random.randrange(3)]
        server.run += 1
        if server.role is REPLICA:  # it begins at an earlier position
            del server.data[max(1, len(server.data) - self.random.randint(0, 3)) :]
            server.told_origin = False

    def rejoin(self) -> None:
        """A primary is rewound and follows another one; or a replica is rebuilt from it."""
        index, target = self.random.sample(range(3), 2)
        server, source = self.servers[index], self.servers[target]
        if source.role is PRIMARY and any(s.role is PRIMARY for s in self.servers if s is not server):
            server.role, server.upstream, server.timeline, server.left = REPLICA, target, source.timeline, source.left
            server.run += 1
            server.told_origin = False
            server.data = source.data[: self.random.randint(max(1, len(source.data) - 3), len(source.data))]

    def repoint(self) -> None:
        """A replica follows another server from now on, if its data allows; its receiver may be down."""
        index, target = self.random.sample(range(3), 2)
        server, source = self.servers[index], self.servers[target]
        server.connected = self.random.random() < 0.6
        if server.role is REPLICA and source.data[: len(server.data)] == server.data:
            server.upstream = target

    def _append(self, server: Server) -> int:
        self.count += 1
        server.data.append(self.count)
        return self.count

    # What the process does: as routing/blocks_async.py, without its I/O.

    def observe(self, index: int) -> None:
        self.state.observe(index, self._answer(index))

    def _answer(self, index: int) -> Observation:
        """A copy shows a commit before it counts it, and now and then cannot tell what it shows."""
        server, chance = self.servers[index], self.random.random
        uncounted = int(isinstance(server.data[-1], int) and len(server.data) > 1 and chance() < 0.3)
        vague = server.role is REPLICA and chance() < 0.1
        return server.answer(self.clock.monotonic(), mute=not server.connected, uncounted=uncounted, vague=vague)

    def look(self) -> None:
        """The monitor asks; now and then an answer stays on the way, and comes after later ones."""
        index = self.random.randrange(3)
        if self.random.random() < 0.2:
            self.late.append((index, self._answer(index)))
        elif self.late and self.random.random() < 0.3:
            self.state.observe(*self.late.pop(self.random.randrange(len(self.late))))
        else:
            self.observe(index)

    def route(self, request: Request) -> int:
        """The endpoint that serves, after all the asking that the decisions want; -1 when refused."""
        for _ in range(20):
            decision: Decision = self.state.decide(request)
            if decision.outcome is Outcome.REFUSE:
                self.served["refused"] += 1
                return -1
            index = decision.index
            seen = self.state.snapshot.endpoints[index].observation
            if seen is None or seen.incarnation != f"run {self.servers[index].run}":
                self.observe(index)
            elif decision.outcome is Outcome.USE:
                return index
            else:
                self.observe(index)
                request = _asked(request, index, again=index in request.fresh)
        raise AssertionError("the decisions go round in circles")

    def write(self) -> None:
        session = self.random.choice(self.sessions)
        index = self.route(Request(kind=Kind.WRITE))
        if index < 0 or self.servers[index].role is not PRIMARY:
            return
        server = self.servers[index]
        made = self._append(server)
        session.needs.add(made)
        session.bookmark = session.bookmark.add("orders", self._entry(index, len(server.data), from_read=False))
        self.commits.append((self.clock.monotonic(), index, made))
        self.served["write"] += 1

    def read(self) -> None:
        session = self.random.choice(self.sessions)
        entries = session.bookmark.entries("orders")
        until = self.clock.monotonic() + 1.0
        index = self.route(
            Request(consistency=SESSION, entries=entries, pin=self.random.randint(-1, 2), wait_until=until)
        )
        if index < 0:
            if entries and self.random.random() < 0.3:
                session.needs, session.bookmark = set(), EMPTY
            return
        server = self.servers[index]
        owner_only = any(entry.position is None for entry in entries)
        if owner_only:
            assert index == self.state.snapshot.owner, "a replica served what only the owner has"
        else:
            assert session.needs <= server.writes(), f"{index} lacks {session.needs - server.writes()}, asked {entries}"
        session.needs = session.needs | server.writes()
        self.observe(index)
        seen = self.state.snapshot.endpoints[index].observation
        assert seen is not None
        owner = self.state.snapshot.owner
        session.bookmark = session.bookmark.add("orders", self._entry(index, seen.shown, from_read=index != owner))
        self.served["session"] += 1

    def read_bounded(self) -> None:
        bound = self.random.choice([0.05, 0.3, 2.0])
        now = self.clock.monotonic()
        index = self.route(Request(consistency=BOUNDED(bound), wait_until=now + 1.0))
        owner = self.state.snapshot.owner
        if index < 0 or owner in (-1, index):
            return
        known = self.servers[owner].writes()
        late = {made for at, _, made in self.commits if at < now - bound and made in known}
        assert late <= self.servers[index].writes(), f"{index} is more than {bound} s behind: {late}"
        self.served["bounded"] += 1

    def _entry(self, index: int, position: object, *, from_read: bool) -> Entry:
        e = self.state.snapshot.endpoints[index]
        if e.lineage is None or not isinstance(position, int):
            return OWNER_ONLY
        return Entry(e.lineage.current.history, e.lineage.current.epoch, position, from_read)


def _asked(request: Request, index: int, *, again: bool) -> Request:
    from msgspec.structs import replace

    waited = request.waited | {index} if again else request.waited
    return replace(request, fresh=request.fresh | {index}, waited=waited)
