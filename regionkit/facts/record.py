"""A record: one small versioned row of regionkit's own, known by kind and key. A value only."""

from __future__ import annotations

import msgspec

from regionkit.errors import ConfigurationError

__all__ = ["LARGEST_RECORD", "LONGEST_KEY", "LONGEST_KIND", "Record", "check_record", "check_record_key"]

LARGEST_RECORD = 4096
"""Largest value of a record, bytes: it shares a row with its key on every server; more belongs into a table of its own."""

LONGEST_KIND = 120
LONGEST_KEY = 512
"""Longest kind and key, characters: together they are an index key on every server."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it stands. `version`: 1 when it was made, one more with each change."""

    kind: str
    key: str
    value: bytes
    version: int = 1


def check_record_key(kind: str, key: str) -> None:
    """Refuse what is no index key on some server.

    Raises:
        ConfigurationError: a text that is too long, or holds NUL or half a surrogate pair.
    """
    for what, text, longest in (("kind", kind, LONGEST_KIND), ("key", key, LONGEST_KEY)):
        if len(text) > longest or "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ConfigurationError(
                f"the {what} of a record is not usable: {len(text)} characters.",
                why=f"it is part of an index key: at most {longest} characters, without NUL and lone surrogates.",
                fix="use a shorter text, or a hash of it.",
            )


def check_record(record: Record) -> None:
    """Refuse a record that some server could not keep.

    Raises:
        ConfigurationError: as `check_record_key`; a value that is too large.
    """
    check_record_key(record.kind, record.key)
    if len(record.value) > LARGEST_RECORD:
        raise ConfigurationError(
            f"a record of {len(record.value)} bytes.",
            why=f"it shares a row with its key: at most {LARGEST_RECORD}.",
            fix="keep the bulk in a table of your own.",
        )
