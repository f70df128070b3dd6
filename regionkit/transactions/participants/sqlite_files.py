"""The files of one SQLite branch: which may be attached, and when its COMMIT is atomic.

1. A COMMIT over several files writes a super-journal that names the rollback journal of each; deleting it commits them all. A
   file in WAL mode, with its journal in memory or off, or with synchronous OFF has no part in that, and a main database in
   memory makes none: a crash could commit one file and not another. One file alone may be in WAL mode.
2. All that is attached at the COMMIT counts, also what a statement inside has attached. It is looked at after the branch's last
   statement: BEGIN IMMEDIATE has locked each file, so that no other process changes its mode any more.
3. A super-journal is found under the absolute path that it was made with: next to the main file.
4. A file is attached once. Under two names, or as the main one too, one of the two would wait for the other's lock.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from regionkit.errors import ConfigurationError

__all__ = ["FULL", "MOST_ATTACHED", "Fault", "OpenFile", "attaching", "checked", "faults", "looking", "require_apart"]

MOST_ATTACHED = 10
"""Files beside the main one: SQLITE_MAX_ATTACHED as SQLite is usually built."""
LONGEST_NAME = 63
FULL = 2
"""PRAGMA synchronous = FULL: a COMMIT is flushed before it is answered. EXTRA is 3, OFF 0."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SINGLE = ("memory", "off")
"""Journals with which a crash in the midst of a COMMIT damages even a single file."""
_WAL_FIX = "switch it once (PRAGMA journal_mode = DELETE), or keep all tables in one file, which may be in WAL mode."
_MODE_FIX = "leave journal_mode at DELETE, TRUNCATE or PERSIST."


class OpenFile(NamedTuple):
    """A file as a connection has it open. `path`: "" of one in memory."""

    schema: str
    path: str
    journal: str
    synchronous: int


class Fault(NamedTuple):
    """Why a COMMIT would not be all or none, and what to do."""

    what: str
    fix: str


def checked(participant: str, attach: Mapping[str, str | os.PathLike[str]]) -> dict[str, str]:
    """Absolute paths by schema.

    Raises:
        ConfigurationError: a name that is no identifier or SQLite's own, a database in memory, the same file twice, too many.
    """

    def refused(what: str, fix: str) -> ConfigurationError:
        return ConfigurationError(f"participant {participant!r} cannot attach {what}.", fix=fix)

    if not isinstance(attach, Mapping):
        raise refused(repr(attach), 'give paths by schema: attach={"archive": "archive.db"}.')
    if len(attach) > MOST_ATTACHED:
        raise refused(
            f"{len(attach)} files", f"attach at most {MOST_ATTACHED}: SQLite's own limit (SQLITE_MAX_ATTACHED)."
        )
    made: dict[str, str] = {}
    for name, path in attach.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            raise refused(
                f"a file as {name!r}",
                f"a letter, then letters, digits and _, at most {LONGEST_NAME}: it stands before tables.",
            )
        if name.lower() in ("main", "temp", *(other.lower() for other in made)):
            raise refused(f"a file as {name!r}", "main and temp are SQLite's own names, and it does not tell a from A.")
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
        if not isinstance(text, str) or "\0" in text:
            raise refused(repr(path), "give the path of a file, as a str or a Path.")
        if text in ("", ":memory:") or text.startswith("file:"):
            raise refused(f"{text!r}", "give the path of a file.")
        text = str(Path(text).resolve())
        if text in made.values():
            raise refused(f"{text!r} twice", "attach it under one name.")
        made[name] = text
    return made


def attaching(participant: str, attached: Mapping[str, str]) -> list[str]:
    """Statements that attach them.

    Raises:
        ConfigurationError: one is not there: SQLite would make it.
    """
    for name, path in attached.items():
        if not Path(path).exists():
            raise ConfigurationError(
                f"participant {participant!r} is to attach {path!r} as {name!r}, and it is not there.",
                fix="check the path; make the file, with its tables, first.",
            )
    quoted = {name: path.replace("'", "''") for name, path in attached.items()}
    return [f"ATTACH DATABASE '{path}' AS \"{name}\"" for name, path in quoted.items()]


def require_apart(participant: str, files: Iterable[OpenFile]) -> None:
    """Rule 4, by what the paths lead to.

    Raises:
        ConfigurationError: two lead to one file.
    """
    seen: dict[tuple[int, int], str] = {}
    for schema, path, *_ in files:
        if path:
            found = Path(path).stat()
            other = seen.setdefault((found.st_dev, found.st_ino), schema)
            if other != schema:
                raise ConfigurationError(
                    f"participant {participant!r} has {path!r} as {schema!r}, and it is {other!r} already.",
                    why="one of the two would wait for the other's lock.",
                    fix="attach each file once, and not the engine's own.",
                )


def looking(schemas: Iterable[str]) -> list[str]:
    """Statements that ask for the mode of each: two for one."""
    quoted = [schema.replace('"', '""') for schema in schemas]
    return [f'PRAGMA "{name}".{pragma}' for name in quoted for pragma in ("journal_mode", "synchronous")]


def faults(files: Sequence[OpenFile]) -> list[Fault]:
    """Rule 1: what keeps one COMMIT from being atomic over these, the main one first."""
    several, found = len(files) > 1, list[Fault]()
    for schema, path, journal, synchronous in files:
        which = f"schema {schema!r} ({path})"
        if not path:
            found.append(Fault(f"schema {schema!r} is in no file", "use a temporary table for what need not last."))
        elif journal in _SINGLE:
            found.append(Fault(f"the journal of {which} is not on disk (journal_mode {journal})", _MODE_FIX))
        elif several and journal == "wal":
            found.append(Fault(f"{which} is in WAL mode, and each such file commits by itself", _WAL_FIX))
        elif several and synchronous == 0:
            found.append(Fault(f"PRAGMA synchronous of {which} is OFF", "leave it at FULL, its default."))
    return found
