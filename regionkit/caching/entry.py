"""A cached value as bytes: a header that scripts read, then the value. Pure.

    magic(3) schema(8) digest(16) generation(8) stamp(16) version(27) flags(1) soft(13) hard(13) made(13) tags(2 + 16 each)
    hi(27, where there is one) value

1. Whatever is not exactly so is no entry: spoiled, foreign, of another key or tenant, too large, nested too deeply. It is a
   miss with a reason, never an error and never a value. The digest is of key and tenant.
2. `soft`, `hard` and `made` are milliseconds of the cache's own clock at the server (scripts/prelude.lua), which no step of the
   machine's clock moves. A server forgets an entry at the end of its time by itself.
3. The value is decoded with the type of the cache, whichever version of that type wrote it: fields that are not known are
   left out. One that cannot be decoded and was written by another version is left alone (`other schema`): its writer, which
   runs too while a deployment lasts, still reads it.
4. What is compressed is never made larger than the cache takes.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_origin

import msgspec

from regionkit.errors import ConfigurationError

__all__ = ["HEADER", "MOST_TAGS", "Coder", "Envelope", "Unreadable", "opened", "plain_body", "sealed", "tags_in"]

T = TypeVar("T")

MAGIC = b"rk1"
SCHEMA, DIGEST, GENERATION, STAMP = slice(3, 11), slice(11, 27), slice(27, 35), slice(35, 51)
VERSION, FLAGS, SOFT, HARD, MADE = slice(51, 78), slice(78, 79), slice(79, 92), slice(92, 105), slice(105, 118)
HEADER = MADE.stop
"""Bytes before the tags: what a script and a reader judge an entry by."""
TAGS = slice(HEADER, HEADER + 2)
BODY = TAGS.stop
"""Where the tags begin, and the body of an entry that has neither tags nor `hi`."""
NUMBERS, TIMES = slice(STAMP.start, TAGS.stop), slice(SOFT.start, TAGS.stop)
"""What has to be digits: of every entry, and of one without a version."""
MOST_TAGS = 32
"""Tags of one entry: each is looked up where there is no live bus."""
_NEGATIVE, _COMPRESSED, _HAS_HI = 1, 2, 4
_NO_VERSION = b"0" * 27


class Unreadable(ValueError):
    """These bytes are no entry of this cache. `reason`: one word, for the counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """An entry without its value's meaning.

    Attributes:
        generation: of the cache at the server, 8 bytes.
        stamp: the server's number of the load or the write that made it.
        version: what the value surely has; "" without one.
        soft: milliseconds of the server's clock of this cache after which it is reloaded in the background.
        hard: after which it is not served.
        made: when it was loaded or set.
        tags: digests, 16 bytes each.
        hi: version that covers all that the value may have shown; "" where nobody knows.
        negative: nothing is there.
        compressed: the body is.
        body: the encoded value.
        schema: of the type that wrote it, 8 bytes.
    """

    generation: bytes
    stamp: int
    version: str
    soft: int
    hard: int
    made: int = 0
    tags: tuple[bytes, ...] = ()
    hi: str = ""
    negative: bool = False
    compressed: bool = False
    body: bytes = b""
    schema: bytes = b""


def sealed(envelope: Envelope, digest: bytes) -> bytes:
    """The bytes of an entry."""
    flags = envelope.negative * _NEGATIVE | envelope.compressed * _COMPRESSED | bool(envelope.hi) * _HAS_HI
    return b"".join(
        (
            MAGIC,
            envelope.schema,
            digest,
            envelope.generation,
            b"%016d" % envelope.stamp,
            envelope.version.encode() or _NO_VERSION,
            bytes((48 + flags,)),
            b"%013d" % envelope.soft,
            b"%013d" % envelope.hard,
            b"%013d" % envelope.made,
            b"%02d" % len(envelope.tags),
            *envelope.tags,
            envelope.hi.encode(),
            envelope.body,
        )
    )


def opened(data: bytes, digest: bytes) -> Envelope:
    """The entry in `data`.

    Raises:
        Unreadable: it is none of this cache and key.
    """
    if not data.startswith(MAGIC) or len(data) < BODY:
        raise Unreadable("foreign")
    if data[DIGEST] != digest:
        raise Unreadable("other key")
    try:
        if not data[NUMBERS].isdigit():  # stamp to tags: as Python's int() takes more than digits
            raise ValueError
        flags = data[FLAGS.start] - 48
        tags = int(data[TAGS])
        version = data[VERSION]
        at_hi = BODY + 16 * tags
        body = at_hi + (27 if flags & _HAS_HI else 0)
        if flags > 7 or tags > MOST_TAGS or len(data) < body:
            raise ValueError
        return Envelope(
            generation=data[GENERATION],
            stamp=int(data[STAMP]),
            version="" if version == _NO_VERSION else version.decode("ascii"),
            soft=int(data[SOFT]),
            hard=int(data[HARD]),
            made=int(data[MADE]),
            tags=tuple(data[at : at + 16] for at in range(BODY, at_hi, 16)),
            hi=data[at_hi:body].decode("ascii"),
            negative=bool(flags & _NEGATIVE),
            compressed=bool(flags & _COMPRESSED),
            body=data[body:],
            schema=data[SCHEMA],
        )
    except ValueError:
        raise Unreadable("spoiled") from None


def plain_body(data: bytes, digest: bytes) -> bytes | None:
    """The body of an entry that is not compressed and carries nothing more; None: `opened` has to look at it."""
    plain = data[:3] == MAGIC and data[FLAGS] == b"0" and data[TAGS] == b"00"
    return data[BODY:] if plain and data[DIGEST] == digest and data[NUMBERS].isdigit() else None


def tags_in(data: bytes) -> list[bytes]:
    """The tags of an entry, without a look at the rest; of what is no entry none, which is found out when it is opened."""
    count = data[TAGS]
    if count == b"00" or not count.isdigit() or int(count) > MOST_TAGS:
        return []
    return [data[at : at + 16] for at in range(BODY, BODY + 16 * int(count), 16)]


class Coder(Generic[T]):
    """Values of one type as bodies of entries, and back. Immutable; shared freely.

    Args:
        kind: a msgspec struct, a dataclass, or a type of plain data.
        codec: "msgpack" or "json".
        largest: of an encoded value, bytes.
        compress_above: bytes from which on values are compressed; None: never.
    """

    __slots__ = ("_class", "_compress_above", "_decoder", "_encoder", "decode_body", "kind", "largest", "schema")

    def __init__(self, kind: Any, *, codec: str = "msgpack", largest: int, compress_above: int | None = None) -> None:
        if not isinstance(codec, str) or codec not in _CODECS:
            raise ConfigurationError(f"there is no codec {codec!r}.", fix='use "msgpack" or "json".')
        make = _CODECS[codec]
        try:
            self._encoder, self._decoder = make.Encoder(), make.Decoder(kind)
        except TypeError as error:
            raise ConfigurationError(
                f"values of type {kind!r} cannot be cached.",
                why=f"{error}.",
                fix="use a msgspec.Struct, a dataclass, or a type of plain data.",
            ) from error
        self.decode_body = self._decoder.decode  # of what is not compressed; raises ValueError or RecursionError
        self.kind = kind
        self._class = _class_of(kind)
        self._compress_above = compress_above
        self.largest = largest
        self.schema = hashlib.blake2b(f"{codec}\0{_shape(kind)}".encode(), digest_size=8).digest()

    def check(self, value: Any) -> None:
        """Whether `value` is of the cache's type, as far as its class tells.

        Raises:
            TypeError: it is not.
        """
        if self._class is not None and not isinstance(value, self._class):
            raise TypeError(f"a value of type {type(value).__name__} where {_named(self.kind)} is cached")

    def encode(self, value: T) -> tuple[bytes, bool]:
        """The body of a value, and whether it is compressed.

        Raises:
            TypeError: it cannot be encoded, or is of another type than the cache's.
            ValueError: it is too large, or nested too deeply.
        """
        self.check(value)
        try:
            data: bytes = self._encoder.encode(value)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        except (OverflowError, msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise TypeError(str(error)) from error
        if len(data) > self.largest:
            raise ValueError(f"{len(data)} bytes, at most {self.largest} are cached")
        self._check_fields(data)
        if self._compress_above is not None and len(data) > self._compress_above:
            smaller = zlib.compress(data, 1)
            if len(smaller) < len(data):
                return smaller, True
        return data, False

    def _check_fields(self, data: bytes) -> None:
        """What is encoded has to be read again: a struct takes a field of any type, and says so only then."""
        try:
            self._decoder.decode(data)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        except Exception as error:  # also of a class's own __post_init__
            raise TypeError(f"a value that cannot be read again as {_named(self.kind)}: {error}") from error

    def decode(self, envelope: Envelope) -> T:
        """The value of an entry.

        Raises:
            Unreadable: it is none of this type.
        """
        body = envelope.body
        try:
            if envelope.compressed:
                inflate = zlib.decompressobj()
                body = inflate.decompress(body, self.largest + 1)
                if len(body) <= self.largest and (not inflate.eof or inflate.unused_data):
                    raise Unreadable("spoiled")
            if len(body) > self.largest:
                raise Unreadable("oversized")
            value: T = self._decoder.decode(body)
        except Unreadable:
            raise
        except Exception:  # zlib's, msgspec's, and those of a class's own __post_init__
            raise Unreadable("spoiled" if envelope.schema == self.schema else "other schema") from None
        return value


_CODECS: Mapping[str, Any] = MappingProxyType({"msgpack": msgspec.msgpack, "json": msgspec.json})


def _class_of(kind: Any) -> Any:
    """The class that every value is of; None where none says it.

    `typing.Any`, a TypedDict and the origin of `A | B` are classes, too, and have no instances.
    """
    found = get_origin(kind) or kind
    if found in (Any, Annotated, Union, UnionType):  # classes in some versions of Python, and no value is of them
        return None
    try:
        isinstance(None, found)  # a TypedDict is a class, and refuses it
    except TypeError:
        return None
    return found


def _named(kind: Any) -> str:
    return getattr(kind, "__qualname__", None) or str(kind)


def _shape(kind: Any) -> str:
    """What tells one version of a type from another: its fields and theirs, wherever it is defined."""
    try:
        return msgspec.json.encode(msgspec.json.schema(kind)).decode()
    except (TypeError, msgspec.MsgspecError):
        pass  # something in it has no schema
    fields = getattr(kind, "__annotations__", None)
    if isinstance(kind, type) and fields:
        return f"{kind.__qualname__}({','.join(f'{name}:{field}' for name, field in fields.items())})"
    return _named(kind) if isinstance(kind, type) and get_origin(kind) is None else str(kind)
