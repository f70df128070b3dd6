# Generated from memcached_link_async.py by scripts/twins.py. Do not edit.
"""The connections of a tier to its Memcached server: a bounded pool, each wait with its end, and when the server counts as down.

A connection on which an answer may still come is closed, never given back.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from regionkit.caching.events import SharedDown, SharedUp
from regionkit.caching.memcached_line import Line
from regionkit.caching.memcached_wire import Refused, lines_in
from regionkit.caching.steps import CONNECT_WITHIN, TRIPS_DOWN, TierDown
from regionkit.caching.tiers import Memcached
from regionkit.core.clock import Clock
from regionkit.core.concurrency import Slots
from regionkit.core.events import Event
from regionkit.errors import ConfigurationError

__all__ = ["MemcachedLink"]

T = TypeVar("T")

AGAIN = 1.0
"""Seconds that a tier which is down is not asked."""
_DONE = (b"STORED", b"DELETED", b"NOT_FOUND")


class MemcachedLink:
    """The way to one server. Safe to share between threads (tasks of one loop).

    Raises:
        ConfigurationError: an unusable URL.
    """

    def __init__(self, options: Memcached, name: str, clock: Clock, emit: Callable[[Event], None]) -> None:
        self._host, self._port, self.tls = _address(options.server)
        self._name = name
        self._clock = clock
        self._emit = emit
        self._timeout = options.timeout
        self._size = options.pool_size
        self._slots = Slots(self._size)
        self._idle: list[Line] = []
        self._inherited: list[list[Line]] = []
        self._failed = 0
        self._down_until = 0.0
        self._closed = False

    def ask(self, data: bytes, read: Callable[[bytes], T | None]) -> T:
        """What the server answers.

        Raises:
            TierDown: nothing.
        """
        if self._clock.monotonic() < self._down_until:
            raise TierDown("the server did not answer a moment ago")
        if not self._slots.try_acquire() and not self._slots.acquire(self._timeout):
            raise TierDown(f"all {self._size} connections are in use")
        line, good = None, False
        try:
            line = self._idle_one() or Line.opened(self._host, self._port, self.tls, CONNECT_WITHIN)
            answer = line.ask(data, read, self._timeout)
            good = True
        except (OSError, Refused) as error:
            raise self._fell(error, sent=line is not None) from error
        finally:
            if line is not None and good and not self._closed:
                self._idle.append(line)
            elif line is not None:
                line.close()
            self._slots.release()
        if self._failed:
            self._failed, was_down, self._down_until = 0, self._down_until, 0.0
            if was_down:
                self._emit(SharedUp(self._name))
        return answer

    def _idle_one(self) -> Line | None:
        while self._idle:
            try:
                line = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if line.silent():
                return line
            line.close()
        return None

    def _fell(self, error: Exception, *, sent: bool) -> TierDown:
        why = str(error) or type(error).__name__
        self._failed += 1
        if self._failed >= TRIPS_DOWN or not sent:
            if not self._down_until:
                self._emit(SharedDown(self._name, why))
            self._down_until = self._clock.monotonic() + AGAIN
        return TierDown(why, sent=sent)

    def said(self, *commands: bytes) -> list[bytes]:
        """The answers to commands of one line each."""
        return self.ask(b"".join(commands), lines_in(len(commands)))

    def done(self, *commands: bytes) -> None:
        """As `said`, of what must not fail.

        Raises:
            TierDown: the server did not do it.
        """
        for said in self.said(*commands):
            if said not in _DONE:
                raise TierDown(said.decode(errors="replace"), sent=True)

    def did(self, command: bytes) -> bool:
        """Whether the server did it."""
        [said] = self.said(command)
        return said in (b"STORED", b"DELETED")

    def renew(self) -> None:
        """After a fork: the parent's connections are not used or closed here."""
        self._inherited.append(self._idle)
        self._idle, self._slots = [], Slots(self._size)

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._closed = True
        while (line := self._idle_one()) is not None:
            line.close()


def _address(server: Any) -> tuple[str, int, ssl.SSLContext | None]:
    """Host, port and TLS of a URL.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        url = urlsplit(server)
        host, port, options = url.hostname or "", url.port or 11211, parse_qs(url.query)
    except (ValueError, TypeError, AttributeError):
        url, host, port, options = None, "", 0, {}
    more = url is None or url.username or url.path not in ("", "/") or set(options) - {"tls"}
    if more or url is None or url.scheme != "memcached" or not host:
        raise ConfigurationError(
            "the server of a Memcached tier is not a usable URL.", fix='write Memcached("memcached://host:11211").'
        )
    near = host in ("localhost", "::1") or host.startswith("127.")
    plain = near or options.get("tls") == ["off"]
    return host, port, None if plain else ssl.create_default_context()
