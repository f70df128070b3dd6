"""Claims: the same answers from every store, and those of the pure transitions."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fix_claims import CLAIM_STORES, ClaimStore

from regionkit.core.concurrency_async import agather, asleep
from regionkit.messaging.claim import Answer, Busy, Done, Kept, Mismatch, Step, Wish, Won, stepped, taken
from regionkit.messaging.claiming_async import AsyncClaims

IS_ASYNC = True
IN = 20.0
"""Seconds for an answer: a busy machine is no failure."""


@pytest.fixture
async def claims(claim_store: ClaimStore) -> AsyncIterator[AsyncClaims]:
    """Of each store."""
    async with claim_store.opened_async() as opened:
        yield opened.claims


def wish(id: bytes = b"", **more: Any) -> Wish:
    """One claim of a new id, long enough for any machine."""
    return Wish(b"scope", id or os.urandom(8), os.urandom(16), **{"lease": 600.0, **more})


async def over(claim_store: ClaimStore) -> None:
    """A lease of `short` seconds is over."""
    await asleep(2.3 if claim_store.slow else 0.1)


SHORT = 0.05


async def test_one_wins_the_next_is_told_how_long(claims: AsyncClaims) -> None:
    """Appendix 8, without the end of a lease: won, busy, done with the result, mismatch."""
    first = wish(fingerprint=b"a" * 16)
    assert await claims.claim(first, within=IN) == Won(1)
    busy = await claims.claim(wish(first.id, fingerprint=b"a" * 16), within=IN)
    assert isinstance(busy, Busy) and 500.0 < busy.retry_after <= 602.0 and not busy.calling
    assert await claims.claim(wish(first.id, fingerprint=b"b" * 16), within=IN) == Mismatch()
    assert await claims.step("call", first, 1, within=IN)
    busy = await claims.claim(wish(first.id), within=IN)
    assert isinstance(busy, Busy) and busy.calling
    assert await claims.step("complete", first, 1, result=b"\x00 the \xff result ", within=IN)
    assert await claims.claim(wish(first.id, fingerprint=b"a" * 16), within=IN) == Done(b"\x00 the \xff result ")
    assert await claims.claim(wish(first.id, fingerprint=b"b" * 16), within=IN) == Mismatch()
    assert not await claims.step("renew", first, 1, within=IN)
    assert not await claims.step("release", first, 1, within=IN)


async def test_a_take_over_fences_whoever_had_it(claims: AsyncClaims, claim_store: ClaimStore) -> None:
    """Appendix 8: after the lease another wins with the next fence, and nothing of the first one's counts any more."""
    a, b = wish(lease=SHORT), wish(fingerprint=b"a" * 16)
    b = Wish(a.scope, a.id, b.owner, b.fingerprint, 600.0)
    assert await claims.claim(a, within=IN) == Won(1)
    await over(claim_store)
    assert await claims.claim(b, within=IN) == Won(2, "claimed")
    steps: list[Step] = ["renew", "call", "complete", "release", "doubt"]
    for step in steps:
        assert not await claims.step(step, a, 1, result=b"zombie", within=IN), step
        assert not await claims.step(step, a, 2, result=b"zombie", within=IN), "the fence without the owner is nothing"
    assert await claims.step("complete", b, 2, result=b"", within=IN)
    done = await claims.claim(wish(a.id), within=IN)
    assert done == Done(b"") and done.stored


async def test_late_with_nobody_in_between_is_in_time(claims: AsyncClaims, claim_store: ClaimStore) -> None:
    """A late renewal begins the lease anew, a late completion is one, and twice is once."""
    a = wish(lease=SHORT)
    assert await claims.claim(a, within=IN) == Won(1)
    await over(claim_store)
    longer = Wish(a.scope, a.id, a.owner, lease=600.0)
    assert await claims.step("renew", longer, 1, within=IN)
    assert isinstance(await claims.claim(wish(a.id), within=IN), Busy)
    b = wish(lease=SHORT)
    assert await claims.claim(b, within=IN) == Won(1)
    await over(claim_store)
    assert await claims.step("complete", b, 1, within=IN)
    assert await claims.step("complete", b, 1, within=IN)
    done = await claims.claim(wish(b.id), within=IN)
    assert done == Done(None) and not done.stored


async def test_a_release_lets_the_next_one_in_and_doubt_stays(claims: AsyncClaims) -> None:
    """Released: free at once, for any fingerprint. In doubt: free at once, and still calling."""
    a = wish(fingerprint=b"a" * 16)
    assert await claims.claim(a, within=IN) == Won(1)
    assert await claims.step("release", a, 1, within=IN)
    assert not await claims.step("complete", a, 1, within=IN)
    b = wish(a.id, fingerprint=b"b" * 16, calling=True)
    assert await claims.claim(b, within=IN) == Won(2)
    assert await claims.step("doubt", b, 2, within=IN)
    assert not await claims.step("complete", b, 2, within=IN)
    c = wish(a.id, fingerprint=b"b" * 16)
    assert await claims.claim(c, within=IN) == Won(3, "calling")
    assert await claims.step("doubt", c, 3, within=IN), "whoever took it over does not end the doubt"
    assert await claims.claim(wish(a.id), within=IN) == Won(4, "calling")


async def test_a_claim_asked_for_again_is_the_same_claim(claims: AsyncClaims, claim_store: ClaimStore) -> None:
    """An answer was lost: the owner asks again, and has what it has; what it took over, too."""
    a = wish(lease=SHORT, calling=True)
    assert await claims.claim(a, within=IN) == Won(1)
    await over(claim_store)
    b = wish(a.id)
    assert await claims.claim(b, within=IN) == Won(2, "calling")
    assert await claims.claim(b, within=IN) == Won(2, "calling")


async def test_done_is_kept_for_its_time_and_the_fence_for_longer(claims: AsyncClaims, claim_store: ClaimStore) -> None:
    """After `keep` the id is free, with the fence after the last one, whatever stood there."""
    a = wish(fingerprint=b"a" * 16, keep=SHORT)
    assert await claims.claim(a, within=IN) == Won(1)
    assert await claims.step("complete", a, 1, result=b"x", within=IN)
    await over(claim_store)
    assert await claims.claim(wish(a.id, fingerprint=b"b" * 16), within=IN) == Won(2)


async def test_names_are_told_apart_byte_for_byte(claims: AsyncClaims) -> None:
    """Blanks, case, zeros, what no text is, and what is longer than a server's index takes."""
    ids = [b"a", b"A", b"a ", b"a\x00", b"a\xff", b"\xc1", b"%", b"a:b", "é".encode(), b"x" * 5000, b"x" * 5001]
    for id in ids:
        assert await claims.claim(Wish(b"n", id, os.urandom(16), lease=600.0), within=IN) == Won(1), id[:10]
    for id in ids:
        assert isinstance(await claims.claim(Wish(b"n", id, os.urandom(16)), within=IN), Busy)
        assert await claims.claim(Wish(b"m", id, os.urandom(16)), within=IN) == Won(1)
    for scope, id in ((b"n:", b"a"), (b"N", b"a"), (b"y" * 300, b"a"), (b"y" * 301, b"a")):
        assert await claims.claim(Wish(scope, id, os.urandom(16)), within=IN) == Won(1), scope[:10]


async def test_of_many_at_once_one_wins(claims: AsyncClaims) -> None:
    """Eight ask for one id at the same moment, six times; one is told Won, the others Busy."""
    for _ in range(6):
        id = os.urandom(8)
        wishes = [wish(id) for _ in range(8)]
        answers = await agather([_asking(claims, one) for one in wishes])
        assert sorted(type(answer).__name__ for answer in answers) == ["Busy"] * 7 + ["Won"]
        winner = wishes[[type(answer) for answer in answers].index(Won)]
        assert await claims.step("complete", winner, 1, result=b"r", within=IN)


def _asking(claims: AsyncClaims, one: Wish) -> Any:
    return lambda: claims.claim(one, within=IN)


@pytest.mark.parametrize("claim_store", CLAIM_STORES if IS_ASYNC else ("memory", "sqlite"), indirect=True)
async def test_random_steps_answer_as_the_transitions_do(claims: AsyncClaims, claim_store: ClaimStore) -> None:
    """The same random steps at the store and on the frozen values: the same answers, each time."""
    chance = random.Random(os.environ.get("REGIONKIT_SEED", "7"))
    now, model = 1000.0, {}
    ids = [os.urandom(6) for _ in range(3)]
    past: list[tuple[Wish, int]] = []
    seen: set[str] = set()
    for number in range(50 if claim_store.slow else 160):
        dies = chance.random() < (0.03 if claim_store.slow else 0.12)
        kept: Kept | None
        if chance.random() < 0.5 or not past:
            one = Wish(
                b"random",
                chance.choice(ids),
                chance.choice(past)[0].owner if past and chance.random() < 0.2 else os.urandom(16),
                chance.choice([b"", b"a" * 16, b"b" * 16]),
                SHORT if dies else 600.0,
                SHORT if chance.random() < 0.1 else 600.0,
                chance.random() < 0.3,
            )
            expected, kept = taken(model.get(one.id), one, now)
            answer = await claims.claim(one, within=IN)
            assert _shape(answer) == _shape(expected), number
            seen.add(_shape(expected)[0])
            if isinstance(expected, Won):
                past = [*past[-8:], (one, expected.fence)]
        else:
            one, fence = chance.choice(past)
            fence += chance.random() < 0.1
            step: Step = chance.choice(["renew", "call", "complete", "release", "doubt"])
            result = chance.choice([None, b"", os.urandom(20)])
            kept = stepped(model.get(one.id), step, one, fence, now, result)
            assert await claims.step(step, one, fence, result=result, within=IN) is (kept is not None), (number, step)
            seen.add(f"{step} {kept is not None}")
            dies = step in ("renew", "complete") and kept is not None and kept.ends - now <= SHORT
        if kept is not None:
            model[one.id] = kept
        if dies:
            await over(claim_store)
            now += 10.0
    wanted = {"Won", "Busy", "complete True", "complete False"}
    assert wanted | (set() if claim_store.slow else {"Done", "Mismatch", "renew True", "doubt True"}) <= seen


def _shape(answer: Answer) -> tuple[Any, ...]:
    """All of an answer but how long another has."""
    if isinstance(answer, Busy):
        return "Busy", answer.calling, answer.retry_after > 0.0
    return type(answer).__name__, answer
