# Generated from mongo_async.py by scripts/twins.py. Do not edit.
"""An inbox in a MongoDB replica set: claim, gate and effect commit in one transaction.

1. The claim, or the gate, is the first thing that a transaction does. Whoever meets another's open one has its transaction
   rolled back by the server (112): it is run again, and is no attempt.
2. A gate is one document, moved by one update where the message is the next one; it is locked by a write to it.
3. A run lasts at most half of what the server lets a transaction live.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from regionkit.contract.backing import backing_of
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError, UsageError
from regionkit.messaging import kept_tables
from regionkit.messaging.case import Case, HeldMessage
from regionkit.messaging.delivery import Gate
from regionkit.messaging.envelope import Number
from regionkit.messaging.inbox_tables_mongo import case_in, case_values, gate_in, gate_values, number_values
from regionkit.messaging.inboxes.kept import KeptInbox
from regionkit.messaging.inboxes.rows import HeldRow, Note, ParkingRows, Place, place_of_case
from regionkit.messaging.records import MongoRecords
from regionkit.messaging.store_clock import StoreClock

__all__ = ["MongoInbox"]

LIFETIME = 60.0
"""Seconds that a server lets a transaction live, where it does not say."""
_PLAIN: CodecOptions[dict[str, Any]] = CodecOptions()
"""Documents of ours, whatever the application's look like."""


class _Rows(ParkingRows):
    """Implements `ClaimRows`, in the transaction of one unit."""

    def __init__(self, database: Any, namespace: str) -> None:
        self._database = database
        self._namespace = namespace

    def _of(self, table: Any) -> Any:
        return self._database.get_collection(table_name(self._namespace, table.name), codec_options=_PLAIN)

    def _insert(self, table: Any, identity: dict[str, Any], values: dict[str, Any]) -> bool:
        """Whether a document went in: one that is there aborts no transaction."""
        done = self._of(table).update_one({"_id": identity}, {"$setOnInsert": values}, upsert=True)
        return done.upserted_id is not None

    def claim(self, scope: bytes, id: bytes, mark: bytes, now: float, *, foreign: bool) -> bytes | None:
        identity = {"scope": scope, "id": id}
        values = {"print": mark, "seen_at": _date(now) if foreign else now}
        if self._insert(kept_tables.INBOX, identity, values):
            return None
        found = self._of(kept_tables.INBOX).find_one({"_id": identity})
        return bytes(found["print"])

    def advance(self, place: Place, prev: Number, number: Number) -> bool:
        standing = {"_id": place._asdict(), "at": number_values(prev), "parked": ""}
        done = self._of(kept_tables.GATE).update_one(standing, {"$set": {"at": number_values(number)}})
        return bool(done.matched_count)

    def begin(self, place: Place, gate: Gate) -> bool:
        return self._insert(kept_tables.GATE, place._asdict(), {**gate_values(gate), "locks": 0})

    def _locked(self, place: Place) -> dict[str, Any] | None:
        change = {"$inc": {"locks": 1}}
        found: dict[str, Any] | None = self._of(kept_tables.GATE).find_one_and_update(
            {"_id": place._asdict()}, change, return_document=ReturnDocument.AFTER
        )
        return found

    def gate(self, place: Place) -> Gate | None:
        found = self._locked(place)
        return None if found is None else gate_in(found)

    def look(self, place: Place) -> Gate | None:
        found = self._of(kept_tables.GATE).find_one({"_id": place._asdict()})
        return None if found is None else gate_in(found)

    def set_gate(self, place: Place, gate: Gate) -> None:
        self._of(kept_tables.GATE).update_one({"_id": place._asdict()}, {"$set": gate_values(gate)})

    def hold(self, place: Place, row: HeldRow) -> None:
        gate = self._locked(place)
        assert gate is not None, "a parked key has a gate"
        values = {"gate": place._asdict(), "epoch": row.number.epoch, "n": row.number.n, "seq": gate["locks"]}
        held = {"_id": {"scope": row.scope, "id": row.id}, **values, "body": row.body, "held_at": row.held_at}
        self._of(kept_tables.HELD).insert_one(held)

    def is_held(self, scope: bytes, id: bytes) -> bool:
        return self._of(kept_tables.HELD).find_one({"_id": {"scope": scope, "id": id}}, {"_id": 1}) is not None

    def held_count(self, place: Place, most: int) -> int:
        return int(self._of(kept_tables.HELD).count_documents({"gate": place._asdict()}, limit=most))

    def lowest(self, place: Place) -> HeldMessage | None:
        order = [("epoch", 1), ("n", 1), ("seq", 1)]
        found = self._of(kept_tables.HELD).find_one({"gate": place._asdict()}, sort=order)
        return None if found is None else HeldMessage(found["seq"], bytes(found["_id"]["id"]), bytes(found["body"]))

    def unhold(self, scope: bytes, held: HeldMessage) -> bool:
        done = self._of(kept_tables.HELD).delete_one({"_id": {"scope": scope, "id": held.id}})
        return bool(done.deleted_count == 1)

    def start(self, scope: bytes, id: bytes, now: float) -> int:
        found = self._of(kept_tables.STARTED).find_one_and_update(
            {"_id": {"scope": scope, "id": id}},
            {"$inc": {"runs": 1}, "$setOnInsert": {"seen_at": now}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return int(found["runs"])

    def unstart(self, scope: bytes, id: bytes, started: int) -> None:
        last = {"_id": {"scope": scope, "id": id}, "runs": started}
        self._of(kept_tables.STARTED).update_one(last, {"$inc": {"runs": -1}})

    def admit(self, case: Case) -> bool:
        identity = {"scope": case.scope, "id": case.message_id}
        return self._insert(kept_tables.HOSPITAL, identity, _case_values(case))

    def case(self, case: Case) -> Case | None:
        found = self._of(kept_tables.HOSPITAL).find_one({"id": case.id})
        return None if found is None else case_in(found)

    def parking(self, place: Place) -> list[Case]:
        found = self._of(kept_tables.HOSPITAL).find({"gate": place._asdict(), "parks": True})
        return [case_in(document) for document in found]

    def change_case(self, case: Case, after: Case) -> bool:
        same_run = {"id": case.id, "status": case.status, "attempts": case.attempts}
        done = self._of(kept_tables.HOSPITAL).update_one(same_run, {"$set": _case_values(after)})
        return bool(done.matched_count)

    def due(self, scope: bytes, now: float, most: int) -> list[Case]:
        asked = {"scope": scope, "due_at": {"$lte": now}}
        found = self._of(kept_tables.HOSPITAL).find(asked, sort=[("due_at", 1)], limit=most)
        return [case_in(document) for document in found]

    def note(self, note: Note) -> None:
        values = {name: getattr(note, name) for name in note.__struct_fields__}
        self._of(kept_tables.HOSPITAL_EVENT).insert_one(values)

    def forget(self, before: float, foreign: float | None, most: int) -> int:
        wanted: list[tuple[Any, Any]] = [(kept_tables.INBOX, before), (kept_tables.STARTED, before)]
        if foreign is not None:
            wanted.append((kept_tables.INBOX, _date(foreign)))
        count = 0
        for table, until in wanted:
            rows = self._of(table)
            old = rows.find({"seen_at": {"$lt": until}}, {"_id": 1}, limit=most - count)
            chosen = [document["_id"] for document in old] if count < most else []
            if chosen:
                count += (rows.delete_many({"_id": {"$in": chosen}})).deleted_count
        return count


def _date(seconds: float) -> datetime:
    """How `seen_at` stands of an id without a time: numbers are never compared with dates, and one index has both."""
    return datetime.fromtimestamp(seconds, UTC)


def _case_values(case: Case) -> dict[str, Any]:
    place: Place | None = place_of_case(case)
    return case_values(case, None if place is None else place._asdict())


def _lifetime(database: Any) -> float:
    """Seconds that the server lets a transaction live; what it has by default, where the account may not ask."""
    try:
        said = database.client.admin.command("getParameter", 1, transactionLifetimeLimitSeconds=1)
    except (PyMongoError, UsageError):
        return LIFETIME
    return float(said["transactionLifetimeLimitSeconds"])


class MongoInbox(KeptInbox):
    """An inbox beside the documents of its effects. Safe to share between threads (tasks of one loop).

    A handler is given a `Database` whose commands run in the transaction that holds the claim; a session of its own is refused.

    Args:
        given: a database of PyMongo's, of a replica set; or a kit.
        store: which of a kit's stores.
        namespace: prefix of its collections; a kit's own counts for its stores.
        clock: the clock to use.
    """

    transactional = True
    effects: tuple[str, ...] = ("transaction", "external")
    notes: tuple[str, ...] = (
        "a process that dies in a transaction keeps its key locked until the server ends it (transactionLifetimeLimitSeconds)",
    )

    def __init__(
        self, given: Any, *, store: str | None = None, namespace: str = "regionkit", clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.given = given
        self.backing = backing_of(given, namespace=namespace, store=store, clock=clock)
        if self.backing.capabilities.server != "mongodb":
            raise ConfigurationError(
                f"{self.backing.name!r} cannot keep a MongoDB inbox.", fix="give a database of PyMongo's."
            )
        self.records = MongoRecords(given, store=store, namespace=namespace)
        self._clock = clock
        self._time = StoreClock(clock)
        self._longest = LIFETIME / 2.0

    def create_tables(self, timeout: float = 30.0) -> None:
        """Make what it keeps. Many processes may call it at the same time."""
        self.backing.create_tables((*kept_tables.INBOX_TABLES, kept_tables.IDEMPOTENCY), Deadline(self._clock, timeout))

    def open(self, deadline: Deadline) -> None:
        """See that it is a replica set with the collections of an inbox, and what time the server has."""
        with self.backing.read(deadline=deadline) as unit:
            said = unit.native.command("hello")
            wanted = [
                table_name(self.backing.namespace, table.name)
                for table in (*kept_tables.INBOX_TABLES, kept_tables.IDEMPOTENCY)
            ]
            self._longest = _lifetime(unit.native) / 2.0
            there = unit.native.list_collection_names(filter={"name": {"$in": wanted}})
        self._time.set(said["localTime"].replace(tzinfo=UTC).timestamp())
        missing = sorted(set(wanted) - set(there))
        if missing:
            raise ConfigurationError(
                f"the inbox in {self.backing.name!r} has no collection {missing[0]}.",
                why="claims, gates and cases are kept in the data's database.",
                fix="call create_tables() of the inbox once, inside a kit kit.create_tables(); and whenever you deploy.",
            )

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return self._time.now()

    def unit(self, deadline: Deadline, *, core: bool = False) -> Any:
        """A unit for an effect: at most half of a transaction's life, then it has to be over."""
        return self.backing.write(deadline=Deadline(self._clock, min(deadline.remaining(), self._longest)))

    def rows(self, unit: Any) -> _Rows:
        """The rows, in a unit."""
        return _Rows(unit.native, self.backing.namespace)

    def close(self) -> None:
        """Close the connections that it opened. May be called twice."""
        self.records.close()
        self.backing.close()
