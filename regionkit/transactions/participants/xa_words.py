"""XA as MariaDB and MySQL both speak it: names, locks, listings, what a server said; and the place of what differs. Pure.

What is said differently stands in mariadb_words.py and mysql_words.py, as `XaWords`. A URL does not tell which of the two it
leads to: the server's greeting does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from regionkit.facts.position import Position
from regionkit.transactions.findings import Finding
from regionkit.transactions.xid import Xid, xid_of_xa

__all__ = [
    "PLACE",
    "Look",
    "XaWords",
    "lock_of",
    "look_of",
    "replica_findings",
    "table_findings",
    "unflushed",
    "xid_of_bytes",
]

PLACE = (
    "SELECT 'database', DATABASE() UNION ALL SELECT 'marker', TABLE_NAME FROM information_schema.TABLES "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}'",
    "SELECT 'table', CONCAT(t.TABLE_NAME, ' (', t.ENGINE, ')') FROM information_schema.TABLES t "
    "JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE t.TABLE_SCHEMA = DATABASE() "
    "AND t.TABLE_TYPE = 'BASE TABLE' AND (e.XA <> 'YES' OR e.TRANSACTIONS <> 'YES') ORDER BY t.TABLE_NAME LIMIT 1",
)
"""Questions about the database: where it is, its table of markers ({table}), one that cannot be rolled back."""
UNFLUSHED = ("nosync", "littlesync")
"""Values of innodb_flush_method that leave flushing to the system."""
SERVER_NAMES = ("server_id", "server_uid", "server_uuid")


class Look(msgspec.Struct, frozen=True, gc=False):
    """What the answers said: `told` by name in lower case; `copies`: replicas that the topology knows."""

    told: Mapping[str, str]
    copies: int

    @property
    def database(self) -> str:
        """Where markers stand."""
        return self.told["database"]

    @property
    def marked(self) -> bool:
        """Whether the table of markers is there."""
        return "marker" in self.told

    @property
    def logs(self) -> bool:
        """Whether it writes a binary log."""
        return self.told.get("log_bin") == "ON"

    @property
    def instance(self) -> str:
        """Of server and database. Not `server_uid`: it changes with the host's network address; `server_id` is 1 on all that
        nobody gave one, so a number noted beside the markers tells them apart.
        """
        return f"{self.told.get('server_uuid') or self.told['server_id']}/{self.database}/{self.told.get('noted', '')}"

    @property
    def run(self) -> str:
        """Which server it is now: an acknowledgement of another one is asked for again."""
        return "/".join(self.told[name] for name in SERVER_NAMES if name in self.told)

    @property
    def replicated(self) -> bool:
        """Whether a replica follows its binary log, or has been seen to: one that is down will go on where it was."""
        follows = int(self.told.get("slaves_connected", 0)) > 0 or self.copies > 0 or "followed" in self.told
        return self.logs and follows


class XaWords(NamedTuple):
    """Of one of the two servers.

    Attributes:
        kind: "mariadb" or "mysql".
        questions: each answers with pairs of a name and a value.
        listing: the statement that lists prepared branches of the server, and what a row of it names; None: it is none of
            regionkit's, whatever bytes it has.
        probes: questions that need a right, by the name that gets "1" if the account has it.
        sound: the check that it flushes what it acknowledges. SET GLOBAL changes that at any time, so it is part of the message
            that opens a branch.
        alone: the check that no replica follows, the same.
        opening: statements that end waits for locks after so many seconds, make these checks, and take the lock of this name
            ("" takes none): in front of XA START or BEGIN. One of them fails where a check does.
        settings: what the marker needs, whatever the user set.
        free: releases a lock behind a COMMIT. It never fails: its error would be taken for the COMMIT's.
        position: the question where its data stands, and what the answer means; None where nothing is logged.
        prepares: whether branches may be prepared there; `replicated`: beside replicas too.
        findings: what is wrong, or risky, about a participant of this name. `unsafe`: what is not flushed is only said.
    """

    kind: str
    questions: tuple[str, ...]
    listing: tuple[str, Callable[[Any], Xid | None]]
    probes: Mapping[str, str]
    sound: str
    alone: str
    opening: Callable[[int, Sequence[str], str], list[str]]
    settings: tuple[str, ...]
    free: Callable[[str], str]
    position: tuple[str, Callable[[Sequence[Any]], Position | None]]
    prepares: Callable[[Look, bool], bool]
    findings: Callable[[str, Look, bool, bool], list[Finding]]


def look_of(answers: list[Any], copies: int, may: Sequence[str] = ()) -> Look:
    """From rows of pairs. `may`: probes that were answered."""
    told = {str(name).lower(): str(value) for rows in answers for name, value in rows}
    return Look(MappingProxyType(told | dict.fromkeys(may, "1")), copies)


def unflushed(name: str, look: Look, unsafe: bool) -> list[Finding]:
    """Settings by which what is acknowledged may be lost."""
    told = look.told
    wrong = []
    if told.get("innodb_flush_log_at_trx_commit") != "1":
        wrong.append(("innodb_flush_log_at_trx_commit", "1"))
    if told.get("innodb_flush_method", "").lower() in UNFLUSHED:
        wrong.append(("innodb_flush_method", "fsync, or O_DIRECT"))
    if look.logs and told.get("sync_binlog") != "1":
        wrong.append(("sync_binlog", "1"))
    return [
        Finding(
            "warning" if unsafe else "refused",
            name,
            f"{setting} is {told.get(setting)}: what is prepared may be gone after a crash",
            f"set {setting} = {value}.",
        )
        for setting, value in wrong
    ]


def table_findings(name: str, look: Look) -> list[Finding]:
    """A table of another engine keeps what was written to it, whatever becomes of the branch."""
    if "table" not in look.told:
        return []
    what = f"its database has a table that cannot be rolled back: {look.told['table']}"
    fix = "ALTER TABLE ... ENGINE=InnoDB, or keep such tables in another database."
    return [Finding("refused", name, what, fix)]


def replica_findings(server: str, name: str, look: Look, replicated_xa: bool) -> list[Finding]:
    """What replicas mean."""
    if not look.replicated:
        return []
    if replicated_xa:
        what = "it has replicas: a crash may leave branches prepared on them for ever, and end their replication"
        return [Finding("warning", name, what, "leave unsafe_replicated_xa, and let it be the anchor.")]
    what = f"it has replicas, so it is the ANCHOR only, or alone: {server} does not replicate prepared branches safely"
    fix = "keep the decision log in its database; unsafe_replicated_xa=True where replicas may be rebuilt."
    return [Finding("warning", name, what, fix)]


def lock_of(xid: Xid) -> str:
    """Name of the lock that a branch's session holds: at most 58 characters, of the 64 that both servers take."""
    return f"rk:{xid.gtrid}:{xid.branch}"


def xid_of_bytes(format_id: Any, gtrid_length: Any, bqual_length: Any, raw: bytes) -> Xid | None:
    """What a row of a listing names."""
    if not raw.isascii() or len(raw) != int(gtrid_length) + int(bqual_length):
        return None
    text, at = raw.decode("ascii"), int(gtrid_length)
    return xid_of_xa(int(format_id), text[:at], text[at:])
