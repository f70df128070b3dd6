# Generated from buffered_async.py by scripts/twins.py. Do not edit.
"""A cache with a write-back buffer whose verbs are the buffer's own steps, for tests of the buffer."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from regionkit.caching import Cache, Lazy, Loaded, Local, Shared
from regionkit.caching.back.buffer import Buffer
from regionkit.caching.back.steps import Claimed, PutAnswer
from regionkit.caching.keys import canonical
from regionkit.caching.outcome import Outcome
from regionkit.caching.steps import Sealing
from regionkit.core.clock import SYSTEM_CLOCK


class Buffering(Lazy):
    """Lazy loading, with a buffer."""

    buffers: ClassVar[bool] = True


class Buffered:
    """One process's view. `rows`: what the store has, by key: (value, version)."""

    def __init__(
        self, url: Any, *, name: str = "", local: bool = False, rows: Any = None, tenant: str = "", **bounds: Any
    ) -> None:
        self.rows: dict[Any, tuple[str, int]] = {} if rows is None else rows
        self.loads = 0
        tiers: list[Any] = [Local()] if local else []
        tiers.append(url if isinstance(url, Shared) else Shared(url, timeout=5.0))
        strategy = Buffering(load=self._load, ttl=300.0, negative_ttl=300.0)
        self.name = name or f"b{os.urandom(6).hex()}"
        self.cache: Cache[Any] = Cache(self.name, str, strategy=strategy, tiers=tiers, tenant=tenant)
        self.tier: Any = self.cache.tier
        self.buffer = Buffer(self.tier, **bounds)

    def _load(self, key: Any) -> Any:
        self.loads += 1
        found = self.rows.get(key)
        return None if found is None else Loaded(found[0], version=found[1])

    def __enter__(self) -> Buffered:
        return self

    def __exit__(self, *error: object) -> None:
        self.cache.close()

    def sealing(self, key: Any, value: str | None) -> Sealing:
        """Of a value; None: of a delete."""
        shaper = self.cache.fetcher.parts.shaper
        found = value is not None
        _, sealing = shaper.sealed(canonical(key), Outcome(value, found=found), shaper.life(found=found))
        assert sealing is not None
        return sealing

    def opened(self, epoch: int = 1) -> Buffered:
        """With its buffer open."""
        assert self.buffer.open(epoch) == (True, epoch)
        return self

    def put(self, key: Any, value: str | None, expected: int | None = None) -> PutAnswer:
        """A value, or a delete."""
        return self.buffer.put(canonical(key), self.sealing(key, value), deleted=value is None, expected=expected)

    def claim(self, count: int = 100, lasts: float = 60.0) -> dict[Any, Claimed]:
        """By key."""
        claims = self.buffer.claim(count, lasts, 5.0, os.urandom(16))
        assert claims.is_open
        return {one.record.key: one for one in claims.records}

    def value(self, claimed: Claimed) -> str | None:
        """Of a record."""
        shaper = self.cache.fetcher.parts.shaper
        envelope = shaper.envelope(claimed.record.stored, claimed.record.entry)
        return shaper.value(shaper.parsed(claimed.record.stored, envelope, 0))  # type: ignore[no-any-return]

    def seen(self, key: Any, **how: Any) -> str | None:
        """What a reader gets."""
        return self.cache.get(key, **how)  # type: ignore[no-any-return]

    def whole(self) -> None:
        """Each record has its due and age, and bytes are counted right."""
        audit = self.buffer.audit()
        assert (audit.wrong, audit.counted) == (0, audit.bytes), audit


def now() -> float:
    """Seconds."""
    return SYSTEM_CLOCK.monotonic()
