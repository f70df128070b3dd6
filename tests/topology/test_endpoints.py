"""Endpoints: every refusal that needs no topology, and nothing secret in a repr."""

import copy
import dataclasses
import pickle

import pytest

from regionkit.errors import ConfigurationError
from regionkit.topology import Endpoint, Role, SqlStore

URL = "postgresql://app:CANARY@us.example/shop"


class Client:
    """An engine of the user's, whose repr tells too much."""

    def __repr__(self):
        return "Client(CANARY)"


def refused(message, make):
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()
    assert "CANARY" not in str(caught.value) + repr(caught.value)
    return caught.value


def test_an_endpoint_is_made_by_position_and_masks_its_secrets():
    endpoint = Endpoint("us-east-1", Role.PRIMARY, URL, tls="off", read_url=URL.replace("app", "reader"))
    assert (endpoint.region, endpoint.role, endpoint.url, endpoint.id) == ("us-east-1", Role.PRIMARY, URL, "us-east-1")
    assert (
        repr(endpoint)
        == str(endpoint)
        == (
            "Endpoint('us-east-1', Role.PRIMARY, 'postgresql://app:***@us.example/shop', "
            "read_url='postgresql://reader:***@us.example/shop', tls='off')"
        )
    )
    assert repr(Endpoint("us-east-1", "replica", client=Client(), of="eu", partitions=["p0"])) == (
        "Endpoint('us-east-1', Role.REPLICA, client=<Client>, of='eu', partitions=('p0',))"
    )


def test_endpoints_are_frozen_values():
    endpoint = Endpoint("us-east-1", Role.PRIMARY, URL)
    assert endpoint == Endpoint("us-east-1", "primary", URL) and len({endpoint, copy.copy(endpoint)}) == 1
    assert pickle.loads(pickle.dumps(endpoint)) == endpoint
    assert dataclasses.replace(endpoint, role=Role.REPLICA).role is Role.REPLICA
    with pytest.raises(AttributeError):
        endpoint.url = "x"
    with pytest.raises(TypeError):
        vars(endpoint)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("us", "primary"), {}, "exactly one of url and client"),
        (("us", "primary", URL), {"client": Client()}, "exactly one of url and client"),
        (("us", "primry", URL), {}, "did you mean 'primary'"),
        (("us", URL, "primary"), {}, "is not a role"),
        (("", "primary", URL), {}, "must be the name of a region"),
        ((None, "primary", URL), {}, "must be the name of a region"),
        (("us", "primary", 5), {}, "url must be a string, not 5"),
        (("us", "primary", URL), {"read_url": 5}, "read_url must be a string"),
        (("us", "primary", URL), {"tls": "requre"}, "did you mean 'require'"),
        (("us", "primary", URL), {"tls": True}, "tls is True"),
        (("us", "primary", URL), {"of": "eu"}, "of='eu' on a primary"),
        (("us", "replica", URL), {"of": 5}, "of=5"),
        (("us", "replica", URL), {"of": URL}, "of=.a text of"),
        (("us", "replica"), {"client": Client(), "tls": "require"}, "go with url, not with client"),
        (("us", "replica"), {"client": Client(), "read_url": URL}, "go with url, not with client"),
        (("us", "replica", URL), {"partitions": "p0"}, "must be a sequence of str"),
        (("us", "replica", URL), {"partitions": ["p0", "p0"]}, "empty or named twice"),
        (("us", "replica", URL), {"partitions": [""]}, "empty or named twice"),
    ],
)
def test_an_endpoint_refuses(arguments, options, message):
    refused(message, lambda: Endpoint(*arguments, **options))


def test_swapped_arguments_show_no_secret():
    refused("must be the name of a region", lambda: Endpoint(URL, "primary", "us-east-1"))
    refused("cannot be read", lambda: SqlStore("orders", endpoints=[Endpoint("CAN-us", "primary", "CANARY")]))
