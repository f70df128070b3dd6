"""What a write-back buffer keeps of a dirty key, as bytes. Pure; the scripts read and fill in the same.

    version(19) put(16) time(13) kind(1) digest(16) kept(13) length of the key(8) key entry

1. A put sends all from the kind on; version, put and time are filled in where its order is decided.
2. The key stands whole and with its type, so that whoever flushes has it as the application gave it.
3. The entry is that of the cache, with the record's version. Its times stand from its making on, and are filled in when it is
   read, or becomes the cache's value.
4. A value set aside is behind since(13) length of the reason(4) reason record.
5. All up to the key stays as it is in later versions; what is otherwise new has a kind of its own. Whoever does not know a
   kind can list the record, count it and put another one; it leaves the writing to a process that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from regionkit.caching.back.rules import Change, text_of
from regionkit.caching.entry import Unreadable
from regionkit.caching.keys import Stored, canonical, key_of, whole

if TYPE_CHECKING:
    from regionkit.caching.shaping import Shaper

__all__ = ["LONGEST_REASON", "Record", "body_of", "change_in", "key_in", "packed", "reason_bytes", "unpacked"]

LONGEST_REASON = 500
"""Bytes of the reason that a record was parked for: an operator reads it, not a program."""

VERSION, PUT, TIME, KIND, DIGEST = slice(0, 19), slice(19, 35), slice(35, 48), slice(48, 49), slice(49, 65)
KEPT, LENGTH = slice(65, 78), slice(78, 86)
_KEY = LENGTH.stop
_VALUE, _DELETE = b"v", b"d"


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record.

    Attributes:
        version: of rule 1 of `rules`.
        id: of the put, 16 bytes.
        time: milliseconds of the account's clock.
        deleted: the row is to go.
        digest: of the key and its cache, 16 bytes.
        kept: milliseconds that a clean value of it is kept; 0: it is not.
        whole: the key, canonical.
        entry: sealed; b"" where only the head was asked for.
        known: its kind is: rule 5.
    """

    version: int
    id: bytes
    time: int
    deleted: bool
    digest: bytes
    kept: int
    whole: bytes
    entry: bytes = b""
    known: bool = True

    @property
    def key(self) -> Any:
        """As the application gave it."""
        return key_of(self.whole)

    @property
    def stored(self) -> Stored:
        """As it stands in the process."""
        return canonical(self.key)


def body_of(digest: bytes, stored: Stored, kept: int, *, deleted: bool) -> bytes:
    """What stands between the time and the entry: rule 1."""
    key = whole(stored)
    return b"%b%b%013d%08d%b" % (_DELETE if deleted else _VALUE, digest, kept, len(key), key)


def packed(record: Record) -> bytes:
    """The bytes of a record."""
    kind = _DELETE if record.deleted else _VALUE
    head = b"%b%b%013d%b%b" % (text_of(record.version).encode(), record.id, record.time, kind, record.digest)
    return b"%b%013d%08d%b%b" % (head, record.kept, len(record.whole), record.whole, record.entry)


def unpacked(data: bytes) -> Record:
    """The record in `data`.

    Raises:
        ValueError: it is none.
    """
    numbers = data[VERSION] + data[TIME] + data[KEPT] + data[LENGTH]
    if len(data) < _KEY or not numbers.isdigit():
        raise ValueError("no record of a write-back buffer")
    end = _KEY + int(data[LENGTH])
    if end > len(data):
        raise ValueError("a record that ends early")
    return Record(
        int(data[VERSION]),
        data[PUT],
        int(data[TIME]),
        data[KIND] == _DELETE,
        data[DIGEST],
        int(data[KEPT]),
        data[_KEY:end],
        data[end:],
        data[KIND] in (_VALUE, _DELETE),
    )


def change_in(record: Record, shaper: Shaper) -> Change:
    """A record as a sink gets it.

    Raises:
        Unreadable, ValueError: this version of the application, or of regionkit, cannot read it.
    """
    if not record.known:
        raise Unreadable("of a later version of regionkit")
    if record.deleted:
        return Change(record.key, record.version, deleted=True)
    return Change(record.key, record.version, shaper.value_in(record.whole, record.entry))


def key_in(data: bytes) -> Any:
    """The key of a record's bytes, whatever its value is."""
    return unpacked(data).key


def reason_bytes(why: str) -> bytes:
    """A reason, no longer than it may be."""
    return why.encode(errors="replace")[:LONGEST_REASON].decode(errors="ignore").encode()
