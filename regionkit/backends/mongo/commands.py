"""What a command does, told by its name and body: reads, writes, whose outcome a majority keeps. Pure.

A read block sends only what is known to read. A list of writers would let the next server version's new command through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ENDING",
    "LEVELLED",
    "acknowledged_below_majority",
    "changes_one",
    "is_below",
    "refusal",
    "took_effect",
    "writes",
]

READING = frozenset(
    {
        *("find", "aggregate", "count", "distinct", "getMore", "killCursors", "explain"),
        *(
            "listCollections",
            "listIndexes",
            "listDatabases",
            "listCommands",
            "dbStats",
            "dbstats",
            "collStats",
            "collstats",
        ),
        *("dataSize", "dbHash", "usersInfo", "rolesInfo", "connectionStatus", "serverStatus", "hostInfo", "top"),
        *("hello", "isMaster", "ismaster", "ping", "buildInfo", "buildinfo", "whatsmyuri", "currentOp"),
        *("replSetGetStatus", "replSetGetConfig", "getParameter", "getCmdLineOpts", "endSessions"),
    }
)
LEVELLED = frozenset({"find", "aggregate", "count", "distinct"})
"""Commands that take a read concern with a level."""
ENDING = frozenset({"commitTransaction", "abortTransaction"})
_STRENGTH = {"available": 0, "local": 1, "majority": 2, "snapshot": 3, "linearizable": 4}


def changes_one(command: Mapping[str, Any]) -> bool:
    """Whether a write is of one document: then an error of the member's means that it was not carried out."""
    if "findAndModify" in command:
        return True
    changes = command.get("updates") or command.get("deletes") or command.get("documents")
    if not isinstance(changes, list | tuple) or len(changes) != 1:
        return False
    return "insert" in command or ("update" in command and not changes[0].get("multi")) or changes[0].get("limit") == 1


def _puts_out(command: Mapping[str, Any]) -> bool:
    """Whether an aggregation writes its result into a collection."""
    pipeline = command.get("pipeline")
    stages = pipeline if isinstance(pipeline, list | tuple) else ()
    return any(isinstance(stage, Mapping) and ("$out" in stage or "$merge" in stage) for stage in stages)


def writes(name: str, command: Mapping[str, Any]) -> bool:
    """Whether a command may change data."""
    if name == "aggregate":
        return _puts_out(command)
    return name not in READING and name not in ENDING


def refusal(name: str, command: Mapping[str, Any]) -> str:
    """Why a read block does not send a command; "" when it does."""
    if name == "aggregate" and _puts_out(command):
        return "aggregate with $out or $merge writes a collection"
    if name not in READING:
        return f"{name} is not among the commands that are known to read only"
    return ""


def is_below(level: str, least: str) -> bool:
    """Whether a read concern shows what `least` does not."""
    return _STRENGTH.get(level, 0) < _STRENGTH[least]


def acknowledged_below_majority(command: Mapping[str, Any], reply: Mapping[str, Any]) -> bool:
    """Whether a write was acknowledged, and no majority is known to have it: an election may take it back."""
    if "writeConcernError" in reply:
        return True
    concern = command.get("writeConcern")
    return isinstance(concern, Mapping) and concern.get("w", "majority") != "majority"


def took_effect(reply: Mapping[str, Any]) -> bool:
    """Whether the answer to a write says that something was changed; what it does not tell counts as changed."""
    if not reply.get("ok"):
        return False
    counted = reply.get("lastErrorObject", reply)
    return bool(counted.get("n", 1)) if isinstance(counted, Mapping) else True
