"""Engines of an application for the tests of `enlist`: a database of each kind, with one table."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event, orm, text

DRIVERS = ("sqlite", "psycopg", "pymysql", "pg8000", "mysqldb", "mysql")
ASYNC_DRIVERS = ("aiosqlite", "psycopg_async", "aiomysql")
"""By its driver; "mysql" is MySQL through PyMySQL, which the others of its kind have MariaDB behind them with."""
MODULES = {"mysqldb": "MySQLdb", "psycopg_async": "psycopg", "sqlite": "sqlite3"}


class Base(orm.DeclarativeBase):
    """Models of the application."""


class Item(Base):
    """A row of it."""

    __tablename__ = "items"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    name: orm.Mapped[str] = orm.mapped_column(sqlalchemy.String(40), unique=True)


def server_url(driver: str, request: pytest.FixtureRequest) -> sqlalchemy.URL:
    """A new database of the server that the driver is for."""
    servers: Any
    if driver == "mysql":
        servers = request.getfixturevalue("mysql")
        return sqlalchemy.make_url(servers.primary.url_for(servers.database()))
    module = MODULES.get(driver, driver)
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    if "sqlite" in driver:
        url = sqlalchemy.make_url(f"sqlite:///{request.getfixturevalue('data_path')}/items.db")
        return url if driver == "sqlite" else url.set(drivername="sqlite+aiosqlite")
    postgres = driver.startswith(("psycopg", "pg8000"))
    servers = request.getfixturevalue("pg" if postgres else "mariadb")
    url = sqlalchemy.make_url(servers.primary.url_for(servers.database()))
    return url.set(drivername=f"{'postgresql' if postgres else 'mysql'}+{driver}")


def really_begin(engine: sqlalchemy.Engine) -> None:
    """SQLAlchemy's recipe for SQLite: savepoints need a BEGIN, and sqlite3 sends none for them."""
    if engine.dialect.name != "sqlite":
        return

    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begin)


def names(engine: sqlalchemy.Engine) -> list[str]:
    """What is committed."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT name FROM items ORDER BY id")).scalars())


def insert(number: int) -> Any:
    """A statement of the application."""
    return sqlalchemy.insert(Item).values(id=number, name=f"item {number}")
