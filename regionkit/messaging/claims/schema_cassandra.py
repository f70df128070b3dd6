"""The table of claims in a keyspace. `alive` is a cell that ends with the lease, or with done: the servers' clocks say when."""

from __future__ import annotations

__all__ = ["IDEMPOTENCY", "READ", "TAKE", "WRITE"]

IDEMPOTENCY = (
    "CREATE TABLE IF NOT EXISTS {} (scope blob, id blob, state text, fence bigint, owner blob, fingerprint blob, was text, "
    "result blob, alive boolean, PRIMARY KEY ((scope, id)))"
)
READ = "SELECT state, fence, TTL(alive), owner, fingerprint, was, result FROM {} WHERE scope = %s AND id = %s"
_ALL = (
    "UPDATE {0} USING TTL %s SET state = %s, fence = %s, owner = %s, fingerprint = %s, was = %s, result = %s "
    "WHERE scope = %s AND id = %s IF state = %s AND fence = %s AND owner = %s"
)
WRITE = f"BEGIN BATCH {_ALL}; UPDATE {{0}} USING TTL %s SET alive = %s WHERE scope = %s AND id = %s; APPLY BATCH"
"""Every column with a time to live of its own: none decays before the others but `alive`, which is meant to."""
TAKE = WRITE.replace("AND owner = %s;", "AND owner = %s AND alive = null;")
"""The same, where the lease is over by the clock of the servers at that moment."""
