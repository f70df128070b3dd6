"""What was asked for with `idempotent`, checked where it is written. Values only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from regionkit.errors import ConfigurationError
from regionkit.messaging.cipher import Cipher
from regionkit.messaging.claiming_async import LONGEST_NAME

__all__ = ["LONGEST_TTL", "SHORTEST_LEASE", "Options", "Resolved"]

SHORTEST_LEASE = 10.0
"""Seconds. Shorter ones end while a process merely collects garbage, sorts or is moved."""
LONGEST_LEASE = 86_400.0
"""Seconds: after a crash everybody waits for as long."""
LONGEST_TTL = 366 * 86_400.0
"""Seconds. Records are small rows, not an archive."""
LONGEST_WAIT = 3600.0
"""Seconds that a caller may wait for another's call."""


class Resolved(msgspec.Struct, frozen=True):
    """An answer of `resolve=`: the call took effect, and this is its result."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one function; `idempotent` says what they mean."""

    name: str
    key: Callable[..., Any]
    ttl: float
    in_progress: Literal["wait", "raise", "result"]
    lease: float
    short_lease: bool
    wait_timeout: float
    store_errors: Sequence[type[Exception]]
    store_result: bool
    cipher: Cipher | None
    resolve: Callable[..., Any] | None
    on_in_doubt: Literal["retry", "raise"]
    fingerprint: Callable[..., Any] | bool

    def __post_init__(self) -> None:
        self._check_times()
        if self.in_progress not in ("wait", "raise", "result"):
            raise self._wrong("in_progress", "give 'wait', 'raise' or 'result'.")
        if self.on_in_doubt not in ("retry", "raise"):
            raise self._wrong("on_in_doubt", "give 'retry' or 'raise'; a hospital is a consumer's.")
        if not (callable(self.fingerprint) or isinstance(self.fingerprint, bool)):
            raise self._wrong("fingerprint", "give True, False or a function of the arguments.")
        if self.resolve is not None and not callable(self.resolve):
            raise self._wrong("resolve", "give a function of the key.")
        errors = self.store_errors
        if isinstance(errors, type) or not all(isinstance(e, type) and issubclass(e, Exception) for e in errors):
            raise self._wrong("store_errors", "give a tuple of classes of Exception.")
        if self.cipher is not None and not (hasattr(self.cipher, "encrypt") and hasattr(self.cipher, "decrypt")):
            raise self._wrong("cipher", "give an object with encrypt and decrypt, such as a Fernet.")
        if not self.name or len(self.name.encode()) > LONGEST_NAME:
            raise self._wrong("name", f"give a text of 1 to {LONGEST_NAME} bytes.")

    def _check_times(self) -> None:
        least = 0.1 if self.short_lease else SHORTEST_LEASE
        for name, low, high in (
            ("ttl", 1.0, LONGEST_TTL),
            ("lease", least, LONGEST_LEASE),
            ("wait_timeout", 0.0, LONGEST_WAIT),
        ):
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, int | float) or not low <= given <= high:
                fix = f"give seconds, from {low:g} to {high:g}."
                if name == "lease" and isinstance(given, int | float) and 0.1 <= given < least:
                    fix += " A process that pauses for longer loses it; short_lease=True allows it."
                raise self._wrong(name, fix)

    def _wrong(self, name: str, fix: str) -> ConfigurationError:
        return ConfigurationError(f"{name}={getattr(self, name)!r} of idempotent {self.name!r} is not taken.", fix=fix)
