# Generated from hospital_sql_async.py by scripts/twins.py. Do not edit.
"""What the hospital reads and writes in the tables of a SQL inbox.

1. A change locks the row of its case, is judged, and is written with a line of the audit trail, in one transaction; the UPDATE
   still compares status and attempts. It touches neither gates nor held messages: letting keys go on is the consumer's.
2. No listing reads bodies, and every listing has a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import and_, bindparam, case, func, literal, or_, select, update

from regionkit.contract.backing import Backing
from regionkit.contract.unit import Unit
from regionkit.core.deadline import Deadline
from regionkit.facts.consistency import STRONG
from regionkit.messaging.case import OPEN, Case
from regionkit.messaging.cipher import Cipher, sealed, unsealed
from regionkit.messaging.hospital_rules import NoSuchCase, NotPossible
from regionkit.messaging.hospital_views import (
    CaseLine,
    Group,
    HeldLine,
    Stats,
    line_of,
    text_of,
)
from regionkit.messaging.inboxes.cases_sql import case_of
from regionkit.messaging.inboxes.rows_sql import InboxStatements, key_of, tables_expected

__all__ = ["SqlHospital"]

MOST_COUNTED = 1000
"""Lines of `stats`: consumers times statuses times reasons."""


class _Rows:
    """The statements of one dialect. Immutable."""

    def __init__(self, namespace: str, native: Any) -> None:
        rows = InboxStatements(namespace, native)
        self.now, self.tell, self.case, self.behind_count = rows.now, rows.tell, rows.case, rows.held_count
        self.hospital = c = rows.hospital
        self.line = select(*(literal(b"").label("body") if column is c.c.body else column for column in c.c))
        new: dict[str, Any] = {
            "status": bindparam("n_status"),
            "due_at": bindparam("n_due"),
            "changed_at": bindparam("n_at"),
        }
        self.change = update(c).where(rows.same_run).values(new)
        self.change_body = update(c).where(rows.same_run).values({**new, "body": bindparam("n_body")})
        e, h = rows.event, rows.held
        self.trail = select(e).where(e.c.case_id == bindparam("b_case")).order_by(e.c.seq).limit(bindparam("b_most"))
        order = (h.c.epoch, h.c.n, h.c.seq)
        self.behind = select(h.c.id, h.c.n, h.c.held_at).where(key_of(h)).order_by(*order).limit(bindparam("b_most"))
        self.counts = (
            select(c.c.scope, c.c.status, c.c.reason, func.count(), func.min(c.c.admitted_at))
            .group_by(c.c.scope, c.c.status, c.c.reason)
            .order_by(c.c.scope, c.c.status, c.c.reason)
            .limit(MOST_COUNTED)
        )
        self.held_all = select(func.count()).select_from(h)
        gate = rows.gate
        self.parked = select(func.count()).select_from(gate).where(gate.c.parked != "")

    def where(self, found: dict[str, Any]) -> list[Any]:
        """Conditions of a filter."""
        c = self.hospital.c
        made: list[Any] = [
            c[name] == value for name, value in found.items() if name in ("reason", "type", "key", "scope")
        ]
        if "status" in found:
            made.append(c.status.in_(OPEN) if found["status"] == "open" else c.status == found["status"])
        if "group" in found:
            made.append(or_(c.stack_group == found["group"], and_(c.stack_group == "", c.reason == found["group"])))
        if "after" in found:
            made.append(c.case_id > found["after"])
        return made

    def groups(self, most: int) -> Any:
        """Open cases by what they come from, the largest groups first."""
        c = self.hospital.c
        waiting = func.sum(case((c.status == "admitted", 1), else_=0))
        count: Any = func.count()
        columns = (count.label("cases"), waiting.label("waiting"), func.min(c.admitted_at).label("oldest"))
        newest = (func.max(c.admitted_at).label("newest"), func.max(c.case_id).label("example"))
        return (
            select(c.stack_group, c.reason, c.error_type, *columns, *newest)
            .where(c.status.in_(OPEN))
            .group_by(c.stack_group, c.reason, c.error_type)
            .order_by(count.desc(), func.max(c.case_id).desc())
            .limit(most)
        )


class SqlHospital:
    """The rows of a hospital. Safe to share between threads (tasks of one loop)."""

    def __init__(self, backing: Backing, cipher: Cipher | None) -> None:
        self._backing = backing
        self._cipher = cipher
        self._rows: _Rows | None = None

    def _for(self, unit: Any) -> _Rows:
        rows = self._rows
        if rows is None:
            rows = _Rows(self._backing.namespace, unit.native)
            with tables_expected(self._backing.name):
                unit.native.execute(rows.trail, {"b_case": "", "b_most": 1})
            self._rows = rows
        return rows

    def unit(self, deadline: Deadline) -> AbstractContextManager[Unit]:
        """In which a change is made."""
        return self._backing.write(deadline=deadline, core=True)

    def _read(self, deadline: Deadline) -> AbstractContextManager[Unit]:
        return self._backing.read(consistency=STRONG, deadline=deadline, core=True)

    def now(self, unit: Any) -> float:
        """Seconds since 1970 by the database's clock."""
        return float((unit.native.execute((self._for(unit)).now)).scalar_one())

    def listed(self, found: dict[str, Any], most: int, deadline: Deadline) -> list[CaseLine]:
        """Cases without their messages, the oldest first."""
        with self._read(deadline) as unit:
            rows = self._for(unit)
            asked = rows.line.where(*rows.where(found)).order_by(rows.hospital.c.case_id).limit(most)
            return [line_of(case_of(row)) for row in unit.native.execute(asked)]

    def case(self, id: str, deadline: Deadline) -> Case:
        """One case.

        Raises:
            NoSuchCase: there is none.
        """
        with self._read(deadline) as unit:
            return self.locked(unit, id, lock=False)

    def locked(self, unit: Any, id: str, *, lock: bool = True) -> Case:
        """One case, which stays as it is until the unit ends.

        Raises:
            NoSuchCase: there is none.
        """
        asked = (self._for(unit)).case
        row = (unit.native.execute(asked.with_for_update() if lock else asked, {"b_case": id})).first()
        if row is None:
            raise NoSuchCase(f"there is no case {id[:40]!r}.", fix="`cases` lists them, `groups` their causes.")
        return case_of(row, self._cipher)

    def locked_of(self, unit: Any, found: dict[str, Any], most: int) -> list[Case]:
        """Cases without their messages in the order of their admission, which stay as they are until the unit ends."""
        rows = self._for(unit)
        c = rows.hospital.c
        extra = [c.parks == 1, c.status.in_(OPEN)] if "parks" in found else [c.reason != "gap"]
        asked = rows.line.where(*rows.where(found), *extra).order_by(c.case_id).limit(most)
        return [case_of(row) for row in unit.native.execute(asked.with_for_update())]

    def change(
        self, unit: Any, case: Case, after: Case, what: str, who: str, reason: str, *, was: bytes | None = None
    ) -> None:
        """The case as it stands after `what`, with a line of the audit trail. `was`: the message before an edit.

        Raises:
            NotPossible: it is another run's by now.
        """
        rows = self._for(unit)
        values = {
            **{"b_case": case.id, "b_status": case.status, "b_attempts": case.attempts},
            **{"n_status": after.status, "n_due": after.due_at, "n_at": after.changed_at},
        }
        changed = rows.change if was is None else rows.change_body
        if was is not None:
            values["n_body"] = sealed(self._cipher, after.body)
        if (unit.native.execute(changed, values)).rowcount != 1:
            raise NotPossible(f"case {case.id} was changed just now.", fix="look at it again.", retryable=True)
        self.note(unit, case.id, after.changed_at, what, who, reason, was=was)

    def note(
        self, unit: Any, id: str, at: float, what: str, who: str, reason: str, *, was: bytes | None = None
    ) -> None:
        """A line of the audit trail."""
        line = {"case_id": id, "at": at, "who": who[:120], "what": what, "reason": reason}
        body = None if was is None else sealed(self._cipher, was)
        unit.native.execute((self._for(unit)).tell, {**line, "body": body})

    def trail(self, id: str, most: int, deadline: Deadline) -> Sequence[tuple[float, str, str, str, bytes | None]]:
        """Lines of the audit trail, in order: at, who, what, reason, the message before an edit."""
        with self._read(deadline) as unit:
            found = (unit.native.execute((self._for(unit)).trail, {"b_case": id, "b_most": most})).all()
            return [
                (
                    row.at,
                    row.who,
                    row.what,
                    row.reason,
                    None if row.body is None else unsealed(self._cipher, bytes(row.body)),
                )
                for row in found
            ]

    def behind(self, case: Case, most: int, deadline: Deadline) -> tuple[list[HeldLine], int]:
        """What waits behind a case: the first ones, and how many there are."""
        if case.key is None or not case.parks:
            return [], 0
        with self._read(deadline) as unit:
            rows = self._for(unit)
            first = unit.native.execute(rows.behind, {**_key(case), "b_most": most})
            lines = [HeldLine(text_of(bytes(row.id)), row.n, row.held_at) for row in first]
            return lines, self.held(unit, case)

    def held(self, unit: Any, case: Case) -> int:
        """How many messages wait behind a case."""
        return int((unit.native.execute((self._for(unit)).behind_count, _key(case))).scalar_one())

    def group_size(self, found: dict[str, Any], deadline: Deadline) -> int:
        """How many cases `locked_of` would find without a limit."""
        with self._read(deadline) as unit:
            rows = self._for(unit)
            c = rows.hospital.c
            asked = select(func.count()).select_from(rows.hospital).where(*rows.where(found), c.reason != "gap")
            return int((unit.native.execute(asked)).scalar_one())

    def groups(self, most: int, deadline: Deadline) -> list[Group]:
        """Open cases by what they come from."""
        with self._read(deadline) as unit:
            rows = self._for(unit)
            c = rows.hospital.c
            found = (unit.native.execute(rows.groups(most))).all()
            asked = select(c.case_id, c.error).where(c.case_id.in_([row.example for row in found]))
            texts = {row.case_id: row.error for row in unit.native.execute(asked)} if found else {}
        return [
            Group(
                group=row.stack_group or row.reason,
                reason=row.reason,
                error_type=row.error_type,
                count=row.cases,
                waiting=int(row.waiting),
                oldest=row.oldest,
                newest=row.newest,
                example=row.example,
                error=texts.get(row.example, ""),
            )
            for row in found
        ]

    def stats(self, deadline: Deadline) -> Stats:
        """Counts."""
        with self._read(deadline) as unit:
            rows = self._for(unit)
            found = (unit.native.execute(rows.counts)).all()
            held = int((unit.native.execute(rows.held_all)).scalar_one())
            parked = int((unit.native.execute(rows.parked)).scalar_one())
        return Stats(
            cases=[(text_of(bytes(scope)), status, reason, count) for scope, status, reason, count, _ in found],
            open=sum(count for _, status, _, count, _ in found if status in OPEN),
            waiting=sum(count for _, status, _, count, _ in found if status == "admitted"),
            held=held,
            parked=parked,
            oldest=min((at for _, status, _, _, at in found if status in OPEN), default=None),
        )


def _key(case: Case) -> dict[str, Any]:
    return {"b_scope": case.scope, "b_lineage": case.lineage, "b_key": case.key}
