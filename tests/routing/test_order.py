"""The order of endpoints: what weights count, by itself. See test_decision for the rest."""

from __future__ import annotations

from msgspec.structs import replace

from regionkit.facts.consistency import EVENTUAL
from regionkit.facts.request import Request
from regionkit.routing.decision import decide
from regionkit.routing.order import WINDOW, counted, spread

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


def play(calls: list[float], number: int, starts: list[float]) -> list[int]:
    """So many calls with a choice between the two regions, counted in `calls`; how many each got."""
    snapshot, got = fresh("PRR"), [0, 0, 0]
    verdicts = decide(snapshot, REQUEST, NOW, (0, 0, 0)).verdicts
    for _ in range(number):
        index = spread(snapshot, REQUEST, [0, 1], NOW, calls, starts)[0]
        calls[:] = counted(calls, snapshot, REQUEST, verdicts, index, NOW, starts)
        got[index] += 1
    return got


def test_the_window_slides_and_shares_stay_exact() -> None:
    """What is counted stays within the window, and halving it changes nobody's turn."""
    calls = [0.0, 0.0, 0.0]
    for starts in ([1.0, 1.0, 1.0], [0.9, 0.1, 0.5], [0.1, 0.9, 0.5]):
        for _ in range(20):
            got = play(calls, 400, starts)
            assert abs(got[1] - 100) <= 1, got
        assert sum(calls) <= WINDOW * 4.0 + 1.0


def test_what_one_region_was_given_beside_its_share_is_made_up_for_within_windows() -> None:
    """A session stays on the light region for 100,000 calls: others avoid it for a time, and not for 300,000 calls."""
    snapshot, calls, starts = fresh("PRR"), [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    verdicts = decide(snapshot, REQUEST, NOW, (0, 0, 0)).verdicts
    for _ in range(100_000):
        calls = counted(calls, snapshot, REQUEST, verdicts, 1, NOW, starts)
    window = int(WINDOW) * 4
    play(calls, 3 * window, starts)
    got = play(calls, window, starts)
    assert 0.9 * WINDOW <= got[1] <= 1.1 * WINDOW, got
