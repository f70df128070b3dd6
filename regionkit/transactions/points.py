"""Where a test may kill or freeze a coordinator, in the order of a commit. `first` and `last`: of branches told at once."""

from __future__ import annotations

from regionkit.core.events import crash_point

__all__ = ["POINTS", "crash_points"]

POINTS = (
    "tpc.begin.before",
    "tpc.begin.after",
    "tpc.branch.before",
    "tpc.branch.after",
    "tpc.flush.before",
    "tpc.flush.after",
    "tpc.prepare.before",
    "tpc.prepare.first.before",
    "tpc.prepare.first.after",
    "tpc.prepare.last.before",
    "tpc.prepare.last.after",
    "tpc.prepare.after",
    "tpc.decide.before",
    "tpc.decide.after",
    "tpc.anchor.before",
    "tpc.anchor.after",
    "tpc.one_phase.before",
    "tpc.one_phase.after",
    "tpc.bar.before",
    "tpc.bar.after",
    "tpc.decided",
    "tpc.commit.first.before",
    "tpc.commit.first.after",
    "tpc.commit.last.before",
    "tpc.commit.last.after",
    "tpc.rollback.first.before",
    "tpc.rollback.first.after",
    "tpc.rollback.last.before",
    "tpc.rollback.last.after",
    "tpc.ended",
    "tpc.acknowledge.before",
    "tpc.acknowledge.after",
)


def crash_points(name: str, at: int, of: int, when: str) -> None:
    """The point of branch `at`, where `of` branches are asked at once."""
    if at == 0:
        crash_point(f"{name}.first.{when}")
    if at == of - 1:
        crash_point(f"{name}.last.{when}")
