"""A database router for Django: its ORM reads the copies that have what the current session wrote and saw.

1. Writes go to the database of the store's owner, as the kit knows it; an owner that is fenced or unknown is refused.
2. Reads go where a read of the current session would: the nearest copy proved to have all that it wrote and saw.
3. Inside a transaction on one of the databases reads stay there: they see what is not committed yet.
4. What the ORM wrote and read is in the session's bookmark, which asks for the positions when it is given out.
5. Migrations run on primaries; copies get them by replication.

The kit has connections of its own, which observe. The ORM's are Django's: its time-outs and errors are Django's too, and a
promotion between the router's answer and the query is not noticed by the query.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from regionkit.errors import ConfigurationError
from regionkit.kit import RegionKit
from regionkit.routing.decision import Decision
from regionkit.routing.session import RegionSession
from regionkit.routing.verdict import Outcome
from regionkit.topology.validation import did_you_mean, shown

__all__ = ["RegionKitRouter"]


class RegionKitRouter:
    """For `DATABASE_ROUTERS = [RegionKitRouter(kit, "orders", {"us-east-1": "default", "ap-northeast-2": "seoul"})]`.

    Shared by threads. The session is `kit.current_session()`, which the middleware sets; outside of requests use
    `with kit.session():`, else each query is one of a session that has seen nothing.

    Args:
        kit: a RegionKit.
        store: name of a store of SQL with one owner.
        databases: Django's alias of each endpoint, by region, or by the endpoint's id where a region has several.
        apps: labels of the applications whose models live there; None: of all.

    Raises:
        ConfigurationError: an endpoint without an alias, or a name that is none of the topology's.
    """

    def __init__(
        self, kit: RegionKit, store: str, databases: Mapping[str, str], *, apps: Collection[str] | None = None
    ) -> None:
        if not isinstance(kit, RegionKit):
            raise ConfigurationError(
                f"{shown(kit)} is not a RegionKit.", fix="Django's ORM runs in threads: pass a sync kit."
            )
        told = kit.status().endpoints
        endpoints = [e for e in told if e.store == store]
        if not endpoints or any(e.partition for e in endpoints):
            names = {e.store for e in told}
            raise ConfigurationError(f"{shown(store)} is not a store with one owner.", fix=did_you_mean(store, names))
        known = {name for e in endpoints for name in (e.endpoint, e.region)}
        for name in databases:
            if name not in known:
                raise ConfigurationError(
                    f"{shown(name)} is not an endpoint of {store!r}.", fix=did_you_mean(name, known)
                )
        self._aliases: dict[str, str] = {}
        for e in endpoints:
            alias = databases.get(e.endpoint) or databases.get(e.region)
            if alias is None:
                raise ConfigurationError(
                    f"endpoint {e.endpoint!r} of {store!r} has no database.", fix="name its alias."
                )
            self._aliases[e.endpoint] = alias
        self._primaries = {self._aliases[e.endpoint] for e in endpoints if e.role != "replica"}
        self._kit = kit
        self._store = store
        self._apps = apps
        self._met: tuple[int, frozenset[str]] = (-1, frozenset())

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        """Django asks where to read."""
        if not self._ours(model._meta.app_label):
            return None
        session = self._session()
        if alias := self._in_transaction():
            session.wrote_elsewhere(self._store)
            return alias
        if self._is_first("read"):
            with session.read(self._store, core=True):
                pass
        decision = session.read_elsewhere(self._store)
        if decision.outcome is not Outcome.USE:  # wait for it as a read does
            with session.read(self._store, core=True):
                pass
            decision = session.read_elsewhere(self._store)
        if decision.outcome is not Outcome.USE:  # it is proved by a wait each time: then the owner is
            return self._for_write(session)
        return self._alias(decision)

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        """Django asks where to write."""
        if not self._ours(model._meta.app_label):
            return None
        from django.db import transaction

        session = self._session()
        alias = self._for_write(session)
        session.wrote_elsewhere(self._store)
        if transaction.get_connection(alias).in_atomic_block:
            transaction.on_commit(lambda: session.wrote_elsewhere(self._store), using=alias)
        return alias

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool | None:
        """Objects read from any copy are of one data set."""
        ours = set(self._aliases.values())
        return True if {one._state.db, other._state.db} <= ours else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Django asks before it changes tables."""
        if db not in self._aliases.values() or not self._ours(app_label):
            return None
        return db in self._primaries

    def _ours(self, app: str) -> bool:
        return self._apps is None or app in self._apps

    def _session(self) -> RegionSession:
        return self._kit.current_session() or self._kit.session()

    def _in_transaction(self) -> str:
        """The alias on which this thread has a transaction open, primaries first; "" for none."""
        from django.db import connections

        order = sorted(set(self._aliases.values()), key=lambda alias: (alias not in self._primaries, alias))
        return next((alias for alias in order if connections[alias].in_atomic_block), "")

    def _is_first(self, kind: str) -> bool:
        """Whether this process has not asked for such a place yet: then a block without a statement meets the servers first."""
        process, kinds = self._met
        kinds = kinds if process == os.getpid() else frozenset()
        self._met = (os.getpid(), kinds | {kind})
        return kind not in kinds

    def _for_write(self, session: RegionSession) -> str:
        if not self._is_first("write"):
            decision = self._kit.explain(self._store, "write").decision
            if decision.outcome is Outcome.USE:
                return self._alias(decision)
        with session.write(self._store, core=True):  # or the error that says why not
            pass
        assert session.last_decision is not None
        return self._alias(session.last_decision)

    def _alias(self, decision: Decision) -> str:
        endpoint = decision.endpoint
        assert endpoint is not None
        return self._aliases[endpoint.id]
