# Generated from relay_async.py by scripts/twins.py. Do not edit.
"""A relay: takes messages out of an outbox and publishes them; each destination by one relay at a time.

1. Rows are found by their presence, never by a cursor: one that is committed late is not skipped.
2. A row is deleted when its target has confirmed it. A relay that dies in between publishes again: the same id, the same number.
3. Rows are read at the owner of the database only.
4. Whatever wakes a relay is a hint. Without any it polls: 20 ms after work, up to 2 s when there was none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from regionkit.core.concurrency import Flag
from regionkit.core.events import EventHooks, Hook
from regionkit.core.given import is_number
from regionkit.core.supervisor import Supervisor
from regionkit.errors import ConfigurationError
from regionkit.messaging.counters import Relayed
from regionkit.messaging.outbox import Outbox
from regionkit.messaging.outbox_facts import RelayExplanation
from regionkit.messaging.parts import check_part
from regionkit.messaging.relay_lane import LONGEST_PAUSE, Lane, LaneOptions, PublishAfter
from regionkit.messaging.sources.checks import LONGEST_LEASE
from regionkit.messaging.sources.source import Target

__all__ = ["Relay"]

IS_ASYNC = False

SEND_TIMEOUT = 5.0
"""Seconds for one batch at a target."""
LEASE = 20.0
"""Seconds after which another relay may take over: four sendings."""


class Relay:
    """Publishes the events of an outbox. Any number of processes may run one each.

    Args:
        outbox: whose messages.
        to: a target for all its destinations; or by destination, for some of them: other relays take the others.
        gated: all consumers judge numbers (`order="key"` with a gate): a batch goes out at once. Without it, of each key one
            message is on its way at a time.
        publish_after: "replicated": when every copy of the data has it, so that no failover undoes what was published; "commit":
            at once. Default "replicated" inside a kit whose store has copies, else "commit". A copy that does not answer
            holds everything up: take it out of the topology, or choose "commit".
        send_timeout: seconds for one batch at a target.
        lease: seconds after which another relay takes over from one that died; more than three times `send_timeout`.

    Raises:
        ConfigurationError: a destination that the outbox does not have, or times that do not fit.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        to: Target | Mapping[str, Target],
        gated: bool = False,
        publish_after: PublishAfter | None = None,
        send_timeout: float = SEND_TIMEOUT,
        lease: float = LEASE,
    ) -> None:
        check_part(outbox, "change", is_async=IS_ASYNC)
        targets = dict(to) if isinstance(to, Mapping) else dict.fromkeys(outbox.destinations, to)
        unknown = sorted(set(targets) - set(outbox.destinations))
        if unknown or not targets:
            raise ConfigurationError(
                f"outbox {outbox.name!r} has no destination {unknown[0]!r}." if unknown else "a relay has no targets.",
                fix=f"it has {', '.join(map(repr, outbox.destinations))}.",
            )
        for target in targets.values():
            check_part(target, "publish", is_async=IS_ASYNC)
        if publish_after not in (None, "replicated", "commit") or not isinstance(gated, bool):
            wrong = f"gated={gated!r}" if not isinstance(gated, bool) else f"publish_after={publish_after!r}"
            raise ConfigurationError(
                f"{wrong} of a relay is not known.", fix='write gated=True, publish_after="replicated" or "commit".'
            )
        if not (
            is_number(lease, 0, LONGEST_LEASE)
            and is_number(send_timeout, 0, lease / 3)
            and 0 < 3 * send_timeout < lease
        ):
            raise ConfigurationError(
                f"a lease of {lease!r} s is too short for a send time-out of {send_timeout!r} s.",
                why="a batch is sent only if the lease outlasts the sending.",
                fix=f"make lease= more than three times send_timeout=, at most {LONGEST_LEASE:g}.",
            )
        copies = outbox.backing.copies
        if publish_after == "replicated" and not copies:
            raise ConfigurationError(
                f"outbox {outbox.name!r} does not know its copies.",
                why="it checks whether the copies have a message, and only a kit's topology lists them.",
                fix='make the outbox of a kit: Outbox(kit, store=...); or take publish_after="commit".',
            )
        self.outbox = outbox
        self.gated = gated
        self.publish_after: PublishAfter = publish_after or ("replicated" if copies else "commit")
        self.send_timeout = send_timeout
        self._lease = lease
        self._hooks = EventHooks()
        self._supervisor = Supervisor(outbox.clock)
        self._stopping = Flag()
        self._runs = False
        options = LaneOptions(gated, self.publish_after, send_timeout, lease, self._hooks.emit)
        self._lanes = [Lane(outbox, name, target, options) for name, target in targets.items()]

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with each event of this relay; call the result to unsubscribe."""
        return self._hooks.add(hook)

    def run_once(self) -> Relayed:
        """Publish everything that is due and not held by another relay, then leave the destinations. Returns counts.

        Raises:
            RegionKitError: the database or a target does not answer; what was confirmed before is settled. All other destinations
                are served before it is raised; with several it is the first, and each is an event.
            SourceBroken: a target raised what it may not.
        """
        done, failed = Relayed(), list[Exception]()
        for lane in self._lanes:
            try:
                while lane.round(done):
                    pass
            except Exception as error:  # one destination never delays another
                lane.settle()
                lane.failed(error)
                failed.append(error)
            except BaseException:
                lane.settle()
                raise
            finally:
                if not self._runs:
                    lane.leave()
        if failed:
            raise failed[0]
        return done

    def start(self) -> None:
        """Publish in the background, until `stop`."""
        self._stopping.clear()
        self._runs = True
        for lane in self._lanes:
            lane.listens()
            self._supervisor.start(
                f"relay {self.outbox.name}/{lane.destination}", lane.job, lane.failed, longest_back_off=LONGEST_PAUSE
            )

    def run(self) -> None:
        """Publish until `stop` is called."""
        self.start()
        while not self._stopping.wait(60.0):
            pass

    def stop(self) -> None:
        """Let what is being sent end, within its time-out, and leave the destinations to other relays."""
        self._stopping.set()
        for lane in self._lanes:
            lane.stop()
        self._supervisor.stop(self.send_timeout + 1.0)
        self._runs = False
        for lane in self._lanes:
            lane.leave()

    def explain(self) -> RelayExplanation:
        """What it guarantees and what not. No I/O."""
        return RelayExplanation(
            outbox=self.outbox.name,
            targets={lane.destination: lane.target.facts.kind for lane in self._lanes},
            left_to_others=tuple(
                name for name in self.outbox.destinations if name not in {lane.destination for lane in self._lanes}
            ),
            publish_after=self.publish_after,
            gated=self.gated,
            lease=self._lease,
            longest_pause=LONGEST_PAUSE,
            woken=self.outbox.woken,
            waits_for=tuple(dict.fromkeys(name for lane in self._lanes for name in lane.lacking)),
        )

    @property
    def counts(self) -> Relayed:
        """Counts of what its background jobs have done."""
        found = Relayed()
        for lane in self._lanes:
            found.add(lane.done)
        return found
