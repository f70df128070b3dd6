# Generated from test_plain_async.py by scripts/twins.py. Do not edit.
"""An endpoint by an application's own database: what is taken over, what is refused, the primary that is followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from fix_rig_mongo import MongoRig
from fix_rigs import NAMESPACE
from pymongo.encryption_options import AutoEncryptionOpts
from pymongo.synchronous.mongo_client import MongoClient
from record_cases import soon, versions_decide

from regionkit.backends.mongo.endpoint import MongoEndpoint
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError, DeadlineExceeded, OutcomeUnknown, RegionUnavailable
from regionkit.facts.history import HistoryRow
from regionkit.facts.record import Record
from regionkit.facts.request import BlockMode, Kind, Request
from regionkit.topology import Endpoint, MongoStore, Role, profile

IS_ASYNC = False


def endpoint_of(database: Any) -> MongoEndpoint:
    """What a backing makes of an application's database."""
    endpoint = Endpoint("us-east-1", Role.PRIMARY, client=database)
    context = EndpointContext(
        NAMESPACE, MongoStore("orders"), endpoint, profile("balanced"), SYSTEM_CLOCK, is_async=IS_ASYNC
    )
    return MongoEndpoint(context)


@pytest.fixture
def client(mongo_store_rig: MongoRig) -> Iterator[Any]:
    """The application's client, of the whole replica set."""
    made: MongoClient[dict[str, Any]] = MongoClient(mongo_store_rig.url)
    yield made
    made.close()


def in_block(endpoint: MongoEndpoint, kind: Kind, mode: BlockMode | None = None) -> tuple[Any, Any]:
    """A handle that has its checkout, and the checkout."""
    checkout = endpoint.check_out(kind, soon(), 5.0)

    def taken() -> Any:
        return checkout

    handle = endpoint.handle(kind, taken, mode or BlockMode(), lambda: Request(kind=kind))
    handle.begin(checkout)
    return handle, checkout


def test_it_writes_reads_and_keeps_records(client: Any, mongo_store_rig: MongoRig) -> None:
    """In blocks of regionkit's, with the application's codec options; its own client goes on as before."""
    database = client.get_database(mongo_store_rig.database, codec_options=CodecOptions(tz_aware=True))
    endpoint = endpoint_of(database)
    endpoint.create_tables(soon(), lambda origin: HistoryRow("h", None, None, 1, origin))
    endpoint.create_tables(soon(), lambda origin: HistoryRow("other", None, None, 1, origin))
    versions_decide(endpoint.records)
    handle, checkout = in_block(endpoint, Kind.WRITE, BlockMode(transaction=True))
    assert checkout.observation.role is Role.PRIMARY
    assert checkout.observation.region == ""
    assert handle.native.codec_options.tz_aware
    handle.native.things.insert_one({"_id": "a", "value": "tea"})
    record = Record("unit", "k", b"one", 1)
    assert endpoint.records.put(soon(), record, expected=0, within=handle.native) is record
    handle.finish()
    assert handle.progress.commits == 1
    handle.close()
    checkout.release()
    handle, checkout = in_block(endpoint, Kind.READ)
    assert (handle.native.things.find_one({"_id": "a"}))["value"] == "tea"
    seen = checkout.observe()
    assert seen.lineage is not None
    assert seen.lineage.rows[-1].history == "h"
    assert seen.shown == seen.reached
    handle.finish()
    handle.close()
    endpoint.close()
    database.things.insert_one({"_id": "b", "value": "the application's own"})
    assert mongo_store_rig.value("b") == "the application's own"


def test_the_primary_is_followed(own_mongo: Callable[[], Any]) -> None:
    """After an election the next call finds the new primary, by what the members say."""
    servers = own_mongo()
    rig = MongoRig(servers)
    client: MongoClient[dict[str, Any]] = MongoClient(rig.url)
    endpoint = endpoint_of(client[rig.database])
    endpoint.create_tables(soon(), lambda origin: HistoryRow("h", None, None, 1, origin))
    before = endpoint.member.address
    assert endpoint.records.put(soon(), Record("home", "k", b"one", 1), expected=0)
    servers.node("eu-west-1").promote()
    end = time.monotonic() + 20.0
    while endpoint.member.address == before:
        assert time.monotonic() < end
        try:
            stands = endpoint.records.get(Deadline(SYSTEM_CLOCK, 3.0), "home", "k")
            version = 0 if stands is None else stands.version
            one_more = Record("home", "k", b"two", version + 1)
            endpoint.records.put(Deadline(SYSTEM_CLOCK, 3.0), one_more, expected=version)
        except (RegionUnavailable, OutcomeUnknown, DeadlineExceeded):
            pass  # the election is going on
        sleep(0.05)
    assert f"127.0.0.1:{endpoint.member.address[1]}" == servers.primary.address
    handle, checkout = in_block(endpoint, Kind.WRITE)
    assert checkout.member is endpoint.member
    handle.native.things.insert_one({"_id": "a", "value": "after the election"})
    handle.finish()
    handle.close()
    endpoint.close()
    client.close()
    assert rig.value("a") == "after the election"


def test_what_can_not_be_taken_over_is_refused_by_name(mongo_store_rig: MongoRig) -> None:
    """Encryption, ways to find servers, accounts that need more than a name and a secret; and what is no database at all."""
    address = mongo_store_rig.servers.primary.address
    options: list[tuple[dict[str, Any], str]] = [
        ({"server_selector": lambda servers: servers}, "server_selector"),
        ({"loadBalanced": True}, "loadBalanced"),
        ({"authMechanism": "GSSAPI", "username": "app@SHOP", "password": "x"}, "GSSAPI"),
    ]
    try:
        options.append(({"auto_encryption_opts": AutoEncryptionOpts({"local": {"key": b"0" * 96}}, "k.v")}, "encrypts"))
    except Exception as error:  # the encryption library is an extra of pymongo's
        assert "encryption" in str(error)
    for given, why in options:
        made: MongoClient[dict[str, Any]] = MongoClient(f"mongodb://{address}", connect=False, **given)
        with pytest.raises(ConfigurationError, match=why):
            endpoint_of(made["shop"])
        made.close()
        with pytest.raises(ConfigurationError, match="cannot use this MongoDB client"):
            endpoint_of(made["shop"])
    with pytest.raises(ConfigurationError, match="is no"):
        endpoint_of(made)


def test_the_account_and_tls_are_taken_over() -> None:
    """As the application gave them; nothing is connected to, and nothing shows the password."""
    given = "mongodb://app:s3cr3t-word@10.0.0.1,10.0.0.2/shop?authSource=admin&replicaSet=rs&tls=true&tlsInsecure=true"
    made: MongoClient[dict[str, Any]] = MongoClient(given, connect=False)
    endpoint = endpoint_of(made["shop"])
    options = endpoint.member.client.options.pool_options
    assert options._credentials.username == "app"
    assert options._credentials.source == "admin"
    assert options._ssl_context is not None
    assert endpoint._dial.hosts == (("10.0.0.1", 27017), ("10.0.0.2", 27017))
    assert endpoint._dial.set_name == "rs"
    assert "s3cr3t-word" not in repr(endpoint._context.endpoint)
    endpoint.close()
    made.close()
