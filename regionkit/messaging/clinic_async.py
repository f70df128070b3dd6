"""What a consumer does for the hospital: it runs cases that are due, and lets keys go on whose case is over.

1. The number of a run is committed before it begins; the effect and the end of the case commit together, under that number.
2. A run that died is due again when its time is over. One that could not run (deadlock, no store) is due again soon.
3. A key goes on message by message, each in a transaction of its own: gate locked, lowest held, handler, row gone.
4. Whatever stops on the way is due again: nothing is remembered here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.messaging.admitting_async import ROWS_WITHIN, Taken
from regionkit.messaging.applying_async import AsyncApplier
from regionkit.messaging.case import NO_ERROR, Case, Failed, HeldMessage, Key, failed, retry_after
from regionkit.messaging.delivery import Judged, Verdict
from regionkit.messaging.envelope import Envelope, Malformed, Message, decode, message_of
from regionkit.messaging.events import TreatmentFailed
from regionkit.messaging.handlers import Handler, fewest, longest
from regionkit.messaging.runs_async import Ended, Run
from regionkit.messaging.sources.source_async import Delivery

__all__ = ["AsyncClinic"]

MOST_AT_ONCE = 20
"""Cases that are looked at in one round."""
LOOKED_EVERY = 0.5
"""Seconds between two rounds: a retry is a matter of seconds."""
MOST_RELEASED = 1000
"""Held messages of one key that one round lets go on: other keys have their turn, too."""
NOT_RUN = 1.0
"""Seconds until a case is due again that could not be run."""


class AsyncClinic:
    """The cases of one consumer. Used by one thread (task) at a time."""

    def __init__(self, applier: AsyncApplier) -> None:
        self._applier = applier
        self._inbox = applier.inbox
        self._scope = applier.options.scope
        self.busy = False

    def _deadline(self, seconds: float = ROWS_WITHIN) -> Deadline:
        return Deadline(self._applier.clock, seconds)

    async def round(self) -> float:
        """Look once at what is due. Seconds until the next look."""
        cases = await self._inbox.due(self._scope, MOST_AT_ONCE, self._deadline())
        self.busy = bool(cases)
        for case in cases:
            if case.status in ("retrying", "treating"):
                await self._treat(case)
            else:
                await self._release(case)
        return 0.0 if len(cases) == MOST_AT_ONCE else LOOKED_EVERY

    async def _treat(self, case: Case) -> None:
        try:
            envelope = decode(case.body)
            message = message_of(envelope, case.attempts + 1)
        except Malformed as error:
            await self._end(case, "admitted", failed(error))
            return
        handlers = self._applier.handlers.of(envelope.type)
        if not handlers:
            await self._end(case, "admitted", Failed("", "nobody handles its type here", "", "unhandled"))
            return
        if case.status == "treating" and case.attempts >= fewest(handlers):
            await self._end(case, "admitted", Failed("", "its last run died or was lost", "", "crashed"))
            return
        until = self._inbox.now() + longest(handlers) + ROWS_WITHIN
        started = await self._inbox.begin_treatment(case, until, self._deadline())
        if started is None:
            return
        crash_point("case.started")
        await self._after(started, handlers, await self._run(started, handlers, message))

    async def _run(self, case: Case, handlers: Sequence[Handler], message: Message) -> Ended:
        async def begin(unit: Any) -> Judged:
            return Judged(Verdict.APPLY if await self._inbox.discharge(unit, case) else Verdict.DUPLICATE)

        return await self._applier.runs.run(begin, handlers, message, longest(handlers))

    async def _after(self, case: Case, handlers: Sequence[Handler], ended: Ended) -> None:
        if ended.run is Run.COMMITTED:
            self._applier.counters.add("applied")
            if case.parks:
                await self._release(case)
        elif ended.run in (Run.FAILED, Run.UNDONE, Run.IN_DOUBT):
            assert ended.error is not None
            again = case.attempts < fewest(handlers) and ended.run is not Run.IN_DOUBT
            status = "retrying" if again else "admitted"
            self._applier.tell(
                TreatmentFailed(self._applier.options.name, status, case.attempts, type(ended.error).__name__)
            )
            await self._end(case, status, failed(ended.error))
        elif ended.run is not Run.NOTHING:
            await self._end(case, "retrying", case.error, pause=NOT_RUN)

    async def _end(self, case: Case, status: str, error: Failed, *, pause: float | None = None) -> None:
        now = self._inbox.now()
        pause = retry_after(case.attempts, self._applier.admitting.chance) if pause is None else pause
        due = now + pause if status == "retrying" else None
        after = msgspec.structs.replace(case, status=status, due_at=due, error=error, changed_at=now)
        await self._inbox.end_treatment(case, after, self._deadline())

    async def _release(self, case: Case) -> None:
        """The key goes on, as far as it can now."""
        if case.key is None:
            return
        key = Key(case.lineage, case.key)
        for _ in range(MOST_RELEASED):
            if not await self._release_one(key):
                return

    async def _release_one(self, key: Key) -> bool:
        """The lowest held message of a key; whether there may be a next one."""
        found: list[tuple[HeldMessage, Envelope]] = []
        held = await self._lowest(key)
        if held is None:
            return False
        envelope = decode(held.body)
        handlers = () if envelope.tomb else self._applier.handlers.of(envelope.type)
        taken = Taken(Delivery(None, held.body, position="held"), envelope)
        try:
            message = None if envelope.tomb else message_of(envelope)
        except Malformed as error:
            return await self._park(key, held, taken, "malformed", failed(error), retries=False)
        if not handlers and not envelope.tomb:
            return await self._park(key, held, taken, "unhandled", NO_ERROR, retries=False)

        async def begin(unit: Any) -> Judged:
            still = await self._inbox.next_held(unit, self._scope, key)
            if still is None or still.seq != held.seq:
                return Judged(Verdict.BUSY)
            found.append((still, envelope))
            return await self._inbox.take_held(unit, self._scope, held, envelope)

        ended = await self._applier.runs.run(begin, handlers, message, longest(handlers))
        if ended.run is Run.COMMITTED and ended.judged.verdict is Verdict.APPLY:
            self._applier.counters.add("skipped" if envelope.tomb else "applied")
            if ended.judged.began:
                self._applier.counters.add("began")
            return True
        if ended.run in (Run.FAILED, Run.UNDONE):
            assert ended.error is not None
            return await self._park(key, held, taken, "failed", failed(ended.error), retries=fewest(handlers) > 1)
        if ended.run is Run.IN_DOUBT and ended.error is not None:
            await self._applier.in_doubt(taken, ended.error)
            return False
        return await self._not_released(key, held, taken, ended)

    async def _not_released(self, key: Key, held: HeldMessage, taken: Taken, ended: Ended) -> bool:
        """What is neither applied nor failed: its row goes, or the key waits, in a transaction of their own."""
        if ended.run is not Run.NOTHING or ended.judged.verdict is Verdict.BUSY:
            return ended.run is Run.NOTHING
        async with self._inbox.unit(self._deadline(), core=True) as unit:
            still = await self._inbox.next_held(unit, self._scope, key)
            if still is None or still.seq != held.seq:
                return still is not None
            judged = await self._inbox.take_held(unit, self._scope, held, taken.envelope)
        return judged.verdict is not Verdict.GAP

    async def _lowest(self, key: Key) -> HeldMessage | None:
        async with self._inbox.unit(self._deadline(), core=True) as unit:
            return await self._inbox.next_held(unit, self._scope, key)

    async def _park(
        self, key: Key, held: HeldMessage, taken: Taken, reason: str, error: Failed, *, retries: bool
    ) -> bool:
        """It could not be applied: a case takes its place."""
        case = self._applier.admitting.case(
            taken, reason, "retrying" if retries else "admitted", error, attempts=1, park=reason != "unhandled"
        )
        async with self._inbox.unit(self._deadline(), core=True) as unit:
            still = await self._inbox.next_held(unit, self._scope, key)
            if still is not None and still.seq == held.seq:
                await self._inbox.park_held(unit, self._scope, held, taken.envelope, case)
                self._applier.counters.add("retrying" if retries else "parked")
        return not case.parks
