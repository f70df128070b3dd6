"""Which values may be given to several callers as they are, because nobody can change them. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
import uuid
from typing import Any

import msgspec

__all__ = ["is_frozen"]

_PLAIN = (
    *(str, bytes, int, float, bool, type(None), complex, decimal.Decimal, uuid.UUID, enum.Enum),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
)


def is_frozen(kind: Any, within: tuple[Any, ...] = ()) -> bool:
    """Whether no value of a type can be changed, nor anything in it. What cannot be told counts as changeable."""
    if kind is None or kind in within:
        return True
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return is_frozen(arguments[0], within)
    if origin is typing.Literal:
        return True
    if origin in (typing.Union, types.UnionType, tuple, frozenset):
        return all(part is Ellipsis or is_frozen(part, within) for part in arguments)
    if origin is not None or not isinstance(kind, type):
        return False
    if issubclass(kind, _PLAIN):
        return True
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_config__.frozen and _fields_frozen(kind, within)
    if dataclasses.is_dataclass(kind):
        return kind.__dataclass_params__.frozen and _fields_frozen(kind, within)  # type: ignore[attr-defined]
    return False


def _fields_frozen(kind: type, within: tuple[Any, ...]) -> bool:
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:  # a name that is not there, at whatever place
        return False
    return all(
        typing.get_origin(hint) is typing.ClassVar or is_frozen(hint, (*within, kind)) for hint in hints.values()
    )
