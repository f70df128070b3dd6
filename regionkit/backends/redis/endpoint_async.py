"""One Redis or Valkey endpoint as routing sees it: connections (pool), what the user types with, regionkit's own keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import redis
from redis._parsers import Encoder
from redis._parsers.response_callbacks import get_response_callbacks
from redis.client import CaseInsensitiveDict

from regionkit.backends.redis.classify import classify
from regionkit.backends.redis.client_async import AsyncRedisHandle, Shared
from regionkit.backends.redis.keyed_async import AsyncKeyed, find_marker, put_tombstone
from regionkit.backends.redis.observation import fork_of, stored
from regionkit.backends.redis.pool_async import AsyncRedisPool
from regionkit.backends.redis.scripts import SET_PLACEMENT, WRITE_HISTORY
from regionkit.contract.capabilities import Capabilities
from regionkit.contract.checkout_async import AsyncTakeCheckout
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.outcomes import Failure
from regionkit.core.deadline import Deadline
from regionkit.facts.history import HistoryRow
from regionkit.facts.observation import Observation
from regionkit.facts.placement import Placement
from regionkit.facts.position import Position
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import RedisStore, Role

__all__ = ["CAPABILITIES", "AsyncRedisEndpoint"]

CAPABILITIES = Capabilities(
    server="redis",
    positions=True,
    read_only="client",
    transactions=False,
    markers=True,
    detects_promotion=True,
    notes=(
        "Replication is asynchronous: a failover loses acknowledged writes that had not arrived. Their bookmarks say so.",
        "There is nothing to roll back: each command is done once it is answered, also in a block that raises.",
        "The account needs INFO and HVALS beside its own commands; EVAL for keyed writes and history.",
        "In a read block the client refuses what is not known to read; on a replica the server refuses writes too.",
        "A keyed write types with a pipeline that runs as one script; a command that fails ends it, and what ran stays.",
        "Markers and history are keys: an eviction policy that takes keys without a time to live can take them.",
        "A restart that keeps no replication id in its snapshot is no proved successor: an operator adopts it.",
        "A replica that is told to follow another server is noticed by the next probe, not before.",
        "Cluster mode is refused: keys move there by themselves, and there is no one position.",
    ),
)


class AsyncRedisEndpoint(AsyncRedisPool):
    """One endpoint of a Redis store. Safe to share between threads or tasks."""

    capabilities = CAPABILITIES

    def __init__(self, place: EndpointContext[RedisStore]) -> None:
        super().__init__(place)
        options = place.store.options
        callbacks: Any = get_response_callbacks(user_protocol=options.protocol, legacy_responses=True)
        scripted: Any = get_response_callbacks(user_protocol=2, legacy_responses=True)
        encoder: Any = Encoder
        self._shared = Shared(
            name=repr(place.endpoint.id),
            arguments=self._arguments,
            callbacks=CaseInsensitiveDict(callbacks),
            scripted=CaseInsensitiveDict(scripted),
            encoder=encoder("utf-8", "strict", options.decode_responses),
            encoding="utf-8" if options.decode_responses else None,
        )
        self._demoted: set[str] = set()

    def handle(
        self, kind: Kind, source: AsyncTakeCheckout, mode: BlockMode, asked: Callable[[], Request]
    ) -> AsyncRedisHandle:
        """What the user types with: a client of redis-py."""
        return AsyncRedisHandle(kind, source, self._shared)

    def classify(self, error: BaseException) -> Failure:
        """What an error that left a block says."""
        return classify(error)

    async def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection; making one may take `connecting` seconds."""
        observation = await super().probe(timeout, connecting)
        if observation.role is Role.REPLICA:
            self._demoted.add(_run(observation))
        return observation

    async def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """Look the key up, and let the function type with a pipeline; the marker is written with its commands."""
        wire = await handle.ready()
        key = self._marker_key(claim)
        found, attempt = await find_marker(wire, key, self._shared)
        if found is not None and found.applied:
            return found
        handle.keyed = AsyncKeyed(handle, self._shared, key, claim, attempt)
        handle.native = handle.keyed.pipeline
        return None

    async def store_result(self, handle: Any, claim: Claim, result: bytes) -> None:
        """Keep the result of a keyed attempt: it travels with the marker."""
        handle.keyed.keep(result)

    async def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless a write stands there; what stands there then."""
        checkout = await self._own(deadline)
        try:
            return await put_tombstone(checkout.wire, self._marker_key(claim), self._shared, claim)
        except redis.exceptions.RedisError as error:
            raise self._translated(error) from error
        finally:
            await checkout.release()

    async def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Markers have a time to live: the server forgets them by itself."""
        return 0

    def _marker_key(self, claim: Claim) -> str:
        return self.key("marker", self._place.store.name, claim.key)

    async def create_tables(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Write the first history row when there is none; nothing else has to be made."""
        checkout = await self._own(deadline)
        try:
            observation = await checkout.observe()
        except redis.exceptions.RedisError as error:
            raise self._translated(error) from error
        finally:
            await checkout.release()
        if observation.lineage is None:
            await self.write_history(deadline, root(observation.origin))

    async def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child, or the server stands elsewhere than the row says."""
        checkout = await self._own(deadline)
        run = _run(checkout.observation)
        words = (row.parent or "", stored(row, run), row.origin)
        try:
            return bool(await self._ask(checkout, "EVAL", WRITE_HISTORY, 1, self.key("history"), *words))
        finally:
            await checkout.release()

    async def find_placement(self, deadline: Deadline, store: str, key: str) -> Placement | None:
        """The row of a directory that this endpoint has; None when it has none."""
        checkout = await self.check_out(Kind.READ, deadline, deadline.require("connecting"))
        try:
            found = await self._ask(checkout, "HGET", self.key("placement", store), key)
        finally:
            await checkout.release()
        return None if found is None else msgspec.json.decode(found, type=Placement)

    async def set_placement(self, deadline: Deadline, row: Placement, *, expected: int) -> Placement:
        """Put `row` where the row's version is `expected`; the row that stands then."""
        checkout = await self._own(deadline)
        words = (row.key, expected, msgspec.json.encode(row))
        try:
            stands = await self._ask(checkout, "EVAL", SET_PLACEMENT, 1, self.key("placement", row.store), *words)
        finally:
            await checkout.release()
        return row if stands is None else msgspec.json.decode(stands, type=Placement)

    async def _own(self, deadline: Deadline) -> Any:
        """A connection for a write of regionkit's own."""
        return await self.check_out(Kind.WRITE, deadline, deadline.require("connecting"))

    async def _ask(self, checkout: Any, *words: Any) -> Any:
        try:
            [reply] = await checkout.wire.exchange(b"".join(checkout.wire.pack(words)), 1)
        except redis.exceptions.RedisError as error:
            raise self._translated(error) from error
        return reply

    async def prove_promotion(self, timeout: float, parent: HistoryRow, observation: Observation) -> Position | None:
        """Where the server itself says that it left `parent`; None when it can not prove it."""
        async with self._monitoring:
            try:
                wire, _ = await self.watched(timeout, timeout)
                info, rows = await wire.ask()
                wire.stop()
            except BaseException:
                self._drop_monitor()
                raise
        found = next((row for row in rows if row.history == parent.history), None)
        if found is None or info.get("master_replid") != observation.origin:
            return None
        run = "" if wire.run in self._demoted else wire.run  # a run that was a replica since may have lost what it had
        return fork_of(info, run, found)


def _run(observation: Observation) -> str:
    return observation.incarnation.partition("/")[0]
