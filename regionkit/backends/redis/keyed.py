# Generated from keyed_async.py by scripts/twins.py. Do not edit.
"""Keyed writes: commands are queued while the function runs, then run as one script together with the marker of the key.

1. The key is looked up first; what another attempt left since is found by the script itself, which then does nothing.
2. A tombstone bars the attempts that had not seen it: a new attempt says which one it saw, and the script replaces just that.
3. The script stops at a command that fails. Was it the first, nothing was done and the key is free; else what ran before it
   stays, as Redis rolls nothing back, and the key counts as used.
4. Replies go through each command's own callback of the driver, in RESP2's shapes, as Lua knows no others; whole numbers
   beyond 2^53 lose their last digits in Lua.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import redis

from regionkit.backends.redis.annotated import annotated
from regionkit.backends.redis.block_connection import RedisConnection
from regionkit.backends.redis.classify import denied_command
from regionkit.backends.redis.client import ConnectionSource
from regionkit.backends.redis.client_settings import ClientSettings
from regionkit.backends.redis.commands import judged, keys_of
from regionkit.backends.redis.replies import (
    FIELDS,
    LARGEST_REPLIES,
    Shape,
    attempt_in,
    error_of,
    marker_of,
    shaped,
    text_of,
)
from regionkit.backends.redis.script import Script
from regionkit.backends.redis.stream import Pipeline
from regionkit.contract.idempotency import Claim, Claimed, Marker
from regionkit.core.codec import is_plain
from regionkit.errors import TransactionRolledBack, UsageError

__all__ = ["Keyed", "KeyedPipeline", "find_marker", "put_tombstone"]

KEPT_MS = 25 * 3_600_000
"""How long a marker is kept, ms: a day, and an hour for clocks that differ."""
MOST_WORDS = 5000
"""Words of one queued command: Lua takes no more than some 8,000 for a call, and fails in the middle of the script."""
RUN_KEYED = Script("run_keyed")
SETTLE = Script("settle")
MARKER_COMMANDS = 3
"""That write a marker: DEL, HSET, PEXPIRE. Who may give none of them there lacks the keys."""
NOTHING = b"\xc0"
"""What a function that returned None left to store."""


class _Queued(NamedTuple):
    shape: Shape
    words: list[Any]
    keys: list[Any]


class KeyedPipeline(Pipeline):
    """What a keyed function types with: it queues commands, which run at the end of the block in one script."""

    annotate_exception = annotated(Pipeline)

    def __init__(self, source: ConnectionSource, settings: ClientSettings) -> None:
        pool: Any = source
        super().__init__(pool, settings.scripted, True, None)
        self.queued: list[_Queued] = []
        self._open = True

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Queue a command.

        Raises:
            UsageError: it cannot run in a script with its keys declared, or the function has ended.
        """
        command = judged(args)
        if not self._open:
            raise _refused(command.name, "its function has ended")
        words = [*args[0].split(), *args[1:]]
        keys = keys_of(command, words[command.name.count(" ") + 1 :])
        if keys is None:
            raise _refused(command.name, "it cannot run in one script with the marker of the key")
        if len(words) > MOST_WORDS:
            raise _refused(
                f"{command.name} with {len(words)} words", f"a script takes at most {MOST_WORDS} in one command"
            )
        options.pop("keys", None)
        self.queued.append(_Queued((args[0], options), words, keys))
        return self

    def pipeline_execute_command(self, *args: Any, **options: Any) -> Any:
        """Queue a command."""
        return self.execute_command(*args, **options)

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Refused: nothing is sent before the function has ended."""
        raise _refused(judged(args).name, "nothing is sent before the function has ended")

    def execute(self, raise_on_error: bool = True) -> Any:
        """Refused: the block does it."""
        raise _refused("execute()", "the block runs the commands itself, in one script with the marker of the key")

    def multi(self) -> None:
        """Refused: all commands run as one anyway."""
        raise _refused("multi()", "all commands run as one script anyway")

    def reset(self) -> Any:
        """What was queued stays queued."""

    def aclose(self, close_connection_pool: bool | None = None) -> None:
        """What was queued stays queued."""

    def shut(self) -> None:
        """The function has ended."""
        self._open = False

    def __len__(self) -> int:
        return len(self.queued)

    def __del__(self, *_: Any) -> None:
        """Nothing of the driver's is held."""


class Keyed:
    """One keyed attempt in a block.

    `tombstone`: the attempt of the tombstone that was found under the key, "" for none. `lacking`: the error of a right that the
    account lacks, of the rule that gives it, and why.
    """

    def __init__(
        self,
        source: ConnectionSource,
        settings: ClientSettings,
        key: str,
        claim: Claim,
        tombstone: str,
        lacking: Callable[[str, str, str], Exception],
    ) -> None:
        self.pipeline = KeyedPipeline(source, settings)
        self._settings = settings
        self._key = key
        self._claim = claim
        self._tombstone = tombstone
        self._lacking = lacking
        self._result = b""
        self._keeps_replies = False
        self.replies: list[Any] = []

    def keep(self, result: bytes) -> None:
        """Keep what the function returned; for None, the replies."""
        self._keeps_replies = result == NOTHING
        self._result = b"" if self._keeps_replies else result

    def run(self, connection: RedisConnection) -> None:
        """Run what was queued, and put the marker.

        Raises:
            Claimed: another attempt was first; nothing of this one took effect.
            ConfigurationError: the account may not run it, or not write the marker; nothing took effect.
            TransactionRolledBack: the key was settled meanwhile; nothing of this one took effect.
            redis.exceptions.ResponseError: a command failed.
        """
        self.pipeline.shut()
        progress = connection.progress
        assert progress is not None

        def send(*words: Any) -> Any:
            progress.commits, progress.position = 0, None  # of a first try that met NOSCRIPT: nothing was done
            connection.send_command(*words)
            return connection.read_response()

        keys, words = self._words()
        try:
            what, *rest = RUN_KEYED.run_by(send, keys, words)
        except redis.exceptions.NoPermissionError as refusal:
            progress.commits, progress.position = 0, None  # the server looks at names and keys before it runs a script
            name = denied_command(refusal)
            if name or self._bars_marker(connection):
                right = (f"the command {name.upper()}", f"+{name}") if name else self._writing
                raise self._lacking(*right, str(refusal)) from refusal
            raise
        if text_of(what) == "denied":
            progress.commits, progress.position = 0, None
            names = [text_of(name) for name in rest]
            right = (f"the command {names[0]}", " ".join(f"+{name.lower()}" for name in names))
            if len(names) == MARKER_COMMANDS:
                right = self._writing
            raise self._lacking(*right, "the marker of an idempotency key is written with it; nothing was done.")
        if text_of(what) == "done":
            shapes = [queued.shape for queued in self.pipeline.queued]
            self.replies = shaped(rest[0], shapes, self._settings.scripted)
            return
        if text_of(what) == "failed":
            number, error = int(rest[0]), error_of(text_of(rest[1]))
            if number == 1:
                progress.commits, progress.position = 0, None
            else:
                error.add_note(f"{number - 1} commands before it are done, and the idempotency key is used.")
            raise error
        marker, _ = find_marker(connection, self._key, self._settings)
        if marker is not None and marker.applied:
            raise Claimed(marker)
        progress.commits, progress.position = 0, None
        raise TransactionRolledBack(
            "a keyed write came too late: its key has been settled.",
            why="kit.resolve() has answered that this write did not happen, so it must not happen now.",
            fix="run it again under the same key.",
        )

    @property
    def _writing(self) -> tuple[str, str]:
        """The right to write markers, and the rule that gives it."""
        markers = f"{self._key.partition(':rk:')[0]}:rk:*"
        return f"writing the keys {markers}", f"~{markers}"

    def _bars_marker(self, connection: RedisConnection) -> bool:
        """Whether the marker is what the account may not write: else it is a key of the application's."""
        try:
            connection.ask_one("EVAL", "return 1", 1, self._key)
        except redis.exceptions.NoPermissionError:
            return True
        return False

    def _words(self) -> tuple[int, list[Any]]:
        """How many keys, and the keys and arguments of the script."""
        queued = self.pipeline.queued
        keys = list(dict.fromkeys(_key(key) for one in queued for key in one.keys))
        shapes = is_plain([list(one.shape) for one in queued], largest=LARGEST_REPLIES) if self._keeps_replies else None
        claim = self._claim
        head = (
            self._tombstone,
            claim.attempt,
            claim.fingerprint,
            KEPT_MS,
            self._result,
            shapes or b"",
            LARGEST_REPLIES,
        )
        words = [word for one in queued for word in (len(one.words), *one.words)]
        return len(keys) + 1, [self._key, *keys, *head, len(queued), *words]


def find_marker(connection: RedisConnection, key: str, settings: ClientSettings) -> tuple[Marker | None, str]:
    """What stands under a key, and which attempt put it there where it is a tombstone."""
    values = connection.ask_one("HMGET", key, *FIELDS)
    return marker_of(values, settings.scripted, settings.encoding), attempt_in(values)


def put_tombstone(connection: RedisConnection, key: str, settings: ClientSettings, claim: Claim) -> Marker:
    """Bar every attempt that is still on its way, unless one is done; what stands there then."""
    applied = SETTLE.run(connection, [key], [claim.attempt, claim.fingerprint, KEPT_MS])
    found = (find_marker(connection, key, settings))[0] if applied else None
    return found or Marker(applied=False, fingerprint=claim.fingerprint, result=None)


def _key(key: Any) -> Any:
    return bytes(key) if isinstance(key, bytearray | memoryview) else key


def _refused(what: str, why: str) -> UsageError:
    return UsageError(
        f"{what} in a keyed write.",
        why=f"{why}.",
        fix="queue commands that name their keys; read before the call, or write without an idempotency key.",
    )
