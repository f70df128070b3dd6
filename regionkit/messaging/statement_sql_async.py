"""An effect that is one statement of SQL: alone, for many messages, or together with the claim.

PostgreSQL takes claim and effect as one statement. The claim in it is a plain INSERT: where it is there already the whole
statement fails, and its effect with it, whatever its text is. Nothing has to be added to the application's own condition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import text

from regionkit.core.given import check_text
from regionkit.errors import ConfigurationError, UsageError
from regionkit.messaging.envelope import LARGEST_MESSAGE, Message

__all__ = ["AsyncSqlStatement"]

_KIND = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_RETURNING = re.compile(r"\bRETURNING\b", re.IGNORECASE)
_COUNTED = MappingProxyType({"preserve_rowcount": True})
OWN = "rk_"
"""Names in a statement that are regionkit's begin with it."""


class AsyncSqlStatement:
    """One statement and its parameters. Immutable."""

    def __init__(self, sql: str) -> None:
        check_text("sql", sql, LARGEST_MESSAGE)
        self.sql = sql.strip().rstrip(";").rstrip()
        if not _KIND.match(self.sql) or _RETURNING.search(self.sql) or ";" in self.sql:
            raise ConfigurationError(
                f"{sql[:80]!r} cannot be an effect.",
                why="it is sent together with the claim, and its rows are counted.",
                fix="write one INSERT, UPDATE or DELETE without RETURNING, or a handler.",
            )
        self._text = text(self.sql)
        self._names = tuple(self._text._bindparams)
        if any(name.startswith(OWN) for name in self._names):
            raise ConfigurationError(f"names in a statement do not begin with {OWN!r}.", fix="give it another name.")

    def values(self, message: Message) -> dict[str, Any]:
        """Its parameters for a message.

        Raises:
            UsageError: the payload is no map, or has no field of that name.
        """
        own = {"message_id": message.id, "message_key": message.key}
        fields = {**message.payload, **own} if isinstance(message.payload, Mapping) else own
        missing = [name for name in self._names if name not in fields]
        if missing:
            raise UsageError(
                f"a message of type {message.type!r} has no field {missing[0]!r}.",
                why="names in a statement are fields of the payload, which has to be a map.",
                fix="edit the message in the hospital, or write a handler.",
            )
        return {name: fields[name] for name in self._names}

    async def one(self, message: Message, db: Any) -> None:
        """For one message, in its transaction."""
        await db.execute(self._text, self.values(message))

    async def many(self, messages: Sequence[Message], db: Any) -> int | None:
        """For many, in their order; the rows that were changed, where the driver tells."""
        said = await db.execute(self._text, [self.values(message) for message in messages], execution_options=_COUNTED)
        return None if said.rowcount < 0 else int(said.rowcount)

    def with_claim(self, inbox: str) -> str:
        """Claim and effect as one statement. Its count of rows is the effect's: the claim is one row, or all of it fails."""
        columns = ("bucket", "scope", "id", "print", "seen_at")
        return (  # the text is the application's own, and names of regionkit's; values are parameters
            f"WITH rk_claim AS (INSERT INTO {inbox} ({', '.join(columns)}) "  # noqa: S608
            f"VALUES ({', '.join(f':{OWN}{name}' for name in columns)})) {self.sql}"
        )
