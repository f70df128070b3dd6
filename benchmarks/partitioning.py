"""What a key's home costs to find, and a fan-out over four shards 40 ms away.

Beside the look-up: Django's database router. Beside the fan-out, on the same four databases: SQLAlchemy's ShardedSession
and a loop over Django's `using()`, which both ask one shard after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from itertools import cycle
from typing import Any
from zlib import crc32

from sqlalchemy import Engine, create_engine, func, make_url, select
from sqlalchemy.ext.horizontal_shard import ShardedSession

from benchmarks.harness import Candidate, Report, Row, Settings, measure, pin, pin_children
from benchmarks.world import Base, Order
from regionkit import (
    EVENTUAL,
    Directory,
    Endpoint,
    Hashed,
    Intrinsic,
    Region,
    RegionKit,
    Role,
    SqlStore,
    Topology,
    WritePartitioning,
)
from regionkit.facts.placement import Placement
from regionkit.routing.hotkeys import EVERY, HotKeys
from regionkit.testing import servers
from regionkit.testing.proxy import FaultProxy

MOST_LOOKUP, MOST_HOT, MOST_FAN_OUT = 0.15, 0.1, 1.2
REGIONS = ("ap-northeast-2", "us-east-1", "eu-west-1", "sa-east-1")
EACH_WAY = 0.02
BULK = 1000
NO_DJANGO = 'Django is not installed, its row is left out: pip install "regionkit[bench]".'


def run(settings: Settings) -> list[Report]:
    """Two reports."""
    return [_homes(settings), _fan_out(settings)]


def _kit(home: Any, urls: dict[str, str]) -> RegionKit:
    endpoints = [Endpoint(region, Role.PRIMARY, url) for region, url in urls.items()]
    carts = SqlStore("carts", strategy=WritePartitioning(home), endpoints=endpoints)
    orders = SqlStore("orders", endpoints=endpoints[:1])
    regions = [Region(region) for region in REGIONS]
    topology = Topology(namespace="bench", control="orders", regions=regions, stores=[carts, orders])
    return RegionKit(topology, local=REGIONS[0], profile="gentle")


def _homes(settings: Settings) -> Report:
    """The look-up that every call of a partitioned store makes. Needs no server: the homes are known."""
    pin()
    urls = {region: f"sqlite:////nowhere/{region}.db" for region in REGIONS}
    keys = {
        "Intrinsic": f"{REGIONS[1]}:cart-4711",
        "Hashed": "cart-4711",
        "Directory, remembered": "cart-4711",
    }
    kits = {
        "Intrinsic": _kit(Intrinsic("^(?P<region>[a-z0-9-]+):"), urls),
        "Hashed": _kit(Hashed(REGIONS), urls),
        "Directory, remembered": _kit(Directory(max_age=86_400.0), urls),
    }
    candidates = [
        Candidate("bare call", lambda: _bare("cart-4711", None), bulk=BULK),
        Candidate("crc32 of the key", lambda: crc32(b"cart-4711"), bulk=BULK),
    ]
    for name, kit in kits.items():
        carts: Any = kit._store("carts")
        carts._verified.update(REGIONS)
        if carts.directory is not None:
            carts.directory.remember(Placement("carts", "cart-4711", REGIONS[1]))
        candidates.append(Candidate(name, _looking(carts.home_without_io, keys[name]), bulk=BULK))
    candidates.append(Candidate("hot-key report", _counting_keys("cart-4711"), bulk=BULK))
    report = Report("homes", "Finding the home of a key", settings)
    rows = [Row(f"{name}, over a bare call", name, "bare call", "difference", MOST_LOOKUP) for name in kits]
    rows.append(Row("of it the hot-key report", "hot-key report", "bare call", "difference", MOST_HOT))
    rows.append(Row("crc32 alone, over a bare call", "crc32 of the key", "bare call", "difference"))
    if cart := _django_model():
        candidates.append(Candidate("Django's router", _routing(cart, keys["Intrinsic"]), bulk=BULK))
        rows.append(Row("Django's db_for_write, over a bare call", "Django's router", "bare call", "difference"))
    report.note(_django_note("Django's router reads the region off the key, as Intrinsic does."))
    report.add(rows, measure(candidates, settings, 50))
    for kit in kits.values():
        kit.close()
    return report


def _counting_keys(key: str) -> Callable[[], None]:
    """What each look-up does for the report: every `EVERY`th is counted."""
    sampled, hot = cycle([False] * (EVERY - 1) + [True]), HotKeys()

    def count() -> None:
        if next(sampled):
            hot.add(key)

    return count


def _bare(key: str, home: str | None) -> None:
    return None


def _looking(home_without_io: Callable[[str, None], Any], key: str) -> Callable[[], Any]:
    return lambda: home_without_io(key, None)


class _ByKey:
    """A router as a Django application has it: the key names the database."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        instance = hints.get("instance")
        return None if instance is None else instance.item.partition(":")[0]


@cache
def _django_model() -> Any:
    """Orders as a Django model, keyed by its text; None where Django is not installed.

    Django is configured once a process: without its logging, and with databases that have no address yet.
    """
    try:
        import django
        from django.conf import settings
    except ImportError:
        return None
    shard = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": None}
    settings.configure(
        DATABASES={"default": {}, **{region: dict(shard) for region in REGIONS}},
        DATABASE_ROUTERS=[_ByKey()],
        LOGGING_CONFIG=None,
    )
    django.setup(set_prefix=False)
    from django.db import models

    class Cart(models.Model):
        item = models.CharField(primary_key=True, max_length=50)

        class Meta:
            app_label, db_table, managed = "bench", Order.__tablename__, False

    return Cart


def _django_note(text: str) -> str:
    if _django_model() is None:
        return NO_DJANGO
    import django

    return f"{text} Django {django.__version__}."


def _routing(cart: Any, key: str) -> Callable[[], str]:
    from django.db import router

    made = cart(item=key)
    assert router.db_for_write(cart, instance=made) == REGIONS[1]
    return lambda: router.db_for_write(cart, instance=made)


def _counting(cart: Any, urls: dict[str, str], stack: ExitStack) -> Callable[[], None]:
    """Django's databases get their addresses; their connections stay open until the stack ends."""
    from django.db import connections

    for region, url in urls.items():
        at = make_url(url)
        address = {"HOST": at.host, "PORT": at.port, "USER": at.username, "PASSWORD": at.password, "NAME": at.database}
        connections.settings[region].update(address)
    stack.callback(connections.close_all)

    def count() -> None:
        for region in urls:
            assert cart.objects.using(region).count() == 0

    return count


def _fan_out(settings: Settings) -> Report:
    """Four databases of one PostgreSQL, each behind a proxy of its own."""
    core = pin()
    report = Report("fan_out", "A count over four shards, 40 ms round trip each", settings)
    far = Settings(settings.rounds, share=0.0)  # one operation a round: each takes a tenth of a second or more
    with ExitStack() as stack:
        server = stack.enter_context(servers.postgresql())
        urls, proxies = {}, []
        for region in REGIONS:
            url = server.primary.url_for(server.database())
            engine = create_engine(url)
            Base.metadata.create_all(engine)
            engine.dispose()
            proxy = FaultProxy(url)
            stack.callback(proxy.close)
            urls[region] = proxy.url
            proxies.append(proxy)
        kit = stack.enter_context(_kit(Hashed(REGIONS), urls))
        kit.create_tables()
        engines = {region: create_engine(url) for region, url in urls.items()}
        pin_children(core)
        for proxy in proxies:
            proxy.latency(EACH_WAY)
        candidates, rows = _candidates(kit, engines), _rows()
        if cart := _django_model():
            candidates.append(Candidate("Django", _counting(cart, urls, stack)))
            rows.append(Row("Django's using() over 4 shards / one shard alone", "Django", "one shard"))
        report.note("ShardedSession takes three round trips a shard (BEGIN, SELECT, ROLLBACK), the others one.")
        report.note(_django_note("Django's connections are persistent, and in its autocommit."))
        report.add(rows, measure(candidates, far, 1))
        for engine in engines.values():
            engine.dispose()
    return report


def _rows() -> list[Row]:
    return [
        Row("kit.fan_out over 4 shards / one shard alone", "fan_out", "one shard", most=MOST_FAN_OUT),
        Row("ShardedSession over 4 shards / one shard alone", "ShardedSession", "one shard"),
        Row("ShardedSession in autocommit / one shard alone", "ShardedSession, autocommit", "one shard"),
        Row("one shard alone: a routed read", "one shard", way="time"),
    ]


def _candidates(kit: RegionKit, engines: dict[str, Engine]) -> list[Candidate]:
    count = select(func.count()).select_from(Order)

    def one() -> None:
        with kit.session() as s, s.read("carts", key=key, consistency=EVENTUAL) as db:
            db.scalar(count)

    def fan_out() -> None:
        for _, result in kit.fan_out("carts", lambda db: db.scalar(count), consistency=EVENTUAL):
            assert result.ok, result.error

    def sharded(shards: dict[str, Engine]) -> Callable[[], None]:
        def run() -> None:
            with ShardedSession(
                shard_chooser=lambda *_: REGIONS[0],
                identity_chooser=lambda *_, **__: list(shards),
                execute_chooser=lambda _: list(shards),
                shards=shards,
            ) as db:
                assert len(db.execute(count).all()) == len(REGIONS)

        return run

    autocommit = {region: engine.execution_options(isolation_level="AUTOCOMMIT") for region, engine in engines.items()}
    home = Hashed(REGIONS)
    key = next(key for key in map(str, range(1000)) if home.of(key) == REGIONS[-1])
    return [
        Candidate("one shard", one),
        Candidate("fan_out", fan_out),
        Candidate("ShardedSession", sharded(engines)),
        Candidate("ShardedSession, autocommit", sharded(autocommit)),
    ]
