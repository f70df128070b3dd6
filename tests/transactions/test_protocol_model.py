"""The pure core against everything that may happen around it, and each of its protections taken away in turn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from regionkit.transactions import protocol, recovery_rules
from regionkit.transactions.protocol import Decision, FinishBranch, Phase, State, Vote
from regionkit.transactions.recovery_rules import RowVerdict, Verdict

from .protocol_world import SHAPES, World

WALKS = 3_000
"""Of the rules as they are, 2 s. The hardest mutant fails at the 1,998th, most within a hundred."""
STEPS = 60


class TransactionMachine(RuleBasedStateMachine):
    """Hypothesis chooses the moves, and shrinks what fails."""

    world: World

    @initialize(shape=st.integers(0, len(SHAPES) - 1))
    def begin(self, shape: int) -> None:
        self.world = World(shape)

    @rule(choice=st.integers(0, 10_000))
    def move(self, choice: int) -> None:
        self.world.run(choice)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()


TestTransactions = TransactionMachine.TestCase
TestTransactions.settings = settings(max_examples=150, stateful_step_count=STEPS, deadline=None)


def walk(seed: int) -> World:
    """One random run to its end."""
    chance = random.Random(seed)
    world = World(seed)
    for _ in range(chance.randrange(10, STEPS)):
        world.run(chance.randrange(1 << 30))
    world.settle()
    return world


def walks(count: int) -> dict[str, int]:
    """How many ended in which way."""
    seen: dict[str, int] = {}
    for seed in range(count):
        try:
            world = walk(seed)
        except AssertionError as error:
            raise AssertionError(f"walk {seed}: {error}") from error
        row = next(iter(world.rows.values()), None)
        for what in (
            f"reported {world.reported.name if world.reported else 'nothing'}",
            f"decided {world.decided}",
            *(["HAZARD"] if row is not None and row.hazards else []),
        ):
            seen[what] = seen.get(what, 0) + 1
    return seen


def test_it_holds_and_every_end_is_seen() -> None:
    """No invariant breaks, and the runs are not all of one kind."""
    seen = walks(WALKS)
    for what in ("reported COMMITTED", "reported ABORTED", "reported IN_DOUBT", "reported nothing", "HAZARD"):
        assert seen[what] > WALKS / 500, seen
    assert seen["decided True"] > WALKS / 5, seen


# -- mutants: a protection that is taken away

Patch = Callable[[pytest.MonkeyPatch], None]
_branch, _row, _with, _finishing = (
    recovery_rules.judge_branch,
    recovery_rules.judge_row,
    protocol._with,
    protocol._finishing,
)


def no_tombstone(patch: pytest.MonkeyPatch) -> None:
    """A recoverer takes "no row" for an abort."""

    def judged(*given: Any, **named: Any) -> Verdict:
        verdict = _branch(*given, **named)
        return Verdict.ABORT if verdict is Verdict.BAR else verdict

    patch.setattr(recovery_rules, "judge_branch", judged)


def coordinator_without_tombstone(patch: pytest.MonkeyPatch) -> None:
    """The coordinator takes a decision that was not answered for an abort."""
    decided = protocol._decided

    def judged(t: protocol.Transaction, event: protocol.Decided) -> Any:
        if event.winner is None and t.phase is Phase.DECIDING:
            return _finishing(t, Decision.ABORT)
        return decided(t, event)

    patch.setattr(protocol, "_decided", judged)


def unknown_is_done(patch: pytest.MonkeyPatch) -> None:
    """ "No such branch" counts as an acknowledgement of COMMIT."""
    finished = protocol._finished

    def judged(t: protocol.Transaction, event: protocol.Finished) -> Any:
        if event.finish is protocol.Finish.UNKNOWN and t.decision is Decision.COMMIT:
            event = protocol.Finished(event.branch, protocol.Finish.DONE)
        return finished(t, event)

    patch.setattr(protocol, "_finished", judged)


def lost_prepare_rolled_back_is_done(patch: pytest.MonkeyPatch) -> None:
    """ "No such branch" counts as the rollback of a branch whose PREPARE is still under way."""
    finished = protocol._finished

    def judged(t: protocol.Transaction, event: protocol.Finished) -> Any:
        if event.finish is protocol.Finish.UNKNOWN and t.decision is Decision.ABORT:
            event = protocol.Finished(event.branch, protocol.Finish.DONE)
        return finished(t, event)

    patch.setattr(protocol, "_finished", judged)


def reversed_after_decision(patch: pytest.MonkeyPatch) -> None:
    """A branch that does not answer is rolled back."""
    finished = protocol._finished

    def judged(t: protocol.Transaction, event: protocol.Finished) -> Any:
        after, actions = finished(t, event)
        if event.finish is protocol.Finish.UNREACHED:
            actions = (*actions, FinishBranch(event.branch, commit=False))
        return after, actions

    patch.setattr(protocol, "_finished", judged)


def given_up_is_aborted(patch: pytest.MonkeyPatch) -> None:
    """A deadline that passes while the log is asked is an abort."""
    given_up = protocol._given_up

    def judged(t: protocol.Transaction, why: str) -> Any:
        return _finishing(t, Decision.ABORT) if t.phase in (Phase.DECIDING, Phase.BARRING) else given_up(t, why)

    patch.setattr(protocol, "_given_up", judged)


def any_log(patch: pytest.MonkeyPatch) -> None:
    """The log's id in a name is not looked at."""

    def judged(found: recovery_rules.Found, row: Any, *, log: str, **named: Any) -> Verdict:
        return _branch(found, row, log=found.xid.log, **named)

    patch.setattr(recovery_rules, "judge_branch", judged)


def any_history_of_a_participant(patch: pytest.MonkeyPatch) -> None:
    """An acknowledgement holds whatever history it was given under."""

    def judged(*given: Any, reopened: bool, **named: Any) -> RowVerdict:
        return _row(*given, reopened=False, **named)

    patch.setattr(recovery_rules, "judge_row", judged)


def any_history_of_the_log(patch: pytest.MonkeyPatch) -> None:
    """A log that lost rows presumes as before."""

    def judged(found: recovery_rules.Found, *given: Any, **named: Any) -> Verdict:
        return _branch(msgspec.structs.replace(found, presumes=True), *given, **named)

    patch.setattr(recovery_rules, "judge_branch", judged)


def no_evidence(patch: pytest.MonkeyPatch) -> None:
    """A branch that is not listed is done, marker or not."""

    def judged(*given: Any, **named: Any) -> RowVerdict:
        verdict = _row(*given, **named)
        return RowVerdict.DONE if verdict is RowVerdict.HAZARD else verdict

    patch.setattr(recovery_rules, "judge_row", judged)


def no_join(patch: pytest.MonkeyPatch) -> None:
    """Markers without a row are not looked for."""
    patch.setattr(recovery_rules, "judge_marker", lambda *_, **__: False)


def prepared_anchor(patch: pytest.MonkeyPatch) -> None:
    """An anchor is asked to prepare like the others."""
    patch.setattr(protocol.Transaction, "anchor", None)


def unanswered_is_no(patch: pytest.MonkeyPatch) -> None:
    """A PREPARE that was not answered counts as NO."""
    voted = protocol._voted

    def judged(t: protocol.Transaction, event: protocol.Voted) -> Any:
        if event.vote is Vote.UNANSWERED:
            event = protocol.Voted(event.branch, Vote.NO)
        return voted(t, event)

    patch.setattr(protocol, "_voted", judged)


def decided_before_the_last_vote(patch: pytest.MonkeyPatch) -> None:
    """COMMIT is decided while a vote is out."""

    def judged(t: protocol.Transaction, event: protocol.Voted) -> Any:
        t = protocol._set(t, event.branch, State.PREPARED)
        return _with(t, phase=Phase.DECIDING), (protocol.Decide(Decision.COMMIT),)

    patch.setattr(protocol, "_voted", judged)


def prepared_is_proof(patch: pytest.MonkeyPatch) -> None:
    """An operator commits what is prepared, and nobody has decided."""
    patch.setattr(recovery_rules, "is_commit_proved", lambda row, **_: row is not Decision.ABORT)


MUTANTS: tuple[Patch, ...] = (
    no_tombstone,
    coordinator_without_tombstone,
    unknown_is_done,
    lost_prepare_rolled_back_is_done,
    reversed_after_decision,
    given_up_is_aborted,
    any_log,
    any_history_of_a_participant,
    any_history_of_the_log,
    no_evidence,
    no_join,
    prepared_anchor,
    unanswered_is_no,
    decided_before_the_last_vote,
    prepared_is_proof,
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_each_protection_is_needed(mutant: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it some run breaks an invariant."""
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        walks(WALKS)
