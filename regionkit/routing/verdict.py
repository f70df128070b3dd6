"""What a decision may say: the filters in their order, how an endpoint stands to what is asked, and the outcome. Values only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Filter", "Outcome", "Refusal", "Standing", "Verdict"]


class Filter(StrEnum):
    """Filters in the order in which they are applied, then the reason why a good endpoint was not taken."""

    RESIDENCY = "residency"
    EPOCH = "epoch"
    ROLE = "role"
    HEALTH = "health"
    BOOKMARK = "bookmark"
    STALENESS = "staleness"
    PREFERENCE = "preference"


class Outcome(StrEnum):
    """What to do."""

    USE = "use"
    WAIT = "wait"
    REFUSE = "refuse"


class Refusal(StrEnum):
    """What kind of error a refusal is."""

    NONE = ""
    RESIDENCY = "residency"
    FENCED = "fenced"
    STALE = "stale"
    LOST = "lost"
    INVALID = "invalid"
    NO_ENDPOINT = "no endpoint"


class Standing(StrEnum):
    """How an endpoint stands to what is asked of its data."""

    PROVED = "proved"
    BEHIND = "behind"  # or not known: worth waiting for
    RAISED = "raised"  # it shows all of it at a higher level than it is read at
    NEVER = "never"  # waiting does not help
    UNSETTLED = "unsettled"  # the owner must be asked afresh
    LOST = "lost"
    INVALID = "invalid"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What the filters say of one endpoint: the first that refuses it, and how its data stands."""

    refused_by: Filter | None
    reason: str
    standing: Standing = Standing.NEVER
