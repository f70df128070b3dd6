"""The table that a Cassandra sink writes: its columns, what can be wrong with it, what is said to it, and values as rows. Pure.

1. A row is written by conditions only, `IF version < ?`, else `IF version = null`: servers order them. Never by time stamps:
   those tell nobody of another writer's newer row.
2. A row has the columns that its value has, the key's and the version. A column that the value does not have stays as it is.
3. A delete leaves the version and the time in place of the values, with a time to live. A row without a version and without any
   value is what such a mark leaves in a row that somebody has inserted: it counts as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from regionkit.caching.back.refusals import SinkRefused
from regionkit.caching.back.rules import Change
from regionkit.caching.back.sinks.shape import fields_of, from_fields, plain, to_fields
from regionkit.core.given import check_call
from regionkit.errors import ConfigurationError

__all__ = ["COLUMNS", "VIEWS", "CassandraTarget", "Column", "Said", "quoted"]

COLUMNS = (
    "SELECT column_name, kind, position, type FROM system_schema.columns WHERE keyspace_name = %s AND table_name = %s"
)
VIEWS = "SELECT view_name FROM system_schema.views WHERE keyspace_name = %s AND view_name = %s"
VERSION, GONE = "bigint", "timestamp"
_KINDS: Mapping[str, type] = {"text": str, "ascii": str, "varchar": str, "bigint": int, "int": int, "blob": bytes}
"""Types of key columns whose keys are of one type of Python's."""


class Column(msgspec.Struct, frozen=True):
    """One column, as `system_schema` has it. `kind`: "partition_key", "clustering", "regular" or "static"."""

    name: str
    kind: str
    position: int
    type: str


class Said(msgspec.Struct, frozen=True):
    """Two texts of one change. `newer`: where a lower version stands; `first`: where none does."""

    newer: str
    first: str


class CassandraTarget:
    """A table. Immutable, but for `type` and what `learned` was told.

    Args:
        table: its name, or "keyspace.name".
        key: the columns of its primary key, in their order.
        version, gone: columns of the version, and of the time of a delete.
        encode, decode, type: as of the sink.
    """

    def __init__(
        self,
        table: str,
        key: str | Sequence[str],
        version: str,
        gone: str,
        encode: Callable[[Any], Mapping[str, Any]] | None,
        decode: Callable[[dict[str, Any]], Any] | None,
        type: Any,
    ) -> None:
        names = (key,) if isinstance(key, str) else tuple(key)
        if not names or len({*names, version, gone}) < len(names) + 2:
            raise ConfigurationError(
                f"key={key!r}, version={version!r} and gone={gone!r} name a column twice, or no key.",
                fix='write key="id".',
            )
        if not isinstance(table, str) or not 1 <= len(table.split(".")) <= 2 or not all(table.split(".")):
            raise ConfigurationError(f"{table!r} is no name of a table.", fix='give "users", or "keyspace.users".')
        self.name = table
        self.table = ".".join(map(quoted, table.split(".")))
        self.keys = names
        self.version, self.gone = version, gone
        self.type = type
        self._single = isinstance(key, str)
        check_call("encode", encode)
        check_call("decode", decode)
        self._encode = encode or to_fields
        self._decode = decode
        self.partition = 1
        self.columns: tuple[str, ...] = ()
        self._kinds: tuple[type | None, ...] = (None,) * len(names)

    def place(self, keyspace: str) -> tuple[str, str]:
        """Keyspace and name, as `system_schema` has them."""
        first, _, last = self.name.rpartition(".")
        return first or keyspace, last

    def learned(self, columns: Iterable[Column]) -> None:
        """Take in what the columns are.

        Raises:
            ConfigurationError: the guard could not hold there, or a field of the type has no column; with what to run.
        """
        by_name = {column.name: column for column in columns}
        if not by_name:
            raise ConfigurationError(
                f"there is no table {self.name!r}.",
                why="names are taken as they are written: Users is not users.",
                fix=f"run CREATE TABLE {self.name} ({self.keys[0]} text PRIMARY KEY, ..., {self.version} bigint, "
                f"{self.gone} timestamp).",
            )
        keys = [c for kind in ("partition_key", "clustering") for c in by_name.values() if c.kind == kind]
        keys.sort(key=lambda column: (column.kind != "partition_key", column.position))
        if tuple(column.name for column in keys) != self.keys:
            names = ", ".join(repr(column.name) for column in keys)
            raise ConfigurationError(
                f"key={list(self.keys)!r} is not the primary key of {self.name!r}.",
                fix=f"give the key's columns in their order: {names}.",
            )
        for name, kind, use in ((self.version, VERSION, "versions"), (self.gone, GONE, "times of deletes")):
            self._check_own(by_name.get(name), name, kind, use)
        if any(column.type == "counter" for column in by_name.values()):
            raise ConfigurationError(
                f"table {self.name!r} has counters.", why="they cannot be set.", fix="keep them in another table."
            )
        names_of = fields_of(self.type) if self._encode is to_fields else None
        unknown = [name for name in names_of or () if name not in by_name]
        shared = [name for name in names_of or () if name in by_name and by_name[name].kind == "static"]
        if unknown or shared:
            what = "has no column" if unknown else "shares over all rows of a partition the column"
            raise ConfigurationError(
                f"table {self.name!r} {what} for {', '.join(map(repr, unknown or shared))}.",
                why="the cache's values have such a field.",
                fix="add it to the rows, rename one of the two, or give encode= and decode=.",
            )
        self.partition = sum(column.kind == "partition_key" for column in keys)
        own = {*self.keys, self.version, self.gone}
        self.columns = tuple(name for name, c in by_name.items() if c.kind == "regular" and name not in own)
        self._kinds = tuple(_KINDS.get(column.type) for column in keys)

    def _check_own(self, column: Column | None, name: str, kind: str, use: str) -> None:
        if column is None:
            raise ConfigurationError(
                f"table {self.name!r} has no column {name!r} for {use}.",
                why="a row is written where its version is lower: without it a late write would replace a newer one.",
                fix=f"run ALTER TABLE {self.name} ADD {name} {kind}.",
            )
        if column.kind != "regular" or column.type != kind:
            raise ConfigurationError(
                f"column {name!r} of {self.name!r} is a {column.kind} {column.type}, and cannot hold {use}.",
                fix=f"name a regular column of type {kind}.",
            )

    def parts(self, key: Any) -> tuple[Any, ...]:
        """The key, a part a column.

        Raises:
            SinkRefused: it has another number of parts, or one of another type than its column.
        """
        if self._single:
            key = (key,)
        elif not isinstance(key, tuple) or len(key) != len(self.keys):
            raise SinkRefused(f"key {key!r} does not have {len(self.keys)} parts, as the key of {self.name!r} has")
        parts: tuple[Any, ...] = key
        for part, name, kind in zip(parts, self.keys, self._kinds, strict=True):
            if kind is not None and (not isinstance(part, kind) or isinstance(part, bool)):
                raise SinkRefused(f"{part!r} is no {kind.__name__}, as keys in column {name!r} of {self.name!r} are")
            if isinstance(part, list | tuple | dict):
                raise SinkRefused(f"{part!r} is no part of a key of {self.name!r}")
        return parts

    def row(self, change: Change, now: float, marks: int) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Names of the columns that are set, and what to: in the order of a statement's words, the key behind them.

        Raises:
            SinkRefused: the value is no row of this table.
        """
        parts = self.parts(change.key)
        if change.deleted:
            nothing = (None,) * len(self.columns)
            at = datetime.fromtimestamp(now, UTC)
            return self.columns, (marks, *nothing, change.version, at, *parts)
        try:
            fields = {name: plain(field) for name, field in self._encode(change.value).items()}
        except Exception as error:
            raise SinkRefused(f"the value of {change.key!r} is no row: {error}") from error
        for name, part in zip(self.keys, parts, strict=True):
            if fields.pop(name, part) != part:
                raise SinkRefused(f"the value of key {change.key!r} has another {name}")
        foreign = [name for name in fields if name not in self.columns]
        if foreign:
            raise SinkRefused(f"table {self.name!r} has no column {foreign[0]!r} for a field of {change.key!r}")
        return tuple(fields), (*fields.values(), change.version, None, *parts)

    def said(self, names: Sequence[str], *, deleted: bool) -> Said:
        """What writes a row with these columns."""
        sets = ", ".join(f"{quoted(name)} = ?" for name in (*names, self.version, self.gone))
        lives = "USING TTL ? " if deleted else ""
        text = f"UPDATE {self.table} {lives}SET {sets} WHERE {self._here()} IF {quoted(self.version)}"
        return Said(f"{text} < ?", f"{text} = null")

    def _here(self) -> str:
        return " AND ".join(f"{quoted(name)} = ?" for name in self.keys)

    def standing(self) -> str:
        """Reads the version of a row."""
        return f"SELECT {quoted(self.version)} FROM {self.table} WHERE {self._here()}"  # noqa: S608  # quoted names

    def whole(self) -> str:
        """Reads a row: version, time of its delete, columns, key."""
        names = (self.version, self.gone, *self.columns, *self.keys)
        return f"SELECT {', '.join(map(quoted, names))} FROM {self.table} WHERE {self._here()}"  # noqa: S608

    def given(self, row: Sequence[Any]) -> tuple[Any, int] | None:
        """Value and version of a row as `whole` reads it; None where it counts as nothing: rule 3.

        Raises:
            ValueError, TypeError, LookupError, msgspec.ValidationError: it is no value of the type.
        """
        version, gone, *rest = row
        fields = dict(zip((*self.columns, *self.keys), map(_given, rest), strict=True))
        if gone is not None or (version is None and all(fields[name] is None for name in self.columns)):
            return None
        if self._decode is not None:
            return self._decode(fields), version or 0
        if fields_of(self.type) is None:
            fields = {name: fields[name] for name in self.columns}
        return from_fields(fields, self.type), version or 0


def quoted(name: str) -> str:
    """A name, as it is written."""
    return '"' + name.replace('"', '""') + '"'


def _given(field: Any) -> Any:
    """What the driver gives, as values have it: times of the zone that Cassandra means, plain collections."""
    if isinstance(field, datetime):
        return field.replace(tzinfo=UTC)
    match type(field).__name__:
        case "Date":
            return field.date()
        case "Time":
            return field.time()
        case "SortedSet":
            return [_given(one) for one in field]
        case "OrderedMapSerializedKey" | "OrderedMap":
            return {key: _given(one) for key, one in field.items()}
    return [_given(one) for one in field] if isinstance(field, list) else field
