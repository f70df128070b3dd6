# Generated from track_sql_async.py by scripts/twins.py. Do not edit.
"""The application's own transactions, tracked: what they write of a cache's keys is not what it was, from the COMMIT on.

1. Keys are taken from the objects of `model` that the session flushes, and from `touch`. Intents for all of them are placed
   in one step just before the COMMIT, and their row goes into the transaction.
2. The outermost end counts. "no": the intents go. "yes" and "unknown": the keys are invalidated. Nothing is published: what an
   object holds may not be what the row holds (triggers, defaults, expressions).
3. A statement on the model's table that the session did not make of its objects (bulk, text, Core) names no keys: without
   `touch` the commit is refused, and rolls back. What the database does by itself (cascades, triggers) nobody sees.
4. Above `MOST_KEYS` keys the whole cache is cleared in their place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import TextClause, event
from sqlalchemy import inspect as inspected
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from regionkit.caching.inside import Inside
from regionkit.caching.keys import Stored, canonical
from regionkit.caching.outcome import tag_digest
from regionkit.caching.strategies import WriteThrough
from regionkit.caching.version import OWNER_ONLY
from regionkit.caching.write_through import Writer, new_id
from regionkit.contract.enlist import enlist
from regionkit.contract.unit import Committed
from regionkit.core.concurrency import spawn
from regionkit.errors import CacheError, UsageError

__all__ = ["MOST_KEYS", "Tracked"]

IS_ASYNC = False

MOST_KEYS = 1000
"""Keys of one transaction that are told one by one: their intents are one step at the tier, which does nothing else meanwhile."""
_NO_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_CHANGES = re.compile(
    r"(?:^|;)[\s(]*(?:do|load|(?:explain\b[^;]*\banaly[zs]e\b[^;]*?\b)?(?:with\b.*?\b)?"
    r"(?:insert|update|delete|replace|merge|truncate|copy))\b",
    re.IGNORECASE | re.DOTALL,
)


class Tracked:
    """One tracked transaction. It serves the thread (task) that the transaction serves, and ends with it."""

    def __init__(self, cache: Inside, writer: Writer, session: Any) -> None:
        strategy = cache.strategy
        assert isinstance(strategy, WriteThrough)
        self._cache = cache
        self._writer = writer
        self._strategy = strategy
        self._id = new_id()
        self._stored: dict[Stored, Any] = {}
        self._tags: dict[bytes, None] = {}
        self._all = False
        self._touched = False
        self._blind = ""
        self._flushing = False
        self._told = False
        self._unlisten: list[Callable[[], None]] = []
        self._enlisted = enlist(session)
        sync = getattr(session, "sync_session", session)
        sync = sync.registry() if hasattr(sync, "registry") else sync
        if strategy.model is not None:
            self._watch(sync)
        self._enlisted.before_commit(self._before_commit)
        self._enlisted.on_outcome(self._over)

    def _watch(self, session: Any) -> None:
        table = inspected(self._strategy.model).local_table
        named = re.compile(rf"(?<![\w$]){re.escape(table.name)}(?![\w$])", re.IGNORECASE)

        def before_flush(*_: Any) -> None:
            self._flushing = True

        def after_flush(session: Any, _: Any) -> None:
            self._flushing = False
            for objects in (session.new, session.dirty, session.deleted):
                for found in objects:
                    if isinstance(found, self._strategy.model):
                        self._add_object(found)

        def before_execute(_: Any, __: Any, statement: str, ___: Any, context: Any, *____: Any) -> None:
            compiled = getattr(context, "compiled", None)
            by_flush = self._flushing and compiled is not None and not isinstance(compiled.statement, TextClause)
            if by_flush or table.name.lower() not in statement.lower():
                return
            bare = _NO_CODE.sub(" ", statement)
            if _CHANGES.search(bare) and named.search(bare):
                self._blind = table.name

        if hasattr(session, "flush"):
            self._listen(session, "before_flush", before_flush)
            self._listen(session, "after_flush", after_flush)
        self._listen(self._enlisted.connection, "before_cursor_execute", before_execute)

    def _listen(self, target: Any, name: str, hear: Callable[..., None]) -> None:
        event.listen(target, name, hear)
        self._unlisten.append(lambda: event.remove(target, name, hear))

    def _add_object(self, found: Any) -> None:
        key = self._strategy.key
        if callable(key):
            self._add(key(found))
            return
        self._add(getattr(found, key))
        for old in inspected(found).attrs[key].history.deleted or ():
            self._add(old)

    def _add(self, key: Any) -> None:
        self._stored[canonical(key)] = key

    def touch(self, keys: Iterable[Any] = (), tags: Iterable[str] = (), *, all: bool = False) -> None:
        """Say what the transaction writes that its objects do not tell."""
        if isinstance(keys, str | bytes) or isinstance(tags, str):
            raise UsageError("touch takes several keys, or several tags.", fix='write touch(["42"]).')
        self._touched = True
        self._all = self._all or all
        for key in keys:
            self._add(key)
        self._tags.update(dict.fromkeys(tag_digest(tag, self._cache.scope) for tag in tags))

    def _before_commit(self) -> None:
        """In the transaction, just before its COMMIT; in asyncio inside SQLAlchemy's greenlet."""
        if self._blind and not self._touched:
            raise UsageError(
                f"a statement has written table {self._blind!r} of cache {self._cache.name!r}, and the keys are not known.",
                why="a bulk, Core or text statement names none, and their old values would stay cached.",
                fix=f"call {self._cache.name}.touch(keys, tags=..., all=...) in the transaction.",
            )
        if len(self._stored) > MOST_KEYS:
            self._all = True
        if not (self._stored or self._tags or self._all):
            return
        keys = [] if self._all else list(self._stored)
        if keys:
            self._told = self._run(lambda: self._writer.intend(keys, self._id))
        if self._writer.intents is not None:
            for kind, names in self._rows(keys):
                id = self._id if kind == "w" else new_id()
                with self._writer.intents.expected():
                    self._enlisted.execute(self._writer.intents.statement(id, kind, names))

    def _rows(self, keys: list[Stored]) -> list[tuple[str, list[tuple[bytes, bytes]]]]:
        if self._all:
            return [("c", [])]
        rows: list[tuple[str, list[tuple[bytes, bytes]]]] = [("w", self._writer.names(keys))] if keys else []
        return rows + ([("t", [(b"", tag) for tag in self._tags])] if self._tags else [])

    def _over(self, committed: Committed) -> None:
        """What became of it."""
        for unlisten in self._unlisten:
            unlisten()
        self._unlisten.clear()
        self._cache.untracked(self)
        if not (self._stored or self._tags or self._all):
            return
        if in_greenlet() or not IS_ASYNC:
            self._run(lambda: self._tell(committed))
            return

        def later() -> None:
            self._tell(committed)

        spawn("regionkit tracked", later)

    def _tell(self, committed: Committed) -> None:
        if not self._all and self._stored:
            self._writer.over(self._stored, self._id, committed)
        if committed == "no":
            return
        try:
            if self._all:
                self._cache.teller.clear(OWNER_ONLY)
            for tag in self._tags:
                self._cache.teller.invalidate_tag(tag, OWNER_ONLY)
        except CacheError:
            pass  # it is told later

    def _run(self, call: Callable[[], Any]) -> Any:
        """From SQLAlchemy's hooks, which are plain functions: in asyncio its greenlet waits."""
        given = call()
        return await_only(given) if IS_ASYNC else given
