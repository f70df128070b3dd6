"""Every private part of a driver that the package uses is listed here, and is there in the driver that is installed.

A driver may drop what it never promised. Then this test names the part, the driver's version and the files that use it, where
otherwise a block would fail at a customer's.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import defaultdict
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from parsed import PACKAGE, parsed

PARTS: dict[str, tuple[str, ...]] = {
    "SQLAlchemy": (
        "sqlalchemy.engine.base: _begin_impl _close_impl _commit_impl _connection_commit_impl _connection_rollback_impl",
        "sqlalchemy.engine.base: _deactivate_from_connection _do_commit _exec_single_context _execute_context",
        "sqlalchemy.engine.base: _handle_dbapi_exception _is_autocommit_isolation _previous_nested _revalidate_connection",
        "sqlalchemy.engine.base: _rollback_impl _connection_cls _Connection__in_begin _Connection__can_reconnect",
        "sqlalchemy.orm.session: _deleted _dirty_states _new",
        "sqlalchemy.sql.elements: _bindparams",
        "sqlalchemy.pool.base: _creator",
        "sqlalchemy.dialects.mysql.base: _fetch_setting _parse_server_version",
        "sqlalchemy.dialects.postgresql.asyncpg: _handle_exception",
        "sqlalchemy.dialects.postgresql.psycopg: _rows",
    ),
    "psycopg": (
        "psycopg._connection_base: _autocommit _check_connection_ok _exec_command _get_tx_start_command _prepared _read_only",
        "psycopg.connection: _connect_gen",
        "*psycopg._pipeline psycopg._pipeline_base: _enqueue_sync _fetch_gen",
        "*psycopg._server_cursor_base psycopg.server_cursor: _withhold",
        "psycopg._cursor_base: _execute_gen _results",
        "psycopg.errors: _pgconn",
        "psycopg.pq.pq_ctypes: _encoding",
    ),
    "asyncpg": ("asyncpg.connection: _top_xact",),
    "PyMySQL": (
        "pymysql.connections: _execute_command _force_close _get_server_information _next_seq_id _read_bytes _read_ok_packet",
        "pymysql.connections: _read_packet _read_query_result _write_bytes _result _sock _finish_unbuffered_query",
    ),
    "aiomysql": (
        "aiomysql.connection: _execute_command _get_server_information _read_bytes _read_ok_packet _read_packet",
        "aiomysql.connection: _read_query_result _result _reader _writer _ssl_context _connect _finish_unbuffered_query",
    ),
    "aiosqlite": ("aiosqlite.core: _conn _thread _tx",),
    "redis": (
        "redis.connection: _command_packer _connect _host_error _parser _sock",
        "redis._parsers.base: set_invalidation_push_handler",
        "redis.asyncio.connection: _connect _connection_arguments _host_error _parser _reader _writer",
    ),
    "pymongo": (
        "pymongo._csot: _TimeoutContext",
        "pymongo.synchronous.mongo_client: _checkout _close_cursor_now _close_cursor_soon _closed _conn_from_server",
        "pymongo.synchronous.mongo_client: _ensure_session _get_topology _kill_cursor_impl _kill_cursors",
        "pymongo.synchronous.mongo_client: _kill_cursors_queue _opened _process_kill_cursors _resolve_srv_info",
        "pymongo.synchronous.mongo_client: _retry_internal _return_server_session _seeds _select_server _tmp_session _topology",
        "*pymongo.synchronous.client_session pymongo.client_session_shared: _server_session _starting_transaction _transaction",
        "pymongo.synchronous.topology: _servers",
        "pymongo.common: _write_concern",
        "pymongo.pool_options: _credentials _ssl_context",
        "pymongo.client_options: _options",
        "*pymongo.synchronous.client_session pymongo.client_session_shared: _apply_to _process_response _update_read_concern",
        "*pymongo.synchronous.client_session pymongo.client_session_shared: _EmptyServerSession",
        "*pymongo.synchronous.pool pymongo.pool_shared: _PoolClosedError",
    ),
    "cassandra-driver": (
        "cassandra.cluster: _ConfigMode _config_mode _prepared_statements",
        "cassandra.query: _statements_and_parameters",
        "cassandra.connection: _send_options_message _send_startup_message",
    ),
}
"""By distribution: a module (`*`: one of several) and what of it is used."""
OURS = frozenset({"_asdict", "_replace", "_meta", "_actions"})
"""Of named tuples and of Django's models: documented. Of argparse, whose parsers have no other list of what they take."""
OF_OTHERS = frozenset({"_transaction_status"})
"""Of drivers that only an application brings (pg8000), looked for with a default."""
ABSENT = frozenset({"_WaitTimeout"})
"""Looked for with `hasattr`, and done without."""


def names() -> dict[str, dict[str, tuple[str, ...]]]:
    """By distribution and part: the modules that it may be in."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for distribution, lines in PARTS.items():
        parts = found.setdefault(distribution, {})
        for line in lines:
            modules, _, listed = line.partition(": ")
            for part in listed.split():
                parts[part] = tuple(modules.lstrip("*").split())
    return found


LISTED = names()


@cache
def source(module: str) -> str:
    """A module's text; "" where there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        return ""
    if spec is None or spec.origin is None:
        return ""
    text = Path(spec.origin).parent / f"{module.rpartition('.')[2]}.py"  # also beside what was compiled
    return text.read_text() if text.exists() else ""


@pytest.mark.parametrize(
    ("distribution", "part"), [(distribution, part) for distribution in LISTED for part in LISTED[distribution]]
)
def test_a_private_part_of_a_driver_is_there(distribution: str, part: str) -> None:
    """Named, with the driver's version and its users."""
    modules = LISTED[distribution][part]
    written = re.sub(r"^_[A-Z]\w*?(?=__)", "", part)  # `_Connection__x` is what Python makes of `__x`
    there = any(re.search(rf"\b{written}\b", source(module)) for module in modules)
    version = metadata.version(distribution)
    assert there, (
        f"{distribution} {version} has no {part} in {' or '.join(modules)}: {sorted(used().get(part, ()))} use it"
    )


@cache
def trees() -> tuple[tuple[str, ast.Module], ...]:
    """Of hand-written modules."""
    return tuple(
        (str(path.relative_to(PACKAGE)), tree) for path, text, tree in parsed() if not text.startswith("# Generated")
    )


@cache
def own() -> frozenset[str]:
    """Names that the package defines itself."""
    found: set[str] = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    found.add(name)
                case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
                    found.add(name)
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(name)
                case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                    found |= {str(c.value) for c in ast.walk(value) if isinstance(c, ast.Constant)}
                case ast.Assign(targets=[ast.Name(id=name)]):
                    found.add(name)
    return frozenset(found)


@cache
def used() -> dict[str, frozenset[str]]:
    """Private names that are no names of the package's, or are a driver's that it goes on to; and the files."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for file, tree in trees():
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name, value=ast.Call(func=ast.Name(id="super"))):
                    found[name].add(file)
                case ast.Attribute(attr=name) if name not in own():
                    found[name].add(file)
                case ast.ImportFrom(module=str(module), names=imported) if not module.startswith("regionkit"):
                    for each in imported:
                        found[each.name].add(file)
    return {name: frozenset(files) for name, files in found.items() if re.match(r"_[a-zA-Z]", name)}


def test_every_private_part_that_is_used_is_listed() -> None:
    """A new one needs a reason, and a line above: first look for the public way."""
    listed = {part for parts in LISTED.values() for part in parts}
    known = (
        listed | OURS | OF_OTHERS | ABSENT | {"_by_lock", "_make_engine", "_execute", "_csot"}
    )  # the last: of this package
    assert {name: sorted(files) for name, files in used().items() if name not in known} == {}


def test_what_is_gone_is_noticed() -> None:
    """The look into a driver's source is no tautology."""
    assert not re.search(r"\b_no_such_part\b", source("sqlalchemy.engine.base"))
    assert source("no.such.module") == ""
    assert "super()._connect_gen" in "".join((PACKAGE / "backends" / "sql" / "postgres.py").read_text())
    assert "_retry_internal" in used()
