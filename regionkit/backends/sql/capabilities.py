"""What each kind of SQL server can do, as values: `explain`, the support matrix and refusals read them."""

from __future__ import annotations

from regionkit.contract.advice import Advice
from regionkit.contract.capabilities import Capabilities

__all__ = ["MARIADB", "MYSQL", "POSTGRESQL", "SQLITE"]

_MODES = frozenset({"core", "snapshot"})
_OWNER = "STRONG and writes use the primary as configured or by descent; without a lease no more is proved"
_COLLISIONS = "run it again later; shorter transactions and a fixed lock order collide less."
_COMMITTED = "by db.commit()"
_UNKNOWN = "look at the data; let OutcomeUnknown leave the block, and leave commits to its end."

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
        "a replica's timeline, and commits of other roles that wait for a synchronous replica, are seen only with"
        " pg_read_all_stats",
    ),
    advice=Advice(
        owner="wait: the monitor records a promotion that the server proves; else kit.adopt(store, region) names the primary "
        "that counts, once you know which one does.",
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
        "a promotion by others is not proved by the server: an operator says kit.adopt",
        "replicas need log_slave_updates, so that the binary log knows what was applied",
    ),
    advice=Advice(
        promote="promote it on the server first: STOP SLAVE, RESET SLAVE ALL, SET GLOBAL read_only = 0.",
        parts="by db.commit(), or by DDL",
        unknown="look at the data; let OutcomeUnknown leave the block, and keep DDL in blocks of its own.",
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
        "a promotion by others is not proved by the server: an operator says kit.adopt",
        "positions need gtid_mode = ON; without it SESSION and BOUNDED reads go to the owner",
        "a replica is known by read_only = ON",
        "the server ends no idle transaction: one whose client was cut off holds its locks until wait_timeout",
    ),
    advice=Advice(
        promote="promote it on the server first: STOP REPLICA, RESET REPLICA ALL (before 8.0.22: SLAVE), SET GLOBAL "
        "super_read_only = 0, SET GLOBAL read_only = 0.",
        parts="by db.commit(), or by DDL",
        unknown="look at the data; let OutcomeUnknown leave the block, and keep DDL in blocks of its own.",
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
        "commits that no kit made do not move the position",
        "the role of a file is what its newest history row says",
        "a record that ends does so by the clock of the machine that looks at it",
    ),
    advice=Advice(
        promote="a file owns what its newest history row gives it: promote it with SqliteRegions.promote(region).",
        parts=_COMMITTED,
        unknown=_UNKNOWN,
        collisions="run it again later; shorter transactions collide less.",
    ),
)
