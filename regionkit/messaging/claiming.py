# Generated from claiming_async.py by scripts/twins.py. Do not edit.
"""Where claims are kept: one face over all stores. `claim` says what is promised; what opens them is found by name.

>>> claims = async_claims_of(backing_of(engine))
>>> wish = Wish(b"mail.send", b"42", os.urandom(16))
>>> won = claims.claim(wish, within=5.0)
>>> claims.step("complete", wish, won.fence, result=b"sent", within=5.0)
True
"""

from __future__ import annotations

from hashlib import sha256
from importlib import import_module
from types import MappingProxyType
from typing import Protocol

from regionkit.contract.backing import Backing
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.messaging.claim import Answer, Step, Wish

__all__ = ["LONGEST_NAME", "Claims", "async_claims_of", "fitting"]

IS_ASYNC = False

LONGEST_NAME = 200
"""Of a scope or an id, bytes: both fit an index key of every server. What is longer stands under its digest."""
_DIGEST = b"\xc1"
"""Before a digest. Neither UTF-8 nor msgpack begins with it."""
_FAMILIES = MappingProxyType(
    {
        **dict.fromkeys(("postgresql", "mariadb", "mysql", "sqlite"), "sql"),
        **{"redis": "redis", "mongodb": "mongo", "cassandra": "cassandra"},
    }
)
"""By the server of a backing: whose module keeps claims there."""


class Claims(Protocol):
    """The claims of one store. Safe to share between threads (tasks of one loop)."""

    def claim(self, wish: Wish, *, within: float) -> Answer:
        """Ask for a record. After an error the same wish may be asked for again: it is then the same claim.

        Args:
            wish: what is asked for.
            within: seconds for the answer.

        Raises:
            OutcomeUnknown: it was sent, and no answer came: it may be claimed.
            RegionUnavailable, DeadlineExceeded: it was not claimed.
            ConfigurationError: a name is too long (`fitting`), or the table is not there.
        """
        ...

    def step(self, step: Step, wish: Wish, fence: int, *, result: bytes | None = None, within: float) -> bool:
        """Make a step; whether it was made: False, the record is not this claim's any more. May be asked for again.

        Raises: as `claim`.
        """
        ...

    def sweep(self, *, within: float) -> int:
        """Take away records that are to be remembered no longer, a bounded number; how many."""
        ...

    def create_tables(self, deadline: Deadline) -> None:
        """Make what is kept there, once."""
        ...

    def close(self) -> None:
        """Close what was opened, never what was handed in. May be called twice."""
        ...


def async_claims_of(backing: Backing) -> Claims:
    """The claims of a backing.

    Raises:
        ConfigurationError: no claims can be kept there.
    """
    server = backing.capabilities.server
    if server not in _FAMILIES:
        raise ConfigurationError(
            f"{backing.name!r} cannot keep claims.",
            why=f"it is {server}.",
            fix="use a store of PostgreSQL, MariaDB, MySQL, SQLite, Redis, MongoDB or Cassandra, or MemoryRecords().",
        )
    module = f"regionkit.messaging.claims.{_FAMILIES[server]}{'_async' if IS_ASYNC else ''}"
    claims: Claims = import_module(module).opened_claims(backing)
    return claims


def fitting(name: bytes) -> bytes:
    """A scope or an id as it is kept: itself, or its digest where it is too long."""
    return name if len(name) <= LONGEST_NAME and name[:1] != _DIGEST else _DIGEST + sha256(name).digest()
