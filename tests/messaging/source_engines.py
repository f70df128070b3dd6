"""Engines of the application's own, of both worlds, on the servers of tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

DRIVERS = {"mysql+pymysql": "mysql+aiomysql", "sqlite": "sqlite+aiosqlite", "postgresql+psycopg": "postgresql+psycopg"}


def url_of(kind: str, request: pytest.FixtureRequest, tmp_path: Any) -> str:
    """An empty database."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'queue.db'}"
    servers: Any = request.getfixturevalue("pg" if kind == "postgresql" else kind)
    url: str = servers.primary.url_for(servers.database())
    return url


def engine_of(url: str, is_async: bool) -> Any:
    """An engine."""
    parsed = sqlalchemy.make_url(url)
    if is_async:
        return create_async_engine(parsed.set(drivername=DRIVERS[parsed.drivername]))
    return sqlalchemy.create_engine(parsed)


@contextlib.contextmanager
def locked_row(url: str, id_of: str) -> Iterator[None]:
    """Somebody's transaction has locked a row of the queue, for as long as this lasts. `id_of`: "min" or "max"."""
    engine = sqlalchemy.create_engine(url)
    table = "regionkit_rk_queue"
    with engine.connect() as connection:
        [[id]] = connection.execute(sqlalchemy.text(f"SELECT {id_of}(id) FROM {table}")).all()
        connection.rollback()
        connection.execute(sqlalchemy.text(f"SELECT id FROM {table} WHERE id = :id FOR UPDATE"), {"id": id})
        yield
    engine.dispose()


def client_of(url: str, is_async: bool) -> Any:
    """A client of redis-py, with its own retries. Never connected: there is nothing to close."""
    options: Any = {"decode_responses": True, "protocol": 3}  # neither matters to what a source is answered
    return redis.asyncio.Redis.from_url(url, **options) if is_async else redis.Redis.from_url(url, **options)
