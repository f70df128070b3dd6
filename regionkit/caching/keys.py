"""Keys of cached values: typed, of any length, and never one for another. Pure.

1. A key is a str, an int, bytes, a UUID, or a tuple of these. "42" is not 42, and neither is b"42".
2. Within the process a str stands for itself; every other key stands as bytes that carry its type and its lengths.
3. At a server a key is its type and its bytes; above `LONGEST_PLAIN` bytes a digest stands for it. Each entry carries the
   digest of its whole key, so one that was stored for another key is not taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from regionkit.errors import ConfigurationError

__all__ = [
    "LONGEST_PLAIN",
    "MOST_PARTS",
    "CacheKey",
    "K",
    "Stored",
    "bare_name",
    "canonical",
    "digest_of",
    "digest_of_whole",
    "key_of",
    "place_of",
    "scope_of",
    "several",
    "stored_name",
    "whole",
]

CacheKey = str | int | bytes | UUID | tuple[Any, ...]
"""What a key may be."""
K = TypeVar("K", bound=CacheKey)
Stored = str | bytes
"""How a key stands within the process."""

LONGEST_PLAIN = 200
"""Bytes of a key that stands at a server as it is: a longer one costs more memory than its digest."""
MOST_PARTS = 64
"""Parts of a tuple, those of tuples in it counted: a key is no document."""
_DIGEST = 16
_PLACE = 2 + 2 * _DIGEST


def canonical(key: Any) -> Stored:
    """How `key` stands within the process.

    Raises:
        ConfigurationError: of a type that is no key, or a text that is no Unicode.
    """
    if isinstance(key, str):
        text: str = str.__str__(key)  # of a member of a StrEnum too, its text alone
        _encoded(text)
        return text
    return _typed(key, [MOST_PARTS])


def several(verb: str, keys: Iterable[K]) -> list[K]:
    """Keys, each once.

    Raises:
        ConfigurationError: it is one key, or nothing that has keys; the letters of a text are not meant.
    """
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise ConfigurationError(
            f"{verb} takes several keys, and was given a {type(keys).__name__}.", fix=f"write {verb}([key])."
        )
    try:
        return list(dict.fromkeys(keys))
    except TypeError:  # one that can change is refused by its type
        return [key for key in keys if canonical(key) is not None]


def _typed(key: Any, left: list[int]) -> bytes:
    left[0] -= 1
    if left[0] < 0:
        raise _refused(f"a tuple of more than {MOST_PARTS} parts")
    if isinstance(key, str):
        return b"s" + _encoded(key)
    if isinstance(key, bool):
        raise _refused("a bool")
    if isinstance(key, int):
        if abs(key) >= 1 << 256:
            raise _refused("an int of more than 256 bits")
        return b"i%d" % key
    if isinstance(key, bytes):
        return b"b" + key
    if isinstance(key, UUID):
        return b"u" + key.bytes
    if isinstance(key, tuple):
        parts = [_typed(part, left) for part in key]
        return b"t" + b"".join(b"%d:%b" % (len(part), part) for part in parts)
    raise _refused(f"a {type(key).__name__}")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _refused("a text with lone surrogates") from None


def _refused(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} is not a key of a cache.",
        why="keys are compared byte for byte, in every process and at the server.",
        fix="use a str, an int, bytes, a UUID, or a tuple of these.",
    )


def whole(stored: Stored) -> bytes:
    """The whole key as bytes that carry its type."""
    return b"s" + stored.encode() if isinstance(stored, str) else stored


def key_of(data: bytes) -> Any:
    """The key that `whole` made these bytes of.

    Raises:
        ValueError: of none.
    """
    kind, rest = data[:1], data[1:]
    match kind:
        case b"s":
            return rest.decode()
        case b"i":
            return int(rest)
        case b"b":
            return rest
        case b"u":
            return UUID(bytes=rest)
        case b"t":
            return tuple(_parts_of(rest))
    raise ValueError(f"no key begins with {kind!r}")


def _parts_of(data: bytes) -> Iterator[Any]:
    while data:
        length, colon, rest = data.partition(b":")
        size = int(length)
        if not colon or size > len(rest):
            raise ValueError("a key that ends early")
        yield key_of(rest[:size])
        data = rest[size:]


def scope_of(namespace: str, name: str, tenant: str) -> bytes:
    """Whose keys a cache has: what its digests are of, besides the key.

    Raises:
        ConfigurationError: the tenant is not a text that can be encoded.
    """
    if not isinstance(tenant, str) or any("\ud800" <= char <= "\udfff" for char in tenant):
        raise ConfigurationError(f"tenant={tenant!r} is not usable.", fix="give a text without lone surrogates.")
    return f"{namespace}/{name}/{tenant}".encode()


@lru_cache(maxsize=1024)  # a miss asks for it four times
def digest_of(stored: Stored, scope: bytes = b"") -> bytes:
    """16 bytes that stand for the whole key, of this scope (`scope_of`)."""
    return digest_of_whole(whole(stored), scope)


def digest_of_whole(data: bytes, scope: bytes = b"") -> bytes:
    """The same of what `whole` made, once: nothing is remembered."""
    if len(scope) > hashlib.blake2b.MAX_KEY_SIZE:
        scope = hashlib.blake2b(scope).digest()
    return hashlib.blake2b(data, digest_size=_DIGEST, key=scope).digest()


def stored_name(stored: Stored) -> bytes:
    """How the key stands at a server."""
    name = whole(stored)
    return name if len(name) <= LONGEST_PLAIN else b"#" + digest_of(stored)


def place_of(scope: bytes) -> bytes:
    """What stands before the names of a tenant's keys at a server."""
    whose = scope.split(b"/", 2)[-1]
    return b"@%b:" % digest_of(b"", scope).hex().encode() if whose else b""


def bare_name(name: bytes) -> bytes:
    """The name of a key without the place of its tenant."""
    return name[_PLACE:] if name[:1] == b"@" else name
