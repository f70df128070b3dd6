"""What a cache promises, as a value."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["CacheExplanation", "explain_cache"]


class CacheExplanation(msgspec.Struct, frozen=True):
    """What a cache promises and what it does not. Prints as lines.

    Attributes:
        cache: its name.
        strategy: its strategy's name.
        promises: what holds.
        limits: what does not, or for how long.
        figures: numbers behind both, by name.
    """

    cache: str
    strategy: str
    promises: tuple[str, ...]
    limits: tuple[str, ...]
    figures: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        lines = [f"cache {self.cache} ({self.strategy})"]
        lines += [f"  holds   {text}" for text in self.promises]
        lines += [f"  limit   {text}" for text in self.limits]
        lines += [f"  {name:<24} {value}" for name, value in self.figures.items()]
        return "\n".join(lines)


def explain_cache(cache: Any) -> CacheExplanation:
    """What `cache` promises."""
    return CacheExplanation(cache.name, type(cache.strategy).__name__, (), (), {})
