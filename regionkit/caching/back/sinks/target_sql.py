"""The table that a SQL sink writes: which of its columns are the key, the version, the flag of a delete; and rows for it.

1. A row has the columns that its value has, the key's and the version. A column that the value does not have takes its default
   when the row is made, and stays as it is when it is written again.
2. A key's parts are those of the change; a value that says otherwise is refused. So is a field without a column.
   A part is of its column's type: 42 and "42" are two keys, and servers that take one for the other would make them one row.
3. Computed columns are read, never written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import JSON, Boolean, Column, DateTime, Enum, Integer, Table
from sqlalchemy.types import TypeDecorator

from regionkit.caching.back.refusals import SinkRefused
from regionkit.caching.back.rules import Change
from regionkit.caching.back.sinks.judging import mark_of
from regionkit.caching.back.sinks.shape import SCALARS, fields_of, from_fields, plain, to_fields
from regionkit.core.given import check_call
from regionkit.errors import ConfigurationError

__all__ = ["Batch", "Row", "Target"]

Row = dict[str, Any]
"""By the keys of columns, as the Table has them."""
ROW = "row"
"""Of `delete`: the row goes."""


class Target:
    """A table, and what its columns are. Immutable, but for `type`.

    Attributes:
        table: of SQLAlchemy.
        keys: columns of the key.
        version: the column of the version.
        flag: the column of a soft delete; None: rows go.
        type: of values.
    """

    def __init__(
        self,
        table: Any,
        key: str | Sequence[str],
        version: str,
        delete: str,
        encode: Callable[[Any], Mapping[str, Any]] | None,
        decode: Callable[[dict[str, Any]], Any] | None,
        type: Any,
    ) -> None:
        found = getattr(table, "__table__", table)
        if not isinstance(found, Table):
            raise ConfigurationError(
                f"a {found.__class__.__name__} is no table.", fix="give a Table of SQLAlchemy, or a mapped class."
            )
        self.table = found
        self.name = str(found.fullname)
        self.keys = [self._column(name) for name in (key if isinstance(key, tuple | list) else (key,))]
        if not self.keys or len({column.key for column in self.keys}) < len(self.keys):
            raise ConfigurationError(f"key={key!r} names no columns, or one twice.", fix='write key="id".')
        self._kinds = [_kind_of(column) for column in self.keys]
        self.version = self._version(version)
        self.flag = None if delete == ROW else self._column(delete)
        check_call("encode", encode)
        check_call("decode", decode)
        self.type = type
        self._single = isinstance(key, str)
        self._encode = encode or to_fields
        self._decode = decode
        own = {self.version.key} if self.flag is None else {self.version.key, self.flag.key}
        self.read = [c for c in found.columns if c.key not in own]
        self._writable = {c.key: _as_sent(c.type) for c in found.columns if c.computed is None}
        flags: tuple[Callable[[float], Any], Any] = (float, None) if self.flag is None else _flags(self.flag)
        self._set, self._unset = flags

    def _column(self, name: str) -> Column[Any]:
        if not isinstance(name, str) or name not in self.table.c:
            raise ConfigurationError(
                f"table {self.name!r} has no column {name!r}.",
                fix=f"name one of {', '.join(repr(key) for key in list(self.table.c.keys()))}.",
            )
        found: Column[Any] = self.table.c[name]
        return found

    def _version(self, name: str) -> Column[Any]:
        if not isinstance(name, str) or name in self.table.c:
            return self._column(name)
        raise ConfigurationError(
            f"table {self.name!r} has no column {name!r} for versions.",
            why="a row is written where its version is lower: without it a late write would replace a newer one.",
            fix=f'run ALTER TABLE {self.name} ADD COLUMN {name} BIGINT NOT NULL DEFAULT 0, and add Column("{name}",'
            ' BigInteger, nullable=False, server_default="0"), or name yours: version="...".',
        )

    def unknown_fields(self) -> list[str]:
        """Fields of the type that have no column; none where the type does not tell, or `encode` makes the rows."""
        names = fields_of(self.type) if self._encode is to_fields else None
        return [name for name in names or () if name not in self.table.c]

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
        for part, column, kind in zip(parts, self.keys, self._kinds, strict=True):
            if kind is not None and (not isinstance(part, kind) or isinstance(part, bool)):
                raise SinkRefused(
                    f"{part!r} is no {kind.__name__}, as keys in column {column.name!r} of {self.name!r} are"
                )
        return parts

    def row(self, change: Change, parts: Sequence[Any]) -> Row:
        """The row of a put. `parts`: of its key.

        Raises:
            SinkRefused: the value is no row of this table.
        """
        try:
            given = self._encode(change.value)
        except Exception as error:
            raise SinkRefused(f"the value of {change.key!r} is no row: {error}") from error
        row: Row = {}
        for name, value in given.items():
            send = self._writable.get(name)
            if send is plain and type(value) in SCALARS:  # as it is: most are
                row[name] = value
            elif send is not None:
                try:
                    row[name] = send(value)
                except (TypeError, ValueError) as error:
                    raise SinkRefused(
                        f"field {name!r} of {change.key!r} is nothing that can be sent: {error}"
                    ) from error
            elif name not in self.table.c:
                raise SinkRefused(f"table {self.name!r} has no column {name!r} for a field of {change.key!r}")
        for column, part in zip(self.keys, parts, strict=True):
            if row.setdefault(column.key, part) != part:
                raise SinkRefused(f"the value of key {change.key!r} says {column.key}={row[column.key]!r}")
        if self.flag is not None:
            row[self.flag.key] = self._unset
        row[self.version.key] = change.version
        return row

    def bare(self, change: Change, parts: Sequence[Any], now: float) -> Row:
        """Key and version of a delete, and the flag. `parts`: of its key. `now`: seconds since 1970."""
        row: Row = {column.key: part for column, part in zip(self.keys, parts, strict=True)}
        if self.flag is not None:
            row[self.flag.key] = self._set(now)
        row[self.version.key] = change.version
        return row

    def is_flagged(self, flag: Any) -> bool:
        """Whether a row with that flag counts as deleted."""
        return bool(flag) if self._unset is not None else flag is not None

    def value(self, fields: dict[str, Any]) -> Any:
        """The value of a row."""
        return from_fields(fields, self.type) if self._decode is None else self._decode(fields)


def _kind_of(column: Column[Any]) -> type | None:
    """Of which type keys in a column are; None: it does not tell, or it is none that keys have."""
    try:
        found = column.type.python_type
    except NotImplementedError:
        return None
    return found if found in (str, int, bytes, UUID) and not isinstance(column.type, TypeDecorator) else None


def _flags(column: Column[Any]) -> tuple[Callable[[float], Any], Any]:
    """What the flag of a soft delete is when the row is deleted at a time, and when it is not."""
    if isinstance(column.type, Boolean):
        return lambda _: True, False
    if isinstance(column.type, Integer):
        return lambda _: 1, 0
    if isinstance(column.type, DateTime) and column.nullable:
        zone = UTC if column.type.timezone else None
        return lambda now: datetime.fromtimestamp(now, UTC).replace(tzinfo=zone), None
    raise ConfigurationError(
        f"column {column.name!r} cannot say that a row is deleted.",
        why=f"it is of type {column.type!r}.",
        fix='name a boolean, a whole number, or a date and time that may be null; or leave delete="row".',
    )


def _as_sent(kind: Any) -> Callable[[Any], Any]:
    """What makes a field of a value one of a row, by the column's type."""
    if isinstance(kind, TypeDecorator | Enum):
        return _itself
    if isinstance(kind, JSON):
        return _document
    return plain


def _itself(value: Any) -> Any:
    return value


def _document(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True)


class Batch:
    """The changes of one flush, in order.

    Attributes:
        found: by number of a change that is settled: the version that stands there; None: nothing.
    """

    def __init__(self, target: Target, changes: Sequence[Change], now: float) -> None:
        self.target = target
        self.changes = changes
        self.now = now
        self.parts = [target.parts(change.key) for change in changes]
        self.rows = [
            None if change.deleted else target.row(change, parts)
            for change, parts in zip(changes, self.parts, strict=True)
        ]
        self.deletes = [n for n, change in enumerate(changes) if change.deleted]
        self.found: dict[int, int | None] = {}

    @cached_property
    def marks(self) -> list[str]:
        """How the keys stand in the marks: most flushes need none."""
        return [mark_of(change.key) for change in self.changes]

    def puts(self) -> list[tuple[tuple[str, ...], list[int]]]:
        """Numbers of puts that are not settled, by the columns that they have."""
        left = [(tuple(row), n) for n, row in enumerate(self.rows) if row is not None and n not in self.found]
        left.sort(key=lambda one: one[0])
        return [(names, [n for _, n in some]) for names, some in groupby(left, key=lambda one: one[0])]
