"""SQL stores through SQLAlchemy: PostgreSQL, MariaDB, SQLite. Nothing is imported until used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import MetaData

__all__ = ["tables"]


def tables(namespace: str) -> MetaData:
    """The tables that `create_tables` makes, for Alembic and other migration tools.

    `create_tables` also writes the first history row; with migrations, call it once after them.
    """
    from regionkit.backends.sql.schema import metadata

    return metadata(namespace)
