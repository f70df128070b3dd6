"""Columns that the tables of messaging share: bytes that every driver sends, and numbers that rise."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

__all__ = ["INNODB", "SEQ", "Bytes"]

INNODB: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}
SEQ = BigInteger().with_variant(Integer(), "sqlite")
_MYSQL = ("mysql", "mariadb")


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
