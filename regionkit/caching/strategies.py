"""How a cache is filled and written: TTL, Lazy, WriteThrough, WriteBack. Values, checked when they are made.

| strategy     | get on a miss         | writes           | what it promises |
|--------------|-----------------------|------------------|------------------|
| TTL          | nothing               | set, delete      | a value ends with its time, or with a later set or delete |
| Lazy         | loads, one load a key | none; invalidate | no value outlives an invalidation |
| WriteThrough | loads, one load a key | put, track       | and no reader sees an uncommitted value, or afterwards an older one |
| WriteBack    | loads, one load a key | put, delete      | and what was acknowledged, or a later value, reaches the row |
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic

import msgspec

from regionkit.caching.back.modes import mode_named
from regionkit.caching.journals import FileJournal, SqlJournal
from regionkit.core.given import can, check_call, check_count, check_flag, check_seconds, check_text, is_number, shown
from regionkit.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    V = TypeVar("V", default=Any)
else:
    from typing import TypeVar

    V = TypeVar("V")

__all__ = [
    "TTL",
    "UNCHANGED",
    "Lazy",
    "Loaded",
    "NoStore",
    "Strategy",
    "Unchanged",
    "WriteBack",
    "WriteThrough",
    "check_strategy",
    "check_verb",
    "load_at_most",
    "takes",
    "takes_these",
]

LONGEST_ATTRIBUTE = 120
"""Bytes of the name of a mapped attribute."""
LONGEST_TTL = 366 * 86_400.0
"""Seconds: a longer life is a mistake of units."""
SHORTEST_TTL = 0.001
JITTER = 0.1
"""Share by which lives are shortened at random, so that entries made together do not end together."""
LOAD_TIMEOUT = 10.0
"""Seconds that a load may take: afterwards another process may load in its place."""


class Loaded(msgspec.Struct, Generic[V], frozen=True):
    """A loader's result with more than the value.

    Attributes:
        value: None is a value too; for "nothing is there" a loader returns `Loaded(None, found=False)`.
        version: of the row, a whole number that grows with each change; it makes late loads from a lagging copy harmless.
        ttl: seconds, in place of the strategy's.
        tags: for `invalidate_tag`. A value with tags lives a day at most, or ten times the strategy's `ttl` where that is more.
        found: whether there is anything. A plain None of a loader says that there is not.
    """

    value: V
    version: int | None = None
    ttl: float | None = None
    tags: tuple[str, ...] = ()
    found: bool = True


class NoStore(msgspec.Struct, Generic[V], frozen=True):
    """A value that is returned to the caller and not stored."""

    value: V


class Unchanged(msgspec.Struct, frozen=True):
    """A loader that was shown the `previous` value says that it still holds. `ttl`: seconds, in place of the strategy's."""

    ttl: float | None = None


UNCHANGED = Unchanged()


@dataclass(frozen=True, slots=True, kw_only=True)
class TTL:
    """A plain cache: a value stays until its ttl ends.

    Attributes:
        ttl: seconds.
        jitter: share by which each ttl is shortened at random, 0 to 0.5.
        sliding: each get restarts the ttl.
    """

    ttl: float
    jitter: float = JITTER
    sliding: bool = False
    buffers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_times(self, "ttl")
        _check_share(self.jitter)
        check_flag("sliding", self.sliding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lazy:
    """Lazy loading (cache-aside, read-through): a miss is loaded, by one caller for all.

    Attributes:
        load: `load(key)`, in a kit `load(key, store)`; None where every call brings its loader (`get_or_load`). It returns a
            value, None for "nothing is there", or a Loaded, NoStore or Unchanged. With a parameter `previous` it is shown
            the Lookup that it may confirm.
        load_many: `load_many(keys)`, returning a mapping; a missing key is nothing there, a foreign one an error.
        ttl: seconds for which a value is served.
        soft_ttl: seconds after which a get still serves it and one caller reloads it in the background. None: never.
        early: share of the time before `soft_ttl` (or `ttl`) in which a get may reload, ever more likely. 0: never.
        negative_ttl: seconds for which "nothing is there" is served. None: it is not cached.
        stale_if_error: seconds after `ttl` for which the value is served when the load fails. Never after an invalidation.
        error_pause: seconds after a failed load before it is tried again while a stale value is served.
        load_timeout: seconds that one load may take; the caller then gets DeadlineExceeded, or the stale value. In a cache for
            threads the loader runs in a thread of its own then. None: no bound; after `LOAD_TIMEOUT` another may load, too.
        jitter: share by which each ttl is shortened at random, 0 to 0.5.
    """

    load: Callable[..., Any] | None = None
    load_many: Callable[..., Any] | None = None
    ttl: float
    soft_ttl: float | None = None
    early: float = 0.0
    negative_ttl: float | None = None
    stale_if_error: float = 0.0
    error_pause: float = 1.0
    load_timeout: float | None = None
    jitter: float = JITTER
    buffers: ClassVar[bool] = False
    """Writes stand in a write-back buffer before the row shows them."""

    def __post_init__(self) -> None:
        _check_times(self, "ttl", "soft_ttl", "negative_ttl", "load_timeout")
        if self.soft_ttl is not None and self.soft_ttl >= self.ttl:
            raise ConfigurationError(
                f"soft_ttl={self.soft_ttl} is not below ttl={self.ttl}.",
                why="a value is reloaded between the two.",
                fix="give a smaller soft_ttl.",
            )
        check_seconds("stale_if_error", self.stale_if_error, 0.0, LONGEST_TTL)
        check_seconds("error_pause", self.error_pause, 0.0, LONGEST_TTL)
        _check_share(self.early)
        _check_share(self.jitter)
        check_call("load", self.load)
        check_call("load_many", self.load_many)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteThrough(Lazy):
    """Lazy loading, and `put`, which writes the store and the cache as one.

    Attributes:
        store: `store(key, value)`, which commits by itself; with a backing, or in a kit, `store(db, key, value)` in our
            transaction. It may return the value to publish (defaults, triggers).
        model: a mapped class, for `track`: objects of it that a session writes are told by their key.
        key: name of its attribute that is the cache's key, or a function of the object; keys are typed: 42 is not "42".
        write_timeout: seconds that a put may take. Readers ask the owner as long.
        on_shared_down: "refuse": a put fails before it writes when the shared tier cannot be told first. "commit": it goes
            on, and what other processes may show meanwhile is bounded by the repair; needs a backing.
    """

    store: Callable[..., Any] | None = None
    model: Any = None
    key: str | Callable[[Any], Any] = "id"
    write_timeout: float = 10.0
    on_shared_down: str = "refuse"

    def __post_init__(self) -> None:
        Lazy.__post_init__(self)
        _check_times(self, "write_timeout")
        check_call("store", self.store)
        if not callable(self.key):
            check_text("key", self.key, LONGEST_ATTRIBUTE)
        if self.on_shared_down not in ("refuse", "commit"):
            raise ConfigurationError(
                f"on_shared_down={self.on_shared_down!r} is none.", fix='use "refuse" or "commit".'
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteBack(Lazy):
    """`put` answers when the shared tier holds the value; a flusher writes the row. Needs a `Shared` tier.

    The rows are written where their version is below the value's, so the table has a column for it (`sink`). One process at
    least runs a flusher: `with cache.flusher():`, or `regionkit write-back run`.

    Attributes:
        sink: where the rows are: a SqlSink, MongoSink, CassandraSink or CallSink; in log mode a SqlLogSink. Without
            `load` it loads them, too.
        durability: what holds a value when `put` returns: "memory", "aof-everysec", "aof-always", "aof-wait", "replicated",
            "journal", "sql-journal". See the page about write-back for what each costs and survives.
        journal: of "journal" a FileJournal(folder), of "sql-journal" a SqlJournal(engine).
        coalesce: True: of several puts of a key the last one is written. False (log mode): each put is written, in the order of
            all puts; for a SqlLogSink or a CallSink, without a journal.
        assume: the server does not let itself be asked (managed services): the durability that it surely has.
        replicas: that have to confirm a put, of "replicated".
        wait: seconds that a put waits for the proof of "aof-wait" and "replicated".
        max_dirty: keys, in log mode puts, that may be dirty or parked at once.
        max_bytes: of all of them.
        max_age: seconds within which the row follows, while the sink answers and a flusher runs.
        on_full: what a put does when there is no room: "wait", a number of seconds for it, then "write-through" or "raise".
            Default: ("wait", 0.5, "write-through"); in log mode, which only raises, ("wait", 0.5, "raise").
        attempts: times that a value which the table refuses is tried before it is parked.
        write_timeout: seconds that a put may take that has to write through, or to open the buffer.
    """

    buffers: ClassVar[bool] = True
    sink: Any
    durability: str
    journal: FileJournal | SqlJournal | None = None
    assume: str | None = None
    replicas: int = 1
    wait: float = 1.0
    max_dirty: int = 50_000
    max_bytes: int = 256 << 20
    max_age: float = 2.0
    on_full: tuple[str | float, ...] = ()
    attempts: int = 3
    write_timeout: float = 10.0
    coalesce: bool = True

    def __post_init__(self) -> None:
        if self.load is None and self.load_many is None:
            object.__setattr__(self, "load", getattr(self.sink, "load", None))
        Lazy.__post_init__(self)
        _check_times(self, "wait", "max_age", "write_timeout")
        for name in ("replicas", "max_dirty", "max_bytes", "attempts"):
            check_count(name, getattr(self, name), 1)
        if self.on_full == ():
            object.__setattr__(self, "on_full", ("wait", 0.5, "write-through" if self.coalesce else "raise"))
        _check_on_full(self.on_full)
        if self.assume is not None:
            mode_named(self.assume)
        needed = mode_named(self.durability).journal
        if needed != ("" if self.journal is None else type(self.journal).__name__):
            what = f"needs journal={needed}(...)" if needed else "has no journal"
            raise ConfigurationError(
                f"durability={self.durability!r} {what}.",
                why=f"journal={self.journal!r} was given.",
                fix='write durability="journal", journal=FileJournal("/var/lib/app"), or '
                'durability="sql-journal", journal=SqlJournal(engine).',
            )
        if not can(self.sink, "flush", "raise_epoch"):
            raise ConfigurationError(
                f"{shown(self.sink)} is not a sink.",
                fix="give SqlSink(engine, table), AsyncSqlSink in asyncio, or your own.",
            )
        self._check_coalesce(needed)

    def _check_coalesce(self, journal: str) -> None:
        """Log mode writes past nothing, needs a sink that takes each put, and has no journal."""
        takes = getattr(self.sink, "takes", ("rows",))
        check_flag("coalesce", self.coalesce)
        if ("rows" if self.coalesce else "log") not in takes:
            raise ConfigurationError(
                f"{type(self.sink).__name__} does not go with coalesce={self.coalesce}.",
                why="it applies each put once, in order, and needs all of them."
                if self.coalesce
                else "it keeps one row a key, so only the last of several puts would be seen.",
                fix="give coalesce=False."
                if self.coalesce
                else "give a SqlLogSink or a CallSink, or leave coalesce out.",
            )
        if not self.coalesce and journal:
            raise ConfigurationError(
                f"durability={self.durability!r} does not go with coalesce=False.",
                why="a journal keeps the last put of each key, not each put.",
                fix='use durability="aof-always", "aof-wait" or "replicated".',
            )
        if not self.coalesce and self.writes_through:
            raise ConfigurationError(
                f"on_full={self.on_full!r} does not go with coalesce=False.",
                why="a put that is written at once would overtake those in the log.",
                fix='write ("wait", 0.5, "raise") or ("raise",).',
            )

    @property
    def waits(self) -> float:
        """Seconds that a put waits for room."""
        return float(self.on_full[1]) if self.on_full[0] == "wait" else 0.0

    @property
    def writes_through(self) -> bool:
        """Whether a put that finds no room writes the row itself."""
        return self.on_full[-1] == "write-through"


def _check_on_full(on_full: Any) -> None:
    steps = list(on_full) if isinstance(on_full, tuple | list) else [None]
    if steps[:1] == ["wait"]:
        seconds = steps[1] if len(steps) > 1 else None
        if not is_number(seconds, 0.001, 60.0):
            steps = [None]
        steps = steps[2:] or [None]
    if steps not in (["write-through"], ["raise"]):
        raise ConfigurationError(
            f"on_full={on_full!r} cannot be used.",
            fix='write ("wait", 0.5, "write-through"), ("wait", 0.5, "raise"), ("write-through",) or ("raise",).',
        )


Strategy = TTL | Lazy | WriteThrough | WriteBack

_VERBS: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "set": (TTL,),
        "delete": (TTL, WriteBack),
        "put": (WriteThrough, WriteBack),
        "track": (WriteThrough,),
        "touch": (WriteThrough,),
        **dict.fromkeys(("update", "flush", "buffer", "dirty", "parked", "retry", "discard", "flusher"), (WriteBack,)),
    }
)
"""By verb: the strategies that have it. What is not here all have."""


def check_verb(verb: str, strategy: Strategy, cache: str) -> None:
    """Refuse a verb that a strategy does not have.

    Raises:
        UsageError: with the strategies that have it.
    """
    having = _VERBS[verb]
    if not isinstance(strategy, having):
        instead = "invalidate(key), after your own write" if verb in ("set", "delete", "put") else "invalidate"
        raise UsageError(
            f"cache {cache!r} is {type(strategy).__name__}, which has no {verb}.",
            why=f"{verb} belongs to {' and '.join(kind.__name__ for kind in having)}.",
            fix=f"use {instead}; or give the cache strategy={having[0].__name__}(...).",
        )


def load_at_most(strategy: Strategy) -> float:
    """Seconds after which nobody waits for a load, and another may load."""
    limit = None if isinstance(strategy, TTL) else strategy.load_timeout
    return LOAD_TIMEOUT if limit is None else limit


@lru_cache(maxsize=1024)
def takes(load: Callable[..., Any], name: str) -> bool:
    """Whether a loader has a parameter of that name."""
    try:
        return name in inspect.signature(load).parameters
    except (TypeError, ValueError):  # a builtin tells nothing
        return False


def takes_these(call: Callable[..., Any], *arguments: Any, **named: Any) -> bool:
    """Whether a function can be called like that, as far as it tells."""
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # a builtin tells nothing
        return True
    try:
        signature.bind(*arguments, **named)
    except TypeError:
        return False
    return True


def check_strategy(given: object) -> None:
    """Refuse what is none.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(given, TTL | Lazy):
        raise ConfigurationError(f"{shown(given)} is not a strategy.", fix="use TTL, Lazy, WriteThrough, WriteBack.")


def _check_times(strategy: Any, *names: str) -> None:
    for name in names:
        seconds = getattr(strategy, name)
        if seconds is None and name in ("soft_ttl", "negative_ttl", "load_timeout"):
            continue
        check_seconds(name, seconds, SHORTEST_TTL, LONGEST_TTL)


def _check_share(share: float) -> None:
    if not is_number(share, 0.0, 0.5):
        raise ConfigurationError(f"a share of {share!r} is not usable.", fix="give a number from 0 to 0.5.")
