"""What an error says of an endpoint: the server's codes do, an application's numbers do not."""

from __future__ import annotations

import ssl
from typing import Any

import pymysql
import pytest
import sqlalchemy
from cassandra import AuthenticationFailed
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.query import SimpleStatement

from regionkit import CassandraStore, RegionUnavailable
from regionkit.backends.cassandra.cluster import _OnlyIdempotent
from regionkit.backends.cassandra.datacenter import Datacenter
from regionkit.backends.sql.classify import classify
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.outcomes import Failure, Refused
from regionkit.core.clock import SystemClock
from regionkit.topology.profiles import profile


@pytest.mark.parametrize("error", [KeyError(1213), ValueError(2006), LookupError("40001"), ZeroDivisionError()])
def test_an_applications_number_is_no_code(error: Exception) -> None:
    """A KeyError of order 1213 is no deadlock: nothing is run again for it."""
    assert classify(error) is Failure.APPLICATION


def test_the_servers_code_is_found_wrapped_and_bare() -> None:
    """SQLAlchemy's wrapper, or the driver's own error."""
    deadlock = pymysql.err.OperationalError(1213, "Deadlock found")
    assert classify(deadlock) is Failure.ROLLED_BACK
    assert classify(sqlalchemy.exc.OperationalError("UPDATE", {}, deadlock)) is Failure.ROLLED_BACK


BAD_ACCOUNT = AuthenticationFailed("bad credentials")
AS_THE_DRIVER_SAYS = OSError(1, "Tried connecting to [('10.0.0.1', 9042)]. Last error: [SSL: WRONG_VERSION_NUMBER] ...")
GONE = ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (BAD_ACCOUNT, Refused.ACCOUNT),
        (NoHostAvailable("", {"a": GONE, "b": BAD_ACCOUNT}), Refused.ACCOUNT),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), Refused.TLS),
        (AS_THE_DRIVER_SAYS, Refused.TLS),
        (NoHostAvailable("", {"a": GONE, "b": AS_THE_DRIVER_SAYS}), Refused.TLS),
        (GONE, None),
        (NoHostAvailable("", {"a": GONE}), None),
    ],
)
def test_a_refusal_by_cassandra_has_its_cause(error: Exception, cause: Refused | None) -> None:
    """Alone, or as one node's of several; a node that is gone has refused nothing, and may be back."""
    store = CassandraStore("orders", url="cassandra://10.0.0.1/shop", tls="require")
    (endpoint,) = store.shards(["eu-west-1"])[0].endpoints
    place = EndpointContext("shop", store, endpoint, profile("balanced"), SystemClock(), is_async=False)
    found = Datacenter(place).translated(error)
    assert isinstance(found, RegionUnavailable)
    assert found.cause == ("" if cause is None else cause.value[0])
    assert found.retryable is (cause is None)


@pytest.mark.parametrize(
    ("statement", "attempts", "goes_on"),
    [
        (SimpleStatement("", is_idempotent=True), 0, True),
        (SimpleStatement("", is_idempotent=True), 1, False),
        (SimpleStatement("", is_idempotent=False), 0, False),
        (None, 0, False),
    ],
)
def test_cassandras_driver_goes_on_to_one_more_node_at_most(statement: Any, attempts: int, goes_on: bool) -> None:
    """With a statement that may run twice and whose node was lost; one that timed out or was refused is not sent again."""
    policy = _OnlyIdempotent()
    decision, level = policy.on_request_error(statement, 1, error=ConnectionShutdown("lost"), retry_num=attempts)
    assert decision == (policy.RETRY_NEXT_HOST if goes_on else policy.RETHROW)
    assert level is None
    counts: dict[str, Any] = {"consistency": 1, "required_responses": 1, "received_responses": 0, "retry_num": attempts}
    assert policy.on_read_timeout(statement, data_retrieved=False, **counts)[0] == policy.RETHROW
    assert policy.on_write_timeout(statement, write_type="SIMPLE", **counts)[0] == policy.RETHROW
    assert policy.on_unavailable(statement, 1, 1, 0, attempts)[0] == policy.RETHROW
