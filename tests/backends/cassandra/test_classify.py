"""What Cassandra's driver raised: a refusal has its cause, and a lost node is followed by one more at most."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from cassandra import AuthenticationFailed, UnresolvableContactPoints
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.query import SimpleStatement

from regionkit import CassandraStore, RegionUnavailable
from regionkit.backends.cassandra.cluster import _OnlyIdempotent
from regionkit.backends.cassandra.datacenter import Datacenter
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.outcomes import Refused, Unreached
from regionkit.core.clock import SystemClock
from regionkit.topology.profiles import profile

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
        (GONE, Unreached.CLOSED),
        (NoHostAvailable("", {"a": GONE}), Unreached.CLOSED),
        (UnresolvableContactPoints("contact points: a"), Unreached.NAME),
        (ConnectionResetError(104, "Connection reset by peer"), None),
    ],
)
def test_a_refusal_by_cassandra_has_its_cause(error: Exception, cause: Refused | Unreached | None) -> None:
    """Alone, or as one node's of several; a node that is gone has refused nothing, and may be back."""
    store = CassandraStore("orders", url="cassandra://10.0.0.1/shop", tls="require")
    (endpoint,) = store.shards(["eu-west-1"])[0].endpoints
    place = EndpointContext("shop", store, endpoint, profile("balanced"), SystemClock(), is_async=False)
    found = Datacenter(place).translated(error)
    assert isinstance(found, RegionUnavailable)
    assert found.cause == ("" if cause is None else cause.value[0])
    assert found.retryable is not isinstance(cause, Refused)


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
