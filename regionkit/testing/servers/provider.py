"""Decides where a test's server comes from: a URL in the environment, Docker, this machine, or a wheel.

The first that has it wins; `REGIONKIT_TEST_PROVIDERS=url,docker,local,wheel` changes the order or leaves some out.
Wheels are looked into, never imported: importing one may start a server of its own.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from regionkit.testing.servers.places import within_reach

_ORDER = "url,docker,local,wheel"
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/bin", "/opt/homebrew/bin")


class ServerUnavailable(RuntimeError):
    """No provider has the server that was asked for; the message names the command that would provide it."""


@dataclass(frozen=True, slots=True)
class ServerKind:
    """What there is to know about finding one kind of server.

    Attributes:
        name: In functions and, in capitals, in environment variables.
        title: In messages.
        programs: The programs it needs; of each, the names it goes by.
        folders: Glob patterns of the folders that distributions put them in, beside PATH.
        wheel: Package and folder inside it, "package:folder", or nothing.
        together: Whether all programs must come from one folder, so that their versions match.
        tree: How many folders above the programs' own belong to them.
        package: What Debian and Ubuntu call it; nothing where they do not have it.
        formula: What Homebrew calls it.
        extra: The extra that brings the wheel.
        contained: Whether one node may run in a container.
        not_of: A word in what `--version` of the first program says where it is another server's, under the same name.
    """

    name: str
    title: str
    programs: tuple[tuple[str, ...], ...]
    folders: tuple[str, ...]
    wheel: str
    together: bool
    tree: int
    package: str
    formula: str
    extra: str = "servers"
    contained: bool = True
    not_of: str = ""


@dataclass(frozen=True, slots=True)
class Urls:
    """Servers that somebody else runs: the primary, then its replicas."""

    urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answers, with testcontainers to talk to it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Programs that the servers' account can execute, by the first of their names."""

    paths: Mapping[str, Path]


def variable(kind: ServerKind) -> str:
    """Return the name of the environment variable that gives URLs of this kind of server."""
    return f"REGIONKIT_TEST_{kind.name.upper()}_URL"


def resolve(kind: ServerKind, replicas: int) -> Urls | Engine | Programs:
    """Return where to get a server of `kind` with so many replicas.

    Raises:
        ServerUnavailable: Nothing has it.
        ValueError: `REGIONKIT_TEST_PROVIDERS` names an unknown provider.
    """
    for provider in _providers():
        found = _ask(provider, kind, replicas)
        if found is not None:
            return found
    raise ServerUnavailable(
        f"No {kind.title} was found by the providers {', '.join(_providers())}. "
        f"To have one, run: {install_command(kind)}"
    )


def install_command(kind: ServerKind) -> str:
    """Return the one command that provides this kind of server on this system."""
    if sys.platform == "darwin":
        return f"brew install {kind.formula}"
    if kind.package and shutil.which("apt-get"):
        return f"apt-get install {kind.package}"
    if kind.wheel:
        return f"pip install 'regionkit[{kind.extra}]'"
    return f"export {variable(kind)}=URL   # of a running {kind.title}"


def _providers() -> list[str]:
    names = [name.strip() for name in os.environ.get("REGIONKIT_TEST_PROVIDERS", _ORDER).split(",") if name.strip()]
    if unknown := set(names) - set(_ORDER.split(",")):
        raise ValueError(f"REGIONKIT_TEST_PROVIDERS names {', '.join(sorted(unknown))}; known are {_ORDER}")
    return names


def _ask(provider: str, kind: ServerKind, replicas: int) -> Urls | Engine | Programs | None:
    match provider:
        case "url":
            return _urls(kind, replicas)
        case "docker":  # one container is one node; replication between containers is not built here
            able = (
                kind.contained
                and replicas == 0
                and importlib.util.find_spec("testcontainers") is not None
                and docker_answers()
            )
            return Engine() if able else None
        case "local":
            return _find(kind, _local_folders(kind))
        case _:
            return _find(kind, _wheel_folders(kind))


def _urls(kind: ServerKind, replicas: int) -> Urls | None:
    given = tuple(url.strip() for url in os.environ.get(variable(kind), "").split(",") if url.strip())
    if not given:
        return None
    if len(given) < 1 + replicas:
        raise ServerUnavailable(
            f"{variable(kind)} names {len(given)} server(s), but the primary and {replicas} replica(s) are needed. "
            f"Add the replicas' URLs after a comma, or leave url out of REGIONKIT_TEST_PROVIDERS."
        )
    return Urls(given[: 1 + replicas])


@functools.cache
def docker_answers() -> bool:
    """Say whether a Docker engine answers a ping within 2 s; without DOCKER_HOST and socket file it costs nothing."""
    where = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        with _connect_engine(where.scheme, where.path, where.hostname, where.port) as engine:
            engine.settimeout(2)
            engine.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in engine.recv(64)
    except OSError:
        return False


def _connect_engine(scheme: str, path: str, host: str | None, port: int | None) -> socket.socket:
    if scheme != "unix":
        return socket.create_connection((host or "127.0.0.1", port or 2375), 2)
    if not Path(path).exists():
        raise FileNotFoundError(path)
    engine = socket.socket(socket.AF_UNIX)
    engine.settimeout(2)
    try:
        engine.connect(path)
    except OSError:
        engine.close()
        raise
    return engine


def _local_folders(kind: ServerKind) -> Iterator[Path]:
    yield from (Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder)
    for pattern in kind.folders:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), key=_by_version, reverse=True)
    yield from map(Path, _SYSTEM_FOLDERS)


def _by_version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _wheel_folders(kind: ServerKind) -> Iterator[Path]:
    package, _, folder = kind.wheel.partition(":")
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for root in spec.submodule_search_locations:
        yield Path(root) / folder.format(system=platform.system().lower(), machine=machine)


def _find(kind: ServerKind, folders: Iterator[Path]) -> Programs | None:
    places = list(folders)
    candidates = [[folder] for folder in places] if kind.together else [places]
    for candidate in candidates:
        found = {names[0]: _first(names, candidate) for names in kind.programs}
        present = {name: path for name, path in found.items() if path is not None}
        if len(present) == len(found) and not _is_anothers(kind, present[kind.programs[0][0]]):
            return Programs({name: within_reach(path, kind.tree) for name, path in present.items()})
    return None


def _is_anothers(kind: ServerKind, program: Path) -> bool:
    """Say whether a program that goes by the name is another server's: MariaDB brings a `mysqld` too."""
    return bool(kind.not_of) and kind.not_of in _version(program)


@functools.cache
def _version(program: Path) -> str:
    done = subprocess.run([program, "--version"], check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stdout


def _first(names: tuple[str, ...], folders: list[Path]) -> Path | None:
    for name in names:
        for folder in folders:
            if os.access(folder / name, os.X_OK):
                return folder / name
    return None
