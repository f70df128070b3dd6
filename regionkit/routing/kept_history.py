"""The newest history of a store that this host has seen, on disk: a process that starts bars an older one from its first instant.

1. A file for each part of each store, replaced whole. Several processes may keep it; none replaces a newer history by an older.
2. A file that cannot be read is as none, and one that cannot be written is told once: the kit knows what it sees itself.
3. Data that were made anew, under a history that descends from nothing known, are barred as in a running process: an operator
   says `kit.adopt`.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from regionkit.facts.history import Descent, Lineage

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
            LOG.warning("%s cannot be read, and is written anew: %s", self._path, error)
            return None
        return self._last if self._last.rows else None

    def keep(self, lineage: Lineage) -> None:
        """Keep it, unless it is kept or a newer one is. It is on the disk when this returns, where that can be had."""
        if lineage == self._last:
            return
        kept = self.load()
        if kept is not None and kept.descent(lineage) is Descent.NEWER:
            return
        made = self._path.with_suffix(f".{os.getpid()}")
        try:
            with made.open("wb") as file:
                file.write(msgspec.json.encode(lineage))
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._path)
        except OSError as error:
            if not self._told:
                LOG.warning(
                    "%s cannot be written; a process that starts knows nothing of this history: %s", made, error
                )
            self._told = True
            return
        self._last = lineage
