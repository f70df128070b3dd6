"""Crossing between coroutines and SQLAlchemy's greenlets: here there are none. Hand-written pair with `bridge_async.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.orm import Session

from regionkit.topology import SessionOptions

__all__ = [
    "Connection",
    "Engine",
    "Session",
    "bounded",
    "create_engine",
    "drive",
    "native_connection",
    "open_session",
    "resume",
]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound=Session)


def drive(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it."""
    return call(*args, **kwargs)


def resume(result: T) -> T:
    """It is there already."""
    return result


def bounded(seconds: float, call: Callable[..., T], *args: Any) -> T:
    """Call it. A thread cannot be cut short: how long it may wait is the driver's."""
    return call(*args)


def native_connection(engine: Engine, connection: Connection) -> Connection:
    """What the user gets for a SQLAlchemy connection: the connection."""
    return connection


def open_session(kind: type[S], options: SessionOptions) -> tuple[S, S]:
    """What the user gets, and the Session of ours that does the work: the same."""
    made = kind(autoflush=options.autoflush, expire_on_commit=options.expire_on_commit)
    return made, made
