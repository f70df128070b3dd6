"""Effects inside Redis, as data: what is taken, and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from regionkit.errors import UsageError
from regionkit.messaging.effect_commands import COMMANDS, MOST_COMMANDS, checked_commands


@pytest.mark.parametrize(
    "commands",
    [
        [["FLUSHALL", "x"]],
        [["EVAL", "return 1", "0"]],
        [["SET", "k", "v", "NX"]],
        [["SET", "k", None]],
        [["SET", "k", True]],
        [["SET"]],
        [["INCRBY", "k", 1.5]],
        [["INCRBY", "k", "1"]],
        [["INCRBY", "k", 10**15]],
        [["ZADD", "k", float("nan"), "m"]],
        [["HSET", "k", "field"]],
        [["HSET", "k"]],
        [["XADD", "k", "1-1", "f", "v"]],
        [["SET", "k", "v"], ["HSET", "k", "f", "v"]],
        [["SET", "k", "v"], ["INCRBY", "k", 1]],
        [["HSET", "k", "f", "v"], ["HINCRBY", "k", "f", 1]],
        [["HINCRBY", b"k", b"f", 1], ["HSET", "k", "g", "v", "f", "v"]],
        [["SADD", "k", "m"]] * (MOST_COMMANDS + 1),
        "SET",
        None,
        [{"SET": "k"}],
    ],
)
def test_what_could_fail_after_another_one_is_refused(commands: Any) -> None:
    """Unknown commands, options, numbers that are none, and two commands of which one would undo what the other needs."""
    with pytest.raises(UsageError, match="cannot be done"):
        checked_commands(commands)


def test_what_goes_together_is_taken() -> None:
    """One hash with a counter and a text; a key that is written and given a time; names in any case; no command at all."""
    checked = checked_commands(
        [("hset", "k", "f", "v"), ("HINCRBY", "k", "count", -3), ["PEXPIRE", "k", 1000], ["DEL", b"\xff"]]
    )
    assert checked.keys == [b"k", b"k", b"k", b"\xff"] and checked.most == 4
    assert checked.words[:6] == ["HSET", "hash", "", 2, b"f", b"v"]
    assert checked_commands([]).most == 0
    assert {rule.type for rule in COMMANDS.values()} == {"", "string", "hash", "set", "zset", "list", "stream"}
