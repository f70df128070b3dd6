"""The branches of a transaction at work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from regionkit.contract.unit import Committed
from regionkit.core.deadline import Deadline
from regionkit.transactions.participants.participant_async import AsyncBranch, AsyncParticipant, ParticipantFacts
from regionkit.transactions.places_async import AsyncPlace
from regionkit.transactions.protocol import Finish, Outcome
from regionkit.transactions.xid import Xid

__all__ = ["AsyncMember", "finish_of", "let_go"]


class AsyncMember(msgspec.Struct):
    """A branch, and where it is. `facts`: of its participant; `reading`: declared so; `place`: in a kit, its store's owner.
    `deferred`: statements that go with its PREPARE, or COMMIT.
    """

    xid: Xid
    participant: AsyncParticipant
    branch: AsyncBranch
    facts: ParticipantFacts
    reading: bool
    anchor: bool
    place: AsyncPlace | None = None
    deferred: list[str] = []

    async def refused(self, deadline: Deadline) -> str:
        """Why it may not end well, and was rolled back: its store has another owner by now. "" where nothing is wrong."""
        why = "" if self.place is None else self.place.moved()
        if why:
            await self.branch.finish(False, deadline)
        return why


async def let_go(members: Iterable[AsyncMember], outcome: Outcome) -> None:
    """Tell who joined a branch what became of the transaction, and give all connections back."""
    heard: dict[Outcome, Committed] = {Outcome.COMMITTED: "yes", Outcome.ABORTED: "no"}
    for one in members:
        one.branch.tell(heard.get(outcome, "unknown"))
        await one.branch.close()


async def finish_of(call: Callable[[bool, Deadline], Awaitable[Finish]], commit: bool, deadline: Deadline) -> Finish:
    """What `call` answers in the second phase; UNREACHED where it raises."""
    try:
        return await call(commit, deadline)
    except Exception:
        return Finish.UNREACHED
