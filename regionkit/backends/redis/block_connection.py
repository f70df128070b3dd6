# Generated from block_connection_async.py by scripts/twins.py. Do not edit.
"""A connection in a block: what may be sent, which answers are still to come, what was acknowledged.

1. Whatever the driver sends for the user passes `send_command` or `pack_commands`: the one place where a command is judged.
2. `pending` counts the answers that are still to come. A connection on which one may come is closed, never reused.
3. Where a round trip costs more than the question, a write is followed by INFO in the same message: its answer says where
   the write lies. It stands behind EXEC or EVAL, as inside of them INFO tells the offset before their effects.
4. A replica that begins anew keeps its run and its clients, with other data. So where something was proved, INFO follows each
   message, and what was answered under another replication id is not given out. It stands behind the commands: while the
   data are exchanged the server answers none, and the id changes with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import redis

from regionkit.backends.redis.block_progress import RedisProgress
from regionkit.backends.redis.broken_off import BrokenOff, NotRun, is_broken_off, writes_done
from regionkit.backends.redis.classify import REFUSALS, is_read_only
from regionkit.backends.redis.commands import READS, REFUSED, Act, Command, judged
from regionkit.backends.redis.observation import Distance, StoredRow, info_of, observation_of, position_in, rows_of
from regionkit.backends.redis.stream import Stream
from regionkit.contract.processes import inherited, require_process
from regionkit.core.clock import Clock
from regionkit.core.concurrency import Lock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, UsageError
from regionkit.facts.observation import Observation

__all__ = ["RedisConnection", "over"]

WORTH_CARRYING = 0.0005
"""Round trip from which on INFO travels with each write, seconds: INFO costs client and server some 20 us together."""


class RedisConnection(Stream):
    """One connection of the pool; `progress` is that of the block that has it. Not shared."""

    observation: Observation

    def __init__(self, history: str, clock: Clock, generation: int, distance: Distance, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._clock = clock
        self._questions = self.pack(("INFO", "replication"))
        packed = (("HVALS", history), ("INFO", "replication"))
        self._observing = b"".join(part for args in packed for part in self.pack(args))
        self.generation = generation
        self._distance = distance
        self.lock = Lock()
        self.progress: RedisProgress | None = None
        self.pending = 0
        self.run = ""
        self.read_only_scripts = False
        self.greeted: object = None
        self._opening = False
        self._good = False
        self._partial = False
        self._carrying = False
        self._checking = False
        self._message: Sequence[Any] = ()
        self._answers: list[bool] = []
        self._queued_before = self._broken_off = False

    def introduce(self, deadline: Deadline) -> None:
        """Connect, and learn which run of the server this is and where it stands.

        Raises:
            ConfigurationError: it is a member of a cluster, or no data server.
            redis.exceptions.RedisError: no connection was available.
        """
        self._opening = True
        self.open(deadline)
        self._opening = False
        self.start(deadline)
        try:
            about = info_of(self.ask_one("INFO", "server"))
            mode = about.get("redis_mode") or about.get("server_mode", "standalone")
            if mode != "standalone":
                raise ConfigurationError(
                    f"the server at {self._host_error()} runs in {mode} mode.",
                    why="a cluster moves keys itself and has no single replication offset; a sentinel holds no keys.",
                    fix="give the address of a standalone server; partition with regionkit's write partitioning.",
                )
            self.run = about["run_id"]
            self.read_only_scripts = (
                int(about.get("redis_version", "0").partition(".")[0]) >= 7
            )  # Valkey says 7.2 there
            self.observe()
        except BaseException:
            self.tear()
            raise
        self.stop()

    def observe(self) -> Observation:
        """Ask the server where it stands."""
        self.ask()
        return self.observation

    def ask(self) -> tuple[dict[str, str], list[StoredRow]]:
        """INFO replication, and the history rows, in one message.

        Not in MULTI, which a server that is out of memory refuses. What changes between the two answers makes them disagree
        on the replication id, and then nothing is proved.
        """
        sent_at = self._clock.monotonic()
        values, text = self.exchange(self._observing, 2)
        rtt = self._clock.monotonic() - sent_at
        info, rows = info_of(text), rows_of(values)
        self.observation = observation_of(info, rows, self.run, sent_at, rtt)
        self._distance.rtt = min(self._distance.rtt, rtt)
        return info, rows

    def ask_one(self, *words: Any) -> Any:
        """Send one command of regionkit's own; its answer, as bytes."""
        [reply] = self.exchange(b"".join(self.pack(words)), 1)
        return reply

    def exchange(self, data: bytes, count: int, *, keep_errors: bool = False) -> list[Any]:
        """Send commands of regionkit's own; their `count` answers, as bytes. `keep_errors`: a refusal is an answer too."""
        self.pending += count
        self.write([data])
        replies: list[Any] = []
        failed = None
        for _ in range(count):
            try:
                replies.append(super().read_response(disable_decoding=True))
            except redis.exceptions.ResponseError as error:
                if keep_errors:
                    replies.append(error)
                else:
                    failed = failed or error
            except redis.exceptions.ConnectionError:
                if self.expired:
                    raise self.gone() from None
                raise
            self.pending -= 1
        if failed is not None:
            raise failed
        return replies

    def begin(self, deadline: Deadline, *, reading: bool) -> RedisProgress:
        """A block takes the connection."""
        self.progress = RedisProgress(reading, os.getpid())
        self.start(deadline)
        return self.progress

    def end(self) -> bool:
        """The block is over; whether the connection may serve another one."""
        progress, self.progress = self.progress, None
        self.stop()
        assert progress is not None
        progress.expired = self.expired
        return not (self.pending or self.expired or progress.changed or progress.opened)

    def call(self, args: tuple[Any, ...]) -> Any:
        """Send one command of the block and read its answer, where nothing is carried along: both halves in one."""
        progress = self.progress
        carries = self._distance.rtt >= WORTH_CARRYING and not (type(args[0]) is str and args[0] in READS)
        if carries or progress is None or progress.checked_by is not None or self._broken_off:
            self.send_command(*args)
            return self.read_response()
        if progress.process != os.getpid():
            raise inherited()
        packed = self.pack(args)  # first: what the driver refuses to pack was not sent
        self._message, self._answers = (), []
        self._good = False
        if args[0] in READS:
            progress.used = True
        else:
            self._admit(progress, args)
        self.pending += 1
        try:
            reply = self.round_trip(packed[0] if len(packed) == 1 else b"".join(packed))
        except BrokenOff as error:
            self._break_off(progress, error, error.answers)
            raise
        except BaseException as error:
            self._failed(progress, error)
            raise
        self.pending -= 1
        if progress.sent:
            progress.commits += progress.sent
            progress.sent, self._partial = 0, False
        return reply

    def send_command(self, *args: Any, **options: Any) -> None:
        """Send a command of the block, once it is known that the block may."""
        progress = self.progress
        if progress is None:
            if not self._opening:
                raise over()
            driver: Any = super()  # the driver is typed in parts
            driver.send_command(*args, **options)
            return
        require_process(progress.process)
        packed = self.pack(args)  # first: what the driver refuses to pack was not sent
        self._message, self._answers = (), []
        self._good = False
        if args[0] in READS:
            progress.used = True
            packed = self._checked(progress, packed)
        elif self._admit(progress, args):
            packed = self._followed(packed)
        else:
            packed = self._checked(progress, packed)
        self.pending += 1
        try:
            self.write(packed)
        except BrokenOff as error:
            self._break_off(progress, error, error.answers)
            raise

    def pack_commands(self, commands: Iterable[Any]) -> list[bytes]:
        """The bytes of a pipeline of the block, once it is known that the block may."""
        progress = self.progress
        assert progress is not None
        require_process(progress.process)
        commands = self._message = list(commands)
        self._answers, self._queued_before = [], progress.queuing
        self._good = False
        parts = [part for args in commands for part in self.pack(tuple(args))]  # first, as above
        writes = [self._admit(progress, args) for args in commands]
        self.pending += len(commands)
        return self._followed(parts) if any(writes) else [b"".join(self._checked(progress, parts))]

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send what `pack_commands` made."""
        if self.progress is None:
            driver: Any = super()
            driver.send_packed_command(command, check_health)
        else:
            try:
                self.write(command)
            except BrokenOff as error:
                self._break_off(self.progress, error, error.answers)
                raise

    def _break_off(self, progress: RedisProgress, error: Exception, answers: Sequence[bool]) -> None:
        """The server would not hear all of a message: what it answered is done, and nothing else is on its way."""
        done = writes_done(self._message, answers, queuing=self._queued_before)
        progress.commits += done
        progress.sent, self._broken_off = 0, True
        if len(self._message) > 1:
            error.add_note(f"{done} writes before it in the pipeline are done; it and what follows are not.")

    def _followed(self, parts: list[bytes]) -> list[bytes]:
        """A message with writes in it, with the question for the position behind them."""
        self._carrying = self._distance.rtt >= WORTH_CARRYING
        return [b"".join([*parts, *self._questions] if self._carrying else parts)]

    def _checked(self, progress: RedisProgress, parts: list[bytes]) -> list[bytes]:
        """A message that only reads; where something was proved, with the question of which data it was answered."""
        if progress.checked_by is None or self._checking:
            return parts
        self._checking = True
        return [*parts, *self._questions]

    def _admit(self, progress: RedisProgress, args: Any) -> bool:
        """Whether a command writes.

        Raises:
            UsageError: the block must not send it. Nothing was sent.
        """
        command = judged(args)
        act = command.act
        if act is Act.REFUSED:
            raise UsageError(
                f"{command.name} is not sent in a block.",
                why=f"{REFUSED[command.name]}.",
                fix="use your own client for it.",
            )
        writes = act is Act.WRITES or (command.name == "EXEC" and not progress.reading)
        if writes and progress.reading:
            raise _written(command)
        progress.used = True
        progress.changed = progress.changed or act is Act.CHANGES
        if act is Act.OPENS or act is Act.CLOSES:
            progress.opened = act is Act.OPENS
            progress.queuing = command.name == "MULTI" or (progress.queuing and command.name == "UNWATCH")
        if writes:
            progress.sent += 1
            progress.position = None
            self._partial = self._partial or command.partial
        return writes

    def read_response(self, disable_decoding: bool = False, *positional: Any, **options: Any) -> Any:
        """The next answer; with the last one, what was carried along is read too."""
        progress = self.progress
        if progress is None:
            return super().read_response(disable_decoding, *positional, **options)
        if self._broken_off:
            raise NotRun("it was not run: the server hung up at a command before it")
        try:
            reply = super().read_response(disable_decoding, *positional, **options)
        except BaseException as error:
            self._failed(progress, error)
            raise
        self.pending -= 1
        self._good = True
        if self.pending:
            self._answers.append(True)
        if self.pending == 0:
            if progress.sent:
                self._answered(progress, None)
            self._check(progress)
        return reply

    def _failed(self, progress: RedisProgress, error: BaseException) -> None:
        """An answer says no, or none came."""
        if isinstance(error, redis.exceptions.ResponseError):
            self.pending -= 1
            if is_broken_off(error):
                self._break_off(progress, error, self._answers)
                return
            self._answers.append(False)
            if self.pending == 0:
                self._answered(progress, error)
                self._check(progress)
        elif isinstance(error, REFUSALS):
            progress.sent = 0
        elif isinstance(error, redis.exceptions.ConnectionError) and self.expired:
            raise self.gone() from None

    def _check(self, progress: RedisProgress) -> None:
        """Whether all that was answered is of the data that were proved.

        Raises:
            RoutingError: it is not.
        """
        if not self._checking:
            return
        self._checking = False
        [text] = self.exchange(b"", 1)
        proved = f"master_replid:{self.observation.origin}".encode()
        if proved not in text:
            assert progress.checked_by is not None
            progress.changed = True
            progress.checked_by.renew(self.observe())

    def _answered(self, progress: RedisProgress, error: Exception | None) -> None:
        """All was answered: the writes are acknowledged, unless it is sure that none was done."""
        refused = error is not None and is_read_only(error) and not self._good
        if not isinstance(error, redis.exceptions.ExecAbortError) and not refused and (self._good or self._partial):
            progress.commits += progress.sent
        progress.sent, self._good, self._partial = 0, False, False
        if not self._carrying:
            return
        self._carrying = False
        try:
            [text] = self.exchange(b"", 1)
        except redis.exceptions.RedisError:
            return  # the write is done; where it lies is asked for when it is needed
        info = info_of(text)
        if info.get("role") == "master" and info.get("master_replid") == self.observation.origin:
            progress.position = position_in(info)


def over() -> UsageError:
    """The block has ended."""
    return UsageError(
        "a Redis client was used after its block had ended.",
        why="the block's connection was returned at its end.",
        fix="send commands inside the block, and execute its pipelines there.",
    )


def _written(command: Command) -> UsageError:
    return UsageError(
        f"{command.name} in a read block.",
        why="it writes, or is not known to be read-only; nothing was sent.",
        fix="use s.write(...); from Redis 7 on, what only reads has eval_ro, evalsha_ro and fcall_ro.",
    )
