"""The order of endpoints: what weights count, by itself. See test_decision for the rest."""

from __future__ import annotations

from msgspec.structs import replace

from regionkit.facts.consistency import EVENTUAL
from regionkit.facts.request import Request
from regionkit.routing.decision import decide
from regionkit.routing.order import counted

from .worlds import fresh

NOW = 100.0
REQUEST = Request(consistency=EVENTUAL, weights=(("r0", 3.0), ("r1", 1.0)))


def test_who_could_not_be_taken_is_lifted_and_nobody_is_lowered() -> None:
    """To the lowest share of those that could; who could, and who has no weight, keeps what it has."""
    snapshot = fresh("PRR")
    verdicts = decide(snapshot, REQUEST, NOW, (0, 0, 0)).verdicts
    assert counted([8.0, 0.0, 0.0], snapshot, REQUEST, verdicts, 0, NOW) == [9.0, 0.0, 0.0]
    down = replace(
        snapshot, endpoints=tuple(replace(e, read_open="down") if i else e for i, e in enumerate(snapshot.endpoints))
    )
    verdicts = decide(down, REQUEST, NOW, (0, 0, 0)).verdicts
    assert counted([8.0, 0.0, 0.0], down, REQUEST, verdicts, 0, NOW) == [9.0, 3.0, 0.0]
    assert counted([8.0, 5.0, 0.0], down, REQUEST, verdicts, 0, NOW) == [9.0, 5.0, 0.0]


def test_who_is_held_down_is_lifted_too() -> None:
    """It comes last until its time is over, and is owed nothing for it."""
    snapshot = fresh("PRR")
    held = replace(
        snapshot,
        endpoints=tuple(replace(e, held_until=NOW + 9.0) if i else e for i, e in enumerate(snapshot.endpoints)),
    )
    verdicts = decide(held, REQUEST, NOW, (0, 0, 0)).verdicts
    assert counted([5.0, 0.0, 0.0], held, REQUEST, verdicts, 0, NOW) == [6.0, 2.0, 0.0]
    assert counted([5.0, 0.0, 0.0], held, REQUEST, verdicts, 0, NOW + 9.0) == [6.0, 0.0, 0.0]


def test_the_endpoint_without_weight_that_served_counts_for_nobody() -> None:
    """No other was left: there is no share to lift to."""
    snapshot = fresh("PRR")
    down = replace(
        snapshot,
        endpoints=tuple(replace(e, read_open="down") if i < 2 else e for i, e in enumerate(snapshot.endpoints)),
    )
    verdicts = decide(down, REQUEST, NOW, (0, 0, 0)).verdicts
    assert counted([0.0, 4.0, 0.0], down, REQUEST, verdicts, 2, NOW) == [0.0, 4.0, 1.0]
