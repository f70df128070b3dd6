"""`idempotent`: one run a key, equal answers, and what it refuses."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from fix_claims import ClaimStore
from fix_plain import owner_of

from regionkit import ConfigurationError, UsageError
from regionkit.core.concurrency_async import AsyncFlag, agather, asleep, spawn_async
from regionkit.errors import InDoubt, InProgress, LeaseLost, PayloadMismatch, ResultNotStored
from regionkit.messaging import AsyncMemoryRecords, Resolved, idempotent
from regionkit.messaging.claim import LONGEST_LIFE
from regionkit.messaging.records_async import AsyncCallRecords

IS_ASYNC = True


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
def records() -> AsyncMemoryRecords:
    """In this process."""
    return AsyncMemoryRecords()


@pytest.fixture(params=["memory", "postgresql", "redis", "mongo"])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncCallRecords]:
    """In some stores: claims are tested on all of them."""
    name = request.param
    rig = None if name == "memory" else owner_of(name, request, tmp_path)
    async with ClaimStore(name, rig).opened_async() as opened:
        yield opened


async def test_one_run_equal_answers_and_no_other_arguments(anywhere: AsyncCallRecords) -> None:
    """On every store: the repeat gets what the first one got, typed; other arguments under the key are refused."""
    runs = []

    @idempotent(anywhere, key=lambda order: order.id, name="pay")
    async def pay(order: Order) -> Receipt:
        runs.append(order)
        return Receipt(order.id, ["a", "b"])  # type: ignore[arg-type]  # a list: what comes back is what the type says

    first = await pay(Order(1, 5))
    assert first == Receipt(1, ("a", "b")) == await pay(Order(1, 5)) == await pay(order=Order(1, 5))
    with pytest.raises(PayloadMismatch) as caught:
        await pay(Order(1, 6))
    assert caught.value.idempotency_key == "1"
    assert (await pay(Order(2, 5))).id == 2
    assert len(runs) == 2


async def test_two_at_once_run_once(anywhere: AsyncCallRecords) -> None:
    """The second waits for the result of the first, or is told at once."""
    begun, go, runs = AsyncFlag(), AsyncFlag(), []

    async def work(id: int) -> int:
        runs.append(id)
        begun.set()
        await go.wait(20)
        return len(runs)

    waits = idempotent(anywhere, key=lambda id: id, name="w", wait_timeout=30.0)(work)
    raises = idempotent(anywhere, key=lambda id: id, name="w", in_progress="raise")(work)
    gives = idempotent(anywhere, key=lambda id: id, name="w", in_progress="result")(work)
    answers: list[Any] = []

    async def one() -> None:
        answers.append(await waits(7))

    tasks = [spawn_async("one", one)]
    assert await begun.wait(20)
    tasks.append(spawn_async("two", one))
    with pytest.raises(InProgress) as caught:
        await raises(7)
    assert 0.0 < caught.value.retry_after <= 32.0 and caught.value.retryable
    assert isinstance(await gives(7), InProgress)
    go.set()
    for task in tasks:
        await task.ended(20)
    assert answers == [1, 1] and runs == [7]


async def test_a_waiter_gives_up_after_its_time(records: AsyncMemoryRecords) -> None:
    """InProgress, with what the holder's lease has left."""
    go = AsyncFlag()

    @idempotent(records, key=lambda id: id, wait_timeout=0.05)
    async def slow(id: int) -> None:
        await go.wait(20)

    async def one() -> None:
        await slow(1)

    task = spawn_async("one", one)
    await asleep(0.05)
    with pytest.raises(InProgress) as caught:
        await slow(1)
    assert 25.0 < caught.value.retry_after <= 30.0
    go.set()
    await task.ended(20)


async def test_an_error_is_no_outcome_but_for_those_that_are_kept(records: AsyncMemoryRecords) -> None:
    """Released: the next one runs. Kept: raised again, with its arguments. A Retry of Celery never is."""
    runs: list[str] = []
    retry = type("Retry", (Exception,), {"__module__": "celery.exceptions"})

    class Declined(Exception):
        pass

    class Expired(Declined):
        pass

    @idempotent(records, key=lambda id: id, store_errors=(Declined, retry))
    async def pay(id: str) -> str:
        runs.append(id)
        raise {"no": Declined("card", 51), "old": Expired(object()), "again": retry(), "bug": ValueError("x")}[id]

    for id, kind, times in (("no", Declined, 1), ("old", Declined, 1), ("again", retry, 2), ("bug", ValueError, 2)):
        runs.clear()
        with pytest.raises(kind) as first:
            await pay(id)
        with pytest.raises(kind) as second:
            await pay(id)
        assert len(runs) == times
        if id == "no":
            assert first.value.args == second.value.args == ("card", 51)


async def test_what_cannot_be_kept_is_done_all_the_same(
    records: AsyncMemoryRecords, caplog: pytest.LogCaptureFixture
) -> None:
    """No plain data, too large, of another type than said, store_result=False: repeats raise, and nothing runs twice."""
    runs: list[str] = []
    results: dict[str, Any] = {"object": object(), "large": "x" * 70_000, "type": "text"}

    async def give(what: str) -> Any:
        runs.append(what)
        return results[what]

    async def number(what: str) -> int:
        return int(await give(what)) if what == "?" else await give(what)

    kept = idempotent(records, key=lambda what: what)(give)
    typed = idempotent(records, key=lambda what: what)(number)
    never = idempotent(records, key=lambda what: what, store_result=False, name="never")(give)
    for call, what in ((kept, "object"), (kept, "large"), (typed, "type"), (never, "type")):
        runs.clear()
        assert await call(what) is results[what]
        with pytest.raises(ResultNotStored) as caught:
            await call(what)
        assert caught.value.committed == "yes" and runs == [what]
    assert "xxx" not in caplog.text and "text" not in caplog.text.replace("context", "")


async def test_results_are_encrypted_by_a_cipher(records: AsyncMemoryRecords) -> None:
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

    async def give(id: int) -> str:
        return "secret"

    mine, other = (idempotent(records, key=lambda id: id, cipher=Backwards(end))(give) for end in (b"1", b"2"))
    assert await mine(1) == "secret" == await mine(1)
    assert b"secret" not in str(vars(records.claims)).encode()
    with pytest.raises(ResultNotStored) as caught:
        await other(1)
    assert "secret" not in str(caught.value)


async def test_keys_keep_their_types_and_what_is_no_key_is_refused(records: AsyncMemoryRecords) -> None:
    """42 is not "42"; None, True, 1.5, a list and an empty tuple are none; nothing ran."""
    runs: list[Any] = []

    @idempotent(records, key=lambda key: key, fingerprint=False)
    async def call(key: Any) -> int:
        runs.append(key)
        return len(runs)

    uuid = UUID(int=7)
    keys = [42, "42", b"42", (42,), ("42",), (1, (2, 3)), (1, 2, 3), uuid, str(uuid), uuid.bytes, 1 << 70, -(1 << 70)]
    assert [await call(key) for key in keys] == list(range(1, len(keys) + 1))
    assert [await call(key) for key in keys] == list(range(1, len(keys) + 1))
    for key in (None, True, 1.5, ["a"], (), (None,), object(), "\ud800"):
        with pytest.raises(ConfigurationError):
            await call(key)
    assert len(runs) == len(keys)


async def test_arguments_are_bound_with_defaults_and_without_self(records: AsyncMemoryRecords) -> None:
    """By name, by position, defaults left out or given: one call. Of a method all but self counts."""

    class Shop:
        def __init__(self) -> None:
            self.runs = 0

        @idempotent(records, key=lambda id: id)
        async def pay(self, id: int, currency: str = "EUR", *, test: bool = False) -> int:
            self.runs += 1
            return self.runs

    shop, other = Shop(), Shop()
    assert await shop.pay(1) == 1
    assert await shop.pay(id=1) == await shop.pay(1, "EUR") == await shop.pay(1, currency="EUR", test=False) == 1
    assert await other.pay(1) == 1 and other.runs == 0
    for wrong in ({"currency": "USD"}, {"test": True}):
        with pytest.raises(PayloadMismatch):
            await shop.pay(1, **wrong)  # type: ignore[arg-type]
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"id": 1}), ((1,), {"more": 1})):
        with pytest.raises(TypeError):
            await shop.pay(*args, **kwargs)  # type: ignore[arg-type]


async def test_dictionaries_are_the_same_in_any_order_and_objects_have_no_fingerprint(
    records: AsyncMemoryRecords,
) -> None:
    """Deterministic; a TypeError before anything is claimed; a function tells what counts."""
    runs: list[Any] = []

    async def take(event: Any, context: Any = None) -> int:
        runs.append(event)
        return len(runs)

    plain = idempotent(records, key=lambda event: "k", name="a")(take)
    assert await plain({"a": 1, "b": {"x", "y"}}) == 1
    assert await plain({"b": {"y", "x"}, "a": 1}) == 1
    with pytest.raises(TypeError, match="fingerprint="):
        await plain({"a": 1}, object())
    told = idempotent(records, key=lambda event: event["id"], name="b", fingerprint=lambda event: event["sum"])(take)
    assert await told({"id": 1, "sum": 5, "at": 1}, object()) == 2
    assert await told({"id": 1, "sum": 5, "at": 2}) == 2
    with pytest.raises(PayloadMismatch):
        await told({"id": 1, "sum": 6})


async def test_a_call_that_calls_itself_is_refused_at_once(records: AsyncMemoryRecords) -> None:
    """It would wait for itself; another key is another call, and afterwards the key is free."""

    @idempotent(records, key=lambda id: id, wait_timeout=60.0)
    async def call(id: int, deep: int) -> int:
        return await call(id + (deep == 2), deep - 1) if deep else 7

    with pytest.raises(UsageError, match="itself"):
        await call(1, 1)
    assert await call(5, 2 - 2) == 7

    @idempotent(records, key=lambda id: id)
    async def other(id: int) -> int:
        return 7 if id == 3 else await other(id + 1)

    assert await other(1) == 7


async def test_a_lost_call_is_asked_for(records: AsyncMemoryRecords) -> None:
    """After a death in the middle: resolve says what it gave, that it did not happen, or that nobody knows."""
    runs: list[int] = []
    told: dict[int, Any] = {1: Resolved(100), 2: "no", 3: "unknown", 4: "unknown", 5: "yes", 6: ValueError("down")}
    asked: list[int] = []

    class Killed(BaseException):
        pass

    async def resolve(id: int) -> Any:
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
        async def call(id: int) -> int:
            runs.append(id)
            if runs.count(id) == 1:
                raise Killed
            return len(runs)

        return call

    retry, strict = made("retry"), made("raise")
    for id in told:
        with pytest.raises(Killed):
            await retry(id)
        with pytest.raises(InProgress):
            await retry(id)
    await asleep(0.3)
    runs[:] = list(told)
    assert await strict(1) == 100 == await strict(1)
    assert await strict(2) == 7
    assert await retry(3) == 8
    with pytest.raises(InDoubt) as caught:
        await strict(4)
    assert caught.value.committed == "unknown" and not caught.value.retryable
    with pytest.raises(InDoubt):
        await strict(4)  # at once: nobody waits for a lease
    with pytest.raises(UsageError, match="resolve="):
        await strict(5)
    with pytest.raises(ValueError, match="down"):
        await strict(6)
    told[6] = "no"
    assert await strict(6) == 9
    assert asked == [1, 2, 3, 4, 4, 5, 6, 6]


async def test_a_result_that_is_not_ours_any_more_is_not_given(records: AsyncMemoryRecords) -> None:
    """The lease ended while the function ran and nothing renewed it: another's answer counts, this one's is LeaseLost."""
    begun, go = AsyncFlag(), AsyncFlag()
    runs: list[int] = []

    @idempotent(records, key=lambda id: id, lease=0.2, short_lease=True, name="zombie")
    async def call(id: int) -> int:
        runs.append(id)
        if len(runs) == 1:
            records.heart.close()  # its heartbeat stops
            begun.set()
            await go.wait(20)
            return 1
        return 2

    lost: list[Any] = []

    async def zombie() -> None:
        try:
            await call(1)
        except LeaseLost as error:
            lost.append(error)

    task = spawn_async("zombie", zombie)
    await begun.wait(20)
    await asleep(0.4)
    assert await call(1) == 2
    go.set()
    await task.ended(20)
    assert len(lost) == 1 and lost[0].committed == "unknown"
    assert await call(1) == 2


@pytest.mark.parametrize("anywhere", ["memory", "postgresql"], indirect=True)
async def test_a_long_call_keeps_its_lease(anywhere: AsyncCallRecords) -> None:
    """Longer than its lease: nobody takes over, and the result counts. Of other stores the zombies' tests tell."""
    runs: list[int] = []
    lease = 3.0

    @idempotent(anywhere, key=lambda id: id, lease=lease, short_lease=True, in_progress="raise", name="long")
    async def call(id: int) -> int:
        runs.append(id)
        await asleep(1.7 * lease)
        return len(runs)

    answers: list[Any] = []

    async def one() -> None:
        answers.append(await call(1))

    task = spawn_async("one", one)
    for _ in range(3):
        await asleep(lease / 2)
        with pytest.raises(InProgress):
            await call(1)
    await task.ended(30)
    assert answers == [1] and await call(1) == 1


async def test_signatures_stay_as_they_are(records: AsyncMemoryRecords) -> None:
    """Frameworks inject by them: parameters, annotations with their texts resolved, name and documentation."""

    @idempotent(records, key=lambda order: order.id)
    async def pay(order: Order, note: Annotated[str, "a note"] = "") -> Receipt:
        """Pay."""
        return Receipt(order.id, ())

    signature = inspect.signature(pay)
    assert list(signature.parameters) == ["order", "note"]
    assert signature.parameters["order"].annotation is Order
    assert signature.parameters["note"].annotation == Annotated[str, "a note"]
    assert signature.return_annotation is Receipt
    assert pay.__name__ == "pay" and pay.__doc__ == "Pay." and pay.__module__ == __name__
    assert inspect.iscoroutinefunction(pay) is IS_ASYNC


async def test_wrong_decorations_are_told_where_they_stand(records: AsyncMemoryRecords) -> None:
    """Generators, classes, stores that are none, options that cannot be, functions of other arguments."""

    def generator(id: int) -> Any:
        yield id

    async def call(id: int) -> int:
        return id

    def key(id: int) -> int:
        return id

    for function in (generator, classmethod(generator), staticmethod(generator), Order, 7):
        with pytest.raises(ConfigurationError):
            idempotent(records, key=key)(function)  # type: ignore[arg-type]
    for store in (None, object(), AsyncMemoryRecords):
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


async def test_many_keys_at_once(records: AsyncMemoryRecords) -> None:
    """Each its own."""
    runs: list[int] = []

    @idempotent(records, key=lambda id: id)
    async def call(id: int) -> int:
        runs.append(id)
        await asleep(0.001)
        return id

    def calling(id: int) -> Any:
        return lambda: call(id)

    assert await agather([calling(id % 20) for id in range(60)]) == [id % 20 for id in range(60)]
    assert sorted(runs) == list(range(20))
