"""The tables of commands against real servers, and what proves a fork."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from regionkit.backends.redis.classify import classify
from regionkit.backends.redis.commands import MODULE_READS, READS, Act, judged, keys_of
from regionkit.backends.redis.observation import NO_ID, StoredRow, fork_of
from regionkit.backends.redis.replies import error_of
from regionkit.contract.outcomes import Failure

PROVIDERS = pytest.mark.parametrize("provider", ["local", "wheel"])
BEFORE_7 = {"MEMORY", "OBJECT", "XINFO", "HOST:", "POST"}
"""What Redis 6.2 marks as reading beside: commands without their subcommands, and two words of HTTP that it hangs up on."""


def flags_of(client: redis.Redis) -> dict[str, set[str]]:
    """Every command of a server with its flags, subcommands as words."""
    found: dict[str, set[str]] = {}

    def take(rows: list[Any]) -> None:
        for row in rows:
            found[row[0].decode().upper().replace("|", " ")] = {flag.decode() for flag in row[2]}
            take(row[9] if len(row) > 9 else [])

    connection = client.connection_pool.get_connection()
    connection.send_command("COMMAND")
    take(connection.read_response())
    client.connection_pool.release(connection)
    return found


@pytest.mark.redis
@PROVIDERS
def test_the_table_of_reading_commands_is_the_servers(
    own_redis: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server marks as reading is in the table, but for commands of clusters; what it marks as writing is not."""
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", provider)
    with own_redis(0).primary.client() as client:
        flags = flags_of(client)
    reading = {name for name, found in flags.items() if "readonly" in found and not name.startswith("CLUSTER")}
    assert len(reading) > 70
    assert reading - READS - MODULE_READS - BEFORE_7 == set()
    writing = [name for name, found in flags.items() if "write" in found]
    assert len(writing) > 90
    assert [name for name in writing if judged(name.split()).act is not Act.WRITES] == []


SAMPLES = (
    """
SET a 1|GET a|DEL a b c|MGET a b|MSET a 1 b 2|EXISTS a b|INCRBY a 1|HSET h f v|HGETALL h|LPUSH l 1 2|LMOVE l m LEFT RIGHT
RENAME a b|COPY a b|SMOVE s t m|SINTERSTORE d s t|SDIFF s t|ZADD z 1 m|ZADD z NX 1 m|ZRANGESTORE d z 0 1|ZUNIONSTORE d 2 y z
ZUNIONSTORE d 2 y z WEIGHTS 1 2|ZINTER 2 y z|ZDIFF 1 y|SINTERCARD 2 s t LIMIT 1|LMPOP 2 l m LEFT|ZMPOP 1 z MIN|BITOP AND d a b
PFMERGE d a b|PFCOUNT a b|XADD x * f v|XGROUP CREATE x g $|XINFO STREAM x|OBJECT ENCODING a
GEOSEARCHSTORE d g FROMMEMBER m BYRADIUS 1 m
SETEX a 1 v|APPEND a v|GETDEL a|UNLINK a b|TOUCH a|LCS a b|XRANGE x - +|SETRANGE a 0 v|EXPIRE a 1|MEMORY USAGE a|XDEL x 1
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@pytest.mark.redis
@PROVIDERS
def test_the_keys_of_a_command_are_those_that_the_server_names(
    own_redis: Any, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyed write declares them, so the server is asked what they are."""
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", provider)
    server = own_redis(0).primary
    with server.client() as client:
        there = {name.partition(" ")[0] for name in flags_of(client)}
    compared = 0
    with server.client(decode_responses=True) as client:
        for sample in SAMPLES:
            words = sample.split()
            command = judged(words)
            ours = keys_of(command, words[command.name.count(" ") + 1 :])
            assert ours is not None
            if words[0] in there:
                theirs = client.execute_command("COMMAND GETKEYS", *words)
                assert sorted(ours) == sorted(theirs), sample  # Redis 6.2 names the destination last
                compared += 1
    assert compared > len(SAMPLES) - 5  # LCS, LMPOP, SINTERCARD, ZMPOP came with Redis 7


@pytest.mark.parametrize("sample", ["PING", "DBSIZE", "PUBLISH channel message", "TIME"])
def test_a_command_without_keys_has_none(sample: str) -> None:
    """It may run in a keyed write."""
    words = sample.split()
    assert keys_of(judged(words), words[1:]) == []


@pytest.mark.parametrize(
    "sample", ["BLPOP a 0", "EVAL x 0", "WATCH a", "MULTI", "SELECT 1", "FLUSHALL", "SORT a", "CONFIG SET a b", "INFO"]
)
def test_a_command_that_a_script_can_not_hold_is_told(sample: str) -> None:
    """By the table, before anything is sent."""
    words = sample.split()
    assert keys_of(judged(words), words[1:]) is None


PARENT = StoredRow("h1", None, None, 1, "id1", "run1")
OTHER = "f" * 40


@pytest.mark.parametrize(
    ("role", "second", "offset", "run", "fork"),
    [
        ("master", "id1", "159", "run2", 158),  # promoted: the first offset that is not shared is 159
        ("master", "id1", "1", "run2", 0),  # promoted before anything was replicated
        ("slave", "id1", "159", "run2", None),
        ("master", OTHER, "159", "run1", None),  # demoted and promoted by others since
        ("master", NO_ID, "-1", "run1", 200),  # a new id of the same run: nothing was lost
        ("master", NO_ID, "-1", "run2", None),  # another run without a past
        ("master", NO_ID, "-1", "", None),  # a run that was seen as a replica since
    ],
)
def test_what_proves_a_fork(role: str, second: str, offset: str, run: str, fork: int | None) -> None:
    """The server's second id, or the same run that never had one; and nothing else."""
    info = {"role": role, "master_replid2": second, "second_repl_offset": offset, "master_repl_offset": "200"}
    assert fork_of(info, run, PARENT) == fork


SCRIPTED = "Error running script (call to f_38623ac5): @user_script:1: "
READ_ONLY = "@user_script: 1: -READONLY You can't write against a read only replica.\r\n"
FULL = "@user_script: 18: -OOM command not allowed when used memory > 'maxmemory'.\r\n"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (SCRIPTED + READ_ONLY, Failure.ROLE),
        (READ_ONLY, Failure.ROLE),
        (SCRIPTED + FULL, Failure.APPLICATION),
        (SCRIPTED + "WRONGTYPE Operation against a key", Failure.APPLICATION),
        ("no -READONLY of a server", Failure.APPLICATION),
    ],
)
def test_what_redis_6_says_of_a_script_on_a_replica_is_known(text: str, failure: Failure) -> None:
    """It has no code for it: taken for the application's fault, a switchover would not be noticed."""
    assert classify(redis.exceptions.ResponseError(text)) is failure


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (READ_ONLY, redis.exceptions.ReadOnlyError, "READONLY You can't write"),
        ("READONLY You can't write", redis.exceptions.ReadOnlyError, "READONLY You can't write"),
        (FULL, redis.exceptions.OutOfMemoryError, "OOM command not allowed"),
        ("OOM command not allowed", redis.exceptions.OutOfMemoryError, "OOM command not allowed"),
        ("@user_script: 9: Unknown Redis command", redis.exceptions.ResponseError, "Unknown Redis command"),
        ("ERR Unknown command", redis.exceptions.ResponseError, "Unknown command"),
    ],
)
def test_the_error_of_a_command_in_a_keyed_write_is_the_drivers(text: str, kind: type[Exception], said: str) -> None:
    """As Redis 6.2 and as Redis 7 and Valkey give it to a script."""
    error = error_of(text)
    assert type(error) is kind
    assert str(error).startswith(said)
