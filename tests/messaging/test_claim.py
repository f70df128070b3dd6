"""The transitions of a claim, walked over every order of a few steps: fences, owners and doubt."""

from __future__ import annotations

import itertools
import random

from regionkit.messaging.claim import (
    CALLING,
    DONE,
    FREE,
    LONGEST_LIFE,
    Busy,
    Done,
    Kept,
    Mismatch,
    Step,
    Wish,
    Won,
    stepped,
    taken,
)

STEPS: tuple[Step, ...] = ("renew", "call", "complete", "release", "doubt")


def wish(owner: bytes, **more: object) -> Wish:
    """A claim of the one id."""
    return Wish(b"s", b"i", owner, **{"lease": 10.0, "keep": 100.0, **more})  # type: ignore[arg-type]


def test_every_state_every_claim() -> None:
    """The whole table: state, lease over or not, fingerprint the same or another, the same owner or not."""
    for state, alive, other, again in itertools.product(
        (FREE, "claimed", CALLING, DONE), (True, False), (True, False), (True, False)
    ):
        kept = Kept(state, 5, 20.0 if alive else 10.0, b"o", b"f", "", b"r")
        answer, after = taken(kept, wish(b"o" if again else b"p", fingerprint=b"g" if other else b"f"), 10.0)
        held = state in ("claimed", CALLING)
        if state == FREE or (state == DONE and not alive):
            assert answer == Won(6, None)
        elif other:
            assert answer == Mismatch()
        elif state == DONE:
            assert answer == Done(b"r")
        elif alive and again:
            assert answer == Won(5, None)
        elif alive:
            assert answer == Busy(10.0, state == CALLING)
        else:
            assert held and answer == Won(6, state)
        assert (after is not None) == (isinstance(answer, Won) and answer.fence == 6)
        if after is not None:
            assert after.fence == 6 and after.ends == 20.0 and after.result is None
            assert after.state == (CALLING if isinstance(answer, Won) and answer.taken_over == CALLING else "claimed")


def test_every_state_every_step() -> None:
    """A step needs the owner, the fence and a state that it leaves; the lease is not looked at."""
    for step, state, owner, fence in itertools.product(
        STEPS, (FREE, "claimed", CALLING, DONE), (b"o", b"p"), (4, 5, 6)
    ):
        after = stepped(Kept(state, 5, 1.0, b"o"), step, wish(owner), fence, 50.0, b"new")
        may = state in ("claimed", CALLING) or (state == DONE and step == "complete")
        assert (after is not None) == (may and owner == b"o" and fence == 5), (step, state, owner, fence)
        if after is not None:
            assert after.fence == 5
            assert (after.state == DONE) == (step == "complete")
            assert (after.result == b"new") == (step == "complete")


def test_of_random_callers_one_at_a_time_counts() -> None:
    """Callers claim, work, stand still, come back, crash: fences rise, at most one completes, a doubt ends only by an outcome."""
    chance = random.Random(3)
    for _ in range(400):
        kept: Kept | None = None
        now, fences, done = 0.0, [0], 0
        living: list[tuple[Wish, int, float]] = []
        called = False
        for _ in range(40):
            now += chance.choice([0.0, 1.0, 4.0, 11.0])
            if chance.random() < 0.4:
                one = wish(chance.randbytes(4), calling=chance.random() < 0.5)
                answer, after = taken(kept, one, now)
                if isinstance(answer, Won):
                    assert answer.fence == fences[-1] + 1
                    assert kept is None or kept.state == FREE or kept.ends <= now
                    assert not called or answer.taken_over == CALLING
                    fences.append(answer.fence)
                    living.append((one, answer.fence, now))
                    called = called or one.calling
                kept = after or kept
            elif living:
                one, fence, _ = chance.choice(living)
                step = chance.choice(STEPS)
                after = stepped(kept, step, one, fence, now, b"r")
                if after is None:
                    continue
                assert fence == fences[-1], "only the last claim makes steps"
                kept = after
                called = called or step in ("call", "doubt")
                if step in ("complete", "release"):
                    called = False
                done += step == "complete"
            if kept is not None and kept.state == DONE and kept.ends <= now:
                called = False
    assert LONGEST_LIFE >= 3600.0
