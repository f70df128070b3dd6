"""A manager that its process used before it forked, as servers do that load the application first: nobody shares a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text

from regionkit import Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.transactions.logs.sql import SqlDecisionLog
from regionkit.transactions.manager import TransactionManager
from regionkit.transactions.participants.factory import participant_of

from .test_forked import in_child

US = "us-east-1"
ASK = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT CONNECTION_ID()"}
SERVERS = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ASK]


class Bank:
    """Two databases of a server, and a manager over them: on engines, or on a kit's stores."""

    def __init__(self, urls: dict[str, str], kit: bool, ask: str, stack: ExitStack) -> None:
        self.ask = ask
        self.kit: Any = None
        if kit:
            stores = [SqlStore(name, endpoints=[Endpoint(US, Role.PRIMARY, url)]) for name, url in urls.items()]
            topology = Topology(namespace="n", regions=[Region(US)], stores=stores)
            self.kit = stack.enter_context(RegionKit(topology, local=US))
            given: dict[str, Any] = dict.fromkeys(urls, self.kit)
        else:
            given = {name: sqlalchemy.create_engine(url) for name, url in urls.items()}
        stores = dict.fromkeys(urls) if not kit else {name: name for name in urls}  # type: ignore[assignment]
        self.parts = {
            name: participant_of(name, one, namespace="n", store=stores[name], unsafe_no_flush=True)  # type: ignore[call-overload]
            for name, one in given.items()
        }
        log: Any = SqlDecisionLog(given["a"], store=stores["a"], unsafe_async_replica=True)  # type: ignore[call-overload]
        self.tm = TransactionManager(namespace="n", log=log, participants=self.parts)
        stack.callback(self.tm.close)
        if kit:
            self.kit.create_tables()
        self.tm.create_tables()

    def used(self) -> set[Any]:
        """Connections on their servers: of branches, and of what is read beside them."""
        found = set()
        with self.tm.begin() as tx:
            for name in self.parts:
                found.add((name, tx.session(name).execute(text(self.ask)).scalar()))
        return found | self.asked()

    def asked(self) -> set[Any]:
        """Of what is read beside branches."""
        return {(name, part.ask(self.ask, Deadline(SYSTEM_CLOCK, 20.0))[0][0]) for name, part in self.parts.items()}


@pytest.fixture(params=["engines", "kit"])
def bank(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Bank]]:
    """By the server."""
    with ExitStack() as stack:

        def made(server: str) -> Bank:
            given = request.getfixturevalue("pg" if server == "postgresql" else "mariadb_alone")
            urls = {name: given.primary.url_for(given.database()) for name in ("a", "b")}
            return Bank(urls, request.param == "kit", ASK[server], stack)

        yield made


@pytest.mark.parametrize("server", SERVERS)
def test_parent_and_children_share_no_connection(server: str, bank: Callable[[str], Bank]) -> None:
    """Each child transacts on connections of its own, and the parent goes on."""
    there = bank(server)
    mine = there.used() | there.used()
    for _ in range(2):
        in_child(lambda: not there.used() & mine)
        assert there.used()


@pytest.mark.parametrize("server", SERVERS)
def test_a_child_that_only_recovers_has_connections_of_its_own(server: str, bank: Callable[[str], Bank]) -> None:
    """Where no session is begun, and no block opened, before."""
    there = bank(server)
    mine = there.used() | there.used()

    def recovers() -> bool:
        there.tm.recover(timeout=20.0)
        return not there.asked() & mine

    in_child(recovers)
    assert there.used()
