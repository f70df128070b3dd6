"""What the tables of messaging share: bytes that every driver sends, numbers that rise, the server's clock, no table at all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["INNODB", "NOW", "SEQ", "Bytes", "is_missing"]

INNODB: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}
SEQ = BigInteger().with_variant(Integer(), "sqlite")
_MYSQL = ("mysql", "mariadb")
NOW = {
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    **dict.fromkeys(_MYSQL, "(UNIX_TIMESTAMP(NOW(6)) + 0.0e0)"),
}
"""Seconds since 1970 by the server's clock, as an expression."""


def is_missing(error: DBAPIError) -> bool:
    """Whether a statement failed as a table is not there: PostgreSQL, MariaDB, SQLite."""
    told: Any = error.orig
    return getattr(told, "sqlstate", "") == "42P01" or told.args[:1] == (1146,) or "no such table" in str(told)


class _sent(GenericFunction[bytes]):  # its name in SQL
    """What becomes of a parameter of bytes: itself, or the bytes of its hex digits."""

    type = LargeBinary()
    inherit_cache = True


@compiles(_sent)
def _itself(element: Any, compiler: Any, **kw: Any) -> str:
    return str(compiler.process(element.clauses.clauses[0], **kw))


@compiles(_sent, "mysql")
@compiles(_sent, "mariadb")
def _unhexed(element: Any, compiler: Any, **kw: Any) -> str:
    return f"UNHEX({_itself(element, compiler, **kw)})"


class Bytes(TypeDecorator[bytes]):
    """Bytes: at most `length`, for a key; None: as many as a message has. aiomysql cannot send them with a PyMySQL of today."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The server's own type."""
        length: int | None = self.impl_instance.length  # type: ignore[attr-defined]  # of the LargeBinary above
        if dialect.name not in _MYSQL:
            return dialect.type_descriptor(LargeBinary(length))
        return dialect.type_descriptor(mysql.LONGBLOB() if length is None else mysql.VARBINARY(length))

    def bind_expression(self, bindvalue: Any) -> Any:
        """Around each parameter."""
        return _sent(bindvalue)

    def bind_processor(self, dialect: Dialect) -> Any:
        """What is sent."""
        if dialect.name in _MYSQL:
            return lambda value: None if value is None else bytes(value).hex()
        return super().bind_processor(dialect)
