"""Processes of one host: together they ask a server about as often as one of them, and none depends on another one's life."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from regionkit import EVENTUAL, Endpoint, RedisStore, Region, RegionKit, Role, Topology

PROCESSES = 6
SECONDS = 4.0
NAMESPACE = "fleet"
LONG = 60.0

pytestmark = pytest.mark.redis


def kit_of(url: str) -> RegionKit:
    """As each process has it: `aggressive` asks every 0.25 s, and at rest every 1.5 s."""
    store = RedisStore("carts", endpoints=[Endpoint("us", Role.PRIMARY, url)])
    return RegionKit(
        Topology(namespace=NAMESPACE, regions=[Region("us")], stores=[store]), local="us", profile="aggressive"
    )


def _works(url: str, uses: bool, ready: Any, ends: Path) -> None:
    """One process: it reads now and then, or rests; at the end it says how old its knowledge is."""
    with kit_of(url) as kit:
        store: Any = kit._store("carts")
        with kit.session():
            ready.release()
        while not ends.exists():  # an Event would wait for those that were killed
            time.sleep(0.1)
            if uses:
                with kit.session() as s, s.read("carts", consistency=EVENTUAL) as r:
                    r.get("a")
        observation = store.state.snapshot.endpoints[0].observation
        assert observation is not None and store.clock.monotonic() - observation.sent_at < 3.0 + 10.0 * (not uses)


@contextmanager
def running(url: str, folder: Path, *, uses: bool) -> Iterator[list[Any]]:
    """So many processes, past their start."""
    context = multiprocessing.get_context("spawn")
    ready, ends = context.Semaphore(0), folder / "ends"
    with ExitStack() as stack:
        processes = [context.Process(target=_works, args=(url, uses, ready, ends)) for _ in range(PROCESSES)]
        for process in processes:
            process.start()
            stack.callback(process.kill)
        for _ in processes:
            assert ready.acquire(timeout=LONG)
        time.sleep(0.5 if uses else 3.5)  # rest begins 2.5 s after the last use
        yield processes
        ends.touch()
        for process in processes:
            process.join(LONG)


def questions(node: Any) -> int:
    """That the server was asked so far."""
    import redis

    with redis.Redis.from_url(node.url) as client:
        return int(client.info("commandstats")["cmdstat_info"]["calls"])


def rate(node: Any) -> float:
    """Questions a second; the two of this function left out."""
    before, began = questions(node), time.monotonic()
    time.sleep(SECONDS)
    return (questions(node) - before - 1) / (time.monotonic() - began)


@pytest.mark.slow
@pytest.mark.parametrize("uses", [True, False], ids=["at work", "at rest"])
def test_many_processes_ask_about_as_often_as_one(redis_server: Any, tmp_path: Path, uses: bool) -> None:
    """At most half as often again as one would, and a little for those that begin; an unshared fleet asks six times as often."""
    node = redis_server.primary
    one = 4.0 if uses else 4.0 / 6.0
    with running(node.url, tmp_path, uses=uses) as processes:
        assert rate(node) <= 1.5 * one + 1.0
    assert [process.exitcode for process in processes] == [0] * PROCESSES


@pytest.mark.slow
def test_those_that_are_left_go_on_when_others_are_killed(redis_server: Any, tmp_path: Path) -> None:
    """Whoever was asking: a lock ends with its process, and each knows by itself what it needs to know."""
    with running(redis_server.primary.url, tmp_path, uses=True) as processes:
        for process in processes[1:]:
            process.kill()
            time.sleep(0.1)
        time.sleep(1.0)
    assert [process.exitcode for process in processes] == [0] + [-9] * (PROCESSES - 1)
