"""What regionkit keeps beside the data in memory. A record ends by the clock of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from regionkit.backends.memory.client import MemoryMapping
from regionkit.backends.memory.world import ABSENT, Meta, NotPrimary
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.record_checks import check_name_of_record, check_record
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.core.tables import Table, check_versions
from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.facts.history import HistoryRow, Lineage, lineage_of
from regionkit.facts.record import Record

if TYPE_CHECKING:
    from regionkit.backends.memory.endpoint_async import AsyncMemoryEndpoint

__all__ = ["AsyncMemoryRecords"]


class _KeptMarker(NamedTuple):
    marker: Marker
    written_at: float


class _KeptRecord(NamedTuple):
    record: Record | None
    ends_at: float


class AsyncMemoryRecords:
    """regionkit's own values at one region. Safe to share between threads or tasks."""

    def __init__(self, endpoint: AsyncMemoryEndpoint, namespace: str) -> None:
        self._endpoint = endpoint
        self._namespace = namespace

    async def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record that this region has; None when it has none."""
        check_name_of_record(kind, key)
        await self._endpoint.require_up(deadline.require("asking"))
        world, node = self._endpoint.world, self._endpoint.node
        with world.lock:
            world.deliver_due()
            self._require_tables()
            return self._living(node.meta.get(self._record_key(kind, key)))

    async def put(
        self, deadline: Deadline, record: Record, *, expected: int, lasts: float | None = None, within: Any = None
    ) -> Record | None:
        """Put `record` where the version is `expected`; the record that stands then."""
        check_record(record, expected, lasts)
        ends_at = FOREVER if lasts is None else self._endpoint.wall() + lasts
        return await self._change(
            deadline, record.kind, record.key, expected, _KeptRecord(record, ends_at), within=within
        )

    async def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then."""
        return await self._change(deadline, kind, key, expected, _KeptRecord(None, FOREVER))

    async def _change(
        self, deadline: Deadline, kind: str, key: str, expected: int, wanted: _KeptRecord, within: Any = None
    ) -> Record | None:
        self._require_tables()
        name = self._record_key(kind, key)
        if within is not None:
            transaction: Any = within.transaction if isinstance(within, MemoryMapping) else within
            stands = self._living(transaction.kept(name))
            if expected != _version(stands):
                return stands
            transaction.keep(name, wanted)
            return wanted.record

        def changed(stands: _KeptRecord | None) -> _KeptRecord | None:
            return wanted if expected == _version(self._living(stands)) else None

        if self._endpoint.meet is not None:
            await self._endpoint.require_up(deadline.require("a write"))
            await self._endpoint.meet(self._endpoint.look(), deadline.remaining())
        return self._living(await self._put(deadline, name, changed))

    def _living(self, kept: _KeptRecord | None) -> Record | None:
        return None if kept is None or kept.ends_at <= self._endpoint.wall() else kept.record

    def claim(self, handle: Any, claim: Claim) -> Marker | None:
        """First step of a keyed attempt: None when the key is ours now, else what stands there."""
        self._require_tables()
        found: _KeptMarker | None = handle.kept(self._marker_key(claim.key))
        if found is not None and found.marker.applied:
            return found.marker
        self.mark(handle, claim, None)
        return None

    def mark(self, handle: Any, claim: Claim, result: bytes | None) -> None:
        """Put the marker of an attempt, in its transaction."""
        marker = Marker(applied=True, fingerprint=claim.fingerprint, result=result)
        handle.keep(self._marker_key(claim.key), _KeptMarker(marker, self._endpoint.wall()))

    async def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then.

        An attempt that is open found the key free, so it cannot commit once the tombstone is there.
        """
        marker = Marker(applied=False, fingerprint=claim.fingerprint, result=None)
        tombstone = _KeptMarker(marker, self._endpoint.wall())
        found: _KeptMarker = await self._put(
            deadline, self._marker_key(claim.key), lambda stands: tombstone if stands is None else None
        )
        return found.marker

    async def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Forget at most `most` markers older than `older_than` seconds; how many were."""
        before, head = self._endpoint.wall() - older_than, ("marker", self._namespace)
        with self._endpoint.world.lock:
            rows = list(self._endpoint.node.meta.items())
        old = [key for key, row in rows if key[:2] == head and row.written_at < before][:most]
        for key in old:  # it may have been put anew meanwhile
            await self._put(deadline, key, lambda stands: ABSENT if stands and stands.written_at < before else None)
        return len(old)

    async def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Note the version of each."""

        def noted(stands: dict[str, int] | None) -> dict[str, int] | None:
            missing = check_versions(self._namespace, tables, stands or {})
            return {**(stands or {}), **{table.name: table.version for table in missing}} if missing else None

        await self._put(deadline, ("tables", self._namespace), noted)

    async def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""

        def extended(stands: Lineage | None) -> Lineage | None:
            rows = () if stands is None else stands.rows
            return None if any(known.parent == row.parent for known in rows) else lineage_of([*rows, row])

        stands: Lineage = await self._put(deadline, ("history", self._namespace), extended)
        return stands.current == row

    async def _put(self, deadline: Deadline, key: Meta, decide: Callable[[Any], Any]) -> Any:
        endpoint = self._endpoint
        await endpoint.require_up(deadline.require("a write"))
        try:
            return endpoint.world.put(endpoint.node, key, decide)
        except NotPrimary as error:
            raise RegionUnavailable(
                f"{endpoint.region} of {endpoint.store!r} is no longer the primary.",
                fix="run it again: regionkit looks for the new primary.",
                store=endpoint.store,
                region=endpoint.region,
            ) from error

    def _require_tables(self) -> None:
        if self._endpoint.node.lineage(self._namespace) is None:
            raise ConfigurationError(
                f"store {self._endpoint.store!r} keeps neither markers nor records yet.",
                why="regionkit's tables are missing.",
                fix="call kit.create_tables() once.",
            )

    def _marker_key(self, key: str) -> Meta:
        return ("marker", self._namespace, key)

    def _record_key(self, kind: str, key: str) -> Meta:
        return ("record", self._namespace, kind, key)


def _version(record: Record | None) -> int:
    return 0 if record is None else record.version
