"""Which tests of asyncio run over PostgreSQL through asyncpg too: the contracts, and what a driver may do otherwise."""

from __future__ import annotations

import importlib.util

import pytest
from fix_rig_sql import SqlStoreRig
from fix_rigs import PROXIED, SQL_BACKENDS, Rig
from fix_store_rigs import BACKENDS
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi

ASYNCPG_ERROR = AsyncAdapt_asyncpg_dbapi.Error
"""The root of what SQLAlchemy makes of asyncpg's errors."""

ALSO = frozenset(
    {
        "test_block_settings_async",
        "test_cancellation",
        "test_changed_plan_async",
        "test_checkout_async",
        "test_first_connection_async",
        "test_lost_connections_async",
        "test_many_rows_async",
        "test_message_async",
        "test_own_limits_async",
        "test_raw_cursor_async",
        "test_sql_contract_async",
        "test_store_contract_async",
        "test_streaming_async",
        "test_unit_ends_async",
        "test_unit_outcomes_async",
        "test_units_async",
    }
)
"""Modules. One that says itself over which rigs it runs keeps them."""
BACKENDS_OF = {"rig": SQL_BACKENDS, "store_rig": BACKENDS, "proxy": PROXIED}
"""The rigs that come in several kinds."""


@pytest.hookimpl(tryfirst=True)  # before marks are read
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] not in ALSO or importlib.util.find_spec("asyncpg") is None:
        return
    for name, kinds in BACKENDS_OF.items():
        own = [mark for mark in metafunc.definition.iter_markers("parametrize") if name in mark.args[0]]
        if name in metafunc.fixturenames and not own:
            metafunc.definition.add_marker(pytest.mark.parametrize(name, (*kinds, "asyncpg"), indirect=True))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An engine of the application's over asyncpg serves routing and enlist; it keeps no rows, and sends no messages."""
    items[:] = [item for item in items if not _on_an_engine(item)]


def _on_an_engine(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    kinds = [] if call is None else [kind for kind in call.params.values() if isinstance(kind, str)]
    return "asyncpg" in kinds and ("plain" in kinds or "on_an_engine_of_the_applications" in item.name)


@pytest.fixture
def asyncpg_rig(postgresql_rig: Rig) -> Rig:
    """PostgreSQL, through asyncpg."""
    postgresql_rig.urls = [url.replace("+psycopg:", "+asyncpg:") for url in postgresql_rig.urls]
    return postgresql_rig


@pytest.fixture
def asyncpg_store_rig(postgresql_store_rig: SqlStoreRig) -> SqlStoreRig:
    """The same, with keys and values."""
    pytest.importorskip("asyncpg")
    rig = postgresql_store_rig.rig
    rig.urls = [url.replace("+psycopg:", "+asyncpg:") for url in rig.urls]
    return postgresql_store_rig
