# Generated from relay_mongo_async.py by scripts/twins.py. Do not edit.
"""An outbox in MongoDB: its commands, in a transaction that somebody else begins and ends. Rules: `outbox_documents_mongo`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ReturnDocument, UpdateOne

from regionkit.contract.enlist_documents import Documents
from regionkit.core.ids import uuid7
from regionkit.core.storable import storable
from regionkit.core.tables import Table, table_name
from regionkit.messaging import kept_tables
from regionkit.messaging.case import Case, Failed
from regionkit.messaging.envelope import Malformed, decode, stored_id
from regionkit.messaging.inbox_tables_mongo import case_values
from regionkit.messaging.outbox_documents_mongo import (
    NOW,
    ORDER,
    MongoRun,
    counting,
    id_of,
    later_values,
    row_in,
    row_values,
    taken_in,
)
from regionkit.messaging.outbox_facts import Backlog, OutboxReport
from regionkit.messaging.outbox_rules import BATCH, Event, Overtaken, Place, Polled, Row, in_order, numbered, takes

__all__ = ["RelayMongo"]

MOST_CASES = 1000
"""Cases of a destination that are shown at once."""
ROWS, LATER, PAYLOAD, KEY, _, LEASE = kept_tables.OUTBOX
_PLAIN: CodecOptions[dict[str, Any]] = CodecOptions()
"""Documents of ours, whatever the application's look like."""


class RelayMongo:
    """The commands of one outbox and its relay. Immutable; shared freely. `run`: of the outbox, in a term."""

    def __init__(self, namespace: str, name: str, run: Callable[[int], MongoRun]) -> None:
        self._namespace = namespace
        self.name = name
        self._run = run

    def _of(self, on: Documents, table: Table) -> Any:
        return on.database.get_collection(table_name(self._namespace, table.name), codec_options=_PLAIN)

    def _here(self, destination: bytes) -> dict[str, Any]:
        return {"_id.outbox": self.name, "_id.destination": destination}

    def _place(self, destination: bytes, **more: Any) -> dict[str, Any]:
        return {"outbox": self.name, "destination": destination, **more}

    def ensure_run(self, on: Documents) -> None:
        """There is a run of this term from now on."""
        self._run(on.term)

    def lineage(self, on: Documents) -> str:
        """Of the outbox."""
        return (self._run(on.term)).lineage

    # writing

    def write(self, on: Documents, events: Sequence[Event], shared: Mapping[str, bytes]) -> None:
        """Take numbers and write rows. `shared`: by id, the envelopes of events that have several rows."""
        if shared:
            made = [{"_id": {"outbox": self.name, "id": id}, "body": body} for id, body in sorted(shared.items())]
            self._of(on, PAYLOAD).insert_many(made, session=on.session)
        self._put(on, LATER, [(event, later_values(event)) for event in events if event.delay > 0])
        due = in_order(event for event in events if event.delay <= 0)
        keys = self._take(on, takes(due))
        taken = {place: taken_in(key) for place, key in keys.items()}
        rows = []
        for event, number, prev in numbered(due, taken):
            at = None if event.key is None else keys[event.destination, event.key]["at"]
            rows.append((event, row_values(event, number, prev, at)))
        self._put(on, ROWS, rows)

    def _put(self, on: Documents, table: Table, rows: Sequence[tuple[Event, dict[str, Any]]]) -> None:
        if rows:
            changes = [
                UpdateOne({"_id": self._place(event.destination, id=event.id)}, [{"$set": values}], upsert=True)
                for event, values in rows
            ]
            self._of(on, table).bulk_write(changes, session=on.session)

    def _take(self, on: Documents, sizes: Mapping[Place, int]) -> dict[Place, Any]:
        """Numbers for keys, in the order in which they come; what each key says then."""
        if not sizes:
            return {}
        run = (self._run(on.term)).run
        ids = {place: self._place(place[0], key=place[1]) for place in sizes}
        changes = [UpdateOne({"_id": ids[place]}, counting(size, run), upsert=True) for place, size in sizes.items()]
        keys = self._of(on, KEY)
        keys.bulk_write(changes, session=on.session)
        found = keys.find({"_id": {"$in": list(ids.values())}}, session=on.session)
        return {(key["_id"]["destination"], key["_id"]["key"]): key for key in found}

    # a relay's

    def take_over(self, on: Documents, destination: bytes) -> int:
        """The epoch of a destination, one more than before."""
        found = self._of(on, LEASE).find_one_and_update(
            {"_id": self._place(destination)},
            {"$inc": {"epoch": 1}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=on.session,
        )
        return int(found["epoch"])

    def _held(self, on: Documents, destination: bytes, epoch: int) -> bool:
        """Whether that is the epoch still; it stays so until the transaction ends."""
        mine = {"_id": self._place(destination), "epoch": epoch}
        done = self._of(on, LEASE).update_one(mine, {"$inc": {"locks": 1}}, session=on.session)
        return bool(done.matched_count)

    def poll(self, on: Documents, destination: bytes, floor: int, most: int) -> Polled:
        """Rows that may be published, in order; those whose key waits for one that is stuck are left out."""
        epoch, now = self._state(on, destination)
        here, rows = self._here(destination), self._of(on, ROWS)
        due = self._of(on, LATER).find_one({**here, "due_at": {"$lte": now}}, {"_id": 1}, session=on.session)
        if not epoch or not most:
            return Polled([], now, epoch, due is not None)
        stuck = rows.distinct("key", {**here, "stuck": 1}, session=on.session)
        waiting = {"key": {"$nin": waits}} if (waits := [key for key in stuck if key is not None]) else {}
        wanted = rows.find({**here, "stuck": 0, **waiting}, sort=ORDER, limit=most, session=on.session)
        found = [document for document in wanted]
        bodies = self._shared(on, [document["_id"]["id"] for document in found if document["body"] is None])
        return Polled([row_in(document, bodies) for document in found], now, epoch, due is not None)

    def _state(self, on: Documents, destination: bytes) -> tuple[int, float]:
        """The epoch of a destination, 0 where nobody has it, and what time it is."""
        asked = [{"$match": {"_id": self._place(destination)}}, {"$project": {"epoch": 1, "now": NOW}}]
        for found in self._of(on, LEASE).aggregate(asked, session=on.session):
            return int(found["epoch"]), float(found["now"])
        return 0, 0.0

    def _shared(self, on: Documents, ids: Sequence[str]) -> dict[str, bytes]:
        if not ids:
            return {}
        wanted = {"_id": {"$in": [{"outbox": self.name, "id": id} for id in ids]}}
        found = self._of(on, PAYLOAD).find(wanted, session=on.session)
        return {payload["_id"]["id"]: bytes(payload["body"]) for payload in found}

    def settle_and_poll(
        self,
        on: Documents,
        destination: bytes,
        epoch: int,
        settled: Sequence[int],
        stuck: Sequence[tuple[Row, str, bytes]],
        floor: int,
        most: int,
    ) -> Polled:
        """Delete what was confirmed, mark what was refused for good, look for more."""
        if self._held(on, destination, epoch):
            rows, ids = self._of(on, ROWS), [id_of(self.name, destination, seq) for seq in settled]
            if ids:
                rows.delete_many({"_id": {"$in": ids}}, session=on.session)
            for row, why, body in stuck:
                here = {"_id": self._place(destination, id=row.id)}
                if (rows.update_one(here, {"$set": {"stuck": 1}}, session=on.session)).matched_count:
                    self._admit(on, destination, row, why, body)
        return self.poll(on, destination, floor, most)

    def _admit(self, on: Documents, destination: bytes, row: Row, why: str, body: bytes) -> None:
        """A case for what a target refused; the next refusal of the same message is another attempt of it."""
        cases, (_, now) = self._of(on, kept_tables.HOSPITAL), self._state(on, destination)
        here = self._case(destination, row.id)
        again = {"status": "admitted", "error.text": why, "changed_at": now}
        found = cases.find_one_and_update(here, {"$set": again, "$inc": {"attempts": 1}}, session=on.session)
        case_id = str(uuid7()) if found is None else found["id"]
        if found is None:
            try:
                type = storable(decode(body).type)
            except Malformed:
                type = ""
            case = Case(
                id=case_id,
                scope=here["_id"]["scope"],
                message_id=here["_id"]["id"],
                status="admitted",
                reason="refused",
                type=type,
                lineage=b"",
                key=row.key,
                parks=row.key is not None,
                attempts=1,
                due_at=None,
                error=Failed("Refused", why, "", ""),
                region="",
                source=destination.decode("utf-8", "replace")[:200],
                position=row.id,
                body=body,
                admitted_at=now,
                changed_at=now,
            )
            cases.insert_one({**here, **case_values(case, None)}, session=on.session)
        self._tell(on, case_id, now, "relay", "admitted", why)

    def _case(self, destination: bytes, id: str) -> dict[str, Any]:
        scope = stored_id(f"outbox/{self.name}/{destination.decode('utf-8', 'surrogatepass')}")
        return {"_id": {"scope": scope, "id": stored_id(id)}}

    def _tell(self, on: Documents, id: str, now: float, who: str, what: str, reason: str) -> None:
        note = {"case_id": id, "at": now, "who": who, "what": what, "reason": reason}
        self._of(on, kept_tables.HOSPITAL_EVENT).insert_one(note, session=on.session)

    def release(self, on: Documents, destination: bytes, id: str, status: str, who: str, reason: str) -> bool:
        """A stuck message goes on: "retrying" as itself, "buried" as a tombstone. False: it is not stuck.

        The epoch is raised: the relay that has the destination looks at everything anew, so that what waited goes first.
        """
        here = {"_id": self._place(destination, id=id), "stuck": 1}
        values = {"stuck": 0} | ({"tomb": "buried"} if status == "buried" else {})
        if not (self._of(on, ROWS).update_one(here, {"$set": values}, session=on.session)).matched_count:
            return False
        self.take_over(on, destination)
        _, now = self._state(on, destination)
        change = {"$set": {"status": status, "changed_at": now}}
        case = self._case(destination, id)
        found = self._of(on, kept_tables.HOSPITAL).find_one_and_update(case, change, session=on.session)
        if found is not None:
            self._tell(on, found["id"], now, who, status, reason)
        return True

    def cases(self, on: Documents, destinations: Sequence[bytes]) -> list[tuple[Any, ...]]:
        """What is stuck: destination, id, body of the case, error, attempts, since when."""
        found: list[tuple[Any, ...]] = []
        for to in destinations:
            stuck = self._of(on, ROWS).find(
                {**self._here(to), "stuck": 1}, {"_id": 1}, sort=ORDER, limit=MOST_CASES, session=on.session
            )
            ids = [row["_id"]["id"] for row in stuck]
            wanted = {"_id": {"$in": [self._case(to, id)["_id"] for id in ids]}}
            cases = self._of(on, kept_tables.HOSPITAL).find(wanted, session=on.session)
            by_id = {bytes(case["message_id"]): case for case in cases}
            for id, case in ((id, by_id.get(stored_id(id))) for id in ids):
                if case is not None:
                    error = case["error"]["text"]
                    found.append((to, id, case["body"], error, case["attempts"], case["admitted_at"]))
        return found

    def measure(self, on: Documents, destinations: Sequence[bytes]) -> OutboxReport:
        """What stands in it."""
        backlogs = []
        for to in destinations:
            counts = {"rows": {"$sum": 1}, "oldest": {"$max": {"$subtract": [NOW, "$published_at"]}}}
            asked = [
                {"$match": self._here(to)},
                {"$group": {"_id": None, **counts, "stuck": {"$sum": "$stuck"}}},
            ]
            told = [found for found in self._of(on, ROWS).aggregate(asked, session=on.session)]
            rows: dict[str, Any] = told[0] if told else {"rows": 0, "oldest": 0.0, "stuck": 0}
            later = self._of(on, LATER).count_documents(self._here(to), session=on.session)
            name, oldest = to.decode("utf-8", "replace"), max(0.0, rows["oldest"])
            backlogs.append(Backlog(name, rows["rows"], oldest, rows["stuck"], later))
        return OutboxReport(self.name, tuple(backlogs))

    def move_due(self, on: Documents, destination: bytes, epoch: int) -> int:
        """Delayed messages that are due become rows, and take their numbers now; how many."""
        if not self._held(on, destination, epoch):
            raise Overtaken
        _, now = self._state(on, destination)
        wanted = {**self._here(destination), "due_at": {"$lte": now}}
        later = self._of(on, LATER)
        sort = [("due_at", 1), ("_id", 1)]
        found = [row for row in later.find(wanted, sort=sort, limit=BATCH, session=on.session)]
        later.delete_many({"_id": {"$in": [row["_id"] for row in found]}}, session=on.session)
        events = [
            Event(
                row["_id"]["id"],
                destination,
                row["key"],
                row["body"],
                published_at=row["published_at"],
                expires_at=row["expires_at"],
            )
            for row in found
            if row["expires_at"] is None or row["expires_at"] > now
        ]
        self.write(on, events, {})
        return len(found)

    def sweep(self, on: Documents) -> int:
        """Payloads of several destinations that none waits for any more, a few; how many."""
        payloads = self._of(on, PAYLOAD)
        asked: list[dict[str, Any]] = [{"$match": {"_id.outbox": self.name}}]
        for table in (ROWS, LATER):
            name = table_name(self._namespace, table.name)
            looked = {"from": name, "localField": "_id.id", "foreignField": "payload", "as": table.name}
            asked += [{"$lookup": looked}, {"$match": {table.name: []}}]
        asked += [{"$limit": BATCH}, {"$project": {"_id": 1}}]
        ids = [found["_id"] for found in payloads.aggregate(asked, session=on.session)]
        if ids:
            payloads.delete_many({"_id": {"$in": ids}}, session=on.session)
        return len(ids)
