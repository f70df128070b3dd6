"""What a consumer and a relay are made of, checked when they are made. Pure."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any

from regionkit.core.given import can
from regionkit.errors import ConfigurationError

__all__ = ["check_part"]

_WHAT = {
    "fetch": ("source", "MemoryQueue, SqlQueue(engine, name) or RedisStream(client, name)"),
    "judge": (
        "inbox",
        "SqlInbox(engine), MongoInbox(db), RedisInbox(client), CassandraInbox(session) or MemoryInbox()",
    ),
    "change": ("outbox", "Outbox(engine) or MongoOutbox(db)"),
    "publish": ("target", "SqlQueue(engine, name), RedisStream(client, name) or MemoryQueue"),
}
"""By a method that such a thing has: what it is, and what is one."""


def check_part(part: Any, method: str, *, is_async: bool) -> None:
    """See that something has a method, and has it in this world.

    Raises:
        ConfigurationError: it is another thing, a class, or for the other world.
    """
    what, such = _WHAT[method]
    facts = method in ("fetch", "publish")  # a client of Redis publishes, and has none
    if not can(part, method) or (facts and not hasattr(part, "facts")):
        shown = f"the class {part.__name__}" if isinstance(part, type) else f"a {type(part).__name__}"
        raise ConfigurationError(f"{shown} is not {'an' if what[0] in 'aeio' else 'a'} {what}.", fix=f"give {such}.")
    if iscoroutinefunction(getattr(part, method)) is not is_async:
        raise ConfigurationError(
            f"{type(part).__name__} is for {'threads' if is_async else 'asyncio'}, and its caller is not.",
            fix=f"give {'the Async form of ' if is_async else ''}{such}.",
        )
