# Generated from effects_together_async.py by scripts/twins.py. Do not edit.
"""Effects inside the store of claims, of many messages of one lane in one step.

1. A handler with effect="redis" says what is to be done and does nothing. So the handlers of messages that wait in a row are
   called one after another, and one script does all effects, in that order, each with a record of its own.
2. What there is by then is sent after `GATHER_FOR` seconds, or with `MOST_AT_ONCE` commands: an effect does not wait long for the
   handlers behind it, and the server does nothing else for as long as a script runs.
3. A message that failed, or that the script finds neither new nor done, goes on alone from there: it was its first run.
4. Without an answer of the store nothing is known of any of them: they are given back, or wait for the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.events import crash_point
from regionkit.errors import BackendError, OutcomeUnknown
from regionkit.messaging.admitting import Taken
from regionkit.messaging.applying import Applier, Step
from regionkit.messaging.claim import Wish
from regionkit.messaging.delivery import Verdict
from regionkit.messaging.effect_commands import Checked, checked_commands
from regionkit.messaging.envelope import Message, fingerprint, stored_id
from regionkit.messaging.handlers import Handler
from regionkit.messaging.outside import ASK_WITHIN, OWNER, First, failure_of
from regionkit.messaging.runs import called

__all__ = ["EffectsTogether"]

GATHER_FOR = 0.02
"""Seconds: many times what a handler takes that only computes, and less than anybody notices."""
MOST_AT_ONCE = 256
"""Commands of one script: some milliseconds of the server's time."""


class _Called(msgspec.Struct):
    """A handler that has been called. `effect`: what it wants done; None where it failed."""

    taken: Taken
    first: First
    effect: Checked | None = None
    wish: Wish | None = None


class EffectsTogether:
    """Of one lane. Used by one thread (task) at a time."""

    def __init__(self, applier: Applier) -> None:
        self._applier = applier
        self._inbox: Any = applier.inbox

    def run(
        self,
        handler: Handler,
        batch: Sequence[Taken],
        messages: Sequence[Message],
        done: Callable[[Taken, Step], None],
    ) -> list[list[Taken]]:
        """One script. What is still to be done, in its order; `done` is called with the others."""
        crash_point("message.taken")
        called = self._call(handler, batch, messages)
        crash_point("message.handled")
        sent = [one for one in called if one.effect is not None]
        if sent:
            try:
                told: list[Verdict | Exception | None] = self._inbox.apply_many(
                    [one.wish for one in sent], [one.effect for one in sent], within=ASK_WITHIN
                )
            except OutcomeUnknown:
                for one in sent:
                    done(one.taken, Step.BACK)
                answered = {id(one.taken) for one in sent}
                return [[taken] for taken in batch if id(taken) not in answered]
            except BackendError:
                return [[taken] for taken in batch]  # the first of them waits for the store
            crash_point("message.committed")
            for one, answer in zip(sent, told, strict=True):
                one.first = First(one.first.commands, answer)
        alone = self._ended(called, done)
        again = [[one.taken] for one in alone if not self._goes_on(one, done)]
        left = list(batch[len(called) :])
        return [*again, left] if left else again

    def _call(self, handler: Handler, batch: Sequence[Taken], messages: Sequence[Message]) -> list[_Called]:
        until, owner = SYSTEM_CLOCK.monotonic() + GATHER_FOR, os.urandom(OWNER)
        called: list[_Called] = []
        commands = 0
        for taken, message in zip(batch, messages, strict=True):
            if called and (commands >= MOST_AT_ONCE or SYSTEM_CLOCK.monotonic() >= until):
                break
            one = self._called(handler, taken, message, owner)
            commands += 0 if one.effect is None else one.effect.most
            called.append(one)
        return called

    def _called(self, handler: Handler, taken: Taken, message: Message, owner: bytes) -> _Called:
        given: Any = None
        told = False
        try:
            given = called(handler.call, message)
            told = True
            effect = checked_commands(given)
        except BaseException as raised:
            return _Called(taken, First(given, failure_of(raised, called=not told), told))
        envelope = taken.envelope
        wish = self._applier.outside.wish(stored_id(envelope.id), fingerprint(envelope), handler, owner)
        return _Called(taken, First(given, None), effect, wish)

    def _ended(self, called: Sequence[_Called], done: Callable[[Taken, Step], None]) -> list[_Called]:
        """`done` with those that the script has done, or found done. The others."""
        alone, counts = [], {Verdict.APPLY: 0, Verdict.DUPLICATE: 0}
        for one in called:
            answer = one.first.answer
            if isinstance(answer, Verdict) and answer in counts:
                counts[answer] += 1
                done(one.taken, Step.ACK)
            else:
                alone.append(one)
        for verdict, name in ((Verdict.APPLY, "applied"), (Verdict.DUPLICATE, "duplicates")):
            if counts[verdict]:
                self._applier.counters.add(name, counts[verdict])
        return alone

    def _goes_on(self, one: _Called, done: Callable[[Taken, Step], None]) -> bool:
        """Alone. Whether it is over: else the store is away."""
        step = self._applier.work(one.taken, one.first)
        if step is Step.PAUSE:
            return False
        done(one.taken, step)
        return True
