"""No local variable of any frame in an error of connecting shows the password: error reporters print them all."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import pytest

from regionkit import (
    AsyncRegionKit,
    CassandraStore,
    Endpoint,
    MongoStore,
    RedisStore,
    Region,
    RegionKit,
    RegionKitError,
    Role,
    SqlStore,
    Store,
    Topology,
)

PASSWORD = "".join(("sesame", "7431"))  # no constant of this module's code, which frames of tests show
FORMS = [
    (kind, form) for kind in ("postgresql", "mariadb", "redis", "mongodb", "cassandra") for form in ("sync", "async")
]


def store_of(kind: str, port: int) -> Store:
    """A store whose only server is not there."""
    url = f"{kind}://app:{PASSWORD}@127.0.0.1:{port}/shop"
    endpoint = [Endpoint("us", Role.PRIMARY, url)] if kind in ("postgresql", "mariadb") else []
    match kind:
        case "redis":
            return RedisStore("orders", endpoints=[Endpoint("us", Role.PRIMARY, url.replace("shop", "0"))])
        case "mongodb":
            return MongoStore("orders", url=f"{url}?replicaSet=rs0")
        case "cassandra":
            return CassandraStore("orders", url=url)
    return SqlStore("orders", endpoints=endpoint)


def seen(error: BaseException) -> Iterator[str]:
    """What a reporter would show of an error and of all that it came of: texts, local variables and their attributes."""
    waiting: list[Any] = [error]
    known: set[int] = set()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in known:
            continue
        known.add(id(one))
        waiting += [one.__cause__, one.__context__, getattr(one, "orig", None)]
        yield f"{one} {one.args}"
        trace: TracebackType | None = one.__traceback__
        while trace is not None:
            if not trace.tb_frame.f_code.co_filename.startswith(__file__):
                for name, value in trace.tb_frame.f_locals.items():
                    yield f"{trace.tb_frame.f_code.co_name} {name} {value!r} {getattr(value, '__dict__', '')}"
            trace = trace.tb_next


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_a_server_that_is_not_there(kind: str, form: str) -> None:
    """In whatever drivers wrap around one another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    topology = Topology(namespace="shop", regions=[Region("us")], stores=[store_of(kind, port)])

    async def make() -> None:
        async with AsyncRegionKit(topology, local="us") as kit:
            await kit.create_tables()

    with pytest.raises(RegionKitError) as caught:
        if form == "async":
            asyncio.run(make())
        else:
            with RegionKit(topology, local="us") as kit:
                kit.create_tables()
    shown = [text for text in seen(caught.value) if PASSWORD in text and "store_of" not in text]
    assert shown == []
