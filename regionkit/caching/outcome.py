"""What a loader's answer says, in one form. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from regionkit.caching import version as versions
from regionkit.caching.entry import MOST_TAGS
from regionkit.caching.keys import digest_of
from regionkit.caching.strategies import Loaded, NoStore, Unchanged, takes
from regionkit.caching.version import NOTHING
from regionkit.errors import ConfigurationError, UsageError

__all__ = ["Outcome", "Wanted", "asked_owner", "named_for", "outcome_of", "outcomes_of", "tag_digest"]


class Wanted(msgspec.Struct, frozen=True):
    """What a load is to bring.

    Attributes:
        load: the loader.
        previous: a Lookup of what it may confirm; None where there is nothing.
        floor: version that the load has to reach.
        owner: it has to be read from the owner.
        session: whose writes it has to show; None in a cache without a kit.
    """

    load: Callable[..., Any]
    previous: Any = None
    floor: str = NOTHING
    owner: bool = False
    session: Any = None


class Outcome(msgspec.Struct, frozen=True):
    """What a load brought.

    Attributes:
        value: None where nothing is there.
        found: whether anything is.
        store: it may be kept.
        unchanged: the previous value still holds.
        ttl: seconds that the loader asks for.
        version: what the value surely has.
        owner: it was read from the owner.
        tags: digests.
        hi: version that covers all that reading it may have shown; "" where nobody knows.
    """

    value: Any
    found: bool = True
    store: bool = True
    unchanged: bool = False
    ttl: float | None = None
    version: str = NOTHING
    owner: bool = True
    tags: tuple[bytes, ...] = ()
    hi: str = NOTHING


def tag_digest(tag: Any, scope: bytes) -> bytes:
    """How a tag stands in entries.

    Raises:
        ConfigurationError: it is no text, or an empty one.
    """
    if not isinstance(tag, str) or not tag:
        raise ConfigurationError(f"{tag!r} is not a tag.", fix="a tag is a non-empty string.")
    try:
        return digest_of(tag, scope)
    except UnicodeEncodeError:
        raise ConfigurationError(f"{tag!r} is not a tag.", why="it has lone surrogates.", fix="give a text.") from None


def outcome_of(
    given: Any, scope: bytes, version: str = NOTHING, *, owner: bool = True, asked: bool = False, hi: str = NOTHING
) -> Outcome:
    """What a loader's answer says. `version`, `owner`, `hi`: what is known of the copy that it read.

    `asked`: the loader was asked to read the owner. One that tells versions of rows may read a copy else.

    Raises:
        ConfigurationError: an unusable version, ttl or tag.
    """
    if isinstance(given, NoStore):
        return Outcome(given.value, store=False, hi=hi)
    if isinstance(given, Unchanged):
        return Outcome(None, unchanged=True, ttl=_seconds(given.ttl), version=version, owner=owner, hi=hi)
    if not isinstance(given, Loaded):
        return Outcome(given, found=given is not None, version=version, owner=owner, hi=hi)
    if len(given.tags) > MOST_TAGS or isinstance(given.tags, str):
        raise ConfigurationError(f"{given.tags!r} are not tags.", fix=f"give a tuple of at most {MOST_TAGS} texts.")
    if given.version is not None:
        version, owner = versions.of_row(given.version), asked
    tags = tuple(sorted({tag_digest(tag, scope) for tag in given.tags}))
    return Outcome(
        given.value,
        found=given.found,
        ttl=_seconds(given.ttl),
        version=version,
        owner=owner,
        tags=tags,
        hi=hi,
    )


def _seconds(ttl: Any) -> float | None:
    if ttl is None or (isinstance(ttl, int | float) and not isinstance(ttl, bool) and 0.0 < ttl < 1e9):
        return ttl
    raise ConfigurationError(f"a loader gave ttl={ttl!r}.", fix="give seconds above 0, or None.")


def asked_owner(wanted: Wanted) -> bool:
    """Whether the loader is told to read the owner, and can be told."""
    return wanted.owner and takes(wanted.load, "owner")


def named_for(wanted: Wanted) -> dict[str, Any]:
    """What a loader takes by name."""
    named = {}
    if takes(wanted.load, "previous"):
        named["previous"] = wanted.previous
    if takes(wanted.load, "owner"):
        named["owner"] = wanted.owner
    return named


def outcomes_of(
    keys: Sequence[Any],
    given: Any,
    scope: bytes,
    version: str = NOTHING,
    *,
    owner: bool = True,
    asked: bool = False,
    hi: str = NOTHING,
) -> dict[Any, Outcome]:
    """What a loader of many keys answered, by key.

    Raises:
        UsageError: it is no mapping, or has a key that was not asked for.
    """
    if not isinstance(given, Mapping):
        raise UsageError(
            f"load_many returned a {type(given).__name__}.",
            fix="return a mapping from key to value; leave out keys without a value.",
        )
    asked_for = set(keys)
    foreign = [key for key in given if key not in asked_for]
    if foreign:
        raise UsageError(
            f"load_many returned the key {foreign[0]!r}, which was not requested.",
            why="keys are typed: '42' is not 42.",
            fix="return the keys as they were given.",
        )
    return {key: outcome_of(given.get(key), scope, version, owner=owner, asked=asked, hi=hi) for key in keys}
