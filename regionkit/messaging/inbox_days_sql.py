"""Days of an inbox on PostgreSQL, a partition each: which there have to be, and how they are made. `bucket` is the day of an
id, from 1; 0 holds the ids that have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import text

from regionkit.messaging.delivery import ACCEPT_FOR

__all__ = ["AHEAD", "attach_day", "days_of", "days_sql", "days_wanted", "make_days"]

AHEAD = 2
"""Days that are there before they begin: a janitor may be away for a weekend's night and nobody notices."""
DAY = 86_400.0


def days_wanted(now: float, accept_for: float) -> set[int]:
    """Buckets that a claim may fall into until the day after tomorrow is over."""
    return {0, *range(1 + int((now - accept_for) // DAY), 2 + int(now // DAY) + AHEAD)}


def days_sql() -> str:
    """The names of the partitions of table `:name`."""
    return (
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(:name)"
    )


def days_of(table: str, partitions: Iterable[str]) -> set[int]:
    """Which days they are."""
    found = (re.fullmatch(re.escape(table) + r"_d(\d+)", name) for name in partitions)
    return {int(match.group(1)) for match in found if match is not None}


def attach_day(table: str, day: int) -> tuple[str, str]:
    """How a day is made. Attached, not made as a partition: that would stop every INSERT behind a transaction that is open."""
    return (
        f"CREATE TABLE IF NOT EXISTS {table}_d{day} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"ALTER TABLE {table} ATTACH PARTITION {table}_d{day} FOR VALUES FROM ({day}) TO ({day + 1})",
    )


def make_days(target: Any, connection: Any, **_: Any) -> None:
    """After CREATE TABLE: the days of messages that may come now. Others are made when a consumer starts."""
    if connection.dialect.name == "postgresql":
        now = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        for day in sorted(days_wanted(now, ACCEPT_FOR)):
            for statement in attach_day(target.name, day):
                connection.execute(text(statement))
