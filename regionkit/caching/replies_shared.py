"""What a shared tier's server answers, as values. Pure."""

from __future__ import annotations

from typing import Any

import redis

from regionkit.caching.ledger import Lease, Verdict
from regionkit.caching.steps import Found
from regionkit.caching.version import NOTHING

__all__ = ["NO_VERSION", "VERDICTS", "found_in", "is_full"]

NO_VERSION = "0" * 27
"""What stands in entries and floors where there is no version."""
VERDICTS = {verdict.value.encode(): verdict for verdict in Verdict}
"""What scripts answer."""


def is_full(error: BaseException) -> bool:
    """Whether the server has no memory left; before Redis 7 a script's error says so in its text."""
    full = isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM command not allowed" in str(error)
    return full or (isinstance(error, redis.exceptions.ResponseError) and "-OOM " in str(error))


def found_in(answer: list[Any], generation: bytes) -> Found:
    """What fill_begin.lua answers for one key."""
    verdict = VERDICTS[answer[0]]
    if verdict is Verdict.STORED:
        return Found(verdict, answer[1], buffered=len(answer) > 2)
    floor = answer[3].decode()
    floor = NOTHING if floor == NO_VERSION else floor
    if verdict is Verdict.LOAD:
        return Found(verdict, b"", Lease(answer[1], int(answer[2]), 0, generation, floor, bool(answer[4])), floor)
    intents = answer[5] if verdict is Verdict.SETTLE else b""
    ids = tuple(intents[at : at + 16] for at in range(0, len(intents), 16))
    return Found(verdict, b"", None, floor, ids, answer[6] / 1000 if verdict is Verdict.WAIT else 0.0)
