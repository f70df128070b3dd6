"""What a SQL sink says to each server. Immutable statements, made once for the columns that values have.

1. The guard stands in each statement that changes a row: version below the change's, a NULL counted as 0.
2. MariaDB sets columns one after the other, and ON DUPLICATE KEY sees those that are set: the version comes last.
3. MariaDB's ON DUPLICATE KEY fires on any unique index, and would write another row than the key's. Where the table has another
   one, rows are updated by their key, and those that are not there inserted.
4. MariaDB would delete a row a statement: so rows are locked and looked at, and those whose version is lower go by one.
5. PostgreSQL takes many rows as one parameter of JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Column,
    Dialect,
    MetaData,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    tuple_,
    update,
)

from regionkit.caching.back.sinks.json_sql import JsonRows
from regionkit.caching.back.sinks.raising_sql import MYSQL, EpochStatements, inserting, rising
from regionkit.caching.back.sinks.target_sql import Target
from regionkit.caching.kept_tables import WB_MARK
from regionkit.caching.schema_sql import wb_mark
from regionkit.contract.message import Statement
from regionkit.core.tables import table_name

__all__ = ["Statements", "Upsert"]

_LOCKS = MappingProxyType(
    {
        "postgresql": ("FOR SHARE", "FOR UPDATE"),
        **dict.fromkeys(MYSQL, ("LOCK IN SHARE MODE", "FOR UPDATE")),
        "sqlite": ("", ""),  # its transaction has the file alone
    }
)
NO_CACHE = ""
"""No cache is called so."""
MOST_SHAPES = 64
"""Sets of columns whose statements are kept: values of one type have one, or a few where fields are left out."""
_NONE: Any = literal_column("0")
"""In the text: PyMySQL sends many rows as one statement only where nothing behind them is a parameter."""
COUNTED = MappingProxyType({"preserve_rowcount": True})
"""Else an INSERT tells no count once its cursor is closed."""


class Upsert:
    """What writes rows of one set of columns.

    Attributes:
        rows: of parameters, a set a row; on MariaDB it is not to be used where there is another unique index.
        update, insert: of parameters, in its place then.
        whole: of one JSON parameter `rows`; PostgreSQL's.
        json: what says rows so.
    """

    def __init__(self, target: Target, names: Sequence[str], dialect: Dialect) -> None:
        columns = [target.table.c[name] for name in names]
        server = dialect.name
        self.rows = _upsert(target, columns, server).execution_options(**COUNTED)
        keys = {column.key for column in target.keys}
        new: dict[str, Any] = {c.key: bindparam(f"n_{c.key}", type_=c.type) for c in columns if c.key not in keys}
        self.update = update(target.table).where(_guard(target)).values(new).execution_options(**COUNTED)
        self.insert = insert(target.table).inline()
        self.json = JsonRows(columns)
        self.whole: Any = None
        if server == "postgresql" and not _defaults_of_python(target, names):
            self.whole = text(_whole_upsert(target, columns, dialect)).execution_options(**COUNTED)


class Statements:
    """All that is said for one table."""

    def __init__(self, target: Target, namespace: str, dialect: Dialect) -> None:
        self.server = dialect.name
        self._dialect = dialect
        self._target = target
        self._shapes: dict[tuple[str, ...], Upsert] = {}
        self.epochs = EpochStatements(namespace, self.server)
        self.marks = wb_mark(MetaData(), table_name(namespace, WB_MARK.name))
        self.mark = rising(self.server, self.marks, "version", plus=0)
        t = target.table
        gone: Any = delete(t) if target.flag is None else update(t).values({target.flag.key: _new(target.flag)})
        if target.flag is not None:
            gone = gone.values({target.version.key: bindparam("n_version")})
        self.gone: Any = gone.where(_guard(target))
        self.whole_gone: Any = None
        self.bare = JsonRows([*target.keys, target.version])
        if self.server == "postgresql" and target.flag is None:
            self.whole_gone = text(_whole_delete(target, dialect)).execution_options(**COUNTED)

    def upsert(self, names: Sequence[str]) -> Upsert:
        """What writes rows of these columns."""
        shape = tuple(names)
        found = self._shapes.get(shape)
        if found is None:
            if len(self._shapes) >= MOST_SHAPES:
                self._shapes.clear()
            found = self._shapes[shape] = Upsert(self._target, shape, self._dialect)
        return found

    def opening(self, cache: str, timeout: float, *, alone: bool) -> list[Statement]:
        """Bounds, and the lock of the epoch, which answers with a row.

        Marks are asked for behind it, by another statement: what that sees was committed before this one was answered.
        """
        said = list[str]()
        if self.server == "postgresql":
            longest = int(timeout * 1000) + 1
            said += [
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",  # else marks would be seen as of the first statement
                f"SET LOCAL statement_timeout = {longest}",
                f"SET LOCAL lock_timeout = {longest}",
                f"SET LOCAL idle_in_transaction_session_timeout = {longest}",
            ]
        lock = _LOCKS[self.server][alone]
        said.append(f"SELECT epoch FROM {self.epochs.table.name} WHERE cache = '{cache}' {lock}")  # noqa: S608  # [a-z0-9_]+
        return [Statement(one) for one in said]

    def any_mark(self, cache: str) -> Statement:
        """A row where there is any mark."""
        return self._marks(f"cache = '{cache}' LIMIT 1")

    def marks_of(self, cache: str, marks: Sequence[str]) -> Statement:
        """Those of some keys (32 hex digits each), and their versions."""
        keys = ", ".join(f"'{mark}'" for mark in marks)
        return self._marks(f"cache = '{cache}' AND {self._quoted(self.marks.c.key)} IN ({keys})")

    def _marks(self, where: str) -> Statement:
        shared = "LOCK IN SHARE MODE" if self.server in MYSQL else ""  # its plain reads may be of an old snapshot
        wanted = f"{self._quoted(self.marks.c.key)}, version FROM {self.marks.name}"
        return Statement(f"SELECT {wanted} WHERE {where} {shared}")

    def _quoted(self, column: Column[Any]) -> str:
        return self._dialect.identifier_preparer.quote(column.name)

    def standing(self, parts: Sequence[tuple[Any, ...]], *, lock: bool, alone: bool = False) -> Any:
        """Keys and versions of the rows that stand there. `alone`: nobody else may lock them."""
        found = select(*self._target.keys, func.coalesce(self._target.version, _NONE)).where(self._among(parts))
        return found.with_for_update(read=not alone) if lock and self.server in MYSQL else found

    def without(self, parts: Sequence[tuple[Any, ...]]) -> Any:
        """Take rows away, whatever their version: they are locked, and it is known."""
        return delete(self._target.table).where(self._among(parts))

    def _among(self, parts: Sequence[tuple[Any, ...]]) -> Any:
        keys = self._target.keys
        return keys[0].in_([p[0] for p in parts]) if len(keys) == 1 else tuple_(*keys).in_(parts)

    def row(self, parts: tuple[Any, ...]) -> Any:
        """One row: its version, its flag where there is one, its columns."""
        target = self._target
        flag: list[Any] = [] if target.flag is None else [target.flag]
        here = and_(*(column == part for column, part in zip(target.keys, parts, strict=True)))
        return select(func.coalesce(target.version, _NONE), *flag, *target.read).where(here)

    def cache_of(self, place: str) -> Any:
        """Which cache writes the table, as a number: a row among the marks, of no cache."""
        return select(self.marks.c.version).where(self.marks.c.cache == NO_CACHE, self.marks.c.key == place)

    def belongs(self, place: str, number: int, now: float) -> Any:
        """Write down which cache it is."""
        return insert(self.marks).values(cache=NO_CACHE, key=place, version=number, made=now)

    def gives_up(self, place: str) -> str:
        """What an operator runs to give the table to another cache."""
        marks, t = self.marks, self._target
        key = self._quoted(marks.c.key)
        return (
            f"DELETE FROM {marks.name} WHERE cache = '{NO_CACHE}' AND {key} = '{place}'; "  # noqa: S608
            f"UPDATE {t.name} SET {t.version.name} = 0"
        )

    def old_marks(self, cache: str, below: int, most: int) -> Any:
        """Keys and times of marks that are below a version, the lowest first, a few."""
        m = self.marks.c
        return select(m.key, m.made).where(m.cache == cache, m.version < below).order_by(m.version).limit(most)

    def drop_marks(self, cache: str, below: int, keys: Sequence[str]) -> Any:
        """Take marks away, those that have not been raised since."""
        m = self.marks.c
        return delete(self.marks).where(m.cache == cache, m.key.in_(keys), m.version < below)


def _new(column: Column[Any]) -> Any:
    return bindparam(f"n_{column.key}", type_=column.type)


def _guard(target: Target) -> Any:
    """The row of a key, where its version is lower; by the parameters `k_...` and `n_version`."""
    here = [column == bindparam(f"k_{column.key}", type_=column.type) for column in target.keys]
    return and_(*here, func.coalesce(target.version, _NONE) < bindparam("n_version", type_=target.version.type))


def _upsert(target: Target, columns: Sequence[Column[Any]], server: str) -> Any:
    made, version = inserting(server, target.table), target.version
    keys = {column.key for column in target.keys}
    others = [c for c in columns if c.key not in keys and c is not version]
    if server in MYSQL:
        newer = func.coalesce(version, _NONE) < made.inserted[version.key]
        sets = [(c.key, case((newer, made.inserted[c.key]), else_=c)) for c in [*others, version]]
        return made.on_duplicate_key_update(sets)
    newer = func.coalesce(version, _NONE) < made.excluded[version.key]
    changed = {c.key: made.excluded[c.key] for c in [*others, version]}
    return made.on_conflict_do_update(index_elements=target.keys, set_=changed, where=newer)


def _defaults_of_python(target: Target, names: Sequence[str]) -> bool:
    """Whether a column that is left out has a default that SQLAlchemy gives, and not the server."""
    return any(c.default is not None and c.key not in names for c in target.table.columns)


def _names(columns: Sequence[Column[Any]], dialect: Dialect) -> list[str]:
    return [_text(dialect.identifier_preparer.quote(column.name)) for column in columns]


def _text(name: str) -> str:
    return name.replace(":", r"\:")


def _whole_upsert(target: Target, columns: Sequence[Column[Any]], dialect: Dialect) -> str:
    table = _text(dialect.identifier_preparer.format_table(target.table))
    names, keys = _names(columns, dialect), _names(target.keys, dialect)
    (version,) = _names([target.version], dialect)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    return (
        f"INSERT INTO {table} AS t ({', '.join(names)}) SELECT {', '.join(names)}"  # noqa: S608  # quoted names
        f" FROM json_populate_recordset(CAST(NULL AS {table}), CAST(:rows AS json))"
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets} WHERE coalesce(t.{version}, 0) < excluded.{version}"
    )


def _whole_delete(target: Target, dialect: Dialect) -> str:
    table = _text(dialect.identifier_preparer.format_table(target.table))
    keys = _names(target.keys, dialect)
    (version,) = _names([target.version], dialect)
    same = " AND ".join(f"t.{name} = a.{name}" for name in keys)
    return (
        f"DELETE FROM {table} AS t USING json_populate_recordset(CAST(NULL AS {table}), CAST(:rows AS json)) AS a"  # noqa: S608
        f" WHERE {same} AND coalesce(t.{version}, 0) < a.{version}"
    )
