"""Traps of XA, each run on a real MariaDB and a real MySQL."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from regionkit.backends.sql.bridge_async import adrive
from regionkit.core.concurrency_async import agather, asleep
from regionkit.errors import ConfigurationError, TransactionAborted
from regionkit.testing import FaultProxy
from regionkit.transactions.participants.factory_async import participant_of
from regionkit.transactions.participants.mariadb_words import MARIADB
from regionkit.transactions.participants.mysql_words import MYSQL
from regionkit.transactions.participants.xa_words import Look, XaWords
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid

from .participant_contract_async import AsyncSqlContract
from .participant_rigs_async import NAMESPACE, AsyncParticipantRig, within

WORDS: dict[str, XaWords] = {"mariadb": MARIADB, "mysql": MYSQL}


@pytest.fixture(params=WORDS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncParticipantRig]:
    """An empty database of a server without replicas."""
    made = AsyncParticipantRig.of(request, request.param, tmp_path)
    yield made
    await made.close()


class TestBesideReplicas(AsyncSqlContract):
    """It is the anchor, or alone."""

    @pytest.fixture(params=WORDS)
    async def rig(self, request: pytest.FixtureRequest) -> AsyncIterator[AsyncParticipantRig]:
        """A database of a server with two replicas."""
        given = request.getfixturevalue(request.param)
        made = AsyncParticipantRig(request.param, given.primary.url_for(given.database()))
        rights = granted(given, "XA_RECOVER_ADMIN") if request.param == "mysql" else contextlib.nullcontext()
        with rights:
            yield made
            await made.close()

    async def test_it_prepares_only_where_that_is_asked_for(self, rig: AsyncParticipantRig) -> None:
        """XA and a crash would break its replicas."""
        bank = await rig.participant()
        facts = await bank.open(within())
        assert (facts.prepares, facts.guarantee) == (False, "ANCHOR")
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        assert (await branch.prepare(within())).vote is Vote.NO
        await branch.close()
        assert number not in rig.accounts
        [said] = [one.what for one in await bank.doctor(within()) if "ANCHOR" in one.what]
        assert said.startswith("it has replicas" if rig.kind == "mariadb" else "it writes a binary log")
        unsafe = await rig.participant(unsafe_replicated_xa=True)  # of a MySQL before 8.0.30 nobody can ask for it
        version = rig.sql("SELECT VERSION()")[0][0]
        safe = rig.kind == "mariadb" or tuple(map(int, version.partition("-")[0].split("."))) >= (8, 0, 30)
        assert (await unsafe.open(within())).guarantee == ("XA" if safe else "ANCHOR")

    async def test_it_knows_where_its_commit_stands(self, rig: AsyncParticipantRig) -> None:
        """By its binary log: nothing less than what a replica has then."""
        branch = await rig.branch(await rig.participant())
        await rig.add(branch)
        assert (await branch.commit_one_phase([], within())).winner is Decision.COMMIT
        found: Any = await branch.position()
        newest = found.upto[0][1] if rig.kind == "mysql" else found[0][2]
        assert newest > 0
        await branch.close()


@contextlib.contextmanager
def granted(servers: Any, right: str, *, given: bool = True) -> Iterator[None]:
    """MySQL's ordinary account may do more for a while; or less."""
    words = [("GRANT", "TO"), ("REVOKE", "FROM")]
    for verb, of in words if given else reversed(words):
        servers.primary.sql(f"{verb} {right} ON *.* {of} app@'{servers._app_host}'")
        if (verb == "GRANT") is given:
            yield


def connected(url: str) -> Any:
    """A session of somebody else's."""
    parsed = sqlalchemy.make_url(url)
    return pymysql.connect(
        host=parsed.host, port=parsed.port or 0, user=parsed.username, password=str(parsed.password or ""),
        database=parsed.database, autocommit=True,
    )  # fmt: skip


def say(session: Any, *texts: str) -> list[Any]:
    """Send statements; the rows of the last."""
    with session.cursor() as cursor:
        for one in texts:
            cursor.execute(one)
        return list(cursor.fetchall())


def prepare_by_hand(session: Any, xid: Xid, *work: str) -> None:
    """A branch without a lock of its name, and without a marker."""
    say(session, f"XA START {xid.xa}", *work, f"XA END {xid.xa}", f"XA PREPARE {xid.xa}")


async def run(branch: Any, *texts: str) -> None:
    """On the driver's own cursor, which SQLAlchemy does not see."""

    def by_cursor(connection: Any) -> None:
        for one in texts:
            connection.connection.cursor().execute(one)

    connection = await branch.connection()
    await adrive(by_cursor, getattr(connection, "sync_connection", connection))


# -- 1397, and who is killed


async def test_a_branch_that_a_frozen_session_holds_is_freed_by_killing_that_session(
    rig: AsyncParticipantRig,
) -> None:
    """1397 is not done: the row is there only once its owner is gone; nobody else is."""
    with FaultProxy(rig.url) as proxy:
        other = await rig.participant()
        frozen = await rig.participant(proxy.url)
        branch = await rig.branch(frozen)
        number = await rig.add(branch)
        assert (await branch.prepare(within())).vote is Vote.YES
        innocent = await rig.branch(other)
        await rig.add(innocent)
        proxy.freeze()
        [listed] = await other.listed(within())
        assert await other.finish(listed, True, within()) is Finish.DONE
        assert number in rig.accounts
        assert await other.evidence(branch.xid, within()) is Evidence.COMMITTED
        assert (await innocent.prepare(within())).vote is Vote.YES
        assert await innocent.finish(True, within()) is Finish.DONE
        proxy.heal()
        assert await branch.finish(True, within()) in (Finish.UNREACHED, Finish.UNKNOWN)
        for one in (branch, innocent):
            await one.close()


async def test_a_session_without_the_lock_is_never_killed(rig: AsyncParticipantRig) -> None:
    """It is waited for."""
    bank = await rig.participant()
    stranger, xid = connected(rig.url), rig.xid()
    prepare_by_hand(stranger, xid, rig.adding(601))
    [listed] = await bank.listed(within())
    assert await bank.finish(listed, False, within()) is Finish.BUSY
    assert say(stranger, f"XA COMMIT {xid.xa}", "SELECT 1") == [(1,)]
    stranger.close()
    assert await bank.finish(listed, False, within()) is Finish.UNKNOWN
    assert 601 in rig.accounts


@pytest.mark.parametrize("kind", WORDS)
async def test_a_crash_between_the_phases(kind: str, request: pytest.FixtureRequest) -> None:
    """What was prepared is there, ids of connections repeat, and sessions that have them now are left alone."""
    made = request.getfixturevalue(f"own_{kind}")(**({"settings": ("disable-log-bin",)} if kind == "mysql" else {}))
    server = made.primary
    if kind == "mysql":
        server.sql(f"GRANT XA_RECOVER_ADMIN ON *.* TO app@'{made._app_host}'")
    rig = AsyncParticipantRig(kind, server.url_for("shop"))
    bank = await rig.participant()
    branches = [await rig.branch(bank) for _ in range(2)]
    numbers = [await rig.add(branch) for branch in branches]
    for branch in branches:
        assert (await branch.prepare(within())).vote is Vote.YES
    server.kill()
    assert await branches[0].finish(True, within(1.0)) is Finish.UNREACHED
    server.start()
    rig.outside.dispose()
    innocents = [connected(rig.url) for _ in range(12)]
    other = await rig.participant()
    for listed in await other.listed(within()):
        assert await other.finish(listed, listed.xid == branches[0].xid, within()) is Finish.DONE
    assert rig.accounts == {numbers[0]}
    assert all(say(one, "SELECT 1") == [(1,)] for one in innocents)
    assert await branches[0].finish(True, within()) is Finish.UNKNOWN
    for one in innocents:
        one.close()
    for branch in branches:
        await branch.close()
    await rig.close()


async def test_a_name_that_is_taken_never_ends_a_strangers_branch(rig: AsyncParticipantRig) -> None:
    """1440: while a session has it, and once it is prepared and left; the second one does nothing at all."""
    bank, other = await rig.participant(), await rig.participant()
    branch = await rig.branch(bank)
    number = await rig.add(branch)
    for left in (False, True):
        if left:
            assert (await branch.prepare(within())).vote is Vote.YES
            await branch.close()
        second = await rig.branch(other, branch.xid)
        with pytest.raises(DBAPIError):
            await second.session().execute(text(rig.adding(602)))
        with pytest.raises(TransactionAborted):
            await second.session().execute(text(rig.adding(602)))
        assert (await second.prepare(within())).vote is Vote.NO
        assert await second.finish(False, within()) is Finish.DONE
        await second.close()
    [listed] = await other.listed(within())
    assert await other.finish(listed, True, within()) is Finish.DONE
    assert rig.accounts == {number}


async def test_only_its_own_are_listed(rig: AsyncParticipantRig) -> None:
    """Not another namespace's, participant's or program's, whatever bytes they have."""
    bank = await rig.participant()
    mine = rig.xid()
    others = [
        Xid("shop_eu", mine.log, mine.gtrid, "bank", 0).xa,
        rig.xid("till").xa,
        f"'{NAMESPACE}.{mine.log}','bank.0',5393201",
        "0xff00,0x2722,7",
        rig.xid().xa.rpartition(",")[0] + ",7",
    ]
    sessions = [connected(rig.url) for _ in (mine, *others)]
    for session, xa in zip(sessions, (mine.xa, *others), strict=True):
        say(session, f"XA START {xa}", "SELECT 1", rig.adding(), f"XA END {xa}", f"XA PREPARE {xa}")
    assert [one.xid for one in await bank.listed(within())] == [mine]
    for session, xa in zip(sessions, (mine.xa, *others), strict=True):
        say(session, f"XA ROLLBACK {xa}")
        session.close()


# -- answers that are lost


async def test_lost_answers(rig: AsyncParticipantRig) -> None:
    """Of PREPARE: it is ended all the same. Of XA COMMIT: its marker says that it was done."""
    with FaultProxy(rig.url) as proxy:
        other = await rig.participant()
        bank = await rig.participant(proxy.url)
        branch = await rig.branch(bank)
        await rig.add(branch)
        proxy.drop_replies()
        assert (await branch.prepare(within())).vote is Vote.UNANSWERED
        proxy.heal()
        assert await branch.finish(False, within()) in (Finish.DONE, Finish.UNKNOWN)
        await branch.close()
        assert await other.listed(within()) == []
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        assert (await branch.prepare(within())).vote is Vote.YES
        proxy.drop_replies()
        assert await branch.finish(True, within()) is Finish.UNREACHED
        proxy.heal()
        assert await branch.finish(True, within()) in (
            Finish.UNKNOWN,
            Finish.DONE,
        )  # the first may not have been read yet
        await branch.close()
        assert await other.evidence(branch.xid, within()) is Evidence.COMMITTED
        assert rig.accounts == {number}
        for _ in range(10):  # the proxy resets the connection at a reply, at times before the COMMIT was sent behind it
            branch = await rig.branch(bank)
            number = await rig.add(branch)
            proxy.drop_replies()
            assert (await branch.commit_one_phase([], within())).winner is None
            end = time.monotonic() + 2
            while number not in rig.accounts and time.monotonic() < end:  # else the tombstone may come first
                await asleep(0.05)
            proxy.heal()
            await branch.close()
            if number in rig.accounts:
                break
        assert await other.bar(branch.xid, within()) is Evidence.COMMITTED


@pytest.mark.parametrize("how", ["KILL QUERY", "max_statement_time"])
async def test_an_error_that_leaves_it_open_is_no_answer(how: str, rig: AsyncParticipantRig) -> None:
    """Either may strike at the last statement too: the connection is closed, and it is asked again."""
    if how != "KILL QUERY" and rig.kind == "mysql":
        pytest.skip("its own limit ends reads only")
    bank = await rig.participant()
    rig.sql(rig.adding(960))
    waits = "UPDATE bank SET total = 1 WHERE id = 960"
    limited = "SET STATEMENT max_statement_time = 0.2 FOR SELECT SLEEP(60) FROM information_schema.ENGINES"
    holder, killer = connected(rig.url), connected(rig.url)
    say(holder, "BEGIN", "UPDATE bank SET total = 0 WHERE id = 960")

    async def kill() -> None:
        found: list[Any] = []
        while not found:
            await asleep(0.02)
            found = say(
                killer, "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE bank SET total = 1%'"
            )
        say(killer, f"KILL QUERY {found[0][0]}")

    for one_phase in (False, True):
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        branch.defer(waits if how == "KILL QUERY" else limited)
        ends = functools.partial(branch.commit_one_phase, []) if one_phase else branch.prepare
        told = await agather([functools.partial(ends, within()), *([kill] if how == "KILL QUERY" else [])])
        if one_phase:
            assert told[0].winner is None
            await branch.close()
            assert await bank.bar(branch.xid, within()) is Evidence.BARRED
        else:
            assert told[0].vote is Vote.UNANSWERED
            assert await branch.finish(False, within()) in (Finish.DONE, Finish.UNKNOWN)
            await branch.close()
        assert number not in rig.accounts
    assert await bank.listed(within()) == []
    for session in (holder, killer):
        session.close()


# -- what happens inside


@pytest.mark.parametrize("anchor", [False, True])
async def test_a_transaction_that_was_ended_inside_leaves_no_marker(anchor: bool, rig: AsyncParticipantRig) -> None:
    """Even where this side saw nothing of it: the server refuses."""
    bank = await rig.participant()
    branch = await rig.branch(bank, anchor=anchor)
    await rig.add(branch)
    xa = branch.xid.xa
    await run(branch, *(("ROLLBACK", "BEGIN") if anchor else (f"XA END {xa}", f"XA ROLLBACK {xa}")))
    branch._link._state.doomed = ""
    branch._link._driver.ended = branch._link._driver.implicit = False
    answered = await (branch.commit_one_phase([], within()) if anchor else branch.prepare(within()))
    assert answered.winner is Decision.ABORT
    assert "SAVEPOINT" in answered.why
    assert "may be committed" in branch.torn
    await branch.close()
    assert await bank.evidence(branch.xid, within()) is Evidence.NONE
    assert rig.accounts == set()


async def test_an_error_on_the_drivers_cursor_dooms(rig: AsyncParticipantRig) -> None:
    """MariaDB would commit what is left, and SQLAlchemy has not seen it. One in SQLAlchemy's own savepoint is contained."""
    bank = await rig.participant()
    branch = await rig.branch(bank)
    number = await rig.add(branch)
    with pytest.raises(DBAPIError):
        async with branch.session().begin_nested():
            await branch.session().execute(text(rig.adding(number)))
    assert branch.doomed == ""
    with pytest.raises(Exception, match="1062"):
        await run(branch, rig.adding(number))
    assert branch.doomed
    assert (await branch.prepare(within())).vote is Vote.NO
    await branch.close()
    assert rig.accounts == set()


async def test_a_deadlock_dooms(rig: AsyncParticipantRig) -> None:
    """All of one branch is gone, and it votes NO; the other one goes on."""
    bank = await rig.participant()
    rig.sql(rig.adding(1))
    rig.sql(rig.adding(2))
    branches = [await rig.branch(bank) for _ in range(2)]
    change = "UPDATE bank SET total = total + 1 WHERE id = {}"
    for branch, id in zip(branches, (1, 2), strict=True):
        await branch.session().execute(text(change.format(id)))

    async def cross(branch: Any, id: int) -> bool:
        try:
            async with branch.session().begin_nested():
                await branch.session().execute(text(change.format(id)))
        except Exception:
            return False
        return True

    went = await agather([lambda: cross(branches[0], 2), lambda: cross(branches[1], 1)])
    assert sorted(went) == [False, True]
    votes = [(await branch.prepare(within())).vote for branch in branches]
    assert votes == [Vote.YES if well else Vote.NO for well in went]
    assert [branch.torn for branch in branches] == ["", ""]
    for branch in branches:
        await branch.finish(False, within())
        await branch.close()
    assert await bank.listed(within()) == []


@pytest.mark.parametrize("deferred", [False, True])
async def test_a_lock_that_is_waited_for_too_long_dooms(deferred: bool, rig: AsyncParticipantRig) -> None:
    """MariaDB undoes one statement only, and would prepare the rest. The branch's own limit counts, and may go well again."""
    bank = await rig.participant()
    rig.sql(rig.adding(999))
    holder = connected(rig.url)
    say(holder, "BEGIN", "UPDATE bank SET total = 0 WHERE id = 999")
    branch = await rig.branch(bank, lock_timeout=1.0)
    number = await rig.add(branch)
    change = "UPDATE bank SET total = 1 WHERE id = 999"
    if deferred:
        branch.defer(change)
    else:
        with pytest.raises(DBAPIError, match="1205"):
            await branch.session().execute(text(change))
        assert "1205" in branch.doomed
    answered = await branch.prepare(within())
    assert (answered.vote, answered.retryable) == (Vote.NO, True)
    assert "1205" in answered.why
    await branch.close()
    holder.close()
    assert number not in rig.accounts
    assert await bank.listed(within()) == []


@pytest.mark.parametrize("statement", ["CREATE TABLE other (id INT)", "COMMIT", "BEGIN", "LOCK TABLES bank WRITE"])
async def test_what_would_commit_inside_is_refused_and_dooms(statement: str, rig: AsyncParticipantRig) -> None:
    """1399."""
    bank = await rig.participant()
    branch = await rig.branch(bank)
    number = await rig.add(branch)
    with pytest.raises(DBAPIError, match="1399"):
        await branch.session().execute(text(statement))
    assert (await branch.prepare(within())).vote is Vote.NO
    await branch.close()
    assert number not in rig.accounts
    assert rig.sql("SHOW TABLES LIKE 'other'") == []


@pytest.mark.parametrize(
    "statement",
    ["SET autocommit = 0", "USE information_schema", "SET sql_mode = 'ANSI_QUOTES'", "SELECT GET_LOCK('mine', 0)"],
)
async def test_what_the_user_sets_does_not_reach_the_end_or_the_next_branch(
    statement: str, rig: AsyncParticipantRig
) -> None:
    """The marker stands in its own database, XA COMMIT goes through (1400 elsewhere), and the connection is not kept."""
    bank = await rig.participant()
    ids = []
    for _ in range(2):
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        ids.append((await branch.session().execute(text("SELECT CONNECTION_ID()"))).scalar_one())
        await branch.session().execute(text(statement))
        assert (await branch.prepare(within())).vote is Vote.YES
        assert await branch.finish(True, within()) is Finish.DONE
        await branch.close()
        assert await bank.evidence(branch.xid, within()) is Evidence.COMMITTED
        assert number in rig.accounts
    assert ids[0] != ids[1]


async def test_a_branch_leaves_its_connection_to_the_next(rig: AsyncParticipantRig) -> None:
    """Without the lock of its name; and it knows its position."""
    bank = await rig.participant()
    ids = []
    for end in ("commit", "roll back", "one phase", "anchor"):
        branch = await rig.branch(bank, anchor=end == "anchor")
        await rig.add(branch)
        ids.append((await branch.session().execute(text("SELECT CONNECTION_ID()"))).scalar_one())
        if end == "commit":
            assert (await branch.prepare(within())).vote is Vote.YES
        if end in ("commit", "roll back"):
            assert await branch.finish(end == "commit", within()) is Finish.DONE
        else:
            assert (await branch.commit_one_phase([], within())).winner is Decision.COMMIT
        assert await branch.position() or rig.kind == "mysql"  # without a binary log
        assert rig.sql(f"SELECT IS_USED_LOCK('rk:{branch.xid.gtrid}:bank')") == [(None,)]
        await branch.close()
    assert len(set(ids)) == 1


@pytest.mark.parametrize("deciding", [False, True])
async def test_an_error_behind_the_commit_is_not_the_commits(
    deciding: bool, rig: AsyncParticipantRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be read as NO, of work that is committed."""
    bank = await rig.participant()
    branch = await rig.branch(bank)
    number = await rig.add(branch)
    wrong = "' OR (SELECT 1 UNION SELECT 2) OR '"  # no name of a lock
    monkeypatch.setattr(sys.modules[type(branch).__module__], "lock_of", lambda xid: wrong)
    answered = await branch.commit_one_phase([rig.adding(977)] if deciding else [], within())
    assert answered.winner is (
        Decision.COMMIT if rig.kind == "mariadb" else None
    )  # None: whoever asks reads the marker
    await branch.close()
    assert await bank.bar(branch.xid, within()) is Evidence.COMMITTED
    assert number in rig.accounts


# -- what is refused


async def test_what_a_server_is_is_looked_at_with_each_branch(rig: AsyncParticipantRig) -> None:
    """SET GLOBAL comes at any time, a replica too: the first statement fails, and the branch with it."""
    bank = await rig.participant()
    words = WORDS[rig.kind]
    for check in (
        words.sound.replace("sync_binlog <> 1", "sync_binlog >= 0").replace("@@global.log_bin AND", ""),
        words.alone.replace("> 0", ">= 0")
        .replace("@@global.log_bin AND", "")
        .replace("WHEN @@global.log_bin", "WHEN 1"),
    ):
        bank.checks = lambda words, *, xa, check=check: [check]
        branch = await rig.branch(bank)
        with pytest.raises(Exception, match="regionkit: the server"):
            await rig.add(branch)
        assert branch.doomed
        await branch.close()
    del bank.checks
    bank._unsafe = False
    assert list(bank.checks(words, xa=False)) == [words.sound]
    assert list(bank.checks(words, xa=True)) == [words.sound, words.alone]


async def test_another_server_is_another_instance_whatever_its_id(rig: AsyncParticipantRig) -> None:
    """Each is server 1 where nobody gave it a number, and the database has the same name."""
    bank = await rig.participant()
    facts = await bank.open(within())
    assert facts.instance == (await bank.open(within())).instance
    rig.sql("DROP TABLE shop_rk_tpc_branch")  # as on another server, with another table of that name
    await bank.create_tables(within())
    assert (await bank.open(within())).instance != facts.instance


@pytest.mark.parametrize("rig", ["mariadb"], indirect=True)
async def test_a_replica_that_was_seen_is_remembered(rig: AsyncParticipantRig) -> None:
    """One that is down goes on where it was: what was prepared meanwhile would break it."""
    bank = await rig.participant()
    assert (await bank.open(within())).prepares
    rig.sql(f"INSERT INTO shop_rk_tpc_branch VALUES ('', '{'0' * 32}', 'followed', 4, 1)")
    assert not (await (await rig.participant()).open(within())).prepares


async def test_what_cannot_be_rolled_back_is_refused(rig: AsyncParticipantRig) -> None:
    """A table of MyISAM keeps what was written to it, whatever becomes of the branch."""
    bank = await rig.participant()
    rig.sql("CREATE TABLE counters (id INT) ENGINE=MyISAM")
    with pytest.raises(ConfigurationError, match="counters"):
        await bank.open(within())


async def test_a_server_that_does_not_flush_is_refused(rig: AsyncParticipantRig) -> None:
    """The one of the tests is such a server."""
    bank = participant_of("bank", rig.engine(), namespace=NAMESPACE)
    with pytest.raises(ConfigurationError, match="innodb_flush_"):
        await bank.open(within())
    await bank.close()


SOUND = {
    "innodb_flush_log_at_trx_commit": "1", "innodb_flush_method": "O_DIRECT", "log_bin": "ON", "sync_binlog": "1",
    "slaves_connected": "0",
}  # fmt: skip
OWN = {
    "mariadb": {"wsrep_on": "OFF"},
    "mysql": {"version": "8.0.30", "log_bin": "OFF", "group_replication_group_name": "", "may_list": "1"},
}


@pytest.mark.parametrize(
    ("kind", "told", "level", "what"),
    [
        ("mariadb", {"wsrep_on": "ON"}, "refused", "Galera"),
        ("mariadb", {"log_bin": "OFF", "sync_binlog": "0", "slaves_connected": "1"}, "", ""),
        ("mariadb", {"slaves_connected": "1"}, "warning", "ANCHOR"),
        ("mariadb", {"followed": "1"}, "warning", "ANCHOR"),
        ("mariadb", {"sync_binlog": "0"}, "refused", "sync_binlog is 0"),
        ("mysql", {"wsrep_on": "ON"}, "refused", "cluster"),
        ("mysql", {"group_replication_group_name": "aaaa"}, "refused", "Group Replication"),
        ("mysql", {"log_bin": "ON"}, "warning", "ANCHOR"),
        ("mysql", {"log_bin": "ON", "version": "8.0.15-debug"}, "warning", "ANCHOR"),
        ("mysql", {"sync_binlog": "0", "version": "8.0.15"}, "", ""),
        *[
            (kind, *row)
            for kind in WORDS
            for row in (
                ({"innodb_flush_log_at_trx_commit": "2"}, "refused", "innodb_flush_log_at_trx_commit is 2"),
                ({"innodb_flush_method": "nosync"}, "refused", "innodb_flush_method is nosync"),
                ({"table": "counters (MyISAM)"}, "refused", "counters"),
                ({}, "", ""),
            )
        ],
    ],
)
def test_settings_are_judged(kind: str, told: dict[str, str], level: str, what: str) -> None:
    """Each by itself."""
    look = Look({**SOUND, **OWN[kind], **told}, 0)
    found = WORDS[kind].findings("bank", look, False, False)
    assert [(one.level, what in one.what) for one in found] == ([(level, True)] if level else [])
    assert WORDS[kind].prepares(look, False) is ("ANCHOR" not in what)


@pytest.mark.parametrize(
    ("told", "asked_for", "prepares", "said"),
    [
        ({}, False, True, ""),
        ({"may_list": ""}, False, False, "XA_RECOVER_ADMIN"),
        ({"may_list": ""}, True, False, "XA_RECOVER_ADMIN"),
        ({"may_list": "", "log_bin": "ON"}, False, False, "unsafe_replicated_xa"),
        ({"log_bin": "ON", "version": "8.0.29"}, True, False, "disable_log_bin"),
        ({"log_bin": "ON", "version": "8.4.3-cluster"}, False, False, "unsafe_replicated_xa"),
        ({"log_bin": "ON", "version": "8.0.30"}, True, True, "leave unsafe_replicated_xa"),
        ({"log_bin": "ON", "version": "9.1.0"}, True, True, "leave unsafe_replicated_xa"),
    ],
)
def test_mysql_prepares_what_it_can_list_and_keep(
    told: dict[str, str], asked_for: bool, prepares: bool, said: str
) -> None:
    """Beside a binary log never before 8.0.30, and later only where that is asked for."""
    look = Look({name: value for name, value in {**SOUND, **OWN["mysql"], **told}.items() if value}, 0)
    assert MYSQL.prepares(look, asked_for) is prepares
    assert [said in one.fix for one in MYSQL.findings("bank", look, False, asked_for)] == ([True] if said else [])


@pytest.mark.parametrize("mine", ["uuid:1-5", "uuid:1-3:5", "uuid:2", "other:7"])
def test_where_mysql_stands(mine: str) -> None:
    """Its own transactions alone, without those that have a tag."""
    found: Any = MYSQL.position[1](("UUID", f"first:1-99,\n{mine},zz:1"))
    newest = {"uuid:1-5": 5, "uuid:1-3:5": 5, "uuid:2": 2}.get(mine)
    assert (None if found is None else found.upto) == (None if newest is None else (("uuid", newest),))
    tagged: Any = MYSQL.position[1](("uuid", "uuid:1-4:deploy:1-77"))
    assert tagged.upto == (("uuid", 4),)
    assert MYSQL.position[1](("uuid", "")) is None
    assert MYSQL.position[1](("uuid", "uuid:deploy:1-77")) is None


async def test_an_account_without_a_right_of_mysqls(mysql_alone: Any) -> None:
    """It anchors, and lists nothing; once branches were prepared there, what cannot be listed is no empty list."""
    rig = AsyncParticipantRig("mysql", mysql_alone.primary.url_for(mysql_alone.database()))
    with granted(mysql_alone, "XA_RECOVER_ADMIN", given=False):
        bank = await rig.participant()
        assert (await bank.open(within())).guarantee == "ANCHOR"
        assert await bank.listed(within()) == []
        assert ["XA_RECOVER_ADMIN" in one.fix for one in await bank.doctor(within()) if "ANCHOR" in one.what] == [True]
        branch = await rig.branch(bank)
        number = await rig.add(branch)
        assert (await branch.commit_one_phase([], within())).winner is Decision.COMMIT
        await branch.close()
        assert number in rig.accounts
    bank = await rig.participant()
    assert (await bank.open(within())).guarantee == "XA"
    branch = await rig.branch(bank)
    await rig.add(branch)
    assert (await branch.prepare(within())).vote is Vote.YES
    with granted(mysql_alone, "XA_RECOVER_ADMIN", given=False):
        for other in (bank, await rig.participant()):
            with pytest.raises(ConfigurationError, match="may not list"):
                await other.listed(within())
    assert await branch.finish(False, within()) is Finish.DONE
    await branch.close()
    await rig.close()


async def test_the_doctor_proves_that_it_may_kill(rig: AsyncParticipantRig) -> None:
    """A session of its own."""
    bank = await rig.participant()
    assert (await bank.open(within())).kind == rig.kind
    assert "not proved" not in " ".join(one.what for one in await bank.doctor(within()))

    async def no(deadline: Any) -> bool:
        return False

    bank._kills = no
    assert "not proved" in " ".join(one.what for one in await bank.doctor(within()))
