"""What transactions keep: decisions in the log's database, markers beside the data of each participant."""

from __future__ import annotations

from regionkit.core.tables import Table

__all__ = ["BRANCH", "KEPT", "LOG", "LOG_TABLES", "META", "PARTICIPANT"]


def _kept(name: str) -> Table:
    return Table("transactions", name, 1, {"sql": f"regionkit.transactions.tables_sql:{name}"})


META = _kept("tpc_meta")
"""The log's id, its history, its floor; and in a row of its own the newest heartbeat of a recoverer."""
LOG = _kept("tpc_log")
"""One row a decision."""
PARTICIPANT = _kept("tpc_participant")
"""One row a participant: which instance stands behind its name."""
LOG_TABLES = (META, LOG, PARTICIPANT)
"""What a log keeps."""
BRANCH = _kept("tpc_branch")
"""One row a branch that committed (its marker), or that may not commit any more (a tombstone)."""
KEPT = (*LOG_TABLES, BRANCH)
