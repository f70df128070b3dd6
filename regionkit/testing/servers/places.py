"""Folders for servers: workspaces that go away, templates that are made once, programs within the account's reach.

Every folder here can be traversed by the unprivileged account (process.account). A template is built aside and renamed
into place, so that parallel test processes never see half of one; it lives for a day, because cleaners of temporary
folders remove old files one by one.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from regionkit.testing.servers.process import account, executable_by_account


@functools.cache
def _base() -> Path:
    """Return the first folder that the servers' account can enter: `REGIONKIT_SERVERS_FOLDER`, or a temporary one.

    TMPDIR may lie in somebody's home.
    """
    for folder in (os.environ.get("REGIONKIT_SERVERS_FOLDER", ""), tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if folder and Path(folder).is_dir() and executable_by_account(Path(folder)):
            return Path(folder).resolve()
    return Path(tempfile.gettempdir()).resolve()


def new_workspace(kind: str) -> Path:
    """Make a new folder that servers can be put under; whoever asked removes it."""
    folder = Path(tempfile.mkdtemp(prefix=f"regionkit-{kind}-", dir=_base()))
    folder.chmod(0o755)
    return folder


def remove(folder: Path) -> None:
    """Remove a folder and all below it; what cannot be removed stays, for it is in a temporary folder anyway."""
    shutil.rmtree(folder, ignore_errors=True)


def make_private(folder: Path) -> Path:
    """Make `folder`, owned by the servers' account and closed to others, as databases demand of their data."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    if who := account():
        os.chown(folder, who.uid, who.gid)
    return folder


def write_owned(path: Path, text: str) -> None:
    """Write a file that belongs to the servers' account."""
    path.write_text(text)
    path.chmod(0o644)
    if who := account():
        os.chown(path, who.uid, who.gid)


def copy_tree(source: Path, destination: Path) -> None:
    """Copy what is in `source` into `destination`, owners and modes included."""
    subprocess.run(["cp", "-a", f"{source}/.", str(destination)], check=True, stdin=subprocess.DEVNULL)


def template(name: str, key: str, build: Callable[[Path], None]) -> Path:
    """Return a folder that `build` has filled, made at most once a day for each `key` on this machine.

    Args:
        name: What it is a template of.
        key: Everything the content depends on; another key is another template.
        build: Fills the empty folder that it is given. May run in two processes at once: the first one wins.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    cache = _cache()
    ready = cache / f"{name}-{digest}-{today}"
    if ready.is_dir():
        return ready
    for old in cache.glob(f"{name}-{digest}-*"):
        remove(old)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=cache))
    draft.chmod(0o755)
    try:
        build(draft)
        draft.rename(ready)
    except OSError:
        if not ready.is_dir():  # not the lost race that is fine
            raise
    finally:
        remove(draft)
    return ready


def _cache() -> Path:
    """Return this user's cache folder; a private one when somebody else has made a folder of its name."""
    folder = _base() / f"regionkit-servers-{os.geteuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    facts = folder.lstat()
    if folder.is_symlink() or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        return _private_cache(os.getpid())
    return folder


@functools.cache
def _private_cache(process: int) -> Path:
    return new_workspace("servers")


def within_reach(program: Path, levels: int) -> Path:
    """Return `program`, or a copy of it that the servers' account can execute.

    Args:
        program: A program that may lie below a folder of mode 700.
        levels: How many folders above the program's own make up the tree that it needs.
    """
    if executable_by_account(program):
        return program  # and not what it may be a link to: redis-server is one, and goes by the name it is called
    actual = program.resolve()
    program = actual if actual.name == program.name else program.parent.resolve() / program.name
    tree = program.parents[levels]
    facts = program.stat()

    def stage(folder: Path) -> None:
        shutil.copytree(tree, folder, symlinks=True, dirs_exist_ok=True)
        folder.chmod(0o755)

    staged = template("programs", f"{program} {facts.st_size} {facts.st_mtime_ns}", stage)
    return staged / program.relative_to(tree)
