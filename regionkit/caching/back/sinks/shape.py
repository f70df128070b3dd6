"""Values of a cache as rows: fields by the names of columns, and back. Pure.

| value                  | its fields                                             | and back |
|------------------------|--------------------------------------------------------|----------|
| msgspec.Struct         | all that are not UNSET, also those equal to a default  | msgspec.convert, by the type |
| dataclass              | all                                                    | msgspec.convert, by the type |
| mapping                | its items                                              | a dict |
| anything else          | refused: `encode=` makes a mapping of it               | `decode=` |

1. A field is named as in Python, not as it is renamed for an encoding.
2. A member of an enumeration stands as its value, a nested struct as builtins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, get_origin
from uuid import UUID

import msgspec

__all__ = ["NATIVE", "SCALARS", "fields_of", "from_fields", "plain", "to_fields"]

NATIVE = (bytes, bytearray, datetime, date, time, timedelta, Decimal, UUID)
"""What drivers take and give as it is."""
SCALARS = frozenset({str, int, float, bool, type(None), *NATIVE})


def to_fields(value: Any) -> dict[str, Any]:
    """The fields of a value.

    Raises:
        TypeError: it has none.
    """
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        return {name: field for name in names if (field := getattr(value, name)) is not msgspec.UNSET}
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"a {type(value).__name__} has no fields that could be columns")


def plain(value: Any) -> Any:
    """One field as a driver takes it."""
    if type(value) in SCALARS:
        return value
    if isinstance(value, Enum):
        return value.value
    return msgspec.to_builtins(value, builtin_types=NATIVE)


def fields_of(kind: Any) -> dict[str, str] | None:
    """Names of the fields of a type, and what `from_fields` calls them; None where the type does not tell."""
    if not isinstance(kind, type) or get_origin(kind) is not None:
        return None
    if issubclass(kind, msgspec.Struct):
        return {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    if dataclasses.is_dataclass(kind):
        return {field.name: field.name for field in dataclasses.fields(kind)}
    return None


def from_fields(fields: Mapping[str, Any], kind: Any) -> Any:
    """A value of fields. Columns that the type does not have are left out.

    Raises:
        msgspec.ValidationError: they do not fit the type.
    """
    names = fields_of(kind)
    if names is not None:
        fields = {names[name]: field for name, field in fields.items() if name in names}
    if kind is None or kind is Any:
        return dict(fields)
    return msgspec.convert(dict(fields), kind, strict=False, builtin_types=NATIVE)
