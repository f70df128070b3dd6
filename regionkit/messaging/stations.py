# Generated from stations_async.py by scripts/twins.py. Do not edit.
"""Where a consumer applies: one database, or the parts of a store whose keys have homes; each with its clinic and its janitor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from regionkit.core.clock import Clock
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.facts.record import LARGEST_RECORD, Record
from regionkit.messaging.applying import Applier
from regionkit.messaging.clinic import Clinic
from regionkit.messaging.counters import Counters
from regionkit.messaging.elsewhere import WITHIN, Appliers, Elsewhere, Homes
from regionkit.messaging.inboxes.inbox import Inbox
from regionkit.messaging.janitor import Janitor
from regionkit.messaging.runs import DOWN
from regionkit.messaging.sources.source import Source, Target

__all__ = ["HomesHere", "Stations", "homes_of"]


class HomesHere(NamedTuple):
    """The homes of a store, and what becomes here of messages of other homes."""

    homes: Homes
    inboxes: Mapping[str, Inbox]
    elsewhere: Elsewhere
    forward_to: Mapping[str, Target]
    observe: Callable[..., Any] | None


def homes_of(
    inbox: Any, elsewhere: Elsewhere | None, forward_to: Mapping[str, Target], observe: Callable[..., Any] | None
) -> HomesHere | None:
    """The homes of an inbox's store, where it has any.

    Raises:
        ConfigurationError: options that have no use, or one that is needed.
    """
    homes = getattr(inbox, "homes", None)
    if homes is None:
        if elsewhere is not None or forward_to or observe is not None:
            raise ConfigurationError(
                "elsewhere=, forward_to= and observe= are for stores whose keys have homes.",
                fix="leave them out; or give the inbox a kit and a partitioned store of it.",
            )
        return None
    if elsewhere not in ("forward", "observe", "skip"):
        raise ConfigurationError(
            f"elsewhere={elsewhere!r}: the store's keys have homes, and only a key's home applies its messages.",
            fix='choose what to do here with the others: elsewhere="forward" with forward_to=, "observe" or "skip".',
        )
    if (elsewhere == "forward") != bool(forward_to) or (observe is not None and elsewhere != "observe"):
        raise ConfigurationError(
            f"elsewhere={elsewhere!r} does not go with the other options.",
            why='"forward" needs forward_to=, by region; observe= is for "observe" only.',
            fix="give the argument that it needs, and leave the other out.",
        )
    return HomesHere(homes, inbox.parts(), elsewhere, forward_to, observe)


class Station(NamedTuple):
    """One database."""

    inbox: Inbox
    applier: Applier
    clinic: Clinic
    janitor: Janitor


class Stations:
    """All of a consumer's. `front`: what lanes hand messages to."""

    def __init__(
        self,
        inbox: Inbox,
        here: HomesHere | None,
        applier: Callable[[Inbox], Applier],
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._here = here
        inboxes = {"": inbox} if here is None else here.inboxes
        appliers = {part: applier(each) for part, each in inboxes.items()}
        self.all = [self._station(part, appliers[part]) for part in inboxes]
        first = self.all[0].applier
        self.largest_batch = 1 if here is not None else max(handler.batch for handler in first.handlers)
        self.front: Any = first
        if here is not None:
            self.front = Appliers(
                here.homes,
                appliers,
                elsewhere=here.elsewhere,
                forward_to=here.forward_to,
                observe=here.observe,
                counters=counters,
                clock=clock,
            )

    def _station(self, part: str, applier: Applier) -> Station:
        here = None if self._here is None else lambda: self._is_here(part)
        inbox = applier.inbox
        janitor = Janitor(inbox, applier.options.accept_for, self._clock)
        return Station(inbox, applier, Clinic(applier, here), janitor)

    def register(self, source: Source, *, shared: bool, deadline: Deadline) -> None:
        """Note what the consumer takes its messages from: what it has taken is kept under its name alone.

        Raises:
            ConfigurationError: one of that name takes them from elsewhere.
        """
        station = self.all[0]
        if shared or station.inbox.backing is None:
            return
        name = station.applier.options.name
        records = station.inbox.backing.records(None)
        wanted = Record("consumer", name, f"{source.facts.kind} {source.name}".encode()[:LARGEST_RECORD])
        try:
            found = records.get(deadline, wanted.kind, wanted.key)
            found = found or records.put(deadline, wanted, expected=0)
        except DOWN:
            if len(self.all) == 1:
                raise
            return  # a part of another region that is away
        if found is not None and found.value != wanted.value:
            raise ConfigurationError(
                f"consumer {name!r} takes its messages from {wanted.value.decode()!r}, and one of that name from "
                f"{found.value.decode()!r}.",
                why="what was taken is kept under the name: messages of one would be copies of the other's.",
                fix="give it another name; or write shared=True if both carry the same messages.",
            )

    def _is_here(self, part: str) -> bool:
        """Whether the part has its home in this region now: its cases are treated there."""
        assert self._here is not None
        homes = self._here.homes
        owner = homes.parts[part].owner(deadline=Deadline(self._clock, WITHIN))
        return owner.region == homes.local
