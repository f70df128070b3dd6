"""Two databases with a table each, for transactions over both: what tests on every server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import sqlalchemy
from sqlalchemy import text

from regionkit.backends.sql.bridge_async import create_async_engine
from regionkit.core.concurrency_async import agather
from regionkit.errors import RegionKitError

__all__ = ["AsyncBankRig", "side_by_side"]

IS_ASYNC = True
DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+aiomysql", "sqlite": "sqlite+aiosqlite"}


class AsyncBankRig:
    """Databases `accounts` and `payments`; who derives adds log and manager.

    Attributes:
        outside: by name, an engine that looks; it is of none of the transactions.
        engines: the application's. Closed with the rig.
    """

    tm: Any
    log: Any

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.outside = {name: sqlalchemy.create_engine(url) for name, url in urls.items()}
        for engine in self.outside.values():
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE bank (id INTEGER PRIMARY KEY, total INTEGER NOT NULL)"))
        self.engines: dict[str, Any] = {}

    def engine(self, url: str) -> Any:
        """Of the application's."""
        parsed = sqlalchemy.make_url(url)
        return create_async_engine(parsed.set(drivername=DRIVERS[parsed.get_backend_name()]) if IS_ASYNC else parsed)

    def ids(self, name: str) -> list[int]:
        """Rows there, in the eyes of others."""
        with self.outside[name].begin() as connection:
            return [row[0] for row in connection.execute(text("SELECT id FROM bank ORDER BY id"))]

    @property
    def rows(self) -> tuple[list[int], list[int]]:
        """Of both."""
        return self.ids("accounts"), self.ids("payments")

    async def close(self) -> None:
        """Let go of all of it."""
        await self.tm.close()
        for engine in self.engines.values():
            await engine.dispose()
        for outside in self.outside.values():
            outside.dispose()


async def side_by_side(bank: AsyncBankRig, both: Callable[[Any, int], Awaitable[None]]) -> None:
    """Many at once, some of them raise: each is whole. `both`: writes a row of this number to each."""

    async def one(number: int) -> None:
        async with bank.tm.begin(timeout=30.0) as tx:
            await both(tx, number)
            if number % 3 == 0:
                raise LookupError

    found = await agather([lambda number=number: one(number) for number in range(1, 13)])  # type: ignore[misc]
    errors = [error for error in found if not isinstance(error, LookupError)]
    assert not [error for error in errors if error is not None and not isinstance(error, RegionKitError)], errors
    accounts, payments = bank.rows
    assert accounts == payments
    assert len(accounts) == errors.count(None) > 0
    assert not [number for number in accounts if number % 3 == 0]
