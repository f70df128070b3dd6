# Generated from test_execute_async.py by scripts/twins.py. Do not edit.
"""The unit of work as a function: each row of the table of what may run again, counted in runs."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit import (
    EVENTUAL,
    AlreadyApplied,
    ConfigurationError,
    DeadlineExceeded,
    OutcomeUnknown,
    PayloadMismatch,
    RegionUnavailable,
    TransactionRolledBack,
)
from regionkit.routing.execute import LARGEST_RESULT, LONGEST_KEY

from .near import FAR, NEAR, OWNER, Near


def nothing() -> None:
    """What happens by default."""


class Work:
    """A function of a block that counts its runs; `first` happens in the first of them."""

    def __init__(self, near: Near, first: Any = nothing, result: Any = None) -> None:
        self.runs = 0
        self._near = near
        self._first = first
        self._result = result

    def read(self, db: Any) -> list[str]:
        """Look at the keys."""
        self.runs += 1
        if self.runs == 1:
            self._first()
        return sorted(db)

    def write(self, db: Any) -> Any:
        """Add one to "n"."""
        self.runs += 1
        db["n"] = db.get("n", 0) + 1
        if self.runs == 1:
            self._first()
        db["last"] = self.runs
        return self._result

    def stored(self) -> Any:
        """What the owner has."""
        return self._near.regions.contents(OWNER).get("n")


def test_a_read_whose_endpoint_is_lost_runs_again_elsewhere() -> None:
    """Something was sent: a read may be repeated, and the lost endpoint is left out."""
    with Near() as near, near.kit.session() as s:
        work = Work(near, lambda: near.regions.kill(NEAR))
        assert s.execute_read("orders", work.read, consistency=EVENTUAL) == []
        assert work.runs == 2
        assert s.last_route is not None
        assert s.last_route.region == FAR


def test_a_write_that_was_sent_and_lost_does_not_run_again() -> None:
    """Nobody knows what the server made of it, and the error says that nothing was committed."""
    with Near() as near, near.kit.session() as s:
        work = Work(near, lambda: near.regions.kill(OWNER))
        with pytest.raises(RegionUnavailable) as caught:
            s.execute_write("orders", work.write)
        assert work.runs == 1
        assert caught.value.committed == "no"


def test_a_write_whose_rollback_is_proved_runs_again() -> None:
    """A conflict is the server's word that nothing happened."""
    with Near() as near, near.kit.session() as s:

        def conflict() -> None:
            near.put("n", 41)

        work = Work(near, conflict)
        s.execute_write("orders", work.write)
        assert work.runs == 2
        assert work.stored() == 42


@pytest.mark.parametrize("key", ["k", None])
def test_conflicts_end_with_the_deadline_and_cost_no_budget(key: str | None) -> None:
    """Who collides each time is told so when the time is over; what failover needs is still there."""
    with Near() as near, near.kit.session() as s:
        began, store = near.clock.monotonic(), near.store
        runs = 0

        def work(db: Any) -> None:
            nonlocal runs
            runs += 1
            db["n"] = db.get("n", 0) + 1
            near.put("n", 100 * runs)

        with pytest.raises(TransactionRolledBack) as caught:
            s.execute_write("orders", work, idempotency_key=key)
        assert runs > store.keyed_policy.attempts
        assert caught.value.committed == "no"
        assert store.profile.write_deadline / 2 < near.clock.monotonic() - began < store.profile.write_deadline
        assert store.budget._tokens == store.budget._size


@pytest.mark.parametrize("key", ["k", None])
@pytest.mark.parametrize(("collisions", "told"), [(2, TransactionRolledBack), (1, DeadlineExceeded)])
def test_a_run_that_the_deadline_ends_after_conflicts(key: str | None, collisions: int, told: Any) -> None:
    """Where collisions have taken most of the time, they are what the caller has to mend; else the run was too slow."""
    with Near() as near, near.kit.session() as s:
        whole = near.store.profile.write_deadline
        runs = 0

        def work(db: Any) -> None:
            nonlocal runs
            runs += 1
            db["n"] = db.get("n", 0) + 1
            if runs <= collisions:
                near.put("n", 100 * runs)
                near.clock.advance(0.3 * whole)
            else:
                near.clock.advance(whole)

        with pytest.raises(told) as caught:
            s.execute_write("orders", work, idempotency_key=key)
        assert (runs, caught.value.committed) == (collisions + 1, "no")


def test_no_run_begins_that_has_less_time_than_the_last_one_took() -> None:
    """It would end in the midst of something, perhaps of its COMMIT."""
    with Near() as near, near.kit.session() as s:
        whole = near.store.profile.write_deadline
        runs = 0

        def work(db: Any) -> None:
            nonlocal runs
            runs += 1
            db["n"] = db.get("n", 0) + 1
            near.put("n", 100 * runs)
            near.clock.advance(0.35 * whole)

        with pytest.raises(TransactionRolledBack):
            s.execute_write("orders", work)
        assert runs == 2


def test_a_spent_budget_allows_no_second_run() -> None:
    """In an outage retries are a tenth of the calls at most."""
    with Near() as near, near.kit.session() as s:
        while near.store.budget.spend():
            pass
        work = Work(near, lambda: near.regions.kill(NEAR))
        with pytest.raises(RegionUnavailable):
            s.execute_read("orders", work.read, consistency=EVENTUAL)
        assert work.runs == 1


def test_a_lost_answer_to_commit_runs_again_only_with_a_key() -> None:
    """Without one the outcome is unknown; with one the marker says that it is there, and the work does not run twice."""
    with Near() as near, near.kit.session() as s:
        plain = Work(near)
        near.regions.lose_reply()
        with pytest.raises(OutcomeUnknown):
            s.execute_write("orders", plain.write)
        assert (plain.runs, plain.stored()) == (1, 1)

        keyed = Work(near, result={"order": 7})
        near.regions.lose_reply()
        assert s.execute_write("orders", keyed.write, idempotency_key="k") == {"order": 7}
        assert (keyed.runs, keyed.stored()) == (1, 2)


def test_the_applications_own_error_ends_it() -> None:
    """It is passed on from the first run."""
    with Near() as near, near.kit.session() as s:

        def own() -> None:
            raise LookupError("mine")

        for kind in ("read", "write"):
            work = Work(near, own)
            with pytest.raises(LookupError, match="mine"):
                if kind == "read":
                    s.execute_read("orders", work.read)
                else:
                    s.execute_write("orders", work.write, idempotency_key="k")
            assert work.runs == 1


def test_a_key_gives_its_stored_result_or_says_that_there_is_none() -> None:
    """Plain data up to the bound is stored; more is not, and is told."""
    with Near() as near, near.kit.session() as s:
        small, large = Work(near, result=[1, "a"]), Work(near, result="x" * (LARGEST_RESULT + 1))
        for _ in range(2):
            assert s.execute_write("orders", small.write, idempotency_key="small") == [1, "a"]
        assert small.runs == 1
        assert len(s.execute_write("orders", large.write, idempotency_key="large")) > LARGEST_RESULT
        with pytest.raises(AlreadyApplied):
            s.execute_write("orders", large.write, idempotency_key="large")
        assert large.runs == 1


@pytest.mark.parametrize("length", [0, 120, 121, 60_000])
def test_a_fingerprint_of_any_length_tells_one_request_from_another(length: int) -> None:
    """A hash of 512 bits with its name is longer than the column: of what is longer, a hash is kept."""
    with Near() as near, near.kit.session() as s:
        work = Work(near, result=1)
        for _ in range(2):
            s.execute_write("orders", work.write, idempotency_key="k", fingerprint="f" * length + "1")
        with pytest.raises(PayloadMismatch):
            s.execute_write("orders", work.write, idempotency_key="k", fingerprint="f" * length + "2")
        assert work.runs == 1


def test_a_key_with_another_fingerprint_is_another_request() -> None:
    """It is refused, and nothing is done."""
    with Near() as near, near.kit.session() as s:
        work = Work(near, result=1)
        s.execute_write("orders", work.write, idempotency_key="k", fingerprint="one")
        with pytest.raises(PayloadMismatch):
            s.execute_write("orders", work.write, idempotency_key="k", fingerprint="two")
        assert (work.runs, work.stored()) == (1, 1)


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1), "a\x00b", 7])
def test_a_key_that_no_index_holds_is_refused_before_anything_runs(key: Any) -> None:
    """Empty, too long, with NUL, no text."""
    with Near() as near, near.kit.session() as s:
        work = Work(near)
        with pytest.raises(ConfigurationError, match="idempotency key"):
            s.execute_write("orders", work.write, idempotency_key=key)
        assert work.runs == 0
