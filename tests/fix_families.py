"""Which servers a test needs, read off the fixtures and parameters that it asks for; nobody has to say it twice.

A test of a server gets that server's marker and `server`; `make check` leaves those out. With workers (`-n`, `--dist loadgroup`)
the tests of a server stay together, so that one worker starts it; the others stay together by file. After the last test of a
server its worker ends what it shared, as idle `mongod`s and JVMs cost a fifth of a processor for the rest of the run.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

FAMILIES = {  # a marker, and the fixtures that start such servers; the order settles where a test of two belongs
    "cassandra": {"cassandra", "own_cassandra"},
    "mongodb": {"mongo", "mongo_korean", "own_mongo"},
    "mariadb": {"mariadb", "mariadb_alone", "own_mariadb"},
    "mysql": {"mysql", "mysql_alone", "own_mysql"},
    "postgresql": {"pg", "own_pg"},
    "redis": {"redis_server", "own_redis"},
}
WORDS = {
    "cassandra": "cassandra",
    "mongo": "mongodb",
    "mariadb": "mariadb",
    "mysql": "mysql",
    "postgresql": "postgresql",
    "redis": "redis",
}
WORDS |= dict.fromkeys(("psycopg", "psycopg_async", "pg8000", "asyncpg"), "postgresql")
WORDS |= dict.fromkeys(("pymysql", "aiomysql", "mysqldb"), "mariadb")
"""What a parameter calls them, where a fixture is asked for by name (`rig[mariadb]`, `tiered[mariadb-both]`)."""
STARTS = {fixture: family for family, fixtures in FAMILIES.items() for fixture in fixtures}

SHARED = STARTS.keys() | {"kept_cassandra"}

_running: list[pytest.Item] = []
_started: list[tuple[pytest.FixtureDef[object], pytest.FixtureRequest]] = []
"""The servers that this worker shares among tests."""


def families(item: pytest.Item) -> set[str]:
    """The servers that a test needs."""
    named = {family for family in FAMILIES if item.get_closest_marker(family)}
    asked: set[str] = set(getattr(item, "fixturenames", ()))
    found = named | {STARTS[fixture] for fixture in asked & STARTS.keys()}
    if "request" in asked and (call := getattr(item, "callspec", None)) is not None:
        words = {value.partition("-")[0] for value in call.params.values() if isinstance(value, str)}
        found |= {WORDS[word] for word in words & WORDS.keys()}
    return found


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        found = families(item)
        for family in found:
            item.add_marker(family)
        if found:
            item.add_marker("server")
        item.add_marker(pytest.mark.xdist_group(_group(item, found)))


def _group(item: pytest.Item, found: set[str]) -> str:
    return next((family for family in FAMILIES if family in found), item.nodeid.partition("::")[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _running[:] = [item]
    try:
        return (yield)
    finally:
        _running.clear()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # after the fixtures of the module have ended
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    try:
        return (yield)
    finally:
        if _started and getattr(item.config.option, "loadgroup", False) and _is_last_of_its_group(item, nextitem):
            _end_shared()


def _is_last_of_its_group(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    return nextitem is None or _group(item, families(item)) != _group(nextitem, families(nextitem))


def _end_shared() -> None:
    """The newest first; a test that asks for one again gets a new one."""
    while _started:
        fixturedef, request = _started.pop()
        fixturedef.finish(request)  # type: ignore[arg-type]  # it is the request that the fixture was made with


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    """What the derivation misses is no silent part of `make check`."""
    if fixturedef.argname in SHARED and fixturedef.scope == "session":
        _started.append((fixturedef, request))
    family = STARTS.get(fixturedef.argname)
    if family and _running and _running[0].get_closest_marker(family) is None:
        pytest.fail(
            f"{_running[0].nodeid} starts {family} and no fixture or parameter of it says so: mark it", pytrace=False
        )
