"""Which values are shared by callers as they are: those that nobody can change, nor anything in them."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest

from regionkit.caching.frozen import is_frozen


class Point(msgspec.Struct, frozen=True):
    """Of numbers."""

    x: int
    y: float | None = None


class Tree(msgspec.Struct, frozen=True):
    """Of itself."""

    shared: ClassVar[list[int]] = []
    left: Tree | None = None
    points: tuple[Point, ...] = ()


class Basket(msgspec.Struct, frozen=True):
    """Holds what can be changed."""

    items: list[str]


class Loose(msgspec.Struct):
    """Can be changed."""

    x: int


@dataclasses.dataclass(frozen=True)
class Row:
    """A frozen dataclass."""

    at: datetime.datetime
    within: Tree


@dataclasses.dataclass
class LooseRow:
    """One that is not."""

    x: int


@dataclasses.dataclass(frozen=True)
class Holds:
    """A frozen one around it."""

    row: LooseRow


class Lost(msgspec.Struct, frozen=True):
    """Names a function that does not exist."""

    x: Nowhere  # type: ignore[name-defined]  # noqa: F821


class Colour(enum.Enum):
    """Two of them."""

    RED = 1


class Pair(NamedTuple):
    """A tuple with names: its fields are not looked at."""

    x: int


class Doc(TypedDict):
    """A dict."""

    x: int


@pytest.mark.parametrize(
    "kind",
    [
        *(None, type(None), str, bytes, bool, int, float, decimal.Decimal, UUID, datetime.date, Colour),
        *(Point, Tree, Row, int | None, tuple[int, ...], tuple[Point, str], frozenset[str]),
        *(Literal["a", 1], Annotated[int, msgspec.Meta(gt=0)], tuple[Annotated[Point, "x"], ...]),
    ],
    ids=str,
)
def test_what_nobody_can_change(kind: Any) -> None:
    """Plain values, and what is made of them alone."""
    assert is_frozen(kind)


@pytest.mark.parametrize(
    "kind",
    [
        *(Any, object, dict, list, set, tuple, frozenset, bytearray, list[int], dict[str, int], tuple[list[int], ...]),
        *(Basket, Loose, LooseRow, Holds, Lost, Pair, Doc, int | list[int], Annotated[list[int], "x"], tuple[Any, ...]),
    ],
    ids=str,
)
def test_what_can_be_changed_or_cannot_be_told(kind: Any) -> None:
    """At any depth; a caller gets a copy of each."""
    assert not is_frozen(kind)
