# Generated from test_postgres_participant_async.py by scripts/twins.py. Do not edit.
"""Traps of PREPARE TRANSACTION, each run on a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text

from regionkit.backends.sql.bridge import drive
from regionkit.errors import ConfigurationError
from regionkit.testing import FaultProxy
from regionkit.transactions.participants.factory import participant_of
from regionkit.transactions.participants.participant import Listed
from regionkit.transactions.protocol import Decision, Finish, Vote
from regionkit.transactions.recovery_rules import Evidence
from regionkit.transactions.xid import Xid

from .participant_rigs import ParticipantRig, within

pytestmark = pytest.mark.postgresql


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ParticipantRig]:
    """An empty database of PostgreSQL."""
    made = ParticipantRig.of(request, "postgresql", tmp_path)
    yield made
    made.close()


def by_cursor(*texts: str) -> Callable[[Any], None]:
    """Statements on the driver's own cursor, which SQLAlchemy does not see."""

    def run(connection: Any) -> None:
        for one in texts:
            connection.connection.cursor().execute(one)

    return run


def by_text(*texts: str) -> Callable[[Any], None]:
    """Statements through SQLAlchemy."""

    def run(connection: Any) -> None:
        for one in texts:
            connection.exec_driver_sql(one)

    return run


def by_driver(name: str) -> Callable[[Any], None]:
    """The end of the driver's own connection."""
    return lambda connection: getattr(connection.connection, name)()


def run(branch: Any, work: Callable[[Any], None]) -> None:
    """Work with the Connection that SQLAlchemy's synchronous code sees."""
    connection = branch.connection()
    drive(work, getattr(connection, "sync_connection", connection))


ENDS = {
    "COMMIT on the cursor": by_cursor("COMMIT"),
    "ROLLBACK on the cursor": by_cursor("ROLLBACK"),
    "COMMIT and BEGIN": by_cursor("COMMIT", "BEGIN"),
    "ROLLBACK and BEGIN": by_cursor("ROLLBACK", "BEGIN"),
    "in one text": by_cursor("ROLLBACK; BEGIN"),
    "COMMIT AND CHAIN": by_cursor("COMMIT AND CHAIN"),
    "COMMIT as text": by_text("COMMIT"),
    "ROLLBACK as text, and BEGIN": by_text("ROLLBACK", "BEGIN"),
    "commit of the driver": by_driver("commit"),
    "rollback of the driver": by_driver("rollback"),
    "settings put back": by_cursor("RESET ALL"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_transaction_that_was_ended_inside_votes_no(how: str, rig: ParticipantRig) -> None:
    """PREPARE would answer with a warning, and the marker testify for lost work."""
    bank = rig.participant()
    branch = rig.branch(bank)
    rig.add(branch)
    run(branch, ENDS[how])
    branch.defer(rig.adding())
    assert (branch.prepare(within())).vote is Vote.NO
    if "COMMIT" in how:
        assert "may be committed" in branch.torn
    branch.close()
    assert bank.listed(within()) == []
    assert bank.evidence(branch.xid, within()) is Evidence.NONE


@pytest.mark.parametrize("how", ["COMMIT and BEGIN", "in one text", "ROLLBACK as text, and BEGIN"])
def test_the_server_refuses_it_even_where_this_side_saw_nothing(how: str, rig: ParticipantRig) -> None:
    """The marker takes its name from the branch's own transaction, in one phase too."""
    bank = rig.participant()
    branch = rig.branch(bank)
    rig.add(branch)
    run(branch, ENDS[how])
    number = addable(branch, rig)
    branch._link._state.doomed = ""
    branch._link._driver.ended = branch._link._driver.implicit = False
    branch._link._driver.commits = 0
    answered = branch.commit_one_phase([], within())
    assert "tpc_branch_gtrid" in answered.why
    assert "may be committed" in branch.torn
    branch.close()
    assert bank.evidence(branch.xid, within()) is Evidence.NONE
    assert number not in rig.accounts


def addable(branch: Any, rig: ParticipantRig) -> int:
    """A row in whatever transaction is open now."""
    number = 777
    run(branch, by_cursor(rig.adding(number)))
    return number


def test_a_rollback_to_a_savepoint_leaves_the_branch_its_own(rig: ParticipantRig) -> None:
    """As text too: it ends nothing."""
    bank = rig.participant()
    branch = rig.branch(bank)
    number = rig.add(branch)
    run(branch, by_text("SAVEPOINT one", rig.adding(801), "ROLLBACK TO one"))
    assert (branch.prepare(within())).vote is Vote.YES
    assert branch.finish(True, within()) is Finish.DONE
    branch.close()
    assert rig.accounts == {number}


SET_INSIDE = {
    "search_path": ["SET LOCAL search_path = pg_catalog"],
    "search_path of the session": ["SET search_path = pg_catalog"],
    "read only by default": ["SET default_transaction_read_only = on"],
    "constraints": ["SET CONSTRAINTS ALL DEFERRED"],
    "a cursor": ["DECLARE c CURSOR FOR SELECT 1"],
    "advisory lock": ["SELECT pg_advisory_lock(7)"],
}


@pytest.mark.parametrize("what", SET_INSIDE)
def test_what_the_user_set_neither_stops_the_branch_nor_outlives_it(what: str, rig: ParticipantRig) -> None:
    """Its marker is found, and the next branch on that connection begins as this one did."""
    bank = rig.participant()
    branch = rig.branch(bank)
    number = rig.add(branch)
    driver = branch._link.driver
    run(branch, by_text(*SET_INSIDE[what]))
    assert (branch.prepare(within())).vote is Vote.YES
    assert branch.finish(True, within()) is Finish.DONE
    branch.close()
    assert bank.evidence(branch.xid, within()) is Evidence.COMMITTED
    assert number in rig.accounts
    again = rig.branch(bank)
    assert again._link.driver is driver
    session = again.session()
    [[path, locks]] = session.execute(
        text("SELECT current_setting('search_path'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')")
    )
    assert (path, locks) == ('"$user", public', 0)
    again.close()


LISTENERS = {"connect": lambda raw, record: tenant_of(raw), "checkout": lambda raw, record, proxy: tenant_of(raw)}
SHOWN = text("SELECT current_setting('my.tenant', true), current_setting('application_name')")


def tenant_of(raw: Any) -> None:
    """What an application sets for its row security, one name of the server's and one of its own."""
    cursor = raw.cursor()
    cursor.execute("SET application_name = 'seven'")
    cursor.execute("SELECT set_config('my.tenant', '7', false)")
    cursor.close()
    raw.commit()


@pytest.mark.parametrize("when", LISTENERS)
def test_what_a_listener_of_the_engines_set_is_there_in_each_branch(when: str, rig: ParticipantRig) -> None:
    """Row security would show nothing, or all. What a branch set is there in none."""
    bank = rig.participant()
    given = bank.given
    sqlalchemy.event.listen(getattr(given, "sync_engine", given), when, LISTENERS[when])
    for one in range(3):
        branch = rig.branch(bank)
        if one:  # the first may have been connected before there was a listener
            assert (branch.session().execute(SHOWN)).one() == ("7", "seven")
        run(branch, by_text("SET application_name = 'eight'", "SELECT set_config('my.tenant', '8', false)"))
        rig.add(branch)
        assert (branch.prepare(within())).vote is Vote.YES
        assert branch.finish(True, within()) is Finish.DONE
        branch.close()


@pytest.mark.parametrize("how", ["isolation_level", "execution_options"])
def test_the_engines_isolation_level_is_the_branchs(how: str, rig: ParticipantRig) -> None:
    """Else a write skew that the application excluded would commit."""
    rig.participant()
    level: Any = "SERIALIZABLE"
    options = {how: level if how == "isolation_level" else {"isolation_level": level}}
    bank = rig.participant_of(rig.engine(**options))
    for reading in (False, True):
        branch = rig.branch(bank, reading=reading)
        asked = text("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        assert (branch.session().execute(asked)).one() == ("serializable", "on" if reading else "off")
        branch.close()


def test_of_two_that_would_skew_one_is_refused(rig: ParticipantRig) -> None:
    """Each reads what the other writes."""
    rig.sql("INSERT INTO bank VALUES (901, 1), (902, 1)")
    rig.participant()
    bank = rig.participant_of(rig.engine(isolation_level="SERIALIZABLE"))
    branches = [rig.branch(bank) for _ in range(2)]
    for branch in branches:
        branch.session().execute(text("SELECT sum(total) FROM bank"))
    votes = []
    for branch, number in zip(branches, (901, 902), strict=True):
        branch.session().execute(text(f"UPDATE bank SET total = 0 WHERE id = {number}"))
    for branch in branches:
        votes.append((branch.prepare(within())).vote)
        branch.finish(votes[-1] is Vote.YES, within())
        branch.close()
    assert votes == [Vote.YES, Vote.NO]


def test_a_deferred_trigger_sees_what_the_user_set(rig: ParticipantRig) -> None:
    """As at a COMMIT of the user's own; it is put back behind the end."""
    rig.sql("CREATE TABLE seen (value text)")
    rig.sql(
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO seen VALUES (current_setting('my.tenant', true)); RETURN NULL; END $$"
    )
    rig.sql(
        "CREATE CONSTRAINT TRIGGER sees AFTER INSERT ON bank DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION see()"
    )
    bank = rig.participant()
    for local in ("true", "false"):
        for prepares in (True, False):
            branch = rig.branch(bank)
            driver = branch._link.driver
            rig.add(branch)
            run(branch, by_text(f"SELECT set_config('my.tenant', '7', {local})"))
            if prepares:
                assert (branch.prepare(within())).vote is Vote.YES
                assert branch.finish(True, within()) is Finish.DONE
            else:
                assert (branch.commit_one_phase([], within())).winner is not None
            branch.close()
            again = rig.branch(bank)
            assert again._link.driver is driver
            assert not (again.session().execute(SHOWN)).one()[0]
            again.close()
    assert rig.sql("SELECT value FROM seen") == [("7",)] * 4


LEFT = {
    "a temporary table": ["CREATE TEMP TABLE bank (id int, total int)"],
    "LISTEN": ["LISTEN news"],
    "PREPARE": ["PREPARE mine AS SELECT 1"],
    "an advisory lock": ["SELECT pg_advisory_lock(7)"],
    "WITH HOLD": ["DECLARE c CURSOR WITH HOLD FOR SELECT 1"],
    "a setting": ["SET search_path = pg_catalog"],
}
STANDS = text(
    "SELECT (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_prepared_statements WHERE from_sql), "
    "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), to_regclass('pg_temp.bank'), current_setting('search_path'), "
    "(SELECT count(*) FROM pg_cursors WHERE is_holdable)"
)


@pytest.mark.parametrize("end", ["one phase", "prepared", "rolled back"])
def test_nothing_of_a_branch_is_there_in_the_next(end: str, rig: ParticipantRig) -> None:
    """A temporary table would take the next one's rows, and COMMITTED be said of them."""
    bank = rig.participant()
    for what, texts in LEFT.items():
        for by in (by_text, by_cursor):
            branch = rig.branch(bank)
            rig.add(branch)
            run(branch, by(*texts))
            if end == "one phase":
                branch.commit_one_phase([], within())
            elif end == "prepared":
                vote = (branch.prepare(within())).vote
                branch.finish(vote is Vote.YES, within())
            branch.close()
            again = rig.branch(bank)
            found = (again.session().execute(STANDS)).one()
            assert (what, *found) == (what, 0, 0, 0, None, '"$user", public', 0)
            again.close()


@pytest.fixture
def root(rig: ParticipantRig, pg: Any) -> Callable[[str], Any]:
    """Runs a statement as the superuser."""
    database = sqlalchemy.make_url(rig.url).database
    return lambda statement: pg.primary.sql(statement, database=database)


@pytest.fixture
def role(rig: ParticipantRig, root: Callable[[str], Any]) -> Iterator[str]:
    """A role without a login, that may use the table and nothing else."""
    name, me = f"rk_{uuid.uuid4().hex[:12]}", sqlalchemy.make_url(rig.url).username
    root(f"CREATE ROLE {name}")
    root(f"GRANT ALL ON bank TO {name}")
    root(f"GRANT {name} TO {me}")
    yield name
    root(f"DROP OWNED BY {name}")
    root(f"DROP ROLE {name}")


@pytest.mark.parametrize("local", ["SET LOCAL ROLE", "SET ROLE"])
def test_a_role_taken_inside_does_not_own_the_branch(local: str, role: str, rig: ParticipantRig) -> None:
    """Else COMMIT PREPARED would fail for ever. The role may not even write markers."""
    bank = rig.participant()
    branch = rig.branch(bank)
    run(branch, by_text(f"{local} {role}"))
    number = rig.add(branch)
    assert (branch.prepare(within())).vote is Vote.YES
    [listed] = bank.listed(within())
    assert listed.owner != role
    assert branch.finish(True, within()) is Finish.DONE
    branch.close()
    assert number in rig.accounts


@pytest.fixture
def clerks(rig: ParticipantRig, role: str, root: Callable[[str], Any]) -> Iterator[list[str]]:
    """URLs of two accounts: one may become the role, the other not."""
    names = [f"{role}_{one}" for one in ("may", "not")]
    for name in names:
        root(f"CREATE ROLE {name} LOGIN")
        root(f"GRANT CONNECT ON DATABASE {sqlalchemy.make_url(rig.url).database} TO {name}")
    root(f"GRANT {role} TO {names[0]}")
    url = sqlalchemy.make_url(rig.url)
    yield [url.set(username=name).render_as_string(hide_password=False) for name in names]
    for name in names:
        root(f"DROP OWNED BY {name}")
        root(f"DROP ROLE {name}")


def test_another_accounts_branch_is_ended_as_its_owner_or_blocked(
    role: str, clerks: list[str], root: Callable[[str], Any], rig: ParticipantRig
) -> None:
    """Never UNKNOWN, which would let its marker speak."""
    (rig.participant()).close()
    xid = rig.xid()
    with rig.outside.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for one in (f"SET ROLE {role}", "BEGIN", rig.adding(802), f"PREPARE TRANSACTION '{xid.gid}'"):
            connection.exec_driver_sql(one)
        connection.invalidate()
    rig.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
    may, may_not = [rig.participant(url) for url in clerks]
    [listed] = may_not.listed(within())
    assert listed.owner == role
    assert may_not.finish(listed, True, within()) is Finish.BLOCKED
    assert may.finish(listed, True, within()) is Finish.DONE
    assert 802 in rig.accounts


def test_synchronous_commit_is_on_whatever_the_user_set(rig: ParticipantRig) -> None:
    """At PREPARE and at COMMIT; remote_apply is kept. A deferred trigger sees what stands at the end."""
    rig.sql("CREATE TABLE seen (value text)")
    rig.sql(
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$"
    )
    rig.sql(
        "CREATE CONSTRAINT TRIGGER sees AFTER INSERT ON bank DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION see()"
    )
    bank = rig.participant()
    expected = []
    for value, there in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
        for how in ("SET LOCAL", "SET"):
            branch = rig.branch(bank)
            rig.add(branch)
            run(branch, by_text(f"{how} synchronous_commit = {value}"))
            if how == "SET":
                assert (branch.prepare(within())).vote is Vote.YES
                assert branch.finish(True, within()) is Finish.DONE
            else:
                assert (branch.commit_one_phase([], within())).winner is not None
            expected.append(there)
            branch.close()
    assert [value for (value,) in rig.sql("SELECT value FROM seen")] == expected


def test_a_tombstone_is_flushed_whatever_the_database_says(rig: ParticipantRig, root: Callable[[str], Any]) -> None:
    """It settles what became of a transaction; a trigger sees how it is written."""
    root(f"ALTER DATABASE {sqlalchemy.make_url(rig.url).database} SET synchronous_commit = off")
    bank = rig.participant()
    rig.sql("CREATE TABLE seen (value text)")
    rig.sql(
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$"
    )
    rig.sql("CREATE TRIGGER sees BEFORE INSERT ON shop_rk_tpc_branch FOR EACH ROW EXECUTE FUNCTION see()")
    assert bank.bar(rig.xid(), within()) is Evidence.BARRED
    assert rig.sql("SELECT value FROM seen") == [("on",)]


def test_a_deferred_constraint_that_fails_is_no_and_leaves_a_clean_connection(rig: ParticipantRig) -> None:
    """It comes at PREPARE; a second try would not help."""
    rig.sql("ALTER TABLE bank ADD CONSTRAINT once UNIQUE (total) DEFERRABLE INITIALLY DEFERRED")
    bank = rig.participant()
    branch = rig.branch(bank)
    rig.add(branch)
    rig.add(branch)
    driver = branch._link.driver
    answered = branch.prepare(within())
    assert (answered.vote, answered.retryable) == (Vote.NO, False)
    assert "once" in answered.why
    assert branch.torn == ""  # the failed PREPARE has rolled back
    branch.close()
    anchor = rig.branch(bank, anchor=True)
    rig.add(anchor)
    rig.add(anchor)
    assert (anchor.commit_one_phase([], within())).winner is Decision.ABORT
    assert anchor.torn == ""
    anchor.close()
    again = rig.branch(bank)
    assert again._link.driver is driver
    rig.add(again)
    assert (again.prepare(within())).vote is Vote.YES
    assert again.finish(False, within()) is Finish.DONE
    again.close()


def test_a_deferred_commit_before_an_error_is_no_clean_end(rig: ParticipantRig) -> None:
    """What stood before it is committed, whatever the next statement says."""
    bank = rig.participant()
    branch = rig.branch(bank)
    number = rig.add(branch)
    branch.defer("COMMIT")
    branch.defer("SELECT 1 / 0")
    assert (branch.prepare(within())).vote is Vote.NO
    assert branch.torn and rig.accounts == {number}
    branch.close()


@pytest.mark.parametrize("text", ["INSRT INTO bank", "SELECT 'open", "SELECT 1 /* open", "SELECT $$ open"])
@pytest.mark.parametrize("one_phase", [False, True])
def test_a_deferred_text_that_is_no_sql_is_a_clean_no(text: str, one_phase: bool, rig: ParticipantRig) -> None:
    """The server refuses the whole message, BEGIN with it: nothing was torn by it, and the connection is fit."""
    bank = rig.participant()
    branch = rig.branch(bank)
    branch.defer(rig.adding())
    branch.defer(text)
    answered = branch.commit_one_phase([], within()) if one_phase else branch.prepare(within())
    assert (answered.winner, answered.retryable, branch.torn) == (Decision.ABORT, False, "")
    branch.close()
    assert rig.accounts == set()
    again = rig.branch(bank)
    number = rig.add(again)
    again.defer(text)  # behind a BEGIN that was done: it is rolled back
    assert ((again.prepare(within())).vote, again.torn) == (Vote.NO, "")
    again.close()
    assert number not in rig.accounts


def test_a_deferred_commit_before_an_error_of_syntax_at_run_time(rig: ParticipantRig) -> None:
    """The same code, from inside a procedure: the COMMIT before it was done."""
    bank = rig.participant()
    branch = rig.branch(bank)
    branch.defer(rig.adding())
    branch.defer("COMMIT")
    branch.defer("DO $$ BEGIN EXECUTE 'INSRT'; END $$")
    assert (branch.prepare(within())).vote is Vote.NO
    assert branch.torn and len(rig.accounts) == 1
    branch.close()


REFUSED = {
    "a temporary table": ["CREATE TEMP TABLE t (id int)"],
    "LISTEN": ["LISTEN news"],
    "NOTIFY": ["NOTIFY news"],
    "a lock of both kinds": ["SELECT pg_advisory_lock(9)", "SELECT pg_advisory_xact_lock(9)"],
}


@pytest.mark.parametrize("worked", [False, True])
@pytest.mark.parametrize("what", ["a temporary table", "a deferred constraint"])
def test_a_prepare_that_is_refused_behind_deferred_work_tears_nothing(
    what: str, worked: bool, rig: ParticipantRig
) -> None:
    """The marker was written, so the transaction was the branch's own till then, and PREPARE's error has rolled it back."""
    bank = rig.participant()
    rig.sql("CREATE TABLE once (id INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    texts = {"a deferred constraint": ["INSERT INTO once VALUES (1), (1)"], **REFUSED}[what]
    branch = rig.branch(bank)
    if worked:
        rig.add(branch)
    for one in (rig.adding(), *texts):
        branch.defer(one)
    assert (branch.prepare(within())).vote is Vote.NO
    assert (branch.torn, rig.accounts) == ("", set())
    branch.close()


def test_several_statements_and_a_commit_in_one_deferred_text(rig: ParticipantRig) -> None:
    """However many answers they get, what the COMMIT has left is told."""
    bank = rig.participant()
    for more in range(6):
        branch = rig.branch(bank)
        branch.defer("; ".join([rig.adding(), *("SELECT 1" for _ in range(more)), "COMMIT"]))
        answered = branch.prepare(within())
        assert answered.vote is not Vote.YES and (branch.torn or answered.vote is Vote.UNANSWERED)
        branch.close()


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_prepared_is_no(what: str, rig: ParticipantRig) -> None:
    """With the server's reason; the same commits in one phase."""
    bank = rig.participant()
    for prepares in (True, False):
        branch = rig.branch(bank)
        number = rig.add(branch)
        run(branch, by_text(*REFUSED[what]))
        if prepares and what != "a lock of both kinds":  # those are let go of before
            answered = branch.prepare(within())
            assert (answered.vote, answered.retryable) == (Vote.NO, False)
            assert "cannot PREPARE" in answered.why
        else:
            assert (branch.commit_one_phase([], within())).winner is not None
        branch.close()
        assert (number in rig.accounts) is (not prepares or what == "a lock of both kinds")
    assert bank.listed(within()) == []


def test_a_warning_at_prepare_is_no(rig: ParticipantRig) -> None:
    """As when somebody cancels the wait for the synchronous standby: it is prepared here, and perhaps only here."""
    rig.sql(
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END $$"
    )
    rig.sql(
        "CREATE CONSTRAINT TRIGGER warns AFTER INSERT ON bank DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION warn()"
    )
    bank = rig.participant()
    branch = rig.branch(bank)
    rig.add(branch)
    answered = branch.prepare(within())
    assert answered.vote is Vote.NO
    assert "synchronous replication" in answered.why
    branch.close()
    assert bank.listed(within()) == []
    other = rig.branch(bank)
    rig.add(other)
    assert (other.commit_one_phase([], within())).winner is None
    other.close()


def test_a_strangers_branch_of_the_same_name_stays(rig: ParticipantRig) -> None:
    """PREPARE is refused (42710), and nothing is rolled back by that name."""
    bank = rig.participant()
    first = rig.branch(bank)
    number = rig.add(first)
    assert (first.prepare(within())).vote is Vote.YES
    rig_gid = first.xid.gid
    rows = "shop_rk_tpc_branch"
    second = rig.branch(bank, Xid("shop", "0a1b2c3e", first.xid.gtrid, "bank", 0))
    rig.add(second)
    second.xid = first.xid
    second._marked = lambda state: []
    answered = second.prepare(within())
    assert answered.vote is Vote.NO
    assert "already in use" in answered.why
    second.close()
    assert [listed.xid.gid for listed in bank.listed(within())] == [rig_gid]
    assert first.finish(True, within()) is Finish.DONE
    first.close()
    assert rig.accounts == {number}
    assert len(rig.sql(f"SELECT * FROM {rows}")) == 1


def test_other_namespaces_and_databases_are_not_listed(rig: ParticipantRig, pg: Any) -> None:
    """Names are compared field by field: "shop" is not "shop_eu"."""
    bank = rig.participant()
    foreign = Xid("shop_eu", "0a1b2c3d", rig.xid().gtrid, "bank", 0)
    elsewhere = rig.xid()
    with rig.outside.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for one in ("BEGIN", rig.adding(803), f"PREPARE TRANSACTION '{foreign.gid}'"):
            connection.exec_driver_sql(one)
    other = sqlalchemy.create_engine(pg.primary.url, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        for one in ("BEGIN", "SELECT txid_current()", f"PREPARE TRANSACTION '{elsewhere.gid}'"):
            connection.exec_driver_sql(one)
        assert bank.listed(within()) == []
        connection.exec_driver_sql(f"ROLLBACK PREPARED '{elsewhere.gid}'")
    other.dispose()
    with rig.outside.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"ROLLBACK PREPARED '{foreign.gid}'")


def test_a_lost_answer_of_prepare_is_unanswered(rig: ParticipantRig) -> None:
    """The branch stands; its connection is closed; whoever ends it by its name does so once."""
    bank = rig.participant()
    with FaultProxy(rig.url) as proxy:
        far = rig.participant(proxy.url)
        branch = rig.branch(far)
        number = rig.add(branch)
        proxy.drop_replies()
        assert (branch.prepare(within(1.0))).vote is Vote.UNANSWERED
        branch.close()
    [listed] = bank.listed(within())
    assert listed.xid == branch.xid
    assert bank.finish(listed, False, within()) is Finish.DONE
    assert bank.evidence(branch.xid, within()) is Evidence.NONE
    assert number not in rig.accounts


def test_a_lost_answer_of_the_second_phase_is_not_reached_and_then_unknown(rig: ParticipantRig) -> None:
    """The marker says that it is done."""
    bank = rig.participant()
    with FaultProxy(rig.url) as proxy:
        far = rig.participant(proxy.url)
        branch = rig.branch(far)
        number = rig.add(branch)
        assert (branch.prepare(within())).vote is Vote.YES
        proxy.drop_replies()
        assert branch.finish(True, within(1.0)) is Finish.UNREACHED
        proxy.heal()
        assert branch.finish(True, within()) is Finish.UNKNOWN
        branch.close()
    assert bank.evidence(branch.xid, within()) is Evidence.COMMITTED
    assert number in rig.accounts


def test_a_lost_answer_of_one_phase_is_settled_by_the_markers_key(rig: ParticipantRig) -> None:
    """Nobody knows, until the tombstone finds the marker."""
    bank = rig.participant()
    with FaultProxy(rig.url) as proxy:
        far = rig.participant(proxy.url)
        branch = rig.branch(far)
        number = rig.add(branch)
        proxy.drop_replies()
        answered = branch.commit_one_phase([], within(1.0))
        assert answered.winner is None
        branch.close()
    assert bank.bar(branch.xid, within()) is Evidence.COMMITTED
    assert number in rig.accounts


def test_a_frozen_server_ends_at_the_deadline(rig: ParticipantRig) -> None:
    """Of each phase."""
    rig.participant()
    with FaultProxy(rig.url) as proxy:
        far = rig.participant(f"{proxy.url}?connect_timeout=2")
        branch = rig.branch(far)
        rig.add(branch)
        proxy.freeze()
        assert (branch.prepare(within(0.3))).vote is Vote.UNANSWERED
        assert far.finish(Listed(branch.xid), False, within(0.3)) is Finish.UNREACHED
        branch.close()
        proxy.heal()


def test_the_first_statement_brings_the_branchs_begin(rig: ParticipantRig) -> None:
    """In its own message: three round trips fewer. Nothing is sent before."""
    bank = rig.participant()
    branch = rig.branch(bank)
    driver = branch._link.driver
    branch.connection()
    assert not driver.busy
    assert len(branch._link.opening) == 4
    rig.add(branch)
    assert driver.busy
    assert not branch._link.opening
    branch.close()


def test_a_server_that_does_not_flush_is_refused(rig: ParticipantRig) -> None:
    """Unless it is said that it may be."""
    bank = participant_of("bank", rig.engine(), namespace="shop")
    bank.create_tables(within())
    with pytest.raises(ConfigurationError, match="fsync is off"):
        bank.open(within())
    assert "refused" in {finding.level for finding in bank.doctor(within())}
    bank.close()


def test_without_its_table_it_does_not_open(rig: ParticipantRig) -> None:
    """The error says what to call."""
    bank = participant_of("bank", rig.engine(), namespace="shop", unsafe_no_flush=True)
    with pytest.raises(ConfigurationError, match="no table of markers"):
        bank.open(within())
    bank.close()
