"""What can be looked at in the error hospital. Every listing has a limit, and reads no message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.core.given import MOST
from regionkit.messaging.hospital_asking import asked, case_id, limited
from regionkit.messaging.hospital_views import (
    CaseLine,
    Detail,
    Group,
    Redact,
    Stats,
    TrailLine,
    as_json,
    line_of,
    shown,
    without_payloads,
)

__all__ = ["AsyncHospitalReads"]

MOST_LISTED = 1000
"""Cases of one listing: a screenful of screenfuls; the next page begins `after` the last one."""
MOST_SHOWN = 100
"""Held messages and lines of the audit trail that `show` returns."""
EXPORTED_AT_ONCE = 100
"""Cases of a page of an export; of their messages one at a time is in memory."""
WITHIN = 30.0
"""Seconds for each transaction."""


class AsyncHospitalReads:
    """The half of a hospital that changes nothing."""

    def __init__(self, rows: Any, redact: Redact | None, clock: Clock) -> None:
        self.rows = rows
        self._redact = redact
        self._clock = clock

    def deadline(self) -> Deadline:
        """Of each transaction."""
        return Deadline(self._clock, WITHIN)

    async def cases(
        self,
        *,
        status: str | None = "open",
        reason: str | None = None,
        type: str | None = None,
        key: str | None = None,
        consumer: str | None = None,
        group: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[CaseLine]:
        """Cases, the oldest first, without their messages.

        Args:
            status: one of them, "open" for those that are not over, None for all.
            reason: "failed", "crashed", "gap", ...
            type: of their messages.
            key: of their messages.
            consumer: whose.
            group: as `groups` names it.
            limit: at most so many, up to 1000.
            after: the id of the last one of the page before.
        """
        found = asked(status=status, reason=reason, type=type, key=key, consumer=consumer, group=group, after=after)
        listed: list[CaseLine] = await self.rows.listed(found, limited(limit, MOST_LISTED), self.deadline())
        return listed

    async def groups(self, limit: int = 100) -> list[Group]:
        """Open cases by what they come from, the most frequent first."""
        found: list[Group] = await self.rows.groups(limited(limit, MOST_LISTED), self.deadline())
        return found

    async def stats(self) -> Stats:
        """Counts."""
        found: Stats = await self.rows.stats(self.deadline())
        return found

    async def show(self, id: str) -> Detail:
        """All of one case: its message, what waits behind it, what was done with it.

        Raises:
            NoSuchCase: there is none of that id.
        """
        case = await self.rows.case(case_id(id), self.deadline())
        held, count = await self.rows.behind(case, MOST_SHOWN, self.deadline())
        trail = await self.rows.trail(id, MOST_SHOWN, self.deadline())
        return Detail(
            case=line_of(case),
            stack=case.error.stack,
            message=shown(case.body, self._redact),
            held=held,
            held_count=count,
            trail=[
                TrailLine(at, who, what, reason, None if was is None else shown(was, self._redact))
                for at, who, what, reason, was in trail
            ],
        )

    async def export(
        self,
        *,
        status: str | None = None,
        reason: str | None = None,
        type: str | None = None,
        key: str | None = None,
        consumer: str | None = None,
        group: str | None = None,
        limit: int | None = None,
        payload: bool = True,
    ) -> AsyncIterator[bytes]:
        """Cases with their messages and audit trails, the oldest first, each a line of JSON without its end.

        Args:
            status: see `cases`; None for all.
            reason: see `cases`.
            type: see `cases`.
            key: see `cases`.
            consumer: see `cases`.
            group: see `cases`.
            limit: at most so many; None for all that there are.
            payload: payloads and headers are part of it.
        """
        found = asked(status=status, reason=reason, type=type, key=key, consumer=consumer, group=group)
        left = None if limit is None else limited(limit, MOST)
        while left is None or left > 0:
            most = EXPORTED_AT_ONCE if left is None else min(left, EXPORTED_AT_ONCE)
            lines = await self.rows.listed(found, most, self.deadline())
            for line in lines:
                detail = await self.show(line.id)
                yield as_json(detail if payload else without_payloads(detail))
            if len(lines) < most:
                return
            found["after"] = lines[-1].id
            left = None if left is None else left - len(lines)
