# Generated from test_track_sql_async.py by scripts/twins.py. Do not edit.
"""Tracked transactions: from the COMMIT on nobody keeps what they have written; a rollback changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from regionkit.caching import Cache, Lazy, Local, WriteThrough
from regionkit.errors import ConfigurationError, UsageError

IS_ASYNC = False


class Base(DeclarativeBase):
    """Of the application."""


class Account(Base):
    """The table of the fixture."""

    __tablename__ = "accounts"
    id: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int]


class Rig:
    """A cache that tracks, with one account of value 1 in the table and in the cache."""

    def __init__(self, accounts: Any, tiers: list[Any], **options: Any) -> None:
        self.engine = accounts.make(is_async=IS_ASYNC)
        self.loads = 0
        given = {"model": Account} | options
        self.cache: Cache[int] = Cache(
            "accounts",
            int,
            tiers=tiers,
            backing=self.engine,
            strategy=WriteThrough(load=self.load, ttl=300, negative_ttl=60, **given),
        )

    def load(self, key: str) -> int | None:
        self.loads += 1
        with Session(self.engine) as session:
            found = session.get(Account, key)
            return None if found is None else found.n

    def __enter__(self) -> Rig:
        self.cache.create_tables()
        with Session(self.engine) as session:
            session.add(Account(id="a", n=1))
            session.commit()
        assert self.cache.get("a") == 1
        return self

    def __exit__(self, *_: object) -> None:
        self.cache.close()
        self.engine.dispose()

    def begun(self) -> Session:
        """A session that is tracked."""
        session = Session(self.engine, expire_on_commit=False)
        session.connection()
        self.cache.track(session)
        return session


def test_what_a_session_commits_is_not_kept(tiered: Any) -> None:
    """Changed, added and deleted objects."""
    with Rig(*tiered) as rig:
        assert rig.cache.get("b") is None
        with rig.begun() as session:
            found = session.get(Account, "a")
            assert found is not None
            found.n = 2
            session.add(Account(id="b", n=7))
            session.commit()
        assert (rig.cache.get("a"), rig.cache.get("b")) == (2, 7)
        with rig.begun() as session:
            session.delete(session.get(Account, "a"))
            session.commit()
        assert rig.cache.get("a") is None
        assert tiered.accounts.rows("w") == 2


def test_a_rollback_changes_nothing(tiered: Any) -> None:
    """Its intents are gone, and what is loaded is kept again."""
    with Rig(*tiered) as rig:
        with rig.begun() as session:
            found = session.get(Account, "a")
            assert found is not None
            found.n = 2
            session.flush()
            session.rollback()
        assert rig.cache.get("a") == 1
        loads = rig.loads
        assert (rig.cache.get("a"), rig.loads, tiered.accounts.rows("w")) == (1, loads, 0)


def test_a_savepoint_that_is_rolled_back_takes_its_rows_only(accounts: Any) -> None:
    """What is told too much does no harm."""
    with Rig(accounts, [Local()]) as rig:
        with rig.begun() as session:
            found = session.get(Account, "a")
            assert found is not None
            found.n = 2
            session.flush()
            inner = session.begin_nested()
            session.add(Account(id="b", n=3))
            session.flush()
            inner.rollback()
            session.commit()
        assert (rig.cache.get("a"), rig.cache.get("b")) == (2, None)


def test_a_statement_that_names_no_keys_is_refused_at_the_commit(accounts: Any) -> None:
    """Bulk and text alike: the commit rolls back, and says what to call."""
    with Rig(accounts, [Local()]) as rig:
        plain = "UPDATE accounts SET n = 9 WHERE id = 'a'"
        for statement in (
            *(update(Account).values(n=9), text(plain), text(f"/* job */ {plain}"), text(f"-- it's a job\n{plain}")),
        ):
            with rig.begun() as session:
                session.execute(statement)
                with pytest.raises(UsageError, match="the keys are not known"):
                    session.commit()
            assert (accounts.value("a"), rig.cache.get("a")) == (1, 1)


def test_a_hook_of_a_flush_that_writes_text_is_refused_too(accounts: Any) -> None:
    """The flush is the session's, the statement is not."""
    with Rig(accounts, [Local()]) as rig, rig.begun() as session:

        def writes(sync: Any, *_: Any) -> None:
            sync.execute(text("UPDATE accounts SET n = 9 WHERE id = 'a'"))

        event.listen(getattr(session, "sync_session", session), "before_flush", writes)
        session.add(Account(id="b", n=3))
        with pytest.raises(UsageError, match="the keys are not known"):
            session.commit()


@pytest.mark.parametrize("touched", [{"keys": ["a"]}, {"tags": ["all"]}, {"all": True}], ids=["keys", "tags", "all"])
def test_touch_says_which(tiered: Any, touched: dict[str, Any]) -> None:
    """By keys, by tags, or all."""
    with Rig(*tiered) as rig:
        with rig.begun() as session:
            session.execute(update(Account).values(n=9))
            rig.cache.touch(**touched)
            session.commit()
        expected = 1 if "tags" in touched else 9  # the loader gives no tags: told to be touched, the key was not
        assert rig.cache.get("a") == expected


def test_statements_on_other_tables_are_nobodys_business(accounts: Any) -> None:
    """A name that contains the table's is another name."""
    with Rig(accounts, [Local()]) as rig:
        with rig.engine.begin() as db:
            db.execute(text("CREATE TABLE my_accounts (id VARCHAR(9) PRIMARY KEY)"))
        with rig.begun() as session:
            session.execute(text("INSERT INTO my_accounts VALUES ('accounts')"))
            session.commit()
        loads = rig.loads
        assert (rig.cache.get("a"), rig.loads) == (1, loads)


def test_a_key_may_be_made_of_the_object(accounts: Any) -> None:
    """Keys are typed: a function makes what the cache is asked for."""
    with Rig(accounts, [Local()], key=lambda account: ("account", account.id)) as rig:
        key: Any = ("account", "a")
        assert rig.cache.get_or_load(key, lambda _: rig.load("a")) == 1
        with rig.begun() as session:
            found = session.get(Account, "a")
            assert found is not None
            found.n = 2
            session.commit()
        assert rig.cache.get_or_load(key, lambda _: rig.load("a")) == 2


def test_misuse_says_what_is_wrong(accounts: Any) -> None:
    """Touch without a tracked transaction, track of another strategy, a text for several keys."""
    with Rig(accounts, [Local()]) as rig:
        with pytest.raises(UsageError, match="no transaction is tracked"):
            rig.cache.touch(["a"])
        with rig.begun() as session:
            with pytest.raises(UsageError, match="several keys"):
                rig.cache.touch("a")
            session.rollback()
    with Cache("lazy", int, strategy=Lazy(load=len, ttl=60)) as cache:
        with pytest.raises(UsageError, match="has no track"):
            cache.track(None)


def test_a_commit_without_the_table_of_intents_says_which_call_makes_it(accounts: Any) -> None:
    """And rolls back."""
    rig = Rig(accounts, [Local()])
    session = rig.begun()
    session.add(Account(id="a", n=1))
    with pytest.raises(ConfigurationError, match=r"no table 'regionkit_rk_cache_intent'.*create_tables\(\)"):
        session.commit()
    session.close()
    assert accounts.value("a") is None
    rig.cache.close()
    rig.engine.dispose()
