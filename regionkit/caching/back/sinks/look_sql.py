"""What the database itself says of a sink's table: whether the guard can hold there, and what else is worth knowing.

| what is found                                                | what becomes of it |
|--------------------------------------------------------------|--------------------|
| no such table, a view, an engine without transactions        | refused |
| a version that may be NULL, is too small, a text, not there  | refused, with the ALTER TABLE to run |
| a key without a primary key or unique index of just it       | refused, with the ALTER TABLE to run |
| another unique index                                         | on MariaDB another statement is used (`has_others`) |
| triggers, computed columns, a key that ignores case          | findings |
| SQLite: foreign keys                                         | findings: a connection enforces them only when it is told to |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Float, Integer, Numeric, String, bindparam, inspect, text
from sqlalchemy.engine import Inspector
from sqlalchemy.exc import NoSuchTableError

from regionkit.caching.back.sinks.target_sql import Target
from regionkit.errors import ConfigurationError

__all__ = ["Indexes", "findings_of", "indexes_of"]

MYSQL = ("mysql", "mariadb")
WIDE = 19
"""Digits of a version."""
_TRIGGERS = {
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:whole AS regclass) AND NOT tgisinternal",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name",
    **dict.fromkeys(
        MYSQL,
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_TABLE = :name"
        " AND EVENT_OBJECT_SCHEMA = COALESCE(:schema, DATABASE())",
    ),
}


class Indexes(NamedTuple):
    """What is unique in a table.

    Attributes:
        of_key: the name of the index that makes the key unique.
        has_others: there is another one.
    """

    of_key: str
    has_others: bool


def findings_of(connection: Connection, target: Target) -> tuple[str, ...]:
    """Look at the table: what holds, and is worth knowing.

    Raises:
        ConfigurationError: the guard could not hold, with what to change.
    """
    seen, server = inspect(connection), connection.dialect.name
    name, schema = target.table.name, target.table.schema
    try:
        columns = {column["name"]: column for column in seen.get_columns(name, schema)}
    except NoSuchTableError:
        raise _refused(target, "is not there.", "create it, or name another one.") from None
    if _is_view(seen, server, name, schema):
        raise _refused(target, "is a view.", "give the table behind it: a view has no unique index to write by.")
    if server in MYSQL:
        _require_innodb(seen, target)
    _require_version(columns, target, server)
    others = indexes_of(connection, target).has_others
    return tuple(_findings(connection, seen, columns, target, others=others))


def _refused(target: Target, what: str, fix: str, why: str = "") -> ConfigurationError:
    return ConfigurationError(f"table {target.name!r} {what}", why=why, fix=fix)


def _is_view(seen: Inspector, server: str, name: str, schema: str | None) -> bool:
    views = list(seen.get_view_names(schema))
    if server == "postgresql":
        views += seen.get_materialized_view_names(schema)
    return name in views


def _require_innodb(seen: Inspector, target: Target) -> None:
    options = seen.get_table_options(target.table.name, target.table.schema)
    engine = next((str(value) for key, value in options.items() if key.endswith("_engine")), "")
    if engine.lower() != "innodb":
        raise _refused(
            target,
            f"is of the engine {engine}.",
            f"run ALTER TABLE {target.name} ENGINE = InnoDB.",
            "it rolls nothing back: half of a flush would stay.",
        )


def _require_version(columns: dict[str, Any], target: Target, server: str) -> None:
    table, name = target.name, target.version.name
    found = columns.get(name)
    if found is None:
        raise _refused(
            target,
            f"has no column {name!r} for versions.",
            f"run ALTER TABLE {table} ADD COLUMN {name} BIGINT NOT NULL DEFAULT 0.",
            "a row is written where its version is lower.",
        )
    if server in MYSQL:
        change = f"ALTER TABLE {table} MODIFY {name} BIGINT NOT NULL DEFAULT 0"
    elif server == "sqlite":
        change = (
            f"ALTER TABLE {table} DROP COLUMN {name}; ALTER TABLE {table} ADD COLUMN {name} BIGINT NOT NULL DEFAULT 0"
        )
    else:
        change = (
            f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT;"
            f" ALTER TABLE {table} ALTER COLUMN {name} TYPE BIGINT USING {name}::bigint,"
            f" ALTER COLUMN {name} SET DEFAULT 0, ALTER COLUMN {name} SET NOT NULL"
        )
    if not _holds_versions(found["type"], server):
        raise _refused(
            target, f"keeps versions as {found['type']}.", f"run {change}.", "they are whole numbers up to 2^63 - 1."
        )
    if found["nullable"]:
        raise _refused(
            target,
            f"may have a NULL in its column {name!r}.",
            f"run UPDATE {table} SET {name} = 0 WHERE {name} IS NULL; {change}.",  # noqa: S608  # words for people
            "a comparison with NULL is never true: other writers' rows would look as if they had no version.",
        )


def _holds_versions(kind: Any, server: str) -> bool:
    if isinstance(kind, Integer):
        return isinstance(kind, BigInteger) or server == "sqlite"
    if isinstance(kind, Float) or not isinstance(kind, Numeric) or server == "sqlite":
        return False
    return not kind.scale and (kind.precision is None or kind.precision >= WIDE)


def indexes_of(connection: Connection, target: Target) -> Indexes:
    """What is unique in the table.

    Raises:
        ConfigurationError: the key is not, or the table is not there.
    """
    seen = inspect(connection)
    try:
        found = _unique(seen, target)
    except NoSuchTableError:
        raise _refused(target, "is not there.", "create it, or name another one.") from None
    key = {column.name for column in target.keys}
    ours = [index for index, columns in found if set(columns) == key]
    if not ours:
        names = ", ".join(column.name for column in target.keys)
        raise _refused(
            target,
            f"has no unique index of just {names}.",
            f"run CREATE UNIQUE INDEX {target.table.name}_by_key ON {target.name} ({names}), or name the columns of its"
            ' primary key: key="...".',
            "the row of a key has to be the only one.",
        )
    return Indexes(ours[0], any(set(columns) != key for _, columns in found))


def _unique(seen: Inspector, target: Target) -> list[tuple[str, Sequence[str | None]]]:
    """Unique indexes and their columns; None for an expression, or a part of the rows."""
    name, schema = target.table.name, target.table.schema
    primary = seen.get_pk_constraint(name, schema)
    found: list[tuple[str, Sequence[str | None]]] = []
    if primary["constrained_columns"]:
        found.append((str(primary.get("name") or "PRIMARY"), primary["constrained_columns"]))
    found += [(str(unique["name"]), unique["column_names"]) for unique in seen.get_unique_constraints(name, schema)]
    for index in seen.get_indexes(name, schema):
        if index["unique"] and not index.get("dialect_options", {}).get(f"{seen.dialect.name}_where"):
            found.append((str(index["name"]), index["column_names"]))
        elif index["unique"]:
            found.append((str(index["name"]), [None]))
    return found


def _findings(
    connection: Connection, seen: Inspector, columns: dict[str, Any], target: Target, *, others: bool
) -> list[str]:
    server, table = connection.dialect.name, target.table
    whole = connection.dialect.identifier_preparer.format_table(table)
    found = []
    names = [name for name in ("name", "schema", "whole") if f":{name}" in _TRIGGERS[server]]
    given = {"name": table.name, "schema": table.schema, "whole": whole}
    asked = text(_TRIGGERS[server]).bindparams(*(bindparam(name, given[name]) for name in names))
    triggers = [str(row[0]) for row in connection.execute(asked)]
    if triggers:
        found.append(f"triggers run at each flush, also for values that are overwritten later: {', '.join(triggers)}")
    computed = [name for name, column in columns.items() if column.get("computed")]
    if computed:
        found.append(f"computed columns are read, and never written: {', '.join(computed)}")
    if others and server in MYSQL:
        found.append("another unique index: rows are updated one by one, as ON DUPLICATE KEY could write another row")
    if server in MYSQL:
        kinds = [(c.name, columns[c.name]["type"]) for c in target.keys if c.name in columns]
        loose = [n for n, kind in kinds if isinstance(kind, String) and _ignores_case(connection, target, n)]
        if loose:
            found.append(f"keys that differ in case only are one row ({', '.join(loose)}); give it a collation ..._bin")
    if server == "sqlite" and seen.get_foreign_keys(table.name, table.schema):
        found.append("foreign keys are not enforced: SQLite does so only on connections that ask for it")
    if columns[target.version.name]["default"] is None:
        found.append(f"{target.version.name} has no default: other writers have to give one; 0 is meant")
    return found


def _ignores_case(connection: Connection, target: Target, column: str) -> bool:
    asked = text(
        "SELECT COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_NAME = :name AND COLUMN_NAME = :of"
        " AND TABLE_SCHEMA = COALESCE(:schema, DATABASE())"
    )
    given = {"name": target.table.name, "of": column, "schema": target.table.schema}
    return not str(connection.execute(asked, given).scalar() or "_bin").endswith("_bin")
