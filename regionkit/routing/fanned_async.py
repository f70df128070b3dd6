"""Work on every partition of a store at once: what `kit.fan_out` does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeVar

from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, UsageError
from regionkit.facts.bookmark import Bookmark, Signer
from regionkit.facts.consistency import Consistency
from regionkit.facts.request import BlockMode, Kind
from regionkit.routing.execute_async import AsyncExecution
from regionkit.routing.fanout_async import AsyncBookmarkLater, AsyncFanOut
from regionkit.routing.partitions_async import AsyncPartitionedStore, CallOptions
from regionkit.routing.session_state_async import AsyncSessionState
from regionkit.routing.store_async import AsyncRoutedStore

__all__ = ["fanned_out"]

T = TypeVar("T")


def fanned_out(
    found: AsyncRoutedStore | AsyncPartitionedStore,
    work: Callable[[Any], Awaitable[T]],
    signer: Signer,
    begun_with: Bookmark,
    clock: Clock,
    *,
    kind: Literal["read", "write"],
    consistency: Consistency,
    timeout: float | None,
    concurrency: int,
) -> AsyncFanOut[T]:
    """The results of `work` on every partition, as they come. `AsyncRegionKit.fan_out` says what is promised."""
    if not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigurationError(f"concurrency={concurrency!r} is not usable.", fix="give 1 or more.")
    if kind == "write" and isinstance(found, AsyncPartitionedStore) and found.shards[0].state.snapshot.leaderless:
        raise UsageError(
            f"store {found.name!r} cannot be written by a fan-out.",
            why="every region holds all keys, and each key is written only in its home.",
            fix="write key by key, with key=.",
        )
    deadline = Deadline(clock, found.shards[0].deadline_of(Kind(kind)) if timeout is None else timeout)

    async def run(shard: AsyncRoutedStore) -> tuple[T, AsyncBookmarkLater]:
        state = AsyncSessionState(begun_with, signed=signer.signs)
        deadline.require("a fan-out", store=shard.name)
        execution = AsyncExecution(state, shard, deadline)
        if kind == "write":
            value = await execution.write(work, key=None, fingerprint=None, mode=BlockMode())
        else:
            value = await execution.read(work, CallOptions(Kind.READ, BlockMode(consistency=consistency)))
        return value, state.take_all_positions

    calls = {shard.partition: partial(run, shard) for shard in found.shards}
    return AsyncFanOut(calls, deadline, concurrency, signer, begun_with)
