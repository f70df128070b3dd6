# Generated from opening_async.py by scripts/twins.py. Do not edit.
"""The branches of one transaction: each opens at its first use, on the participant that it is asked for by name or by key."""

from __future__ import annotations

from regionkit.core.deadline import Deadline
from regionkit.core.events import crash_point
from regionkit.core.given import check_text
from regionkit.errors import UsageError
from regionkit.transactions.ground import Ground
from regionkit.transactions.members import Member
from regionkit.transactions.participants.participant import BranchOptions
from regionkit.transactions.places import Place, Places
from regionkit.transactions.protocol import misfit
from regionkit.transactions.savepoint import Savepoint
from regionkit.transactions.suggest import nearest
from regionkit.transactions.turn import Turn
from regionkit.transactions.xid import Xid, check_branches, patience_for

__all__ = ["Opening"]

ONE_FIX = (
    "keep the decision log in the database of the one that cannot prepare, and have one such at most; or declare it "
    "read_only=True."
)
FILES_FIX = (
    "make several files of SQLite one branch: SqliteParticipant(name, engine, namespace=..., attach={schema: path}), with the "
    "decision log in the engine's file; or declare one of them read_only=True."
)


LONGEST_NAME = 200
"""Bytes of what names a branch: a participant, or a store."""


class Opening:
    """Of one transaction.

    Attributes:
        members: by participant.
        savepoints: those that are open.
        lacking: branches that were asked for and did not open, by name and key: why. Without them it would commit in part.
    """

    def __init__(self, ground: Ground, timeout: float, places: Places | None) -> None:
        self._ground = ground
        self._places = places
        self._patience = patience_for(timeout)
        self._turn = Turn()
        self.members: dict[str, Member] = {}
        self.savepoints: list[Savepoint] = []
        self.lacking: dict[tuple[str, str | None], str] = {}

    def wanted(self, gtrid: str, name: str, key: str | None, deadline: Deadline, *, reading: bool) -> Member:
        """`member`; a writing one that its server did not open is lacking until it is asked for again and opens."""
        check_text("name", name, LONGEST_NAME, UsageError)
        try:
            member = self.member(gtrid, name, key, deadline, reading=reading)
        except UsageError:
            raise
        except BaseException as error:
            if not reading:
                said = str(error).partition("\n")[0] or type(error).__name__
                self.lacking[name, key] = f"branch {name!r} did not open, and the block went on without it: {said}"
            raise
        self.lacking.pop((name, key), None)
        return member

    def member(self, gtrid: str, name: str, key: str | None, deadline: Deadline, *, reading: bool) -> Member:
        """The branch of a participant (of a session's transaction: of a store), opened unless it is.

        Raises:
            UsageError: there is none of that name, it cannot take part, or was opened otherwise.
        """
        found = None
        if self._places is not None:
            source, found = self._places.find(name, key, deadline)
            name = self._ground.sources.get(source, name)
        elif key is not None:
            raise UsageError(
                f"participant {name!r} was asked for by key={key!r}.",
                why="only the stores of a kit are partitioned.",
                fix="leave key= out, or begin with s.transaction(stores=[...]) on the kit's session.",
            )
        self._turn.take(deadline, f"opening branch {name!r}")
        try:
            member = self.members.get(name)
            if member is None:
                place = None
                if self._places is not None:
                    place = self._places.take(found, reading, deadline)
                try:
                    member = self._opened(gtrid, name, deadline, reading, place)
                except BaseException:
                    if place is not None:
                        place.left(False)
                    raise
        finally:
            self._turn.end()
        if reading != member.reading:
            is_, asked = ("reading", "writing") if member.reading else ("writing", "reading")
            raise UsageError(
                f"branch {name!r} is a {is_} one, and was asked for as a {asked} one.",
                why="how a branch opens on its server is settled at its first use.",
                fix="say the same read_only= at each use.",
            )
        return member

    def _opened(self, gtrid: str, name: str, deadline: Deadline, reading: bool, place: Place | None) -> Member:
        ground = self._ground
        participant = ground.participants.get(name)
        if participant is None:
            raise UsageError(
                f"there is no participant {name!r}{nearest(name, ground.participants)}.",
                fix=f"participants are {', '.join(map(repr, sorted(ground.participants)))}.",
            )
        log = ground.log_facts(deadline)
        facts = ground.facts(name, deadline)
        if place is not None and place.history and facts.history.partition(".")[0] != place.history:
            ground.unreached(name)  # another primary since it was looked at
            facts = ground.facts(name, deadline)
        anchor = ground.anchors(name, deadline)
        if not reading:
            check_branches([name, *(n for n, one in self.members.items() if not one.reading)])
        writers = {n: (one.facts.prepares, one.anchor) for n, one in self.members.items() if not one.reading}
        fixed = [one.kind for one in (facts, *(self.members[n].facts for n in writers)) if not one.prepares]
        if not reading and (why := misfit({**writers, name: (facts.prepares, anchor)})):
            raise UsageError(
                f"branch {name!r} cannot take part beside {', '.join(map(repr, sorted(writers)))}.",
                why=why,
                fix=FILES_FIX if fixed == ["sqlite", "sqlite"] else ONE_FIX,
            )
        crash_point("tpc.branch.before")
        xid = Xid(ground.namespace, log.id, gtrid, name, self._patience)
        first = anchor and not reading and not any(is_anchor for _, is_anchor in writers.values())
        options = BranchOptions(xid, reading=reading, lock_timeout=ground.lock_timeout, anchor=first)
        try:
            branch = participant.begin(options, deadline)
        except Exception:
            ground.unreached(name)
            raise
        member = self.members[name] = Member(xid, participant, branch, facts, reading, anchor, place)
        crash_point("tpc.branch.after")
        if not reading:
            for savepoint in self.savepoints:
                savepoint.join(member)
        return member
