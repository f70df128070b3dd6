# Generated from records_async.py by scripts/twins.py. Do not edit.
"""Records in MongoDB: documents of <namespace>_rk_record, `_id` {kind, key}.

1. Changes are acknowledged by a majority; what refused one is read linearizably, so it is a majority's word too.
2. Each command is sent once, on a connection that was made before: an error until then sent nothing, one after it is an unknown
   outcome unless the member itself said that it did nothing.
3. `ends_at` is made and compared with the server's own clock. An ended document is none; the server sweeps it later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from bson.codec_options import CodecOptions
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_preferences import ReadPreference

from regionkit.backends.mongo.classify import classify, text_of, translated, was_refused
from regionkit.backends.mongo.member import limited
from regionkit.backends.mongo.members import Members
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.outcomes import Failure
from regionkit.contract.record_checks import change_unanswered, check_name_of_record, check_record, no_records
from regionkit.core.deadline import Deadline
from regionkit.core.tables import table_name
from regionkit.errors import ConfigurationError
from regionkit.facts.record import Record
from regionkit.topology import MongoStore

__all__ = ["MongoRecords"]

_HAS_END = {"$eq": [{"$type": "$ends_at"}, "date"]}
_ENDED = {"$and": [_HAS_END, {"$lte": ["$ends_at", "$$NOW"]}]}
_SHOWN = {"value": 1, "version": 1, "ended": _ENDED}
DUPLICATE = 11000
"""Code of the error that an upsert ends with where the document is there and the filter refused it."""


class MongoRecords:
    """Implements `Records`. Safe to share between threads or tasks."""

    def __init__(self, context: EndpointContext[MongoStore], members: Callable[[], Members]) -> None:
        self._context = context
        self._members = members
        self._name = table_name(context.namespace, "record")
        self._made: set[str] = set()

    def get(self, deadline: Deadline, kind: str, key: str) -> Record | None:
        """The record that this member's majority reads show; None also where there is no collection yet."""
        check_name_of_record(kind, key)
        return self._standing(deadline, kind, key, "majority")

    def put(
        self, deadline: Deadline, record: Record, *, expected: int, lasts: float | None = None, within: Any = None
    ) -> Record | None:
        """Put `record` where the version is `expected`; the record that stands then.

        With `within`, what stands is what the transaction's snapshot shows; a change since then ends the transaction with a
        write conflict, and errors are the driver's, as those of its other commands.
        """
        check_record(record, expected, lasts)
        self.check_made(deadline, self._name)
        if within is not None:
            return self._put_within(_in_transaction(self._context, within), record, expected, lasts)
        filters: list[tuple[dict[str, Any], bool]] = [({"version": expected, "$expr": {"$not": [_ENDED]}}, False)]
        if (
            expected == 0
        ):  # a filter with $expr may not insert: insert where nothing is, else take the place of what ended
            filters = [({"version": {"$exists": False}}, True), ({"$expr": _ENDED}, False)]
        while True:
            for extra, upsert in filters:
                change = {
                    "q": {"_id": _id(record.kind, record.key), **extra},
                    "u": _values(record, lasts),
                    "upsert": upsert,
                }
                if self._changed(deadline, {"update": self._name, "updates": [change]}):
                    return record
            standing = self._standing(deadline, record.kind, record.key, "linearizable")
            if standing is not None or expected:
                return standing
            deadline.require("putting a record")  # it ended or was taken away in between: once more

    def delete(self, deadline: Deadline, kind: str, key: str, *, expected: int) -> Record | None:
        """Take the record away where its version is `expected`; the record that stands then."""
        check_name_of_record(kind, key)
        self.check_made(deadline, self._name)
        if expected:
            alive = {"_id": _id(kind, key), "version": expected, "$expr": {"$not": [_ENDED]}}
            if self._changed(deadline, {"delete": self._name, "deletes": [{"q": alive, "limit": 1}]}):
                return None
        return self._standing(deadline, kind, key, "linearizable")

    def _put_within(self, database: Any, record: Record, expected: int, lasts: float | None) -> Record | None:
        collection = database.get_collection(self._name, codec_options=CodecOptions())
        identity = {"_id": _id(record.kind, record.key)}
        standing = _record(record.kind, record.key, collection.find_one(identity, _SHOWN))
        if (0 if standing is None else standing.version) != expected:
            return standing
        collection.update_one(identity, _values(record, lasts), upsert=True)
        return record

    def check_made(self, deadline: Deadline, name: str) -> None:
        """Once, whether a collection of regionkit's own was made: without its index nothing would be swept.

        Raises:
            ConfigurationError: it was not.
        """
        if name not in self._made:
            asked = {"listCollections": 1, "filter": {"name": name}, "nameOnly": True}
            if not (self._read(deadline, asked))["cursor"]["firstBatch"]:
                raise no_records(self._context, f"there is no collection {name}.")
            self._made.add(name)

    def _standing(self, deadline: Deadline, kind: str, key: str, level: str) -> Record | None:
        command = {
            "find": self._name,
            "filter": {"_id": _id(kind, key)},
            "projection": _SHOWN,
            "limit": 1,
            "singleBatch": True,
            "readConcern": {"level": level},
        }
        found = (self._read(deadline, command))["cursor"]["firstBatch"]
        return _record(kind, key, found[0] if found else None)

    def _read(self, deadline: Deadline, command: dict[str, Any]) -> Mapping[str, Any]:
        try:
            with limited(deadline.require("reading a record", store=self._context.store.name)):
                return self._run(command, lambda: None)
        except PyMongoError as error:
            raise translated(self._context, error) from error

    def _changed(self, deadline: Deadline, command: dict[str, Any]) -> bool:
        """Whether a change was made, and a majority has it."""
        reply = self.change(deadline, command)
        return bool(reply["n"])

    def change(self, deadline: Deadline, command: dict[str, Any]) -> Mapping[str, Any]:
        """The reply to one command that changes a document of regionkit's own, once a majority has the change.

        Raises:
            DuplicateKeyError: of an upsert by findAndModify, at the same time as another's. Nothing was done.
            OutcomeUnknown, RegionUnavailable, DeadlineExceeded: as `put`.
        """
        sent: list[bool] = []
        try:
            with limited(deadline.require("changing a record", store=self._context.store.name)):
                command["writeConcern"] = {"w": "majority"}
                reply = self._run(command, lambda: sent.append(True))
            for failed in reply.get("writeErrors", ()):
                if failed["code"] != DUPLICATE:
                    raise OperationFailure(failed["errmsg"], failed["code"], failed)
        except DuplicateKeyError:
            raise
        except PyMongoError as error:
            if not sent or was_refused(error):
                raise translated(self._context, error) from error
            raise change_unanswered(self._context, text_of(error)) from error
        if reply.get("n", 1) and "writeConcernError" in reply:
            why = str(reply["writeConcernError"].get("errmsg", "no majority confirmed it"))
            raise change_unanswered(self._context, why)
        return reply

    def _run(self, command: dict[str, Any], sending: Callable[[], None]) -> Mapping[str, Any]:
        """The answer to a command; `sending` is called when the connection is there."""
        members = self._members()
        members.ready()
        member = members.member
        client = member.client
        server = client._select_server(None, None, next(iter(command)))
        try:
            with client._checkout(server, None) as conn:
                connection: Any = conn
                sending()
                anywhere = ReadPreference.PRIMARY_PREFERRED
                reply: Mapping[str, Any] = connection.command(member.database, command, anywhere, client=client)
                return reply
        except PyMongoError as error:
            member.suspect |= classify(error) is Failure.ROLE
            raise


def _id(kind: str, key: str) -> dict[str, str]:
    return {"kind": kind, "key": key}


def _values(record: Record, lasts: float | None) -> list[dict[str, Any]]:
    """The update that leaves `record`; it ends by the server's clock, whose dates have milliseconds."""
    values: dict[str, Any] = {"value": {"$literal": record.value}, "version": {"$literal": record.version}}
    if lasts is None:
        return [{"$set": values}, {"$unset": "ends_at"}]
    return [{"$set": {**values, "ends_at": {"$add": ["$$NOW", math.ceil(lasts * 1000.0)]}}}]


def _record(kind: str, key: str, found: Mapping[str, Any] | None) -> Record | None:
    """The record that a document is; None for none, or one that has ended."""
    if found is None or found["ended"]:
        return None
    return Record(kind, key, bytes(found["value"]), int(found["version"]))


def _in_transaction(context: EndpointContext[MongoStore], within: Any) -> Any:
    session = getattr(within.client, "_session", None)
    if session is None or not session.in_transaction:
        raise ConfigurationError(
            f"store {context.store.name!r}: a record within a unit that is not a transaction.",
            why="only a transaction keeps the record and the unit's other writes together.",
            fix="open the block with transaction=True, or leave within= out.",
        )
    return within
