"""Where a write-back cache with a journal keeps it. Values, checked when they are made; nothing is opened here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from regionkit.caching.back.refusals import check_timeout
from regionkit.core.given import check_count, check_flag, check_path
from regionkit.topology.topology import NAMESPACE
from regionkit.topology.validation import check_name

__all__ = ["JOURNAL_BYTES", "FileJournal", "SqlJournal"]

JOURNAL_BYTES = 1 << 30
"""Bytes of one process's journal, by default: four times `max_bytes`, as files are kept until most of them is not needed."""
LEAST_BYTES = 64 << 20
JOURNAL_ROWS = 500_000
"""Rows of one cache's journal, by default: ten times `max_dirty`, as each put has its row until it is settled."""


@dataclass(frozen=True, slots=True)
class FileJournal:
    """Files of each process in one folder of the machine, for `durability="journal"`. Needs Unix.

    What was acknowledged survives the loss of the cache's server as long as this disk comes back, and a process of the cache runs
    on it: that one reads what others have left.

    Attributes:
        folder: it exists, and all processes of the machine share it.
        max_bytes: of one process's files; a put beyond raises Backpressure.
        unsafe_place: take a file system that may forget, or whose locks do not hold: tmpfs, NFS, SMB, FUSE.
    """

    folder: str | os.PathLike[str]
    max_bytes: int = JOURNAL_BYTES
    unsafe_place: bool = False

    def __post_init__(self) -> None:
        check_path("folder", self.folder)
        check_count("max_bytes", self.max_bytes, LEAST_BYTES)
        check_flag("unsafe_place", self.unsafe_place)


@dataclass(frozen=True, slots=True)
class SqlJournal:
    """A table of a database, for `durability="sql-journal"`: it survives what that database survives.

    Any process of the cache replays it. Take a database near the cache; it need not be the sink's.

    Attributes:
        given: an engine of PostgreSQL, MariaDB, MySQL or SQLite (an async one in asyncio), or a kit.
        store: which of a kit's stores.
        namespace: prefix of the table; a kit's own counts for its stores.
        max_rows: of one cache; a put beyond raises Backpressure.
        timeout: seconds that each call may take.
    """

    given: Any
    store: str | None = None
    namespace: str = "regionkit"
    max_rows: int = JOURNAL_ROWS
    timeout: float = 5.0

    def __post_init__(self) -> None:
        check_name("namespace", self.namespace, NAMESPACE)
        check_count("max_rows", self.max_rows, 1000)
        check_timeout(self.timeout)
