"""Promotions, forks and restarts on real servers: what a bookmark is worth afterwards."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, Order, make_tables, wait_until
from sqlalchemy import text

from regionkit import (
    EVENTUAL,
    ConfigurationError,
    Endpoint,
    Fenced,
    NoEligibleEndpoint,
    Region,
    RegionKit,
    RegionUnavailable,
    Role,
    SqlStore,
    StaleRead,
    Topology,
)

A, B, C = "us-east-1", "ap-northeast-2", "eu-west-1"
QUICK = {"base": "aggressive", "open_first": 0.2, "open_longest": 0.4, "hold_down": 0.1}
KEY = "a key of more than sixteen characters"


def kit_of(urls: list[str], local: str = B, **options: Any) -> RegionKit:
    """A kit over A (primary), B and C (replicas)."""
    regions = [A, B, C][: len(urls)]
    endpoints = [
        Endpoint(region, Role.REPLICA if i else Role.PRIMARY, url)
        for i, (region, url) in enumerate(zip(regions, urls, strict=True))
    ]
    topology = Topology(
        namespace=NAMESPACE,
        regions=[Region(r) for r in regions],
        stores=[SqlStore("orders", endpoints=endpoints)],
    )
    return RegionKit(topology, local=local, profile=QUICK, bookmark_keys=[KEY], **options)


def urls_of(servers: Any, *, privileged: bool = False) -> list[str]:
    """URLs of the ordinary account; or of the superuser, which may read timeline histories."""
    if privileged:
        return [n.url.rsplit("/", 1)[0] + "/shop" for n in (servers.primary, *servers.replicas)]
    return [n.app_url for n in (servers.primary, *servers.replicas)]


def place(kit: RegionKit, number: int) -> str:
    """Write one order; its bookmark."""
    with kit.session() as s:
        s.execute_write("orders", lambda db: db.add(Order(id=number, item="tea")))
        return s.bookmark()


def sees(kit: RegionKit, number: int, bookmark: str) -> bool:
    """Whether a session read under the bookmark finds the order."""
    with kit.session(bookmark=bookmark) as s, s.read("orders") as db:
        return db.get(Order, number) is not None


def writable(kit: RegionKit, number: int) -> bool:
    """Whether a write goes through."""
    try:
        place(kit, number)
    except (Fenced, NoEligibleEndpoint, RegionUnavailable):
        return False
    return True


def caught_up(kit: RegionKit) -> bool:
    """Whether every endpoint is seen with little lag."""
    return all(e.lag is not None and e.lag < 2.0 for e in kit.status().endpoints)


@pytest.fixture
def trio(own_pg: Any) -> Any:
    """PostgreSQL: a primary and two replicas of one's own."""
    servers = own_pg(replicas=2)
    make_tables(servers.primary.app_url)
    servers.wait_for_replicas()
    return servers


def test_a_promotion_by_others_is_proved_and_bookmarks_hold_or_are_lost(trio: Any) -> None:
    """The monitor writes the history row from the timeline history; what B had survives, what only A had is lost."""
    with kit_of(urls_of(trio, privileged=True)) as kit:
        kit.create_tables()
        early = place(kit, 1)
        wait_until(lambda: caught_up(kit))
        before_cut = place(kit, 2)
        wait_until(lambda: trio.replicas[0].sql("SELECT 1 FROM orders WHERE id = 2", database="shop"))
        # A writes on alone: both replicas are cut off from it
        for replica in trio.replicas:
            replica.sql("ALTER SYSTEM SET primary_conninfo = ''")
            replica.sql("SELECT pg_reload_conf()")
        wait_until(lambda: not trio.primary.sql("SELECT 1 FROM pg_stat_replication"))
        late = place(kit, 3)
        trio.primary.kill()
        trio.replicas[0].promote()
        wait_until(lambda: writable(kit, 4), 20)
        assert kit.status().endpoints[1].epoch == 2
        assert sees(kit, 1, early)
        assert sees(kit, 2, before_cut)
        with pytest.raises(StaleRead) as caught:
            sees(kit, 3, late)
        assert caught.value.lost
        assert not caught.value.retryable
        with kit.session(bookmark=late) as s:
            s.accept_loss()
            with s.read("orders") as db:
                assert db.get(Order, 3) is None
                assert db.get(Order, 4) is not None
        # the old primary comes back as itself: it is fenced, nothing is written there
        trio.primary.start()
        wait_until(lambda: "epoch 1" in str(kit.explain("orders", "write")), 20)
        with kit.session() as s, s.write("orders") as db:
            db.add(Order(id=5, item="tea"))
        assert s.last_route is not None
        assert s.last_route.region == B


def test_two_replicas_promoted_apart_are_both_fenced(trio: Any) -> None:
    """Both are timeline 2 and both descend from A: neither may be written, and a bookmark of one fails on the other."""
    urls = urls_of(trio, privileged=True)
    with kit_of(urls) as kit:
        kit.create_tables()
        place(kit, 1)
        wait_until(lambda: caught_up(kit))
    trio.wait_for_replicas()  # a small lag is not no lag
    trio.primary.kill()
    trio.replicas[0].promote()
    with kit_of([urls[0], urls[1]]) as only_b:
        wait_until(lambda: writable(only_b, 2), 20)
        of_b = place(only_b, 3)
    trio.replicas[1].promote()
    with kit_of([urls[0], urls[2]], local=A) as only_c:
        wait_until(lambda: writable(only_c, 4), 20)
        with pytest.raises(StaleRead) as nobody_knows:
            sees(only_c, 3, of_b)
        assert nobody_knows.value.lost
    with kit_of(urls) as kit, kit.session():
        wait_until(lambda: sum(e.state.startswith("fenced") for e in kit.status().endpoints) == 2, 20)
        with pytest.raises(Fenced) as caught:
            place(kit, 9)
        assert caught.value.committed == "no"
        with kit_of(urls) as operator:
            operator.adopt("orders", C)
        wait_until(lambda: writable(kit, 9), 20)  # the word stands in the data
        assert sum(e.state.startswith("fenced") for e in kit.status().endpoints) == 1
        with pytest.raises(StaleRead) as gone:
            sees(kit, 3, of_b)
        assert gone.value.lost


def test_without_proof_a_promotion_waits_for_adopt(trio: Any) -> None:
    """An ordinary account cannot read the timeline history: writes are fenced, SESSION reads closed, until adopt.

    Status, explain and the error name the missing right and how to grant it.
    """
    with kit_of(urls_of(trio)) as kit:
        kit.create_tables()
        bookmark = place(kit, 1)
        wait_until(lambda: caught_up(kit))
        trio.wait_for_replicas()  # a small lag is not no lag
        trio.primary.kill()
        trio.replicas[0].promote()
        wait_until(lambda: "promoted" in str(kit.status()), 20)
        lacked, grant = "the account lacks REPLICATION", 'ALTER ROLE "app" REPLICATION'
        wait_until(lambda: lacked in kit.status().endpoints[1].state, 20)
        assert grant in kit.status().endpoints[1].advice
        assert grant in str(kit.status())
        assert lacked in str(kit.explain("orders", "write").to_dict())
        with pytest.raises((Fenced, NoEligibleEndpoint)) as caught:
            place(kit, 2)
        assert lacked in caught.value.why
        with pytest.raises((StaleRead, Fenced, NoEligibleEndpoint, RegionUnavailable)):
            sees(kit, 1, bookmark)
        with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            db.get(Order, 1)
        with pytest.raises(ConfigurationError):
            kit.adopt("orders", C)
        kit.adopt("orders", B)
        assert kit.status().endpoints[1].advice == ""
        place(kit, 2)
        assert sees(kit, 1, bookmark)


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_an_unproved_promotion_is_adopted_and_forks_are_seen(server: str, request: pytest.FixtureRequest) -> None:
    """They prove nothing: adopt writes the row; a write that only the old primary had is lost."""
    servers = request.getfixturevalue(f"own_{server}")(replicas=1)
    make_tables(servers.primary.app_url)
    servers.wait_for_replicas()
    with kit_of(urls_of(servers)) as kit:
        kit.create_tables()
        early = place(kit, 1)
        wait_until(lambda: caught_up(kit))
        servers.wait_for_replicas()  # a small lag is not no lag
        servers.replicas[0].sql("STOP SLAVE")
        late = place(kit, 2)
        servers.primary.kill()
        servers.replicas[0].promote()
        wait_until(lambda: "promoted" in str(kit.status()), 20)
        with pytest.raises((Fenced, NoEligibleEndpoint, RegionUnavailable)):
            place(kit, 3)
        kit.adopt("orders", B)
        place(kit, 3)
        assert sees(kit, 1, early)
        with pytest.raises(StaleRead) as caught:
            sees(kit, 2, late)
        assert caught.value.lost


def test_a_restarted_standby_proves_nothing(trio: Any) -> None:
    """Killed and restarted, a standby may answer at an earlier position: no session read goes backwards."""
    urls = urls_of(trio)
    engine = sqlalchemy.create_engine(urls[0])
    with kit_of(urls) as kit:
        kit.create_tables()
        wait_until(lambda: caught_up(kit))
        backwards = 0
        for number in range(1, 6):
            with kit.session() as s:
                s.execute_write(
                    "orders",
                    lambda db, n=number: db.execute(
                        text(f"INSERT INTO orders SELECT i, 'x' FROM generate_series({n}00001, {n}20000) AS i")
                    ),
                )
                seen = s.execute_read("orders", lambda db: db.execute(text("SELECT count(*) FROM orders")).scalar())
                trio.replicas[0].kill()
                trio.replicas[0].start()
                for _ in range(20):
                    again = s.execute_read(
                        "orders", lambda db: db.execute(text("SELECT count(*) FROM orders")).scalar()
                    )
                    backwards += again < seen
                    seen = again
        assert backwards == 0
    engine.dispose()


def test_an_idle_primary_at_a_segment_start_keeps_its_replicas_fresh(trio: Any) -> None:
    """After a WAL segment switch the insert position stands behind a header that no idle replica reaches."""
    with kit_of(urls_of(trio)) as kit:
        kit.create_tables()
        bookmark = place(kit, 1)
        trio.primary.sql("SELECT pg_switch_wal()")
        trio.primary.sql("CHECKPOINT")
        time.sleep(0.3)
        wait_until(lambda: caught_up(kit))
        with kit.session(bookmark=bookmark) as s, s.read("orders", on_stale="raise") as db:
            assert db.get(Order, 1) is not None
        with kit.session() as s:
            with s.write("orders") as db:
                db.add(Order(id=2, item="tea"))
                db.flush()
                trio.primary.sql("SELECT pg_switch_wal()")
            marked = s.bookmark()
        wait_until(lambda: _local(kit, marked))


def _local(kit: RegionKit, bookmark: str) -> bool:
    with kit.session(bookmark=bookmark) as s:
        with s.read("orders") as db:
            assert db.get(Order, 2) is not None
        assert s.last_route is not None
        return s.last_route.region == B


def test_a_commit_that_waits_for_a_synchronous_replica_is_not_unseen(own_pg: Any) -> None:
    """The replica shows a commit that the primary still holds back: moving there a session waits, it does not go back."""
    servers = own_pg(replicas=1, sync=True)
    make_tables(servers.primary.app_url)
    servers.wait_for_replicas()
    with kit_of(urls_of(servers)) as kit:
        kit.create_tables()
        place(kit, 1)
        wait_until(lambda: caught_up(kit))
        # a waiter that no standby ever confirms: the replica of another name is asked for
        servers.primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 2 (*)'")
        servers.primary.sql("SELECT pg_reload_conf()")
        with psycopg.connect(servers.primary.app_url.replace("+psycopg", ""), autocommit=True) as writer:
            import threading

            def commit() -> None:
                try:
                    writer.execute("INSERT INTO orders VALUES (7, 'waiting')")
                except psycopg.Error:
                    pass

            thread = threading.Thread(target=commit)
            thread.start()
            with kit.session() as s:
                wait_until(lambda: s.execute_read("orders", lambda db: db.get(Order, 7), consistency=EVENTUAL))
                assert s.last_route is not None
                assert s.last_route.region == B
                bookmark = s.bookmark()
            servers.replicas[0].pause_replay()
            with kit.session(bookmark=bookmark) as s:
                # asked of the owner, it may be refused in time, but must not be missing
                try:
                    found = s.execute_read("orders", lambda db: db.get(Order, 7), timeout=1.0, prefer=None)
                    assert found is not None
                except (StaleRead, RegionUnavailable, NoEligibleEndpoint):
                    pass
            servers.replicas[0].resume_replay()
            servers.primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
            servers.primary.sql("SELECT pg_reload_conf()")
            thread.join(10)


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_demoted_connections_leave_the_pool(server: str, request: pytest.FixtureRequest) -> None:
    """A primary that turns read-only under a full pool: one error that says no, then writes go to the new primary."""
    servers = request.getfixturevalue(f"own_{server}")(replicas=1)
    make_tables(servers.primary.app_url)
    servers.wait_for_replicas()
    with kit_of(urls_of(servers)) as kit:
        kit.create_tables()
        for number in range(1, 9):
            place(kit, number)
        wait_until(lambda: caught_up(kit))
        servers.wait_for_replicas()  # a small lag is not no lag
        servers.primary.sql("SET GLOBAL read_only = 1")
        servers.replicas[0].promote()
        kit.adopt("orders", B)
        failed = 0
        for number in range(10, 20):
            try:
                place(kit, number)
            except RegionUnavailable as error:
                assert error.committed == "no"
                failed += 1
        assert failed <= 1
        assert kit.status().endpoints[1].role == "owner"
