# Generated from account_shared_async.py by scripts/twins.py. Do not edit.
"""How a shared tier asks its server: connections, times, which generation is open. Its steps stand in `shared`.

1. A hit is one GET, several are one MGET. Every other step is one script, and so one round trip.
2. A connection tells which run of the server it speaks to before anything else is asked on it; another run than the account's
   opens a new generation (hello.lua). What of another generation is found is a miss.
3. A call ends at its time: `Shared.timeout` and the round trips that it takes. `TRIPS_DOWN` calls in a row that did not end well,
   or one that found no server, and the tier is down: calls fail at once, and the ear (`ear`) tries again. A server whose
   memory is full is not down: it still takes what deletes.
4. Commands are never sent twice: what was not answered may have been done, and the steps bear that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import redis

from regionkit.caching.ear import Ear
from regionkit.caching.events import SharedDown, SharedUp
from regionkit.caching.keys import Stored, digest_of, place_of, stored_name
from regionkit.caching.ledger_tier import MOST_FLOORS
from regionkit.caching.replies_shared import is_full
from regionkit.caching.steps import CONNECT_WITHIN, TRIPS_DOWN, Heard, TierDown
from regionkit.caching.tag_floors import TagFloors
from regionkit.caching.tiers import Shared
from regionkit.caching.tracking_shared import Tracking
from regionkit.caching.waiters import Waiters
from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.events import Event
from regionkit.errors import BackendError, OutcomeUnknown
from regionkit.facts.request import Kind

__all__ = ["SharedAccount"]

IS_ASYNC = False
T = TypeVar("T")

CONNECT_LEAST = 0.4
"""Seconds that a connection may take at no distance: this machine or the server's may be busy."""
CONNECT_TRIPS = 9
"""Round trips that a call may take besides its own: TCP, TLS, the login, and what a new connection asks and tells."""
UNSURE = b"?"
"""No generation."""
MOST_TAGS_KNOWN = 10_000
"""Tags whose floors are remembered while news come; beyond, all are asked for again."""
DENIED = 5.0
"""Seconds that an account which lacks a right stays down for: what it may do would bring it up ten times a second."""
LATE = 5.0
"""Seconds after which no answer is still under way."""


class SharedAccount:
    """The way to the account of one cache at one server. Safe to share between threads (tasks of one loop)."""

    def __init__(
        self,
        backend: Any,
        heard: Heard,
        options: Shared,
        clock: Clock,
        emit: Callable[[Event], None],
        *,
        name: str,
        scope: bytes,
        floor_life: float,
        tag_life: float,
        settles: bool,
        owns: bool,
        slides: float,
        buffers: bool = False,
        tracks: bool = False,
    ) -> None:
        self._backend = backend
        self._owns = owns
        self._slides = round(slides * 1000)
        self._clock = clock
        self._emit = emit
        self._options = options
        self._name = name
        self._scope = scope
        self._prefix: bytes = backend.key("cache", name).encode()
        self.place = place_of(scope)
        self._keys = (self._prefix + b":account", self._prefix + b":ends", self._prefix + b":news")
        fixed = (round(floor_life * 1000), round(tag_life * 1000), MOST_FLOORS, int(settles) + 2 * buffers)
        self._fixed = tuple(b"%d" % number for number in fixed)
        scripts = import_module(f"regionkit.backends.redis.script{'_async' if IS_ASYNC else ''}")
        make = scripts.Script
        self._scripts = {word: make(word, "regionkit.caching") for word in _SCRIPTS}
        self._heard = heard
        self._waiting = Waiters()
        self._tag_floors = TagFloors(MOST_TAGS_KNOWN)
        self._opening = threading.Lock()
        self._generation = b""
        self.server_run = b""
        self._at = (0, 0.0)
        self.news_key = self._keys[2]
        self._rtt = 0.0
        self._failed = 0
        self.down = ""
        self._fix = ""
        self._denied_until = 0.0
        self._refusing = False
        self.ear = Ear(self, clock, options.max_local_stale)
        values = b"%b:v:%b" % (self._prefix, self.place)
        self.tracking = Tracking(self, clock, values) if tracks else None

    def opened(self, generation: bytes, clock: int) -> bool:
        """The account's generation and clock, as a script has answered; whether the generation is another than was known."""
        with self._opening:  # answers of two generations, in two threads
            now, (newest, at) = self._clock.monotonic(), self._at
            if generation == self._generation:
                self._at = (clock, now)
                return False
            if clock < newest and now - at < LATE:  # it was overtaken by an answer of a later one
                self.unsure()
            else:
                self._at, self._generation = (clock, now), generation
        self._tag_floors.forget_all()
        return True

    def unsure(self) -> None:
        """Which generation is open is not known: the account is asked before an entry is taken."""
        self._generation = UNSURE

    def _is_open(self, generation: bytes, clock: int) -> None:
        """As a step of this process has answered: what it finds from here on is of this generation."""
        if self.opened(generation, clock):
            self.lost()

    def news(self, kind: bytes, of: bytes, stamp: bytes) -> None:
        """Something happened to the cache."""
        if kind == b"t":
            self._tag_floors.raised(of, int(stamp))
            self._heard.tag_invalidated(of)
            return
        if kind == b"c":
            self.lost(live=True)
            return
        if kind == b"e":
            self._heard.expired(of)
        elif kind == b"k":
            self._heard.invalidated(of, int(stamp or 0))
        self._waiting.wake(of)

    def lost(self, *, live: bool | None = None) -> None:
        """News may have been missed. `live`: whether they come from now on, which the ear alone knows; None: as before."""
        self._tag_floors.forget_all()
        self._heard.lost(live=live)
        self._waiting.wake_all()

    def times(self, generation: bytes) -> int | None:
        """The clock of the account, milliseconds, as far as is known here; None when `generation` is not the present one."""
        if generation != self._generation:
            return None
        if not self.ear.live and self._clock.monotonic() - self._at[1] > self._options.max_local_stale:
            return None  # nobody would have told that it is another by now: the account is asked
        return self.clock_now()

    def clock_now(self) -> int:
        """The clock of the account, milliseconds, as far as is known here."""
        clock, at = self._at
        return clock + int((self._clock.monotonic() - at) * 1000)

    def ask(self, question: Callable[[Any], T], *, trips: int = 1, listens: float = 0.0, waits: float = 0.0) -> T:
        """What a question gives, on a connection that has been greeted. `waits`: seconds more that its answer may take.

        Raises:
            TierDown: it gives nothing.
        """
        if self.down and not listens:
            raise TierDown(self.down, fix=self._fix)
        known = CONNECT_LEAST + self._options.timeout + (trips + CONNECT_TRIPS) * self._rtt + listens + waits
        within = known if self._generation else CONNECT_WITHIN + waits

        def greeted(connection: Any) -> T:
            if connection.greeted is not self:
                self.greet(connection)
            return question(connection)

        try:
            given: T = self._backend.ask(Kind.WRITE, Deadline(self._clock, within), greeted, changes=True)
        except (BackendError, redis.exceptions.RedisError) as error:
            raise self._fell(error) from error
        self._failed = 0
        if self.down and self._clock.monotonic() < self._denied_until:
            return given  # what the ear may do says nothing of what was denied
        if self.down or (self._refusing and listens):
            self.down, self._refusing = "", False
            self._emit(SharedUp(self._name))
        return given

    def _quick(self, words: Sequence[str | bytes | int]) -> Any:
        """What one command answers, where a connection is at hand; NotImplemented where `ask` is the way."""
        if self.down:
            raise TierDown(self.down, fix=self._fix)
        if not self._generation:
            return NotImplemented
        try:
            answer = self._backend.quick(self, words, self._options.timeout + 2 * self._rtt)
        except BackendError as error:
            raise self._fell(error) from error
        if answer is not NotImplemented:
            self._failed = 0
        return answer

    def _refused(self, why: str) -> TierDown:
        """The server's memory is full: it stores nothing, and invalidations still go through, as they delete first."""
        if not self._refusing:
            self._refusing = True
            self._emit(SharedDown(self._name, why))
        self.ear.listen()
        return TierDown(why, sent=True)

    def _fell(self, error: Exception) -> TierDown:
        cause = error.__cause__ or error
        if is_full(cause):
            return self._refused(getattr(error, "why", "") or str(error))
        if isinstance(cause, redis.exceptions.ResponseError) and "WRONGTYPE" in str(
            cause
        ):  # a key of ours is somebody else's
            return TierDown(getattr(error, "why", "") or str(error))
        sent = isinstance(error, OutcomeUnknown | redis.exceptions.RedisError)
        self._failed += 1
        why = getattr(error, "why", "") or str(error)
        self._fix = (
            getattr(error, "fix", "") if getattr(error, "cause", "") and not getattr(error, "retryable", True) else ""
        )
        if not self.down and (self._failed >= TRIPS_DOWN or not sent):
            self.down = f"the shared tier {'refuses' if self._fix else 'does not answer'}: {why}"
            self._denied_until = self._clock.monotonic() + DENIED if self._fix else 0.0
            self._backend.evict()
            self._emit(SharedDown(self._name, why))
        self.ear.listen()
        return TierDown(why, sent=sent, fix=self._fix)

    def greet(self, connection: Any) -> None:
        """Tell a new connection's server which run it is, and hear which generation is open."""
        observation = connection.observation
        run = f"{connection.run}/{observation.origin}".encode()
        self._rtt = max(observation.rtt, self._rtt * 0.9)
        generation, clock, _, _ = self.run_on(connection, "hello", [], [run])
        connection.greeted = self
        if self.server_run not in (b"", run):  # what was greeted before may still speak to that one
            self._backend.evict()
        self.server_run = run
        self._is_open(generation, int(clock))
        self.ear.listen()
        if self.tracking is not None:
            self.tracking.listen()

    def run_on(self, connection: Any, script: str, names: list[bytes], words: Sequence[Any]) -> Any:
        """A script's reply, on a connection."""
        keys = [*self._keys, *names]
        reply: Any = self._scripts[script].run(connection, keys, [os.urandom(8), *self._fixed, *words])
        return reply

    def run(self, script: str, keys: Sequence[Stored], words: Sequence[Any], *, of_run: bool = False) -> Any:
        """A script's reply, over whatever connection; sent once. `of_run`: it is told first which run of the server it speaks to.

        Raises:
            TierDown: there is none. `sent`: it may have been done.
        """
        names = [name for key in keys for name in self._names(key)]
        named = (*self._keys, *names)
        told = (self.server_run,) if of_run else ()
        fresh = os.urandom(8)
        reply = self._quick(
            ("EVALSHA", self._scripts[script].digest, len(named), *named, fresh, *self._fixed, *told, *words)
        )
        if reply is not NotImplemented:
            return reply

        def asked(connection: Any) -> Any:
            told = [self.server_run] if of_run else []  # known by now: the connection was greeted
            return self.run_on(connection, script, names, [*told, *words])

        return self.ask(asked)

    def run_all(self, script: str, steps: Sequence[Sequence[Any]], *, of_run: bool = False) -> list[Any]:
        """The same as `run`, of a script that names no keys, for several steps in one message: a reply to each, in order."""
        if len(steps) == 1:
            return [self.run(script, [], steps[0], of_run=of_run)]
        digest = self._scripts[script].digest

        def asked(connection: Any) -> list[Any]:
            told = [self.server_run] if of_run else []
            packed: list[bytes] = []
            for words in steps:
                fixed = (len(self._keys), *self._keys, os.urandom(8), *self._fixed)
                packed += connection.pack(("EVALSHA", digest, *fixed, *told, *words))
            replies: list[Any] = connection.exchange(b"".join(packed), len(steps), keep_errors=True)
            for at, reply in enumerate(replies):
                if isinstance(reply, redis.exceptions.NoScriptError):
                    replies[at] = self.run_on(connection, script, [], [*told, *steps[at]])
                elif isinstance(reply, Exception):
                    raise reply
            return replies

        return self.ask(asked)

    def run_then(
        self, script: str, keys: Sequence[Stored], words: Sequence[Any], then: Sequence[Any], waits: float
    ) -> tuple[Any, Any]:
        """The same as `run` with `of_run`, and a command behind the script in one message; its answer may be an error.

        Raises:
            TierDown: there is no answer. `sent`: it may have been done.
        """
        names = [name for key in keys for name in self._names(key)]
        named = (*self._keys, *names)
        found = self._scripts[script]

        def asked(connection: Any) -> tuple[Any, Any]:
            told = (len(named), *named, os.urandom(8), *self._fixed, self.server_run, *words)
            reply = after = None
            for way in (("EVALSHA", found.digest), ("EVAL", found.text)):
                packed = [*connection.pack((*way, *told)), *connection.pack(then)]
                reply, after = connection.exchange(b"".join(packed), 2, keep_errors=True)
                if not isinstance(reply, redis.exceptions.NoScriptError):
                    break
            if isinstance(reply, Exception):
                raise reply
            return reply, after

        return self.ask(asked, waits=waits)

    def changed(self, key: Stored) -> None:
        """The server says that a key was changed, by whomever."""
        self._heard.expired(self.digest(key))

    @property
    def connections(self) -> int:
        """Which generation of connections is used; earlier ones speak to another run of the server, or may."""
        return int(self._backend.generation)

    def patience(self, listens: float) -> float:
        """Seconds that an answer may take to a question which the server keeps for `listens` seconds."""
        return CONNECT_LEAST + self._options.timeout + 2 * self._rtt + listens

    def _stores(self, keys: Sequence[Stored]) -> None:
        if self.tracking is not None:
            self.tracking.stored([self._value(key) for key in keys])

    def _stores_not(self, keys: Sequence[Stored]) -> None:
        if self.tracking is not None and keys:
            self.tracking.refused([self._value(key) for key in keys])

    def reconnect(self) -> None:
        """Ask nothing more over the connections of now: the server behind them may be another by now."""
        self._backend.evict()

    def _value(self, key: Stored) -> bytes:
        return b"%b:v:%b%b" % (self._prefix, self.place, stored_name(key))

    def _lease(self, key: Stored) -> bytes:
        return b"%b:l:%b%b" % (self._prefix, self.place, stored_name(key))

    def _names(self, key: Stored) -> tuple[bytes, bytes]:
        """Where its value and its lease stand."""
        name = self.place + stored_name(key)
        return b"%b:v:%b" % (self._prefix, name), b"%b:l:%b" % (self._prefix, name)

    def digest(self, key: Stored) -> bytes:
        """By which scripts know a key."""
        return digest_of(key, self._scope)


_SCRIPTS = (
    *("abort", "clear", "expire", "fill_abandon", "fill_begin", "fill_commit", "hello", "intend", "invalidate"),
    *("invalidate_tag", "publish", "put", "tags", "tail"),
    *("back_ack", "back_audit", "back_claim", "back_discard", "back_end", "back_fail", "back_list", "back_of"),
    *("back_open", "back_park", "back_peek", "back_put", "back_restore", "back_retry", "back_settle", "back_status"),
    *("back_log_claim", "back_log_discard", "back_log_done", "back_log_fail", "back_log_park", "back_log_peek"),
    "back_log_retry",
)
