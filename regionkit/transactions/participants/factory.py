# Generated from factory_async.py by scripts/twins.py. Do not edit.
"""Which participant serves what a manager was given: an engine, or a store of a kit's. Opened by name."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import Any

from regionkit.contract.backing import backing_of
from regionkit.core.given import can
from regionkit.errors import ConfigurationError, MissingDriver
from regionkit.transactions.participants.participant import Participant

__all__ = ["participant_of"]

IS_ASYNC = False
_SERVERS = MappingProxyType(
    {
        "postgresql": ("postgres", "Postgres"),
        "mariadb": ("mariadb", "Maria"),
        "mysql": ("mysql", "Mysql"),
        "sqlite": ("sqlite", "Sqlite"),
    }
)
"""By the server's kind: module, and what the class's name begins with. Before a server has greeted us MySQL counts as MariaDB."""


def participant_of(name: str, given: Any, *, namespace: str, store: str | None = None, **options: Any) -> Participant:
    """The participant for an engine, a kit's store, or a kit and store as a pair; one that was made comes back as it is.

    Args:
        name: of the participant.
        given: the engine, the kit, or (kit, store).
        namespace: of the transaction manager.
        store: which of a kit's stores.
        options: of the server's own participant.

    Raises:
        ConfigurationError: nothing that can take part; the error says what can.
    """
    if can(given, "evidence", "listed"):
        made: Participant = given
        return made
    if isinstance(given, tuple) and len(given) == 2:
        given, store = given
    server = backing_of(given, namespace=namespace, store=store).capabilities.server
    if server not in _SERVERS:
        raise ConfigurationError(
            f"participant {name!r}: {server} cannot take part in a global transaction.",
            fix="give an engine of PostgreSQL, MariaDB, MySQL or SQLite, or a store of a kit's on one of them.",
        )
    module, prefix = _SERVERS[server]
    try:
        found = import_module(f"regionkit.transactions.participants.{module}" + ("_async" if IS_ASYNC else ""))
    except ModuleNotFoundError as error:
        raise MissingDriver(f"participant {name!r} needs {error.name}.", fix="pip install it.") from error
    kind = getattr(found, f"{'Async' if IS_ASYNC else ''}{prefix}Participant")
    one: Participant = kind(name, given, namespace=namespace, store=store, **options)
    return one
