# Generated from test_unsent_async.py by scripts/twins.py. Do not edit.
"""What a driver refuses before it sends anything is the application's error: it leaves as itself, and no server is blamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fix_store_rigs import StoreRig

from regionkit import RegionKit, RegionKitError

HERE = "ap-northeast-2"
OTHER = object()
TIMES = 4
"""More than the failures in a row that would bar an endpoint."""


@pytest.fixture
def kit(store_rig: StoreRig) -> Iterator[RegionKit]:
    """A kit with its tables."""
    with RegionKit(store_rig.topology(), local=HERE) as kit:
        kit.create_tables()
        yield kit


def keys(rig: StoreRig) -> list[str | None]:
    """Without an idempotency key, and with one."""
    return [None] if rig.server == "cassandra" else [None, "k"]


@pytest.mark.parametrize("value", [OTHER, "\ud800"], ids=["no value", "half a character"])
def test_a_value_that_no_driver_packs(kit: RegionKit, store_rig: StoreRig, value: Any) -> None:
    """Nothing was sent, so nothing is unknown; the next call is served."""
    do = store_rig.Actions
    if store_rig.server == "memory":
        return  # there is no driver: what a program keeps in its own memory is its own matter
    if store_rig.server in ("mariadb", "mysql") and value is OTHER:
        value = {}  # of an object its drivers send the text
    with kit.session() as s:
        for key in keys(store_rig):
            for number in range(TIMES):

                def put(db: Any) -> None:
                    do.put(db, "a", value)

                with pytest.raises(Exception) as caught:  # each driver has its own
                    s.execute_write("orders", put, idempotency_key=key and f"{key}{number}")
                assert not isinstance(caught.value, RegionKitError), caught.value
        with s.write("orders") as db:
            do.put(db, "a", "tea")
        assert {endpoint.state for endpoint in kit.status().endpoints} == {"up"}
    assert store_rig.value("a") == "tea"
