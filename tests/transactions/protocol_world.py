"""One global transaction, its servers and its recoverers as a model: what may happen next is a list of moves.

The pure modules decide; all else here is the world around them. A request may be lost, be late, overtake another, or be done
and its answer lost or come twice. The coordinator gives up, dies, freezes. Recoverers interleave at every `yield`. Participants
that are not the anchor fail over and lose what they had, or have it prepared again; the log loses its rows under a new history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import msgspec

from regionkit.transactions import protocol, recovery_rules
from regionkit.transactions.protocol import (
    Abort,
    BranchFacts,
    Commit,
    Decide,
    Decided,
    Decision,
    Event,
    Finish,
    FinishBranch,
    Finished,
    GiveUp,
    Mode,
    OnePhase,
    Outcome,
    Phase,
    Prepare,
    Vote,
    Voted,
)
from regionkit.transactions.recovery_rules import Evidence, Found, Row, RowVerdict, Verdict
from regionkit.transactions.xid import Xid, gtrid_of, xid_of_gid

LOG, RETENTION, PATIENCE = "0000000a", 1000, 10
GTRID = gtrid_of(1_000_000, b"0123456789")
FOREIGN = (Xid("shop", "0000000b", GTRID, "a", 0).gid, Xid("shop_eu", LOG, GTRID, "a", 0).gid)
OPEN, PREPARED, COMMITTED, GONE = "open", "prepared", "committed", "gone"

SHAPES: tuple[dict[str, BranchFacts], ...] = (
    {"a": BranchFacts(), "b": BranchFacts()},
    {"a": BranchFacts(), "b": BranchFacts(anchor=True)},
    {"a": BranchFacts(), "b": BranchFacts(anchor=True, prepares=False), "c": BranchFacts(reading=True)},
    {"a": BranchFacts(), "b": BranchFacts(), "c": BranchFacts()},
    {"a": BranchFacts(), "c": BranchFacts(reading=True)},
)


@dataclass
class Server:
    """A participant's database, as far as this transaction goes."""

    prepares: bool = True
    branch: str = OPEN
    barred: bool = False
    history: int = 1
    connected: bool = True
    foreign: list[str] = field(default_factory=lambda: list(FOREIGN))

    @property
    def evidence(self) -> Evidence:
        if self.branch == COMMITTED:
            return Evidence.COMMITTED
        return Evidence.BARRED if self.barred else Evidence.NONE


Move = tuple[int, str, Callable[[], None]]


class World:
    """`moves()` are possible now, each with a weight; each one keeps the invariants or raises AssertionError."""

    def __init__(self, shape: int) -> None:
        facts = SHAPES[shape % len(SHAPES)]
        self.t = protocol.begun(facts)
        self.servers = {n: Server(f.prepares) for n, f in facts.items() if not f.reading}
        self.known = {n: s.history for n, s in self.servers.items()}
        self.rows: dict[str, Row] = {}
        self.history, self.noted, self.floor = 1, 1, ""
        self.requests: list[object] = []
        self.waiting: list[object] = []
        self.answers: list[Event] = []
        self.alive, self.frozen = True, False
        self.now = 0
        self.recoverers: list[Iterator[None] | None] = [None, None]
        self.operator: Iterator[None] | None = None
        self.seen: list[dict[str, int]] = [{}, {}]
        self.decided = self.lost_log = False
        self.failed_over: set[str] = set()
        self.reported: Outcome | None = None
        self.trace: list[str] = []

    # -- what may happen

    def moves(self) -> list[Move]:
        found: list[Move] = []
        if self.alive and not self.frozen:
            if self.t.phase is Phase.ACTIVE:
                found += [(40, "commit", partial(self.tell, Commit())), (1, "abort", partial(self.tell, Abort("test")))]
            elif self.t.phase is not Phase.ENDED:
                found.append((1, "give up", partial(self.tell, GiveUp())))
            for number, event in enumerate(self.answers):
                found.append((16, f"answer {event}", partial(self.answer, number, twice=False)))
                found.append((1, f"answer, twice {event}", partial(self.answer, number, twice=True)))
            for number, action in enumerate(self.waiting):
                found.append((1, f"unanswered {action}", partial(self.unanswered, number)))
        for number, request in enumerate(self.requests):
            found.append((16, f"deliver {request}", partial(self.deliver, number, lost=False)))
            found.append((2, f"deliver, answer lost {request}", partial(self.deliver, number, lost=True)))
            found.append((1, f"lose {request}", partial(self.lose, number)))
            if isinstance(request, Prepare):
                found.append((1, f"refuse {request}", partial(self.refuse, number)))
        if self.alive:
            found.append((1, "die", self.die))
            found.append((8 if self.frozen else 1, "freeze, wake", self.freeze))
        for number in range(len(self.recoverers)):
            found.append((3, f"recoverer {number}", partial(self.recover, number)))
        if self.t.mode is not Mode.ONE_PHASE:
            found.append((1, "operator", self.operate))
        found.append((2, "time passes", partial(self.wait, PATIENCE + 1)))
        for name, server in self.servers.items():
            if not server.connected and server.branch == OPEN:
                found.append((2, f"{name} drops it", partial(self.drop, name)))
        for name, server in self.servers.items():
            if name != self.t.anchor and server.branch in (PREPARED, COMMITTED) and self.t.mode is not Mode.ONE_PHASE:
                found.append((1, f"{name} fails over, loses", partial(self.fail_over, name, GONE)))
                if server.branch == PREPARED:
                    found.append((1, f"{name} is rolled back by hand", partial(self.meddle, name)))
                if server.branch == COMMITTED:
                    found.append((1, f"{name} fails over, to prepared", partial(self.fail_over, name, PREPARED)))
        if self.decided and not self.lost_log and self.t.anchor is None:
            found.append((1, "the log loses its rows", self.lose_log))
        if self.now > PATIENCE and self.floor == "" and self.t.phase is Phase.ENDED:
            found.append((1, "sweep", self.sweep))
        return found

    def run(self, choice: int) -> None:
        """One move, found by a number."""
        moves = self.moves()
        choice %= sum(weight for weight, _, _ in moves)
        for weight, label, do in moves:
            choice -= weight
            if choice < 0:
                self.trace.append(label)
                do()
                break
        self.check()

    # -- the coordinator

    def tell(self, event: Event) -> None:
        self.t, actions = protocol.step(self.t, event)
        for action in actions:
            if isinstance(action, Prepare):
                for name in action.branches:
                    assert self.servers[name].prepares, "what cannot prepare was asked to"
                    assert not self.t.branches[name].anchor, "an anchor was asked to prepare"
                    self.send(Prepare((name,)))
            elif isinstance(action, protocol.End):
                self.reported = self.t.outcome
                self.acknowledge({n for n, s in self.t.states.items() if s is protocol.State.DONE}, self.known)
            else:
                self.send(action)

    def send(self, action: object) -> None:
        self.requests.append(action)
        self.waiting.append(action)

    def answer(self, number: int, *, twice: bool) -> None:
        event = self.answers[number] if twice else self.answers.pop(number)
        self.tell(event)

    def unanswered(self, number: int) -> None:
        """Its deadline passed: the connection is closed, and the request may still arrive."""
        action = self.waiting.pop(number)
        if isinstance(action, Prepare):
            self.servers[action.branches[0]].connected = False
            self.tell(Voted(action.branches[0], Vote.UNANSWERED))
        elif isinstance(action, FinishBranch):
            self.servers[action.branch].connected = False
            self.tell(Finished(action.branch, Finish.UNREACHED))
        else:
            if isinstance(action, OnePhase):
                self.servers[action.branch].connected = False
            self.tell(Decided(None))

    def die(self) -> None:
        self.alive = False
        self.waiting, self.answers = [], []
        for server in self.servers.values():
            server.connected = False

    def freeze(self) -> None:
        self.frozen = not self.frozen

    # -- the network and the servers

    def deliver(self, number: int, *, lost: bool) -> None:
        request = self.requests.pop(number)
        event = self.done(request)
        if not lost and self.alive and any(w is request for w in self.waiting):
            self.waiting = [w for w in self.waiting if w is not request]
            self.answers.append(event)

    def lose(self, number: int) -> None:
        self.requests.pop(number)

    def refuse(self, number: int) -> None:
        request = self.requests[number]
        assert isinstance(request, Prepare)
        self.servers[request.branches[0]].branch = GONE
        self.deliver(number, lost=False)

    def done(self, request: object) -> Event:
        """What a server does when a request reaches it."""
        match request:
            case Prepare(branches=(name,)):
                server = self.servers[name]
                if server.branch == OPEN:
                    server.branch = PREPARED
                    return Voted(name, Vote.YES)
                return Voted(name, Vote.NO)
            case OnePhase(branch=name, deciding=deciding):
                server = self.servers[name]
                fine = server.branch == OPEN and not server.barred
                if fine and deciding:
                    fine = self.decide(Decision.COMMIT) is Decision.COMMIT
                server.branch = COMMITTED if fine else GONE if server.branch == OPEN else server.branch
                return Decided(Decision.COMMIT if fine else Decision.ABORT)
            case Decide(want=want):
                if self.t.mode is not Mode.ONE_PHASE:
                    return Decided(self.decide(want))
                [server] = self.servers.values()
                server.barred = server.branch != COMMITTED
                return Decided(Decision.ABORT if server.barred else Decision.COMMIT)
            case FinishBranch(branch=name, commit=commit):
                in_use = any(isinstance(r, Prepare | OnePhase) and _names(r) == name for r in self.requests)
                if not commit and self.servers[name].branch == OPEN and not in_use:
                    self.servers[name].branch = GONE
                    return Finished(name, Finish.DONE)
                return Finished(name, self.finish(name, commit))
        raise AssertionError(request)

    def decide(self, want: Decision) -> Decision:
        """The log's compare-and-set."""
        if GTRID in self.rows:
            return self.rows[GTRID].decision
        if self.floor >= GTRID:
            return Decision.ABORT
        self.rows[GTRID] = Row(GTRID, want, dict.fromkeys(self.servers))
        self.decided = self.decided or want is Decision.COMMIT
        return want

    def finish(self, name: str, commit: bool) -> Finish:
        server = self.servers[name]
        if server.branch != PREPARED:
            return Finish.UNKNOWN
        server.branch = COMMITTED if commit else GONE
        return Finish.DONE

    def drop(self, name: str) -> None:
        """The server sees that the connection is gone: what it had not prepared rolls back."""
        self.requests = [r for r in self.requests if not (isinstance(r, Prepare | OnePhase) and _names(r) == name)]
        if self.servers[name].branch == OPEN:
            self.servers[name].branch = GONE

    def fail_over(self, name: str, to: str) -> None:
        self.servers[name].branch = to
        self.servers[name].history += 1
        self.servers[name].connected = False
        self.failed_over.add(name)

    def meddle(self, name: str) -> None:
        """Somebody ends a prepared branch; its history is as before."""
        self.servers[name].branch = GONE
        self.failed_over.add(name)

    def lose_log(self) -> None:
        self.rows = {}
        self.history += 1
        self.lost_log = True

    def acknowledge(self, names: set[str], histories: dict[str, int]) -> None:
        row = self.rows.get(GTRID)
        if row is not None and row.decision is Decision.COMMIT:
            branches = {n: str(histories[n]) if n in names else h for n, h in row.branches.items()}
            done = all(h is not None for h in branches.values())
            self.rows[GTRID] = msgspec.structs.replace(row, branches=branches, done=done)

    def hazard(self, name: str) -> None:
        assert self.failed_over or self.lost_log, f"a HAZARD on {name}, and nothing had happened"
        row = self.rows.get(GTRID) or Row(GTRID, Decision.ABORT)
        self.rows[GTRID] = msgspec.structs.replace(row, hazards={**row.hazards, name: "found"})

    def sweep(self) -> None:
        """Long after: the floor rises over the transaction; what is not done stays."""
        self.wait(2 * RETENTION)
        self.floor = GTRID
        row = self.rows.get(GTRID)
        if row is None or row.decision is Decision.ABORT or (row.done and not row.hazards):
            self.rows = {}

    def wait(self, seconds: int) -> None:
        self.now += seconds

    # -- recovery

    def recover(self, number: int) -> None:
        """The next step of a recoverer; a run after its last one."""
        run = self.recoverers[number] or self.recovery(number)
        self.recoverers[number] = run
        if next(run, "over") == "over":
            self.recoverers[number] = None

    def listed(self, name: str) -> list[Xid]:
        server = self.servers[name]
        own = [Xid("shop", LOG, GTRID, name, 0).gid] if server.branch == PREPARED else []
        xids = [xid_of_gid(gid) for gid in (*server.foreign, *own)]
        return [xid for xid in xids if xid is not None and xid.namespace == "shop"]

    def recovery(self, number: int) -> Iterator[None]:
        """P, A, T, Q; histories are read before anything is, so that an acknowledgement never says too much."""
        histories = {n: s.history for n, s in self.servers.items()}
        yield
        before = {name: self.listed(name) for name in self.servers}
        for name, xids in before.items():
            for xid in xids:
                self.seen[number].setdefault(f"{name} {xid.gid}", self.now)
        yield
        active = number == 0 and self.alive and self.t.phase is not Phase.ENDED
        rows, presumes = dict(self.rows), self.history == self.noted
        yield
        after = {name: self.listed(name) for name in self.servers}
        for name, xids in before.items():
            for xid in xids:
                if xid in after[name]:
                    yield
                    waited = self.now - self.seen[number][f"{name} {xid.gid}"]
                    found = Found(xid, waited, active and xid.log == LOG, presumes)
                    yield from self.judge(name, found, rows.get(xid.gtrid) if xid.log == LOG else None)
        row = rows.get(GTRID)
        if row is not None and row.decision is Decision.COMMIT:
            for name in row.branches:
                yield from self.join(name, row, after, histories)
        for name, server in self.servers.items():
            marked = server.branch == COMMITTED and self.t.mode is not Mode.ONE_PHASE
            yield
            if marked and recovery_rules.judge_marker(GTRID, self.rows.get(GTRID), floor=self.floor):
                self.hazard(name)

    def operate(self) -> None:
        """The next step of an operator who wants the COMMIT; another one after the last."""
        self.operator = self.operator or self.operation()
        if next(self.operator, "over") == "over":
            self.operator = None

    def operation(self) -> Iterator[None]:
        """All that it sees prepared it would commit."""
        row, prepared = self.rows.get(GTRID), [name for name, s in self.servers.items() if s.branch == PREPARED]
        states = self.branches()
        yield
        proved = recovery_rules.is_commit_proved(None if row is None else row.decision, committed=COMMITTED in states)
        if (
            not proved
            or not states <= {PREPARED, COMMITTED, OPEN}
            or self.decide(Decision.COMMIT) is not Decision.COMMIT
        ):
            return
        for name in prepared:
            yield
            self.finish(name, commit=True)

    def judge(self, name: str, found: Found, row: Row | None) -> Iterator[None]:
        millis = 1_000_000 + self.now * 1000
        verdict = recovery_rules.judge_branch(
            found, row, log=LOG, now_millis=millis, retention=RETENTION, patience=PATIENCE
        )
        if verdict not in (Verdict.COMMIT, Verdict.ABORT, Verdict.BAR):
            return
        assert found.xid.log == LOG, "a branch of another log was touched"
        commit = verdict is Verdict.COMMIT
        if verdict is Verdict.BAR:
            commit = self.decide(Decision.ABORT) is Decision.COMMIT
            yield
            if not commit and self.history != self.noted:
                return
        assert commit or not self.decided, "recovery rolled back what had been decided"
        self.finish(name, commit)
        yield

    def join(self, name: str, row: Row, listed: dict[str, list[Xid]], histories: dict[str, int]) -> Iterator[None]:
        yield
        verdict = recovery_rules.judge_row(
            row,
            name,
            listed=any(xid.log == LOG for xid in listed[name]),
            evidence=self.servers[name].evidence,
            history=str(histories[name]),
            reopened=True,
        )
        yield
        if verdict is RowVerdict.HAZARD:
            self.hazard(name)
        elif verdict is RowVerdict.FINISH:
            if self.finish(name, commit=True) is Finish.DONE:
                self.acknowledge({name}, histories)
        elif verdict is RowVerdict.DONE and self.servers[name].evidence is Evidence.COMMITTED:
            self.acknowledge({name}, histories)

    # -- what must hold

    def branches(self) -> set[str]:
        return {server.branch for server in self.servers.values()}

    def check(self) -> None:
        """At every instant."""
        assert all(tuple(s.foreign) == FOREIGN for s in self.servers.values())
        intact = not self.failed_over and not self.lost_log
        if intact:
            assert not {COMMITTED, GONE} <= self.branches(), "torn"
        if self.reported is Outcome.ABORTED and not self.lost_log:
            assert COMMITTED not in self.branches() and not self.decided, "ABORTED, and it committed"
        if self.reported is Outcome.COMMITTED and intact:
            assert not {OPEN, GONE} & self.branches(), "COMMITTED, and it aborted"
        if self.reported in (Outcome.ABORTED, Outcome.COMMITTED) and not self.t.pending and intact:
            assert PREPARED not in self.branches(), "left prepared, and nobody was told"

    def settle(self) -> None:
        """The end: the coordinator is gone, the network empty, recovery has run until nothing changes."""
        self.recoverers, self.operator = [None, None], None
        self.die()
        while self.requests:
            self.deliver(0, lost=True)
            self.check()
        for name in self.servers:
            self.drop(name)
        for _ in range(3):
            for _ in self.recovery(1):
                self.check()
            self.wait(PATIENCE + 1)
        self.check()
        stood = (dict(self.rows), {n: (s.branch, s.barred) for n, s in self.servers.items()})
        for _ in self.recovery(1):
            pass
        assert stood == (self.rows, {n: (s.branch, s.barred) for n, s in self.servers.items()}), "not idempotent"
        row = self.rows.get(GTRID)
        hazards = set() if row is None else set(row.hazards)
        if self.t.mode is Mode.ONE_PHASE:
            return
        if COMMITTED in self.branches() and {GONE, PREPARED} & self.branches() and self.floor == "":
            assert hazards, "torn, and nobody found it"
        if self.floor == "" and not self.lost_log:
            if self.decided:
                torn = {n for n, s in self.servers.items() if s.branch != COMMITTED}
                assert torn <= hazards, "a decided COMMIT was lost"
            else:
                assert self.branches() <= {GONE}, "undecided, and left"


def _names(request: object) -> str:
    return request.branches[0] if isinstance(request, Prepare) else getattr(request, "branch", "")
