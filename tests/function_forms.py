"""Functions of every form, each of which does nothing: what a call is given by mistake. Not made anew for a twin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any


def plain(db: Any) -> None:
    """For threads."""


async def coroutine(db: Any) -> None:
    """For asyncio."""


def generator(db: Any) -> Iterator[Any]:
    """Runs when somebody asks for its first value."""
    yield db


async def async_generator(db: Any) -> AsyncIterator[Any]:
    """The same for asyncio."""
    yield db
