"""A table of a pillar that the tests play, in each family's words."""

from __future__ import annotations

from typing import Any

import sqlalchemy

from regionkit.core.tables import Table

HOMES = {"sql": f"{__name__}:notes", "mongo": f"{__name__}:NOTES", "cassandra": f"{__name__}:NOTES_CQL"}
NOTES_TABLE = Table("testing", "notes", 1, HOMES)
NEWER_NOTES_TABLE = Table("testing", "notes", 2, HOMES)

NOTES: tuple[tuple[str, dict[str, Any]], ...] = (("written_at", {}),)
NOTES_CQL = "CREATE TABLE IF NOT EXISTS {} (id text PRIMARY KEY, note text)"


def notes(meta: sqlalchemy.MetaData, name: str) -> sqlalchemy.Table:
    """On SQL."""
    return sqlalchemy.Table(name, meta, sqlalchemy.Column("id", sqlalchemy.String(20), primary_key=True))
