# Generated from durability_async.py by scripts/twins.py. Do not edit.
"""Whether the server of a write-back buffer is as durable as its mode says, in each run of it and every minute.

A put that has to wait for a proof and the command that gives it are one message on one connection: WAIT speaks of the writes of
its own connection alone.
"""

from __future__ import annotations

import math
from typing import Any

from regionkit.caching.back.modes import Mode, durably, facts_of, judged, wait_of
from regionkit.caching.shared import SharedTier
from regionkit.core.clock import Clock
from regionkit.errors import ConfigurationError

__all__ = ["PROBE_EVERY", "Durability"]

PROBE_EVERY = 60.0
"""Seconds after which a server is looked at again: somebody may have set it otherwise."""
WAIT_FOR = 1.0
"""Seconds that a put waits for its proof, by default: a server that does an fsync a second has done one."""
_SECTIONS = ("persistence", "replication", "memory")
_SETTINGS = ("appendfsync", "min-replicas-to-write", "maxmemory-policy")


class Durability:
    """The durability of one buffer. Safe to share between threads (tasks of one loop).

    Args:
        tier: of the cache.
        mode: by `modes.mode_named`.
        replicas: that have to have a put, of `replicated`.
        timeout: seconds that a put waits for its proof.
        assume: name of the mode, where the server may not be asked and the application knows.

    Attributes:
        assumed: what of it nobody proved; "": nothing.
    """

    def __init__(
        self,
        tier: SharedTier,
        mode: Mode,
        clock: Clock,
        *,
        replicas: int = 1,
        timeout: float = WAIT_FOR,
        assume: str | None = None,
    ) -> None:
        if assume not in (None, mode.name):
            raise ConfigurationError(f"assume={assume!r} is not the durability {mode.name!r}.", fix="give both alike.")
        self.mode = mode
        self.timeout = timeout
        self.assumed = ""
        self.wait = wait_of(mode, replicas, round(timeout * 1000))
        self._tier = tier
        self._clock = clock
        self._replicas = replicas
        self._assume = assume
        self._seen = b""
        self._at = -math.inf

    def ensure(self) -> None:
        """Look at the server, unless that was done of late.

        Raises:
            ConfigurationError: it is set otherwise; nothing is put there.
            CacheError: it is not well just now.
            TierDown: it does not answer.
        """
        now = self._clock.monotonic()
        if self._seen and self._seen == self._tier.server_run and now - self._at < PROBE_EVERY:
            return
        self._at = now  # others go on meanwhile, where this run was found well before
        try:
            info, config, waits = self._tier.ask(self._asked, trips=3)
            facts = facts_of(info, config, waits)
            self.assumed = judged(self.mode, facts, replicas=self._replicas, assume=self._assume)
        except BaseException:
            self._seen = b""
            raise
        self._seen = self._tier.server_run

    def proved(self, answer: Any) -> bool:
        """Whether the answer to `wait` says that the put before it is durable."""
        return durably(self.mode, self._replicas, answer)

    def _asked(self, connection: Any) -> tuple[dict[str, str], dict[str, str] | None, bool | None]:
        packed = [part for section in _SECTIONS for part in connection.pack(("INFO", section))]
        info: dict[str, str] = {}
        for text in connection.exchange(b"".join(packed), len(_SECTIONS)):
            lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
            info |= {name: value for name, colon, value in lines if colon}
        config: dict[str, str] | None = {}
        for setting in _SETTINGS:
            [found] = connection.exchange(b"".join(connection.pack(("CONFIG", "GET", setting))), 1, keep_errors=True)
            if isinstance(found, Exception):
                config = None  # renamed, or not allowed
                break
            assert config is not None
            config |= _pairs(found)
        waits = None
        if self.mode.wait == "WAITAOF":
            [told] = connection.exchange(b"".join(connection.pack(("WAITAOF", 0, 0, 1))), 1, keep_errors=True)
            waits = not isinstance(told, Exception)
        return info, config, waits


def _pairs(found: Any) -> dict[str, str]:
    """CONFIG GET's answer, in either protocol."""
    words = [word for pair in found.items() for word in pair] if isinstance(found, dict) else found
    texts = [word.decode(errors="replace") for word in words]
    return dict(zip(texts[::2], texts[1::2], strict=True))
