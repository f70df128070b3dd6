"""The session of this context: set by `with kit.session()` and by the web middleware, inherited by tasks and pooled threads."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

__all__ = ["current_session", "enter_session", "leave_session"]

_CURRENT: ContextVar[tuple[Any, ...]] = ContextVar("regionkit_sessions", default=())
"""Open sessions of this context, the innermost last: several kits may have one each."""


def enter_session(session: Any) -> Token[tuple[Any, ...]]:
    """`session` is the current one of its kit from now on."""
    return _CURRENT.set((*_CURRENT.get(), session))


def leave_session(session: Any, token: Token[tuple[Any, ...]]) -> None:
    """`session` is no longer current in this context."""
    try:
        _CURRENT.reset(token)
    except ValueError:  # entered in another context, as a generator's fixture may do
        _CURRENT.set(tuple(s for s in _CURRENT.get() if s is not session))


def current_session(kit: object) -> Any:
    """The innermost session of `kit` in this context; None when there is none."""
    return next((s for s in reversed(_CURRENT.get()) if s.kit is kit), None)
