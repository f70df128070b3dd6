"""Statements and questions that differ between MariaDB and MySQL; one class serves both (mariadb_server.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from regionkit.contract.capabilities import Capabilities
from regionkit.facts.observation import Observation

__all__ = ["ServerWords", "lock_limits"]


class ServerWords(NamedTuple):
    """Of one of the two.

    Attributes:
        capabilities: what it can do.
        told: the setting by which the answer to a COMMIT carries its position.
        read_only: the setting that keeps a session from writing.
        limits: the server's own limits, as settings, for so many seconds.
        questions: where it stands, by the name of its table of histories: with its rows, and without.
        brief: the same questions without what costs the server much; None where nothing does.
        observation: what an answer says, of which run, when it was asked for, and how long it took.
    """

    capabilities: Capabilities
    told: str
    read_only: str
    limits: Callable[[float], list[str]]
    questions: Callable[[str], tuple[str, str]]
    brief: Callable[[str], tuple[str, str]] | None
    observation: Callable[[Sequence[Any], str, float, float], Observation]


def lock_limits(seconds: float) -> list[str]:
    """How long a statement waits for a lock, in both servers' words."""
    whole = int(seconds) + 1
    return [f"@@session.lock_wait_timeout={whole}", f"@@session.innodb_lock_wait_timeout={whole}"]
