"""What every decision log owes, whatever keeps it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regionkit.core.concurrency_async import agather
from regionkit.errors import UsageError
from regionkit.transactions.logs.log_async import LogFacts
from regionkit.transactions.protocol import Decision
from regionkit.transactions.recovery_rules import FORGOTTEN, RETENTION

from .log_rigs_async import LOGS, NAMESPACE, OLD, AsyncLogRig, new_gtrid, soon

RACERS = 12
"""Of each transaction."""
BRANCHES = ["accounts", "payments"]


@pytest.fixture(params=LOGS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncLogRig]:
    made = AsyncLogRig.of(request, request.param, tmp_path)
    yield made
    await made.close()


async def decided(log: Any, want: Decision = Decision.COMMIT, ago: float = 0.0) -> str:
    gtrid = new_gtrid(ago)
    assert await log.decide(gtrid, want, BRANCHES, "host:1", soon()) is want
    return gtrid


async def finished(log: Any, ago: float = 0.0) -> str:
    gtrid = await decided(log, ago=ago)
    await log.acknowledge({gtrid: {"accounts": "h1", "payments": "h2"}}, soon())
    return gtrid


def still(facts: LogFacts) -> LogFacts:
    """All but the time."""
    return msgspec.structs.replace(facts, now=0.0)


async def test_the_first_decision_stands(rig: AsyncLogRig) -> None:
    """And its row says all that was told."""
    log = await rig.made()
    for want, other in ((Decision.COMMIT, Decision.ABORT), (Decision.ABORT, Decision.COMMIT)):
        gtrid = await decided(log, want)
        for asked in (other, want):
            assert await log.decide(gtrid, asked, BRANCHES, "host:2", soon()) is want
        row = await log.row(gtrid, soon())
        assert (row.gtrid, row.decision, row.decided_by, row.done) == (gtrid, want, "host:1", False)
        assert row.branches == {"accounts": None, "payments": None}
        assert row.decided_at > 1.7e9
    assert await log.row(new_gtrid(), soon()) is None


async def test_racers_are_told_one_winner(rig: AsyncLogRig) -> None:
    """COMMIT and the tombstone, from two logs on one storage, all at once."""
    one = await rig.made()
    two = await rig.another(one)
    wants = (Decision.COMMIT, Decision.ABORT)
    seen = set()
    for _ in range(6):
        gtrid = new_gtrid()
        calls = [
            lambda n=n, gtrid=gtrid: (one, two)[n % 2].decide(gtrid, wants[n // 2 % 2], BRANCHES, f"r{n}", soon())
            for n in range(RACERS)
        ]
        answers = await agather(calls)
        row = await two.row(gtrid, soon())
        assert set(answers) == {row.decision}
        assert wants[int(row.decided_by[1:]) // 2 % 2] is row.decision
        seen.add(row.decision)


async def test_below_the_floor_all_is_closed(rig: AsyncLogRig) -> None:
    """What was swept cannot be decided again; what is open, or bears a hazard, is not swept."""
    log = await rig.made()
    tombstone, done = await decided(log, Decision.ABORT, OLD + 60), await finished(log, OLD + 50)
    opened, marked, floor = await decided(log, ago=OLD + 40), await finished(log, OLD + 30), new_gtrid(OLD + 20)
    await log.hazard(marked, "accounts", "no marker", soon())
    young = await finished(log)
    assert await log.sweep(floor, 1, soon()) == 1
    assert await log.sweep(new_gtrid(OLD + 1000), 100, soon()) == 1  # a lower floor changes nothing, and sweeps on
    assert (await log.open(NAMESPACE, soon())).floor == floor
    assert set(await log.rows([tombstone, done, opened, marked, young], soon())) == {opened, marked, young}
    for gtrid in (tombstone, done, floor, new_gtrid(OLD + 35)):
        assert await log.decide(gtrid, Decision.COMMIT, BRANCHES, "late", soon()) is Decision.ABORT
        assert await log.row(gtrid, soon()) is None
    assert await log.decide(opened, Decision.ABORT, [], "late", soon()) is Decision.COMMIT
    await decided(log)


async def test_a_floor_above_its_own_retention_is_refused(rig: AsyncLogRig) -> None:
    """The clock of who sweeps is not the log's; a floor cannot be lowered, so that all that begins would be closed."""
    log = await rig.made()
    before = await log.open(NAMESPACE, soon())
    assert abs(before.now - time.time()) < 60.0
    done = await finished(log, RETENTION - 60)
    for early in (new_gtrid(RETENTION - 60), new_gtrid(-30 * 86_400)):
        with pytest.raises(UsageError, match="keeps"):
            await log.sweep(early, 10, soon())
    assert (await log.open(NAMESPACE, soon())).floor == before.floor
    assert (await log.row(done, soon())).done
    await decided(log)


async def test_names_are_compared_as_they_are(rig: AsyncLogRig) -> None:
    """Case, blanks and length: refused before anything is sent, and never two that become one."""
    log = await rig.made()
    gtrid = await decided(log)
    for wrong in (gtrid.upper().replace("0", "A"), f"{gtrid} ", f" {gtrid}", gtrid[:31], f"{gtrid}0", "x'; --"):
        with pytest.raises(UsageError):
            await log.decide(wrong, Decision.COMMIT, BRANCHES, "host:1", soon())
    for branch in ("Accounts", "a" * 23, "a'b", ""):
        with pytest.raises(UsageError):
            await log.decide(new_gtrid(), Decision.COMMIT, [branch], "host:1", soon())
    other = gtrid[:-1] + ("0" if gtrid[-1] != "0" else "1")
    assert await log.decide(other, Decision.ABORT, BRANCHES, "o'neil\\\n\U0001f600" * 99, soon()) is Decision.ABORT
    assert (await log.row(gtrid, soon())).decision is Decision.COMMIT


async def test_acknowledgements_make_a_row_done(rig: AsyncLogRig) -> None:
    """One by one, together, twice; those of strangers, and of aborts, change nothing."""
    log = await rig.made()
    one, two, aborted = await decided(log, ago=3), await decided(log, ago=2), await decided(log, Decision.ABORT, 1)
    told = {one: {"accounts": "h1", "stranger": "x"}, two: {"accounts": "h1", "payments": "h'2"}}
    await log.acknowledge({**told, aborted: {"accounts": "h"}, new_gtrid(): {"accounts": "h"}}, soon())
    rows = await log.rows([one, two, aborted], soon())
    assert rows[one].branches == {"accounts": "h1", "payments": None}
    assert (rows[one].done, rows[two].done, rows[aborted].done) == (False, True, False)
    assert rows[two].branches["payments"] == "h'2"
    assert [row.gtrid for row in await log.open_rows(9, soon())] == [one]
    await log.acknowledge({one: {"payments": "h2"}}, soon())
    await log.acknowledge({one: {"payments": "h3"}, two: {}}, soon())
    assert (await log.row(one, soon())).branches == {"accounts": "h1", "payments": "h3"}
    assert [row.gtrid for row in await log.done_rows(9, soon())] == [one, two]
    await log.acknowledge({}, soon())


async def test_rows_come_in_pages(rig: AsyncLogRig) -> None:
    """In order of name, above the last one."""
    log = await rig.made()
    opened = [await decided(log, ago=30 - n) for n in range(5)]
    await decided(log, Decision.ABORT)
    done = [await finished(log, 30 - n) for n in range(3)]
    for read, wanted in ((log.open_rows, opened), (log.done_rows, done)):
        first = await read(2, soon())
        rest = await read(9, soon(), after=first[-1].gtrid)
        assert [row.gtrid for row in (*first, *rest)] == wanted


async def test_a_hazard_stays_until_it_is_forgotten(rig: AsyncLogRig) -> None:
    """Of a row that is done, of one that is not there; several of one row."""
    log = await rig.made()
    known, unknown = await finished(log), new_gtrid()
    await log.hazard(known, "accounts", "its marker is gone", soon())
    await log.hazard(known, "payments", "it's \\ there", soon())
    await log.hazard(unknown, "accounts", "a marker without a row", soon())
    log = await rig.again(log)
    rows = {row.gtrid: row for row in await log.open_rows(9, soon())}
    assert rows[known].hazards == {"accounts": "its marker is gone", "payments": "it's \\ there"}
    assert rows[known].done
    assert rows[unknown].decision is Decision.ABORT
    assert await log.forget(known, soon())
    assert not await log.forget(known, soon())
    assert not await log.forget(new_gtrid(), soon())
    assert [row.gtrid for row in await log.open_rows(9, soon())] == [unknown]
    assert await log.forget(unknown, soon())
    assert await log.open_rows(9, soon()) == []
    found = await log.rows([known, unknown], soon())
    assert found[known].branches == dict.fromkeys(("accounts", "payments"), FORGOTTEN)
    assert (found[known].done, found[unknown].branches) == (True, {"accounts": FORGOTTEN})
    opened = await decided(log)
    await log.hazard(opened, "accounts", "gone", soon())
    await log.forget(opened, soon())
    assert [row.branches["payments"] for row in await log.open_rows(9, soon())] == [None]
    await log.acknowledge({opened: {"payments": "h1"}}, soon())
    assert await log.open_rows(9, soon()) == []


async def test_all_of_it_outlives_a_restart(rig: AsyncLogRig) -> None:
    """Its id, floor, decisions and names; making it again changes nothing."""
    log = await rig.made()
    commit, abort = await decided(log), await decided(log, Decision.ABORT)
    await log.sweep(new_gtrid(OLD + 60), 10, soon())
    assert await log.note_participant("accounts", "i1", soon()) == "i1"
    before = still(await log.open(NAMESPACE, soon()))
    log = await rig.again(log)
    await log.create_tables(NAMESPACE, soon())
    assert still(await log.open(NAMESPACE, soon())) == before
    assert before.presumes
    assert await log.decide(commit, Decision.ABORT, [], "r", soon()) is Decision.COMMIT
    assert await log.decide(abort, Decision.COMMIT, [], "r", soon()) is Decision.ABORT
    assert await log.note_participant("accounts", "i2", soon()) == "i1"
    assert await log.note_participant("accounts", "i2", soon(), adopt=True) == "i2"
    assert await log.note_participant("accounts", "i1", soon()) == "i2"
    assert still(await log.adopt(soon())) == before
    assert [finding.level for finding in await log.doctor(soon())] != []


async def test_a_heartbeat_is_fresh_until_it_is_not(rig: AsyncLogRig) -> None:
    """By the log's clock; a shorter one does not end a longer one."""
    log = await rig.made()
    assert not await log.beating(soon())
    await log.beat(0.0, soon())
    assert not await log.beating(soon())
    await log.beat(600.0, soon())
    await log.beat(0.0, soon())
    assert await (await rig.another(log)).beating(soon())


async def test_many_make_one_log(rig: AsyncLogRig) -> None:
    """All at once: it has one id."""
    logs = [rig.log() for _ in range(3)]
    assert await agather([lambda log=log: log.create_tables(NAMESPACE, soon()) for log in logs]) == [None] * 3
    ids = set()
    for log in logs:
        ids.add((await log.open(NAMESPACE, soon())).id)
        await log.close()
    [id] = ids
    assert len(id) == 8
