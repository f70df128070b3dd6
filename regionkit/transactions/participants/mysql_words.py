"""MySQL 8 as a participant: what differs from MariaDB. Pure.

Rules, and what was seen on a MySQL 8.0.15 that flushes (flush_log_at_trx_commit and sync_binlog 1):

1. Only its own session can end a prepared branch, or any session once that one is gone. Seen: XA COMMIT from another session is
   answered 1397 while the owner is connected, and works within 1 ms after the owner's end or KILL. 8.0.29 and later detach a
   branch at PREPARE: the same steps work there.
2. An account that may not list branches (XA_RECOVER_ADMIN) prepares none. Seen: XA RECOVER fails with 1401, although any account
   may end a branch of any other.
3. With a binary log nothing is prepared before 8.0.30, and later only if the application asks for it. Seen in 40 runs of kill -9
   with a binary log: of 34 branches during XA COMMIT, 11 were neither prepared nor committed. Without one 0 of 32 were lost, and
   0 of 120 at rest. A replica broke within 3 kills in 5 of 5 runs.
4. With a binary log, the anchor and every one-phase commit use BEGIN and COMMIT. Seen: 32,173 such commits during 40 kills, none
   lost. (The manual lists XA COMMIT ... ONE PHASE among what a crash may break.)
5. Listings are requested in hex digits. Seen: a foreign branch name that is not UTF-8 broke the driver's whole answer.
6. No rule depends on CHECK. Seen: before 8.0.16 constraints are parsed and ignored.
7. Checks and the lock are one SET before XA START; if one fails, SET fails with error 1231 and our text. Seen: IF and SIGNAL
   exist only in procedures; a GET_LOCK in a SET is taken once.
8. An error of a statement after COMMIT says nothing about the COMMIT. Seen: DO returns errors.

Source: MySQL Reference Manual, "XA Transactions", "Locking Functions", "KILL", "Restrictions on XA Transactions".
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from regionkit.facts.position import Position, Uuids
from regionkit.transactions.findings import Finding
from regionkit.transactions.participants.xa_words import (
    PLACE,
    Look,
    XaWords,
    table_findings,
    unflushed,
    xid_of_bytes,
)
from regionkit.transactions.xid import Xid

__all__ = ["MYSQL"]

CRASH_SAFE = (8, 0, 30)
"""Since this version XA survives a crash beside a binary log, as MySQL's manual says."""
QUESTIONS = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'innodb_flush_log_at_trx_commit', 'innodb_flush_method', "
    "'log_bin', 'sync_binlog', 'wsrep_on', 'group_replication_group_name', 'server_id', 'server_uuid')",
    *PLACE,
)
LISTING = "XA RECOVER CONVERT XID"
"""In hex digits: as a text, names of other programs that are no UTF-8 would break the answer in the driver."""
PROBES = MappingProxyType({"may_list": LISTING})
"""XA_RECOVER_ADMIN."""
SOUND = (
    "WHEN @@global.innodb_flush_log_at_trx_commit <> 1 OR (@@global.log_bin AND @@global.sync_binlog <> 1) "
    "THEN 'regionkit: the server does not flush what it acknowledges any more'"
)
ALONE = "WHEN @@global.log_bin THEN 'regionkit: the server writes a binary log now, and takes no XA'"
LOCKED = "WHEN GET_LOCK('{lock}', 0) <> 1 THEN 'regionkit: another session has this branch'"


def opening(seconds: int, checks: Sequence[str], lock: str) -> list[str]:
    """See `XaWords`. Outside of procedures there is neither IF nor SIGNAL: a setting refuses a value that says why (1231)."""
    waits = f"SET @@session.innodb_lock_wait_timeout = {seconds}, @@session.lock_wait_timeout = {seconds}"
    looked = " ".join((*checks, *([LOCKED.format(lock=lock)] if lock else [])))
    return [f"{waits}, @@session.completion_type = CASE {looked} ELSE 'NO_CHAIN' END" if looked else waits]


def free(lock: str) -> str:
    """See `XaWords`."""
    return f"DO RELEASE_LOCK('{lock}')"


def xid_listed(row: Sequence[Any]) -> Xid | None:
    """A row of the listing: its data are a text `0x73686F70`."""
    data = row[3] if isinstance(row[3], str) else bytes(row[3]).decode("ascii", "replace")
    try:
        return xid_of_bytes(row[0], row[1], row[2], bytes.fromhex(data[2:]))
    except ValueError:
        return None


def position_of(row: Sequence[Any]) -> Position | None:
    """All of this server's transactions up to the newest: of its text "uuid:1-5:7,uuid:tag:1" those without a tag."""
    own, told = (str(value or "").lower() for value in row)
    for part in told.replace("\n", "").split(","):
        uuid, *items = part.strip().split(":")
        if uuid == own:
            newest = 0
            for item in items:
                if not item[:1].isdigit():
                    break
                newest = int(item.rpartition("-")[2])
            if newest:
                return Uuids(((own, newest),))
    return None


def prepares(look: Look, replicated_xa: bool) -> bool:
    """See `XaWords`. Rule 3."""
    return "may_list" in look.told and (not look.logs or (replicated_xa and _is_crash_safe(look)))


def _is_crash_safe(look: Look) -> bool:
    numbers = look.told["version"].partition("-")[0].split(".")
    return tuple(int(number) for number in numbers if number.isdigit()) >= CRASH_SAFE


def findings(name: str, look: Look, unsafe: bool, replicated_xa: bool) -> list[Finding]:
    """See `XaWords`."""
    found: list[Finding] = []
    if look.told.get("wsrep_on") == "ON" or look.told.get("group_replication_group_name"):
        what = "it is a member of a cluster (Group Replication or wsrep), whose members may refuse what was prepared"
        found.append(Finding("refused", name, what, "take a MySQL that is no member of a group."))
    found += unflushed(name, look, unsafe)
    found += table_findings(name, look)
    prepares_beside = replicated_xa and _is_crash_safe(look)
    if "may_list" not in look.told and (not look.logs or prepares_beside or "prepared" in look.told):
        what = (
            "its account may not list prepared branches, so it is the ANCHOR only, or alone: nobody could recover them"
        )
        found.append(Finding("warning", name, what, "GRANT XA_RECOVER_ADMIN ON *.* TO the account."))
    if look.logs and prepares(look, replicated_xa):
        what = "it prepares beside a binary log, which MySQL calls safe since 8.0.30 and which regionkit has not proved"
        found.append(Finding("warning", name, what, "leave unsafe_replicated_xa, and let it be the anchor."))
    elif look.logs and not prepares_beside:
        found.append(Finding("warning", name, *(_UNPROVED if _is_crash_safe(look) else _TEARS)))
    return found


_TEARS = (
    "it writes a binary log, so it is the ANCHOR only, or alone: before 8.0.30 a crash loses branches in the midst of XA COMMIT",
    "keep the decision log in its database; disable_log_bin where it needs neither replicas nor a restore to a point in time.",
)
_UNPROVED = (
    "it writes a binary log, so it is the ANCHOR only, or alone: regionkit has not proved XA beside one since 8.0.30",
    "keep the decision log in its database; unsafe_replicated_xa=True where you rely on MySQL's word.",
)


MYSQL = XaWords(
    "mysql",
    QUESTIONS,
    (LISTING, xid_listed),
    PROBES,
    SOUND,
    ALONE,
    opening,
    (),
    free,
    ("SELECT @@server_uuid, @@global.gtid_executed", position_of),
    prepares,
    findings,
)
