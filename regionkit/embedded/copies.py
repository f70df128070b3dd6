"""Taking a copy of a region's database and letting it land in another region's, with SQLite's online backup.

1. A copy lands in the file that is there, in one transaction: readers keep their connections and their snapshots, and
   positions of the file only grow. What a copy would take back (it is older than the file) does not land.
2. A file that was owner, or that went on past the fork, becomes a copy only as a new file: positions would fall otherwise,
   and connections that know it as owner would write to it. Theirs break at the next statement.
3. The backup writes the whole database into the WAL and triggers no checkpoint by itself, so one follows each landing. A
   reader that stands in the way is waited for once the WAL holds several copies: unbounded, it grew to 646 MB in 5 s.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from regionkit.backends.sql.server import decode_fork
from regionkit.embedded.folder import Folder, connect
from regionkit.facts.history import HistoryRow, Lineage, Survival, lineage_of

__all__ = ["CHECKPOINT_WAIT", "CopyFailed", "FileState", "Landing", "backed_up", "file_state", "land", "trim"]

CHECKPOINT_WAIT = 0.05
"""Seconds that a checkpoint waits for readers: a read in autocommit is over by then."""
MOST_COPIES_IN_WAL = 4
"""Copies that a WAL may hold before the next one waits for readers."""
SMALLEST_WAL_LIMIT = 8_000_000
"""A WAL below this many bytes is let be: so that small databases are copied on beside a long reader."""
COPY_WAIT = 0.2
"""Seconds after which a copy gives up on a file that somebody else is writing: other regions wait meanwhile."""


class CopyFailed(Exception):
    """Somebody else wrote to the file for too long. Tried again later."""


class FileState(NamedTuple):
    """Where a database stands; both None before create_tables()."""

    lineage: Lineage | None
    position: int | None

    @property
    def epoch(self) -> int:
        """Of its newest history; 0 when there is none."""
        return 0 if self.lineage is None else self.lineage.current.epoch


class Landing(NamedTuple):
    """What became of a copy: it `landed`; it was `outdated`; or `crowded`: readers hold the WAL, try again."""

    outcome: str
    replaced: bool = False


def file_state(connection: sqlite3.Connection, namespace: str) -> FileState:
    """Where a database stands now."""
    try:
        rows = connection.execute(
            f"SELECT history, parent, fork, epoch, origin FROM {namespace}_rk_history"  # noqa: S608
        ).fetchall()
        position = connection.execute(f"SELECT value FROM {namespace}_rk_position WHERE id = 1").fetchone()  # noqa: S608
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return FileState(None, None)
    lineage = lineage_of(
        [HistoryRow(h, parent or None, decode_fork(fork), epoch, o) for h, parent, fork, epoch, o in rows]
    )
    return FileState(lineage, None if position is None else int(position[0]))


def backed_up(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy the whole database, as one transaction of each side.

    Raises:
        CopyFailed: the target's writer did not let go in time.
    """
    give_up = time.monotonic() + COPY_WAIT

    def progress(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > give_up:
            raise CopyFailed("the file is being written to")

    source.backup(target, progress=progress, sleep=0.005)


def land(folder: Folder, namespace: str, region: str, target: sqlite3.Connection, copy: sqlite3.Connection) -> Landing:
    """Let a copy arrive in a region. The caller holds `folder.changing()` and made sure that the region is no owner.

    Raises:
        CopyFailed: not now; nothing changed.
    """
    old, new = file_state(target, namespace), file_state(copy, namespace)
    if old.epoch > new.epoch or _is_behind(old, new):
        return Landing("outdated")
    if _must_replace(old, new, region):
        path = folder.draft(region)
        fresh = connect(path)
        try:
            backed_up(copy, fresh)
        finally:
            fresh.close()
        folder.point(region, path)
        return Landing("landed", replaced=True)
    if not trim(target) and _wal_of(target) > max(SMALLEST_WAL_LIMIT, MOST_COPIES_IN_WAL * _size_of(copy)):
        return Landing("crowded")
    backed_up(copy, target)
    trim(target)
    return Landing("landed")


def trim(connection: sqlite3.Connection) -> bool:
    """Move the WAL into the database and cut it to nothing; False when a reader stands in the way all of its busy wait."""
    if _wal_of(connection) == 0:
        return True
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError:  # the file's writer is at work
        return False
    return not busy


def _must_replace(old: FileState, new: FileState, region: str) -> bool:
    if old.lineage is None or new.lineage is None:
        return False
    if old.lineage.current.history == new.lineage.current.history:
        return False
    if old.lineage.current.origin == region:
        return True
    return new.lineage.survival(old.lineage.current.history, old.position) is not Survival.SURVIVED


def _is_behind(old: FileState, new: FileState) -> bool:
    if old.lineage is None or new.lineage is None or old.lineage.current.history != new.lineage.current.history:
        return False
    return (old.position or 0) > (new.position or 0)


def _path_of(connection: sqlite3.Connection) -> Path:
    return Path(connection.execute("PRAGMA database_list").fetchone()[2])


def _wal_of(connection: sqlite3.Connection) -> int:
    try:
        return Path(f"{_path_of(connection)}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _size_of(connection: sqlite3.Connection) -> int:
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return pages * size
