"""What people see of the hospital: cases, groups, counts, as values; and as JSON. Pure.

Payloads go through `shown`, and so through the redaction that the application asks for: one that raises shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from regionkit.messaging.case import Case
from regionkit.messaging.envelope import Malformed, decode, payload_of

__all__ = [
    "CaseLine",
    "Detail",
    "Group",
    "GroupRetry",
    "HeldLine",
    "Payload",
    "Redact",
    "Released",
    "Stats",
    "TrailLine",
    "as_json",
    "line_of",
    "shown",
    "without_payloads",
]

Redact = Callable[[Any], Any]
"""Of a decoded payload: what may be shown of it."""


class CaseLine(msgspec.Struct, frozen=True, kw_only=True):
    """A case without its message. Times are seconds since 1970 by the database's clock; for the rest see `Case`."""

    id: str
    consumer: str
    message_id: str
    status: str
    reason: str
    type: str
    key: str | None
    parks: bool
    attempts: int
    due_at: float | None
    error_type: str
    error: str
    group: str
    region: str
    source: str
    position: str
    admitted_at: float
    changed_at: float


class Payload(msgspec.Struct, frozen=True):
    """A message as it may be shown. `unreadable`: why there is no payload; "" where there is one."""

    id: str = ""
    headers: dict[str, str] = {}
    published_at: float = 0.0
    payload: Any = None
    unreadable: str = ""


class HeldLine(msgspec.Struct, frozen=True):
    """A message that waits behind a case. `n`: its number, 0 where it has none."""

    message_id: str
    n: int
    held_at: float


class TrailLine(msgspec.Struct, frozen=True):
    """A line of the audit trail. `was`: the message before an edit."""

    at: float
    who: str
    what: str
    reason: str
    was: Payload | None = None


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """All of one case. `held`: the first of the `held_count` messages that wait behind it."""

    case: CaseLine
    stack: str
    message: Payload
    held: list[HeldLine]
    held_count: int
    trail: list[TrailLine]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Open cases of one cause: errors raised at one place, or of one reason where nothing was raised.

    Attributes:
        group: by which `retry_group` and `cases` know it.
        count: its open cases; `waiting` of them wait for somebody.
        oldest: when the first one was admitted, seconds since 1970; `newest` the last one.
        example: id of the newest, and `error` its text.
    """

    group: str
    reason: str
    error_type: str
    count: int
    waiting: int
    oldest: float
    newest: float
    example: str
    error: str


class Released(msgspec.Struct, frozen=True):
    """A key that goes on. `gap`: what was missing before it is given up; else the message of the case is."""

    case: CaseLine
    gap: bool
    held: int


class GroupRetry(msgspec.Struct, frozen=True):
    """Cases of a group that run again, and how many are left."""

    retried: int
    left: int


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts. `cases`: by consumer, status and reason; `held` messages behind `parked` keys; `oldest`: admitted and open."""

    cases: list[tuple[str, str, str, int]]
    open: int
    waiting: int
    held: int
    parked: int
    oldest: float | None


def text_of(data: bytes) -> str:
    """An id, a key or a scope, for people."""
    return data.decode("utf-8", "replace")


def line_of(case: Case) -> CaseLine:
    """A case without its message."""
    plain = ("id", "status", "reason", "type", "parks", "attempts", "due_at", "region", "source", "position")
    return CaseLine(
        **{name: getattr(case, name) for name in (*plain, "admitted_at", "changed_at")},
        consumer=text_of(case.scope),
        message_id=text_of(case.message_id),
        key=None if case.key is None else text_of(case.key),
        error_type=case.error.type,
        error=case.error.text,
        group=case.error.group or case.reason,
    )


def shown(body: bytes, redact: Redact | None) -> Payload:
    """What may be shown of a message."""
    try:
        envelope = decode(body)
    except Malformed as error:
        return Payload(payload=body if redact is None else None, unreadable=error.what)
    headers = dict(envelope.headers)
    try:
        payload = payload_of(envelope)
    except Malformed as error:
        payload = envelope.payload if redact is None else None
        return Payload(envelope.id, headers, envelope.published_at, payload, error.what)
    if redact is not None:
        try:
            payload = redact(payload)
        except Exception as error:
            return Payload(envelope.id, headers, envelope.published_at, None, f"redact raised {type(error).__name__}.")
    return Payload(envelope.id, headers, envelope.published_at, payload)


def without_payloads(detail: Detail) -> Detail:
    """A case of which no payload and no header is shown."""

    def bare(message: Payload) -> Payload:
        return msgspec.structs.replace(message, headers={}, payload=None)

    trail = [msgspec.structs.replace(line, was=None if line.was is None else bare(line.was)) for line in detail.trail]
    return msgspec.structs.replace(detail, message=bare(detail.message), trail=trail)


def as_json(value: Any) -> bytes:
    """As one line of JSON; bytes as base64, times as ISO 8601, what JSON does not have as text."""
    try:
        return msgspec.json.encode(value, enc_hook=repr)
    except (TypeError, ValueError):  # a payload with keys that JSON does not have
        return msgspec.json.encode(_plain(msgspec.to_builtins(value, enc_hook=repr, builtin_types=(bytes,))))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name if isinstance(name, str) else repr(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
