"""Brings Cassandra to this machine: its jars through Maven, once, into a cache folder outside of any checkout.

    python -m regionkit.testing.servers.kinds.cassandra_install

Beside the jars stand a start script, which is the program that the test kit looks for, and an archive of loaded classes
that halves the time of every start. The script is written last and holds what it was made from: another version or
another Java makes another script, and the missing part is made anew.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from regionkit.testing.servers.kinds import cassandra_settings
from regionkit.testing.servers.process import free_port

PROGRAM = "regionkit-cassandra"
JAVA_PACKAGE = "openjdk-17-jre-headless"
MAVEN_PACKAGE = "maven"
COMMAND = "python -m regionkit.testing.servers.kinds.cassandra_install"
_POM = Path(__file__).with_name("cassandra.pom.xml")
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_LISTENS = "Starting listening for CQL clients"
_ARCHIVE_TIMEOUT = 120.0

# The class path is relative and in one order, because an archive serves only the class path that it was made with,
# and the folder may be copied to where the servers' account can read it.
_SCRIPT = """#!/bin/sh
# {java_version}
set -eu
export LC_ALL=C
cd "$(dirname "$0")/../lib"
if [ "${{1-}}" = --version ]; then
  set -- cassandra-all-*.jar
  version=${{1#cassandra-all-}}
  echo "Apache Cassandra ${{version%.jar}}, Java 17"
  exit
fi
if [ -e ../classes.jsa ]; then set -- -XX:SharedArchiveFile=../classes.jsa "$@"; fi
jars=$(printf '%s:' *.jar)
exec '{java}' -cp "${{jars%:}}" "$@" org.apache.cassandra.service.CassandraDaemon
"""


class InstallError(RuntimeError):
    """Cassandra could not be brought here; the message says what is missing or what failed."""


def folder() -> Path:
    """Return the folder that holds, or will hold, this version of Cassandra.

    `REGIONKIT_TEST_CACHE` names the cache; the default is "regionkit" in the user's folder of caches.
    """
    given = os.environ.get("REGIONKIT_TEST_CACHE")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    return (Path(given) if given else Path(caches) / "regionkit").absolute() / f"cassandra-{digest}"


@functools.cache
def java_17() -> tuple[Path, str] | None:
    """Return a Java 17 of this machine and how it calls itself, or None: later versions cannot run Cassandra 5.0."""
    for java in _javas():
        if os.access(java, os.X_OK):
            done = subprocess.run([java, "-version"], check=False, capture_output=True, text=True)
            if 'version "17' in done.stderr:
                return java.resolve(), " ".join(done.stderr.split())
    return None


def _javas() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found)
    for root, pattern in (("/usr/lib/jvm", "*17*/bin/java"), ("/opt/homebrew/opt", "openjdk@17/bin/java")):
        yield from sorted(Path(root).glob(pattern))


def missing() -> list[str]:
    """Return the packages that `install()` needs and this machine lacks; with the jars here, Maven is not needed."""
    packages = [] if java_17() else [JAVA_PACKAGE]
    if not _jars().is_dir() and not shutil.which("mvn"):
        packages.append(MAVEN_PACKAGE)
    return packages


def install() -> Path:
    """Bring Cassandra here unless it is here already, and return the program that starts it.

    Several processes may call this at once: one works, the others wait for it.

    Raises:
        InstallError: Java 17 or Maven is missing, or Maven could not fetch the jars.
    """
    java = java_17()
    if java is None or missing():
        raise InstallError(f"Cassandra needs Java 17 and, to be fetched, Maven. Install {' '.join(missing())}.")
    home = folder()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program = home / "bin" / PROGRAM
        if not _installed(*java):
            _fetch_jars(home)
            draft = home / "bin" / "draft"
            draft.parent.mkdir(exist_ok=True)
            draft.write_text(_script(*java))
            draft.chmod(0o755)
            _archive_classes(home, draft)
            draft.rename(program)
    return program


def _script(java: Path, version: str) -> str:
    return _SCRIPT.format(java=java, java_version=version)


def _installed(java: Path, version: str) -> bool:
    try:
        return (folder() / "bin" / PROGRAM).read_text() == _script(java, version)
    except OSError:
        return False


def _jars() -> Path:
    return folder() / "lib"


def _fetch_jars(home: Path) -> None:
    if _jars().is_dir():
        return
    draft = home / "lib.draft"
    shutil.rmtree(draft, ignore_errors=True)
    print(f"fetching the jars of Cassandra (67 MB) into {home}", file=sys.stderr)
    words = ["mvn", "-q", "-B", "-f", str(_POM), _COPY, "-DincludeScope=runtime", f"-DoutputDirectory={draft}"]
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode or not list(draft.glob("cassandra-all-*.jar")):
        raise InstallError(f"Maven could not fetch the jars of Cassandra. It ends with:\n{done.stdout[-2000:]}")
    draft.rename(_jars())


def _archive_classes(home: Path, program: Path) -> None:
    """Run a node once, and let its JVM write down the classes that it has loaded. Without them nodes start too."""
    archive, draft = home / "classes.jsa", home / "classes.draft"
    archive.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="regionkit-cassandra-") as place:
        data = Path(place)
        node = cassandra_settings.NodeSettings(
            "archive", "dc1", "127.0.0.1", ("127.0.0.1",), storage_port=free_port(), port=free_port(), token=0
        )
        cassandra_settings.write(data, node)
        words = [str(program), f"-XX:ArchiveClassesAtExit={draft}", *cassandra_settings.words(data)]
        with (data / "log").open("wb") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + _ARCHIVE_TIMEOUT
            while _LISTENS not in (data / "log").read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() > deadline:
                    tail = (data / "log").read_text(errors="replace")[-2000:]
                    raise InstallError(f"Cassandra did not start. Its log ends with:\n{tail}")
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            process.wait(_ARCHIVE_TIMEOUT)
        finally:
            process.kill()
            process.wait()
    if draft.exists():
        draft.rename(archive)


def main() -> int:
    """Install, or with --missing print the packages that installing would need."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Bring Cassandra here, for tests.")
    parser.add_argument("--missing", action="store_true", help="print the missing packages")
    if parser.parse_args().missing:
        print(*missing())
        return 0
    try:
        install()
    except InstallError as error:
        print(f"cassandra_install: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
