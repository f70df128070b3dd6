"""What the hospital reads and writes in the collections of a MongoDB inbox.

1. A change is judged by what its transaction's snapshot shows, and is written by an update that compares status and attempts,
   with a line of the audit trail. Another's change meanwhile ends it with a write conflict: the hospital runs it again.
2. No listing reads bodies, and every listing has a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from bson.codec_options import CodecOptions

from regionkit.contract.backing_async import AsyncBacking
from regionkit.contract.unit_async import AsyncUnit
from regionkit.core.deadline import Deadline
from regionkit.core.tables import TABLES, Table, table_name
from regionkit.errors import ConfigurationError
from regionkit.messaging.case import OPEN, Case
from regionkit.messaging.hospital_rules import NoSuchCase, NotPossible
from regionkit.messaging.hospital_views import CaseLine, Group, HeldLine, Stats, line_of, text_of
from regionkit.messaging.inbox_tables_mongo import case_in
from regionkit.messaging.inboxes.rows_async import Place, place_of_case
from regionkit.messaging.kept_tables import GATE, HELD, HOSPITAL, HOSPITAL_EVENT
from regionkit.messaging.outbox_documents_mongo import NOW

__all__ = ["AsyncMongoHospital"]

MOST_COUNTED = 1000
"""Lines of `stats`: consumers times statuses times reasons."""
_PLAIN: CodecOptions[dict[str, Any]] = CodecOptions()
_ORDER = [("epoch", 1), ("n", 1), ("seq", 1)]
_LINE = {"body": 0}
"""All of a case but its message."""


class AsyncMongoHospital:
    """The rows of a hospital. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: AsyncBacking, cipher: Any) -> None:
        if cipher is not None:
            raise ConfigurationError(
                f"a cipher for the hospital of {backing.name!r}.",
                why="an inbox in MongoDB keeps messages as they came.",
                fix="leave cipher= out; redact= limits what is shown.",
            )
        self._backing = backing

    def unit(self, deadline: Deadline) -> AbstractAsyncContextManager[AsyncUnit]:
        """In which a change is made."""
        return self._backing.write(deadline=deadline)

    def _of(self, unit: AsyncUnit, table: Table) -> Any:
        name = table_name(self._backing.namespace, table.name)
        return unit.native.get_collection(name, codec_options=_PLAIN)

    async def now(self, unit: AsyncUnit) -> float:
        """Seconds since 1970 by the server's clock.

        Raises:
            ConfigurationError: it has no hospital.
        """
        name = table_name(self._backing.namespace, TABLES)
        asked = [{"$match": {"_id": HOSPITAL.name}}, {"$project": {"now": NOW}}]
        async for found in await unit.native.get_collection(name, codec_options=_PLAIN).aggregate(asked):
            return float(found["now"])
        raise ConfigurationError(
            f"no hospital collections exist in {self._backing.name!r}.",
            fix="call create_tables() of the inbox once, and check that namespace= is the inbox's.",
        )

    async def listed(self, found: dict[str, Any], most: int, deadline: Deadline) -> list[CaseLine]:
        """Cases without their messages, the oldest first."""
        async with self.unit(deadline) as unit:
            await self.now(unit)
            cases = self._of(unit, HOSPITAL).find(_where(found), _LINE, sort=[("id", 1)], limit=most)
            return [line_of(_bare(document)) async for document in cases]

    async def case(self, id: str, deadline: Deadline) -> Case:
        """One case.

        Raises:
            NoSuchCase: there is none.
        """
        async with self.unit(deadline) as unit:
            return await self.locked(unit, id)

    async def locked(self, unit: AsyncUnit, id: str) -> Case:
        """One case: what is changed in the unit is changed only if the case is still so.

        Raises:
            NoSuchCase: there is none.
        """
        await self.now(unit)
        found = await self._of(unit, HOSPITAL).find_one({"id": id})
        if found is None:
            raise NoSuchCase(f"there is no case {id[:40]!r}.", fix="`cases` lists them, `groups` their causes.")
        return case_in(found)

    async def locked_of(self, unit: AsyncUnit, found: dict[str, Any], most: int) -> list[Case]:
        """The same of many, without their messages, in the order of their admission."""
        parks = {"parks": True, "status": {"$in": OPEN}} if "parks" in found else {"reason": {"$ne": "gap"}}
        asked = {"$and": [_where(found), parks]}
        cases = self._of(unit, HOSPITAL).find(asked, _LINE, sort=[("id", 1)], limit=most)
        return [_bare(document) async for document in cases]

    async def change(
        self, unit: AsyncUnit, case: Case, after: Case, what: str, who: str, reason: str, *, was: bytes | None = None
    ) -> None:
        """The case as it stands after `what`, with a line of the audit trail. `was`: the message before an edit.

        Raises:
            NotPossible: it is another run's by now.
        """
        same = {"id": case.id, "status": case.status, "attempts": case.attempts}
        values: dict[str, Any] = {"status": after.status, "due_at": after.due_at, "changed_at": after.changed_at}
        if was is not None:
            values["body"] = after.body
        done = await self._of(unit, HOSPITAL).update_one(same, {"$set": values})
        if not done.matched_count:
            raise NotPossible(f"case {case.id} was changed just now.", fix="look at it again.", retryable=True)
        line = {"case_id": case.id, "at": after.changed_at, "who": who[:120], "what": what, "reason": reason}
        await self._of(unit, HOSPITAL_EVENT).insert_one({**line, "body": was})

    async def trail(
        self, id: str, most: int, deadline: Deadline
    ) -> Sequence[tuple[float, str, str, str, bytes | None]]:
        """Lines of the audit trail, in order: at, who, what, reason, the message before an edit."""
        async with self.unit(deadline) as unit:
            lines = self._of(unit, HOSPITAL_EVENT).find({"case_id": id}, sort=[("at", 1), ("_id", 1)], limit=most)
            return [(line["at"], line["who"], line["what"], line["reason"], line.get("body")) async for line in lines]

    async def behind(self, case: Case, most: int, deadline: Deadline) -> tuple[list[HeldLine], int]:
        """What waits behind a case: the first ones, and how many there are."""
        if case.key is None or not case.parks:
            return [], 0
        async with self.unit(deadline) as unit:
            first = self._of(unit, HELD).find(_gate(case), sort=_ORDER, limit=most)
            lines = [HeldLine(text_of(held["_id"]["id"]), held["n"], held["held_at"]) async for held in first]
            return lines, await self.held(unit, case)

    async def held(self, unit: AsyncUnit, case: Case) -> int:
        """How many messages wait behind a case."""
        return int(await self._of(unit, HELD).count_documents(_gate(case)))

    async def group_size(self, found: dict[str, Any], deadline: Deadline) -> int:
        """How many cases `locked_of` would find without a limit."""
        async with self.unit(deadline) as unit:
            await self.now(unit)
            asked = {"$and": [_where(found), {"reason": {"$ne": "gap"}}]}
            return int(await self._of(unit, HOSPITAL).count_documents(asked))

    async def groups(self, most: int, deadline: Deadline) -> list[Group]:
        """Open cases by what they come from."""
        one = {"group": "$error.group", "reason": "$reason", "type": "$error.type"}
        counts = {
            "count": {"$sum": 1},
            "waiting": {"$sum": {"$cond": [{"$eq": ["$status", "admitted"]}, 1, 0]}},
            "oldest": {"$min": "$admitted_at"},
            "newest": {"$max": "$admitted_at"},
            "example": {"$max": "$id"},
        }
        asked: list[dict[str, Any]] = [
            {"$match": {"status": {"$in": OPEN}}},
            {"$group": {"_id": one, **counts}},
            {"$sort": {"count": -1, "example": -1}},
            {"$limit": most},
        ]
        async with self.unit(deadline) as unit:
            await self.now(unit)
            cases = self._of(unit, HOSPITAL)
            found = [group async for group in await cases.aggregate(asked)]
            wanted = {"id": {"$in": [group["example"] for group in found]}}
            texts = {one["id"]: one["error"]["text"] async for one in cases.find(wanted, {"id": 1, "error.text": 1})}
        return [
            Group(
                **{name: group[name] for name in counts},
                group=group["_id"]["group"] or group["_id"]["reason"],
                reason=group["_id"]["reason"],
                error_type=group["_id"]["type"],
                error=texts.get(group["example"], ""),
            )
            for group in found
        ]

    async def stats(self, deadline: Deadline) -> Stats:
        """Counts."""
        one = {"scope": "$scope", "status": "$status", "reason": "$reason"}
        asked: list[dict[str, Any]] = [
            {"$group": {"_id": one, "count": {"$sum": 1}, "oldest": {"$min": "$admitted_at"}}},
            {"$sort": {"_id": 1}},
            {"$limit": MOST_COUNTED},
        ]
        async with self.unit(deadline) as unit:
            await self.now(unit)
            found = [(line["_id"], line) async for line in await self._of(unit, HOSPITAL).aggregate(asked)]
            held = int(await self._of(unit, HELD).count_documents({}))
            parked = int(await self._of(unit, GATE).count_documents({"parked": {"$ne": ""}}))
        opened = [(of["status"], line) for of, line in found if of["status"] in OPEN]
        return Stats(
            cases=[(text_of(of["scope"]), of["status"], of["reason"], line["count"]) for of, line in found],
            open=sum(line["count"] for _, line in opened),
            waiting=sum(line["count"] for status, line in opened if status == "admitted"),
            held=held,
            parked=parked,
            oldest=min((line["oldest"] for _, line in opened), default=None),
        )


def _where(found: dict[str, Any]) -> dict[str, Any]:
    """A filter, as MongoDB has it."""
    made = {name: value for name, value in found.items() if name in ("reason", "type", "key", "scope")}
    if "status" in found:
        made["status"] = {"$in": OPEN} if found["status"] == "open" else found["status"]
    if "group" in found:
        made["$or"] = [{"error.group": found["group"]}, {"error.group": "", "reason": found["group"]}]
    if "after" in found:
        made["id"] = {"$gt": found["after"]}
    return made


def _gate(case: Case) -> dict[str, Any]:
    place: Place = place_of_case(case)
    return {"gate": place._asdict()}


def _bare(document: dict[str, Any]) -> Case:
    return case_in({**document, "body": b""})
