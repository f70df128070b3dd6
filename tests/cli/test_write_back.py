"""`regionkit write-back`: over a Cache and an AsyncCache of an application, on a real Redis and SQLite."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine, text

from regionkit.caching import Cache
from regionkit.cli.command import main
from regionkit.cli.write_back import _key, _plain, _print

pytestmark = pytest.mark.redis

PATIENCE = 60.0
UUIDS = UUID(int=7)
APPLICATION = """
import os
from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from regionkit.caching import AsyncCache, AsyncSqlSink, Cache, Lazy, Shared, SqlSink, WriteBack

profiles = Table(
    "profiles",
    MetaData(),
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("rk_ver", BigInteger, nullable=False, server_default="0"),
)

url, file = {url!r}, "app.db"
attempts = int(os.environ.get("ATTEMPTS", "1"))

def strategy(sink):
    return WriteBack(sink=sink, durability="memory", ttl=300, attempts=attempts)

def threads():
    sink = SqlSink(create_engine(f"sqlite:///{{file}}"), profiles)
    return Cache({name!r}, dict, strategy=strategy(sink), tiers=[Shared(url, timeout=5.0)])

async def tasks():
    sink = AsyncSqlSink(create_async_engine(f"sqlite+aiosqlite:///{{file}}"), profiles)
    return AsyncCache({name!r}, dict, strategy=strategy(sink), tiers=[Shared(url, timeout=5.0)])

def lazy():
    return Cache("lazy", dict, strategy=Lazy(ttl=1))

cache = threads()
number = 7
"""


@dataclass
class App:
    """An application in a folder: the module `NAME`, its table, and a cache beside the command."""

    module: str
    cache: Cache[Any]
    engine: Any
    form: str

    @property
    def named(self) -> str:
        """As the command is told of it."""
        return f"{self.module}:{self.form}"

    def rows(self) -> list[tuple[str, str]]:
        """Of the table."""
        with self.engine.connect() as db:
            return [tuple(row) for row in db.execute(text("SELECT id, name FROM profiles ORDER BY id"))]

    def park(self, *keys: Any) -> None:
        """Values that the table refuses."""
        for key in keys:
            self.cache.put(key, {"name": None})
        assert self.cache.flush(timeout=PATIENCE).parked >= len(keys)


@pytest.fixture(params=["threads", "tasks"])
def app(request: pytest.FixtureRequest, redis_server: Any, tmp_path: Path, monkeypatch: Any) -> Iterator[App]:
    """Of either form."""
    monkeypatch.chdir(tmp_path)
    module, url = f"app_{os.urandom(6).hex()}", redis_server.primary.url
    (tmp_path / f"{module}.py").write_text(APPLICATION.format(name=f"w{os.urandom(6).hex()}", url=url))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    engine = create_engine("sqlite:///app.db")
    made: Any = __import__(module)
    made.profiles.metadata.create_all(engine)
    with made.threads() as cache:
        cache.create_tables()
        yield App(module, cache, engine, request.param)
    made.cache.close()
    engine.dispose()
    sys.modules.pop(module, None)


def told(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> Any:
    """What a command prints as JSON; its exit code is `code`."""
    assert main(["write-back", *words, "--json"]) == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def printed(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """What it prints as text."""
    assert main(["write-back", *words]) == code, capsys.readouterr()
    return capsys.readouterr().out


def started(app: App, *words: str, **environment: str) -> subprocess.Popen[str]:
    """The command in a process of its own, once it flushes."""
    command = [sys.executable, "-m", "regionkit.cli", "write-back", "run", app.named, *words]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "flushing" in line, line + process.stderr.read()
    return process


def until(holds: Callable[[], Any]) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_run_once_writes_what_is_dirty(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """And ends, with exit code 0, also when there is nothing to do."""
    for key in "ab":
        app.cache.put(key, {"name": key})
    assert told(capsys, 0, "run", app.named, "--once", "--drain", "60") == {"clean": True, "dirty": 0, "parked": 0}
    assert app.rows() == [("a", "a"), ("b", "b")]
    assert printed(capsys, 0, "run", app.named, "--once") == "0 dirty, 0 parked\n"


def test_run_once_says_when_something_is_left(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1: here a value that the table refuses, and that is to be tried again when the time is over."""
    sys.modules[app.module].attempts = 9
    app.cache.put("a", {"name": None})
    found = told(capsys, 1, "run", app.named, "--once", "--drain", "0.01")
    assert found == {"clean": False, "dirty": 1, "parked": 0}
    assert printed(capsys, 1, "run", app.named, "--once", "--drain", "0.01") == "1 dirty, 0 parked\n"


def test_run_says_when_the_table_does_not_answer(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and what is dirty stays in the buffer."""
    app.cache.put("a", {"name": "ada"})
    sys.modules[app.module].file = "nowhere/app.db"
    assert main(["write-back", "run", app.named, "--once", "--drain", "0.2"]) == 1
    out, error = capsys.readouterr()
    assert (out, "the sink of cache" in error) == ("", True), error
    assert app.cache.dirty() == ["a"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_drains_when_it_is_told_to_end(app: App, number: signal.Signals) -> None:
    """What it wrote before counts, and what was put in the last moment is written too."""
    process = started(app, "--json", "--drain", "60")
    try:
        app.cache.put("a", {"name": "ada"})
        until(lambda: app.rows() == [("a", "ada")])
        app.cache.put("b", {"name": "bob"})
        process.send_signal(number)
        out, error = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, error
    assert json.loads(out) == {"flushed": 2, "parked": 0, "clean": True}
    assert app.rows() == [("a", "ada"), ("b", "bob")]


def test_run_without_time_to_drain_leaves_what_is_dirty(app: App) -> None:
    """Exit code 1; it stays in the buffer. Here it is a value that the table refuses, and that is tried again for long."""
    process = started(app, "--drain", "0", ATTEMPTS="9")
    try:
        app.cache.put("a", {"name": None})
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (1, "0 written\n"), error
    assert app.cache.dirty() == ["a"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(float("nan"), None), ({1: b"x"}, {"1": "eA=="}), ({(1, 2): 3}, "{(1, 2): 3}"), ([1j], ["1j"])],
)
def test_any_value_is_printed_as_json(capsys: pytest.CaptureFixture[str], value: Any, shown: Any) -> None:
    """Which other programs read: strictly, without NaN."""

    def refused(word: str) -> None:
        raise AssertionError(word)

    _print({"value": _plain(value)}, Namespace(json=True), "")
    assert json.loads(capsys.readouterr().out, parse_constant=refused) == {"value": shown}


def test_list_says_how_the_buffer_stands(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys as `retry` takes them; values only where they are asked for; exit code 1 while anything is parked."""
    assert told(capsys, 0, "list", app.named) == {
        "dirty": 0,
        "parked": 0,
        "bytes": 0,
        "oldest": 0.0,
        "flusher": 0.0,
        "entries": 0,
        "parked_keys": [],
    }
    app.park("a")
    app.cache.put("b", {"name": "bob"})
    [one] = told(capsys, 1, "list", app.named)["parked_keys"]
    assert (one["key"], one["deleted"], "value" in one) == ("'a'", False, False)
    assert "NOT NULL" in one["reason"]
    found = told(capsys, 1, "list", app.named, "--dirty", "--values")
    assert (found["dirty_keys"], found["parked_keys"][0]["value"]) == (["'b'"], {"name": None})
    none = told(capsys, 1, "list", app.named, "--dirty", "--limit", "0")
    assert (none["dirty_keys"], none["parked_keys"]) == ([], [])
    lines = printed(capsys, 1, "list", app.named, "--dirty").splitlines()
    assert lines[0].startswith("1 dirty for up to ") and "1 parked" in lines[0]
    assert [line.split()[:2] for line in lines if line.startswith(("parked", "dirty"))] == [
        ["parked", "'a'"],
        ["dirty", "'b'"],
    ]


def test_list_has_a_limit(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers count all."""
    app.park("a", "b", "c")
    found = told(capsys, 1, "list", app.named, "--limit", "2")
    assert (found["parked"], len(found["parked_keys"])) == (3, 2)


def test_retry_has_a_parked_value_written(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """One, all of them, or none: that is exit code 1 where a key is named."""
    app.park("a", "1", "it's")
    assert told(capsys, 0, "retry", app.named, "'a'") == {"retried": 1}
    assert told(capsys, 1, "retry", app.named, "'a'") == {"retried": 0}  # it is dirty now
    assert told(capsys, 0, "retry", app.named, "'1'") == {"retried": 1}
    assert printed(capsys, 0, "retry", app.named) == "1 will be tried again\n"
    assert told(capsys, 0, "retry", app.named) == {"retried": 0}
    assert app.cache.buffer().parked == 0


def test_discard_forgets_a_parked_value(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """By its key as it is printed, or as plain text; exit code 1 where nothing is parked."""
    app.park("a", "b")
    assert told(capsys, 0, "discard", app.named, "'a'") == {"discarded": True}
    assert told(capsys, 1, "discard", app.named, "'a'") == {"discarded": False}
    assert printed(capsys, 0, "discard", app.named, "b") == "discarded\n"
    assert printed(capsys, 1, "discard", app.named, "b") == "nothing is parked there\n"
    assert (app.cache.get("a"), app.cache.buffer().parked) == (None, 0)


@pytest.mark.parametrize("action", ["run", "list", "retry", "discard"])
def test_what_is_no_cache_is_refused(app: App, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name, with exit code 2 and nothing on stdout."""
    rest = ["x"] if action == "discard" else []
    for named in ("nowhere:cache", f"{app.module}:nothing", app.module, f"{app.module}:number", f"{app.module}:lazy"):
        assert main(["write-back", action, named, *rest]) == 2
        out, error = capsys.readouterr()
        assert (out, named in error) == ("", True)


@pytest.mark.parametrize("words", [["--once"], []])
def test_a_time_that_is_none_is_refused(app: App, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2."""
    assert main(["write-back", "run", app.named, *words, "--drain", "-1"]) == 2
    assert "-1" in capsys.readouterr().err


def test_a_cache_itself_may_be_named(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """Not only a function that makes it."""
    app.cache.put("a", {"name": "ada"})
    assert told(capsys, 0, "run", f"{app.module}:cache", "--once", "--drain", "60")["clean"]
    assert app.rows() == [("a", "ada")]


def test_a_server_that_does_not_answer_is_an_error_without_a_traceback(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and nothing on stdout."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setattr(sys.modules[app.module], "url", f"redis://127.0.0.1:{nobody.getsockname()[1]}")
        for words in (["list"], ["run", "--once", "--drain", "1"], ["retry"], ["discard", "a"]):
            assert main(["write-back", words[0], app.named, *words[1:]]) == 1
            out, error = capsys.readouterr()
            assert (out, "does not answer" in " ".join(error.split())) == ("", True), error


@pytest.mark.parametrize(
    "key", ["a", "42", "it's", 42, -7, b"\x00a", UUIDS, (UUIDS, 1), ("eu", "42", b"x"), ((1, UUIDS),)]
)
def test_a_key_that_was_printed_is_that_key(key: Any) -> None:
    """Of each type, and in tuples."""
    assert _key(repr(key)) == key
    assert type(_key(repr(key))) is type(key)


@pytest.mark.parametrize("text", ["ada", "UUID(", "UUID()", "UUID(5)", "UUID('no')", "True", "1.5", "f(1)", "(a, 1)"])
def test_what_is_no_literal_is_the_text(text: str) -> None:
    """As it was typed."""
    assert _key(text) == text
