"""How many rows an upsert surely wrote, by what the server counted. Pure.

| server             | it counts a row that is new, changed, left as it was | surely written |
|--------------------|------------------------------------------------------|----------------|
| PostgreSQL, SQLite | 1, 1, 0                                              | the count |
| MariaDB            | 1, 2, 1: found rows count, as SQLAlchemy asks        | the count less "Duplicates" of its answer |
|                    | 1, 2, 0: they do not                                 | the same: only changed rows are duplicates then |

1. MariaDB says "Records: 100  Duplicates: 37" of several rows that it got as one statement. Where it says so of fewer than all,
   or of one row, or in another language, only a row that counts 2 is sure.
2. What is not surely written is read back. So a count that is too low costs time, and one that is too high a row.
"""

from __future__ import annotations

import re
from typing import Any

from regionkit.caching.back.sinks.raising_sql import MYSQL

__all__ = ["info_of", "surely_written"]

_INFO = re.compile(rb"Records: (\d+)  Duplicates: (\d+)")


def surely_written(server: str, rows: int, count: int, info: bytes) -> int:
    """Of so many rows; 0 where nobody knows. `count`: of the cursor, negative where it has none. `info`: MariaDB's words."""
    if server not in MYSQL:
        return max(0, count)
    told = _INFO.search(info)
    if told is not None and int(told[1]) == rows:
        return count - int(told[2])
    return rows if count == 2 * rows else 0


def info_of(result: Any) -> bytes:
    """What MariaDB says of a statement's rows; b"" where its driver does not keep it."""
    cursor = getattr(getattr(result, "context", None), "cursor", None)
    told = getattr(getattr(getattr(cursor, "_cursor", cursor), "_result", None), "message", None)
    return told if isinstance(told, bytes) else b""
