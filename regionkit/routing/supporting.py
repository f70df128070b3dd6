"""Which servers can what another one cannot, for the advice of a refusal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["servers_supporting"]

_SQL = ("postgresql", "mysql", "mariadb", "sqlite")
_ALL_BUT_CASSANDRA = (*_SQL, "redis", "mongodb", "memory")
_SUPPORTING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "core": _SQL,
        "snapshot": (*_SQL, "memory"),
        "transaction": ("mongodb", "memory"),
        "markers": _ALL_BUT_CASSANDRA,
        "bounded": _ALL_BUT_CASSANDRA,
        "strong": (*_ALL_BUT_CASSANDRA, "cassandra"),
    }
)
"""Servers by what they declare. Written down here, as a refusal cannot load every backend to look."""


def servers_supporting(capability: str) -> str:
    """The servers that have a mode of blocks, "markers", "bounded" or "strong", for a refusal's advice."""
    *others, last = _SUPPORTING[capability]
    return f"{', '.join(others)} and {last}"
