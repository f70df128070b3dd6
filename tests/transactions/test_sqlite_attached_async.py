"""One SQLite branch over several files: what it refuses, and that what it lets pass is all or none."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from regionkit import Endpoint, Region, Role, SqlStore, Topology
from regionkit.backends.sql.bridge_async import create_async_engine
from regionkit.core.concurrency_async import asleep
from regionkit.errors import ConfigurationError, HeuristicOutcome, TransactionAborted, UsageError
from regionkit.kit_async import AsyncRegionKit
from regionkit.transactions import (
    AsyncMemoryParticipant,
    AsyncSqlDecisionLog,
    AsyncSqliteParticipant,
    AsyncTransactionManager,
)
from regionkit.transactions.participants.sqlite_files import MOST_ATTACHED, OpenFile, attaching, faults

from .participant_rigs_async import within

IS_ASYNC = True


class AsyncFiles:
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

    async def switch(self, name: str, mode: str) -> None:
        """As another process does it. SQLite does not wait here, and an acknowledgement to the log may be at work."""
        for _ in range(500):
            with closing(sqlite3.connect(self.folder / f"{name}.db")) as db, suppress(sqlite3.OperationalError):
                assert db.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode
                return
            await asleep(0.02)
        pytest.fail("it was never free")

    def ids(self, name: str) -> list[int]:
        """Rows there, as another process sees them."""
        with closing(sqlite3.connect(self.folder / f"{name}.db")) as db:
            return [row[0] for row in db.execute("SELECT id FROM moved ORDER BY id")]

    def engine(self) -> Any:
        url = f"sqlite+aiosqlite:///{self.folder}/main.db" if IS_ASYNC else f"sqlite:///{self.folder}/main.db"
        return create_async_engine(url)

    def participant(self, engine: Any = None, **attach: Any) -> Any:
        """On main.db; not opened."""
        if engine is None:
            engine = self.engine()
            self.made.append(engine)
        made = AsyncSqliteParticipant("files", engine, namespace="shop", attach=attach)
        self.made.append(made)
        return made

    async def manager(self, **attach: Any) -> tuple[Any, Any]:
        """Its anchor is the files; `other` prepares."""
        engine, other = self.engine(), AsyncMemoryParticipant("other")
        self.made.append(engine)
        participants = {"files": self.participant(engine, **attach), "other": other}
        tm = AsyncTransactionManager(namespace="shop", log=AsyncSqlDecisionLog(engine), participants=participants)
        self.made.append(tm)
        await tm.create_tables()
        return tm, other

    async def close(self) -> None:
        for made in reversed(self.made):
            await (made.close() if hasattr(made, "close") else made.dispose())


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[AsyncFiles]:
    """A folder with one file."""
    made = AsyncFiles(tmp_path)
    yield made
    await made.close()


async def write(tx: Any, id: int, *schemas: str) -> None:
    """A row in each, and one in the other participant."""
    db = await tx.session("files")
    for schema in schemas:
        await db.execute(text(f"INSERT INTO {schema}.moved VALUES ({id})"))
    (await tx.session("other"))[str(id)] = id


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist"])
async def test_all_files_commit_with_the_other_branches_or_none(files: AsyncFiles, mode: str) -> None:
    """A name that is quoted, and a path with a quote in it."""
    (files.folder / "it's").mkdir()
    odd = files.file("odd").rename(files.folder / "it's/o.db")
    tm, other = await files.manager(archive=files.file("archive", mode), order=odd)
    for id in (1, 2):
        async with tm.begin() as tx:
            await write(tx, id, "main", "archive", '"order"')
    with pytest.raises(LookupError):
        async with tm.begin() as tx:
            await write(tx, 3, "main", "archive", '"order"')
            raise LookupError
    assert files.ids("main") == files.ids("archive") == files.ids("it's/o") == [1, 2]
    assert set(other.data) == {"1", "2"}
    found = {finding.what for finding in await tm.doctor() if finding.subject == "files"}
    assert found == {
        "ANCHOR: one of its kind in a transaction, whose COMMIT over archive and order and its own file is the decision"
    }


async def test_a_branch_that_no_other_joins_commits_in_one_phase(files: AsyncFiles) -> None:
    """And one that only reads opens too."""
    tm, _ = await files.manager(archive=files.file("archive"))
    async with tm.begin() as tx:
        await (await tx.session("files")).execute(text("INSERT INTO archive.moved VALUES (1)"))
    async with tm.begin() as tx:
        db = await tx.session("files", read_only=True)
        assert (await db.execute(text("SELECT id FROM archive.moved"))).scalar_one() == 1


WAL: Any = [
    pytest.param(lambda f: f.switch("archive", "wal"), "schema 'archive'.*WAL mode", id="attached"),
    pytest.param(lambda f: f.switch("main", "wal"), "schema 'main'.*WAL mode", id="main"),
]


@pytest.mark.parametrize(("switch", "why"), WAL)
async def test_a_file_in_wal_mode_is_refused_at_open(
    files: AsyncFiles, switch: Callable[[Any], Awaitable[None]], why: str
) -> None:
    """Each such file commits by itself. Alone it may be."""
    archive = files.file("archive")
    await switch(files)
    with pytest.raises(ConfigurationError, match=why) as refused:
        await files.participant(archive=archive).open(within())
    assert "PRAGMA journal_mode = DELETE" in refused.value.fix
    assert (await files.participant().open(within())).guarantee == "ANCHOR"
    tm, _ = await files.manager(archive=archive)
    found = [(one.level, "WAL" in one.what) for one in await tm.doctor() if one.subject == "files"]
    assert found == [("refused", True)]


@pytest.mark.parametrize(("switch", "why"), WAL)
async def test_a_file_that_another_process_switches_to_wal_mode_later(
    files: AsyncFiles, switch: Callable[[Any], Awaitable[None]], why: str
) -> None:
    """After it was opened, and in the middle of a transaction before the first statement: nothing commits."""
    tm, other = await files.manager(archive=files.file("archive"))
    async with tm.begin() as tx:
        await write(tx, 1, "main", "archive")
    with pytest.raises(TransactionAborted, match=why) as aborted:
        async with tm.begin() as tx:
            await tx.session("files")
            await switch(files)
            await write(tx, 2, "main", "archive")
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
async def test_what_a_statement_inside_spoils_is_rolled_back(
    files: AsyncFiles, statement: str, why: str, deferred: bool
) -> None:
    """Also one that goes out with the COMMIT."""
    tm, other = await files.manager(archive=files.file("archive"))
    statement = statement.format(wal=files.file("wal", "wal"))
    with pytest.raises(TransactionAborted, match=why):
        async with tm.begin() as tx:
            if deferred:
                await tx.defer("files", statement)
            else:
                await (await tx.session("files")).execute(text(statement))
                await write(tx, 1, "main", "archive")
            (await tx.session("other"))["1"] = 1
    assert files.ids("main") == files.ids("archive") == []
    assert set(other.data) == set()


async def test_files_that_a_statement_attaches_count_too(files: AsyncFiles) -> None:
    """Where the participant has none: with a rollback journal they are part of the COMMIT, and the next branch has them not."""
    tm, _ = await files.manager()
    plain, wal = files.file("plain"), files.file("wal", "wal")
    async with tm.begin() as tx:
        await (await tx.session("files")).execute(text(f"ATTACH '{plain}' AS plain"))
        await write(tx, 1, "main", "plain")
    assert files.ids("main") == files.ids("plain") == [1]
    with pytest.raises(TransactionAborted, match="WAL mode"):
        async with tm.begin() as tx:
            await (await tx.session("files")).execute(text(f"ATTACH '{wal}' AS wal"))
            await write(tx, 2, "main", "wal")
    assert files.ids("main") == [1] and files.ids("wal") == []
    with pytest.raises(OperationalError, match="no such table"):
        async with tm.begin() as tx:
            await (await tx.session("files")).execute(text("SELECT * FROM plain_moved"))


async def test_a_deferred_statement_that_ends_the_transaction_is_no_commit(files: AsyncFiles) -> None:
    """The marker and the decision would commit one by one, and the other branch be rolled back."""
    tm, other = await files.manager()
    with pytest.raises(HeuristicOutcome, match="ended its transaction"):
        async with tm.begin() as tx:
            await tx.defer("files", "COMMIT")
            await write(tx, 1, "main")
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


async def test_a_file_that_is_not_there_is_not_made(files: AsyncFiles) -> None:
    """At open, and when it is gone later."""
    with pytest.raises(ConfigurationError, match="not there"):
        await files.participant(archive=files.folder / "none.db").open(within())
    archive = files.file("archive")
    tm, _ = await files.manager(archive=archive)
    async with tm.begin() as tx:
        await write(tx, 1, "archive")
    archive.unlink()
    with pytest.raises(ConfigurationError, match="not there"):
        async with tm.begin() as tx:
            await tx.session("files")
    assert not archive.exists() and not (files.folder / "none.db").exists()
    found = [(one.level, one.fix) for one in await tm.doctor() if one.subject == "files"]
    assert found == [("refused", "check the path; make the file, with its tables, first.")]


async def test_a_file_is_attached_once(files: AsyncFiles) -> None:
    """Nor as the main one, nor by another path to it."""
    archive = files.file("archive")
    linked, hard = files.folder / "linked.db", files.folder / "hard.db"
    linked.symlink_to(archive)
    os.link(archive, hard)
    with pytest.raises(ConfigurationError, match="twice"):
        files.participant(archive=archive, linked=linked)
    for attach in ({"archive": archive, "hard": hard}, {"mine": files.folder / "main.db"}):
        with pytest.raises(ConfigurationError, match="already"):
            await files.participant(**attach).open(within())


async def test_what_is_no_database_is_refused(files: AsyncFiles) -> None:
    """With SQLite's reason."""
    (files.folder / "text.db").write_text("no database" * 100)
    with pytest.raises(ConnectionError, match="could not be opened") as refused:
        await files.participant(text=files.folder / "text.db").open(within())
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
async def test_names_and_paths_that_cannot_be(files: AsyncFiles, attach: dict[str, str], why: str) -> None:
    """Refused before anything is opened."""
    with pytest.raises(ConfigurationError) as refused:
        files.participant(**attach)
    assert why in refused.value.fix


async def test_what_is_no_mapping_is_refused(files: AsyncFiles) -> None:
    """A list of paths has no schemas."""
    with pytest.raises(ConfigurationError, match="cannot attach") as refused:
        AsyncSqliteParticipant("files", files.engine(), namespace="shop", attach=["x.db"])  # type: ignore[arg-type]
    assert "by schema" in refused.value.fix


async def test_a_reader_of_one_file_puts_the_commit_off(files: AsyncFiles) -> None:
    """Nothing is committed in the other one either, and the same transaction may go well later."""
    archive = files.file("archive")
    tm, other = await files.manager(archive=archive)
    with closing(sqlite3.connect(archive, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM moved").fetchall()
        with pytest.raises(TransactionAborted, match="locked") as aborted:
            async with tm.begin(timeout=1.0) as tx:
                await write(tx, 1, "main", "archive")
        assert aborted.value.retryable
        assert (files.ids("main"), files.ids("archive"), other.data) == ([], [], {})
    async with tm.begin() as tx:
        await write(tx, 1, "main", "archive")
    assert files.ids("main") == files.ids("archive") == [1]


async def test_ten_files_are_attached(files: AsyncFiles) -> None:
    """As many as SQLite takes; one COMMIT for all."""
    attach = {f"a{n}": files.file(f"a{n}") for n in range(MOST_ATTACHED)}
    tm, _ = await files.manager(**attach)
    async with tm.begin() as tx:
        await write(tx, 1, "main", *attach)
    assert all(files.ids(name) == [1] for name in ("main", *attach))


async def test_a_second_branch_of_sqlite_is_told_the_way(files: AsyncFiles) -> None:
    """Two branches that cannot prepare are refused; files are attached."""
    engine, second = files.engine(), files.engine()
    second = create_async_engine(str(second.url).replace("main.db", "second.db"))
    files.file("second")
    files.made += [engine, second]
    tm = AsyncTransactionManager(
        namespace="shop", log=AsyncSqlDecisionLog(engine), participants={"one": engine, "two": second}
    )
    files.made.append(tm)
    await tm.create_tables()
    with pytest.raises(UsageError, match="cannot prepare") as refused:
        async with tm.begin() as tx:
            await tx.session("one")
            await tx.session("two")
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
async def test_files_that_are_not_flushed(
    files: AsyncFiles, monkeypatch: pytest.MonkeyPatch, level: str, unsafe: bool, found: str
) -> None:
    """With OFF a file has no part in the super-journal, whatever else the application takes upon itself."""
    spoiled = [f"PRAGMA archive.synchronous = {level}"]
    where = f"{AsyncSqliteParticipant.__module__}.attaching"
    monkeypatch.setattr(where, lambda *names: [*attaching(*names), *spoiled])
    made = files.participant(archive=files.file("archive"))
    made._unsafe = unsafe
    assert [one.level for one in await made.doctor(within())] == [found]
    if found == "refused":
        with pytest.raises(ConfigurationError, match="PRAGMA synchronous of"):
            await made.open(within())


@pytest.mark.parametrize("enforced", [True, False])
async def test_foreign_keys(files: AsyncFiles, enforced: bool) -> None:
    """Only where it was said; a deferred one fails at the COMMIT."""
    with closing(sqlite3.connect(files.folder / "main.db")) as db:
        db.execute(
            "CREATE TABLE line (id INTEGER PRIMARY KEY, moved_id REFERENCES moved DEFERRABLE INITIALLY DEFERRED)"
        )
    engine = files.engine()
    made = AsyncSqliteParticipant("files", engine, namespace="shop", foreign_keys=enforced)
    tm = AsyncTransactionManager(namespace="shop", log=AsyncSqlDecisionLog(engine), participants={"files": made})
    files.made += [engine, tm]
    await tm.create_tables()

    async def line() -> None:
        async with tm.begin() as tx:
            await (await tx.session("files")).execute(text("INSERT INTO line VALUES (1, 77)"))

    if enforced:
        with pytest.raises(TransactionAborted, match="FOREIGN KEY"):
            await line()
    else:
        await line()


async def test_the_marker_stands_in_the_main_file(files: AsyncFiles) -> None:
    """Also where an attached one has such a table, and a temporary one hides it."""
    archive = files.file("archive")
    with closing(sqlite3.connect(archive)) as db:
        db.execute("CREATE TABLE shop_rk_tpc_branch (log_id, gtrid, branch, state, at)")
    tm, _ = await files.manager(archive=archive)
    async with tm.begin() as tx:
        await (await tx.session("files")).execute(
            text("CREATE TEMP TABLE shop_rk_tpc_branch (log_id, gtrid, branch, state, at)")
        )
        await write(tx, 1, "main", "archive")
        gtrid = tx.gtrid
    with closing(sqlite3.connect(files.folder / "main.db")) as db:
        [table] = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%tpc_branch'")]
        assert db.execute(f"SELECT gtrid FROM {table}").fetchall() == [(gtrid,)]
    with closing(sqlite3.connect(archive)) as db:
        assert db.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]


async def test_no_other_branch_has_the_files(files: AsyncFiles) -> None:
    """In a kit branches of two managers are served by one pool: an unqualified name must not lead to another's file."""
    store = SqlStore("orders", endpoints=[Endpoint("here", Role.PRIMARY, f"sqlite:///{files.folder}/main.db")])
    archive = files.file("archive")
    async with AsyncRegionKit(Topology("shop", regions=[Region("here")], stores=[store]), local="here") as kit:
        await kit.create_tables()
        log = AsyncSqlDecisionLog(kit, store="orders")
        made = AsyncSqliteParticipant("orders", kit, namespace="shop", store="orders", attach={"archive": archive})
        async with AsyncTransactionManager(namespace="shop", log=log, participants={"orders": made}) as tm:
            await tm.create_tables()
            async with tm.begin() as tx:
                await (await tx.session("orders")).execute(text("INSERT INTO archive_moved VALUES (1)"))
            plain = {"plain": (kit, "orders")}
            async with AsyncTransactionManager(namespace="shop", log=log, participants=plain) as other:
                with pytest.raises(OperationalError, match="no such table: archive_moved"):
                    async with other.begin() as tx:
                        await (await tx.session("plain")).execute(text("SELECT * FROM archive_moved"))
