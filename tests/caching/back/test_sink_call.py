# Generated from test_sink_call_async.py by scripts/twins.py. Do not edit.
"""A function of the application's as a sink: what its answers and errors mean, and who gives out epochs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regionkit.caching.back.refusals import SinkDown, SinkRefused
from regionkit.caching.back.rules import Change, Verdict
from regionkit.caching.back.sinks.call import CallSink
from regionkit.caching.strategies import Loaded
from regionkit.errors import ConfigurationError, RegionUnavailable

from .sql_places import APPLIED, CACHE, CONFLICT, SUPERSEDED, Place, put


@pytest.fixture(params=["sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database for epochs."""
    with Place(request.param, request, tmp_path) as found:
        yield found


class Application:
    """Writes to a dict, with the guard that it has to have."""

    def __init__(self) -> None:
        self.rows: dict[Any, Change] = {}
        self.answer: Any = None
        self.epoch: Any = 0

    def write(self, changes: list[Change]) -> Any:
        """The sink's function."""
        if isinstance(self.answer, Exception):
            raise self.answer
        for change in changes:
            if change.key not in self.rows or self.rows[change.key].version < change.version:
                self.rows[change.key] = change
        return self.answer

    def row(self, key: Any) -> Any:
        """Its loader."""
        if isinstance(self.answer, Exception):
            raise self.answer
        found = self.rows.get(key)
        return None if found is None else Loaded(found.value, version=found.version)

    def next(self, cache: str, above: int) -> Any:
        """Its epochs."""
        if isinstance(self.epoch, Exception):
            raise self.epoch
        return self.epoch


def test_it_gets_the_changes_and_its_answer_counts() -> None:
    """None: all were written, of an earlier epoch perhaps not these values; else a verdict for each."""
    app = Application()
    sink = CallSink(app.write, app.row, epochs=app.next)
    sink.check()
    sink.create_tables()
    assert sink.flush(CACHE, 1, []) == []
    assert sink.flush(CACHE, 1, [put("a", 2), put("b", 3)]) == [APPLIED] * 2
    assert sink.flush(CACHE, 1, [put("a", 1)]) == [APPLIED]
    assert sink.flush(CACHE, 2, [put("b", 1)]) == [SUPERSEDED]
    found = sink.load("a")
    assert found is not None and found.value.name == "v2"
    assert sink.load("c") is None
    app.answer = [CONFLICT, Verdict.APPLIED]
    assert sink.flush(CACHE, 1, [put("a", 4), put("b", 5)]) == [CONFLICT, APPLIED]
    assert sink.forget_marks(CACHE, 10) == 0
    sink.close()


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
def test_what_its_errors_mean(raised: Exception, meant: type[Exception]) -> None:
    """Of a value: refused. Anything else is tried again."""
    app = Application()
    app.answer = raised
    sink = CallSink(app.write, app.row, epochs=app.next)
    with pytest.raises(meant) as found:
        sink.flush(CACHE, 1, [put("a", 1)])
    assert getattr(found.value, "waits", False) is getattr(raised, "waits", False)
    with pytest.raises(SinkDown):
        sink.load("a")


@pytest.mark.parametrize("answer", [[], [APPLIED], ["applied", "applied"], 2, "no"])
def test_an_answer_that_is_no_verdict_for_each_counts_as_none(answer: Any) -> None:
    """Nothing is acknowledged by mistake."""
    app = Application()
    app.answer = answer
    with pytest.raises(SinkDown, match="no Verdict for each"):
        CallSink(app.write, epochs=app.next).flush(CACHE, 1, [put("a", 1), put("b", 2)])


@pytest.mark.parametrize("epoch", [4, 5, True, None, "6", RuntimeError("no")])
def test_an_epoch_that_is_not_above_is_none(epoch: Any) -> None:
    """Versions would be given twice."""
    app = Application()
    app.epoch = epoch
    sink = CallSink(app.write, epochs=app.next)
    with pytest.raises(SinkDown):
        sink.raise_epoch(CACHE, 5)
    app.epoch = 6
    assert sink.raise_epoch(CACHE, 5) == 6


def test_epochs_of_a_database(place: Place) -> None:
    """They fence flushers of older ones, before the function is called."""
    app = Application()
    sink = CallSink(app.write, epochs=place.engine)
    sink.create_tables()
    assert [sink.raise_epoch(CACHE, 0), sink.raise_epoch(CACHE, 6)] == [1, 7]
    with pytest.raises(SinkDown, match="another flusher"):
        sink.flush(CACHE, 6, [put("a", 1)])
    assert app.rows == {}
    assert sink.flush(CACHE, 7, [put("a", 1)]) == [SUPERSEDED]
    sink.close()


def test_mistakes_are_told_when_it_is_made() -> None:
    """What is no function; a load that is not there."""
    app = Application()
    for wrong in ({"function": 1}, {"load": 1}, {"epochs": None}, {"epochs": "sqlite://"}):
        with pytest.raises(ConfigurationError):
            CallSink(**({"function": app.write, "epochs": app.next} | wrong))
    with pytest.raises(ConfigurationError, match="load="):
        CallSink(app.write, epochs=app.next).load("a")
