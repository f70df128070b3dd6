"""What a cache promises, as a value: made of what the cache is, so that it cannot say more than is there."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from regionkit.caching.back.flush_rules import LEASE
from regionkit.caching.back.modes import mode_named
from regionkit.caching.strategies import TTL, Lazy, Strategy, WriteBack, WriteThrough, load_at_most
from regionkit.caching.tiers import Local, Memcached, Shared

__all__ = ["CacheExplanation", "Explained", "explain_cache"]


class Explained(Protocol):
    """What has to be known of a cache to say what it promises.

    Attributes:
        name: of the cache.
        strategy: of the cache.
        local, shared: its tiers.
        settles: writes that died are found out about.
        spreads: other regions are told.
        routed: loads go through a kit, with versions.
        homes: its keys have homes, each with positions of its own.
        floor_life: seconds for which an invalidation is remembered.
    """

    name: str
    strategy: Strategy
    local: Local | None
    shared: Shared | Memcached | None
    settles: bool
    spreads: bool
    routed: bool
    homes: bool
    floor_life: float


class CacheExplanation(msgspec.Struct, frozen=True):
    """What a cache promises and what it does not. Prints as lines of at most 100 columns.

    Attributes:
        cache: its name.
        strategy: its strategy's name.
        promises: what holds.
        limits: what does not, or for how long.
        figures: numbers behind both, by name; seconds unless the name says otherwise.
    """

    cache: str
    strategy: str
    promises: tuple[str, ...]
    limits: tuple[str, ...]
    figures: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told

    def __str__(self) -> str:
        lines = [f"cache {self.cache} ({self.strategy})"]
        lines += [f"  holds  {text}" for text in self.promises]
        lines += [f"  limit  {text}" for text in self.limits]
        lines += [f"  {name:<28} {value:g}" for name, value in self.figures.items()]
        return "\n".join(lines)


def explain_cache(cache: Explained) -> CacheExplanation:
    """What `cache` promises."""
    promises, limits = _of_invalidations(cache)
    for part in (_of_loads, _of_writes, _of_sessions):
        more, less = part(cache)
        promises, limits = promises + more, limits + less
    return CacheExplanation(cache.name, type(cache.strategy).__name__, tuple(promises), tuple(limits), _figures(cache))


Said = tuple[list[str], list[str]]


def _of_invalidations(cache: Explained) -> Said:
    promises = ["after invalidate() has returned, no get of this process returns what was stored before"]
    limits = []
    if cache.shared is None:
        limits.append("other processes do not learn of it: this cache belongs to one process")
    elif isinstance(cache.shared, Memcached):
        promises.append("no load that began before it, in whichever process, is stored after it")
        limits += [
            "a load that another process begins after it, from a copy that lags, may be stored until its ttl ends",
            "a value that the server has dropped is a miss; of each new tag the first load is not kept",
            "entries expire by the clocks of the machines",
        ]
        if cache.local is not None:
            limits.append("there are no notifications: another process's local tier serves the old value for local_ttl")
        if isinstance(cache.strategy, WriteThrough):
            limits.append("an intent that the server has dropped: an old value may be stored until the write commits")
    else:
        promises.append("nor does any process of this region store, after it, a load that began before it")
        promises.append("a cache server that was promoted, restarted or emptied serves no earlier entries")
        if isinstance(cache.strategy, WriteBack):
            promises[-1] += ", except values that are not in their row yet"
        if cache.local is not None:
            limits.append(
                "another process's local tier serves the old value until the news arrive: see news_delay_at_most"
            )
    if cache.spreads:
        limits.append("other regions serve the old value until their copy has the write: its lag and region_delay more")
    return promises, limits


def _of_loads(cache: Explained) -> Said:
    strategy = cache.strategy
    if isinstance(strategy, TTL):
        return ["a later set or delete wins over an earlier one"], ["an evicted value is a miss before its time"]
    where = "process" if cache.shared is None else "region"
    promises = [f"one load at a time per key and loader, over all callers of this {where}"]
    limits = []
    if cache.routed and isinstance(strategy, WriteBack):
        promises.append("all regions share one buffer: each reads at once what any of them put")
        limits.append("outside of its home a put, or a get that the local tier does not have, crosses regions")
    elif cache.routed:
        promises.append("a stored value was read from a copy that has every remembered invalidation of its key")
        if cache.homes:
            promises.append("a key is loaded, written and invalidated in its home, with versions of its home")
            limits.append(
                "for ttl after invalidate_tag() or clear(), loads read from the owner in the key's home, however far it is"
            )
    elif not (isinstance(strategy, WriteBack) and strategy.load == getattr(strategy.sink, "load", None)):
        limits.append("lag of a copy that the loader reads is covered only if it returns Loaded(version=...)")
    if strategy.stale_if_error:
        promises.append("when a load fails, the last value is served for stale_if_error; never after an invalidation")
    if strategy.soft_ttl is not None:
        limits.append("between soft and hard end a get returns the value while one caller reloads it")
    return promises, limits


def _of_writes(cache: Explained) -> Said:
    strategy = cache.strategy
    if isinstance(strategy, WriteBack):
        return _of_write_back(cache, strategy)
    if not isinstance(strategy, WriteThrough):
        return [], []
    where = "process" if cache.shared is None else "region"
    promises = [f"put() and track(): no get of this {where} returns an uncommitted value, or afterwards an older one"]
    if cache.local is not None and isinstance(cache.shared, Shared):
        promises[0] += "; other processes' local tiers within news_delay_at_most"
    limits = []
    if cache.settles:
        promises.append(
            "this holds if the writer dies at any point: the row of its intent shows the outcome of the write"
        )
        if strategy.on_shared_down == "commit":
            limits.append(
                "while the shared tier is down, writes continue and are announced by their rows: see region_delay"
            )
    else:
        limits.append(
            "a writer that dies leaves the old value stale for up to ttl: without backing= the outcome cannot be found"
        )
    limits.append("writers that use neither put() nor track() must invalidate")
    return promises, limits


def _of_write_back(cache: Explained, strategy: WriteBack) -> Said:
    mode = mode_named(strategy.durability)
    promises = [
        f"put() and delete() return when the buffer has them, {mode.name}: that survives {mode.survives}",
        "afterwards no get of this region returns an older value; if that is not certain, it raises",
        "the row gets that value, or a later one, within max_age while the sink answers and a flusher runs",
        "the row of a key is written in the order of its puts, even if a flusher dies or is late",
        "a row whose version is not of any put is not overwritten: the value is parked",
    ]
    if not strategy.coalesce:
        promises[2:] = [
            "each put reaches the sink, in the order of all puts, within max_age while the sink answers and a flusher runs",
            "a put that was applied and not confirmed comes again with its version: SqlLogSink applies it once",
        ]
    if cache.local is not None:
        promises[1] += "; other processes' local tiers within news_delay_at_most"
    limits = [
        f"until a row shows a put, it is lost by {mode.loses}",
        "values claimed by a flusher that died are written after claim_at_most",
        "other programs read the table as it was until then; what they write there without a version is overwritten",
        "one cache only may put to a table: another's versions look like its own",
        "a value that the table refuses is parked: get() returns it, the table does not have it",
        "a put whose answer was lost (DurabilityUnknown) may have succeeded: check with again=",
        "while the shared tier does not answer, gets and puts fail; what a local tier has is served until the news are missed",
    ]
    if not strategy.coalesce:
        limits[1:5] = [
            "a flusher that died holds up the log for claim_at_most",
            "other programs read the tables as they were until then",
            "a put that the sink refuses holds up the log for attempts tries, then it is parked: get() does not return it",
        ]
    if mode.journal:
        limits.append(
            "a server that lost the buffer: gets return the row until the journal was replayed, within seconds"
        )
    if mode.journal == "FileJournal":
        limits.append("what a machine's journal holds is replayed on that machine only: the same disk has to come back")
    if strategy.assume is not None:
        limits.append(f"what the server does not report about {mode.name} is assumed, not proved")
    limits += [f"the sink: {finding}" for finding in getattr(strategy.sink, "findings", ())]
    return promises, limits


def _of_sessions(cache: Explained) -> Said:
    if cache.routed and isinstance(cache.strategy, WriteBack):
        return ["after flush() the current session has seen what it wrote"], [
            "a session is shown what was put last, whatever it wrote into the table itself: it has to invalidate that"
        ]
    if not cache.routed:
        return [], ["sessions of a kit do not reach this cache"]
    return ["a session never gets a value that is older than what it wrote or saw; what it gets counts as seen"], [
        "in a session, a value older than something that was already shown is loaded again"
    ]


def _figures(cache: Explained) -> dict[str, float]:
    strategy = cache.strategy
    figures: dict[str, float] = {"ttl": strategy.ttl}
    if isinstance(strategy, Lazy):
        figures["load_at_most"] = load_at_most(strategy)
        for name in ("soft_ttl", "negative_ttl", "stale_if_error"):
            if getattr(strategy, name):
                figures[name] = getattr(strategy, name)
    if isinstance(strategy, WriteBack):
        figures |= {"max_age": strategy.max_age, "claim_at_most": LEASE}
        figures |= {"max_dirty": strategy.max_dirty, "max_bytes": strategy.max_bytes}
        if mode_named(strategy.durability).wait:
            figures["proof_within"] = strategy.wait
            figures["replicas"] = strategy.replicas
    figures["invalidation_remembered"] = cache.floor_life
    if isinstance(cache.shared, Shared):
        figures["shared_timeout"] = cache.shared.timeout
        if cache.local is not None:
            figures["news_delay_at_most"] = cache.shared.max_local_stale
    if cache.spreads or cache.settles:
        figures["region_delay"] = 0.25
    if isinstance(cache.shared, Memcached):
        figures["shared_timeout"] = cache.shared.timeout
    if cache.local is not None and cache.local.ttl is not None:
        figures["local_ttl"] = cache.local.ttl
    if cache.local is not None:
        figures["local_items"] = cache.local.max_items
        figures["local_bytes"] = cache.local.max_bytes
    return figures
