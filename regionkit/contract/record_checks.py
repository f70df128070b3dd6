"""What a record may be on every server, checked before anything is sent; and the error when no answer came."""

from __future__ import annotations

from typing import Any

from regionkit.contract.endpoint_context import EndpointContext
from regionkit.errors import ConfigurationError, OutcomeUnknown
from regionkit.facts.record import LARGEST_RECORD, Record
from regionkit.topology.validation import shown

__all__ = [
    "LARGEST_VERSION",
    "LONGEST_KEY",
    "LONGEST_KIND",
    "LONGEST_LASTS",
    "change_unanswered",
    "check_name_of_record",
    "check_record",
    "no_records",
]

LONGEST_KIND = 120
"""Longest kind, characters: kinds are written in the source of a pillar."""
LONGEST_KEY = 512
"""Longest key, characters: with its kind it is part of a unique index on every server."""
LARGEST_VERSION = 2**63 - 1
"""Largest version: what a signed column of 64 bits keeps."""
LONGEST_LASTS = 366 * 86_400.0
"""Longest time that a record may last, seconds: a year is within what every server can count to; a longer one stays."""


def check_name_of_record(kind: str, key: str) -> None:
    """Whether a kind and a key can be kept on every server.

    Raises:
        ConfigurationError: too long, a NUL, half a surrogate pair, or no kind.
    """
    for word, text, most in (("kind", kind, LONGEST_KIND), ("key", key, LONGEST_KEY)):
        why = ""
        if not isinstance(text, str):
            raise ConfigurationError(f"the {word} of a record is {shown(text)}.", fix="it is a text.")
        if word == "kind" and not text:
            why = "it is empty."
        elif len(text) > most:
            why = f"it has {len(text)} characters, and {most} are the most."
        elif "\0" in text:
            why = "it holds a NUL character, which not every server takes."
        elif any("\ud800" <= sign <= "\udfff" for sign in text):
            why = "it holds half of a surrogate pair, which is not valid text."
        if why:
            raise ConfigurationError(
                f"the {word} {text[:40]!r} of a record is not usable.",
                why=why,
                fix="keep a hash of it, or give it another name.",
            )


def check_record(record: Record, expected: int, lasts: float | None) -> None:
    """Whether a record can be put.

    Raises:
        ConfigurationError: its kind, its key, its value or the time that it lasts is out of bounds, or its version does not
            go up.
    """
    check_name_of_record(record.kind, record.key)
    if not isinstance(record.value, bytes):
        raise ConfigurationError(
            f"the value of record {record.kind}/{record.key[:40]} is {shown(record.value)}.",
            fix="it is bytes: encode it, with regionkit's codec for one.",
        )
    if len(record.value) > LARGEST_RECORD:
        raise ConfigurationError(
            f"the value of record {record.kind}/{record.key[:40]} has {len(record.value)} bytes.",
            why=f"at most {LARGEST_RECORD} fit a record.",
            fix="store it elsewhere, and its name in the record.",
        )
    for word, number in (("version", record.version), ("expected", expected)):
        if type(number) is not int or not 0 <= number <= LARGEST_VERSION:
            raise ConfigurationError(
                f"{word}={shown(number)} of record {record.kind}/{record.key[:40]} is not usable.",
                why="versions are compared on the server, in a column of 64 bits.",
                fix=f"give a whole number from 0 to {LARGEST_VERSION}.",
            )
    if record.version <= expected:
        raise ConfigurationError(
            f"record {record.kind}/{record.key[:40]} would go from version {expected} to {record.version}.",
            why="a compare-and-set distinguishes two states by their version.",
            fix="raise the version by one.",
        )
    if lasts is not None and not 0.0 < lasts <= LONGEST_LASTS:
        raise ConfigurationError(
            f"a record cannot last {lasts!r} s.",
            why=f"it must be more than 0 and at most {LONGEST_LASTS:.0f} s.",
            fix="leave out lasts for a permanent record.",
        )


def no_records(context: EndpointContext[Any], why: str) -> ConfigurationError:
    """The store has no table for records yet."""
    return ConfigurationError(
        f"store {context.store.name!r} does not have regionkit's tables.",
        why=why,
        fix="call create_tables() of the kit or the backing once, by an account that may; or let another account make them.",
    )


def change_unanswered(context: EndpointContext[Any], why: str) -> OutcomeUnknown:
    """A change of a record was sent, and no answer came."""
    return OutcomeUnknown(
        f"a change of a record was sent to {context.endpoint.id!r} of {context.store.name!r} and no answer came.",
        why=why,
        fix="read the record again, and decide by its content.",
        store=context.store.name,
        region=context.endpoint.region,
        began_at=context.clock.wall(),
    )
