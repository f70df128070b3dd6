"""A function of the application's as a sink: what its answers and errors mean, and who gives out epochs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regionkit.caching.back.refusals import SinkDown, SinkRefused
from regionkit.caching.back.rules import Change, Verdict
from regionkit.caching.back.sinks.call_async import AsyncCallSink
from regionkit.caching.strategies import Loaded
from regionkit.errors import ConfigurationError, RegionUnavailable

from .sql_places_async import APPLIED, CACHE, CONFLICT, SUPERSEDED, Place, put


@pytest.fixture(params=["sqlite"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A database for epochs."""
    async with Place(request.param, request, tmp_path) as found:
        yield found


class Application:
    """Writes to a dict, with the guard that it has to have."""

    def __init__(self) -> None:
        self.rows: dict[Any, Change] = {}
        self.answer: Any = None
        self.epoch: Any = 0

    async def write(self, changes: list[Change]) -> Any:
        """The sink's function."""
        if isinstance(self.answer, Exception):
            raise self.answer
        for change in changes:
            if change.key not in self.rows or self.rows[change.key].version < change.version:
                self.rows[change.key] = change
        return self.answer

    async def row(self, key: Any) -> Any:
        """Its loader."""
        if isinstance(self.answer, Exception):
            raise self.answer
        found = self.rows.get(key)
        return None if found is None else Loaded(found.value, version=found.version)

    async def next(self, cache: str, above: int) -> Any:
        """Its epochs."""
        if isinstance(self.epoch, Exception):
            raise self.epoch
        return self.epoch


async def test_it_gets_the_changes_and_its_answer_counts() -> None:
    """None: all were written, of an earlier epoch perhaps not these values; else a verdict for each."""
    app = Application()
    sink = AsyncCallSink(app.write, app.row, epochs=app.next)
    await sink.check()
    await sink.create_tables()
    assert await sink.flush(CACHE, 1, []) == []
    assert await sink.flush(CACHE, 1, [put("a", 2), put("b", 3)]) == [APPLIED] * 2
    assert await sink.flush(CACHE, 1, [put("a", 1)]) == [APPLIED]
    assert await sink.flush(CACHE, 2, [put("b", 1)]) == [SUPERSEDED]
    found = await sink.load("a")
    assert found is not None and found.value.name == "v2"
    assert await sink.load("c") is None
    app.answer = [CONFLICT, Verdict.APPLIED]
    assert await sink.flush(CACHE, 1, [put("a", 4), put("b", 5)]) == [CONFLICT, APPLIED]
    assert await sink.forget_marks(CACHE, 10) == 0
    await sink.close()


@pytest.mark.parametrize(
    ("raised", "meant"),
    [
        (ValueError("too long"), SinkRefused),
        (KeyError("colour"), SinkRefused),
        (SinkRefused("not yet", waits=True), SinkRefused),
        (SinkDown("later"), SinkDown),
        (RegionUnavailable("gone"), SinkDown),
        (ConfigurationError("which is a ValueError, and ours"), SinkDown),
        (RuntimeError("what"), SinkDown),
    ],
)
async def test_what_its_errors_mean(raised: Exception, meant: type[Exception]) -> None:
    """Of a value: refused. Anything else is tried again."""
    app = Application()
    app.answer = raised
    sink = AsyncCallSink(app.write, app.row, epochs=app.next)
    with pytest.raises(meant) as found:
        await sink.flush(CACHE, 1, [put("a", 1)])
    assert getattr(found.value, "waits", False) is getattr(raised, "waits", False)
    with pytest.raises(SinkDown):
        await sink.load("a")


@pytest.mark.parametrize("answer", [[], [APPLIED], ["applied", "applied"], 2, "no"])
async def test_an_answer_that_is_no_verdict_for_each_counts_as_none(answer: Any) -> None:
    """Nothing is acknowledged by mistake."""
    app = Application()
    app.answer = answer
    with pytest.raises(SinkDown, match="no Verdict for each"):
        await AsyncCallSink(app.write, epochs=app.next).flush(CACHE, 1, [put("a", 1), put("b", 2)])


@pytest.mark.parametrize("epoch", [4, 5, True, None, "6", RuntimeError("no")])
async def test_an_epoch_that_is_not_above_is_none(epoch: Any) -> None:
    """Versions would be given twice."""
    app = Application()
    app.epoch = epoch
    sink = AsyncCallSink(app.write, epochs=app.next)
    with pytest.raises(SinkDown):
        await sink.raise_epoch(CACHE, 5)
    app.epoch = 6
    assert await sink.raise_epoch(CACHE, 5) == 6


async def test_epochs_of_a_database(place: Place) -> None:
    """They fence flushers of older ones, before the function is called."""
    app = Application()
    sink = AsyncCallSink(app.write, epochs=place.engine)
    await sink.create_tables()
    assert [await sink.raise_epoch(CACHE, 0), await sink.raise_epoch(CACHE, 6)] == [1, 7]
    with pytest.raises(SinkDown, match="another flusher"):
        await sink.flush(CACHE, 6, [put("a", 1)])
    assert app.rows == {}
    assert await sink.flush(CACHE, 7, [put("a", 1)]) == [SUPERSEDED]
    await sink.close()


async def test_mistakes_are_told_when_it_is_made() -> None:
    """What is no function; a load that is not there."""
    app = Application()
    for wrong in ({"function": 1}, {"load": 1}, {"epochs": None}, {"epochs": "sqlite://"}):
        with pytest.raises(ConfigurationError):
            AsyncCallSink(**({"function": app.write, "epochs": app.next} | wrong))
    with pytest.raises(ConfigurationError, match="load="):
        await AsyncCallSink(app.write, epochs=app.next).load("a")
