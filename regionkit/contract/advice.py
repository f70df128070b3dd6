"""What errors advise, in the words of a backend: rooms that serve all of them take such words from here. Values only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NEUTRAL", "Advice"]


@dataclass(frozen=True, slots=True)
class Advice:
    """The parts of errors' texts that differ from backend to backend. The defaults fit where nothing is known of it.

    Attributes:
        owner: what to do where no endpoint is the owner.
        stale: what to do where no copy is fresh enough.
        promote: what to do where an endpoint is to be adopted and is no primary.
        parts: by what a part of a write stands before its block has ended.
        unknown: what to do about a block whose outcome is unknown.
        collisions: what to do where the server rolled a write back again and again.
    """

    owner: str = "kit.adopt(store, region) names the primary that counts, once you know which one does."
    stale: str = (
        "use a weaker level, allow another step in on_stale=, or wait longer: timeout=, and longest_wait of the profile; "
        "see kit.status()."
    )
    promote: str = "promote it on the server first."
    parts: str = "each command takes effect once it is answered"
    unknown: str = "check the data; let OutcomeUnknown leave the block."
    collisions: str = "run it again later."


NEUTRAL = Advice()
"""Where nothing is known of the backend."""
