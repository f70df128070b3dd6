"""SQL stores through SQLAlchemy: PostgreSQL, MariaDB, SQLite. Nothing is imported until used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import MetaData

__all__ = ["tables"]


def tables(namespace: str, pillars: Sequence[str] = ("routing",)) -> MetaData:
    """The tables that `create_tables` makes, for Alembic and other migration tools.

    `create_tables` also notes their versions and writes the first history row; with migrations, call it once after them.

    Args:
        namespace: of the topology, or of the backing.
        pillars: whose tables: "routing" (default), "caching", "messaging", "transactions".

    Raises:
        ConfigurationError: an unknown pillar.
    """
    from regionkit.backends.sql.schema import metadata

    return metadata(namespace, pillars)
