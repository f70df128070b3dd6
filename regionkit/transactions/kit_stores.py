"""Which participants a kit's stores are. Names only; nothing is asked of a server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from regionkit.errors import ConfigurationError
from regionkit.facts.bookmark import source
from regionkit.topology.names import NAMESPACE

__all__ = ["participant_name", "stores_of"]

_OTHERS = re.compile("[^a-z0-9_]")
_HEAD, _DIGITS = 13, 8
"""Letters that are kept of a name that is too long for a branch, and hex digits that tell it from others."""


def participant_name(store: str, part: str = "") -> str:
    """The participant's name of a store, or of a part of it: the same in every process and for ever, as branches bear it."""
    name = f"{store}_{part}" if part else store
    if NAMESPACE.fullmatch(name):
        return name
    plain = _OTHERS.sub("_", name)
    return f"{plain[:_HEAD]}_{hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]}"


def stores_of(kit: Any, stores: Sequence[str], namespace: str) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The kit's namespace, its participants by name, and the names of its sources.

    Raises:
        ConfigurationError: no stores, another namespace than the kit's, or a store that the kit does not have.
    """
    if not stores or isinstance(stores, str):
        raise ConfigurationError(
            "a transaction manager over a kit was given no stores.",
            why="those that take part prepare, which their servers have to be set up for.",
            fix='name them: stores=["orders", "payments"].',
        )
    given: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for store in stores:
        backing, homes = kit.backing(store), kit.homes(store)
        if namespace not in ("", backing.namespace):
            raise ConfigurationError(
                f"the namespace {namespace!r} is not the kit's, {backing.namespace!r}.", fix="leave namespace= out."
            )
        namespace = backing.namespace
        for part in ("",) if homes is None else homes.parts:
            name = participant_name(store, part)
            given[name] = (kit, store) if homes is None else (homes, part)
            sources[source(store, part)] = name
    return namespace, given, sources
