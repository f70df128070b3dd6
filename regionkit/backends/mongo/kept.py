# Generated from kept_async.py by scripts/twins.py. Do not edit.
"""What routing keeps in a MongoDB store: histories, idempotency markers; and the making of all collections.

| collection          | _id            | unique beside it |
|---------------------|----------------|------------------|
| <namespace>_rk_history   | history id     | parent           |
| <namespace>_rk_marker    | idempotency key |                 |
| <namespace>_rk_tables    | a collection's name, without its namespace | |

Writes are acknowledged by a majority. What refused one is read linearizably: it is then a majority's word too. A write that waits
for an open transaction of the same key waits in the server, until the deadline.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from regionkit.backends.mongo.member import limited
from regionkit.backends.mongo.members import Members
from regionkit.contract.idempotency import Claim, Marker
from regionkit.contract.kept_tables import HISTORY, MARKER, RECORD
from regionkit.core.deadline import Deadline
from regionkit.core.tables import TABLES, Table, check_versions, table_name
from regionkit.facts.history import HistoryRow

__all__ = ["MongoKept", "marker_of"]

MAJORITY = WriteConcern("majority")
LINEARIZABLE = ReadConcern("linearizable")
EXISTS = 48
"""NamespaceExists: the collection is there already."""


def marker_of(document: dict[str, Any]) -> Marker:
    """A document of the marker collection."""
    result = document.get("result")
    return Marker(bool(document["applied"]), str(document["fingerprint"]), None if result is None else bytes(result))


def _marker(claim: Claim, *, applied: bool) -> list[dict[str, Any]]:
    """What stands under a key from now on, by the clock of the server."""
    values = {"applied": applied, "attempt": claim.attempt, "fingerprint": claim.fingerprint, "partition": ""}
    written_at = {"$divide": [{"$toLong": "$$NOW"}, 1000.0]}
    return [{"$set": {**{name: {"$literal": value} for name, value in values.items()}, "written_at": written_at}}]


class MongoKept:
    """regionkit's own documents."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._context = members.context
        namespace = members.context.namespace
        self.markers = table_name(namespace, "marker")
        self._histories = members.context.history_table

    def _collection(self, name: str, read: str = "majority") -> Any:
        member = self._members.member
        database = member.client[member.database]
        return database.get_collection(name, write_concern=MAJORITY, read_concern=ReadConcern(read))

    def make_tables(self, deadline: Deadline, tables: Sequence[Table]) -> None:
        """Make the collections of `tables` that are not there yet, and write their versions down.

        Without a lock: each step may be done twice, and of two versions of one name the unique `_id` lets one in.
        """
        namespace = self._context.namespace
        wanted = [table for table in tables if table.definition("mongo") is not None]
        with limited(deadline.require("making the collections")):
            for table in check_versions(namespace, wanted, self._versions()):
                collection = self._collection(table_name(namespace, table.name))
                try:
                    collection.database.create_collection(collection.name, check_exists=False)
                except OperationFailure as error:
                    if error.code != EXISTS:
                        raise
                for field, options in table.definition("mongo"):
                    collection.create_index(field, **options)
                with contextlib.suppress(
                    DuplicateKeyError
                ):  # another process was first: with which version is seen below
                    self._collection(table_name(namespace, TABLES)).insert_one(
                        {"_id": table.name, "version": table.version}
                    )
            check_versions(namespace, wanted, self._versions())

    def _versions(self) -> dict[str, int]:
        collection = self._collection(table_name(self._context.namespace, TABLES))
        return {row["_id"]: row["version"] for row in collection.find({}).to_list()}

    def create(self, deadline: Deadline, root: Callable[[str], HistoryRow]) -> None:
        """Make routing's collections, and the first history row when there is none."""
        self.make_tables(deadline, (HISTORY, MARKER, RECORD))
        with limited(deadline.require("looking for a history")):
            found = self._collection(self._histories, "linearizable").find_one({})
        if found is None:
            self.write_history(deadline, root(""))

    def write_history(self, deadline: Deadline, row: HistoryRow) -> bool:
        """Add a history row; False when its parent has a child already."""
        document = {
            "_id": row.history,
            "parent": row.parent or "",
            "fork": row.fork,
            "epoch": row.epoch,
            "origin": row.origin,
            "written_at": self._context.clock.wall(),
        }
        with limited(deadline.require("writing a history row")):
            try:
                self._collection(self._histories).insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    def take(self, database: Any, claim: Claim) -> bool:
        """Claim a key as the first statement of the transaction of `database`: whether it is ours.

        A tombstone gives way: no one held the key. What is applied refuses the insert, and with it the transaction.
        """
        asked = {"_id": claim.key, "applied": False}
        try:
            database[self.markers].update_one(asked, _marker(claim, applied=True), upsert=True)
        except DuplicateKeyError:
            return False
        return True

    def standing(self, database: Any, key: str) -> Marker:
        """What stands under a key that refused a write."""
        collection = database.get_collection(self.markers, read_concern=LINEARIZABLE)
        return marker_of(collection.find_one({"_id": key}))

    def save_result(self, database: Any, claim: Claim, result: bytes) -> None:
        """Keep a result with its marker, in its transaction."""
        database[self.markers].update_one({"_id": claim.key}, {"$set": {"result": result}})

    def settle(self, deadline: Deadline, claim: Claim) -> Marker:
        """Put a tombstone under the key unless something stands there; what stands there then."""
        nothing = {"_id": claim.key, "applied": {"$exists": False}}  # a marker that is there refuses the insert
        with limited(deadline.require("settling a key")):
            try:
                self._collection(self.markers).update_one(nothing, _marker(claim, applied=False), upsert=True)
            except DuplicateKeyError:
                return self.standing(self._collection(self.markers).database, claim.key)
        return Marker(applied=False, fingerprint=claim.fingerprint, result=None)

    def sweep(self, deadline: Deadline, older_than: float, most: int) -> int:
        """Delete at most `most` markers older than `older_than` seconds; how many were."""
        collection = self._collection(self.markers)
        with limited(deadline.require("sweeping markers")):
            said: Any = collection.database.command("hello")
            local: datetime = said["localTime"]
            before = local.replace(tzinfo=local.tzinfo or UTC).timestamp() - older_than
            old = collection.find({"written_at": {"$lt": before}}, {"_id": 1}).limit(most).to_list()
            if not old:
                return 0
            chosen = {"_id": {"$in": [document["_id"] for document in old]}, "written_at": {"$lt": before}}
            return int((collection.delete_many(chosen)).deleted_count)
