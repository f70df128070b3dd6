"""Which server a log stands in, and what that one says of itself: asked on its first connection.

A URL does not tell MySQL from MariaDB; the server's greeting does.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from regionkit.contract.unit_async import AsyncUnit
from regionkit.transactions.logs.lasting_sql import DENIED, QUESTIONS, Standing, standing
from regionkit.transactions.logs.log_sql import LogSql

__all__ = ["greeted"]


async def greeted(unit: AsyncUnit, sql: LogSql, namespace: str, copies: int) -> tuple[LogSql, Standing]:
    """The statements for the server behind this unit, and where the log stands.

    Args:
        unit: on the log's owner, with a Connection.
        sql: the statements for what the URL says.
        namespace: of the log.
        copies: that may become the owner's, by the topology.
    """
    if sql.server == "mariadb" and not unit.native.dialect.is_mariadb:
        sql = LogSql("mysql", namespace)
    answers = [await _asked(unit, question.format(log=sql.table)) for question in QUESTIONS[sql.server]]
    found = standing(sql.server, answers, copies)
    return LogSql(sql.server, namespace, found.schema) if found.schema else sql, found


async def _asked(unit: AsyncUnit, question: str) -> list[Any]:
    """Rows; none where the account lacks the right to ask."""
    try:
        return list((await unit.native.execute(text(question))).all())
    except DBAPIError as error:
        if error.orig is None or error.orig.args[0] not in DENIED:
            raise
        return []
