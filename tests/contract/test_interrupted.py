"""Whose an exception is, by its traceback: every row of the module's table, with frames of modules that bear those names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from regionkit.contract.interrupted import interruption, is_drivers

APP, LIBRARY = "shop.views", "requests.adapters"
DRIVERS = (
    "psycopg.connection",
    "pymysql.connections",
    "aiomysql.connection",
    "redis.connection",
    "pymongo.network_layer",
)


def calling(module: str, inner: Callable[[], None]) -> Callable[[], None]:
    """A function of that module, which calls another."""
    names: dict[str, object] = {"__name__": module, "inner": inner}
    exec("def call(): inner()", names)
    return names["call"]  # type: ignore[return-value]


def raising(modules: tuple[str, ...], error: BaseException) -> Callable[[], None]:
    """Frames of these modules, the last of which raises."""
    names: dict[str, object] = {"__name__": modules[-1], "error": error}
    exec("def call(): raise error", names)
    call: Callable[[], None] = names["call"]  # type: ignore[assignment]
    for module in reversed(modules[:-1]):
        call = calling(module, call)
    return call


def converting(module: str, inner: Callable[[], None], error: BaseException) -> Callable[[], None]:
    """A function of that module, which makes another error of what it catches."""
    names: dict[str, object] = {"__name__": module, "inner": inner, "error": error}
    exec("def call():\n try: inner()\n except BaseException: raise error", names)
    return names["call"]  # type: ignore[return-value]


def caught(call: Callable[[], None]) -> BaseException:
    """What it raises; the traceback begins in the code under test, as in a block."""
    try:
        calling("regionkit.routing.blocks", call)()
    except BaseException as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_drivers_own(driver: str) -> None:
    """Raised by it, by its socket, or by another loop than asyncio's."""
    for last in ("socket", "ssl", "uvloop.loop", driver):
        error = caught(raising((APP, driver, last), ConnectionResetError()))
        assert interruption(error) is None
        assert is_drivers(error)
        made = caught(calling(APP, converting(driver, raising((driver, last), TimeoutError()), RuntimeError())))
        assert interruption(made) is None


@pytest.mark.parametrize("driver", DRIVERS)
def test_one_that_stopped_a_driver(driver: str) -> None:
    """As it is, or as what the driver made of it, once or twice."""
    own = TimeoutError("out of time")
    stops = raising((driver, "socket", APP), own)
    assert interruption(caught(calling(APP, stops))) is own
    once = converting(driver, raising((driver, "socket", APP), own), RuntimeError())
    assert interruption(caught(calling(APP, once))) is own
    twice = converting("regionkit.backends.redis.stream", once, RuntimeError())
    found = caught(calling(APP, twice))
    assert interruption(found) is own
    assert is_drivers(own) is False


def test_a_base_exception_under_a_driver_is_nobodys_but_the_applications() -> None:
    """Greenlets throw it into the driver's own frame; a cancellation is the loop's."""

    class Over(BaseException):
        pass

    assert isinstance(interruption(caught(raising((APP, "redis.connection", "gevent.hub"), Over()))), Over)
    cancelled = asyncio.CancelledError()
    assert interruption(caught(raising((APP, "redis.connection", "asyncio.streams"), cancelled))) is None


def test_the_applications_own_code() -> None:
    """Nothing of a driver's was under way; a library that the application calls is above, too."""
    for modules in ((APP,), (APP, LIBRARY, "socket"), ("regionkit.routing.execute", APP)):
        error = caught(raising(modules, ConnectionRefusedError()))
        assert interruption(error) is None
        assert not is_drivers(error)
    assert is_drivers(ConnectionRefusedError())  # it was never raised: made by a backend to be told


def test_what_the_application_had_caught_before_is_another_matter() -> None:
    """Its time limit struck, it went on, and then the server was lost."""
    earlier = raising(("redis.connection", "socket", APP), TimeoutError())
    lost = converting(APP, earlier, ConnectionResetError())
    error = caught(lost)
    assert isinstance(error.__context__, TimeoutError)
    assert interruption(error) is None


def test_a_limit_of_asyncio() -> None:
    """The application's where it entered it; ours ends a wait at the deadline."""

    def limit(*modules: str) -> BaseException:
        error = TimeoutError()
        error.__cause__ = asyncio.CancelledError()
        return caught(raising((*modules, "asyncio.timeouts"), error))

    assert interruption(limit(APP)) is not None
    assert interruption(limit("regionkit.backends.mongo.sockets_async")) is None
    assert interruption(limit("aiomysql.connection")) is None
