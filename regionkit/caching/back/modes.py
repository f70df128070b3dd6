"""How durable an acknowledged put is, by name. Pure: what a mode asks of a server, and whether a server is so.

| mode | a put is answered when | it survives | it costs |
|---|---|---|---|
| memory | the server has it | the end of this process | nothing more |
| aof-everysec | the server has written it to its file | and a kill of the server, not a crash of its machine | little |
| aof-always | it is on disk (`appendfsync always`) | and a crash of the machine | an fsync, shared by the puts of a moment |
| aof-wait | WAITAOF says that it is on disk (Redis 7.2) | the same | with `everysec` up to a second |
| replicated | WAIT says that replicas have it | the loss of the server, where one takes over | a round trip to them |
| journal | a file of this process has it, too | the loss of the server, where this disk comes back | an fsync, a round trip |
| sql-journal | a table of a database has it, too | the loss of the server | an INSERT, a round trip |

1. Every mode refuses a server that evicts keys without a time to live: what is dirty would go without a word.
2. What a server does not tell is not taken for so: the application says it (`assume`), and whoever prints the guarantee says that
   it is assumed.
3. A mode with a journal asks nothing of the server but that it does not evict: what it loses is replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from regionkit.errors import CacheError, ConfigurationError

__all__ = ["MODES", "Facts", "Mode", "durably", "facts_of", "judged", "mode_named", "wait_of"]


class Mode(msgspec.Struct, frozen=True):
    """One mode.

    Attributes:
        name: of it.
        survives: what an acknowledged put survives.
        loses: what it does not, while its row does not show it.
        costs: what a put costs more than in `memory`.
        fsync: values of `appendfsync` that will do; none: it needs no file.
        wait: command that says how durable a put is.
        journal: name of the class of its journal; "": it has none.
    """

    name: str
    survives: str
    loses: str
    costs: str
    fsync: tuple[str, ...] = ()
    wait: str = ""
    journal: str = ""


_ALL = (
    Mode("memory", "the end of the process that put it", "a restart or a failover of the server", "nothing"),
    Mode(
        "aof-everysec",
        "a kill of the server; a crash of its machine loses the last two seconds",
        "the loss of its disk; a failover, where the replica was behind",
        "the server writes its file",
        ("everysec", "always"),
    ),
    Mode(
        "aof-always",
        "a crash of the server's machine",
        "the loss of its disk; a failover, where the replica was behind",
        "an fsync, shared by the puts of a moment",
        ("always",),
    ),
    Mode(
        "aof-wait",
        "a crash of the server's machine",
        "the loss of its disk; a failover, where the replica was behind",
        "the wait for the next fsync: up to a second where the server does one a second",
        ("everysec", "always"),
        "WAITAOF",
    ),
    Mode(
        "replicated",
        "the loss of the server, where a replica that confirmed takes over",
        "a failover to a replica that did not confirm: ask for all that may take over",
        "a round trip to the replicas",
        (),
        "WAIT",
    ),
    Mode(
        "journal",
        "the loss of the server, and a crash of this machine, where the same disk comes back",
        "the loss of this machine's disk together with the server",
        "an fsync on this machine, shared by the puts of a moment, and one more round trip",
        journal="FileJournal",
    ),
    Mode(
        "sql-journal",
        "the loss of the server: any process replays the table",
        "the loss of the journal's database together with the server",
        "an INSERT into the journal's database, shared by the puts of a moment, and one more round trip",
        journal="SqlJournal",
    ),
)
MODES: Mapping[str, Mode] = MappingProxyType({mode.name: mode for mode in _ALL})


class Facts(msgspec.Struct, frozen=True):
    """What a server tells.

    Attributes:
        aof: it writes its file.
        wrote: the last write of the file went well.
        policy: what it does at the end of its memory; "" where it does not tell.
        replicas: that are connected.
        fsync: of the file; "" where it does not tell.
        least_replicas: without which it refuses writes; None where it does not tell.
        waits: it knows WAITAOF; None: not asked.
    """

    aof: bool
    wrote: bool
    policy: str
    replicas: int
    fsync: str = ""
    least_replicas: int | None = None
    waits: bool | None = None


def mode_named(name: Any) -> Mode:
    """The mode of this name.

    Raises:
        ConfigurationError: there is none.
    """
    if not isinstance(name, str) or name not in MODES:
        raise ConfigurationError(f"durability={name!r} is none.", fix=f"use one of {', '.join(MODES)}.")
    return MODES[name]


def facts_of(info: Mapping[str, str], config: Mapping[str, str] | None, waits: bool | None) -> Facts:
    """What INFO and CONFIG GET say. `config`: None where the account may not ask."""
    told = config or {}
    least = told.get("min-replicas-to-write")
    if least is None and "min_slaves_good_slaves" in info:
        least = "1"  # INFO has it only where there is such a number
    return Facts(
        aof=info.get("aof_enabled") == "1",
        wrote=info.get("aof_last_write_status", "ok") == "ok",
        policy=info.get("maxmemory_policy") or told.get("maxmemory-policy", ""),
        replicas=int(info.get("connected_slaves", 0)),
        fsync=told.get("appendfsync", ""),
        least_replicas=None if least is None else int(least),
        waits=waits,
    )


def judged(mode: Mode, facts: Facts, *, replicas: int, assume: str | None) -> str:
    """What of the guarantee is assumed; "": it is proved.

    Raises:
        ConfigurationError: the server is set otherwise, with what to set.
        CacheError: it is set as it should be, and not well just now.
    """
    if facts.policy.startswith("allkeys"):
        why = f"maxmemory-policy is {facts.policy}: dirty values would be evicted"
        raise _refused(mode, why, "maxmemory-policy noeviction")
    if mode.fsync and not facts.aof:
        raise _refused(mode, "it writes no append-only file", "appendonly yes")
    if mode.fsync and facts.fsync and facts.fsync not in mode.fsync:
        raise _refused(mode, f"appendfsync is {facts.fsync}", f"appendfsync {mode.fsync[0]}")
    if mode.wait == "WAITAOF" and facts.waits is False:
        why = "it does not know WAITAOF, which Redis 7.2 brought"
        raise _refused(mode, why, "appendfsync always", 'durability="aof-always"')
    if mode.wait == "WAIT" and facts.least_replicas is not None and facts.least_replicas < replicas:
        why = f"min-replicas-to-write is {facts.least_replicas}: it takes writes that no replica gets"
        raise _refused(mode, why, f"min-replicas-to-write {replicas}")
    if mode.fsync and not facts.wrote:
        raise _unwell(
            mode, "the last write of its append-only file failed (aof_last_write_status)", "give its disk room"
        )
    if mode.wait == "WAIT" and facts.replicas < replicas:
        raise _unwell(mode, f"{facts.replicas} replicas are connected, and {replicas} are asked for", "connect them")
    unknown = _unknown(mode, facts)
    if unknown and assume != mode.name:
        raise ConfigurationError(
            f"whether the server is {mode.name} cannot be seen.",
            why=f"the account may not ask for {unknown}.",
            fix=f'grant it +config|get; or, where you know that it is set so, say assume="{mode.name}".',
        )
    return unknown


def _unknown(mode: Mode, facts: Facts) -> str:
    if not facts.policy:
        return "maxmemory-policy"
    if mode.wait == "WAIT":
        return "min-replicas-to-write" if facts.least_replicas is None else ""
    return "appendfsync" if mode.fsync and not mode.wait and not facts.fsync else ""


def _refused(mode: Mode, why: str, setting: str, instead: str = "") -> ConfigurationError:
    then = f"; then use {instead}" if instead else ""
    return ConfigurationError(
        f"the server is not {mode.name}.",
        why=f"{why}.",
        fix=f"CONFIG SET {setting}, and write it into the server's configuration{then}.",
    )


def _unwell(mode: Mode, why: str, what: str) -> CacheError:
    return CacheError(
        f"the server is not {mode.name} just now.", why=f"{why}.", fix=f"{what}; then try again.", retryable=True
    )


def wait_of(mode: Mode, replicas: int, milliseconds: int) -> tuple[str | int, ...]:
    """The command that is sent behind a put; () where none is."""
    if mode.wait == "WAITAOF":
        return ("WAITAOF", 1, 0, milliseconds)
    return ("WAIT", replicas, milliseconds) if mode.wait else ()


def durably(mode: Mode, replicas: int, answer: Any) -> bool:
    """Whether the answer to that command says that a put is durable."""
    if mode.wait == "WAITAOF":
        return isinstance(answer, list) and int(answer[0]) >= 1
    return isinstance(answer, int) and answer >= replicas
