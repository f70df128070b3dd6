"""Consumers are killed at each step, on each source and inbox: each message takes effect once, in the order of its key.

Points, sources and inboxes by pairs in a full run; `make campaign-messaging` takes every cell. What was applied is read from a
ledger that grows only, in the database of the effect.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pymongo
import pytest
import redis
from sending import Numbering
from sqlalchemy import create_engine, text

from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline

CHILDREN = str(Path(__file__).with_name("consumer_children.py"))
POINTS = (
    "message.taken",
    "message.claimed",
    "in the effect",
    "message.handled",
    "message.committed",
    "message.acknowledged",
)
SOURCES = ("redis", "postgresql", "mariadb", "sqlite")
INBOXES = ("sqlite", "postgresql", "mariadb", "mongo", "redis")
OUTSIDE = ("postgresql", "mongo", "redis", "cassandra")
"""Inboxes that claim calls of a provider: the fewest servers that cover each way to keep a claim."""
SOME = {
    "mongo": ("in the effect", "message.committed"),
    "redis": ("in the effect", "message.handled", "message.committed"),
}
"""Points of a full run: MongoDB keeps the transaction of a dead process for seconds, and a script has fewer steps."""
WHOLE = os.environ.get("REGIONKIT_MESSAGING") == "whole"
KEYS = 12
MESSAGES = 1200 if WHOLE else 240
CALLS = 240 if WHOLE else 96
"""Messages of a cell whose effect is outside: each has a lease to wait for when its consumer dies."""
KILLS = 12 if WHOLE else 5
CELL = 400 if WHOLE else 120
"""Seconds for a cell, its servers included."""


def cells() -> list[tuple[str, str, str]]:
    """All of them; or points with inboxes, sources in turn. An effect inside Redis is claimed when it is done."""
    places = [place for place in itertools.product(POINTS, INBOXES) if place != ("message.claimed", "redis")]
    if WHOLE:
        return [(point, source, inbox) for (point, inbox), source in itertools.product(places, SOURCES)]
    places = [(point, inbox) for point, inbox in places if point in SOME.get(inbox, POINTS)]
    return [
        (point, SOURCES[(number + POINTS.index(point)) % len(SOURCES)], inbox)
        for number, (point, inbox) in enumerate(places)
    ]


@pytest.fixture
def short_transactions(mongo: Any) -> Iterator[None]:
    """What a dead process had begun is rolled back by the server alone, after a minute where nobody says less."""
    with pymongo.MongoClient(mongo.url_for("admin")) as client:
        for seconds in (3, 60):
            client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=seconds)
            if seconds == 3:
                yield


@pytest.fixture
def url_of(request: pytest.FixtureRequest, data_path: Path) -> Callable[[str, str], str]:
    """A database of its own on a server, by the server's name."""

    def make(server: str, what: str) -> str:
        if server == "sqlite":
            return f"sqlite:///{data_path}/{what}.db"
        if server == "redis":
            return str(request.getfixturevalue("redis_server").primary.url)
        if server == "mongo":
            replicas = request.getfixturevalue("mongo")
            request.getfixturevalue("short_transactions")
            return str(replicas.url_for(replicas.database()))
        if server == "cassandra":
            return str(request.getfixturevalue("cassandra_store_rig").url)
        given = request.getfixturevalue("pg" if server == "postgresql" else "mariadb")
        url: str = given.primary.url_for(given.database())
        return url

    return make


def cells_outside() -> list[Any]:
    """All of them; or the call itself on each inbox, and the step after it."""
    points = (*POINTS, "message.completed")
    whole = [
        (point, source, inbox)
        for point, source, inbox in itertools.product(points, SOURCES, OUTSIDE)
        if point != "message.committed"
        or inbox not in ("redis", "cassandra")  # they keep claims alone: nothing commits
    ]
    places = [*itertools.product(("in the effect",), OUTSIDE), ("message.completed", "redis")]
    some = [(point, SOURCES[number % len(SOURCES)], inbox) for number, (point, inbox) in enumerate(places)]
    made = whole if WHOLE else some
    return [pytest.param(*one, marks=[pytest.mark.cassandra] if "cassandra" in one else []) for one in made]


def prepared(cell: dict[str, Any]) -> None:
    """The tables of the effect, and of the inbox."""
    from consumer_effects import effects_of

    effects = effects_of(cell)
    effects.prepare([f"k{key}" for key in range(KEYS)])
    made = effects.inbox()
    made.create_tables()
    made.close()
    effects.close()


def messages(cell: dict[str, Any]) -> int:
    """How many a cell has."""
    return CALLS if "provider" in cell else MESSAGES


def published(cell: dict[str, Any]) -> None:
    """All messages, in the order of their keys."""
    from consumer_children import source_of

    source, numbers, deadline = source_of(cell), Numbering(), Deadline(SYSTEM_CLOCK, 60.0)
    if hasattr(source, "create_tables"):
        source.create_tables()
    sent = []
    for n in range(1, messages(cell) // KEYS + 1):
        sent += [numbers.message(f"k{key}", {"k": f"k{key}", "n": n}) for key in range(KEYS)]
    assert all(answer.confirmed for answer in source.publish(sent, deadline))
    source.close()


def applied(told: dict[str, Any]) -> tuple[dict[str, list[int]], dict[str, int]]:
    """By key: what the ledger says, and what the account says."""
    from consumer_effects import effects_of

    effects = effects_of(told)
    found: tuple[dict[str, list[int]], dict[str, int]] = effects.applied()
    effects.close()
    return found


def cases(told: dict[str, Any]) -> str:
    """What is in the hospital, what is held, and what is left in the source: for people."""
    given = told["hospital"] if told["inbox"].startswith(("redis:", "cassandra:")) else told["inbox"]
    look = _of_mongo if given.startswith("mongodb:") else _of_sql
    return f"{look(given)}, {_left(*told['source'].split(' ', 1))}"


def _of_sql(url: str) -> str:
    engine = create_engine(url)
    with engine.connect() as db:
        found = db.execute(text("SELECT reason, status, attempts, error_type, error FROM regionkit_rk_hospital")).all()
        held = db.execute(text("SELECT count(*) FROM regionkit_rk_held")).scalar()
        gates = db.execute(text("SELECT n, parked FROM regionkit_rk_gate ORDER BY n")).all()
    engine.dispose()
    return f"{held} held, cases {found}, gates {gates}"


def _of_mongo(url: str) -> str:
    shown = {"_id": 0, "reason": 1, "status": 1, "attempts": 1, "error": 1}
    with pymongo.MongoClient(url) as client:
        database = client.get_default_database()
        found = list(database.regionkit_rk_hospital.find({}, shown))
        held = database.regionkit_rk_held.count_documents({})
        gates = [(one["at"]["n"], one["parked"]) for one in database.regionkit_rk_gate.find(sort=[("at.n", 1)])]
    return f"{held} held, cases {found}, gates {gates}"


def _left(kind: str, url: str) -> str:
    """What was not acknowledged, and how often it had been given."""
    if kind == "redis":
        with redis.Redis.from_url(url) as client:
            pending: Any = client.xpending_range("orders", "billing", "-", "+", 100)
            group: Any = client.xinfo_groups("orders")[0]
        return f"pending {[(one['time_since_delivered'], one['times_delivered']) for one in pending]}, group {group}"
    engine = create_engine(url)
    with engine.connect() as db:
        rows = db.execute(text("SELECT id, given, due_at FROM regionkit_rk_queue ORDER BY id")).all()
    engine.dispose()
    return f"left {rows} at {time.time()}"


def run_cell(point: str, source: str, inbox: str, url_of: Callable[[str, str], str], **more: Any) -> dict[str, Any]:
    """The cell, run to its end in processes of its own. What became of it, the inbox's database among it."""
    url = url_of(inbox, "inbox")
    cell = {
        "point": point,
        "source": source,
        "inbox": url,
        "hospital": url_of("sqlite", "hospital"),
        "prefix": f"cell{crc32(point.encode())}_{os.getpid()}",
        "seed": crc32(f"{point} {inbox}".encode()),
        "kills": KILLS,
        **more,
    }
    prepared(cell)
    published(cell)
    done = subprocess.run(
        [sys.executable, CHILDREN, json.dumps(cell)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (told["late"], told["failed"]) == (0, 0), (told, done.stderr)
    return {**cell, **told}


@pytest.mark.slow
@pytest.mark.parametrize(("point", "source", "inbox"), cells())
@pytest.mark.timeout(CELL)
def test_a_killed_consumer_loses_and_doubles_nothing(
    point: str, source: str, inbox: str, url_of: Callable[[str, str], str], request: pytest.FixtureRequest
) -> None:
    """Neither in the ledger nor in the accounts, and in order."""
    told = run_cell(point, address(source, url_of, request), inbox, url_of)
    ledger, accounts = applied(told)
    expected = list(range(1, MESSAGES // KEYS + 1))
    wrong = {key: found for key, found in ledger.items() if found != expected}
    assert not wrong, f"{wrong}, {told}: {cases(told)}"
    assert len(ledger) == KEYS, cases(told)
    assert accounts == {f"k{key}": len(expected) for key in range(KEYS)}
    few = point == "message.acknowledged"  # many messages are acknowledged in one step
    assert told["kills"] >= (1 if few else KILLS)
    if point == "message.committed":
        assert told["duplicates"] > 0, "nothing that was committed came again"
    print(f"{told['kills']} kills, {told.get('duplicates', 0)} duplicates, {told.get('held', 0)} held")


def address(source: str, url_of: Callable[[str, str], str], request: pytest.FixtureRequest) -> str:
    """The source as its children are told it."""
    if source != "redis":
        return f"sql {url_of(source, 'queue')}"
    url = request.getfixturevalue("redis_server").primary.url
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return f"redis {url}"


@pytest.mark.slow
@pytest.mark.parametrize(("point", "source", "inbox"), cells_outside())
@pytest.mark.timeout(CELL)
def test_calls_of_a_killed_consumer_are_made_and_known(
    point: str, source: str, inbox: str, url_of: Callable[[str, str], str], request: pytest.FixtureRequest
) -> None:
    """FENCED_AT_LEAST_ONCE: each call reaches the provider, in order where there is one; one that was repeated has its key."""
    provider = url_of("sqlite", "provider")
    told = run_cell(point, address(source, url_of, request), inbox, url_of, provider=provider)
    ledger, counts = applied(told)
    expected = list(range(1, CALLS // KEYS + 1))
    wrong = {key: found for key, found in ledger.items() if found != expected}
    assert not wrong, f"{wrong}, {told}: {cases(told)}"
    assert len(ledger) == KEYS, cases(told)
    repeated = sum(counts.values()) - CALLS
    assert repeated <= told["kills"], f"{repeated} calls came twice: {told}"
    assert told["kills"] >= (1 if point == "message.acknowledged" else KILLS)
    print(f"{told['kills']} kills, {told.get('duplicates', 0)} duplicates, {repeated} calls repeated")


@pytest.mark.slow
@pytest.mark.timeout(CELL)
@pytest.mark.redis
def test_without_claims_calls_are_repeated(url_of: Callable[[str, str], str], request: pytest.FixtureRequest) -> None:
    """The rig sees what it is there for."""
    more = {"provider": url_of("sqlite", "provider"), "without_inbox": True}
    told = run_cell("message.completed", address("redis", url_of, request), "redis", url_of, **more)
    _, counts = applied(told)
    assert sum(counts.values()) > CALLS, told


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.timeout(CELL)
@pytest.mark.parametrize("inbox", INBOXES)
def test_without_its_inbox_the_matrix_is_red(
    inbox: str, url_of: Callable[[str, str], str], request: pytest.FixtureRequest
) -> None:
    """The rig sees what it is there for: messages applied twice."""
    told = run_cell("message.committed", address("redis", url_of, request), inbox, url_of, without_inbox=True)
    ledger, _ = applied(told)
    assert sum(map(len, ledger.values())) > MESSAGES
