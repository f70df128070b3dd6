"""A unit whose errors leave it as a sink's: SinkDown or SinkRefused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["AsyncTold"]


class AsyncTold:
    """A unit, entered and left inside `told`, which translates. Not shared between threads or tasks."""

    def __init__(self, unit: Any, told: Callable[[], AbstractContextManager[None]]) -> None:
        self._unit = unit
        self._told = told

    async def __aenter__(self) -> Any:
        with self._told():
            return await self._unit.__aenter__()

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        with self._told():
            await self._unit.__aexit__(kind, error, traceback)
