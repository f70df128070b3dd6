"""Coordinators that die in the midst of SQLite's COMMIT over two files, at each system call that writes, flushes or deletes.

    LD_PRELOAD=<SHIM> python sqlite_attached_children.py '<cell as JSON>'

prints what is in the files after each death, then what recovery makes of the other database, as JSON lines. The files are opened
one by one by programs that know nothing of each other. The cell: that of `transaction_children`, `pragmas` that run after ATTACH,
whether what they spoil is `checked`, the `first` step to die at and the `stride` from one to the next. Not a test.
"""

from __future__ import annotations

import io
import json
import os
import random
import sqlite3
import sys
from contextlib import closing
from typing import Any

from sqlalchemy import text
from transaction_children import Bank, fork, soon, transfer

from regionkit.core.events import set_crash_hook
from regionkit.transactions.participants import sqlite

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
static long steps;
static void step(void) {
  const char *last = getenv("DIE_AT");
  if (last != 0 && ++steps == atol(last)) kill(getpid(), SIGKILL);
}
int fsync(int fd) { step(); return REAL(fsync)(fd); }
int fdatasync(int fd) { step(); return REAL(fdatasync)(fd); }
int unlink(const char *path) { step(); return REAL(unlink)(path); }
int ftruncate(int fd, off_t size) { step(); return REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { step(); return REAL(ftruncate64)(fd, size); }
ssize_t write(int fd, const void *from, size_t size) { step(); return REAL(write)(fd, from, size); }
ssize_t pwrite(int fd, const void *from, size_t size, off_t at) { step(); return REAL(pwrite)(fd, from, size, at); }
ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) { step(); return REAL(pwrite64)(fd, from, size, at); }
"""
MOST = 200
"""Steps of a COMMIT that are tried: far more than it has."""
DECIDES = 45
"""From here on each step is tried: one of them decides."""


def spoil(cell: dict[str, Any]) -> None:
    """Run the pragmas on each connection of a branch."""
    attaching = sqlite.attaching
    sqlite.attaching = lambda *given: [*attaching(*given), *cell["pragmas"]]
    if not cell["checked"]:
        sqlite.faults = lambda files: []


def commit(cell: dict[str, Any], number: int) -> None:
    """One transfer, that dies at the step of this number of its COMMIT."""
    spoil(cell)
    bank = Bank(cell)

    def armed(at: str) -> None:
        if at == "tpc.anchor.before":
            os.environ["DIE_AT"] = str(number)
        elif at == "tpc.anchor.after":
            del os.environ["DIE_AT"]

    set_crash_hook(armed)
    transfer(
        bank, random.Random(number), io.StringIO(), fails=False, account=number
    )  # who is prepared has its row locked
    bank.close()


def ids(path: str) -> set[str]:
    """Transfers in a file, for a program that knows of no other."""
    with closing(sqlite3.connect(path)) as db:
        return {row[0] for row in db.execute("SELECT id FROM moved")}


def both(cell: dict[str, Any], number: int) -> list[set[str]]:
    """What is in the main file and in the other one; which of them is opened first alternates."""
    paths = [cell["b"].removeprefix("sqlite:///"), cell["archive"]]
    seen = {path: ids(path) for path in (paths if number % 2 else reversed(paths))}
    return [seen[path] for path in paths]


def run(cell: dict[str, Any]) -> None:
    """Die once at each step of the stride, until a COMMIT has no more, or what is spoiled has torn the files; then recover."""
    bank = Bank(cell)
    bank.recovery(0.0).run(soon())  # children have all imported that they need
    bank.close()
    before, number = 0, cell["first"] - cell["stride"]
    while number < MOST:
        number += cell["stride"] if number < DECIDES else 1
        if os.waitstatus_to_exitcode(os.waitpid(fork(lambda at=number: commit(cell, at)), 0)[1]) == 0:
            break
        main, archive = both(cell, number)
        told = {"step": number, "committed": len(main) - before, "differ": len(main ^ archive)}
        before = len(main)
        print(json.dumps(told), flush=True)
        if told["differ"] and not cell["checked"]:
            break
    bank = Bank(cell)
    report = bank.recovery(0.0).run(soon())
    with bank.sides["a"].connect() as db:
        other = {row[0] for row in db.execute(text("SELECT id FROM moved"))}
    bank.close()
    found = {
        "ended": number,
        "torn": len(both(cell, 0)[0] ^ other),
        "hazards": len(report.hazards),
        "why": str(report),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
