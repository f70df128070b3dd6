"""What a Redis command does, by its name: whether it reads, what it leaves on its connection, where its keys stand. Pure.

1. A command that is not known to read counts as a write: a read block refuses it before it is sent.
2. What would outlive its block on a pooled connection is refused, or the connection is closed after the block.
3. The table is that of Redis 6.2 to 8.2 and Valkey 8 and 9 (flag `readonly` of COMMAND), with the reading commands of
   Redis's own modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["MODULE_READS", "READS", "REFUSED", "Act", "Command", "judged", "keys_of"]

READS = frozenset(
    [
        "BITCOUNT",
        "BITFIELD_RO",
        "BITPOS",
        "DBSIZE",
        "DUMP",
        "EVALSHA_RO",
        "EVAL_RO",
        "EXISTS",
        "EXPIRETIME",
        "FCALL_RO",
        "GEODIST",
        "GEOHASH",
        "GEOPOS",
        "GEORADIUSBYMEMBER_RO",
        "GEORADIUS_RO",
        "GEOSEARCH",
        "GET",
        "GETBIT",
        "GETRANGE",
        "HEXISTS",
        "HEXPIRETIME",
        "HGET",
        "HGETALL",
        "HKEYS",
        "HLEN",
        "HMGET",
        "HPEXPIRETIME",
        "HPTTL",
        "HRANDFIELD",
        "HSCAN",
        "HSTRLEN",
        "HTTL",
        "HVALS",
        "KEYS",
        "LCS",
        "LINDEX",
        "LLEN",
        "LOLWUT",
        "LPOS",
        "LRANGE",
        "MGET",
        "PEXPIRETIME",
        "PFCOUNT",
        "PTTL",
        "RANDOMKEY",
        "SCAN",
        "SCARD",
        "SDIFF",
        "SINTER",
        "SINTERCARD",
        "SISMEMBER",
        "SMEMBERS",
        "SMISMEMBER",
        "SORT_RO",
        "SRANDMEMBER",
        "SSCAN",
        "STRALGO",
        "STRLEN",
        "SUBSTR",
        "SUNION",
        "TOUCH",
        "TTL",
        "TYPE",
        "XLEN",
        "XPENDING",
        "XRANGE",
        "XREAD",
        "XREVRANGE",
        "ZCARD",
        "ZCOUNT",
        "ZDIFF",
        "ZINTER",
        "ZINTERCARD",
        "ZLEXCOUNT",
        "ZMSCORE",
        "ZRANDMEMBER",
        "ZRANGE",
        "ZRANGEBYLEX",
        "ZRANGEBYSCORE",
        "ZRANK",
        "ZREVRANGE",
        "ZREVRANGEBYLEX",
        "ZREVRANGEBYSCORE",
        "ZREVRANK",
        "ZSCAN",
        "ZSCORE",
        "ZUNION",
    ]
) | {
    "MEMORY USAGE",
    "OBJECT ENCODING",
    "OBJECT FREQ",
    "OBJECT IDLETIME",
    "OBJECT REFCOUNT",
    "XINFO CONSUMERS",
    "XINFO GROUPS",
    "XINFO STREAM",
}
MODULE_READS = frozenset(
    [
        "BF.CARD",
        "BF.EXISTS",
        "BF.INFO",
        "BF.MEXISTS",
        "CF.COUNT",
        "CF.EXISTS",
        "CF.INFO",
        "CF.MEXISTS",
        "CMS.INFO",
        "CMS.QUERY",
        "FT.AGGREGATE",
        "FT.EXPLAIN",
        "FT.INFO",
        "FT.PROFILE",
        "FT.SEARCH",
        "FT.TAGVALS",
        "FT._LIST",
        "JSON.ARRINDEX",
        "JSON.ARRLEN",
        "JSON.GET",
        "JSON.MGET",
        "JSON.OBJKEYS",
        "JSON.OBJLEN",
        "JSON.RESP",
        "JSON.STRLEN",
        "JSON.TYPE",
        "TDIGEST.CDF",
        "TDIGEST.INFO",
        "TDIGEST.MAX",
        "TDIGEST.MIN",
        "TDIGEST.QUANTILE",
        "TDIGEST.RANK",
        "TOPK.INFO",
        "TOPK.LIST",
        "TOPK.QUERY",
        "TS.GET",
        "TS.INFO",
        "TS.MGET",
        "TS.MRANGE",
        "TS.MREVRANGE",
        "TS.QUERYINDEX",
        "TS.RANGE",
        "TS.REVRANGE",
        "VCARD",
        "VDIM",
        "VEMB",
        "VGETATTR",
        "VINFO",
        "VISMEMBER",
        "VLINKS",
        "VRANDMEMBER",
        "VSIM",
    ]
)
_ABOUT = frozenset(["COMMAND", "ECHO", "INFO", "LASTSAVE", "PING", "ROLE", "TIME"]) | {
    *(f"ACL {name}" for name in ("CAT", "GETUSER", "LIST", "USERS", "WHOAMI")),
    *(f"CLIENT {name}" for name in ("GETNAME", "GETREDIR", "ID", "INFO", "LIST", "TRACKINGINFO")),
    *(f"COMMAND {name}" for name in ("COUNT", "DOCS", "GETKEYS", "GETKEYSANDFLAGS", "INFO", "LIST")),
    *(f"FUNCTION {name}" for name in ("DUMP", "LIST", "STATS")),
    *(f"LATENCY {name}" for name in ("DOCTOR", "GRAPH", "HISTOGRAM", "HISTORY", "LATEST")),
    *(f"MEMORY {name}" for name in ("DOCTOR", "MALLOC-STATS", "STATS")),
    *(f"PUBSUB {name}" for name in ("CHANNELS", "NUMPAT", "NUMSUB", "SHARDCHANNELS", "SHARDNUMSUB")),
    *(f"SLOWLOG {name}" for name in ("GET", "LEN")),
    "CONFIG GET",
    "MODULE LIST",
    "SCRIPT EXISTS",
    "SCRIPT LOAD",
}
_QUIET = READS | MODULE_READS | _ABOUT
_CHANGES = frozenset({"SELECT", "AUTH", "ASKING", "READONLY", "READWRITE"}) | {
    *(f"CLIENT {name}" for name in ("CACHING", "CAPA", "NO-EVICT", "NO-TOUCH", "SETINFO", "SETNAME", "TRACKING")),
}
_PUSHES = "the server would keep sending messages on a connection that other blocks use too"
_SPEAKS = "it changes how a connection speaks, which the block relies on"
REFUSED = MappingProxyType(
    {
        **dict.fromkeys(("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC", "REPLCONF"), _PUSHES),
        **dict.fromkeys(("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"), _PUSHES),
        **dict.fromkeys(("HELLO", "RESET", "QUIT", "CLIENT REPLY", "SCRIPT DEBUG"), _SPEAKS),
        **dict.fromkeys(("HIMPORT", "HIMPORT SET", "HIMPORT PREPARE", "HIMPORT DISCARD"), _SPEAKS),
    }
)
"""Commands that no block sends, and why."""

_CONTAINERS = frozenset(
    [
        "ACL",
        "CLIENT",
        "CLUSTER",
        "COMMAND",
        "CONFIG",
        "FUNCTION",
        "HIMPORT",
        "LATENCY",
        "MEMORY",
        "MODULE",
        "OBJECT",
        "PUBSUB",
        "SCRIPT",
        "SLOWLOG",
        "XGROUP",
        "XINFO",
    ]
)
_PARTIAL = frozenset({"EVAL", "EVALSHA", "FCALL", "EXEC"})


class Act(Enum):
    """What a command does to the data and to its connection."""

    READS = "reads"
    WRITES = "writes, as far as is known"
    OPENS = "opens a transaction or a watch"
    CLOSES = "ends one"
    CHANGES = "changes its connection"
    REFUSED = "is not sent"


class Command(NamedTuple):
    """`name`: in upper case, with its subcommand. `partial`: when it fails, a part of it may have been done."""

    name: str
    act: Act
    partial: bool


_ACTS = {
    **dict.fromkeys(_QUIET, Act.READS),
    **dict.fromkeys(("MULTI", "WATCH"), Act.OPENS),
    **dict.fromkeys(("EXEC", "DISCARD", "UNWATCH"), Act.CLOSES),
    **dict.fromkeys(_CHANGES, Act.CHANGES),
    **dict.fromkeys(REFUSED, Act.REFUSED),
}


def judged(args: Sequence[Any]) -> Command:
    """What is to be sent, by its name; a driver may give name and subcommand in one word or in two."""
    first = args[0]
    alone = _alone(first) if type(first) is str else None
    return alone or _of_words(_words(args))


@lru_cache(maxsize=1024)
def _alone(word: str) -> Command | None:
    """The same of a command that is one word; None where the next one decides, too. Most are sent again and again."""
    words = word.upper().split()
    return _of_words(words) if len(words) == 1 and words[0] not in _CONTAINERS else None


def _of_words(words: list[str]) -> Command:
    name = " ".join(words[:2]) if words[0] in _CONTAINERS else words[0]
    return Command(name, _ACTS.get(name, Act.WRITES), name in _PARTIAL)


def _words(args: Sequence[Any]) -> list[str]:
    head = _text(args[0]).upper().split()
    if len(head) == 1 and head[0] in _CONTAINERS and len(args) > 1:
        head.append(_text(args[1]).upper())
    return head or [""]


def _text(word: Any) -> str:
    return bytes(word).decode("latin-1") if isinstance(word, bytes | bytearray | memoryview) else str(word)


_NOT_IN_SCRIPTS = frozenset(
    [
        "BLMOVE",
        "BLMPOP",
        "BLPOP",
        "BRPOP",
        "BRPOPLPUSH",
        "BZMPOP",
        "BZPOPMAX",
        "BZPOPMIN",
        "XREAD",
        "XREADGROUP",
        "WAIT",
        "WAITAOF",
        "EVAL",
        "EVALSHA",
        "EVALSHA_RO",
        "EVAL_RO",
        "FCALL",
        "FCALL_RO",
        "MIGRATE",
        "SORT",
        "GEORADIUS",
        "GEORADIUSBYMEMBER",
        "STRALGO",
    ]
)
_SPANS: dict[str, tuple[int, int, int]] = {
    **dict.fromkeys(
        ["DEL", "EXISTS", "MGET", "PFCOUNT", "PFMERGE", "SDIFF", "SDIFFSTORE", "SINTER", "SINTERSTORE"], (0, -1, 1)
    ),
    **dict.fromkeys(["SUNION", "SUNIONSTORE", "TOUCH", "UNLINK"], (0, -1, 1)),
    **dict.fromkeys(("MSET", "MSETNX"), (0, -1, 2)),
    **dict.fromkeys(
        ["COPY", "GEOSEARCHSTORE", "LCS", "LMOVE", "RENAME", "RENAMENX", "RPOPLPUSH", "SMOVE", "ZRANGESTORE"], (0, 1, 1)
    ),
    "BITOP": (1, -1, 1),
}
_COUNTED = {
    **dict.fromkeys(("LMPOP", "ZMPOP", "SINTERCARD", "ZDIFF", "ZINTER", "ZINTERCARD", "ZUNION"), 0),
    **dict.fromkeys(("ZDIFFSTORE", "ZINTERSTORE", "ZUNIONSTORE"), 1),
}
_KEYLESS = frozenset({"DBSIZE", "KEYS", "LOLWUT", "RANDOMKEY", "SCAN", "PUBLISH", "SPUBLISH", "TIME", "PING", "ECHO"})


def keys_of(command: Command, rest: Sequence[Any]) -> list[Any] | None:
    """The keys among the arguments after name and subcommand; None when it cannot run in a script with its keys declared."""
    name = command.name
    if command.act not in (Act.READS, Act.WRITES) or name in _NOT_IN_SCRIPTS or name in _ABOUT - _KEYLESS:
        return None
    if name in _KEYLESS:
        return []
    if name in _COUNTED:
        at = _COUNTED[name]
        count = int(rest[at])
        return [*rest[:at], *rest[at + 1 : at + 1 + count]]
    if name.partition(" ")[0] in _CONTAINERS and not name.startswith(("XGROUP", "XINFO", "OBJECT", "MEMORY USAGE")):
        return None
    if name.startswith(("FLUSH", "SWAPDB", "FT.", "TS.M", "TS.QUERYINDEX")):
        return None
    first, last, step = _SPANS.get(name, (0, 0, 1))
    stop = len(rest) if last < 0 else last + 1
    return list(rest[first:stop:step])
