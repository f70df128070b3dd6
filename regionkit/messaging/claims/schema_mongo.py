"""The collection of claims, and the pipelines that change it. Pure. Times are dates by the server's clock (`$$NOW`)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from regionkit.messaging.claim import LEAVES, Kept, Step, Wish

__all__ = ["IDEMPOTENCY", "SHOWN", "claim_pipeline", "kept_in", "step_change"]

IDEMPOTENCY = (("forget", {"expireAfterSeconds": 0}),)
"""Documents that are of no use any more are swept by the server, whenever it does; nothing is judged by that."""
SHOWN = {
    **dict.fromkeys(("state", "fence", "owner", "fingerprint", "was", "result"), 1),
    "left": {"$subtract": ["$ends", "$$NOW"]},
}
_EPOCH = datetime.fromtimestamp(0, UTC)


def _after(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", math.ceil(seconds * 1000.0)]}


def claim_pipeline(wish: Wish) -> list[dict[str, Any]]:
    """The update that takes what may be taken, and leaves anything else as it was; an upsert."""
    mine = {"$literal": wish.fingerprint}
    standing = {
        "state": {"$ifNull": ["$state", "free"]},
        "fence": {"$ifNull": ["$fence", 0]},
        "ends": {"$ifNull": ["$ends", {"$literal": _EPOCH}]},
        "fingerprint": {"$ifNull": ["$fingerprint", {"$literal": b""}]},
    }
    same = [{"$eq": ["$state", "done"]}, {"$eq": ["$fingerprint", mine]}, {"$eq": ["$fingerprint", {"$literal": b""}]}]
    alike: Any = {"$or": same} if wish.fingerprint else True
    free = {"$or": [{"$eq": ["$state", "free"]}, {"$and": [{"$lte": ["$ends", "$$NOW"]}, alike]}]}
    held = {"$in": ["$state", ["claimed", "calling"]]}
    calls = True if wish.calling else {"$eq": ["$state", "calling"]}
    new: dict[str, Any] = {
        "state": {"$cond": [calls, "calling", "claimed"]},
        "fence": {"$add": ["$fence", {"$toLong": 1}]},
        "ends": _after(wish.lease),
        "owner": {"$literal": wish.owner},
        "fingerprint": mine,
        "was": {"$cond": [held, "$state", ""]},
        "result": None,
        "forget": _after(wish.lease + wish.remembered),
    }
    taken = {name: {"$cond": ["$takes", value, f"${name}"]} for name, value in new.items()}
    return [{"$set": standing}, {"$set": {"takes": free}}, {"$set": taken}, {"$unset": "takes"}]


def step_change(
    step: Step, wish: Wish, fence: int, result: bytes | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The filter beside the `_id`, and the update, of a step."""
    changes: dict[str, dict[str, Any]] = {
        "renew": {"ends": _after(wish.lease), "forget": _after(wish.lease + wish.remembered)},
        "call": {"state": "calling"},
        "complete": {
            "state": "done",
            "result": {"$literal": result},
            "ends": _after(wish.keep),
            "forget": _after(wish.remembered),
        },
        "release": {"state": "free", "ends": {"$literal": _EPOCH}},
        "doubt": {"state": "calling", "ends": {"$literal": _EPOCH}, "owner": {"$literal": b""}},
    }
    wanted = {"fence": fence, "owner": wish.owner, "state": {"$in": list(LEAVES[step])}}
    return wanted, [{"$set": changes[step]}]


def kept_in(document: dict[str, Any]) -> Kept:
    """A document as it stands now, where now is 0."""
    result = document.get("result")
    return Kept(
        document["state"],
        int(document["fence"]),
        document["left"] / 1000.0,
        bytes(document["owner"]),
        bytes(document["fingerprint"]),
        document["was"],
        None if result is None else bytes(result),
    )
