"""Rows as one JSON parameter, which PostgreSQL takes apart by the table's own types: a third of what a parameter a value costs.

1. Only what JSON says exactly goes so. A NaN, a NUL, an aware time for a column without a time zone,
   a type of the application's: such rows are sent as parameters, and the server or the driver says what it thinks of them.
2. A document (JSON, JSONB) is encoded apart, as SQLAlchemy does it; a None may be a null of JSON's there: a parameter too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Time,
    Uuid,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from regionkit.caching.back.sinks.target_sql import Row

__all__ = ["JsonRows"]

_NUL = b"\\u0000"
_ENCODER = msgspec.json.Encoder(decimal_format="string")
_EXACT: tuple[tuple[type[TypeEngine[Any]], frozenset[type]], ...] = (
    (Integer, frozenset({int})),
    (Boolean, frozenset({bool})),
    (Numeric, frozenset({int, float, Decimal})),
    (Float, frozenset({int, float, Decimal})),  # SQLAlchemy 2.1: no Numeric any more
    (String, frozenset({str})),
    (Uuid, frozenset({UUID, str})),
    (Date, frozenset({date})),
)
"""By type of column: what of Python JSON says exactly."""


class _Inexact(Exception):
    """A value that JSON does not say exactly."""


class JsonRows:
    """Says rows of some columns in JSON. Immutable."""

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        found = [(column.key, column.name, _sayer(column.type)) for column in columns]
        self._columns: list[tuple[str, str, Callable[[Any], Any]]] | None = None
        if all(say is not None for _, _, say in found):
            self._columns = found  # type: ignore[assignment]

    def said(self, rows: Sequence[Row]) -> str | None:
        """A JSON array of objects by the names of columns; None where parameters have to be used."""
        if self._columns is None:
            return None
        try:
            text = _ENCODER.encode([{name: say(row[key]) for key, name, say in self._columns} for row in rows])
        except (_Inexact, OverflowError, UnicodeEncodeError):
            return None
        return None if _NUL in text else text.decode()


def _sayer(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    if isinstance(kind, TypeDecorator | Enum):
        return None
    if isinstance(kind, JSON):
        return _document
    if isinstance(kind, LargeBinary):
        return _bytes
    if isinstance(kind, DateTime):
        return _moment(datetime, zoned=kind.timezone)
    if isinstance(kind, Time):
        return _moment(time, zoned=kind.timezone)
    return next((_of_types(types) for of, types in _EXACT if isinstance(kind, of)), None)


def _of_types(types: frozenset[type]) -> Callable[[Any], Any]:
    def say(value: Any) -> Any:
        if value is None:
            return None
        if type(value) not in types or (type(value) is float and not math.isfinite(value)):
            raise _Inexact
        return value

    return say


def _moment(of: Any, *, zoned: bool) -> Callable[[Any], Any]:
    def say(value: Any) -> Any:
        if value is not None and (type(value) is not of or (value.tzinfo is not None and not zoned)):
            raise _Inexact
        return value

    return say


def _bytes(value: Any) -> Any:
    if value is None:
        return None
    if type(value) is not bytes:
        raise _Inexact
    return "\\x" + value.hex()


def _document(value: Any) -> Any:
    if value is None:
        raise _Inexact
    try:
        return msgspec.Raw(json.dumps(value, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise _Inexact from error
