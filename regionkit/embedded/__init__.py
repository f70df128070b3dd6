"""Regions as SQLite files on one machine, for the demo, the tutorial and users' first day. Runs the real routing code."""

from regionkit.embedded.regions import AsyncSqliteRegions, SqliteRegions

__all__ = ["AsyncSqliteRegions", "SqliteRegions"]
