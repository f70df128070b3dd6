"""Residency: which regions may hold, or even read, a store's data.

The first filter of every decision. `deny` beats `allow`; a region whose jurisdiction is not stated is allowed by name
only, because nothing proves that it stands under an allowed law.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from regionkit.errors import ConfigurationError
from regionkit.topology.regions import Region
from regionkit.topology.validation import sequence_of, shown

__all__ = ["Residency"]


@dataclass(frozen=True, slots=True, init=False)
class Residency:
    """Regions that may hold a store's data. Immutable, hashable.

    Attributes:
        allow: jurisdictions or region names; None: everywhere.
        deny: jurisdictions or region names that are never allowed, also where `allow` would.
    """

    allow: tuple[str, ...] | None
    deny: tuple[str, ...]

    def __init__(self, allow: Iterable[str] | None = None, deny: Iterable[str] = ()) -> None:
        """Keeps both as tuples, in the order given.

        Raises:
            ConfigurationError: when `allow` is empty, a word is empty, or a word is both allowed and denied.
        """
        allowed = None if allow is None else sequence_of("residency allow", allow, str)
        denied = sequence_of("residency deny", deny, str)
        if allowed == ():
            raise ConfigurationError(
                "residency allow is empty: no region could hold the data.",
                fix="name the jurisdictions or regions that may, or leave allow out for everywhere.",
            )
        if "" in (*(allowed or ()), *denied):
            raise ConfigurationError("a residency word is empty.", fix="name a jurisdiction or a region.")
        for word in denied:
            if allowed is not None and word in allowed:
                raise ConfigurationError(
                    f"residency both allows and denies {shown(word)}.", fix="keep it in one of allow and deny."
                )
        object.__setattr__(self, "allow", allowed)
        object.__setattr__(self, "deny", denied)

    def allows(self, region: Region) -> bool:
        """Whether data may be in `region`, or be read from there."""
        words = (region.name, region.jurisdiction)
        if any(word in self.deny for word in words):
            return False
        return self.allow is None or any(word in self.allow for word in words)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word used, allowed ones first."""
        return (*(self.allow or ()), *self.deny)

    def __str__(self) -> str:
        text = "everywhere" if self.allow is None else "only " + ", ".join(self.allow)
        return f"{text}, but not {', '.join(self.deny)}" if self.deny else text
