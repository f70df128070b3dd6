"""An application's own Cassandra session, used as it is: the driver sends many statements over one connection.

1. Nothing of it is changed but this: execution profiles under names of regionkit's own are added to its cluster, and its
   session gets a listener that stamps the statements which regionkit sends, and no others. It is never shut down.
2. Its data centre is the one that its load-balancing policy calls local. A session that has none, or no keyspace, is refused.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Session, _ConfigMode
from cassandra.policies import DCAwareRoundRobinPolicy

from regionkit.backends.cassandra.cluster import Opened, in_thread, profiles_of
from regionkit.backends.cassandra.keyspace_state import LentSlot, keyspace_state_of
from regionkit.backends.cassandra.silent_nodes import SilentNodes
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import closed
from regionkit.errors import ConfigurationError
from regionkit.topology import CassandraStore

__all__ = ["LentSession"]

MOST_WRAPPED = 10
"""Policies around one another that are looked through for a local data centre: two or three are usual."""


class LentSession:
    """What `Opener` is for a URL, for a session of the application's. Thread-safe.

    Raises:
        ConfigurationError: it cannot serve; the error says what is missing.
    """

    def __init__(self, context: EndpointContext[CassandraStore], session: Any) -> None:
        if not isinstance(session, Session):
            raise _refused(
                context,
                f"a {type(session).__name__} is not a session.",
                "pass the session that Cluster.connect() returned.",
            )
        if session.is_shutdown:
            raise _refused(context, "the session is shut down.", "pass an open session.")
        if not session.keyspace:
            raise _refused(context, "the session has no keyspace.", 'make it with cluster.connect("shop").')
        if session.cluster._config_mode == _ConfigMode.LEGACY:
            raise _refused(
                context,
                "its cluster was made with load_balancing_policy= or default_retry_policy=, which bars execution profiles.",
                "make it with Cluster(execution_profiles={EXEC_PROFILE_DEFAULT: ExecutionProfile(...)}).",
            )
        self._context = context
        self._session = session
        self.keyspace = str(session.keyspace)
        self.datacenter = _local_datacenter(context, session)
        self.opened: Opened | None = None
        self._slot = LentSlot()
        self._opening: Future[Opened] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def open(self) -> Future[Opened]:
        """Add the profiles; one attempt at a time."""
        with self._lock:
            if self._closed:
                raise closed(self._context)
            if self._opening is None or (self._opening.done() and self.opened is None):
                self._opening = in_thread(self._open, f"regionkit cassandra {self.datacenter}")
            return self._opening

    def _open(self) -> Opened:
        session, options = self._session, self._context.store.options
        cluster, patience = session.cluster, self._context.profile.read_deadline
        names = {}
        for purpose, profile in profiles_of(options, self.datacenter, SilentNodes()).items():
            names[purpose] = f"regionkit {self.datacenter} {options.write_level} {options.read_level} {purpose}"
            with _ADDING:
                if names[purpose] not in cluster.profile_manager.profiles:
                    cluster.add_execution_profile(names[purpose], profile, pool_wait_timeout=patience)
        silent = cluster.profile_manager.profiles[
            names["own"]
        ].load_balancing_policy.silent  # another endpoint's, perhaps
        name = str(cluster.metadata.cluster_name)
        state = keyspace_state_of(name, self.keyspace)
        opened = Opened(cluster, session, self._slot, state, name, options.statements, names, silent)
        with self._lock:
            if self._closed:
                raise closed(self._context)
            session.add_request_init_listener(self._slot.stamped)
            self.opened = opened
        return opened

    def check(self) -> None:
        """Whether the session still is what it was.

        Raises:
            ConfigurationError: its keyspace was changed, or it was shut down.
        """
        if self._session.is_shutdown:
            raise _refused(self._context, "the session was shut down.", "close what uses it first.")
        if self._session.keyspace != self.keyspace:
            raise _refused(
                self._context,
                f"the session's keyspace was {self.keyspace!r} and is {self._session.keyspace!r}.",
                "leave it as it is; regionkit's tables, and what you wrote, are in the first one.",
            )

    def lost(self, opened: Opened) -> None:
        """No node is connected: its own cluster goes on looking for them."""

    def close(self) -> Future[None]:
        """Take the listener away; the session stays open."""
        with self._lock:
            self._closed = True
            opened, self.opened = self.opened, None
            if opened is not None:
                self._session.remove_request_init_listener(self._slot.stamped)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def abandon(self) -> None:
        """After a fork the parent's session works no more; who handed it in hands in another."""
        self._lock = threading.Lock()


_ADDING = threading.Lock()
"""Two endpoints of one cluster add their profiles one after the other."""


def _local_datacenter(context: EndpointContext[CassandraStore], session: Session) -> str:
    """What the load-balancing policy of the session's default profile calls local."""
    policy = session.cluster.profile_manager.profiles[EXEC_PROFILE_DEFAULT].load_balancing_policy
    for _ in range(MOST_WRAPPED):
        if isinstance(policy, DCAwareRoundRobinPolicy) and policy.local_dc:
            return str(policy.local_dc)
        policy = getattr(policy, "_child_policy", None)
    raise _refused(
        context,
        "its load-balancing policy has no local data centre.",
        'give its default execution profile TokenAwarePolicy(DCAwareRoundRobinPolicy("dc1")).',
    )


def _refused(context: EndpointContext[CassandraStore], why: str, fix: str) -> ConfigurationError:
    return ConfigurationError(f"store {context.store.name!r} cannot use this Cassandra session.", why=why, fix=fix)
