"""SqliteRegions: the regions of one store as SQLite files on one machine, with a chosen lag, and faults on command.

Guarantees: a region's file is always one transaction-consistent snapshot of the owner's, and snapshots arrive in order; an
acknowledged write is lost only by `promote` (what had not arrived there), as with any asynchronous replication.
Not a way to run production: everything is on one disk, and each change copies the whole database.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from regionkit.backends.sql.server import encode_fork
from regionkit.core.ids import uuid7
from regionkit.embedded.copies import backed_up, file_state, land
from regionkit.embedded.folder import Folder, State, connect
from regionkit.embedded.shipping import Shipper
from regionkit.errors import ConfigurationError, RegionUnavailable
from regionkit.topology import Endpoint, Region, Role, SqlStore, Topology
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["AsyncSqliteRegions", "SqliteRegions"]

LONGEST_LAG = 3600.0
"""Seconds; a lag beyond it is a mistake of units."""


class _Regions:
    """What both forms share; every method may block for some milliseconds."""

    def __init__(
        self,
        folder: str | Path,
        *,
        store: str,
        primary: str | None = None,
        replicas: Sequence[str] = (),
        lag: float | None = None,
        namespace: str | None = None,
        jurisdictions: Mapping[str, str] | None = None,
    ) -> None:
        SqlStore(store)  # refuses a bad name before it becomes one of a file
        self._folder = Folder(Path(folder), store)
        names = [*([primary] if primary else []), *replicas]
        self._open(names, primary, None if lag is None else _checked_lag(lag), namespace, dict(jurisdictions or {}))
        self._shipper = Shipper(self._folder)

    def _open(
        self, names: list[str], primary: str | None, lag: float | None, namespace: str | None, laws: dict[str, str]
    ) -> None:
        folder = self._folder
        state = folder.state()
        if state is None:
            if primary is None:
                raise ConfigurationError(
                    f"{folder.root} holds no store {folder.store!r} yet.",
                    fix='name its regions: primary="us-east-1", replicas=["ap-northeast-2"].',
                )
            regions: dict[str, str | None] = {name: laws.get(name) for name in names}
            state = State(namespace or "regionkit", regions, primary, 1, lag or 0.0)
            if len(regions) != len(names):
                raise ConfigurationError(f"a region is named twice: {', '.join(names)}.", fix="name each once.")
        else:
            _check_same(state, names, namespace)
            regions = {name: laws.get(name, law) for name, law in state.regions.items()}
            state = msgspec.structs.replace(state, regions=regions, lag=state.lag if lag is None else lag)
        for unknown in laws.keys() - state.regions.keys():
            raise ConfigurationError(
                f"jurisdictions: there is no region {shown(unknown)}.", fix=did_you_mean(unknown, state.regions)
            )
        _topology(folder, state)  # refuses bad names
        folder.inner.mkdir(parents=True, exist_ok=True)
        with folder.changing():
            known = folder.state()
            if known is not None:  # made or changed by another process meanwhile
                state = msgspec.structs.replace(state, owner=known.owner, epoch=known.epoch)
            for region in state.regions:
                folder.create(region)
            folder.save(_as_the_files_say(folder, state))

    @property
    def topology(self) -> Topology:
        """The topology of today: one store; the owner of now is its primary."""
        return _topology(self._folder, self._folder.known())

    @property
    def owner(self) -> str:
        """The region that the others copy."""
        return self._folder.known().owner

    @property
    def lag(self) -> float:
        """Seconds from a change to its arrival in the other regions. Set, it holds at once, also for what is under way."""
        return self._folder.known().lag

    @lag.setter
    def lag(self, seconds: float) -> None:
        with self._folder.changing():
            self._folder.save(msgspec.structs.replace(self._folder.known(), lag=_checked_lag(seconds)))

    @property
    def trouble(self) -> Exception | None:
        """What keeps this process from shipping now; None when nothing does."""
        return self._shipper.trouble

    def _known(self, region: str) -> State:
        state = self._folder.known()
        if region not in state.regions:
            raise ConfigurationError(f"there is no region {shown(region)}.", fix=did_you_mean(region, state.regions))
        return state

    def _kill(self, region: str) -> None:
        self._known(region)
        with self._folder.changing():
            self._folder.outage(region).touch()

    def _revive(self, region: str) -> None:
        with self._folder.changing():
            state = self._known(region)
            if self._folder.is_down(region) and state.owner != region and not self._folder.is_down(state.owner):
                self._rejoin(state, region)
            self._folder.outage(region).unlink(missing_ok=True)

    def _rejoin(self, state: State, region: str) -> None:
        """A former owner begins as a copy of today's: as itself it would take writes that nobody would ever see."""
        folder = self._folder
        with closing(connect(folder.path(region))) as target, closing(connect(folder.path(state.owner))) as source:
            there = file_state(target, state.namespace).lineage
            if there is None or there.current.origin != region:
                return
            with closing(sqlite3.connect("")) as copy:
                backed_up(source, copy)
                land(folder, state.namespace, region, target, copy)

    def _promote(self, region: str) -> None:
        with self._folder.changing():
            state = self._known(region)
            if self._folder.is_down(region):
                raise RegionUnavailable(
                    f"{region} is down.",
                    fix=f'regions.revive("{region}") first.',
                    store=self._folder.store,
                    region=region,
                )
            with closing(connect(self._folder.path(region))) as file:
                epoch = self._write_history(file, state, region)
            self._folder.save(msgspec.structs.replace(state, owner=region, epoch=epoch))

    def _write_history(self, file: sqlite3.Connection, state: State, region: str) -> int:
        """The history row of a promotion, in the file itself; the epoch that it begins."""
        file.execute("BEGIN IMMEDIATE")
        there = file_state(file, state.namespace)
        if there.lineage is None:
            file.execute("ROLLBACK")
            raise ConfigurationError(
                f"{region} has no history rows of store {self._folder.store!r}.",
                why="a promotion writes a row into them; without it, nothing shows which writes survived.",
                fix="call kit.create_tables() while the primary is up, and wait until they were copied (regions.lag).",
            )
        newest = there.lineage.current
        if newest.origin == region and state.owner == region:
            file.execute("ROLLBACK")
            return newest.epoch
        epoch = max(newest.epoch, state.epoch) + 1
        row = (uuid7().hex, newest.history, encode_fork(there.position), epoch, region, time.time())
        table = f"{state.namespace}_rk_history"
        file.execute(
            f"INSERT INTO {table} (history, parent, fork, epoch, origin, written_at) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            row,
        )
        file.execute("COMMIT")
        return epoch

    def _close(self) -> None:
        self._shipper.stop()


class SqliteRegions(_Regions):
    """Regions as SQLite files on one machine. Ships from its construction to `close()`, in a thread of its own.

    A context manager. Thread-safe. Several processes may open one folder: one of them ships, and when it ends another does.

    Args:
        folder: where the files are; made when it is not there. Opening it again, also from another process, goes on with
            what is there; then `primary` and `replicas` may be left out, and who owns the data is what the files say.
        store: name of the store, and of the files.
        primary: the region that owns the data at the start.
        replicas: the regions that copy it.
        lag: seconds from a change to its arrival in the other regions; None: the folder's own, 0 in a new one.
        namespace: prefix of regionkit's tables, as in the topology.
        jurisdictions: of regions, by name; those left out have none.

    Raises:
        ConfigurationError: a bad name or lag; no primary for a new folder; other regions than the folder has.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop shipping from this process; the files stay. May be called twice."""
        self._close()

    def kill(self, region: str) -> None:
        """Take a region down, in all processes: each statement and each new connection fails until `revive`.

        It neither ships nor receives; copies that it had under way are dropped.

        Raises:
            ConfigurationError: there is no such region.
        """
        self._kill(region)

    def revive(self, region: str) -> None:
        """Bring a region back. One that was owner before a promotion comes back as a copy of today's owner.

        The writes that it had not shipped are lost then: a bookmark of one raises StaleRead with `lost`.

        Raises:
            ConfigurationError: there is no such region.
        """
        self._revive(region)

    def promote(self, region: str) -> None:
        """Make a region the owner, as an unplanned failover does: what did not arrive there by now is lost.

        Writes the history row by which every kit finds out; the other regions that are up copy this one from now on. A
        former owner that is still up takes writes, and loses them, until its kits have looked (`sample_every`).
        Promoting the owner changes nothing.

        Raises:
            ConfigurationError: there is no such region, or it has no history rows: call kit.create_tables() first.
            RegionUnavailable: the region is down.
        """
        self._promote(region)


class AsyncSqliteRegions(_Regions):
    """SqliteRegions for asyncio, with the same arguments: what waits for a file does so in a thread.

    Safe to share between tasks and loops. Setting `lag` and the constructor block for a few milliseconds.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """As `SqliteRegions.close`."""
        await _in_thread(self._close)

    async def kill(self, region: str) -> None:
        """As `SqliteRegions.kill`."""
        await _in_thread(self._kill, region)

    async def revive(self, region: str) -> None:
        """As `SqliteRegions.revive`."""
        await _in_thread(self._revive, region)

    async def promote(self, region: str) -> None:
        """As `SqliteRegions.promote`."""
        await _in_thread(self._promote, region)


async def _in_thread(work: Callable[..., None], *arguments: Any) -> None:
    """Run to its end, also when the caller is cancelled: half a promotion would be none."""
    await asyncio.shield(asyncio.to_thread(work, *arguments))


def _checked_lag(seconds: float) -> float:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_LAG:
        raise ConfigurationError(
            f"lag = {shown(seconds)} is not usable.", fix=f"give seconds, at least 0 and at most {LONGEST_LAG:g}."
        )
    return float(seconds)


def _check_same(state: State, names: list[str], namespace: str | None) -> None:
    if names and set(names) != set(state.regions):
        raise ConfigurationError(
            f"the folder has the regions {', '.join(state.regions)}, requested were {', '.join(names)}.",
            fix="name the same ones or none, or take another folder.",
        )
    if namespace not in (None, state.namespace):
        raise ConfigurationError(
            f"the folder has the namespace {state.namespace!r}, requested was {shown(namespace)}.",
            why="the tables in it carry it.",
            fix="leave namespace out, or take another folder.",
        )


def _topology(folder: Folder, state: State) -> Topology:
    endpoints = [
        Endpoint(name, Role.PRIMARY if name == state.owner else Role.REPLICA, folder.url(name))
        for name in state.regions
    ]
    regions = [Region(name, jurisdiction=law) for name, law in state.regions.items()]
    return Topology(namespace=state.namespace, regions=regions, stores=[SqlStore(folder.store, endpoints=endpoints)])


def _as_the_files_say(folder: Folder, state: State) -> State:
    """The state with the owner that the files tell of: a process may have died between a promotion's row and the state."""
    for region in state.regions:
        with closing(connect(folder.path(region))) as file:
            lineage = file_state(file, state.namespace).lineage
        if lineage is not None and lineage.current.origin == region and lineage.current.epoch > state.epoch:
            state = msgspec.structs.replace(state, owner=region, epoch=lineage.current.epoch)
    return state
