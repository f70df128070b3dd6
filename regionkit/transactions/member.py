# Generated from member_async.py by scripts/twins.py. Do not edit.
"""A branch of one transaction, and where it is."""

from __future__ import annotations

import msgspec

from regionkit.transactions.participants.participant import Branch, Participant, ParticipantFacts
from regionkit.transactions.xid import Xid

__all__ = ["Member"]


class Member(msgspec.Struct):
    """What its coordinator has of it.

    Attributes:
        facts: of its participant, when it was last looked at: acknowledgements hold for that history.
        reading: declared so.
        anchor: the log stands in its database.
    """

    xid: Xid
    participant: Participant
    branch: Branch
    facts: ParticipantFacts
    reading: bool
    anchor: bool
