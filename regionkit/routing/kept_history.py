"""The newest history of a store that this host has seen, kept on disk, so that a new process refuses an older primary at once.

1. There is one file per part of a store, always replaced as a whole. Processes write one after the other, and a history is only
   replaced by one that descends from it.
2. A file that cannot be read counts as missing. One that cannot be written is logged once; the kit then relies on what it sees.
3. Recreated data have a history that descends from nothing known, and are refused, as in a running process, until `kit.adopt`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from regionkit.facts.history import Descent, Lineage

try:
    import fcntl
except ImportError:  # on Windows the last one to keep it wins
    fcntl = None  # type: ignore[assignment]

__all__ = ["KeptHistory"]

LOG = logging.getLogger("regionkit.host")
_DECODER = msgspec.json.Decoder(Lineage)


class KeptHistory:
    """Of one store, or of one part of it."""

    def __init__(self, folder: Path, namespace: str, source: str) -> None:
        self._path = folder / f"{namespace}-{source.replace('/', '~')}.history"
        self._last: Lineage | None = None
        self._told = False

    def load(self) -> Lineage | None:
        """What was kept; None where nothing was."""
        try:
            self._last = _DECODER.decode(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            LOG.warning("%s cannot be read and is rewritten: %s", self._path, error)
            return None
        return self._last if self._last.rows else None

    def keep(self, lineage: Lineage) -> None:
        """Keep it where it descends from what is kept. It is on the disk when this returns, where that can be had."""
        if lineage == self._last:
            return
        try:
            with self._alone():
                kept = self.load()
                descent = Descent.NEWER if kept is None else lineage.descent(kept)
                if descent is Descent.NEWER:
                    self._write(lineage)
        except OSError as error:
            self._warn("%s cannot be written; a process that starts knows nothing of this history: %s", error)
            return
        self._last = lineage
        if descent is Descent.APART:
            self._warn(
                "%s holds a history that is apart from this one, and is left as it is: %s", lineage.current.history
            )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process keeps one meanwhile; it takes the time of a small write."""
        file = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _write(self, lineage: Lineage) -> None:
        made = self._path.with_suffix(".new")
        with made.open("wb") as file:
            file.write(msgspec.json.encode(lineage))
            file.flush()
            os.fsync(file.fileno())
        made.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _warn(self, text: str, why: object) -> None:
        if not self._told:
            LOG.warning(text, self._path, why)
        self._told = True
