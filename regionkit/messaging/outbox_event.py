"""What a producer hands to an outbox, checked: whatever cannot be published is refused before anything is written. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from regionkit.core.given import is_number
from regionkit.core.ids import uuid7
from regionkit.core.storable import storable
from regionkit.errors import UsageError
from regionkit.messaging.envelope import LARGEST_MESSAGE, LONGEST_TYPE, Envelope, Malformed, decode, encode, stored_key
from regionkit.messaging.outbox_rules import Event

__all__ = [
    "LONGEST_DELAY",
    "LONGEST_REGION",
    "NUMBER_ROOM",
    "OutboxCase",
    "case_of",
    "checked_destination",
    "destinations_in",
    "made",
]

NUMBER_ROOM = 256
"""Bytes by which an envelope grows when its number, times and lineage are filled in; measured: 140."""
LONGEST_REGION = 64
"""Bytes of the name of a region, as the column of a case is wide."""
LONGEST_DELAY = 366 * 86_400.0
"""Seconds: a year; a message that waits longer is a row of the application's own."""
LONGEST_DESTINATION = 64
"""Bytes of a destination's name."""

_encoder = msgspec.msgpack.Encoder()


class OutboxCase(msgspec.Struct, frozen=True):
    """A message that is stuck.

    Attributes:
        id: of the message.
        destination: where it was refused.
        type: of the message.
        key: that waits behind it; None: nothing does.
        reason: "refused".
        error: what the target said.
        attempts: how often it was refused.
        since: seconds since 1970 by the clock of the database.
    """

    id: str
    destination: str
    type: str
    key: str | None
    reason: str
    error: str
    attempts: int
    since: float


def case_of(destination: bytes, id: str, body: Any, error: str, attempts: int, since: float) -> OutboxCase:
    """What its rows say of a message that is stuck."""
    try:
        envelope = decode(bytes(body))
        type, key = envelope.type, envelope.key
    except Malformed:
        type, key = "", None
    return OutboxCase(id, destination.decode("utf-8", "replace"), type, key, "refused", error, attempts, since)


def destinations_in(to: Any) -> tuple[str, ...]:
    """The destinations that `to=` names, each once.

    Raises:
        UsageError: it names none.
    """
    if not isinstance(to, str | Iterable):
        raise _refused("to", to, "a destination, or several")
    return (to,) if isinstance(to, str) else tuple(dict.fromkeys(to))


def checked_destination(name: str) -> bytes:
    """A destination's name as it stands in a row.

    Raises:
        UsageError: it is no name.
    """
    stored = name.encode("utf-8", "surrogatepass") if isinstance(name, str) else b""
    if not 0 < len(stored) <= LONGEST_DESTINATION:
        raise UsageError(
            f"{str(name)[:LONGEST_DESTINATION]!r} is not a valid destination name.",
            fix=f"take a text of 1 to {LONGEST_DESTINATION} bytes.",
        )
    return stored


def made(
    type: str,
    payload: Any,
    destinations: Sequence[bytes],
    *,
    key: str | None,
    expires_in: float | None,
    delay: float | None,
    headers: Mapping[str, str] | None,
    region: str,
) -> tuple[list[Event], bytes]:
    """The rows of one event, one a destination, and its envelope.

    Raises:
        UsageError: something cannot be published; nothing was written.
    """
    if not _is_text(type) or not 0 < len(type) <= LONGEST_TYPE:
        raise _refused("type", type, f"a text of 1 to {LONGEST_TYPE} characters")
    if key is not None and not _is_text(key):
        raise _refused("key", key, "a text, or None if the event has no order")
    if headers is not None and not isinstance(headers, Mapping):
        raise _refused("headers", headers, "texts by texts")
    headers = {} if headers is None else dict(headers)
    if not all(_is_text(part) for pair in headers.items() for part in pair):
        raise _refused("headers", headers, "texts by texts")
    _check_seconds("expires_in", expires_in, math.inf)
    _check_seconds("delay", delay, LONGEST_DELAY, zero=True)
    id = str(uuid7())
    body = encode(Envelope(id, type, _encoded(type, payload), key, headers=headers, region=region))
    if len(body) + NUMBER_ROOM > LARGEST_MESSAGE:
        raise UsageError(
            f"an event of type {type!r} has {len(body)} bytes, and at most {LARGEST_MESSAGE - NUMBER_ROOM} can be published.",
            why="that is what brokers take; nothing was written.",
            fix="store large data elsewhere, and publish a reference to it.",
        )
    place = None if key is None else stored_key(key)
    alone = len(destinations) == 1
    return [Event(id, to, place, body if alone else None, expires_in, delay or 0.0) for to in destinations], body


def _encoded(type: str, payload: Any) -> bytes:
    try:
        return _encoder.encode(payload)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"the payload of an event of type {type!r} cannot be encoded: {error}.",
            why="payloads are msgpack; nothing was written.",
            fix="publish dicts, lists, texts, numbers, bytes, dates, UUIDs, dataclasses or msgspec structs.",
        ) from error


def _is_text(value: object) -> bool:
    """Whether it is a text that can be sent: half of a surrogate pair cannot."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))


def _check_seconds(name: str, value: float | None, most: float, *, zero: bool = False) -> None:
    if value is not None and not (is_number(value, 0, most) and (value or zero)):
        raise _refused(name, value, f"seconds, more than 0{'' if math.isinf(most) else f', at most {most:.0f}'}")


def _refused(name: str, value: Any, wanted: str) -> UsageError:
    return UsageError(
        f"{name}={storable(str(value)[:80])!r} cannot be published; nothing was written.", fix=f"take {wanted}."
    )
