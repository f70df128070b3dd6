# Generated from test_logs_async.py by scripts/twins.py. Do not edit.
"""What every decision log owes, whatever keeps it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regionkit.core.concurrency import gather
from regionkit.errors import UsageError
from regionkit.transactions.logs.log import LogFacts
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import FORGOTTEN, RETENTION

from .log_rigs import LOGS, NAMESPACE, OLD, LogRig, new_gtrid, soon

RACERS = 12
"""Of each transaction."""
BRANCHES = ["accounts", "payments"]


@pytest.fixture(params=LOGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogRig]:
    made = LogRig.of(request, request.param, tmp_path)
    yield made
    made.close()


def decided(log: Any, want: Decision = Decision.COMMIT, ago: float = 0.0) -> str:
    gtrid = new_gtrid(ago)
    assert log.decide(gtrid, want, BRANCHES, "host:1", soon()) is want
    return gtrid


def finished(log: Any, ago: float = 0.0) -> str:
    gtrid = decided(log, ago=ago)
    log.acknowledge({gtrid: {"accounts": "h1", "payments": "h2"}}, soon())
    return gtrid


def still(facts: LogFacts) -> LogFacts:
    """All but the time."""
    return msgspec.structs.replace(facts, now=0.0)


def test_the_first_decision_stands(rig: LogRig) -> None:
    """And its row says all that was told."""
    log = rig.made()
    for want, other in ((Decision.COMMIT, Decision.ABORT), (Decision.ABORT, Decision.COMMIT)):
        gtrid = decided(log, want)
        for asked in (other, want):
            assert log.decide(gtrid, asked, BRANCHES, "host:2", soon()) is want
        row = log.row(gtrid, soon())
        assert (row.gtrid, row.decision, row.decided_by, row.done) == (gtrid, want, "host:1", False)
        assert row.branches == {"accounts": None, "payments": None}
        assert row.decided_at > 1.7e9
    assert log.row(new_gtrid(), soon()) is None


def test_racers_are_told_one_winner(rig: LogRig) -> None:
    """COMMIT and the tombstone, from two logs on one storage, all at once."""
    one = rig.made()
    two = rig.another(one)
    wants = (Decision.COMMIT, Decision.ABORT)
    seen = set()
    for _ in range(6):
        gtrid = new_gtrid()
        calls = [
            lambda n=n, gtrid=gtrid: (one, two)[n % 2].decide(gtrid, wants[n // 2 % 2], BRANCHES, f"r{n}", soon())
            for n in range(RACERS)
        ]
        answers = gather(calls)
        row = two.row(gtrid, soon())
        assert set(answers) == {row.decision}
        assert wants[int(row.decided_by[1:]) // 2 % 2] is row.decision
        seen.add(row.decision)


def test_below_the_floor_all_is_closed(rig: LogRig) -> None:
    """What was swept cannot be decided again; what is open, or bears a hazard, is not swept."""
    log = rig.made()
    tombstone, done = decided(log, Decision.ABORT, OLD + 60), finished(log, OLD + 50)
    opened, marked, floor = decided(log, ago=OLD + 40), finished(log, OLD + 30), new_gtrid(OLD + 20)
    log.hazard(marked, "accounts", "no marker", soon())
    young = finished(log)
    assert log.sweep(floor, 1, soon()) == 1
    assert log.sweep(new_gtrid(OLD + 1000), 100, soon()) == 1  # a lower floor changes nothing, and sweeps on
    assert (log.open(NAMESPACE, soon())).floor == floor
    assert set(log.rows([tombstone, done, opened, marked, young], soon())) == {opened, marked, young}
    for gtrid in (tombstone, done, floor, new_gtrid(OLD + 35)):
        assert log.decide(gtrid, Decision.COMMIT, BRANCHES, "late", soon()) is Decision.ABORT
        assert log.row(gtrid, soon()) is None
    assert log.decide(opened, Decision.ABORT, [], "late", soon()) is Decision.COMMIT
    decided(log)


def test_a_floor_above_its_own_retention_is_refused(rig: LogRig) -> None:
    """The clock of who sweeps is not the log's; a floor cannot be lowered, so that all that begins would be closed."""
    log = rig.made()
    before = log.open(NAMESPACE, soon())
    assert abs(before.now - time.time()) < 60.0
    done = finished(log, RETENTION - 60)
    for early in (new_gtrid(RETENTION - 60), new_gtrid(-30 * 86_400)):
        with pytest.raises(UsageError, match="keeps"):
            log.sweep(early, 10, soon())
    assert (log.open(NAMESPACE, soon())).floor == before.floor
    assert (log.row(done, soon())).done
    decided(log)


def test_names_are_compared_as_they_are(rig: LogRig) -> None:
    """Case, blanks and length: refused before anything is sent, and never two that become one."""
    log = rig.made()
    gtrid = decided(log)
    for wrong in (gtrid.upper().replace("0", "A"), f"{gtrid} ", f" {gtrid}", gtrid[:31], f"{gtrid}0", "x'; --"):
        with pytest.raises(UsageError):
            log.decide(wrong, Decision.COMMIT, BRANCHES, "host:1", soon())
    for branch in ("Accounts", "a" * 23, "a'b", ""):
        with pytest.raises(UsageError):
            log.decide(new_gtrid(), Decision.COMMIT, [branch], "host:1", soon())
    other = gtrid[:-1] + ("0" if gtrid[-1] != "0" else "1")
    assert log.decide(other, Decision.ABORT, BRANCHES, "o'neil\\\n\U0001f600" * 99, soon()) is Decision.ABORT
    assert (log.row(gtrid, soon())).decision is Decision.COMMIT


def test_acknowledgements_make_a_row_done(rig: LogRig) -> None:
    """One by one, together, twice; those of strangers, and of aborts, change nothing."""
    log = rig.made()
    one, two, aborted = decided(log, ago=3), decided(log, ago=2), decided(log, Decision.ABORT, 1)
    told = {one: {"accounts": "h1", "stranger": "x"}, two: {"accounts": "h1", "payments": "h'2"}}
    log.acknowledge({**told, aborted: {"accounts": "h"}, new_gtrid(): {"accounts": "h"}}, soon())
    rows = log.rows([one, two, aborted], soon())
    assert rows[one].branches == {"accounts": "h1", "payments": None}
    assert (rows[one].done, rows[two].done, rows[aborted].done) == (False, True, False)
    assert rows[two].branches["payments"] == "h'2"
    assert [row.gtrid for row in log.open_rows(9, soon())] == [one]
    log.acknowledge({one: {"payments": "h2"}}, soon())
    log.acknowledge({one: {"payments": "h3"}, two: {}}, soon())
    assert (log.row(one, soon())).branches == {"accounts": "h1", "payments": "h3"}
    assert [row.gtrid for row in log.done_rows(9, soon())] == [one, two]
    log.acknowledge({}, soon())


def test_rows_come_in_pages(rig: LogRig) -> None:
    """In order of name, above the last one."""
    log = rig.made()
    opened = [decided(log, ago=30 - n) for n in range(5)]
    decided(log, Decision.ABORT)
    done = [finished(log, 30 - n) for n in range(3)]
    for read, wanted in ((log.open_rows, opened), (log.done_rows, done)):
        first = read(2, soon())
        rest = read(9, soon(), after=first[-1].gtrid)
        assert [row.gtrid for row in (*first, *rest)] == wanted


def test_a_hazard_stays_until_it_is_forgotten(rig: LogRig) -> None:
    """Of a row that is done, of one that is not there; several of one row."""
    log = rig.made()
    known, unknown = finished(log), new_gtrid()
    log.hazard(known, "accounts", "its marker is gone", soon())
    log.hazard(known, "payments", "it's \\ there", soon())
    log.hazard(unknown, "accounts", "a marker without a row", soon())
    log = rig.again(log)
    rows = {row.gtrid: row for row in log.open_rows(9, soon())}
    assert rows[known].hazards == {"accounts": "its marker is gone", "payments": "it's \\ there"}
    assert rows[known].done
    assert rows[unknown].decision is Decision.ABORT
    assert log.forget(known, soon())
    assert not log.forget(known, soon())
    assert not log.forget(new_gtrid(), soon())
    assert [row.gtrid for row in log.open_rows(9, soon())] == [unknown]
    assert log.forget(unknown, soon())
    assert log.open_rows(9, soon()) == []
    found = log.rows([known, unknown], soon())
    assert found[known].branches == dict.fromkeys(("accounts", "payments"), FORGOTTEN)
    assert (found[known].done, found[unknown].branches) == (True, {"accounts": FORGOTTEN})
    opened = decided(log)
    log.hazard(opened, "accounts", "gone", soon())
    log.forget(opened, soon())
    assert [row.branches["payments"] for row in log.open_rows(9, soon())] == [None]
    log.acknowledge({opened: {"payments": "h1"}}, soon())
    assert log.open_rows(9, soon()) == []


def test_all_of_it_outlives_a_restart(rig: LogRig) -> None:
    """Its id, floor, decisions and names; making it again changes nothing."""
    log = rig.made()
    commit, abort = decided(log), decided(log, Decision.ABORT)
    log.sweep(new_gtrid(OLD + 60), 10, soon())
    assert log.note_participant("accounts", "i1", soon()) == "i1"
    before = still(log.open(NAMESPACE, soon()))
    log = rig.again(log)
    log.create_tables(NAMESPACE, soon())
    assert still(log.open(NAMESPACE, soon())) == before
    assert before.presumes
    assert log.decide(commit, Decision.ABORT, [], "r", soon()) is Decision.COMMIT
    assert log.decide(abort, Decision.COMMIT, [], "r", soon()) is Decision.ABORT
    assert log.note_participant("accounts", "i2", soon()) == "i1"
    assert log.note_participant("accounts", "i2", soon(), adopt=True) == "i2"
    assert log.note_participant("accounts", "i1", soon()) == "i2"
    assert still(log.adopt(soon())) == before
    assert [finding.level for finding in log.doctor(soon())] != []


def test_a_heartbeat_is_fresh_until_it_is_not(rig: LogRig) -> None:
    """By the log's clock; a shorter one does not end a longer one."""
    log = rig.made()
    assert not log.beating(soon())
    log.beat(0.0, soon())
    assert not log.beating(soon())
    log.beat(600.0, soon())
    log.beat(0.0, soon())
    assert (rig.another(log)).beating(soon())


def test_many_make_one_log(rig: LogRig) -> None:
    """All at once: it has one id."""
    logs = [rig.log() for _ in range(3)]
    assert gather([lambda log=log: log.create_tables(NAMESPACE, soon()) for log in logs]) == [None] * 3
    ids = set()
    for log in logs:
        ids.add((log.open(NAMESPACE, soon())).id)
        log.close()
    [id] = ids
    assert len(id) == 8
