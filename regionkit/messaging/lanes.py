# Generated from lanes_async.py by scripts/twins.py. Do not edit.
"""The lanes of a consumer: a key is always of one lane, and a lane works at one message at a time.

1. Messages that may share a transaction are taken together, as many as wait in a row.
2. A message with a gap before it is aside, and looked at again after each other one of its lane, and soon when there is none.
3. While the store does not answer, one lane asks it, with a back-off; the others wait, and nothing is fetched.
4. An error that no rule names gives back what the lane had in hand, and the lane goes on: after a pause that grows while
   nothing it takes comes to an end. Other lanes do not notice.
5. A lane that is to stop ends the message under way, and leaves the others undone: they are given back.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable

import msgspec

from regionkit.core.clock import Clock
from regionkit.core.concurrency import Flag, Lock
from regionkit.messaging.admitting import Taken
from regionkit.messaging.applying import Applier, Step, is_unforeseen
from regionkit.messaging.batches import Batches
from regionkit.messaging.events import ConsumerPaused, ConsumerResumed

__all__ = ["Lane", "StoreWatch", "lane_of"]

ASIDE_LOOK = 0.02
"""Seconds until a message that is aside is looked at again, at first."""
ASIDE_LONGEST = 0.5
"""Seconds between two looks at most."""
MOST_ASIDE = 16
"""Messages of a lane that are aside, half of what it has under way: beyond, the oldest one waits in the database."""
IDLE = 0.5
"""Seconds that a lane waits for something to do before it looks whether it is to stop."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two questions to a store that does not answer."""
LONGEST_BROKEN = 1.0
"""Seconds that a lane rests at most after an error that no rule names: what comes to it meanwhile waits no longer."""


def lane_of(taken: Taken, lanes: int) -> int:
    """Which lane a message is of: by its key, without one by its id."""
    return zlib.crc32((taken.envelope.key or taken.envelope.id).encode("utf-8", "surrogatepass")) % lanes


class StoreWatch:
    """Whether the store answers, for all lanes of one consumer."""

    def __init__(self, applier: Applier, stopping: Flag) -> None:
        self._applier = applier
        self._stopping = stopping
        self._asking = Lock()
        self.down = False

    def again(self, taken: Taken) -> Step:
        """Work at the message until the store answers, or the consumer stops."""
        if not self.down:
            self.down = True
            self._applier.tell(
                ConsumerPaused(self._applier.options.name, f"its store does not answer: {self._applier.away}")
            )
        pause = FIRST_PAUSE
        with self._asking:
            while not self._stopping.wait(pause if self.down else 0.0):
                try:
                    step = self._applier.work(taken)
                except BaseException:  # not of the store: others are taken again
                    self._answers()
                    raise
                if step is not Step.PAUSE:
                    self._answers()
                    return step
                self.down = True
                pause = min(2.0 * pause, LONGEST_PAUSE)
        return Step.BACK

    def _answers(self) -> None:
        if self.down:
            self.down = False
            self._applier.tell(ConsumerResumed(self._applier.options.name))


class _Aside(msgspec.Struct):
    taken: Taken
    since: float


class Lane:
    """One lane."""

    def __init__(
        self,
        applier: Applier,
        watch: StoreWatch,
        clock: Clock,
        stopping: Flag,
        done: Callable[[Taken, Step], None],
    ) -> None:
        self._applier = applier
        self._watch = watch
        self._clock = clock
        self._stopping = stopping
        self._done = done
        self._waiting: deque[Taken] = deque()
        self._aside: list[_Aside] = []
        self._given = Flag()
        self._look = ASIDE_LOOK
        self._batches = Batches(applier)
        self._moved = False
        self._hand: dict[int, Taken] = {}  # what it works at now
        self._broke = False
        self._pause = FIRST_PAUSE

    def give(self, taken: Taken) -> None:
        """One more message."""
        self._waiting.append(taken)
        self._given.set()

    def wake(self) -> None:
        """Look whether it is to stop."""
        self._given.set()

    def run(self) -> None:
        """Work until the consumer stops."""
        while not self._stopping.is_set():
            try:
                self._turn()
            except BaseException as error:
                if not is_unforeseen(error):
                    raise
                self._applier.note(error)
                self._broke = True
            if self._broke:
                self._give_back()

    def _turn(self) -> None:
        """One message, or those of one batch, or one look at what is aside."""
        if self._waiting:
            self._take()
            return
        self._given.clear()
        if self._waiting:  # it came just now
            return
        if self._given.wait(self._look if self._aside else IDLE):
            return
        if self._aside:
            self._look = min(2.0 * self._look, ASIDE_LONGEST)
            self._look_again()

    def _give_back(self) -> None:
        """What was in hand comes again, and says what has become of it."""
        self._broke = False
        self._aside = [aside for aside in self._aside if id(aside.taken) not in self._hand]
        for taken in tuple(self._hand.values()):
            self._tell(taken, Step.BACK)
        self._pause, pause = min(2.0 * self._pause, LONGEST_BROKEN), self._pause
        self._stopping.wait(pause)

    def _tell(self, taken: Taken, step: Step) -> None:
        """The message has left the lane."""
        self._hand.pop(id(taken), None)
        self._broke = self._broke or step is Step.BROKEN
        if step is Step.ACK:
            self._pause = FIRST_PAUSE
        self._done(taken, step)

    def _take(self) -> None:
        """The next message, or the next ones where they may share a transaction."""
        first = self._waiting.popleft()
        self._hand = {id(first): first}
        batch, most = [first], self._batches.most(first)
        while len(batch) < most and self._waiting and self._batches.joins(first, self._waiting[0]):
            batch.append(self._waiting.popleft())
        self._hand = {id(taken): taken for taken in batch}
        parts = deque([batch])
        if len(batch) == 1 and self._batches.fused(first):
            parts = deque(self._batches.run(batch, self._end_of_batch))
        while parts:
            part = parts.popleft()
            if len(part) > 1 and not self._stopping.is_set():
                parts.extendleft(reversed(self._batches.run(part, self._end_of_batch)))
            elif not self._stopping.is_set():
                for taken in part:
                    self._end(taken, self._work(taken))
        self._look_if_moved()

    def _end_of_batch(self, taken: Taken, step: Step) -> None:
        self._tell(taken, step)
        self._moved = self._moved or step is Step.ACK

    def _look_if_moved(self) -> None:
        if self._moved and self._aside:
            self._look = ASIDE_LOOK
            self._look_again()
        self._moved = False

    def _work(self, taken: Taken) -> Step:
        step = self._applier.work(taken)
        return self._watch.again(taken) if step is Step.PAUSE else step

    def _end(self, taken: Taken, step: Step) -> None:
        if step is Step.ASIDE:
            self._hand.pop(id(taken), None)
            self._aside.append(_Aside(taken, self._clock.monotonic()))
            if len(self._aside) > MOST_ASIDE:
                self._look_again(crowded=True)
            return
        self._tell(taken, step)
        if step is Step.ACK and self._aside:
            self._look = ASIDE_LOOK
            self._look_again()

    def _look_again(self, *, crowded: bool = False) -> None:
        """At each that is aside, as long as one of them goes on. `crowded`: the oldest have waited long enough."""
        moved = True
        while moved and not self._stopping.is_set():
            moved = False
            now = self._clock.monotonic()  # one time for all: the oldest of a key parks it, before its followers
            for aside in tuple(self._aside):
                self._hand[id(aside.taken)] = aside.taken
                waited = now - aside.since > self._applier.options.gap_wait
                step = self._work(aside.taken)
                if step is Step.ASIDE and (waited or (crowded and len(self._aside) > MOST_ASIDE)):
                    step = self._applier.close_gap(aside.taken)
                if step not in (Step.ASIDE, Step.PAUSE):
                    moved = True
                    self._aside.remove(aside)
                    self._tell(aside.taken, step)
                self._hand.pop(id(aside.taken), None)
