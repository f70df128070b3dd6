"""A forked process that does something and may die of it, and what it reports: flags and a ledger, as files.

Fork before SQLite is opened. A thread that is inside SQLite at the fork (of a kit, of a rig) leaves its mutexes locked in the
child, whose first `sqlite3.connect` then never returns. A SQLite rig copies under a lock for that reason (`fix_rigs`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from regionkit.core.events import set_crash_hook

__all__ = ["PATIENCE", "Ledger", "child", "dying_at"]

PATIENCE = 40.0


class Ledger:
    """What was called, in a file; and flags, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, what: str) -> int:
        """Note a call; how many there are now."""
        with (self.folder / "ledger").open("a") as file:
            file.write(f"{what}\n")
        return len(self.lines())

    def lines(self) -> list[str]:
        """All calls."""
        path = self.folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def set(self, flag: str) -> None:
        """Report something to the other process."""
        (self.folder / flag).touch()

    def wait(self, flag: str) -> None:
        """Until the other process has reported that. What a child failed with is raised here, and at once."""
        end = time.monotonic() + PATIENCE
        while not (self.folder / flag).exists():
            failed = [text for path in self.folder.glob("child*") if (text := path.read_text()) not in ("", "ok")]
            assert not failed, f"a child failed before it reported {flag!r}:\n{failed[0]}"
            assert time.monotonic() < end, f"the child did not report {flag!r} within {PATIENCE:g} s"
            time.sleep(0.01)


@contextlib.contextmanager
def child(work: Callable[[], None], ledger: Ledger) -> Iterator[int]:
    """`work` in a forked process with clients of its own. At the end it is waited for, and what it raised is raised here."""
    report = ledger.folder / f"child{os.urandom(4).hex()}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a process with threads: none is used in the child
        pid = os.fork()
    if pid == 0:
        try:
            work()
            report.write_text("ok")
        except BaseException:
            report.write_text(traceback.format_exc())
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        end = time.monotonic() + PATIENCE
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
    reported = report.read_text() if report.exists() else "died"
    assert reported in ("ok", "died"), reported


def dying_at(point: str, ledger: Ledger) -> None:
    """This process dies where the code is at that point, and the flag "died" says so."""

    def dies(at: str) -> None:
        if at == point:
            ledger.set("died")
            os._exit(1)

    set_crash_hook(dies)
