# Generated from pool_async.py by scripts/twins.py. Do not edit.
"""The connections of one Redis endpoint: a bounded pool, questions of regionkit's own, the monitor's own connection.

1. The pool never waits for a server: permits are counted here, and that wait ends at the deadline.
2. A connection learns at connect which run of the server it speaks to. An idle one is looked at before use, without a
   round trip; one made before the last eviction, and one whose other side is gone, is closed.
3. A connection on which an answer may still come is closed, never given back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis

from regionkit.backends.redis.block_connection import RedisConnection
from regionkit.backends.redis.checkout import RedisCheckout
from regionkit.backends.redis.classify import classify, is_answer, is_denied, missing_right, refused
from regionkit.backends.redis.connection_settings import settings_of_url
from regionkit.backends.redis.lane import Lane
from regionkit.backends.redis.observation import Distance
from regionkit.backends.redis.own_client import client_settings
from regionkit.backends.redis.quiet_arguments import quiet_arguments
from regionkit.contract.endpoint import Meet
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import (
    closed,
    commit_unanswered,
    first_line,
    in_use,
    lacks_right,
    not_had,
    too_late,
    unavailable,
)
from regionkit.contract.outcomes import Failure, Refused
from regionkit.contract.unreached import without_frames
from regionkit.core.concurrency import Lock, Slots
from regionkit.core.deadline import Deadline
from regionkit.errors import RegionKitError, RegionUnavailable
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind
from regionkit.topology import RedisStore

__all__ = ["RedisPool"]

T = TypeVar("T")


class RedisPool:
    """Connections to one endpoint. Safe to share between threads or tasks."""

    meet: Meet | None = None

    def __init__(self, context: EndpointContext[RedisStore]) -> None:
        self.context = context
        self.clock = context.clock
        client = context.endpoint.client
        self.settings = settings_of_url(context) if client is None else client_settings(client)
        self.size = context.store.options.pool_size
        self.slots = Slots(self.size)
        self.lane = Lane(self)
        self._idle: list[RedisConnection] = []
        self._inherited: list[list[RedisConnection]] = []
        self.generation = 0
        self._distance = Distance()
        self._closed = self._barred = False
        self._monitor: RedisConnection | None = None
        self._monitoring = Lock()

    def check_out(self, kind: Kind, deadline: Deadline, timeout: float) -> RedisCheckout:
        """A connection within `timeout` seconds.

        Raises:
            RegionUnavailable: no connection was available; nothing was sent.
            DeadlineExceeded: every connection is in use, or connecting took too long.
        """
        slots = self.slots
        if not slots.try_acquire() and not slots.acquire(timeout):
            raise in_use(
                self.context,
                f"all {self.size} connections are in use.",
                "raise options.pool_size, or hold blocks shorter.",
            )
        return self._with_permit(kind, deadline, timeout)

    def _with_permit(self, kind: Kind, deadline: Deadline, timeout: float) -> RedisCheckout:
        """The same with a permit, which is released if it fails."""
        try:
            connection = self._idle_one()
            if connection is None:
                connection = self._connected(min(timeout, deadline.require("connecting")))
        except BaseException:
            self.slots.release()
            raise
        return RedisCheckout(connection, kind, deadline, self.clock, self.give_back)

    def keep_warm(self, timeout: float) -> None:
        """Have one idle connection; where all permits are out there are enough."""
        idle = self._idle[-1:]
        if self._closed or (idle and idle[0].generation == self.generation and idle[0].silent()):
            return
        if self.slots.try_acquire():
            try:
                made = self._connected(timeout)  # one that was given back since stays for the next block
            except BaseException:
                self.slots.release()
                raise
            self.put_back(made, good=True)

    def _idle_one(self) -> RedisConnection | None:
        """The connection used last that is still good; others are closed."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if connection.generation == self.generation and connection.silent():
                return connection
            connection.tear()
        return None

    def give_back(self, connection: RedisConnection) -> None:
        """A block is over."""
        good = connection.end() and connection.generation == self.generation and not self._closed
        if good:
            self._idle.append(connection)
        else:
            connection.tear()
        self.slots.release()

    def at_hand(self, owner: object) -> RedisConnection | None:
        """An idle connection that `owner` has greeted, and a permit with it; None where there is none just now."""
        if not self.slots.try_acquire():
            return None
        connection = None
        try:
            connection = self._idle.pop()
            if connection.greeted is owner and connection.generation == self.generation and connection.silent():
                return connection
            self._idle.append(connection)  # the next block looks what it is
        except IndexError:
            pass
        self.slots.release()
        return None

    def put_back(self, connection: RedisConnection, *, good: bool) -> None:
        """What was at hand comes back with its permit. `good`: no answer may still come on it."""
        if good and connection.generation == self.generation and not self._closed:
            self._idle.append(connection)
        else:
            connection.tear()
        self.slots.release()

    def _connected(self, within: float) -> RedisConnection:
        if self._barred:
            raise closed(self.context)
        connection = RedisConnection(
            history=self.key("history"),
            clock=self.clock,
            generation=self.generation,
            distance=self._distance,
            tls=self.settings.tls,
            path=self.settings.path,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=None,
            **quiet_arguments(RedisConnection),
            **self.settings.account,
            **self.settings.arguments,
        )
        try:
            connection.introduce(Deadline(self.clock, within))
        except redis.exceptions.RedisError as error:
            told = self._translated(error, connecting=True)
            without_frames(error)
            del connection  # it holds the password, and error reporters show local variables
            raise told from error
        if self._barred:  # meanwhile
            connection.tear()
            raise closed(self.context)
        return connection

    def key(self, *words: str) -> str:
        """Name of a key of regionkit's own."""
        return ":".join((self.context.namespace, "rk", *words))

    def ask(
        self,
        kind: Kind,
        deadline: Deadline,
        question: Callable[[RedisConnection], T],
        *,
        changes: bool = False,
    ) -> T:
        """What a question of regionkit's own gives, on a connection of the pool.

        Args:
            kind: whether it may write.
            deadline: bounds the connection and the answer.
            question: asks it on that connection.
            changes: a lost answer leaves open what was done; else asking again does no harm.

        Raises:
            RegionUnavailable, DeadlineExceeded: there is no answer, and nothing was done.
            OutcomeUnknown: it `changes`, was sent, and no answer came.
        """
        checkout = self.check_out(kind, deadline, deadline.require("connecting"))
        try:
            if changes and self.meet is not None:
                self.meet(checkout.observation, deadline.remaining())
            return question(checkout.connection)
        except redis.exceptions.RedisError as error:
            if changes and not is_answer(error):
                raise commit_unanswered(self.context, first_line(error)) from error
            raise self._translated(error) from error
        finally:
            checkout.release()

    def quick(self, owner: object, words: Sequence[str | bytes | int], seconds: float) -> Any:
        """The answer to one command, as bytes, over a connection that `owner` has greeted (`lane`).

        NotImplemented where nothing was done: none is at hand, or the server does not know the script. Then `ask` is the way.

        Raises:
            RegionUnavailable: the server refused it.
            OutcomeUnknown: no answer came.
        """
        try:
            return self.lane.ask(owner, words, seconds)
        except redis.exceptions.NoScriptError:
            return NotImplemented
        except redis.exceptions.RedisError as error:
            if not is_answer(error):
                raise commit_unanswered(self.context, first_line(error)) from error
            raise self._translated(error) from error

    def _translated(self, error: redis.exceptions.RedisError, *, connecting: bool = False) -> RegionKitError:
        """What an error of the driver is to a caller: nothing was changed."""
        context, endpoint = self.context, self.context.endpoint
        failure, cause, why = classify(error), refused(error), first_line(error)
        if failure is Failure.DEADLINE and connecting:
            return too_late(context, f"{endpoint.id!r} did not answer in time while connecting.")
        if failure is Failure.DEADLINE:
            return too_late(context, f"{endpoint.id!r} did not answer a query of regionkit in time.", why=f"{why}.")
        if is_denied(error):
            return self.lacks(*missing_right(error, self.key("*")), why)
        name = f"{endpoint.id!r} of {context.store.name!r}"
        if failure is Failure.ROLE:
            return unavailable(context, f"{name} takes no writes: it is a replica.", why)
        if cause is Refused.OTHER and not connecting:
            return unavailable(context, f"{name} refused a query of regionkit.", why)
        return not_had(context, error, cause, f"no connection to {name}.", why)

    def lacks(self, right: str, rule: str, why: str) -> RegionUnavailable:
        """The error of a right that the account lacks, and of the rule that gives it."""
        account = self.settings.account.get("username") or "default"
        return lacks_right(self.context, right, f"ACL SETUSER {account} {rule}", why)

    def watched(self, timeout: float, connecting: float) -> tuple[RedisConnection, bool]:
        """The monitor's own connection, bound to a new time-out, and whether it was made just now. Its lock is held."""
        connection = self._monitor
        if connection is None:
            connection = self._monitor = self._connected(connecting)
            connection.start(Deadline(self.clock, timeout))
            return connection, True
        connection.start(Deadline(self.clock, timeout))
        return connection, False

    def probe(self, timeout: float, connecting: float) -> Observation:
        """Ask the server where it stands, on the monitor's own connection; making one may take `connecting` seconds."""
        with self._monitoring:
            try:
                connection, fresh = self.watched(timeout, connecting)
                observation = connection.observation if fresh else connection.observe()
                connection.stop()
            except redis.exceptions.RedisError as error:
                self._drop_monitor()
                raise self._translated(error) from error
            except BaseException:
                self._drop_monitor()
                raise
            finally:
                if self._closed:  # meanwhile
                    self._drop_monitor()
            return observation

    def _drop_monitor(self) -> None:
        connection, self._monitor = self._monitor, None
        if connection is not None:
            connection.tear()

    def evict(self) -> None:
        """Close idle connections, and those in use when they come back."""
        self.generation += 1
        self._distance = Distance()  # connections made from now on may lead to another machine
        self.lane.evict()
        self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().tear()
            except IndexError:  # another thread took it
                return

    def abandon(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        self._inherited.append(self._idle)  # held on to: their sockets are the parent's too
        if self._monitor is not None:
            self._inherited.append([self._monitor])
        self._idle, self._monitor = [], None
        self.lane.abandon()
        self._monitoring = Lock()
        self.slots = Slots(self.size)

    def close(self, *, drain: bool = False) -> None:
        """Close every connection; one in use is closed when it comes back. `drain`: open blocks may still take one."""
        self._closed, self._barred = True, not drain
        self._drop_monitor()
        self.lane.close()
        self._close_idle()
