"""What somebody may do with a case of the error hospital. Pure.

| what     | a case that is                     | is then              | its key, where it parks one |
|----------|------------------------------------|----------------------|-----------------------------|
| retry    | admitted, retrying                 | retrying, due        | waits |
| edit     | admitted, retrying                 | admitted, with a new message | waits |
| redirect | admitted, retrying                 | redirected           | goes on |
| bury     | admitted, retrying, a gap          | buried               | goes on |
| release  | the same, asked for by the key     | buried               | goes on |

1. A run under way is not disturbed: a `treating` case is refused until its time is over. A run that comes back later than that
   finds that the case is not its own any more, and its effect is rolled back.
2. What has ended stays so.
3. A gap has no message that could run: giving it up lets its key begin behind what is missing.
4. An edited message is another message: a new id, the old one in its header `amends`, no time at which it expires. It keeps its
   key and its place: the claim of the old id and the gate of the key stand, so that no copy of the old one is applied.
5. A redirected message keeps its id, and leaves its number behind: it means nothing elsewhere.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from regionkit.errors import MessagingError, UsageError
from regionkit.messaging.case import Case
from regionkit.messaging.envelope import LARGEST_MESSAGE, NOTHING_BEFORE, Envelope, encode

__all__ = [
    "AMENDS",
    "Change",
    "NoSuchCase",
    "NotPossible",
    "amended",
    "check",
    "ended",
    "redirected",
    "retried",
    "retyped",
]

Change = Literal["retry", "edit", "redirect", "bury", "release"]
AMENDS = "amends"
"""Header of an edited message: the id that it had before."""
FROM = "redirected-from"
"""Header of a message that was sent elsewhere: the consumer that could not apply it."""


class NoSuchCase(MessagingError, LookupError):
    """There is no case of that id, or none that parks that key."""


class NotPossible(MessagingError):
    """The case is not in a state in which that can be done with it. Nothing was changed."""


def check(case: Case, what: Change, now: float) -> None:
    """That `what` can be done with the case as it stands.

    Raises:
        NotPossible: it cannot; the error says why, and what can.
    """
    if case.status == "treating":
        left = (case.due_at or now) - now
        if left > 0:
            raise NotPossible(
                f"case {case.id} is running just now.",
                why=f"run {case.attempts} was started; if it died, that is known in {left:.0f} s",
                fix="try again when it has ended.",
                retryable=True,
            )
    elif case.status not in ("admitted", "retrying"):
        raise NotPossible(
            f"case {case.id} is closed: {case.status}.", fix="it cannot be changed; `show` lists what was done."
        )
    if case.reason == "gap" and what not in ("bury", "release"):
        raise NotPossible(
            f"case {case.id} is a gap: it has no message that could be used to {what}.",
            why="earlier messages of its key have not arrived",
            fix="publish them again, and the key continues automatically; or release the key without them.",
        )


def retried(case: Case, now: float, due_at: float) -> Case:
    """The case, to run at `due_at`."""
    return msgspec.structs.replace(case, status="retrying", due_at=due_at, changed_at=now)


def ended(case: Case, status: Literal["buried", "redirected"], now: float) -> Case:
    """The case, over; due where a key waits for it, so that the consumer lets it go on."""
    return msgspec.structs.replace(case, status=status, due_at=now if case.parks else None, changed_at=now)


def amended(envelope: Envelope, payload: Any, id: str) -> Envelope:
    """The message, edited.

    Raises:
        UsageError: the payload cannot be encoded as the old one was, or is too large.
    """
    headers = {**envelope.headers, AMENDS: envelope.id}
    made = msgspec.structs.replace(
        envelope, id=id, payload=_encoded(envelope.codec, payload), headers=headers, expires_at=None
    )
    if len(encode(made)) > LARGEST_MESSAGE:
        raise UsageError(f"the new payload is larger than {LARGEST_MESSAGE} bytes.", fix="send less.")
    return made


def _encoded(codec: str, payload: Any) -> bytes:
    try:
        match codec:
            case "msgpack":
                return msgspec.msgpack.encode(payload)
            case "json":
                return msgspec.json.encode(payload)
            case "bytes" if isinstance(payload, bytes | bytearray | memoryview):
                return bytes(payload)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise UsageError(
            f"the new payload cannot be encoded as {codec}.", why=str(error), fix="give plain data or a msgspec struct."
        ) from None
    raise UsageError(f"the old message has the codec {codec[:20]!r}.", fix="give what that takes: for bytes, bytes.")


def retyped(new: Any, old: Any) -> Any:
    """Data that came as JSON, with the types that the old payload has at the same places, where they can be had.

    JSON has neither bytes nor times nor keys that are numbers; what is shown of a payload has texts there.
    """
    if isinstance(new, dict) and isinstance(old, dict):
        names = {str(name): name for name in old}
        return {names.get(name, name): retyped(value, old.get(names.get(name, name))) for name, value in new.items()}
    if isinstance(new, list) and isinstance(old, list):
        return [retyped(value, old[min(n, len(old) - 1)] if old else None) for n, value in enumerate(new)]
    if isinstance(new, str) and old is not None and not isinstance(old, str | list | dict | bool | int | float):
        try:
            return msgspec.convert(new, type(old))
        except (TypeError, ValueError):
            return new
    return new


def redirected(envelope: Envelope, scope: bytes) -> Envelope:
    """The message as it is sent elsewhere."""
    headers = {**envelope.headers, FROM: scope.decode("utf-8", "replace")}
    return msgspec.structs.replace(envelope, headers=headers, lineage="", number=None, prev=NOTHING_BEFORE)
