# Generated from datacenter_async.py by scripts/twins.py. Do not edit.
"""The connections to one data centre, and regionkit's own statements there: what they raise are regionkit's errors."""

from __future__ import annotations

from typing import Any

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.cluster import NoHostAvailable
from cassandra.query import SimpleStatement

from regionkit.backends.cassandra.bridge import answered, ended
from regionkit.backends.cassandra.classify import classify, denied, refused
from regionkit.backends.cassandra.cluster import Opened, Opener
from regionkit.backends.cassandra.plain_session import LentSession
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.endpoint_errors import lacks_right, not_had, too_late, unavailable
from regionkit.contract.outcomes import Failure
from regionkit.contract.record_checks import no_records
from regionkit.core.deadline import Deadline
from regionkit.errors import DeadlineExceeded, RegionKitError
from regionkit.topology import CassandraStore
from regionkit.topology.server_urls import server_url

__all__ = ["Datacenter"]

CLOSE_WITHIN = 2.0
"""Seconds that closing is waited for; the rest is done by a thread that keeps nothing alive."""


class Datacenter:
    """One data centre of the cluster that an endpoint names by its URL, or by a session of the application's.

    Safe to share between threads or tasks.
    """

    def __init__(self, context: EndpointContext[CassandraStore]) -> None:
        self.context = context
        store, endpoint = context.store, context.endpoint
        self._opener: Opener | LentSession
        if endpoint.client is not None:
            self._opener = LentSession(context, endpoint.client)
            self.keyspace, self.name = self._opener.keyspace, self._opener.datacenter
        else:
            url = server_url("cassandra", endpoint.url)
            self.keyspace = str(url.database)
            self.name = dict(store.datacenters).get(endpoint.region, endpoint.region)
            self._opener = Opener(context, url, self.name)

    @property
    def is_open(self) -> bool:
        """Whether the connections were made."""
        return self._opener.opened is not None

    def opened(self, until: Deadline) -> Opened:
        """The connections, made at first use.

        Raises:
            RegionUnavailable: no node of the data centre is connected, or there is no such data centre; nothing was sent.
            DeadlineExceeded: opening took too long.
            ConfigurationError: the keyspace is not there, or not replicated by data centre.
        """
        opened = self._opener.opened
        if opened is None:
            try:
                opened = ended(self._opener.open(), until.require("connecting"))
            except TimeoutError:
                raise self._late() from None
            except Exception as error:
                raise self.translated(error) from error
        if not opened.has_node():
            self._opener.lost(opened)
            raise unavailable(self.context, self._not_had, "no node of it is connected.")
        self._opener.check()
        return opened

    def run(
        self, deadline: Deadline, text: str, values: tuple[Any, ...] = (), *, level: str = "QUORUM", commit: str = ""
    ) -> list[Any]:
        """The rows of one statement on a table of regionkit's own. `commit`: a conditional one, and the level it ends at."""
        opened = self.opened(deadline)
        left = deadline.require("a statement on regionkit's own tables", store=self.context.store.name)
        try:
            return self.send(opened, left, text, values, level=level, commit=commit)
        except InvalidRequest as error:
            raise no_records(self.context, str(error)) from error
        except Exception as error:
            opened.silent.note(error)
            raise self.translated(error) from error

    def send(
        self,
        opened: Opened,
        left: float,
        text: str,
        values: tuple[Any, ...] = (),
        *,
        level: str = "QUORUM",
        commit: str = "",
    ) -> list[Any]:
        """As `run`, within `left` seconds; its errors are the driver's."""
        statement = SimpleStatement(
            text,
            consistency_level=ConsistencyLevel.name_to_value[commit or level],
            serial_consistency_level=ConsistencyLevel.SERIAL,
        )
        profile = opened.profiles["own"]
        page = answered(opened.session.execute_async(statement, values, timeout=left, execution_profile=profile))
        rows: list[Any] = list(page.current_rows or ())
        return rows

    def translated(self, error: Exception) -> Exception:
        """An error outside of a block, as ours."""
        if isinstance(error, RegionKitError):
            return error
        if classify(error) is Failure.DEADLINE:
            return self._late(str(error).strip())
        right = denied(error)
        if right is not None:
            return lacks_right(self.context, *right, why=str(error))
        errors = error.errors.values() if isinstance(error, NoHostAvailable) else ()
        said = next((one for one in (error, *errors) if refused(one) is not None), None)
        why = "; ".join(str(e) or type(e).__name__ for e in errors) or str(error) or type(error).__name__
        return not_had(
            self.context,
            error,
            None if said is None else refused(said),
            self._not_had,
            why if said is None else str(said),
            retryable=classify(error) is not Failure.APPLICATION,
            named=f"data centre {self.name}",
        )

    @property
    def _not_had(self) -> str:
        return f"data centre {self.name!r} of {self.context.store.name!r} cannot be reached."

    def _late(self, why: str = "") -> DeadlineExceeded:
        what = f"data centre {self.name!r} of {self.context.store.name!r} did not answer in time."
        return too_late(self.context, what, why=why)

    def abandon(self) -> None:
        """After a fork: forget the parent's connections without closing them under its feet."""
        self._opener.abandon()

    def close(self) -> None:
        """Close every connection that was made here. May be called twice."""
        try:
            ended(self._opener.close(), CLOSE_WITHIN)
        except TimeoutError:
            pass
