# Generated from fanned_async.py by scripts/twins.py. Do not edit.
"""Work on every partition of a store at once: what `kit.fan_out` does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, UsageError
from regionkit.facts.bookmark import Bookmark, Signer
from regionkit.facts.consistency import Consistency
from regionkit.facts.request import BlockMode, Kind
from regionkit.routing.execute import Execution
from regionkit.routing.fanout import BookmarkLater, FanOut
from regionkit.routing.partitions import CallOptions, PartitionedStore
from regionkit.routing.session_state import SessionState
from regionkit.routing.store import RoutedStore

__all__ = ["fanned_out"]

T = TypeVar("T")


def fanned_out(
    found: RoutedStore | PartitionedStore,
    work: Callable[[Any], T],
    signer: Signer,
    begun_with: Bookmark,
    clock: Clock,
    *,
    kind: Literal["read", "write"],
    consistency: Consistency,
    timeout: float | None,
    concurrency: int,
) -> FanOut[T]:
    """The results of `work` on every partition, as they come. `RegionKit.fan_out` says what is promised."""
    if not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigurationError(f"concurrency={concurrency!r} is not usable.", fix="give 1 or more.")
    if kind == "write" and isinstance(found, PartitionedStore) and found.shards[0].state.snapshot.leaderless:
        raise UsageError(
            f"store {found.name!r} cannot be written by a fan-out.",
            why="every region holds all keys, and each key is written only in its home.",
            fix="write key by key, with key=.",
        )
    deadline = Deadline(clock, found.shards[0].deadline_of(Kind(kind)) if timeout is None else timeout)

    def run(shard: RoutedStore) -> tuple[T, BookmarkLater]:
        state = SessionState(begun_with, signed=signer.signs)
        deadline.require("a fan-out", store=shard.name)
        execution = Execution(state, shard, deadline)
        if kind == "write":
            value = execution.write(work, key=None, fingerprint=None, mode=BlockMode())
        else:
            value = execution.read(work, CallOptions(Kind.READ, BlockMode(consistency=consistency)))
        return value, state.take_all_positions

    calls = {shard.partition: partial(run, shard) for shard in found.shards}
    return FanOut(calls, deadline, concurrency, signer, begun_with)
