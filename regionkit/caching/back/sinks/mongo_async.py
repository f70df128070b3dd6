"""A sink in a MongoDB replica set: a flush is one transaction, acknowledged by a majority.

| what stands there          | a put                                      | a delete |
|----------------------------|--------------------------------------------|----------|
| nothing                    | a document                                 | a tombstone |
| a lower version, or none   | its fields are set; a tombstone comes back | a tombstone takes its place |
| the same or a higher one   | nothing is written (`judging`)             | nothing is written |

1. The versions are read first, in the transaction, and only what is lower is written: an upsert whose filter refuses would try
   to insert, and its error ends a transaction. Who writes the same document meanwhile makes the server roll one of the two
   back, so what was read is what is written over.
2. A tombstone is the document without its fields: `_id`, the version, and `rk_gone` with the time. It stands in the collection
   itself, so that an older put conflicts with it; what reads the collection leaves such documents out. `forget_marks` drops them.
3. The epoch is read in the same snapshot. One that is given out meanwhile is not seen, and needs not be: what a later flusher
   writes is a conflict for this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from bson.errors import BSONError
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError

from regionkit.caching.back.holders import others_table
from regionkit.caching.back.refusals import SinkDown, SinkFenced, SinkRefused, check_timeout
from regionkit.caching.back.rules import MOST_EPOCHS, Change, Verdict
from regionkit.caching.back.sinks.judging import in_order, judge
from regionkit.caching.back.sinks.shape import from_fields, plain, to_fields
from regionkit.caching.back.sinks.told_async import AsyncTold
from regionkit.caching.kept_tables import WB_EPOCH
from regionkit.caching.strategies import Loaded
from regionkit.contract.backing_async import AsyncBacking, async_backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.given import check_call, check_text
from regionkit.core.tables import table_name
from regionkit.errors import CacheError, ConfigurationError, RegionKitError
from regionkit.facts.consistency import STRONG

__all__ = ["AsyncMongoSink"]

LONGEST_FIELD = 120
"""Bytes of the name of the field of versions: it stands in every document."""
TIMEOUT = 5.0
"""Seconds that a flush may take: far less than a server lets a transaction live."""
MOST_FORGOTTEN = 1000
"""Tombstones dropped at once: one short transaction."""
GONE = "rk_gone"
VALIDATION = 121
"""DocumentValidationFailure."""
TOO_LARGE = 10334
"""BSONObjectTooLarge."""
DUPLICATE = 11000
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


class AsyncMongoSink:
    """Documents of a collection, `_id` the key. Safe to share between threads (tasks of one loop).

    Args:
        given: a database of PyMongo's, of a replica set; or a kit.
        collection: its name. What reads it leaves documents with a field `rk_gone` out: they are deleted.
        version: the field of versions, a whole number; other writers leave it, or leave it out.
        store: which of a kit's stores.
        encode: makes a mapping of a value; default: the fields of a Struct, a dataclass, a mapping.
        decode: makes a value of a document without `_id` and version; default: by `type`.
        type: of values; the cache gives its own where this is None. Without one `load` gives dicts.
        namespace: prefix of what it keeps; a kit's own counts for its stores.
        timeout: seconds that each call may take.
        clock: where time is read.

    Attributes:
        findings: what is worth knowing.
    """

    findings: tuple[str, ...] = (f"deleted documents stay with a field {GONE} until their marks are forgotten",)

    def __init__(
        self,
        given: Any,
        collection: str,
        *,
        version: str = "rk_ver",
        store: str | None = None,
        encode: Callable[[Any], Mapping[str, Any]] | None = None,
        decode: Callable[[dict[str, Any]], Any] | None = None,
        type: Any = None,
        namespace: str = "regionkit",
        timeout: float = TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_timeout(timeout)
        self.backing = async_backing_of(given, namespace=namespace, store=store, clock=clock)
        if self.backing.capabilities.server != "mongodb":
            raise ConfigurationError(f"{self.backing.name!r} is no MongoDB.", fix="give a database of PyMongo's.")
        self._collection = collection
        check_text("version", version, LONGEST_FIELD)
        if "." in version or version.startswith("$"):
            raise ConfigurationError(
                f"version={version!r} is no name of a field.", fix="leave out dots and dollar signs."
            )
        check_call("encode", encode)
        check_call("decode", decode)
        self._version = version
        self._encode = encode or to_fields
        self._decode = decode
        self._type = type
        self._clock = clock
        self._timeout = timeout
        self._stands_on(self.backing)
        make_with_kit(given, self)

    def _stands_on(self, backing: AsyncBacking) -> None:
        self.backing = backing
        self._told = partial(_told, backing.name)

    def at(self, backing: AsyncBacking) -> AsyncMongoSink:
        """The same sink over one part of its store."""
        one = copy(self)
        one._stands_on(backing)
        return one

    def of_type(self, type: Any) -> None:
        """The type of the cache's values, for `load`; one that was given when the sink was made counts."""
        if self._type is None:
            self._type = type

    def _write(self) -> AsyncTold:
        deadline = Deadline(self._clock, self._timeout)
        return AsyncTold(self.backing.write(deadline=deadline, stamped=False), self._told)

    def _read(self) -> AsyncTold:
        deadline = Deadline(self._clock, self._timeout)
        return AsyncTold(self.backing.read(consistency=STRONG, deadline=deadline), self._told)

    def _documents(self, unit: Any) -> Any:
        return unit.native.get_collection(self._collection, codec_options=_CODEC)

    def _epochs(self, unit: Any) -> Any:
        return unit.native.get_collection(table_name(self.backing.namespace, WB_EPOCH.name), codec_options=_CODEC)

    def check_key(self, key: Any) -> None:
        """Refuse a key that cannot be an `_id`.

        Raises:
            SinkRefused: it has several parts.
        """
        if isinstance(key, tuple | list):
            raise SinkRefused(f"key {key!r} is no _id: it has several parts")

    async def check(self) -> None:
        """See that flushes are transactions, of a collection that can be written.

        Raises:
            ConfigurationError: they are not, or it cannot.
            SinkDown: it could not be looked at.
        """
        async with self._read() as unit:
            said = await unit.native.command("hello")
            found = await unit.native.command("listCollections", filter={"name": self._collection})
        if "setName" not in said and said.get("msg") != "isdbgrid":
            raise ConfigurationError(
                f"{self.backing.name!r} is no replica set.",
                why="a flush is a transaction, which a single server does not have.",
                fix="start it as a replica set of one member.",
            )
        kinds = [one["type"] for one in found["cursor"]["firstBatch"]]
        if kinds and kinds != ["collection"]:
            raise ConfigurationError(f"{self._collection!r} is a {kinds[0]}.", fix="give a collection.")

    async def create_tables(self, timeout: float = 30.0) -> None:
        """Make the collection of epochs. Many processes may call it at the same time."""
        await self.backing.create_tables((WB_EPOCH,), Deadline(self._clock, timeout))

    async def raise_epoch(self, cache: str, above: int) -> int:
        """Give out the next epoch of a cache, above `above` and above each that was given out before.

        Raises:
            ConfigurationError: there are no more; or the collection is another cache's.
        """
        await self._own(cache)
        change = [{"$set": {"epoch": {"$add": [{"$max": ["$epoch", above]}, 1]}}}]
        async with self._write() as unit:
            found = await self._epochs(unit).find_one_and_update(
                {"_id": cache}, change, upsert=True, return_document=ReturnDocument.AFTER
            )
            epoch = int(found["epoch"])
            if epoch > MOST_EPOCHS:
                raise ConfigurationError(
                    f"cache {cache!r} has used up its epochs: {epoch}.",
                    why=f"there are {MOST_EPOCHS}; each run of its server takes one.",
                    fix="drain it, and use another name for the cache.",
                )
        return epoch

    async def _own(self, cache: str) -> None:
        """See that the collection is this cache's: a document beside the epochs says whose it is."""
        place = f"={self._collection}"
        async with self._write() as unit:
            found = await self._epochs(unit).find_one_and_update(
                {"_id": place},
                {"$setOnInsert": {"cache": cache}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
            epochs = self._epochs(unit).name
        if found["cache"] != cache:
            run = f"db.{epochs}.deleteOne({{_id: '{place}'}}); set {self._version} to 0 in all documents"
            raise others_table(self._collection, run)

    async def flush(self, cache: str, epoch: int, changes: Sequence[Change]) -> list[Verdict]:
        """Write changes, each where the document's version is below its own. In one transaction, keys in one order."""
        if not changes:
            return []
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        ordered = in_order(changes)
        updates = [self._update(change, now) for change in ordered]
        async with self._write() as unit:
            await self._fence(unit, cache, epoch)
            documents = self._documents(unit)
            asked = {"_id": {"$in": [change.key for change in ordered]}}
            found = {d["_id"]: d async for d in documents.find(asked, {self._version: 1})}
            verdicts, writes = {}, []
            for change, update in zip(ordered, updates, strict=True):
                there = found.get(change.key)
                standing = 0 if there is None else int(there.get(self._version) or 0)
                if standing < change.version:
                    verdicts[id(change)] = Verdict.APPLIED
                    writes.append(UpdateOne({"_id": change.key}, update, upsert=there is None))
                else:
                    verdicts[id(change)] = judge(change, standing, epoch)
            if writes:
                await documents.bulk_write(writes)
        return [verdicts[id(change)] for change in changes]

    async def _fence(self, unit: Any, cache: str, epoch: int) -> None:
        """Refuse to write for an older epoch; teach a database that was restored the present one."""
        epochs = self._epochs(unit)
        found = await epochs.find_one({"_id": cache})
        stored = 0 if found is None else int(found["epoch"])
        if stored > epoch:
            raise SinkFenced(f"another flusher has epoch {stored} of cache {cache!r}, and this one {epoch}", stored)
        if stored < epoch:
            await epochs.update_one({"_id": cache}, {"$max": {"epoch": epoch}}, upsert=True)

    def _update(self, change: Change, now: datetime) -> Any:
        """What becomes of the document.

        Raises:
            SinkRefused: the value is none, or the key cannot be an `_id`.
        """
        self.check_key(change.key)
        if change.deleted:
            return [{"$replaceWith": {"_id": {"$literal": change.key}, self._version: change.version, GONE: now}}]
        try:
            fields = {name: _sent(field) for name, field in self._encode(change.value).items()}
        except Exception as error:
            raise SinkRefused(f"the value of {change.key!r} is no document: {error}") from error
        if fields.pop("_id", change.key) != change.key:
            raise SinkRefused(f"the value of {change.key!r} has another _id")
        return {"$set": fields | {self._version: change.version}, "$unset": {GONE: ""}}

    async def load(self, key: Any, owner: bool = False) -> Loaded[Any] | None:
        """The document of a key on the owner, whatever `owner` says, with its version; None without one.

        Raises:
            CacheError: it is no value of the cache's type.
        """
        async with self._read() as unit:
            found = await self._documents(unit).find_one({"_id": key})
        if found is None or GONE in found:
            return None
        del found["_id"]
        version = int(found.pop(self._version, 0) or 0)
        fields = {name: _given(field) for name, field in found.items()}
        try:
            value = from_fields(fields, self._type) if self._decode is None else self._decode(fields)
        except (msgspec.ValidationError, TypeError, ValueError, LookupError) as error:
            raise CacheError(
                f"the document of key {key!r} in {self._collection!r} is no value of the cache.",
                why=f"{error}.",
                fix="correct the document or the type, or give decode=.",
            ) from error
        return Loaded(value, version=version)

    async def forget_marks(self, cache: str, below: int, before: float = math.inf) -> int:
        """Drop tombstones with versions below `below`, made before a time, at most `MOST_FORGOTTEN`; how many."""
        made = {"$exists": True} if before == math.inf else {"$lt": datetime.fromtimestamp(before, UTC)}
        old = {GONE: made, self._version: {"$lt": below}}
        async with self._write() as unit:
            documents = self._documents(unit)
            keys = [d["_id"] async for d in documents.find(old, {"_id": 1}, limit=MOST_FORGOTTEN)]
            if not keys:
                return 0
            return int((await documents.delete_many({"_id": {"$in": keys}, **old})).deleted_count)

    async def close(self) -> None:
        """Close what it itself opened. May be called twice."""
        await self.backing.close()


def _sent(field: Any) -> Any:
    found = plain(field)
    return Decimal128(found) if isinstance(found, Decimal) else found


def _given(field: Any) -> Any:
    return field.to_decimal() if isinstance(field, Decimal128) else field


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Inside, errors leave as SinkDown or SinkRefused."""
    try:
        yield
    except ConfigurationError:
        raise
    except RegionKitError as error:
        raise SinkDown(f"{name!r} did not take the changes: {error.what} {error.why}".strip()) from error
    except (BSONError, DocumentTooLarge, OverflowError, UnicodeError) as error:
        raise SinkRefused(f"a value cannot be sent: {error}") from error
    except PyMongoError as error:
        raise _of(error, name) from error


def _of(error: PyMongoError, name: str) -> Exception:
    details: Any = error.details if isinstance(error, OperationFailure) else None
    if isinstance(error, BulkWriteError) and details.get("writeErrors"):
        details = details["writeErrors"][0]
    code = details.get("code") if isinstance(details, Mapping) else None
    if code == DUPLICATE or isinstance(error, DuplicateKeyError):
        if list((details or {}).get("keyPattern", {})) == ["_id"]:
            return SinkDown(f"a document of {name!r} was inserted meanwhile")
        return SinkRefused(str(details.get("errmsg", error))[:300])
    if code in (VALIDATION, TOO_LARGE):
        return SinkRefused(f"the collection does not take a document: {str(details.get('errmsg', ''))[:300]}")
    return SinkDown(f"{name!r} did not take the changes: {str(error)[:300]}")
