"""Recovery on PostgreSQL: what a coordinator left that was killed, or that wakes up too late; and what breaks without each rule.

Each scenario runs as it is, and once more with one rule switched off: then it has to be wrong.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from regionkit.core.events import set_crash_hook
from regionkit.errors import RegionKitError, TransactionAborted
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.protocol import Decision, Finish
from regionkit.transactions.recovery_round import Round
from regionkit.transactions.recovery_rules import Evidence, Verdict
from regionkit.transactions.recovery_views import Report

sys.path.insert(0, str(Path(__file__).parent))
from test_transactions_killed import prepared
from transaction_children import ACCOUNTS, Bank, fork, soon, transfer

pytestmark = pytest.mark.postgresql
Cell = dict[str, Any]


@pytest.fixture
def cell(pg: Any) -> Iterator[Cell]:
    """Two databases with accounts, and a log in a third one."""
    made: Cell = {name: pg.primary.url_for(pg.database()) for name in ("a", "b", "log", "other log")}
    prepared(made)
    yield made
    set_crash_hook(None)
    bank = bank_of(made)
    for gid in left(bank):  # else nobody can drop or empty the database
        rolled_back(bank, gid.split(":")[4], gid)
    while OPEN:
        OPEN.pop().close()


OPEN: list[Bank] = []
"""Of the test that runs."""


def bank_of(cell: Cell) -> Bank:
    """One of this process, closed with the test."""
    OPEN.append(Bank(cell))
    return OPEN[-1]


ACCOUNT = itertools.count()
"""Each coordinator that dies has accounts of its own: they stay locked until recovery comes."""


def killed_at(cell: Cell, point: str, times: int = 1) -> None:
    """A coordinator of its own process that dies in its first transfer."""

    account = next(ACCOUNT) % ACCOUNTS

    def work() -> None:
        left = [times]

        def strike(at: str) -> None:
            left[0] -= at == point
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

        set_crash_hook(strike)
        transfer(Bank(cell), random.Random(), io.StringIO(), fails=False, account=account)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of this process
        pid = fork(work)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"{point} was not reached"


def sides(bank: Bank) -> tuple[int, int]:
    """Transfers that are committed on each."""
    counts = []
    for engine in bank.sides.values():
        with engine.connect() as db:
            counts.append(int(db.execute(text("SELECT count(*) FROM moved")).scalar_one()))
    return counts[0], counts[1]


def left(bank: Bank) -> list[str]:
    """Names of prepared branches, from the server."""
    with bank.sides["a"].connect() as db:
        mine = "SELECT gid FROM pg_prepared_xacts WHERE database = ANY(:names) ORDER BY gid"
        names = [engine.url.database for engine in bank.sides.values()]
        return [str(gid) for gid in db.execute(text(mine), {"names": names}).scalars()]


def rolled_back(bank: Bank, name: str, gid: str) -> None:
    """By somebody with a console."""
    with bank.sides[name].connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text(f"ROLLBACK PREPARED '{gid}'"))


# Each scenario: a mutant or none; what is wrong, in a word


def frozen(cell: Cell, mutant: bool) -> str:
    """A coordinator stops before its decision; recovery comes; it goes on."""
    bank, other, at_point = bank_of(cell), bank_of(cell), []

    def strike(at: str) -> None:
        if at == "tpc.decide.before" and not at_point:
            at_point.append(at)
            with pytest.MonkeyPatch.context() as patch:
                if mutant:
                    patch.setattr(Round, "_bar", _without_deciding)
                recoverer = threading.Thread(target=lambda: other.recovery(0.0).run(soon()))
                recoverer.start()
                recoverer.join()

    set_crash_hook(strike)
    told = "committed"
    try:
        transfer(bank, random.Random(), io.StringIO(), fails=False)
    except TransactionAborted:
        told = "aborted"
    except RegionKitError as error:
        told = type(error).__name__
    set_crash_hook(None)
    assert at_point
    other.recovery(0.0).run(soon())
    expected = {"committed": (1, 1), "aborted": (0, 0)}.get(told)
    return "" if sides(bank) == expected and left(bank) == [] else f"{told}, and the data says {sides(bank)}"


def _without_deciding(self: Any) -> None:
    for key, verdict in self._found.verdicts.items():
        if verdict is Verdict.BAR:
            self._found.verdicts[key] = Verdict.ABORT


def ended_by_hand(cell: Cell, mutant: bool) -> str:
    """A decided branch is rolled back at a console, in the instant in which recovery comes: 42704 is no acknowledgement."""
    killed_at(cell, "tpc.decided")
    bank = bank_of(cell)
    [gid] = [gid for gid in left(bank) if ":b:" in gid]
    participant = bank.participants["b"]
    own = participant.finish

    def finish(*given: Any) -> Finish:
        rolled_back(bank, "b", gid)
        answer = own(*given)
        assert answer is Finish.UNKNOWN
        return Finish.DONE if mutant else answer

    participant.finish = finish  # type: ignore[method-assign]
    report = bank.recovery(0.0).run(soon())
    assert sides(bank) == (1, 0)
    return "" if [list(one.hazards) for one in report.hazards] == [["b"]] else "torn, and nobody is told"


def committed_unheard(cell: Cell, mutant: bool) -> str:
    """It dies behind both commits: their markers say that they are done."""
    killed_at(cell, "tpc.commit.last.after")
    bank = bank_of(cell)
    if mutant:
        for participant in bank.participants.values():
            participant.evidence = lambda *_: Evidence.NONE  # type: ignore[method-assign]
    report = bank.recovery(0.0).run(soon())
    return "" if sides(bank) == (1, 1) and report.clean else f"hazards: {report.hazards}"


def lost_log(cell: Cell, mutant: bool) -> str:
    """All is decided, then the log is lost; a new and empty one is in its place: it has to leave the branches alone."""
    killed_at(cell, "tpc.decided")
    id = bank_of(cell).log.open("bank", soon()).id
    bank = bank_of({**cell, "log": cell["other log"]})
    bank.log.create_tables("bank", soon())
    if mutant:
        with bank.engines[cell["other log"]].begin() as db:
            db.execute(text("UPDATE bank_rk_tpc_meta SET log_id = :id"), {"id": id})
    report = bank.recovery(0.0).run(soon())
    verdicts = {branch.verdict for one in report.in_doubt for branch in one.branches}
    return "" if (len(left(bank)), verdicts) == (2, {"FOREIGN"}) else "a decided COMMIT is rolled back"


SCENARIOS: dict[str, Callable[[Cell, bool], str]] = {
    "tombstone": frozen,
    "42704 as done": ended_by_hand,
    "marker": committed_unheard,
    "log id": lost_log,
}


@pytest.mark.parametrize("rule", SCENARIOS)
def test_recovery_is_right(rule: str, cell: Cell) -> None:
    """On the real server, with real deaths."""
    assert SCENARIOS[rule](cell, False) == ""


@pytest.mark.parametrize("rule", SCENARIOS)
def test_without_the_rule_it_is_wrong(rule: str, cell: Cell) -> None:
    """So the scenario sees what it is there for."""
    assert SCENARIOS[rule](cell, True) != ""


@pytest.mark.parametrize("count", [2, 3])
def test_many_recoverers_at_once(count: int, cell: Cell) -> None:
    """55000 and 42704 are answers of a branch that another one ends: nothing is torn, nothing is a hazard."""
    for point in ("tpc.decided", "tpc.commit.last.before", "tpc.prepare.last.after", "tpc.prepare.first.after") * 2:
        killed_at(cell, point)
    banks = [bank_of(cell) for _ in range(count)]
    reports: list[Report] = []
    together = threading.Barrier(count)

    def work(bank: Bank) -> None:
        recovery = bank.recovery(0.0)
        together.wait()
        reports.append(recovery.run(soon()))

    threads = [threading.Thread(target=work, args=(bank,)) for bank in banks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == count
    final = banks[0].recovery(0.0).run(soon())
    assert (left(banks[0]), final.hazards, final.clean) == ([], (), True), str(final)
    assert sides(banks[0]) == (4, 4)


def test_an_unanswered_decision_is_read_back(cell: Cell) -> None:
    """A tombstone that recovery could not hear about stands all the same: the next run acts on it."""
    killed_at(cell, "tpc.prepare.after")
    bank = bank_of(cell)
    own, heard = SqlDecisionLog.decide, []

    def decide(self: Any, *given: Any) -> Decision:
        found = own(self, *given)
        if not heard:
            heard.append(found)
            raise RegionKitError("the answer was lost.")
        return found

    recovery = bank.recovery(0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqlDecisionLog, "decide", decide)
        report = recovery.run(soon())
        assert (len(left(bank)), list(report.unreachable)) == (2, [bank.log.name])
        assert recovery.run(soon()).clean
    assert (left(bank), sides(bank)) == ([], (0, 0))
