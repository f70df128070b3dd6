"""Many messages of one lane in one transaction: judged together, then their handler, then COMMIT.

1. A batch is of one type and one lane. Its gates are locked, and its claims written, in sorted order.
2. Only what is to be applied takes part. A suspect, a tombstone and what the intake refuses are worked at alone, as is what
   the inbox cannot judge here (held, gap, mismatch); in the order in which they came.
3. Nothing of a batch counts as an attempt. One that raises or deadlocks is rolled back and halved; a message that is left
   alone is run alone, and that run counts.
4. After a deadlock a lane's batches are half as large; each that commits lets them grow again.
5. Effects inside the store of claims go together without a transaction: `effects_together_async`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from regionkit.core.concurrency_async import asleep
from regionkit.errors import UsageError
from regionkit.messaging.admitting_async import Taken
from regionkit.messaging.applying_async import FIRST_PAUSE, AsyncApplier, Step
from regionkit.messaging.delivery import Intake, Judged, Verdict
from regionkit.messaging.effects_together_async import AsyncEffectsTogether
from regionkit.messaging.envelope import Malformed, Message, message_of
from regionkit.messaging.handlers import Handler
from regionkit.messaging.runs_async import DOWN, Ended, Run, acalled

__all__ = ["AsyncBatches"]

Done = Callable[[Taken, Step], None]
Parts = list[list[Taken]]


class _Found(msgspec.Struct):
    """What came of a batch in its transaction. `changed`: rows that its statement has changed."""

    verdicts: list[Judged | None]
    changed: int | None = None


_APPLY = Judged(Verdict.APPLY)


class AsyncBatches:
    """The batches of one lane. Used by one thread (task) at a time."""

    def __init__(self, applier: AsyncApplier) -> None:
        self._applier = applier
        self._judge_many = getattr(applier.inbox, "judge_many", None)
        self._apply_many = getattr(applier.inbox, "apply_many", None)
        self._effects = AsyncEffectsTogether(applier)
        self._most: dict[str, int] = {}

    def most(self, taken: Taken) -> int:
        """How many messages of its type may share a transaction now, with it as the first; 1: it goes alone."""
        handler = self._handler(taken)
        if handler is None:
            return 1
        return min(handler.batch, self._most.get(handler.type, handler.batch))

    def joins(self, first: Taken, taken: Taken) -> bool:
        """Whether a message may be of the batch that `first` begins."""
        return taken.envelope.type == first.envelope.type and self._handler(taken) is not None

    def _handler(self, taken: Taken) -> Handler | None:
        """The one that takes it in a batch; None where it goes alone."""
        envelope = taken.envelope
        if taken.malformed is not None or taken.delivery.again or envelope.tomb:
            return None
        handlers = self._applier.handlers.of(envelope.type)
        if len(handlers) != 1 or handlers[0].batch == 1:
            return None
        if (self._apply_many if handlers[0].effect == "redis" else self._judge_many) is None:
            return None
        return handlers[0] if self._applier.intake(envelope, handled=True) is Intake.TAKEN else None

    def fused(self, taken: Taken) -> bool:
        """Whether it is worth a try even alone: its claim and its effect may be one statement."""
        handler = self._handler(taken)
        return handler is not None and handler.fused is not None

    async def run(self, batch: Sequence[Taken], done: Done) -> Parts:
        """One transaction. What is still to be done, in its order; `done` is called with the others."""
        handler = self._handler(batch[0])
        try:
            messages = [message_of(taken.envelope) for taken in batch]
        except Malformed:
            handler = None
        if handler is None:
            return [[taken] for taken in batch]
        if handler.effect == "redis":
            return await self._effects.run(handler, batch, messages, done)
        found = _Found([])
        ended = await self._run(handler, batch, messages, found)
        if ended.run in (Run.COMMITTED, Run.NOTHING):
            self._grow(handler)
            return self._settled(batch, found, done)
        if ended.run is Run.IN_DOUBT and ended.error is not None:
            verdicts = found.verdicts or [_APPLY] * len(batch)
            doubtful = [judged is not None and judged.verdict is Verdict.APPLY for judged in verdicts]
            for taken, doubted in zip(batch, doubtful, strict=True):
                if doubted:
                    done(taken, await self._in_doubt(taken, ended.error))
            return [[taken] for taken, doubted in zip(batch, doubtful, strict=True) if not doubted]
        if ended.run is Run.UNKNOWN:
            for taken in batch:
                done(taken, Step.BACK)
            return []
        if ended.run in (Run.UNAVAILABLE, Run.BUSY):
            return [[taken] for taken in batch]  # the first of them waits for the store
        half = len(batch) // 2
        if ended.run is Run.TRANSIENT:
            self._applier.counters.add("reruns")
            self._most[handler.type] = max(1, half)
            await asleep(FIRST_PAUSE * self._applier.admitting.chance.random())
        return [part for part in (list(batch[:half]), list(batch[half:])) if part]

    async def _run(self, handler: Handler, batch: Sequence[Taken], messages: Sequence[Message], found: _Found) -> Ended:
        applied: list[Message] = []

        async def begin(unit: Any) -> Judged:
            applied.clear()
            if len(batch) == 1 and await self._with_claim(unit, handler, batch[0], messages[0], found):
                return _APPLY
            found.verdicts = await self._judged(unit, batch)
            for judged, message in zip(found.verdicts, messages, strict=True):
                if judged is not None and judged.verdict is Verdict.APPLY:
                    applied.append(message)
            return _APPLY if applied else Judged(Verdict.DUPLICATE)

        async def call(_: Any, db: Any) -> None:
            if applied:
                await _apply(handler, applied, db, found)

        one, core = (Handler(handler.type, call),), handler.fused is not None
        return await self._applier.runs.run(begin, one, None, handler.timeout, core=core)

    async def _with_claim(self, unit: Any, handler: Handler, taken: Taken, message: Message, found: _Found) -> bool:
        """Whether claim and effect went as one statement."""
        options, envelope = self._applier.options, taken.envelope
        if handler.fused is None or (options.ordered and envelope.key is not None):
            return False
        try:
            values = handler.fused.values(message)
        except UsageError:  # the message is to blame: it fails alone
            return False
        inbox: Any = self._applier.inbox
        found.changed = await inbox.claim_with(unit, options.scope, envelope, handler.fused, values)
        found.verdicts = [_APPLY]
        return found.changed is not None

    async def _judged(self, unit: Any, batch: Sequence[Taken]) -> list[Judged | None]:
        options = self._applier.options
        assert self._judge_many is not None
        verdicts: list[Judged | None] = await self._judge_many(
            unit, options.scope, [taken.envelope for taken in batch], ordered=options.ordered
        )
        return verdicts

    async def _in_doubt(self, taken: Taken, error: BaseException) -> Step:
        try:
            return await self._applier.in_doubt(taken, error)
        except DOWN:
            return Step.BACK

    def _grow(self, handler: Handler) -> None:
        most = self._most.get(handler.type, handler.batch)
        if most < handler.batch:
            self._most[handler.type] = min(handler.batch, most + max(1, most // 4))

    def _settled(self, batch: Sequence[Taken], found: _Found, done: Done) -> Parts:
        left, counters = [], self._applier.counters
        applied = duplicates = 0
        for taken, judged in zip(batch, found.verdicts, strict=True):
            if judged is None:
                left.append([taken])
                continue
            applied += judged.verdict is Verdict.APPLY
            duplicates += judged.verdict is Verdict.DUPLICATE
            if judged.diverged:
                counters.add("diverged")
            done(taken, Step.ACK)
        unchanged = 0 if found.changed is None else max(0, applied - found.changed)
        for name, count in (("applied", applied), ("duplicates", duplicates), ("unchanged", unchanged)):
            if count:
                counters.add(name, count)
        return left


async def _apply(handler: Handler, messages: Sequence[Message], db: Any, found: _Found) -> None:
    """All at once, or one after another, each with a session that remembers nothing of the one before."""
    if handler.many is not None:
        said = await acalled(handler.many, messages, db)
        found.changed = None if handler.fused is None else said
        return
    for message in messages:
        await acalled(handler.call, message, db)
        if not db.identity_map and not db.new:  # of most: looking for changes takes a tenth of a round trip
            continue
        if db.new or db.dirty or db.deleted:
            await db.flush()
        db.expunge_all()
