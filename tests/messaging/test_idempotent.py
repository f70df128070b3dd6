# Generated from test_idempotent_async.py by scripts/twins.py. Do not edit.
"""`idempotent`: one run a key, equal answers, and what it refuses."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from fix_claims import ClaimStore
from fix_plain import owner_of

from regionkit import ConfigurationError, UsageError
from regionkit.core.concurrency import Flag, gather, sleep, spawn
from regionkit.errors import InDoubt, InProgress, LeaseLost, PayloadMismatch, ResultNotStored
from regionkit.messaging import MemoryRecords, Resolved, idempotent
from regionkit.messaging.claim import LONGEST_LIFE
from regionkit.messaging.records import CallRecords

IS_ASYNC = False


class Receipt(msgspec.Struct):
    """What a payment gives."""

    id: int
    lines: tuple[str, ...]


@dataclasses.dataclass
class Order:
    """What is asked for."""

    id: int
    cents: int = 0


@pytest.fixture
def records() -> MemoryRecords:
    """In this process."""
    return MemoryRecords()


@pytest.fixture(params=["memory", "postgresql", "redis", "mongo"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CallRecords]:
    """In some stores: claims are tested on all of them."""
    name = request.param
    rig = None if name == "memory" else owner_of(name, request, tmp_path)
    with ClaimStore(name, rig).opened() as opened:
        yield opened


def test_one_run_equal_answers_and_no_other_arguments(anywhere: CallRecords) -> None:
    """On every store: the repeat gets what the first one got, typed; other arguments under the key are refused."""
    runs = []

    @idempotent(anywhere, key=lambda order: order.id, name="pay")
    def pay(order: Order) -> Receipt:
        runs.append(order)
        return Receipt(order.id, ["a", "b"])  # type: ignore[arg-type]  # a list: what comes back is what the type says

    first = pay(Order(1, 5))
    assert first == Receipt(1, ("a", "b")) == pay(Order(1, 5)) == pay(order=Order(1, 5))
    with pytest.raises(PayloadMismatch) as caught:
        pay(Order(1, 6))
    assert caught.value.idempotency_key == "1"
    assert (pay(Order(2, 5))).id == 2
    assert len(runs) == 2


def test_two_at_once_run_once(anywhere: CallRecords) -> None:
    """The second waits for the result of the first, or is told at once."""
    begun, go, runs = Flag(), Flag(), []

    def work(id: int) -> int:
        runs.append(id)
        begun.set()
        go.wait(20)
        return len(runs)

    waits = idempotent(anywhere, key=lambda id: id, name="w", wait_timeout=30.0)(work)
    raises = idempotent(anywhere, key=lambda id: id, name="w", in_progress="raise")(work)
    gives = idempotent(anywhere, key=lambda id: id, name="w", in_progress="result")(work)
    answers: list[Any] = []

    def one() -> None:
        answers.append(waits(7))

    tasks = [spawn("one", one)]
    assert begun.wait(20)
    tasks.append(spawn("two", one))
    with pytest.raises(InProgress) as caught:
        raises(7)
    assert 0.0 < caught.value.retry_after <= 32.0 and caught.value.retryable
    assert isinstance(gives(7), InProgress)
    go.set()
    for task in tasks:
        task.ended(20)
    assert answers == [1, 1] and runs == [7]


def test_a_waiter_gives_up_after_its_time(records: MemoryRecords) -> None:
    """InProgress, with what the holder's lease has left."""
    go = Flag()

    @idempotent(records, key=lambda id: id, wait_timeout=0.05)
    def slow(id: int) -> None:
        go.wait(20)

    def one() -> None:
        slow(1)

    task = spawn("one", one)
    sleep(0.05)
    with pytest.raises(InProgress) as caught:
        slow(1)
    assert 25.0 < caught.value.retry_after <= 30.0
    go.set()
    task.ended(20)


def test_an_error_is_no_outcome_but_for_those_that_are_kept(records: MemoryRecords) -> None:
    """Released: the next one runs. Kept: raised again, with its arguments. A Retry of Celery never is."""
    runs: list[str] = []
    retry = type("Retry", (Exception,), {"__module__": "celery.exceptions"})

    class Declined(Exception):
        pass

    class Expired(Declined):
        pass

    @idempotent(records, key=lambda id: id, store_errors=(Declined, retry))
    def pay(id: str) -> str:
        runs.append(id)
        raise {"no": Declined("card", 51), "old": Expired(object()), "again": retry(), "bug": ValueError("x")}[id]

    for id, kind, times in (("no", Declined, 1), ("old", Declined, 1), ("again", retry, 2), ("bug", ValueError, 2)):
        runs.clear()
        with pytest.raises(kind) as first:
            pay(id)
        with pytest.raises(kind) as second:
            pay(id)
        assert len(runs) == times
        if id == "no":
            assert first.value.args == second.value.args == ("card", 51)


def test_what_cannot_be_kept_is_done_all_the_same(records: MemoryRecords, caplog: pytest.LogCaptureFixture) -> None:
    """No plain data, too large, of another type than said, store_result=False: repeats raise, and nothing runs twice."""
    runs: list[str] = []
    results: dict[str, Any] = {"object": object(), "large": "x" * 70_000, "type": "text"}

    def give(what: str) -> Any:
        runs.append(what)
        return results[what]

    def number(what: str) -> int:
        return int(give(what)) if what == "?" else give(what)

    kept = idempotent(records, key=lambda what: what)(give)
    typed = idempotent(records, key=lambda what: what)(number)
    never = idempotent(records, key=lambda what: what, store_result=False, name="never")(give)
    for call, what in ((kept, "object"), (kept, "large"), (typed, "type"), (never, "type")):
        runs.clear()
        assert call(what) is results[what]
        with pytest.raises(ResultNotStored) as caught:
            call(what)
        assert caught.value.committed == "yes" and runs == [what]
    assert "xxx" not in caplog.text and "text" not in caplog.text.replace("context", "")


def test_results_are_encrypted_by_a_cipher(records: MemoryRecords) -> None:
    """What is kept is what the cipher made; another key is ResultNotStored, and tells nothing."""

    class Backwards:
        def __init__(self, end: bytes) -> None:
            self.end = end

        def encrypt(self, data: bytes) -> bytes:
            return data[::-1] + self.end

        def decrypt(self, token: bytes) -> bytes:
            if not token.endswith(self.end):
                raise ValueError("secret-in-the-cipher")
            return token[: -len(self.end)][::-1]

    def give(id: int) -> str:
        return "secret"

    mine, other = (idempotent(records, key=lambda id: id, cipher=Backwards(end))(give) for end in (b"1", b"2"))
    assert mine(1) == "secret" == mine(1)
    assert b"secret" not in str(vars(records.claims)).encode()
    with pytest.raises(ResultNotStored) as caught:
        other(1)
    assert "secret" not in str(caught.value)


def test_keys_keep_their_types_and_what_is_no_key_is_refused(records: MemoryRecords) -> None:
    """42 is not "42"; None, True, 1.5, a list and an empty tuple are none; nothing ran."""
    runs: list[Any] = []

    @idempotent(records, key=lambda key: key, fingerprint=False)
    def call(key: Any) -> int:
        runs.append(key)
        return len(runs)

    uuid = UUID(int=7)
    keys = [42, "42", b"42", (42,), ("42",), (1, (2, 3)), (1, 2, 3), uuid, str(uuid), uuid.bytes, 1 << 70, -(1 << 70)]
    assert [call(key) for key in keys] == list(range(1, len(keys) + 1))
    assert [call(key) for key in keys] == list(range(1, len(keys) + 1))
    for key in (None, True, 1.5, ["a"], (), (None,), object(), "\ud800"):
        with pytest.raises(ConfigurationError):
            call(key)
    assert len(runs) == len(keys)


def test_arguments_are_bound_with_defaults_and_without_self(records: MemoryRecords) -> None:
    """By name, by position, defaults left out or given: one call. Of a method all but self counts."""

    class Shop:
        def __init__(self) -> None:
            self.runs = 0

        @idempotent(records, key=lambda id: id)
        def pay(self, id: int, currency: str = "EUR", *, test: bool = False) -> int:
            self.runs += 1
            return self.runs

    shop, other = Shop(), Shop()
    assert shop.pay(1) == 1
    assert shop.pay(id=1) == shop.pay(1, "EUR") == shop.pay(1, currency="EUR", test=False) == 1
    assert other.pay(1) == 1 and other.runs == 0
    for wrong in ({"currency": "USD"}, {"test": True}):
        with pytest.raises(PayloadMismatch):
            shop.pay(1, **wrong)  # type: ignore[arg-type]
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"id": 1}), ((1,), {"more": 1})):
        with pytest.raises(TypeError):
            shop.pay(*args, **kwargs)  # type: ignore[arg-type]


def test_dictionaries_are_the_same_in_any_order_and_objects_have_no_fingerprint(
    records: MemoryRecords,
) -> None:
    """Deterministic; a TypeError before anything is claimed; a function tells what counts."""
    runs: list[Any] = []

    def take(event: Any, context: Any = None) -> int:
        runs.append(event)
        return len(runs)

    plain = idempotent(records, key=lambda event: "k", name="a")(take)
    assert plain({"a": 1, "b": {"x", "y"}}) == 1
    assert plain({"b": {"y", "x"}, "a": 1}) == 1
    with pytest.raises(TypeError, match="fingerprint="):
        plain({"a": 1}, object())
    told = idempotent(records, key=lambda event: event["id"], name="b", fingerprint=lambda event: event["sum"])(take)
    assert told({"id": 1, "sum": 5, "at": 1}, object()) == 2
    assert told({"id": 1, "sum": 5, "at": 2}) == 2
    with pytest.raises(PayloadMismatch):
        told({"id": 1, "sum": 6})


def test_a_call_that_calls_itself_is_refused_at_once(records: MemoryRecords) -> None:
    """It would wait for itself; another key is another call, and afterwards the key is free."""

    @idempotent(records, key=lambda id: id, wait_timeout=60.0)
    def call(id: int, deep: int) -> int:
        return call(id + (deep == 2), deep - 1) if deep else 7

    with pytest.raises(UsageError, match="itself"):
        call(1, 1)
    assert call(5, 2 - 2) == 7

    @idempotent(records, key=lambda id: id)
    def other(id: int) -> int:
        return 7 if id == 3 else other(id + 1)

    assert other(1) == 7


def test_a_lost_call_is_asked_for(records: MemoryRecords) -> None:
    """After a death in the middle: resolve says what it gave, that it did not happen, or that nobody knows."""
    runs: list[int] = []
    told: dict[int, Any] = {1: Resolved(100), 2: "no", 3: "unknown", 4: "unknown", 5: "yes", 6: ValueError("down")}
    asked: list[int] = []

    class Killed(BaseException):
        pass

    def resolve(id: int) -> Any:
        asked.append(id)
        if isinstance(told[id], Exception):
            raise told[id]
        return told[id]

    def made(on_in_doubt: Any, resolve: Any = resolve) -> Any:
        @idempotent(
            records,
            key=lambda id: id,
            resolve=resolve,
            on_in_doubt=on_in_doubt,
            lease=0.2,
            short_lease=True,
            in_progress="raise",
            name="lost",
        )
        def call(id: int) -> int:
            runs.append(id)
            if runs.count(id) == 1:
                raise Killed
            return len(runs)

        return call

    retry, strict = made("retry"), made("raise")
    for id in told:
        with pytest.raises(Killed):
            retry(id)
        with pytest.raises(InProgress):
            retry(id)
    sleep(0.3)
    runs[:] = list(told)
    assert strict(1) == 100 == strict(1)
    assert strict(2) == 7
    assert retry(3) == 8
    with pytest.raises(InDoubt) as caught:
        strict(4)
    assert caught.value.committed == "unknown" and not caught.value.retryable
    with pytest.raises(InDoubt):
        strict(4)  # at once: nobody waits for a lease
    with pytest.raises(UsageError, match="resolve="):
        strict(5)
    with pytest.raises(ValueError, match="down"):
        strict(6)
    told[6] = "no"
    assert strict(6) == 9
    assert asked == [1, 2, 3, 4, 4, 5, 6, 6]


def test_a_result_that_is_not_ours_any_more_is_not_given(records: MemoryRecords) -> None:
    """The lease ended while the function ran and nothing renewed it: another's answer counts, this one's is LeaseLost."""
    begun, go = Flag(), Flag()
    runs: list[int] = []

    @idempotent(records, key=lambda id: id, lease=0.2, short_lease=True, name="zombie")
    def call(id: int) -> int:
        runs.append(id)
        if len(runs) == 1:
            records.heart.close()  # its heartbeat stops
            begun.set()
            go.wait(20)
            return 1
        return 2

    lost: list[Any] = []

    def zombie() -> None:
        try:
            call(1)
        except LeaseLost as error:
            lost.append(error)

    task = spawn("zombie", zombie)
    begun.wait(20)
    sleep(0.4)
    assert call(1) == 2
    go.set()
    task.ended(20)
    assert len(lost) == 1 and lost[0].committed == "unknown"
    assert call(1) == 2


@pytest.mark.parametrize("anywhere", ["memory", "postgresql"], indirect=True)
def test_a_long_call_keeps_its_lease(anywhere: CallRecords) -> None:
    """Longer than its lease: nobody takes over, and the result counts. Of other stores the zombies' tests tell."""
    runs: list[int] = []
    lease = 3.0

    @idempotent(anywhere, key=lambda id: id, lease=lease, short_lease=True, in_progress="raise", name="long")
    def call(id: int) -> int:
        runs.append(id)
        sleep(1.7 * lease)
        return len(runs)

    answers: list[Any] = []

    def one() -> None:
        answers.append(call(1))

    task = spawn("one", one)
    for _ in range(3):
        sleep(lease / 2)
        with pytest.raises(InProgress):
            call(1)
    task.ended(30)
    assert answers == [1] and call(1) == 1


def test_signatures_stay_as_they_are(records: MemoryRecords) -> None:
    """Frameworks inject by them: parameters, annotations with their texts resolved, name and documentation."""

    @idempotent(records, key=lambda order: order.id)
    def pay(order: Order, note: Annotated[str, "a note"] = "") -> Receipt:
        """Pay."""
        return Receipt(order.id, ())

    signature = inspect.signature(pay)
    assert list(signature.parameters) == ["order", "note"]
    assert signature.parameters["order"].annotation is Order
    assert signature.parameters["note"].annotation == Annotated[str, "a note"]
    assert signature.return_annotation is Receipt
    assert pay.__name__ == "pay" and pay.__doc__ == "Pay." and pay.__module__ == __name__
    assert inspect.iscoroutinefunction(pay) is IS_ASYNC


def test_wrong_decorations_are_told_where_they_stand(records: MemoryRecords) -> None:
    """Generators, classes, stores that are none, options that cannot be, functions of other arguments."""

    def generator(id: int) -> Any:
        yield id

    def call(id: int) -> int:
        return id

    def key(id: int) -> int:
        return id

    for function in (generator, classmethod(generator), staticmethod(generator), Order, 7):
        with pytest.raises(ConfigurationError):
            idempotent(records, key=key)(function)  # type: ignore[arg-type]
    for store in (None, object(), MemoryRecords):
        with pytest.raises(ConfigurationError, match="keeps no records"):
            idempotent(store, key=key)(call)
    wrong: list[dict[str, Any]] = [
        *({"lease": lease} for lease in (0.0, 9.9, -1, float("nan"), True, "30", 1e9)),
        *({"ttl": ttl} for ttl in (0, -1, float("inf"))),
        *({"wait_timeout": -1.0}, {"wait_timeout": float("inf")}),
        *({"in_progress": "no"}, {"on_in_doubt": "hospital"}, {"fingerprint": None}, {"resolve": 7}, {"cipher": 7}),
        *({"store_errors": ValueError}, {"store_errors": (KeyboardInterrupt,)}, {"name": ""}, {"name": "x" * 201}),
        *({"name": 5}, {"name": "\ud800"}),
    ]
    for options in wrong:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            idempotent(records, key=key, **options)(call)
    for bad in (7, lambda: 1, lambda a, b: a):
        with pytest.raises(ConfigurationError, match="key="):
            idempotent(records, key=bad)(call)  # type: ignore[arg-type]
    assert LONGEST_LIFE == 86_400.0
    with pytest.raises(ConfigurationError, match="short_lease"):
        idempotent(records, key=key, lease=5.0)(call)


def test_many_keys_at_once(records: MemoryRecords) -> None:
    """Each its own."""
    runs: list[int] = []

    @idempotent(records, key=lambda id: id)
    def call(id: int) -> int:
        runs.append(id)
        sleep(0.001)
        return id

    def calling(id: int) -> Any:
        return lambda: call(id)

    assert gather([calling(id % 20) for id in range(60)]) == [id % 20 for id in range(60)]
    assert sorted(runs) == list(range(20))
