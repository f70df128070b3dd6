# Generated from directory_async.py by scripts/twins.py. Do not edit.
"""Look-ups in a directory of homes: remembered rows first, then the nearest copy of the directory, then its owner.

1. A row from any copy is a row that was true once; an absent one is absent only when the owner says so. A row older than the
   one known here comes from a copy that lags: the owner is asked.
2. When nobody answers, the row as last seen serves, from memory or from the copy on disk: a lost directory does not stop
   known keys. A key that was never seen is an error then.
   A question about a known key has a budget of its own, smaller than the call's. A copy that the monitor finds silent is not
   asked; after a failed question none is, until the monitor has had time to find out. Only the monitor asks in between.
3. A row that a bookmark makes doubtful is asked of the owner.
4. Each new row is appended to the copy on disk, when there is one; beyond twice `max_entries` lines it is written anew. Several
   processes may share it. A copy that cannot be written is told once, and stops nothing.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.core.ids import uuid7
from regionkit.errors import ConfigurationError, RegionKitError, RegionUnavailable, UnknownHome
from regionkit.facts.placement import Placement, placement_in, placement_kind, placement_record
from regionkit.routing.placements import Placements
from regionkit.routing.store import RoutedStore
from regionkit.topology import Directory
from regionkit.topology.validation import shown

__all__ = ["HomeDirectory"]

LOG = logging.getLogger("regionkit.directory")


class HomeDirectory:
    """The homes of one store's keys. Shared by all sessions of a kit."""

    def __init__(self, store: str, kept_in: RoutedStore, settings: Directory, namespace: str) -> None:
        self.store = store
        self.kept_in = kept_in
        self._rows = Placements(settings.max_age, settings.max_entries)
        self._clock = kept_in.clock
        self._most = settings.max_entries
        self._copy: Path | None = None
        self._lines = 0
        self._told = False
        if settings.copy is not None:
            self._copy = Path(settings.copy) / f"{namespace}-{store}.placements"
            self._load(self._copy)

    def home_without_io(self, key: str) -> str | None:
        """The home of `key` when its row is fresh enough; None when it has to be asked for."""
        found = self._rows.fresh(key, self._clock.monotonic())
        return None if found is None else found.home

    def fresh_until(self, key: str) -> float:
        """Monotonic instant after which the row of `key` is asked for again."""
        return self._rows.fresh_until(key)

    def forget(self, key: str) -> None:
        """Ask for the row of `key` again at its next use."""
        self._rows.forget(key)

    def look_up(self, key: str, deadline: Deadline) -> Placement:
        """The row of `key`.

        Raises:
            UnknownHome: the owner of the directory has none.
            RegionUnavailable: nobody answers, and the key is not known here.
        """
        known, lost = self._rows.known(key), None
        order = self._order(doubtful=known is not None and self._rows.below_floor(key))
        if known is not None:
            order = [] if self._rows.quiet(self._clock.monotonic()) else [i for i in order if self._speaks(i)]
        for place, index in enumerate(order, 1):
            try:
                within = self._budget(index, deadline, known is not None, place == len(order))
                record = self.kept_in.backend(index).records.get(within, placement_kind(self.store), key)
            except RegionKitError as error:
                lost = error
                continue
            if record is not None:
                found = placement_in(self.store, record)
                self.remember(found)
                known = self._rows.known(key)
                if known is None or known.version <= found.version:
                    return found
                continue
            if index == self.kept_in.state.snapshot.owner or self.kept_in.state.snapshot.leaderless:
                raise UnknownHome(
                    f"store {self.store!r}: key {shown(key)} has no home yet.",
                    why="its directory has no row for it.",
                    fix=f"give it one: kit.place({self.store!r}, key=..., home=...).",
                    key=key,
                )
        known = self._rows.known(key)
        if known is not None:
            if lost is not None:
                profile = self.kept_in.profile
                self._rows.in_vain(self._clock.monotonic() + profile.probe_every + profile.probe_timeout)
            return known
        raise RegionUnavailable(
            f"the directory of {self.store!r} does not answer, and key {shown(key)} is not known here.",
            why="" if lost is None else lost.what,
            fix="see kit.status(); keys that were looked up before still work.",
            store=self.kept_in.name,
        )

    def _speaks(self, index: int) -> bool:
        """Whether an endpoint answers, as far as the monitor knows."""
        e = self.kept_in.state.snapshot.endpoints[index]
        return not (e.trouble or e.read_open)

    def _budget(self, index: int, deadline: Deadline, known: bool, last: bool) -> Deadline:
        """The time that one copy has: a call with a known key needs its time for the key's home."""
        left = deadline.require("looking up a key's home", store=self.kept_in.name)
        if known:
            return Deadline(self._clock, min(left / 2.0, self.kept_in.connecting(index)))
        return deadline if last else Deadline(self._clock, left / 2.0)

    def place(self, key: str, home: str, deadline: Deadline) -> Placement:
        """Give `key` its first home, by compare-and-set on absence; the row that stands then, which may be another's."""
        self.kept_in.meet(self.kept_in.state.snapshot.owner, deadline.remaining())
        owner = self.kept_in.state.snapshot.owner
        if owner < 0 and not self.kept_in.state.snapshot.leaderless:
            self.kept_in.refresh(deadline.remaining())
            owner = self.kept_in.state.snapshot.owner
        index = next(iter(self._order()), -1) if owner < 0 else owner
        if index < 0:
            raise RegionUnavailable(
                f"the directory of {self.store!r} has no owner now.",
                fix="see kit.status(); keys that were looked up before still work.",
                store=self.kept_in.name,
            )
        wanted = placement_record(Placement(self.store, key, home))
        record = self.kept_in.backend(index).records.put(deadline, wanted, expected=0)
        stands = placement_in(self.store, record or wanted)
        self.remember(stands)
        return stands

    def remember(self, row: Placement) -> None:
        """Take a row in."""
        if self._rows.put(row, self._clock.monotonic()) and self._copy is not None:
            try:
                with self._copy.open("ab") as file:
                    file.write(msgspec.json.encode(row) + b"\n")
                self._lines += 1
                if self._lines > 2 * self._most:
                    self._write_anew(self._copy)
            except OSError as error:
                if not self._told:
                    self._told = True
                    LOG.warning("the copy of the directory of %r cannot be written: %s", self.store, error)

    def raise_floor(self, version: int) -> bool:
        """A bookmark has seen a row of `version`; whether that is news."""
        return self._rows.raise_floor(version, self._clock.monotonic())

    def version_of(self, key: str) -> int:
        """The version of the row as last seen; 0 when none was."""
        known = self._rows.known(key)
        return 0 if known is None else known.version

    def _order(self, *, doubtful: bool = False) -> list[int]:
        """The nearest copy, then the owner: others add nothing. A doubtful row: the owner alone, where there is one."""
        nearest = self.kept_in.nearest()
        owner = self.kept_in.state.snapshot.owner
        if doubtful and owner >= 0:
            return [owner]
        order = nearest[:1] + ([owner] if owner >= 0 and owner not in nearest[:1] else [])
        return order or nearest

    def _load(self, path: Path) -> None:
        """Take the copy in, and write it anew without what was replaced.

        Raises:
            ConfigurationError: it cannot be read or written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                for row in self._read(path).values():
                    self._rows.put(row, float("-inf"))
                self._write_anew(path)
        except OSError as error:
            raise ConfigurationError(
                f"store {self.store!r}: the copy of its directory at {path} cannot be used.",
                why=str(error),
                fix="let copy= name a folder that this process may write.",
            ) from error

    def _read(self, path: Path) -> dict[str, Placement]:
        """The newest row of each key in the copy, as many as are remembered. A torn line is left out."""
        rows: dict[str, Placement] = {}
        for line in path.read_bytes().splitlines():
            try:
                row = msgspec.json.decode(line, type=Placement)
            except (msgspec.MsgspecError, ValueError):
                continue
            known = rows.pop(row.key, row)
            if row.store == self.store:
                rows[row.key] = known if known.version > row.version else row
        return dict(list(rows.items())[-self._most :])

    def _write_anew(self, path: Path) -> None:
        """One line a key: what others have written, and what is remembered here."""
        rows = self._read(path)
        for row in self._rows.all():
            known = rows.pop(row.key, row)
            rows[row.key] = known if known.version > row.version else row
        kept = list(rows.values())[-self._most :]
        whole = path.with_suffix(f".{uuid7().hex}")  # not the process id: in containers all have the same
        whole.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in kept))
        whole.replace(path)
        self._lines = len(kept)
