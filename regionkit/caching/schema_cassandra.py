"""The tables of caches in a keyspace, as CQL with {} for the quoted name. Pure."""

from __future__ import annotations

__all__ = ["AT_LEAST", "FIRST", "LATEST", "WB_EPOCH"]

WB_EPOCH = "CREATE TABLE IF NOT EXISTS {} (cache text PRIMARY KEY, epoch bigint)"
"""The last epoch of each write-back cache that was given out. Written on condition only."""
LATEST = "SELECT epoch FROM {} WHERE cache = ?"
FIRST = "UPDATE {} SET epoch = ? WHERE cache = ? IF epoch = null"
AT_LEAST = "UPDATE {} SET epoch = ? WHERE cache = ? IF epoch < ?"
