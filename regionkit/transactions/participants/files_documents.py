"""What a branch of a folder of documents collects, and what its manifest says. Pure."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import msgspec

from regionkit.errors import UsageError

__all__ = ["OWN", "Documents", "Manifest", "held_by"]

OWN = ".regionkit"
"""Of the folder: regionkit's."""
MOST_DOCUMENTS = 1_000
"""Of one branch: each is a rename under the lock of the folder."""
MOST_BYTES = 64 * 1024 * 1024
"""Of one branch: they are in memory until it is prepared."""
LONGEST_PATH = 1_000
"""Bytes: what Linux and macOS both take below a folder."""


class Manifest(msgspec.Struct, frozen=True):
    """What a branch does. `puts`: by the number of the content; `phases`: of its marker; `at`: seconds since 1970."""

    gid: str
    phases: int
    puts: list[str]
    deletes: list[str]
    at: float

    @property
    def paths(self) -> list[str]:
        """All."""
        return [*self.puts, *self.deletes]


class Documents:
    """What a branch collects: `tx.session(name)`. Paths are relative, with `/`. Of one thread or task.

    Attributes:
        puts: contents by path.
        deletes: paths.
        closed: the phases have begun.
        doomed: why it cannot commit, else "".
    """

    def __init__(self, *, reading: bool) -> None:
        self.puts: dict[str, bytes] = {}
        self.deletes: dict[str, None] = {}
        self.closed = False
        self.doomed = ""
        self._reading = reading

    def put(self, path: str, content: bytes) -> None:
        """Write this document with the transaction: a new one, or over the one that is there.

        Raises:
            UsageError: the path leaves the folder, or it is too much for one transaction.
        """
        self._check(path)
        held = sum(map(len, self.puts.values())) - len(self.puts.get(path, b"")) + len(content)
        if held > MOST_BYTES:
            raise UsageError(f"a transaction puts at most {MOST_BYTES} bytes.", fix="make several transactions of it.")
        self.deletes.pop(path, None)
        self.puts[path] = bytes(content)

    def delete(self, path: str) -> None:
        """Delete it with the transaction; one that is not there is as well.

        Raises:
            UsageError: as of `put`.
        """
        self._check(path)
        self.puts.pop(path, None)
        self.deletes[path] = None

    def _check(self, path: str) -> None:
        if self.closed:
            raise UsageError(
                "TransactionClosed: a branch was used after it was to end.", fix="do all work inside the block."
            )
        if self._reading:
            self.doomed = "it was declared read-only, and wrote"
            raise UsageError("a branch that was declared read-only wrote.", fix="leave read_only=True out.")
        pure = PurePosixPath(path)
        plain = str(pure) == path and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path
        if not plain or path == "." or pure.parts[0].casefold() == OWN or len(os.fsencode(path)) > LONGEST_PATH:
            raise UsageError(
                f"{path[:100]!r} cannot be the path of a document.",
                why=f"it is relative to the folder and stays inside, has no '..', and {OWN} is regionkit's own.",
                fix="give it like 'invoices/7.pdf'.",
            )
        if len(self.puts) + len(self.deletes) >= MOST_DOCUMENTS and path not in {**self.puts, **self.deletes}:
            raise UsageError(f"a transaction has at most {MOST_DOCUMENTS} documents.", fix="make several of it.")


def held_by(paths: list[str]) -> dict[str, bool]:
    """What a branch holds: documents (True), and the folders above them; case does not tell them apart on every disk."""
    held = {str(above).casefold(): False for path in paths for above in PurePosixPath(path).parents}
    return held | {path.casefold(): True for path in paths}
