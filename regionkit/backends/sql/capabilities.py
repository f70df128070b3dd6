"""What each kind of SQL server can do, as values: `explain`, the support matrix and refusals read them."""

from __future__ import annotations

from regionkit.contract.advice import Advice
from regionkit.contract.capabilities import Capabilities

__all__ = ["MARIADB", "MYSQL", "POSTGRESQL", "SQLITE"]

_MODES = frozenset({"core", "snapshot"})
_OWNER = "STRONG reads and writes use the primary as configured or by descent; nothing proves more without a lease"
_COLLISIONS = "run it again later; shorter transactions and a fixed lock order collide less."
_COMMITTED = "by db.commit()"
_UNKNOWN = "check the data; do not catch OutcomeUnknown inside the block, and let the end of the block commit."

POSTGRESQL = Capabilities(
    server="postgresql",
    positions=True,
    read_only="server",
    transactions=True,
    markers=True,
    detects_promotion=True,
    modes=_MODES,
    notes=(
        _OWNER,
        "a replica's timeline, and other roles' commits that wait for a synchronous replica, are visible only with"
        " pg_read_all_stats",
    ),
    advice=Advice(
        owner="wait: the monitor records a promotion that the server proves. If it does not, name the valid primary with "
        "kit.adopt(store, region), once you know which one it is.",
        promote="promote it on the server first: SELECT pg_promote().",
        parts=_COMMITTED,
        unknown=_UNKNOWN,
        collisions=_COLLISIONS,
    ),
)
MARIADB = Capabilities(
    server="mariadb",
    positions=True,
    read_only="server",
    transactions=True,
    markers=True,
    detects_promotion=False,
    modes=_MODES,
    notes=(
        _OWNER,
        "the server cannot prove a promotion: an operator calls kit.adopt",
        "replicas need log_slave_updates, so that their binary log contains what they applied",
    ),
    advice=Advice(
        promote="promote it on the server first: STOP SLAVE, RESET SLAVE ALL, SET GLOBAL read_only = 0.",
        parts="by db.commit(), or by DDL",
        unknown="check the data; do not catch OutcomeUnknown inside the block, and keep DDL in separate blocks.",
        collisions=_COLLISIONS,
    ),
)
MYSQL = Capabilities(
    server="mysql",
    positions=True,
    read_only="server",
    transactions=True,
    markers=True,
    detects_promotion=False,
    modes=_MODES,
    notes=(
        _OWNER,
        "the server cannot prove a promotion: an operator calls kit.adopt",
        "positions need gtid_mode = ON; without it SESSION and BOUNDED reads go to the owner",
        "a server counts as a replica if read_only is ON",
        "the server does not end an idle transaction: if its client was cut off, it holds its locks until wait_timeout",
    ),
    advice=Advice(
        promote="promote it on the server first: STOP REPLICA, RESET REPLICA ALL (before 8.0.22: SLAVE), SET GLOBAL "
        "super_read_only = 0, SET GLOBAL read_only = 0.",
        parts="by db.commit(), or by DDL",
        unknown="check the data; do not catch OutcomeUnknown inside the block, and keep DDL in separate blocks.",
        collisions=_COLLISIONS,
    ),
)
SQLITE = Capabilities(
    server="sqlite",
    positions=True,
    counts_others=False,
    read_only="server",
    transactions=True,
    markers=True,
    detects_promotion=False,
    modes=_MODES,
    notes=(
        "commits that are not made by a kit do not advance the position",
        "the newest history row of a file determines its role",
        "a record expires by the clock of the machine that reads it",
    ),
    advice=Advice(
        promote="the newest history row of a file makes it the owner: promote it with SqliteRegions.promote(region).",
        parts=_COMMITTED,
        unknown=_UNKNOWN,
        collisions="run it again later; shorter transactions collide less.",
    ),
)
