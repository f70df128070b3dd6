"""Tracked transactions: from the COMMIT on nobody keeps what they have written; a rollback changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from regionkit.caching import AsyncCache, Lazy, Local, WriteThrough
from regionkit.errors import ConfigurationError, UsageError

IS_ASYNC = True


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
        self.cache: AsyncCache[int] = AsyncCache(
            "accounts",
            int,
            tiers=tiers,
            backing=self.engine,
            strategy=WriteThrough(load=self.load, ttl=300, negative_ttl=60, **given),
        )

    async def load(self, key: str) -> int | None:
        self.loads += 1
        async with AsyncSession(self.engine) as session:
            found = await session.get(Account, key)
            return None if found is None else found.n

    async def __aenter__(self) -> Rig:
        await self.cache.create_tables()
        async with AsyncSession(self.engine) as session:
            session.add(Account(id="a", n=1))
            await session.commit()
        assert await self.cache.get("a") == 1
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cache.close()
        await self.engine.dispose()

    async def begun(self) -> AsyncSession:
        """A session that is tracked."""
        session = AsyncSession(self.engine, expire_on_commit=False)
        await session.connection()
        self.cache.track(session)
        return session


async def test_what_a_session_commits_is_not_kept(tiered: Any) -> None:
    """Changed, added and deleted objects."""
    async with Rig(*tiered) as rig:
        assert await rig.cache.get("b") is None
        async with await rig.begun() as session:
            found = await session.get(Account, "a")
            assert found is not None
            found.n = 2
            session.add(Account(id="b", n=7))
            await session.commit()
        assert (await rig.cache.get("a"), await rig.cache.get("b")) == (2, 7)
        async with await rig.begun() as session:
            await session.delete(await session.get(Account, "a"))
            await session.commit()
        assert await rig.cache.get("a") is None
        assert tiered.accounts.rows("w") == 2


async def test_a_rollback_changes_nothing(tiered: Any) -> None:
    """Its intents are gone, and what is loaded is kept again."""
    async with Rig(*tiered) as rig:
        async with await rig.begun() as session:
            found = await session.get(Account, "a")
            assert found is not None
            found.n = 2
            await session.flush()
            await session.rollback()
        assert await rig.cache.get("a") == 1
        loads = rig.loads
        assert (await rig.cache.get("a"), rig.loads, tiered.accounts.rows("w")) == (1, loads, 0)


async def test_a_savepoint_that_is_rolled_back_takes_its_rows_only(accounts: Any) -> None:
    """What is told too much does no harm."""
    async with Rig(accounts, [Local()]) as rig:
        async with await rig.begun() as session:
            found = await session.get(Account, "a")
            assert found is not None
            found.n = 2
            await session.flush()
            inner = await session.begin_nested()
            session.add(Account(id="b", n=3))
            await session.flush()
            await inner.rollback()
            await session.commit()
        assert (await rig.cache.get("a"), await rig.cache.get("b")) == (2, None)


async def test_a_statement_that_names_no_keys_is_refused_at_the_commit(accounts: Any) -> None:
    """Bulk and text alike: the commit rolls back, and says what to call."""
    async with Rig(accounts, [Local()]) as rig:
        plain = "UPDATE accounts SET n = 9 WHERE id = 'a'"
        for statement in (
            *(update(Account).values(n=9), text(plain), text(f"/* job */ {plain}"), text(f"-- it's a job\n{plain}")),
        ):
            async with await rig.begun() as session:
                await session.execute(statement)
                with pytest.raises(UsageError, match="the keys are not known"):
                    await session.commit()
            assert (accounts.value("a"), await rig.cache.get("a")) == (1, 1)


async def test_a_hook_of_a_flush_that_writes_text_is_refused_too(accounts: Any) -> None:
    """The flush is the session's, the statement is not."""
    async with Rig(accounts, [Local()]) as rig, await rig.begun() as session:

        def writes(sync: Any, *_: Any) -> None:
            sync.execute(text("UPDATE accounts SET n = 9 WHERE id = 'a'"))

        event.listen(getattr(session, "sync_session", session), "before_flush", writes)
        session.add(Account(id="b", n=3))
        with pytest.raises(UsageError, match="the keys are not known"):
            await session.commit()


@pytest.mark.parametrize("touched", [{"keys": ["a"]}, {"tags": ["all"]}, {"all": True}], ids=["keys", "tags", "all"])
async def test_touch_says_which(tiered: Any, touched: dict[str, Any]) -> None:
    """By keys, by tags, or all."""
    async with Rig(*tiered) as rig:
        async with await rig.begun() as session:
            await session.execute(update(Account).values(n=9))
            rig.cache.touch(**touched)
            await session.commit()
        expected = 1 if "tags" in touched else 9  # the loader gives no tags: told to be touched, the key was not
        assert await rig.cache.get("a") == expected


async def test_statements_on_other_tables_are_nobodys_business(accounts: Any) -> None:
    """A name that contains the table's is another name."""
    async with Rig(accounts, [Local()]) as rig:
        async with rig.engine.begin() as db:
            await db.execute(text("CREATE TABLE my_accounts (id VARCHAR(9) PRIMARY KEY)"))
        async with await rig.begun() as session:
            await session.execute(text("INSERT INTO my_accounts VALUES ('accounts')"))
            await session.commit()
        loads = rig.loads
        assert (await rig.cache.get("a"), rig.loads) == (1, loads)


async def test_a_key_may_be_made_of_the_object(accounts: Any) -> None:
    """Keys are typed: a function makes what the cache is asked for."""
    async with Rig(accounts, [Local()], key=lambda account: ("account", account.id)) as rig:
        key: Any = ("account", "a")
        assert await rig.cache.get_or_load(key, lambda _: rig.load("a")) == 1
        async with await rig.begun() as session:
            found = await session.get(Account, "a")
            assert found is not None
            found.n = 2
            await session.commit()
        assert await rig.cache.get_or_load(key, lambda _: rig.load("a")) == 2


async def test_misuse_says_what_is_wrong(accounts: Any) -> None:
    """Touch without a tracked transaction, track of another strategy, a text for several keys."""
    async with Rig(accounts, [Local()]) as rig:
        with pytest.raises(UsageError, match="no transaction is tracked"):
            rig.cache.touch(["a"])
        async with await rig.begun() as session:
            with pytest.raises(UsageError, match="several keys"):
                rig.cache.touch("a")
            await session.rollback()
    async with AsyncCache("lazy", int, strategy=Lazy(load=len, ttl=60)) as cache:
        with pytest.raises(UsageError, match="has no track"):
            cache.track(None)


async def test_a_commit_without_the_table_of_intents_says_which_call_makes_it(accounts: Any) -> None:
    """And rolls back."""
    rig = Rig(accounts, [Local()])
    session = await rig.begun()
    session.add(Account(id="a", n=1))
    with pytest.raises(ConfigurationError, match=r"no table 'regionkit_rk_cache_intent'.*create_tables\(\)"):
        await session.commit()
    await session.close()
    assert accounts.value("a") is None
    await rig.cache.close()
    await rig.engine.dispose()
