# Generated from test_call_checks_async.py by scripts/twins.py. Do not edit.
"""A mistake in a call raises at the call. The message says what to write, and no data is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from function_forms import async_generator, coroutine, generator, plain
from sqlalchemy import text

from regionkit import (
    BOUNDED,
    STRONG,
    ConfigurationError,
    Endpoint,
    Nearest,
    Region,
    RegionKit,
    Role,
    SqlStore,
    Topology,
    UsageError,
)

IS_ASYNC = False
HERE = "eu-west-1"
INSERT = text("INSERT INTO orders (id) VALUES (1)")


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[RegionKit]:
    """A kit over one file."""
    store = SqlStore("orders", endpoints=[Endpoint(HERE, Role.PRIMARY, f"sqlite:///{tmp_path}/orders.db")])
    with RegionKit(Topology(namespace="shop", regions=[Region(HERE)], stores=[store]), local=HERE) as kit:
        kit.create_tables()
        with kit.session() as s, s.write("orders") as db:
            db.execute(text("CREATE TABLE orders (id INTEGER)"))
        yield kit


def count(kit: RegionKit) -> Any:
    """Rows."""
    with kit.session() as s, s.read("orders", consistency=STRONG) as db:
        return (db.execute(text("SELECT count(*) FROM orders"))).scalar()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"consistency": "SESSION"}, "EVENTUAL, BOUNDED"),
        ({"consistency": BOUNDED}, "BOUNDED\\(seconds\\)"),
        ({"consistency": 0.5}, "not a consistency level"),
        ({"consistency": None}, "not a consistency level"),
        ({"prefer": "nearest"}, "Nearest\\(\\)"),
        ({"prefer": Nearest}, "Nearest\\(\\)"),
        ({"timeout": "1s"}, "seconds as a number"),
        ({"timeout": True}, "seconds as a number"),
        ({"timeout": float("nan")}, "seconds as a number"),
        ({"timeout": float("inf")}, "seconds as a number"),
    ],
)
def test_a_value_of_another_kind(kit: RegionKit, options: dict[str, Any], message: str) -> None:
    """In a block and in a function."""

    def work(db: Any) -> None:
        pytest.fail("it ran")

    with kit.session() as s:
        with pytest.raises(ConfigurationError, match=message):
            with s.read("orders", **options):
                pytest.fail("it opened")
        with pytest.raises(ConfigurationError, match=message):
            s.execute_read("orders", work, **options)


def test_no_store_no_topology_no_kind(kit: RegionKit) -> None:
    """What is passed in its place is named."""
    with kit.session() as s:
        for store in (SqlStore, 5, None):
            with pytest.raises(ConfigurationError, match="is not a store"):
                s.read(store)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="from_toml"):
        RegionKit("regionkit.toml", local=HERE)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="did you mean 'read'"):
        kit.explain("orders", "raed")  # type: ignore[arg-type]


def test_a_block_is_opened_once(kit: RegionKit) -> None:
    """The inner one would take the outer one's transaction away: rows were lost without an error."""
    with kit.session() as s:
        block = s.write("orders")
        with pytest.raises(UsageError, match="opened twice"):
            with block as db:
                db.execute(INSERT)
                with block:
                    pytest.fail("it opened")
        assert count(kit) == 0
        with pytest.raises(UsageError, match="opened twice"):
            with block:
                pytest.fail("it opened")


def test_a_write_inside_the_sessions_own_write(kit: RegionKit) -> None:
    """It would wait for itself until the deadline."""
    with kit.session() as s:
        with pytest.raises(UsageError, match="a write of 'orders' inside"):
            with s.write("orders") as db:
                db.execute(INSERT)
                with s.write("orders"):
                    pytest.fail("it opened")
    assert count(kit) == 0


@pytest.mark.parametrize("key", [None, "k1"])
def test_a_function_of_the_other_form(kit: RegionKit, key: str | None) -> None:
    """It is refused before the block commits, with its marker, so the right one takes effect under the same key."""

    def right(db: Any) -> None:
        db.execute(INSERT)

    wrong = plain if IS_ASYNC else coroutine
    with kit.session() as s:
        for given in (wrong, generator, async_generator):
            with pytest.raises(UsageError, match="function"):
                s.execute_write("orders", given, idempotency_key=key)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="None is not a function"):
            s.execute_write("orders", None, idempotency_key=key)  # type: ignore[arg-type]
        assert count(kit) == 0
        s.execute_write("orders", right, idempotency_key=key)
    assert count(kit) == 1


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00"])
def test_half_a_character_is_no_text(kit: RegionKit, text: str) -> None:
    """Servers take none: told early, in one way."""

    def work(db: Any) -> None:
        pytest.fail("it ran")

    with kit.session() as s:
        with pytest.raises(ConfigurationError, match="idempotency key"):
            s.execute_write("orders", work, idempotency_key=text)
        with pytest.raises(ConfigurationError, match="fingerprint"):
            s.execute_write("orders", work, idempotency_key="k", fingerprint=text)
    with pytest.raises(ConfigurationError, match="key"):
        kit.session(key=text)


def test_what_is_no_bookmark_no_outcome_no_hook_and_no_attributes(kit: RegionKit) -> None:
    """A forgotten await, an error of another kind, a number: each is named, with what to pass."""
    given: Any
    for given in (5, b"rk0.x", object()):
        with pytest.raises(UsageError, match="not a bookmark"):
            kit.session(bookmark=given)
    given = ValueError("another")
    with pytest.raises(UsageError, match="no outcome"):
        kit.resolve(given)
    given = 3
    with pytest.raises(UsageError, match="cannot receive"):
        kit.subscribe(given)
    given = ["nationality"]
    with pytest.raises(ConfigurationError, match="attributes"):
        kit.session(attributes=given)
