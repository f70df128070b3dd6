# Generated from outbox_mongo_async.py by scripts/twins.py. Do not edit.
"""An outbox in a MongoDB replica set: events commit in the application's own transaction. Rules: `outbox_documents_mongo`."""

from __future__ import annotations

import random
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC
from typing import Any

import msgspec

from regionkit.contract.backing import Backing
from regionkit.contract.enlist_documents import EnlistedDocuments, documents_of, enlist_documents
from regionkit.contract.unit import Unit
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, RegionKitError, TransactionRolledBack, UsageError
from regionkit.facts.consistency import STRONG
from regionkit.facts.record import Record
from regionkit.facts.stamp import Stamp
from regionkit.messaging.outbox import MOST_EVENTS, WITHIN, Outbox
from regionkit.messaging.outbox_documents_mongo import MongoRun, term_in
from regionkit.messaging.outbox_rules import Event, begun
from regionkit.messaging.relay_mongo import RelayMongo

__all__ = ["MongoOutbox"]

IS_ASYNC = False

KIND = "outbox"
"""Of the record that says which run an outbox is in."""
ASKED = 2
"""How often the primary is looked for: the first time may find that it is none any more."""
FIRST_PAUSE = 0.005
"""Seconds before a transaction of the outbox's own that was rolled back runs again; doubled each time, jittered."""
LONGEST_PAUSE = 0.2
"""Seconds of that at most."""

_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(MongoRun)


class MongoOutbox(Outbox):
    """An outbox beside the documents of the application. Safe to share between threads (tasks of one loop).

    `publish`, `flush` and what they raise are those of `Outbox`; `db` is a client session of PyMongo's with an open
    transaction, or the database of a block that is one, a handler's of a `MongoInbox` among them. Two transactions that publish
    for one key at the same time conflict: the later one is rolled back by the server, as `with_transaction` expects it.

    A relay of it publishes what a majority has, and nothing else, whatever its `publish_after` is.

    Args:
        given: a database of PyMongo's, of a replica set; or a kit, with `store`.
        options: as those of `Outbox`.

    Raises:
        ConfigurationError: it is no MongoDB.
    """

    def __init__(self, given: Any, **options: Any) -> None:
        self._given = given
        self._run: MongoRun | None = None
        self._noted: weakref.WeakKeyDictionary[EnlistedDocuments, _Buffer] = weakref.WeakKeyDictionary()
        super().__init__(given, **options)

    def _stands_on(self, backing: Backing) -> Backing:
        if backing.capabilities.server != "mongodb":
            raise ConfigurationError(
                f"{backing.name!r} cannot keep a MongoDB outbox.",
                fix="give a database of PyMongo's; for an engine there is Outbox.",
            )
        self.sql = RelayMongo(backing.namespace, self.name, self.run_in)
        self._asked = backing
        return _MajorityBacking(backing)

    def run_in(self, term: int) -> MongoRun:
        """The run of the outbox in that term, 0 where nobody knows it; asked of the primary where it is another than before."""
        known = self._run
        if known is not None and term == known.term:
            return known
        for left in range(ASKED, 0, -1):
            try:
                self._run = self._run_now()
                return self._run
            except RegionKitError:
                if left == 1 and known is None:
                    raise
        assert known is not None
        return known  # an election: it will do until it is over (rule 2)

    def _run_now(self) -> MongoRun:
        deadline, records = self.deadline(), self.backing.records()
        with self._asked.read(consistency=STRONG, deadline=deadline) as unit:
            said = unit.native.command("hello")
        here, now = term_in(said), said["localTime"].replace(tzinfo=UTC).timestamp()
        while True:
            found = records.get(deadline, KIND, self.name)
            stands = None if found is None else _decoder.decode(found.value)
            if stands is not None and stands.term == here:
                return stands
            lineage, epoch = (str(uuid.uuid4()), 0) if stands is None else (stands.lineage, stands.run.epoch)
            begins = MongoRun(lineage, begun(epoch, str(here), now=now), here)
            version = 0 if found is None else found.version
            wanted = Record(KIND, self.name, _encoder.encode(begins), version + 1)
            if records.put(deadline, wanted, expected=version) is wanted:
                return begins  # else another process was first

    def change(self, work: Callable[..., Any], *args: Any, seconds: float = WITHIN) -> Any:
        """`work(documents, *args)` in a transaction of its own; again where it was rolled back for another one's sake."""
        deadline, pause = self.deadline(seconds), FIRST_PAUSE
        while True:
            try:
                with self.backing.write(deadline=deadline) as unit:
                    return self.within(unit.native, work, *args)
            except TransactionRolledBack:
                if deadline.remaining() <= pause:
                    raise
            sleep(pause * random.random())
            pause = min(2 * pause, LONGEST_PAUSE)

    def within(self, native: Any, work: Callable[..., Any], *args: Any) -> Any:
        """The same, in a unit's transaction."""
        return work(documents_of(native), *args)

    def publish(
        self,
        db: Any,
        type: str,
        payload: Any,
        *,
        key: str | None = None,
        expires_in: float | None = None,
        delay: float | None = None,
        headers: Mapping[str, str] | None = None,
        to: str | Sequence[str] | None = None,
    ) -> str:
        """Publish an event with the transaction of `db`: if that commits, and only then. See `Outbox`."""
        events, body = self._made(type, payload, key, expires_in, delay, headers, to)
        self._buffer(db).add(events, body)
        return events[0].id

    def flush(self, db: Any) -> int:
        """Write what was published in the transaction of `db` until now; numbers are taken here. How many rows."""
        return self._buffer(db).write()

    def _buffer(self, db: Any) -> _Buffer:
        joined = enlist_documents(db, getattr(self._given, "name", ""))
        with self._lock:
            found = self._noted.get(joined)
            if found is not None:
                return found
            if not joined.is_of(self._given, self.backing.name, self.backing.namespace):
                raise UsageError(
                    f"a transaction of another database than that of outbox {self.name!r}.",
                    why="no relay of it sees what is written there.",
                    fix="begin it with the client whose database the outbox was given; in a kit, in a block of its store.",
                )
            found = self._noted[joined] = _Buffer(self, joined)
            return found


class _Buffer:
    """What one transaction publishes. It serves the thread (task) that the transaction serves."""

    def __init__(self, outbox: MongoOutbox, joined: EnlistedDocuments) -> None:
        self._outbox = outbox
        self._joined = weakref.ref(joined)
        self._pending: list[tuple[list[Event], bytes]] = []
        joined.before_commit(self.write)
        joined.on_outcome(lambda outcome: None if outcome == "no" else outbox.wake())

    def add(self, events: list[Event], body: bytes) -> None:
        """Note an event."""
        if len(self._pending) >= MOST_EVENTS:
            raise UsageError(
                f"a transaction publishes more than {MOST_EVENTS} events.",
                why="they wait in memory for its commit; this one was not noted.",
                fix="flush(db) now and then, or commit in smaller steps.",
            )
        self._pending.append((events, body))

    def write(self) -> int:
        """Write what is noted."""
        pending, self._pending = self._pending, []
        events = [event for several, _ in pending for event in several]
        if events:
            shared = {several[0].id: body for several, body in pending if len(several) > 1}
            joined = self._joined()
            assert joined is not None, "the transaction keeps it"
            self._outbox.sql.write(joined.documents(), events, shared)
        return len(events)


class _MajorityBacking:
    """A backing as a relay asks it: what is read there is a snapshot that a majority has when the unit ends.

    So each member that may be elected has it: nobody has to ask the copies.
    """

    copies = 1

    def __init__(self, inner: Backing) -> None:
        self._inner = inner
        self.name = inner.name
        self.namespace = inner.namespace
        self.capabilities = inner.capabilities
        self.records = inner.records
        self.create_tables = inner.create_tables
        self.owner = inner.owner
        self.backend = inner.backend
        self.close = inner.close

    def write(
        self, *, key: str | None = None, deadline: Deadline, core: bool = False, stamped: bool = True
    ) -> AbstractContextManager[Unit]:
        """A transaction at the primary, committed by a majority."""
        return self._inner.write(deadline=deadline, stamped=stamped)

    def read(self, *, deadline: Deadline, **asked: Any) -> AbstractContextManager[Unit]:
        """The same, of what only reads: its commit waits until a majority has what was read."""
        return self._inner.write(deadline=deadline)

    def lacking(self, stamp: Stamp, *, deadline: Deadline) -> list[str]:
        """None lacks what a majority has."""
        return []
