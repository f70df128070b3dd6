"""A refusal of what a backend cannot do names the backends that can: those of the frozen table, and no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from backends.test_capabilities import EXPECTED, HOMES, declared

from regionkit import BOUNDED, STRONG, ConfigurationError, RegionKit
from regionkit.contract.capabilities import Capabilities
from regionkit.embedded import MemoryRegions

ASKED: dict[str, Callable[[Any], object]] = {
    "core": lambda s: s.read("orders", core=True),
    "snapshot": lambda s: s.read("orders", snapshot=True),
    "transaction": lambda s: s.write("orders", transaction=True),
    "markers": lambda s: s.execute_write("orders", lambda db: None, idempotency_key="k1"),
    "bounded": lambda s: s.read("orders", consistency=BOUNDED(1.0)),
    "strong": lambda s: s.read("orders", consistency=STRONG),
}
"""Each capability that a call can ask for."""


def servers_supporting(capability: str) -> set[str]:
    """The servers that have it, by the frozen table."""
    names, table = EXPECTED
    rows = {server: dict(zip(names, row, strict=True)) for server, row in table.items()}
    return {server for server, row in rows.items() if capability in row["modes"] or row.get(capability)}


@pytest.fixture
def kit() -> Iterator[RegionKit]:
    """A store in memory; a test says what its backend declares."""
    with (
        MemoryRegions(store="orders", primary="us-east-1") as regions,
        RegionKit(regions.topology, local="us-east-1") as kit,
    ):
        kit.create_tables()
        yield kit


def declare(kit: RegionKit, **changes: Any) -> None:
    store: Any = kit._store("orders")
    say(kit, replace(store.capabilities, **changes))


def say(kit: RegionKit, capabilities: Capabilities) -> None:
    """The first endpoint is the one that is asked what the store can do."""
    store: Any = kit._store("orders")
    store._first = SimpleNamespace(capabilities=capabilities)


@pytest.mark.parametrize("capability", ASKED)
@pytest.mark.parametrize("server", HOMES)
def test_a_call_is_refused_where_the_table_says_so(kit: RegionKit, server: str, capability: str) -> None:
    """And nowhere else."""
    say(kit, declared(server))
    with kit.session() as s:
        if server in servers_supporting(capability):
            ASKED[capability](s)
            return
        with pytest.raises(ConfigurationError, match=rf"\b{server}\b") as caught:
            ASKED[capability](s)
        assert named(caught.value) == servers_supporting(capability)


@pytest.mark.parametrize("capability", ASKED)
def test_a_refusal_names_those_that_have_it(kit: RegionKit, capability: str) -> None:
    """Also of a backend that does not exist yet, and of what every one of today has."""
    declare(kit, server="none", modes=frozenset(), markers=False, bounded=False, strong="", transactions=False)
    with kit.session() as s, pytest.raises(ConfigurationError) as caught:
        ASKED[capability](s)
    assert named(caught.value) == servers_supporting(capability)


@pytest.mark.parametrize("server", [server for server in HOMES if declared(server).transactions])
def test_a_transaction_that_is_always_there_is_not_looked_for_elsewhere(kit: RegionKit, server: str) -> None:
    """Whoever asks for what he has is told so, not what the store lacks."""
    say(kit, replace(declared(server), modes=frozenset()))
    with kit.session() as s, pytest.raises(ConfigurationError) as caught:
        s.write("orders", transaction=True)
    assert "one transaction as it is" in caught.value.why


def named(error: ConfigurationError) -> set[str]:
    """The servers that its advice names."""
    return set(re.findall(r"\w+", error.fix)) & set(HOMES)
