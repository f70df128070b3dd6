"""Recovery over logs and participants in memory: what it ends, what it leaves, and what it calls a hazard."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from regionkit.core.concurrency_async import agather, asleep
from regionkit.core.deadline import Deadline
from regionkit.core.events import EventHooks
from regionkit.errors import RegionKitError, RegionUnavailable, UsageError
from regionkit.testing import VirtualClock, crash_points
from regionkit.transactions.events import HazardFound
from regionkit.transactions.participants.memory_async import AsyncMemoryParticipant
from regionkit.transactions.protocol import Decision, Finish
from regionkit.transactions.recovery_async import RETENTION, AsyncRecovery
from regionkit.transactions.recovery_round_async import AsyncRound
from regionkit.transactions.recovery_rules import LOST_DECISION, Evidence, Verdict
from regionkit.transactions.recovery_views import BranchInDoubt, InDoubt, held_by

from .recovery_world_async import AsyncWorld

DAY = 86_400.0
ROUND = sys.modules[AsyncRound.__module__]


async def test_a_decided_transaction_is_committed_at_once() -> None:
    """On every branch, and its row is done: the second run has nothing to do."""
    world = AsyncWorld()
    gtrid = await world.decided()
    recovery = world.recoverer()
    report = await recovery.run(world.soon())
    assert (report.committed, report.aborted, report.acknowledged) == (2, 0, 2)
    assert report.clean
    assert world.sides(gtrid) == {"a": 1, "b": 1}
    assert world.log.rows_now[gtrid].done
    again = await recovery.run(world.soon())
    assert (again.committed, again.acknowledged, again.clean) == (0, 0, True)


async def test_an_abandoned_transaction_is_barred_after_its_patience() -> None:
    """Not at the first listing, nor by the wall clock; then a tombstone stands and both are rolled back."""
    world = AsyncWorld()
    gtrid = await world.prepared()
    world.clock.advance(3600.0)  # before this recoverer has seen it
    recovery = world.recoverer()
    report = await recovery.run(world.soon())
    assert world.left() == 2
    assert report.in_doubt[0].branches[0].verdict == "LEAVE"
    assert report.clean, "a coordinator at work is nothing to see to"
    world.clock.advance(9.0)
    await recovery.run(world.soon())
    assert world.left() == 2
    world.clock.advance(2.0)
    report = await recovery.run(world.soon())
    assert (report.aborted, report.barred, world.left(), world.sides(gtrid)) == (2, 1, 0, {})
    assert world.log.rows_now[gtrid].decision is Decision.ABORT


async def test_a_coordinator_that_wakes_after_the_tombstone_cannot_commit() -> None:
    """It was frozen before it decided; its COMMIT meets the row, and it is told to abort."""
    world = AsyncWorld()
    gtrid = await world.prepared()
    await world.recoverer(patience=0.0).run(world.soon())
    assert await world.log.decide(gtrid, Decision.COMMIT, ("a", "b"), "frozen", world.soon()) is Decision.ABORT
    assert (world.sides(gtrid), world.left()) == ({}, 0)


async def test_a_coordinator_that_decides_in_the_last_instant_is_obeyed() -> None:
    """Between the listing and the tombstone: the winner counts, not what the recoverer wanted."""
    world = AsyncWorld()
    gtrid = await world.prepared()
    own = world.log.decide

    async def late(name: str, want: Decision, branches: Any, by: str, deadline: Any) -> Decision:
        await own(name, Decision.COMMIT, ("a", "b"), "coordinator", deadline)
        return await own(name, want, branches, by, deadline)

    world.log.decide = late  # type: ignore[method-assign]
    report = await world.recoverer(patience=0.0).run(world.soon())
    assert (report.committed, report.barred, world.sides(gtrid)) == (2, 0, {"a": 1, "b": 1})


async def test_what_this_process_is_at_work_on_is_left_alone() -> None:
    """Prepared or decided: its coordinator goes on with it."""
    world = AsyncWorld()
    first, second = await world.prepared(), await world.decided()
    recovery = world.recoverer(patience=0.0, active=lambda: {first, second})
    report = await recovery.run(world.soon())
    assert world.left() == 4
    assert report.in_doubt == ()


@pytest.mark.parametrize("count", [2, 3])
async def test_many_recoverers_at_once_end_each_transaction_once(count: int) -> None:
    """None is torn, none is left, and no recoverer sees a hazard in what another one did."""
    world = AsyncWorld("a", "b", "c")
    decided = [await world.decided() for _ in range(20)]
    left = [await world.prepared() for _ in range(20)]
    runs = [world.recoverer(patience=0.0) for _ in range(count)]
    reports = await agather([lambda run=run: run.run(world.soon()) for run in runs])
    assert [report for report in reports if isinstance(report, BaseException)] == []
    final = await world.recoverer(patience=0.0).run(world.soon())
    assert all(len(world.sides(gtrid)) == 3 for gtrid in decided)
    assert not any(world.sides(gtrid) for gtrid in left)
    assert (world.left(), final.hazards, final.clean) == (0, (), True)


class _Hanging(AsyncMemoryParticipant):
    """Keeps no deadline."""

    async def listed(self, deadline: Any) -> Any:
        await asleep(2.0)


async def test_a_participant_that_is_away_is_reported_and_holds_up_no_other() -> None:
    """Its branches stay, whatever is decided; when it is back they end."""
    world = AsyncWorld()
    gtrid, other = await world.decided(), await world.prepared("a")
    world.at["b"].faults.down = True
    recovery = world.recoverer(patience=0.0)
    report = await recovery.run(world.soon())
    assert world.sides(gtrid) == {"a": 1}
    assert report.unreachable.keys() == {"b"}
    assert not report.clean
    [doubt] = report.in_doubt
    assert [(branch.name, branch.state) for branch in doubt.branches] == [("a", "committed"), ("b", "unreachable")]
    assert doubt.hazards == {}
    assert world.sides(other) == {}
    world.at["b"].faults.down = False
    assert (await recovery.run(world.soon())).clean
    assert world.sides(gtrid) == {"a": 1, "b": 1}


@pytest.mark.parametrize("what", ["hangs", "raises"])
async def test_a_participant_that_breaks_its_contract_holds_up_no_other(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that keeps no deadline is left behind, one that raises anything is reported."""
    monkeypatch.setattr(ROUND, "PARTICIPANT_WAIT", 0.1)
    world = AsyncWorld()
    gtrid = await world.decided()
    if what == "hangs":
        world.at["b"] = _Hanging("b", clock=world.clock)
    else:
        world.at["b"].listed = None  # type: ignore[assignment, method-assign]
    began = time.monotonic()
    report = await world.recoverer().run(world.soon())
    assert world.sides(gtrid) == {"a": 1}
    assert ("did not answer" if what == "hangs" else "TypeError") in report.unreachable["b"]
    assert time.monotonic() - began < 1.9


async def test_a_log_that_does_not_answer_ends_the_run() -> None:
    """Nothing is concluded without it."""
    world = AsyncWorld()
    await world.prepared()
    world.log.faults.down = True
    with pytest.raises(RegionUnavailable):
        await world.recoverer(patience=0.0).run(world.soon())
    assert world.left() == 2


async def test_an_unanswered_tombstone_touches_no_branch() -> None:
    """It may have lost: the next run asks who won."""
    world = AsyncWorld()
    await world.prepared()
    world.log.faults.plan("decide", "lose")
    recovery = world.recoverer(patience=0.0)
    report = await recovery.run(world.soon())
    assert world.left() == 2
    assert report.unreachable.keys() == {"log"}
    assert (await recovery.run(world.soon())).aborted == 2


@pytest.mark.parametrize("answer", [Finish.BUSY, Finish.BLOCKED, Finish.UNREACHED])
async def test_a_branch_that_cannot_be_ended_now_is_kept(answer: Finish) -> None:
    """Neither acknowledged nor a hazard; the next run tries again."""
    world = AsyncWorld()
    gtrid = await world.decided()
    own, answers = world.at["b"].finish, [answer]

    async def finish(*given: Any) -> Finish:
        return answers.pop() if answers else await own(*given)

    world.at["b"].finish = finish  # type: ignore[method-assign]
    recovery = world.recoverer()
    report = await recovery.run(world.soon())
    [doubt] = report.in_doubt
    assert (doubt.branches[1].state, doubt.hazards) == ("prepared", {})
    if answer is not Finish.UNREACHED:
        assert doubt.branches[1].why == answer.value
    assert (await recovery.run(world.soon())).clean
    assert world.sides(gtrid) == {"a": 1, "b": 1}


async def test_a_branch_that_is_not_there_any_more_is_done_only_by_its_marker() -> None:
    """Ended by another one between the listing and the end: committed is done, rolled back is a hazard."""
    for commit in (True, False):
        world = AsyncWorld()
        gtrid = await world.decided()
        own = world.at["b"].finish

        async def finish(*given: Any, own: Any = own, commit: bool = commit) -> Finish:
            await own(given[0], commit, given[2])
            return await own(*given)

        world.at["b"].finish = finish  # type: ignore[method-assign]
        report = await world.recoverer().run(world.soon())
        assert report.clean is commit
        assert world.log.rows_now[gtrid].done is commit
        assert len(report.hazards) == (not commit)


async def test_a_coordinator_elsewhere_that_commits_in_the_midst_of_a_run_is_no_hazard() -> None:
    """Its marker was looked for before it committed, and the branch after it."""
    world = AsyncWorld()
    gtrid = await world.prepared()
    own = world.at["b"].evidence

    async def listed(*given: Any, first: Any = world.at["b"].listed) -> Any:
        world.at["b"].listed = first  # type: ignore[method-assign]
        return []

    async def evidence(*given: Any) -> Any:
        world.at["b"].evidence = own  # type: ignore[method-assign]
        found = await own(*given)
        await world.finish(gtrid, "b", commit=True)
        return found

    assert await world.log.decide(gtrid, Decision.COMMIT, ("a", "b"), "elsewhere", world.soon()) is Decision.COMMIT
    world.at["b"].listed, world.at["b"].evidence = listed, evidence  # type: ignore[method-assign]
    recovery = world.recoverer()
    assert (await recovery.run(world.soon())).hazards == ()
    assert (await recovery.run(world.soon())).clean
    assert world.log.rows_now[gtrid].done
    assert world.sides(gtrid) == {"a": 1, "b": 1}


# Hazards: each is found, kept, shown, and forgotten by an operator only


async def _hazard(world: AsyncWorld, gtrid: str, branch: str, what: str = "neither prepared nor committed") -> None:
    heard: list[Any] = []
    events = EventHooks()
    events.add(heard.append)
    recovery = world.recoverer(patience=0.0, events=events)
    for _ in range(2):
        report = await recovery.run(world.soon())
        [doubt] = report.hazards
        assert doubt.gtrid == gtrid
        assert what in doubt.hazards[branch]
        assert not report.clean
    assert [event.gtrid for event in heard if isinstance(event, HazardFound)] == [gtrid]
    assert await world.log.forget(gtrid, world.soon())
    for _ in range(2):
        report = await recovery.run(world.soon())
        assert report.hazards == ()
    assert report.clean


async def test_a_decided_branch_that_somebody_rolled_back_is_a_hazard() -> None:
    """ROLLBACK PREPARED at a console; or a promoted copy that never had the branch."""
    world = AsyncWorld()
    gtrid = await world.decided()
    await world.finish(gtrid, "b", commit=False)
    await _hazard(world, gtrid, "b")
    assert world.sides(gtrid) == {"a": 1}


async def test_a_branch_that_somebody_committed_against_the_decision_is_a_hazard() -> None:
    """COMMIT PREPARED at a console, after the tombstone."""
    world = AsyncWorld()
    gtrid = await world.prepared()
    await world.log.decide(gtrid, Decision.ABORT, ("a", "b"), "recovery", world.soon())
    await world.finish(gtrid, "b", commit=True)
    await _hazard(world, gtrid, "b", "aborted")
    assert world.sides(gtrid) == {"b": 1}


async def test_a_log_that_has_lost_a_decision_presumes_nothing() -> None:
    """One branch is committed, the other one is not rolled back for want of a row; nor are others, until it is seen to."""
    world = AsyncWorld()
    gtrid = await world.decided()
    await world.finish(gtrid, "a", commit=True)
    del world.log.rows_now[gtrid]
    later = await world.prepared()
    recovery = world.recoverer(patience=0.0)
    report = await recovery.run(world.soon())
    assert not report.presumes
    report = await recovery.run(world.soon())
    assert not report.presumes
    assert (world.left(), report.in_doubt[0].hazards) == (3, {"a": LOST_DECISION})
    assert later in {work.xid.gtrid for work in world.at["b"].prepared.values()}
    assert await world.log.forget(gtrid, world.soon())
    assert (await recovery.run(world.soon())).clean
    assert (world.sides(gtrid), world.sides(later), world.left()) == ({"a": 1, "b": 1}, {}, 0)


async def test_of_a_log_that_became_risky_only_what_is_decided_is_carried_out() -> None:
    """A replica that joins, or a slot that is left: what is decided would hold its locks until somebody takes it away."""
    world = AsyncWorld()
    gtrid, open_ = await world.decided(), await world.prepared()
    world.log.risk = "its replicas are asynchronous"
    recovery = world.recoverer(patience=0.0)
    report = await recovery.run(world.soon())
    assert world.sides(gtrid) == {"a": 1, "b": 1}
    assert world.left() == 2, "no abort is presumed"
    assert open_ not in world.log.rows_now
    assert (report.presumes, report.clean, report.hazards) == (False, False, ())
    assert "asynchronous" in str(report)
    world.log.risk = ""
    await recovery.run(world.soon())
    assert (world.left(), world.log.rows_now[open_].decision) == (0, Decision.ABORT)


async def test_a_log_with_another_history_presumes_nothing_until_it_is_adopted() -> None:
    """It failed over, or came out of a backup; what it has decided still counts."""
    world = AsyncWorld()
    gtrid, decided = await world.prepared(), await world.decided()
    world.log.history = "promoted"
    recovery = world.recoverer(patience=0.0)
    report = await recovery.run(world.soon())
    assert world.sides(decided) == {"a": 1, "b": 1}
    assert not report.presumes
    assert [branch.verdict for branch in report.in_doubt[0].branches] == ["MUTE", "MUTE"]
    await world.log.adopt(world.soon())
    assert (await recovery.run(world.soon())).aborted == 2
    assert world.sides(gtrid) == {}


async def test_a_finished_transaction_is_asked_for_again_under_a_new_history() -> None:
    """A promoted copy has the branch prepared (it is committed again), or not at all (a hazard), or all of it."""
    world = AsyncWorld("a", "b")
    first, second, third = [await world.decided() for _ in range(3)]
    kept = dict(world.at["b"].prepared)
    recovery = world.recoverer()
    assert (await recovery.run(world.soon())).clean
    b = world.at["b"]
    b.history = "promoted"
    for gtrid in (first, second):  # the copy had not replayed these commits
        del b.data[gtrid]
        for key in [key for key in b._markers if key[1] == gtrid]:
            del b._markers[key]
    b.prepared |= {gid: work for gid, work in kept.items() if work.xid.gtrid == first}
    report = await recovery.run(world.soon())
    assert world.sides(first) == {"a": 1, "b": 1}
    assert [doubt.gtrid for doubt in report.hazards] == [second]
    assert world.log.rows_now[third].branches["b"] == "promoted"
    assert world.log.rows_now[first].branches["b"] == "promoted"


async def test_a_marker_that_is_lost_without_a_new_history_is_a_hazard() -> None:
    """A table that came out of an old backup: the join finds it under acknowledged rows too."""
    world = AsyncWorld()
    gtrid = await world.decided()
    assert (await world.recoverer().run(world.soon())).clean
    world.at["b"]._markers.clear()
    await _hazard(world, gtrid, "b")


async def test_the_join_goes_on_where_the_last_run_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page a run, and round again: the last row is reached, and the first one anew."""
    monkeypatch.setattr(ROUND, "PAGE", 2)
    world = AsyncWorld()
    gtrids = [await world.decided() for _ in range(5)]
    recovery = world.recoverer()
    for _ in range(4):
        assert (await recovery.run(world.soon())).hazards == ()
    for key in [key for key in world.at["b"]._markers if key[1] in (gtrids[0], gtrids[4])]:
        del world.at["b"]._markers[key]
    reports = [await recovery.run(world.soon()) for _ in range(6)]
    found = [{doubt.gtrid for doubt in report.hazards} for report in reports]
    assert found[-1] == {gtrids[0], gtrids[4]}
    assert {gtrids[4]} in found or {gtrids[0]} in found, "not all in one run"


async def test_too_many_open_rows_are_read_in_several_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is presumed before all were seen once: a lost decision may stand among the others."""
    monkeypatch.setattr(ROUND, "PAGE", 2)
    monkeypatch.setattr(ROUND, "ROWS", 2)
    world = AsyncWorld()
    for _ in range(5):
        gtrid = await world.decided()
        await world.finish(gtrid, "b", commit=False)
    abandoned = await world.prepared()
    recovery = world.recoverer(patience=0.0)
    report = await recovery.run(world.soon())
    assert report.more
    assert not report.presumes
    for _ in range(4):
        report = await recovery.run(world.soon())
    assert report.presumes
    assert world.log.rows_now[abandoned].decision is Decision.ABORT
    assert all(world.log.rows_now[g].hazards.keys() == {"b"} for g in world.log.rows_now if g != abandoned)


async def test_another_logs_branches_are_listed_only() -> None:
    """Whatever stands in this log, and however old they are."""
    world = AsyncWorld()
    gtrid = await world.prepared(log="0badcafe")
    await world.log.decide(gtrid, Decision.ABORT, (), "test", world.soon())
    report = await world.recoverer(patience=0.0).run(world.soon())
    assert world.left() == 2
    [doubt] = report.in_doubt
    assert (doubt.log, doubt.decision, doubt.branches[0].verdict) == ("0badcafe", "none", "FOREIGN")


async def test_another_instance_under_a_participants_name_is_left_alone() -> None:
    """A clone, a wrong address: neither ended, nor believed; until it is adopted."""
    world = AsyncWorld()
    recovery = world.recoverer(patience=0.0)
    await recovery.run(world.soon())
    gtrid = await world.decided()
    abandoned = await world.prepared()
    right, clone = world.at["b"], AsyncMemoryParticipant("b", clock=world.clock)
    clone.prepared = {gid: work for gid, work in right.prepared.items() if work.xid.gtrid == abandoned}
    world.at["b"] = clone
    report = await recovery.run(world.soon())
    assert report.strange == {"b": (await right.open(world.soon())).instance}
    assert len(clone.prepared) == 1
    assert report.hazards == ()
    assert {b.verdict for doubt in report.in_doubt for b in doubt.branches if b.name == "b"} == {"STRANGE"}
    assert not report.clean
    world.at["b"] = right
    assert (await recovery.run(world.soon())).clean
    assert world.sides(gtrid) == {"a": 1, "b": 1}


async def test_a_branch_older_than_the_retention_is_listed_only() -> None:
    """Its row may have been swept."""
    world = AsyncWorld()
    await world.prepared()
    world.clock.advance(RETENTION + DAY)
    report = await world.recoverer(patience=0.0).run(world.soon())
    assert world.left() == 2
    assert {branch.verdict for branch in report.in_doubt[0].branches} == {Verdict.EXPIRED.name}


async def test_what_is_past_the_retention_is_swept_and_open_rows_keep_their_evidence() -> None:
    """Rows and markers go together; below an open row nothing is lost; a late COMMIT is refused."""
    world = AsyncWorld()
    old, aborted = await world.decided(), await world.prepared()
    await world.recoverer(patience=0.0).run(world.soon())
    world.clock.advance(DAY)
    opened, kept = await world.decided(), await world.decided()
    world.at["b"].faults.plan("finish", *["refuse"] * 9)  # of `opened` only: it is the oldest
    recovery = world.recoverer()
    await recovery.run(world.soon())
    world.clock.advance(RETENTION + 1.0)
    report = await world.recoverer().run(world.soon())
    assert report.swept == 2 + 1, "two rows, and the markers of the participant that is not away"
    assert world.log.rows_now.keys() == {opened, kept}
    assert await world.log.decide(aborted, Decision.COMMIT, ("a",), "late", world.soon()) is Decision.ABORT
    assert await world.log.decide(old, Decision.COMMIT, ("a",), "late", world.soon()) is Decision.ABORT
    assert report.hazards == ()
    world.at["b"].faults._planned.clear()
    final = await world.recoverer().run(world.soon())
    assert (final.hazards, world.sides(opened)) == ((), {"a": 1, "b": 1})
    world.clock.advance(2 * DAY)
    final = await recovery.run(world.soon())
    assert (final.clean, world.log.rows_now) == (True, {})
    assert [at._markers for at in world.at.values()] == [{}, {}]


async def test_a_recoverer_whose_clock_is_ahead_closes_nothing() -> None:
    """It sweeps by the log's clock. A floor is never lowered: all that begins would be aborted for as long."""
    world = AsyncWorld()
    done = await world.decided()
    await world.recoverer().run(world.soon())
    ahead = VirtualClock()
    ahead.advance(RETENTION + 30 * DAY)
    recovery = AsyncRecovery("shop", world.log, world.at, clock=ahead)
    report = await recovery.run(Deadline(ahead, 30.0))
    assert (report.swept, report.clean) == (0, True)
    assert done in world.log.rows_now
    assert await world.decided() in world.log.rows_now


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_sweep_in_the_midst_of_a_run_is_no_hazard(when: str) -> None:
    """Of rows that are gone the markers were read a moment ago, or not at all: another recoverer has swept."""
    world = AsyncWorld()
    await world.decided()
    first, second = world.recoverer(), world.recoverer()
    await first.run(world.soon())
    world.clock.advance(RETENTION + DAY)
    own = world.at["b"].markers

    async def markers(*given: Any) -> Any:
        world.at["b"].markers = own  # type: ignore[method-assign]
        found = await own(*given)
        await second.run(world.soon())
        return found if when == "after" else await own(*given)

    world.at["b"].markers = markers  # type: ignore[method-assign]
    assert (await first.run(world.soon())).hazards == ()
    assert world.log.rows_now == {}


async def test_what_ends_between_two_listings_is_not_in_doubt() -> None:
    """Its own coordinator was at work: nothing is left to be judged."""
    world = AsyncWorld()
    gtrid = await world.decided()
    own = world.at["b"].listed

    async def listed(deadline: Any) -> Any:
        world.at["b"].listed = own  # type: ignore[method-assign]
        found = await own(deadline)
        await world.finish(gtrid, "b", commit=True)
        return found

    world.at["b"].listed = listed  # type: ignore[method-assign]
    report = await world.recoverer(patience=0.0).run(world.soon())
    assert (report.clean, report.committed, world.sides(gtrid)) == (True, 1, {"a": 1, "b": 1})


async def test_a_log_that_fails_over_under_a_tombstone_is_not_believed() -> None:
    """It may stand in the place of a decision that the promoted copy lacks."""
    world = AsyncWorld()
    gtrid = await world.prepared()
    own = world.log.decide

    async def decide(*given: Any) -> Decision:
        world.log.history = "promoted"
        return await own(*given)

    world.log.decide = decide  # type: ignore[method-assign]
    recovery = world.recoverer(patience=0.0)
    for _ in range(2):
        report = await recovery.run(world.soon())
        assert (world.left(), report.presumes, report.barred) == (2, False, 0)
    assert [branch.verdict for branch in report.in_doubt[0].branches] == ["MUTE", "MUTE"]
    await world.log.adopt(world.soon())
    assert (await recovery.run(world.soon())).clean
    assert world.sides(gtrid) == {}


async def test_a_look_changes_nothing() -> None:
    """It shows what a run would do."""
    world = AsyncWorld()
    decided, hazard, abandoned = await world.decided(), await world.decided(), await world.prepared()
    await world.finish(hazard, "b", commit=False)
    recovery = world.recoverer(patience=0.0)
    rows = dict(world.log.rows_now)
    found = {doubt.gtrid: doubt for doubt in await recovery.in_doubt(world.soon())}
    assert (world.log.rows_now, world.left()) == (rows, 5)
    assert [branch.verdict for branch in found[decided].branches] == ["COMMIT", "COMMIT"]
    assert [branch.verdict for branch in found[abandoned].branches] == ["BAR", "BAR"]
    assert found[hazard].hazards.keys() == {"b"}
    assert "HAZARD b" in str(found[hazard])


async def test_a_recoverer_may_die_anywhere() -> None:
    """At each of its points, again and again: another one goes on."""

    class Dead(BaseException):
        pass

    def die() -> None:
        raise Dead

    for point in ("listed", "decided", "finished", "acknowledged"):
        world = AsyncWorld()
        decided, abandoned = await world.decided(), await world.prepared()
        with crash_points({f"recovery.{point}": die}), pytest.raises(Dead):
            await world.recoverer(patience=0.0).run(world.soon())
        assert (await world.recoverer(patience=0.0).run(world.soon())).clean
        assert (world.sides(decided), world.sides(abandoned), world.left()) == ({"a": 1, "b": 1}, {}, 0)


async def test_in_the_background_it_beats_goes_on_and_stops_within_a_bound() -> None:
    """A failing run is followed by another one; a participant that hangs does not hold the end up."""
    world = AsyncWorld()
    recovery = world.recoverer(patience=0.0)
    world.log.faults.plan("beat", "refuse")
    await recovery.start(interval=0.01)
    await recovery.start(interval=0.01)
    gtrid = await world.decided()
    until = time.monotonic() + 30.0
    while world.left() and time.monotonic() < until:
        await asleep(0.01)
    assert world.sides(gtrid) == {"a": 1, "b": 1}
    assert await world.log.beating(world.soon())
    world.at["b"].faults.plan("listed", *["block"] * 99)
    began = time.monotonic()
    await recovery.stop(within=0.2)
    assert time.monotonic() - began < 5.0
    world.at["b"].faults.release()


@pytest.mark.parametrize("given", [{"retention": DAY}, {"patience": -1.0}])
async def test_what_would_tear_is_refused(given: dict[str, float]) -> None:
    """A retention that forgets too early."""
    with pytest.raises(UsageError):
        AsyncWorld().recoverer(**given)
    with pytest.raises(UsageError):
        await AsyncWorld().recoverer().start(interval=0.0)


# Without its rules the tests are red


async def _torn(world: AsyncWorld) -> bool:
    return any(0 < len(world.sides(gtrid)) < len(world.at) for at in world.at.values() for gtrid in at.data)


async def test_a_recoverer_without_the_tombstone_tears() -> None:
    """Mutant: it rolls back without deciding; the frozen coordinator commits what is left."""
    world = AsyncWorld()
    gtrid = await world.prepared()

    async def bar(self: Any) -> None:
        for key, verdict in self._found.verdicts.items():
            if verdict is Verdict.BAR:
                self._found.verdicts[key] = Verdict.ABORT

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncRound, "_bar", bar)
        world.at["a"].faults.plan("finish", "refuse")
        await world.recoverer(patience=0.0).run(world.soon())
    assert await world.log.decide(gtrid, Decision.COMMIT, ("a", "b"), "frozen", world.soon()) is Decision.COMMIT
    await world.finish(gtrid, "a", commit=True)
    assert await _torn(world)


async def test_a_recoverer_that_takes_no_marker_for_committed_misses_the_hazard() -> None:
    """Mutant: evidence is always COMMITTED."""
    world = AsyncWorld()
    gtrid = await world.decided()
    await world.finish(gtrid, "b", commit=False)

    async def evidence(*_: Any) -> Evidence:
        return Evidence.COMMITTED

    world.at["b"].evidence = evidence  # type: ignore[method-assign]
    report = await world.recoverer().run(world.soon())
    assert await _torn(world)
    assert not world.log.rows_now[gtrid].done or report.hazards == ()


async def test_errors_of_the_log_are_regionkits_own() -> None:
    """Nothing of a participant's or a log's library comes through."""
    world = AsyncWorld()
    world.log.faults.plan("rows", "refuse")
    await world.prepared()
    with pytest.raises(RegionKitError):
        await world.recoverer().run(world.soon())


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (("committed", "prepared"), "prepared branches hold locks"),
        (("unreachable",), "they may hold locks"),
        (("gone", "barred"), "none of them holds locks"),
    ],
)
def test_what_is_said_of_locks(states: tuple[str, ...], said: str) -> None:
    """Only a prepared branch surely holds any: a COMMIT in one phase without an answer leaves none."""
    branches = tuple(BranchInDoubt(f"p{n}", state) for n, state in enumerate(states))
    assert held_by([InDoubt("g", "log", "none", 400.0, branches)]) == said
