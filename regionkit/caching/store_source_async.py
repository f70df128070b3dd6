"""Loads through routing: every fill carries the version of what it read, and sessions see what they wrote.

1. A copy is read only when it is proved to be younger than a floor's life, less a load's time and a margin: an invalidation that
   is forgotten by now is in it. A copy that is not proved so is not read; the owner is.
2. A copy is asked where it stands before the loader reads on the same connection: that is `lo`, what the value surely has. Where
   it does not reach the floor of the key, or what the session wrote and saw, the owner is read in its place.
3. After the loader's last read the copy is asked again: that covers all that the value may have shown. A session that is
   given the value has seen it, from whichever tier it came.
4. A value whose `lo` does not cover what a session wrote or saw is not given to it.
5. A store without a history has no positions: the owner is read, and `explain()` says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from regionkit.caching.outcome import Outcome, Wanted, named_for, outcome_of, outcomes_of
from regionkit.caching.source_async import acalled
from regionkit.caching.version import NOTHING, OWNER_ONLY, of_position, of_stamp, position_of, reaches
from regionkit.contract.backing_async import AsyncBacking
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, RegionKitError, UsageError
from regionkit.facts.consistency import BOUNDED, STRONG
from regionkit.facts.stamp import Stamp

__all__ = ["AsyncLoaderStore", "AsyncStoreSource", "View"]

MARGIN = 5.0
"""Seconds by which a copy has to be younger than the oldest invalidation that is remembered, besides the time of a load."""
LEAST_BOUND = 0.5
"""Seconds of age at which a copy is read at all, however short floors live."""


class View(msgspec.Struct, frozen=True):
    """What a value has to show to one session.

    Attributes:
        session: of the kit.
        needs: version that covers all that it wrote and saw; "" for nothing.
        known: False: nobody knows what it saw, and only the owner will do.
        part: of the store.
    """

    session: Any
    needs: str = NOTHING
    known: bool = True
    part: str = ""


class AsyncStoreSource:
    """Loaders of the application's over one store of a kit. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self,
        backing: AsyncBacking,
        current: Callable[[], Any],
        clock: Clock,
        scope: bytes,
        *,
        bound: float,
        timeout: float,
        part: str = "",
    ) -> None:
        if not backing.capabilities.bounded:
            raise ConfigurationError(
                f"a cache of a kit cannot load from {backing.name!r}.",
                why="it does not report how far a copy has replicated, so a load cannot be compared with an invalidation.",
                fix="make the cache without the kit: Cache(...), with a loader that reads through kit.session().",
            )
        self.backing = backing
        self._current = current
        self._clock = clock
        self._scope = scope
        self._bound = max(LEAST_BOUND, bound - MARGIN)
        self._timeout = timeout
        self._part = part
        self._histories: dict[int, str] = {}

    def deadline(self) -> Deadline:
        """Of one load, or one question."""
        return Deadline(self._clock, self._timeout)

    def _store(self, wanted: Wanted) -> AsyncLoaderStore:
        return AsyncLoaderStore(self.backing, wanted, self.deadline(), self._bound, self._histories)

    async def load(self, key: Any, wanted: Wanted) -> Outcome:
        """Load one key: `load(key, store)`."""
        store = self._store(wanted)
        given = await acalled(wanted.load, key, store, **named_for(wanted))
        return outcome_of(given, self._scope, store.lo, owner=store.owner, hi=store.hi)

    async def load_many(self, keys: Sequence[Any], wanted: Wanted) -> dict[Any, Outcome]:
        """Load several: `load_many(keys, store)`."""
        store = self._store(wanted)
        given = await acalled(wanted.load, list(keys), store, **named_for(wanted))
        return outcomes_of(keys, given, self._scope, store.lo, owner=store.owner, hi=store.hi)

    async def home(self, key: Any) -> str:
        """The part that this source is of."""
        return self._part

    def looks(self, given: Any) -> bool:
        """Whether there is a session that has to be shown something."""
        return given is not False and (given is not None or self._current() is not None)

    async def view(self, given: Any, key: Any) -> View | None:
        """What the session (the one given, else the current one) has to be shown; None without one, and for False.

        Raises:
            UsageError: it is no session of a kit.
        """
        if not self.looks(given):
            return None
        session = self._current() if given is None else given
        if not hasattr(session, "seen_of"):
            raise UsageError(
                f"a {type(session).__name__} is not a session of a kit.", fix="pass what kit.session() gives."
            )
        entries = await session.seen_of(self.backing.name, self._part)
        if not self._histories:
            await self._learn_history()
        needs = [NOTHING if e.position is None else of_position(e.epoch, e.position) for e in entries]
        return View(session, max(needs, default=NOTHING), all(needs), self._part)

    async def _learn_history(self) -> None:
        """Which history positions of now belong to."""
        try:
            owner = await self.backing.owner(deadline=self.deadline())
        except RegionKitError:
            return  # what is shown counts as "read from the owner" meanwhile
        self._histories[owner.epoch] = owner.history

    def covers(self, lo: str, view: View | None) -> bool:
        """Whether a value that surely has `lo` shows all that the session wrote or saw."""
        return view is None or (view.known and reaches(lo, view.needs))

    def saw(self, hi: str, view: View | None) -> None:
        """The session was shown a value that may have shown all up to `hi`; "": nobody knows how much."""
        if view is None or (view.known and hi and view.needs >= hi):
            return
        position = position_of(hi)
        history = None if position is None else self._histories.get(position[0])
        stamp = None if position is None or history is None else Stamp(history, *position)
        view.session.saw(self.backing.name, stamp, self._part)

    def wrote(self, stamp: Stamp | None, part: str) -> None:
        """The current session has written, up to `stamp`."""
        session = self._current()
        if session is not None:
            session.saw(self.backing.name, stamp, self._part, wrote=True)

    async def newest(self, view: View | None, part: str | None) -> str:
        """An upper bound of all that the session (without one: anybody) has committed until now."""
        if view is not None and view.known and view.needs:
            return view.needs
        try:
            async with self.backing.read(consistency=STRONG, deadline=self.deadline(), core=True) as unit:
                return of_stamp(await unit.take_stamp()) or OWNER_ONLY
        except RegionKitError:
            return OWNER_ONLY  # nobody answers: until the floor ends only the owner will do


class AsyncLoaderStore:
    """What a loader reads through: `async with store.read() as db`. It serves one load.

    Attributes:
        lo: what all reads of this load surely had; "" where that is not known.
        hi: covers all that they may have shown; "" where that is not known.
        owner: all of them were made at the owner.
    """

    def __init__(
        self, backing: AsyncBacking, wanted: Wanted, deadline: Deadline, bound: float, histories: dict[int, str]
    ) -> None:
        self._backing = backing
        self._wanted = wanted
        self._deadline = deadline
        self._bound = bound
        self._histories = histories
        self._reads = 0
        self.lo = NOTHING
        self.hi = NOTHING
        self.owner = True

    def read(self, *, core: bool = False) -> AsyncLoaderRead:
        """A block that reads, as `s.read(store)` gives one: a Session (with `core` a Connection), a client, a database."""
        return AsyncLoaderRead(self, core=core)

    async def opened(self, *, core: bool) -> Any:
        """A unit on a copy that is good enough, or on the owner."""
        wanted = self._wanted
        view: View | None = wanted.session
        if not wanted.owner and wanted.floor != OWNER_ONLY and (view is None or view.known):
            unit = self._backing.read(consistency=BOUNDED(self._bound), deadline=self._deadline, core=core)
            await unit.__aenter__()
            try:
                lo = await self._position(unit)
                if lo and all(reaches(lo, needed) for needed in (wanted.floor, view.needs if view else NOTHING)):
                    self._note(lo, owner=False)
                    return unit
            except BaseException as error:
                await unit.__aexit__(type(error), error, error.__traceback__)
                raise
            await unit.__aexit__(None, None, None)
        unit = self._backing.read(consistency=STRONG, deadline=self._deadline, core=core)
        await unit.__aenter__()
        try:
            self._note(await self._position(unit), owner=True)
        except BaseException as error:
            await unit.__aexit__(type(error), error, error.__traceback__)
            raise
        return unit

    async def _position(self, unit: Any) -> str:
        """What the copy surely has."""
        owner = unit.owner
        if owner.history:
            self._histories[owner.epoch] = owner.history
        return of_position(owner.epoch, await unit.position())

    def _note(self, lo: str, *, owner: bool) -> None:
        self.lo = lo if not self._reads else min(self.lo, lo)
        self.owner = self.owner and owner
        self._reads += 1

    def shown(self, stamp: Stamp | None) -> None:
        """A read has ended: what it may have shown."""
        hi = of_stamp(stamp)
        self.hi = NOTHING if not hi or (self._reads > 1 and not self.hi) else max(self.hi, hi)


class AsyncLoaderRead:
    """One read of a loader. A context manager."""

    __slots__ = ("_core", "_store", "_unit")

    def __init__(self, store: AsyncLoaderStore, *, core: bool) -> None:
        self._store = store
        self._core = core
        self._unit: Any = None

    async def __aenter__(self) -> Any:
        self._unit = await self._store.opened(core=self._core)
        return self._unit.native

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        unit = self._unit
        try:
            if error is None:
                self._store.shown(await unit.take_stamp())
        except BaseException as raised:
            await unit.__aexit__(type(raised), raised, raised.__traceback__)
            raise
        await unit.__aexit__(kind, error, traceback)
