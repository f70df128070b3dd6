"""What each kind of SQL server can do, as values: `explain`, the support matrix and refusals read them."""

from __future__ import annotations

from regionkit.contract.capabilities import Capabilities

__all__ = ["MARIADB", "POSTGRESQL", "SQLITE"]

_MODES = frozenset({"core", "snapshot"})
_OWNER = "STRONG and writes use the primary as configured or by descent; without a lease no more is proved"

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
)
SQLITE = Capabilities(
    server="sqlite",
    positions=True,
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
)
