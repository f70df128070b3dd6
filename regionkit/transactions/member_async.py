"""A branch of one transaction, and where it is."""

from __future__ import annotations

import msgspec

from regionkit.transactions.participants.participant_async import AsyncBranch, AsyncParticipant, ParticipantFacts
from regionkit.transactions.xid import Xid

__all__ = ["AsyncMember"]


class AsyncMember(msgspec.Struct):
    """What its coordinator has of it.

    Attributes:
        facts: of its participant, when it was last looked at: acknowledgements hold for that history.
        reading: declared so.
        anchor: the log stands in its database.
    """

    xid: Xid
    participant: AsyncParticipant
    branch: AsyncBranch
    facts: ParticipantFacts
    reading: bool
    anchor: bool
