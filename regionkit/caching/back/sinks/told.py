# Generated from told_async.py by scripts/twins.py. Do not edit.
"""A unit whose errors leave it as a sink's: SinkDown or SinkRefused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["Told"]


class Told:
    """A unit, entered and left inside `told`, which translates. Not shared between threads or tasks."""

    def __init__(self, unit: Any, told: Callable[[], AbstractContextManager[None]]) -> None:
        self._unit = unit
        self._told = told

    def __enter__(self) -> Any:
        with self._told():
            return self._unit.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        with self._told():
            self._unit.__exit__(kind, error, traceback)
