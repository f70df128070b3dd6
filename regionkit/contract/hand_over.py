"""Whose a block is: of one place at a time, that may change. Pure.

Frameworks run a generator's beginning, its user and its end in whatever thread of a pool is free (a sync dependency of FastAPI,
a fixture), one after the other. So a block may be entered in one place, used in a second and left in a third.

| a block                                                                  | what happens                                       |
|--------------------------------------------------------------------------|----------------------------------------------------|
| is used or left in another thread, or task of its loop, one at a time    | as in its own                                      |
| gets a statement while another place's runs on its connection (SQL)      | refused, nothing is sent; the first one goes on    |
| is left while another place's statement runs                             | that one's end is waited for; then `UsageError`:   |
|                                                                          | rolled back, `committed` "no"                      |
| is left in another event loop                                            | `UsageError`: rolled back in its own, where it runs|
| is used or left in a forked child                                        | refused there; the parent's goes on (processes.py) |

1. Where there is no transaction, what was acknowledged stands: `committed` is "unknown" then.
2. A place that goes on with a block that another one has left hears that its connection, client or session is closed.
3. In memory a statement takes no time: what another place set before the end is committed, what it sets later is refused.
   Sessions of Cassandra take several statements at once by their nature, and clients of MongoDB are left to the driver: there
   nothing is under way to be found out.
"""

from __future__ import annotations

from typing import Literal

from regionkit.errors import UsageError

__all__ = ["HAND_OVER_POLL", "SOMEBODY", "left_elsewhere", "left_in_use", "used_twice"]

HAND_OVER_POLL = 0.005
"""How often the end of a block looks whether another place's statement is over, seconds; at most until the block's deadline."""
SOMEBODY = object()
"""Who speaks, where only that somebody does is known."""


def used_twice() -> UsageError:
    """A second statement came while one ran."""
    return UsageError(
        "a block is used from two places at once.",
        why="another thread or task runs a statement on its connection: two answers would be mixed up.",
        fix="use it from one place at a time, or open a block in each: child = s.fork().",
    )


def left_in_use(committed: Literal["no", "unknown"]) -> UsageError:
    """A block was left while a statement ran in it."""
    return UsageError(
        "a block was left while another thread or task ran a statement in it.",
        why="the commit would interrupt its work; if there is a transaction, it is rolled back.",
        fix="let every thread or task that uses the block's handle finish before the block ends.",
        committed=committed,
    )


def left_elsewhere() -> UsageError:
    """A block was left in another event loop."""
    return UsageError(
        "a block was left in another event loop than the one that opened it.",
        why="its connection lives in that loop; nothing of it was committed.",
        fix="enter and leave a block in one loop; another task of it will do.",
    )
