# Generated from test_sqlite_attached_async.py by scripts/twins.py. Do not edit.
"""One SQLite branch over several files: what it refuses, and that what it lets pass is all or none."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from regionkit import Endpoint, Region, Role, SqlStore, Topology
from regionkit.backends.sql.bridge import create_engine
from regionkit.core.concurrency import sleep
from regionkit.errors import ConfigurationError, HeuristicOutcome, TransactionAborted, UsageError
from regionkit.kit import RegionKit
from regionkit.transactions import (
    MemoryParticipant,
    SqlDecisionLog,
    SqliteParticipant,
    TransactionManager,
)
from regionkit.transactions.participants.sqlite_files import MOST_ATTACHED, OpenFile, attaching, faults

from .participant_rigs import within

IS_ASYNC = False


class Files:
    """A folder with `main.db`, and what is made over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Any] = []
        self.file("main")

    def file(self, name: str, mode: str = "delete") -> Path:
        """A file with an empty table `moved`."""
        path = self.folder / f"{name}.db"
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA journal_mode = {mode}")
            db.execute(f"CREATE TABLE {name}_moved (id INTEGER PRIMARY KEY)")
            db.execute("CREATE TABLE moved (id INTEGER PRIMARY KEY)")
        return path

    def switch(self, name: str, mode: str) -> None:
        """As another process does it. SQLite does not wait here, and an acknowledgement to the log may be at work."""
        for _ in range(500):
            with closing(sqlite3.connect(self.folder / f"{name}.db")) as db, suppress(sqlite3.OperationalError):
                assert db.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode
                return
            sleep(0.02)
        pytest.fail("it was never free")

    def ids(self, name: str) -> list[int]:
        """Rows there, as another process sees them."""
        with closing(sqlite3.connect(self.folder / f"{name}.db")) as db:
            return [row[0] for row in db.execute("SELECT id FROM moved ORDER BY id")]

    def engine(self) -> Any:
        url = f"sqlite+aiosqlite:///{self.folder}/main.db" if IS_ASYNC else f"sqlite:///{self.folder}/main.db"
        return create_engine(url)

    def participant(self, engine: Any = None, **attach: Any) -> Any:
        """On main.db; not opened."""
        if engine is None:
            engine = self.engine()
            self.made.append(engine)
        made = SqliteParticipant("files", engine, namespace="shop", attach=attach)
        self.made.append(made)
        return made

    def manager(self, **attach: Any) -> tuple[Any, Any]:
        """Its anchor is the files; `other` prepares."""
        engine, other = self.engine(), MemoryParticipant("other")
        self.made.append(engine)
        participants = {"files": self.participant(engine, **attach), "other": other}
        tm = TransactionManager(namespace="shop", log=SqlDecisionLog(engine), participants=participants)
        self.made.append(tm)
        tm.create_tables()
        return tm, other

    def close(self) -> None:
        for made in reversed(self.made):
            (made.close() if hasattr(made, "close") else made.dispose())


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    """A folder with one file."""
    made = Files(tmp_path)
    yield made
    made.close()


def write(tx: Any, id: int, *schemas: str) -> None:
    """A row in each, and one in the other participant."""
    db = tx.session("files")
    for schema in schemas:
        db.execute(text(f"INSERT INTO {schema}.moved VALUES ({id})"))
    (tx.session("other"))[str(id)] = id


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist"])
def test_all_files_commit_with_the_other_branches_or_none(files: Files, mode: str) -> None:
    """A name that is quoted, and a path with a quote in it."""
    (files.folder / "it's").mkdir()
    odd = files.file("odd").rename(files.folder / "it's/o.db")
    tm, other = files.manager(archive=files.file("archive", mode), order=odd)
    for id in (1, 2):
        with tm.begin() as tx:
            write(tx, id, "main", "archive", '"order"')
    with pytest.raises(LookupError):
        with tm.begin() as tx:
            write(tx, 3, "main", "archive", '"order"')
            raise LookupError
    assert files.ids("main") == files.ids("archive") == files.ids("it's/o") == [1, 2]
    assert set(other.data) == {"1", "2"}
    found = {finding.what for finding in tm.doctor() if finding.subject == "files"}
    assert found == {
        "ANCHOR: one of its kind in a transaction, whose COMMIT over archive and order and its own file is the decision"
    }


def test_a_branch_that_no_other_joins_commits_in_one_phase(files: Files) -> None:
    """And one that only reads opens too."""
    tm, _ = files.manager(archive=files.file("archive"))
    with tm.begin() as tx:
        (tx.session("files")).execute(text("INSERT INTO archive.moved VALUES (1)"))
    with tm.begin() as tx:
        db = tx.session("files", read_only=True)
        assert (db.execute(text("SELECT id FROM archive.moved"))).scalar_one() == 1


WAL: Any = [
    pytest.param(lambda f: f.switch("archive", "wal"), "schema 'archive'.*WAL mode", id="attached"),
    pytest.param(lambda f: f.switch("main", "wal"), "schema 'main'.*WAL mode", id="main"),
]


@pytest.mark.parametrize(("switch", "why"), WAL)
def test_a_file_in_wal_mode_is_refused_at_open(files: Files, switch: Callable[[Any], None], why: str) -> None:
    """Each such file commits by itself. Alone it may be."""
    archive = files.file("archive")
    switch(files)
    with pytest.raises(ConfigurationError, match=why) as refused:
        files.participant(archive=archive).open(within())
    assert "PRAGMA journal_mode = DELETE" in refused.value.fix
    assert (files.participant().open(within())).guarantee == "ANCHOR"
    tm, _ = files.manager(archive=archive)
    found = [(one.level, "WAL" in one.what) for one in tm.doctor() if one.subject == "files"]
    assert found == [("refused", True)]


@pytest.mark.parametrize(("switch", "why"), WAL)
def test_a_file_that_another_process_switches_to_wal_mode_later(
    files: Files, switch: Callable[[Any], None], why: str
) -> None:
    """After it was opened, and in the middle of a transaction before the first statement: nothing commits."""
    tm, other = files.manager(archive=files.file("archive"))
    with tm.begin() as tx:
        write(tx, 1, "main", "archive")
    with pytest.raises(TransactionAborted, match=why) as aborted:
        with tm.begin() as tx:
            tx.session("files")
            switch(files)
            write(tx, 2, "main", "archive")
    assert not aborted.value.retryable
    assert files.ids("main") == files.ids("archive") == [1]
    assert set(other.data) == {"1"}


SPOILED = [
    ("PRAGMA archive.journal_mode = MEMORY", "schema 'archive'.*not on disk .journal_mode memory"),
    ("PRAGMA main.journal_mode = MEMORY", "schema 'main'.*not on disk .journal_mode memory"),
    ("PRAGMA archive.journal_mode = OFF", "schema 'archive'.*not on disk .journal_mode off"),
    ("ATTACH '{wal}' AS wal", "schema 'wal'.*WAL mode"),
    ("ATTACH ':memory:' AS mine", "schema 'mine' is in no file"),
    ("ATTACH '' AS mine", "schema 'mine' is in no file"),
]


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize(("statement", "why"), SPOILED)
def test_what_a_statement_inside_spoils_is_rolled_back(files: Files, statement: str, why: str, deferred: bool) -> None:
    """Also one that goes out with the COMMIT."""
    tm, other = files.manager(archive=files.file("archive"))
    statement = statement.format(wal=files.file("wal", "wal"))
    with pytest.raises(TransactionAborted, match=why):
        with tm.begin() as tx:
            if deferred:
                tx.defer("files", statement)
            else:
                (tx.session("files")).execute(text(statement))
                write(tx, 1, "main", "archive")
            (tx.session("other"))["1"] = 1
    assert files.ids("main") == files.ids("archive") == []
    assert set(other.data) == set()


def test_files_that_a_statement_attaches_count_too(files: Files) -> None:
    """Where the participant has none: with a rollback journal they are part of the COMMIT, and the next branch has them not."""
    tm, _ = files.manager()
    plain, wal = files.file("plain"), files.file("wal", "wal")
    with tm.begin() as tx:
        (tx.session("files")).execute(text(f"ATTACH '{plain}' AS plain"))
        write(tx, 1, "main", "plain")
    assert files.ids("main") == files.ids("plain") == [1]
    with pytest.raises(TransactionAborted, match="WAL mode"):
        with tm.begin() as tx:
            (tx.session("files")).execute(text(f"ATTACH '{wal}' AS wal"))
            write(tx, 2, "main", "wal")
    assert files.ids("main") == [1] and files.ids("wal") == []
    with pytest.raises(OperationalError, match="no such table"):
        with tm.begin() as tx:
            (tx.session("files")).execute(text("SELECT * FROM plain_moved"))


def test_a_deferred_statement_that_ends_the_transaction_is_no_commit(files: Files) -> None:
    """The marker and the decision would commit one by one, and the other branch be rolled back."""
    tm, other = files.manager()
    with pytest.raises(HeuristicOutcome, match="ended its transaction"):
        with tm.begin() as tx:
            tx.defer("files", "COMMIT")
            write(tx, 1, "main")
            gtrid = tx.gtrid
    assert files.ids("main") == [1] and not other.data
    with closing(sqlite3.connect(files.folder / "main.db")) as db:
        assert db.execute("SELECT state FROM shop_rk_tpc_log WHERE gtrid = ?", (gtrid,)).fetchall() == [(2,)]
        assert db.execute("SELECT * FROM shop_rk_tpc_branch WHERE gtrid = ?", (gtrid,)).fetchall() == []


def test_what_keeps_a_commit_from_being_atomic() -> None:
    """Of one file only a journal that is not on disk, as far as this is asked for; of several, each one's."""
    fine = OpenFile("main", "/m.db", "delete", 2)
    other = fine._replace(schema="archive", path="/a.db")
    assert (
        faults([fine])
        == faults([fine, other])
        == faults([fine, other._replace(journal="persist", synchronous=1)])
        == []
    )
    assert faults([fine._replace(journal="wal", synchronous=0)]) == []
    assert len(faults([fine._replace(journal="memory")])) == len(faults([fine._replace(journal="off")])) == 1
    spoils: list[dict[str, Any]] = [
        {"journal": "wal"},
        {"journal": "memory"},
        {"journal": "off"},
        {"synchronous": 0},
        {"path": ""},
    ]
    for spoil in spoils:
        assert len(faults([fine._replace(**spoil), other])) == len(faults([fine, other._replace(**spoil)])) == 1, spoil


def test_a_file_that_is_not_there_is_not_made(files: Files) -> None:
    """At open, and when it is gone later."""
    with pytest.raises(ConfigurationError, match="not there"):
        files.participant(archive=files.folder / "none.db").open(within())
    archive = files.file("archive")
    tm, _ = files.manager(archive=archive)
    with tm.begin() as tx:
        write(tx, 1, "archive")
    archive.unlink()
    with pytest.raises(ConfigurationError, match="not there"):
        with tm.begin() as tx:
            tx.session("files")
    assert not archive.exists() and not (files.folder / "none.db").exists()
    found = [(one.level, one.fix) for one in tm.doctor() if one.subject == "files"]
    assert found == [("refused", "check the path; make the file, with its tables, first.")]


def test_a_file_is_attached_once(files: Files) -> None:
    """Nor as the main one, nor by another path to it."""
    archive = files.file("archive")
    linked, hard = files.folder / "linked.db", files.folder / "hard.db"
    linked.symlink_to(archive)
    os.link(archive, hard)
    with pytest.raises(ConfigurationError, match="twice"):
        files.participant(archive=archive, linked=linked)
    for attach in ({"archive": archive, "hard": hard}, {"mine": files.folder / "main.db"}):
        with pytest.raises(ConfigurationError, match="already"):
            files.participant(**attach).open(within())


def test_what_is_no_database_is_refused(files: Files) -> None:
    """With SQLite's reason."""
    (files.folder / "text.db").write_text("no database" * 100)
    with pytest.raises(ConnectionError, match="could not be opened") as refused:
        files.participant(text=files.folder / "text.db").open(within())
    assert "not a database" in refused.value.why and not refused.value.retryable  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attach", "why"),
    [
        ({"main": "x.db"}, "SQLite's own"),
        ({"TEMP": "x.db"}, "SQLite's own"),
        ({"a": "x.db", "A": "y.db"}, "tell a from A"),
        ({"a b": "x.db"}, "a letter"),
        ({'a"; --': "x.db"}, "a letter"),
        ({"a" * 64: "x.db"}, "63"),
        ({"a": ":memory:"}, "path of a file"),
        ({"a": ""}, "path of a file"),
        ({"a": "file:x.db?mode=memory"}, "path of a file"),
        ({"a": b"x.db"}, "as a str or a Path"),
        ({"a": "x\0.db"}, "as a str or a Path"),
        ({"a": None}, "as a str or a Path"),
        ({f"a{n}": f"{n}.db" for n in range(MOST_ATTACHED + 1)}, "at most 10"),
    ],
)
def test_names_and_paths_that_cannot_be(files: Files, attach: dict[str, str], why: str) -> None:
    """Refused before anything is opened."""
    with pytest.raises(ConfigurationError) as refused:
        files.participant(**attach)
    assert why in refused.value.fix


def test_what_is_no_mapping_is_refused(files: Files) -> None:
    """A list of paths has no schemas."""
    with pytest.raises(ConfigurationError, match="cannot attach") as refused:
        SqliteParticipant("files", files.engine(), namespace="shop", attach=["x.db"])  # type: ignore[arg-type]
    assert "by schema" in refused.value.fix


def test_a_reader_of_one_file_puts_the_commit_off(files: Files) -> None:
    """Nothing is committed in the other one either, and the same transaction may go well later."""
    archive = files.file("archive")
    tm, other = files.manager(archive=archive)
    with closing(sqlite3.connect(archive, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM moved").fetchall()
        with pytest.raises(TransactionAborted, match="locked") as aborted:
            with tm.begin(timeout=1.0) as tx:
                write(tx, 1, "main", "archive")
        assert aborted.value.retryable
        assert (files.ids("main"), files.ids("archive"), other.data) == ([], [], {})
    with tm.begin() as tx:
        write(tx, 1, "main", "archive")
    assert files.ids("main") == files.ids("archive") == [1]


def test_ten_files_are_attached(files: Files) -> None:
    """As many as SQLite takes; one COMMIT for all."""
    attach = {f"a{n}": files.file(f"a{n}") for n in range(MOST_ATTACHED)}
    tm, _ = files.manager(**attach)
    with tm.begin() as tx:
        write(tx, 1, "main", *attach)
    assert all(files.ids(name) == [1] for name in ("main", *attach))


def test_a_second_branch_of_sqlite_is_told_the_way(files: Files) -> None:
    """Two branches that cannot prepare are refused; files are attached."""
    engine, second = files.engine(), files.engine()
    second = create_engine(str(second.url).replace("main.db", "second.db"))
    files.file("second")
    files.made += [engine, second]
    tm = TransactionManager(namespace="shop", log=SqlDecisionLog(engine), participants={"one": engine, "two": second})
    files.made.append(tm)
    tm.create_tables()
    with pytest.raises(UsageError, match="cannot prepare") as refused:
        with tm.begin() as tx:
            tx.session("one")
            tx.session("two")
    assert "SqliteParticipant(name, engine, namespace=..., attach={schema: path})" in refused.value.fix


@pytest.mark.parametrize(
    ("level", "unsafe", "found"),
    [
        ("OFF", True, "refused"),
        ("OFF", False, "refused"),
        ("NORMAL", False, "refused"),
        ("NORMAL", True, "warning"),
        ("FULL", False, "ok"),
        ("EXTRA", False, "ok"),
    ],
)
def test_files_that_are_not_flushed(
    files: Files, monkeypatch: pytest.MonkeyPatch, level: str, unsafe: bool, found: str
) -> None:
    """With OFF a file has no part in the super-journal, whatever else the application takes upon itself."""
    spoiled = [f"PRAGMA archive.synchronous = {level}"]
    where = f"{SqliteParticipant.__module__}.attaching"
    monkeypatch.setattr(where, lambda *names: [*attaching(*names), *spoiled])
    made = files.participant(archive=files.file("archive"))
    made._unsafe = unsafe
    assert [one.level for one in made.doctor(within())] == [found]
    if found == "refused":
        with pytest.raises(ConfigurationError, match="PRAGMA synchronous of"):
            made.open(within())


@pytest.mark.parametrize("enforced", [True, False])
def test_foreign_keys(files: Files, enforced: bool) -> None:
    """Only where it was said; a deferred one fails at the COMMIT."""
    with closing(sqlite3.connect(files.folder / "main.db")) as db:
        db.execute(
            "CREATE TABLE line (id INTEGER PRIMARY KEY, moved_id REFERENCES moved DEFERRABLE INITIALLY DEFERRED)"
        )
    engine = files.engine()
    made = SqliteParticipant("files", engine, namespace="shop", foreign_keys=enforced)
    tm = TransactionManager(namespace="shop", log=SqlDecisionLog(engine), participants={"files": made})
    files.made += [engine, tm]
    tm.create_tables()

    def line() -> None:
        with tm.begin() as tx:
            (tx.session("files")).execute(text("INSERT INTO line VALUES (1, 77)"))

    if enforced:
        with pytest.raises(TransactionAborted, match="FOREIGN KEY"):
            line()
    else:
        line()


def test_the_marker_stands_in_the_main_file(files: Files) -> None:
    """Also where an attached one has such a table, and a temporary one hides it."""
    archive = files.file("archive")
    with closing(sqlite3.connect(archive)) as db:
        db.execute("CREATE TABLE shop_rk_tpc_branch (log_id, gtrid, branch, state, at)")
    tm, _ = files.manager(archive=archive)
    with tm.begin() as tx:
        (tx.session("files")).execute(text("CREATE TEMP TABLE shop_rk_tpc_branch (log_id, gtrid, branch, state, at)"))
        write(tx, 1, "main", "archive")
        gtrid = tx.gtrid
    with closing(sqlite3.connect(files.folder / "main.db")) as db:
        [table] = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%tpc_branch'")]
        assert db.execute(f"SELECT gtrid FROM {table}").fetchall() == [(gtrid,)]
    with closing(sqlite3.connect(archive)) as db:
        assert db.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]


def test_no_other_branch_has_the_files(files: Files) -> None:
    """In a kit branches of two managers are served by one pool: an unqualified name must not lead to another's file."""
    store = SqlStore("orders", endpoints=[Endpoint("here", Role.PRIMARY, f"sqlite:///{files.folder}/main.db")])
    archive = files.file("archive")
    with RegionKit(Topology("shop", regions=[Region("here")], stores=[store]), local="here") as kit:
        kit.create_tables()
        log = SqlDecisionLog(kit, store="orders")
        made = SqliteParticipant("orders", kit, namespace="shop", store="orders", attach={"archive": archive})
        with TransactionManager(namespace="shop", log=log, participants={"orders": made}) as tm:
            tm.create_tables()
            with tm.begin() as tx:
                (tx.session("orders")).execute(text("INSERT INTO archive_moved VALUES (1)"))
            plain = {"plain": (kit, "orders")}
            with TransactionManager(namespace="shop", log=log, participants=plain) as other:
                with pytest.raises(OperationalError, match="no such table: archive_moved"):
                    with other.begin() as tx:
                        (tx.session("plain")).execute(text("SELECT * FROM archive_moved"))
