"""What travels: an envelope around a payload, as bytes; and the message that a handler is given. Pure.

1. The id is minted once, by the producer, and never changes: copies, redeliveries and fan-out share it. Ours are UUIDv7, whose
   first 48 bits are the time of their making; ids of another form have no time that could be trusted.
2. A number says which message of its key it is: (epoch, history, n) of the outbox that gave it, and `prev`, the number before
   it for the same destination and key. `lineage` is the outbox: two databases that feed one topic never share numbers.
3. A tombstone carries a number and no payload: what stood there expired, was buried or went elsewhere.
4. Bytes begin with `MAGIC` and a checksum of the rest; whatever else comes is no message of ours, and is refused with its
   reason. A damaged message is never taken for another one.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from regionkit.errors import MessagingError

__all__ = [
    "LARGEST_MESSAGE",
    "LONGEST_ID",
    "LONGEST_KEY",
    "LONGEST_TYPE",
    "MAGIC",
    "NOTHING_BEFORE",
    "Envelope",
    "Malformed",
    "Message",
    "Number",
    "decode",
    "encode",
    "fingerprint",
    "made_at",
    "stored_id",
    "stored_key",
]

MAGIC = b"rk1\x00"
"""First bytes of an envelope, with the version of its form."""
_HEAD = len(MAGIC) + 4
LARGEST_MESSAGE = 1 << 20
"""Bytes of an envelope: what every broker of today takes; larger payloads want a claim check."""
LONGEST_ID = 64
"""Bytes of an id that is stored as it is; of a longer one its digest is."""
LONGEST_KEY = 120
"""Bytes of a key that is stored as it is; of a longer one its digest is."""
LONGEST_LINEAGE = 40
"""Bytes of the name of an outbox, and of one of its histories: a UUID and a little more."""
_MOST = 1 << 63
LONGEST_TYPE = 120
"""Characters of a type: a name, not a document."""

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Number(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place in the row of one key. `history`: of the outbox that gave it; `epoch` rises with each change of its owner."""

    epoch: int
    history: str
    n: int


NOTHING_BEFORE = Number(0, "", 0)
"""`prev` of the first message of a key."""


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What travels.

    Attributes:
        id: minted by the producer.
        type: what handlers are registered for.
        payload: encoded by `codec`.
        key: of order; None: the message has no order.
        codec: "msgpack", "json" or "bytes".
        headers: texts that travel along; never part of the fingerprint.
        published_at: seconds since 1970 by the clock of the producer's database.
        expires_at: the same; None: never.
        lineage: the outbox that gave `number`.
        number: the place in the row of its key; None where nobody numbered it.
        prev: the number before it.
        region: where it was published.
        tomb: why it carries nothing; "" for a message.
    """

    id: str
    type: str
    payload: bytes
    key: str | None = None
    codec: str = "msgpack"
    headers: Mapping[str, str] = {}
    published_at: float = 0.0
    expires_at: float | None = None
    lineage: str = ""
    number: Number | None = None
    prev: Number = NOTHING_BEFORE
    region: str = ""
    tomb: str = ""


class Malformed(MessagingError):
    """Bytes that are no message. `reason`: "undecodable", "no_id" or "too_large".

    Attributes:
        reason: the hospital's word for it.
    """

    reason: str = "undecodable"


class Message(msgspec.Struct, frozen=True, gc=False):
    """What a handler is given. Immutable.

    Attributes:
        id: the same for all copies.
        type: selects the handlers.
        key: of order, or None.
        payload: decoded.
        headers: as received.
        published_at: seconds since 1970 by the clock of the producer's database.
        attempt: started runs of this message, this one counted: 1 for the first.
    """

    id: str
    type: str
    key: str | None
    payload: Any
    headers: Mapping[str, str]
    published_at: float
    attempt: int = 1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)
_plain = msgspec.msgpack.Decoder()


def encode(envelope: Envelope) -> bytes:
    """The envelope as bytes."""
    body = _encoder.encode(envelope)
    return MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


def decode(data: bytes) -> Envelope:
    """The envelope in `data`.

    Raises:
        Malformed: too large, not ours, damaged, or without an id.
    """
    if len(data) > LARGEST_MESSAGE:
        raise _malformed(f"a message has {len(data)} bytes, and at most {LARGEST_MESSAGE} are taken", "too_large")
    if not data.startswith(MAGIC):
        raise _malformed("the bytes are not an envelope of regionkit")
    body = memoryview(data)[_HEAD:]
    if zlib.crc32(body) != int.from_bytes(data[len(MAGIC) : _HEAD], "big"):
        raise _malformed("an envelope is damaged: its checksum does not match")
    try:
        envelope = _decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"an envelope is damaged: {error}") from None
    if not envelope.id:
        raise _malformed("a message has no id", "no_id")
    told = envelope.number is not None or envelope.prev != NOTHING_BEFORE
    for number in (envelope.prev, envelope.number or envelope.prev) if told else ():
        if len(number.history.encode()) > LONGEST_LINEAGE or not (0 <= number.n < _MOST and 0 <= number.epoch < _MOST):
            raise _malformed("the number of a message is not one that an outbox assigns")
    if envelope.lineage and len(envelope.lineage.encode()) > LONGEST_LINEAGE:
        raise _malformed(f"the lineage of a message is longer than {LONGEST_LINEAGE} bytes")
    if not 0 < len(envelope.type) <= LONGEST_TYPE:
        raise _malformed(f"the type of a message has {len(envelope.type)} characters, 1 to {LONGEST_TYPE} are taken")
    return envelope


def _malformed(what: str, reason: str = "undecodable") -> Malformed:
    return Malformed(f"{what}.", fix="see the case in the hospital: it holds the bytes.", reason=reason)


def payload_of(envelope: Envelope) -> Any:
    """The payload, decoded.

    Raises:
        Malformed: it is not what its codec says, or the codec is unknown.
    """
    try:
        match envelope.codec:
            case "msgpack":
                return _plain.decode(envelope.payload)
            case "json":
                return msgspec.json.decode(envelope.payload)
            case "bytes":
                return envelope.payload
    except (ValueError, RecursionError) as error:
        raise _malformed(f"the payload of message {envelope.id[:LONGEST_ID]} is damaged: {error}") from None
    raise _malformed(f"this consumer does not know the codec {envelope.codec[:20]!r}")


def message_of(envelope: Envelope, attempt: int = 1) -> Message:
    """What its handler is given.

    Raises:
        Malformed: the payload cannot be read.
    """
    return Message(
        envelope.id,
        envelope.type,
        envelope.key,
        payload_of(envelope),
        envelope.headers,
        envelope.published_at,
        attempt,
    )


def stored_id(id: str) -> bytes:
    """How an id stands in a table: its bytes, or of a long one a digest. No two ids share one."""
    return _stored(id, LONGEST_ID)


def stored_key(key: str) -> bytes:
    """How a key stands in a table."""
    return _stored(key, LONGEST_KEY)


def _stored(text: str, longest: int) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= longest and not data.startswith(b"sha256:"):
        return data
    return b"sha256:" + hashlib.sha256(data).hexdigest()[:40].encode()


def fingerprint(envelope: Envelope) -> bytes:
    """16 bytes over what the message says: type and payload, never headers."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(envelope.type.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(envelope.payload)
    return digest.digest()


def made_at(id: str) -> float | None:
    """When an id was made, seconds since 1970 by its producer's clock; None where its form does not tell."""
    if not _UUID7.fullmatch(id):
        return None
    return int(id[:8] + id[9:13], 16) / 1000.0
