"""Clients that hop between three web applications in three regions: each sees what it wrote, and nothing older than it saw."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fix_rigs import make_tables, wait_until
from web_region import KEY, PATIENT, SERVED_BY, serve, topology

from regionkit import RegionKit

REQUESTS = int(os.environ.get("REGIONKIT_WEB_REQUESTS", "400"))
"""`make campaign-web` takes `WHOLE`."""
WHOLE = 5000
NO_REUSE = httpx.Limits(max_keepalive_connections=0)
"""A server that closes an idle connection while a request is on its way is another test."""
CLIENTS = 8
SIDE_BY_SIDE = 3
"""Requests that a browser sends at once."""
APPLICATIONS = {"us-east-1": "fastapi", "ap-northeast-2": "starlette", "eu-west-1": "flask"}
LAGS = (0.3, 1.0)
"""Seconds that the two replicas are behind."""


@pytest.fixture
def urls(pg: Any) -> Iterator[dict[str, str]]:
    """A database of its own on a primary and two replicas, which lag."""
    name = pg.database()
    nodes = [pg.primary, *pg.replicas[:2]]
    made = {region: node.url_for(name) for region, node in zip(APPLICATIONS, nodes, strict=True)}
    make_tables(made["us-east-1"])
    with RegionKit(topology(made), local="us-east-1", bookmark_keys=[KEY], profile=PATIENT) as kit:
        kit.create_tables()
    pg.wait_for_replicas()
    for replica, lag in zip(pg.replicas, LAGS, strict=False):
        replica.lag(lag)
    yield made
    for replica in pg.replicas[:2]:
        replica.lag(0)
    wait_until(lambda: pg.wait_for_replicas() or True, 20)


@contextmanager
def served(urls: dict[str, str], *, guarded: bool) -> Iterator[list[str]]:
    """The three applications, each in a process; where they listen."""
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    processes = [
        context.Process(target=serve, args=(framework, region, urls, told, guarded), daemon=True)
        for region, framework in APPLICATIONS.items()
    ]
    try:
        for process in processes:
            process.start()
        ports = dict(told.get(timeout=120) for _ in processes)
        addresses = [f"http://127.0.0.1:{ports[region]}" for region in APPLICATIONS]
        if guarded:
            for address in addresses:
                wait_until(lambda address=address: _is_ready(address), 60)
        yield addresses
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/regionkit/ready", verify=False).status_code == 200
    except httpx.TransportError:
        return False


class Client:
    """A user who goes to any region with each request, and sends some side by side: by cookies as a browser, or by the header,
    keeping each bookmark until an answer to a request that carried it brings a later one.
    """

    def __init__(self, number: int, addresses: list[str], found: Counter[str]) -> None:
        self._rng = random.Random(number)
        self._addresses = addresses
        self._by_header = number % 2 == 0
        self._bookmarks: set[str] = set()
        self._keys = [number * 10 + i for i in range(SIDE_BY_SIDE)]
        self._least = dict.fromkeys(self._keys, 0)
        self._version = 0
        self._found = found

    async def run(self, requests: int) -> None:
        async with httpx.AsyncClient(timeout=60, limits=NO_REUSE, verify=False) as http:
            while requests > 0:
                count = self._rng.choice([1, 1, SIDE_BY_SIDE])
                keys = self._rng.sample(self._keys, count)
                verb = self._put if self._rng.random() < 0.4 else self._get
                await asyncio.gather(*(verb(http, key) for key in keys))
                requests -= count

    async def _put(self, http: httpx.AsyncClient, key: int) -> None:
        self._version += 1
        version = self._version
        answer = await self._ask(http, "POST", f"/{key}/{version}")
        assert answer.status_code == 200, answer.text
        self._least[key] = max(self._least[key], version)
        self._found["writes"] += 1

    async def _get(self, http: httpx.AsyncClient, key: int) -> None:
        least = self._least[key]
        answer = await self._ask(http, "GET", f"/{key}")
        assert answer.status_code == 200, answer.text
        seen = int(answer.text)
        self._least[key] = max(self._least[key], seen)
        self._found["reads"] += 1
        self._found[f"reads from a {answer.headers[SERVED_BY]}"] += 1
        self._found["violations"] += seen < least

    async def _ask(self, http: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
        sent = set(self._bookmarks)
        headers = {"Region-Bookmark": ", ".join(sent)} if self._by_header and sent else {}
        answer = await http.request(method, self._rng.choice(self._addresses) + path, headers=headers)
        if self._by_header:
            http.cookies.clear()
            if got := answer.headers.get("Region-Bookmark"):
                self._bookmarks = (self._bookmarks - sent) | {got}
        return answer


def hop(addresses: list[str], requests: int) -> Counter[str]:
    """All clients at once; what they found."""
    found: Counter[str] = Counter(violations=0)

    async def run() -> None:
        await asyncio.gather(*(Client(n, addresses, found).run(requests // CLIENTS) for n in range(CLIENTS)))

    began = time.monotonic()
    asyncio.run(run())
    print(f"\n{found['reads'] + found['writes']} requests in {time.monotonic() - began:.0f} s: {dict(found)}")
    return found


@pytest.mark.timeout(1200)
def test_no_client_misses_what_it_wrote_or_saw(urls: dict[str, str]) -> None:
    """0 violations over FastAPI, Starlette and Flask; reads are served by replicas too."""
    with served(urls, guarded=True) as addresses:
        found = hop(addresses, REQUESTS)
    assert found["violations"] == 0
    assert found["reads"] + found["writes"] >= REQUESTS - CLIENTS
    # a few hundred requests are about what was written a moment ago, which is at the owner only
    assert found["reads from a replica"] > (found["reads"] // 20 if REQUESTS >= WHOLE else 0)


@pytest.mark.timeout(600)
def test_without_the_middleware_the_same_rig_misses(urls: dict[str, str], pg: Any) -> None:
    """The rig can fail, also on a machine that is slow: the copies are later than any client."""
    for replica in pg.replicas[:2]:
        replica.lag(20.0)
    with served(urls, guarded=False) as addresses:
        found = hop(addresses, 120)
    assert found["violations"] > 0
