"""An asyncio.timeout of the application's, in a block and around one, while the server is silent: it leaves as itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fix_lines import Line, line_of

from regionkit import EVENTUAL, AsyncRegionKit

LIMIT = 0.3
"""Seconds; the blocks' own deadlines are a hundred times as long."""


@pytest.fixture(params=["postgresql", "mariadb", "redis", "mongo"])
def line(request: pytest.FixtureRequest) -> Any:
    """The rig's owner, alone, behind a proxy."""
    yield from line_of(request)


async def test_it_leaves_as_itself(line: Line) -> None:
    """Out of reads and writes; nothing counts against the server, and the next block is served."""
    do: Any = line.async_actions
    async with AsyncRegionKit(line.topology, local=line.home, profile=line.patient) as kit, kit.session() as s:
        await kit.create_tables()
        for inside in (True, False):
            for write in (False, True):
                async with s.write("orders") as db:
                    await do.put(db, "a", "tea")
                async with s.read("orders", consistency=EVENTUAL) as db:
                    assert await do.get(db, "a") == "tea"
                told = ""
                with pytest.raises(TimeoutError) as caught:
                    await limited(line, s, inside=inside, write=write)
                assert type(caught.value) is TimeoutError
                for error in (caught.value, caught.value.__cause__):
                    told += " ".join(getattr(error, "__notes__", []))
                if "not known" in told:  # a limit may strike before anything was sent
                    assert write
                    assert line.server in ("redis", "mongo")
                line.proxy.heal()
        breakers = kit._store("orders").state._breakers.values()
        assert sum(breaker.errors + breaker.window_failed for breaker in breakers) == 0


async def limited(line: Line, s: Any, *, inside: bool, write: bool) -> None:
    """A block whose statement is not answered, with the limit inside of it or around it."""
    do: Any = line.async_actions
    options = {} if write else {"consistency": EVENTUAL}
    line.proxy.freeze()
    if inside:
        async with (s.write if write else s.read)("orders", **options) as db:
            async with asyncio.timeout(LIMIT):
                await (do.put(db, "a", "milk") if write else do.get(db, "a"))
    else:
        async with asyncio.timeout(LIMIT):
            async with (s.write if write else s.read)("orders", **options) as db:
                await (do.put(db, "a", "milk") if write else do.get(db, "a"))
