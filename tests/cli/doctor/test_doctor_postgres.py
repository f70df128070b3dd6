"""The doctor on real PostgreSQL servers: prepared faults are found, and nothing on a healthy pair."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_certificates import certificate
from fix_doctor import KEYS, NAMESPACE, codes, examined, kit_over, one, prepared, sql_store
from fix_rigs import wait_until
from fix_servers import absent

from regionkit import Endpoint, Role, SqlStore
from regionkit.cli import main
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.testing import FaultProxy

REGIONS = ["r0", "r1"]


class Fleet:
    """A primary and a replica, a database of its own, and settings that are taken back."""

    def __init__(self, pg: Any) -> None:
        self.nodes = [pg.primary, pg.replicas[0]]
        self.servers = pg
        self.database = pg.database()
        self.changed: list[tuple[Any, str]] = []
        self.undo: list[Callable[[], Any]] = []

    @property
    def urls(self) -> list[str]:
        return [node.url_for(self.database) for node in self.nodes]

    def set(self, node: int, name: str, value: str, shown: str | None = None) -> None:
        """A setting that a reload changes."""
        server = self.nodes[node]
        self.changed.append((server, name))
        server.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        server._reload(name, shown or value)

    def sql(self, text: str) -> None:
        """As superuser in the database."""
        self.nodes[0].sql(text, database=self.database)

    def close(self) -> None:
        for undo in reversed(self.undo):
            undo()
        for server, name in self.changed:
            before = server.sql("SELECT count(*) FROM pg_file_settings WHERE name = %s", name)
            server.sql(f"ALTER SYSTEM RESET {name}")
            server.sql("SELECT pg_reload_conf()")
            assert before


@pytest.fixture
def fleet(pg: Any) -> Iterator[Fleet]:
    """Healthy: what the test servers leave out for speed is on, and the account may prove promotions."""
    made = Fleet(pg)
    for node in (0, 1):
        made.set(node, "fsync", "on")
    made.nodes[0].sql("ALTER ROLE app REPLICATION")
    made.undo.append(lambda: made.nodes[0].sql("ALTER ROLE app NOREPLICATION"))
    yield made
    made.close()


def look(fleet: Fleet, **options: Any) -> Any:
    """Findings over its two servers, tables made."""
    return examined(prepared(kit_over(sql_store(*fleet.urls), REGIONS, **options)))


def test_a_healthy_pair_has_nothing_to_mend(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a note; by the command, from a file: exit code 0."""
    assert look(fleet) == []
    monkeypatch.setenv("KEY", KEYS[0])
    monkeypatch.setenv("PASSWORD", "app")
    path = tmp_path / "regionkit.toml"
    lines = [f'namespace = "{NAMESPACE}"', 'bookmark_keys = ["${KEY}"]', "[regions.r0]", "[regions.r1]"]
    lines += ["[stores.orders]", 'backend = "sql"']
    for region, role, url in (("r0", "primary", fleet.urls[0]), ("r1", "replica", fleet.urls[1])):
        hidden = url.replace(":app@", ":${PASSWORD}@")
        lines += ["[[stores.orders.endpoints]]", f'region = "{region}"\nrole = "{role}"\nurl = "{hidden}"']
    path.write_text("\n".join(lines))
    assert main(["doctor", "--config", str(path), "--local", "r1"]) == 0
    assert capsys.readouterr().out == "2 endpoints examined: no findings.\n"
    path.write_text("\n".join(lines).replace("${PASSWORD}", "app"))
    assert main(["doctor", "--config", str(path), "--local", "r1", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {f["code"] for f in told["findings"]} == {"D102"}
    assert told["counts"] == {"error": 0, "warning": 2, "note": 0}


def test_missing_tables(fleet: Fleet) -> None:
    """Nobody called create_tables()."""
    found = examined(kit_over(sql_store(*fleet.urls), REGIONS))
    assert codes(found) == ["D601"]
    assert "history, marker, record" in found[0].what


def test_a_server_that_does_not_write_through(fleet: Fleet) -> None:
    """fsync off, on the primary alone."""
    fleet.set(0, "fsync", "off")
    found = look(fleet)
    assert (one(found, "D404").severity, one(found, "D404").subject) == ("error", "orders r0")
    assert codes(found) == ["D404"]


def test_reads_that_a_replica_cancels(fleet: Fleet) -> None:
    """hot_standby_feedback off: a warning where reads in time are hit, else a note."""
    fleet.set(1, "hot_standby_feedback", "off")
    assert [(f.code, f.severity) for f in look(fleet)] == [("D402", "note")]
    fleet.set(1, "max_standby_streaming_delay", "1s", "1000")
    assert [(f.code, f.severity) for f in look(fleet)] == [("D402", "warning")]


def test_a_paused_replica(fleet: Fleet) -> None:
    """It shows nothing new."""
    kit = prepared(kit_over(sql_store(*fleet.urls), REGIONS))
    fleet.nodes[1].pause_replay()
    fleet.undo.append(fleet.nodes[1].resume_replay)
    assert one(examined(kit), "D407").what == "its replay is paused."


def test_a_delayed_replica(fleet: Fleet) -> None:
    """recovery_min_apply_delay."""
    kit = prepared(kit_over(sql_store(*fleet.urls), REGIONS))
    fleet.set(1, "recovery_min_apply_delay", "5s", "5000")
    assert "5 s" in one(examined(kit), "D407").what


def test_an_idle_replication_slot(fleet: Fleet) -> None:
    """A note while it keeps little; it is named."""
    fleet.nodes[0].sql("SELECT pg_create_physical_replication_slot('forgotten', true)")
    fleet.undo.append(lambda: fleet.nodes[0].sql("SELECT pg_drop_replication_slot('forgotten')"))
    found = one(look(fleet), "D406")
    assert "forgotten" in found.what and found.severity == "note"


def test_commits_that_wait_for_nobody(fleet: Fleet) -> None:
    """The synchronous standby is not there; and an account that cannot see that says so."""
    kit = prepared(kit_over(sql_store(*fleet.urls), REGIONS))
    fleet.nodes[0].sql("GRANT pg_read_all_stats TO app")
    fleet.undo.append(lambda: fleet.nodes[0].sql("REVOKE pg_read_all_stats FROM app"))
    fleet.set(0, "synchronous_standby_names", "nobody")
    try:
        found = examined(kit)
    finally:
        fleet.nodes[0].sql("ALTER SYSTEM RESET synchronous_standby_names")
        fleet.nodes[0]._reload("synchronous_standby_names", "")
        fleet.changed.pop()
    assert codes(found) == ["D405"] and found[0].severity == "error"


def test_an_account_that_cannot_see_who_waits(fleet: Fleet) -> None:
    """Synchronous replication without pg_read_all_stats."""
    kit = prepared(kit_over(sql_store(*fleet.urls), REGIONS))
    fleet.set(0, "synchronous_standby_names", "ANY 1 (*)")
    try:
        found = examined(kit)
    finally:
        fleet.nodes[0].sql("ALTER SYSTEM RESET synchronous_standby_names")
        fleet.nodes[0]._reload("synchronous_standby_names", "")
        fleet.changed.pop()
    assert codes(found) == ["D507"]


def role(fleet: Fleet, name: str, *grants: str) -> str:
    """An account of this test's; its URL at the primary."""
    primary = fleet.nodes[0]
    primary.sql(f"DROP ROLE IF EXISTS {name}")
    primary.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    fleet.undo.append(lambda: (fleet.sql(f"DROP OWNED BY {name}"), primary.sql(f"DROP ROLE {name}")))
    for grant in grants:
        fleet.sql(grant)
    return fleet.urls[0].replace("app:app@", f"{name}:x@")


def test_an_account_for_reads_that_may_write(fleet: Fleet) -> None:
    """read_url with INSERT; once its session is read-only by its own settings that is enough."""
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    reader = role(fleet, "doc_reader", "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO doc_reader")
    store = SqlStore("orders", endpoints=[Endpoint("r0", Role.PRIMARY, fleet.urls[0], read_url=reader)])
    found = examined(kit_over(store, ["r0"]))
    assert one(found, "D503").severity == "warning"
    assert "doc_reader" in one(found, "D603").what, "the tables of regionkit are among those that it writes"
    fleet.nodes[0].sql("ALTER ROLE doc_reader SET default_transaction_read_only = on")
    assert "D503" not in codes(examined(kit_over(store, ["r0"])))


def test_an_account_that_lacks_rights_on_the_tables(fleet: Fleet) -> None:
    """Each is named with the GRANT that gives it."""
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    url = role(fleet, "doc_app", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO doc_app")
    found = [f for f in examined(kit_over(sql_store(url), ["r0"])) if f.code == "D502"]
    assert f"doc_app lacks INSERT on {NAMESPACE}_rk_history." in {f.what for f in found}
    assert f'GRANT DELETE ON {NAMESPACE}_rk_marker TO "doc_app";' in {f.fix for f in found}
    assert all(f.severity == "error" for f in found) and len(found) == 7


def test_an_account_that_may_not_read_the_histories(fleet: Fleet) -> None:
    """It cannot be used at all: the status knows the right, and the finding has it."""
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    url = role(fleet, "doc_blind")
    found = one(examined(kit_over(sql_store(url), ["r0"])), "D202")
    assert "SELECT" in found.what and "GRANT" in found.fix


def test_others_that_write_the_tables(fleet: Fleet) -> None:
    """They are named."""
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    role(fleet, "doc_other", f"GRANT UPDATE ON {NAMESPACE}_rk_history TO doc_other")
    assert "doc_other" in one(look(fleet), "D603").what


def test_a_table_of_another_version(fleet: Fleet) -> None:
    """A newer regionkit was here."""
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    fleet.sql(f"UPDATE {NAMESPACE}_rk_tables SET version = 2 WHERE name = 'marker'")
    found = one(examined(kit_over(sql_store(*fleet.urls), REGIONS)), "D602")
    assert found.severity == "error" and "version 2" in found.what and "newer" in found.why


def test_roles_declared_the_wrong_way_round(fleet: Fleet) -> None:
    """What the servers say wins, and both are named."""
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    found = examined(kit_over(sql_store(*reversed(fleet.urls)), REGIONS))
    assert [(f.code, f.subject) for f in found] == [("D301", "orders r0"), ("D301", "orders r1")]


def test_a_store_whose_only_server_is_a_replica(fleet: Fleet) -> None:
    """Nobody takes its writes."""
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    found = examined(kit_over(sql_store(fleet.urls[1]), ["r0"]))
    assert codes(found) == ["D204", "D301"]


def test_an_account_that_may_do_everything(fleet: Fleet) -> None:
    """The superuser's URL in an application."""
    store = sql_store(*(f"{node.url.rpartition('/')[0]}/{fleet.database}" for node in fleet.nodes))
    found = examined(prepared(kit_over(store, REGIONS)))
    assert set(codes(found)) == {"D501"}


def test_a_database_that_is_not_there(fleet: Fleet) -> None:
    """A wrong name."""
    found = examined(kit_over(sql_store(fleet.nodes[0].url_for("nowhere")), ["r0"]))
    assert codes(found) == ["D202"]


def test_a_port_where_nothing_listens(fleet: Fleet) -> None:
    """Of the replica: writes go on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    dead = fleet.urls[1].replace(f":{fleet.nodes[1].port}/", f":{port}/")
    found = one(examined(kit_over(sql_store(fleet.urls[0], dead), REGIONS)), "D201")
    assert found.subject == "orders r1" and "refused" in found.what


def test_a_replica_of_another_store(fleet: Fleet, own_pg: Any) -> None:
    """It is fenced, and the finding says why."""
    other = own_pg(0)
    prepared(kit_over(sql_store(*fleet.urls), REGIONS)).close()
    stranger = other.primary.app_url
    prepared(kit_over(sql_store(stranger), ["r0"])).close()
    found = examined(kit_over(sql_store(fleet.urls[0], stranger), REGIONS))
    assert "D205" in codes(found)


def test_a_primary_too_far_for_the_profile(fleet: Fleet) -> None:
    """At 300 ms the first write on a new connection takes longer than 3 s."""
    with FaultProxy(fleet.urls[0]) as proxy:
        proxy.latency(0.15)
        store = sql_store(proxy.url, fleet.urls[1])
        kit = kit_over(store, REGIONS, profile="aggressive")
        with kit, kit.session():
            wait_until(lambda: all(e.state == "up" for e in kit.status().endpoints), 30.0)
            found = examined(kit)
    far = one(found, "D303")
    assert far.subject == "orders r0" and "write_deadline 3 s" in far.what
    assert one(found, "D304").subject == "orders r0", "the local region is the farther one"


def test_a_clock_that_is_wrong(fleet: Fleet) -> None:
    """This machine's is half a minute behind, as seen by both servers."""

    class Behind:
        monotonic = staticmethod(SYSTEM_CLOCK.monotonic)

        @staticmethod
        def wall() -> float:
            return SYSTEM_CLOCK.wall() - 30.0

    found = look(fleet, clock=Behind())
    assert codes(found) == ["D305", "D305"] and "30.0 s ahead" in found[0].what


def test_settings_that_need_a_restart(own_pg: Any) -> None:
    """No replica can follow, no transaction can be prepared, too few connections for one pool."""
    settings = {
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_prepared_transactions": "0",
        "max_connections": "12",
    }
    primary = own_pg(0, settings={**settings, "fsync": "on"}).primary
    kit = prepared(kit_over(sql_store(primary.app_url), ["r0"]))
    assert set(codes(examined(kit))) == {"D401", "D408"}
    primary.sql(f"CREATE TABLE {NAMESPACE}_rk_tpc_branch (id int)", database="shop")
    found = examined(kit_over(sql_store(primary.app_url), ["r0"]))
    assert set(codes(found)) == {"D401", "D403", "D408"}
    assert one(found, "D403").severity == "error"


def test_an_account_that_cannot_prove_promotions(pg: Any) -> None:
    """A note, where there are copies."""
    database = pg.database()
    store = sql_store(*(node.url_for(database) for node in (pg.primary, pg.replicas[0])))
    assert one(examined(prepared(kit_over(store, REGIONS))), "D506").severity == "note"


def test_a_certificate_that_ends_soon(own_pg: Any, tmp_path: Path) -> None:
    """Of two days; PostgreSQL speaks before TLS begins. The wire is encrypted."""
    cert, key = certificate(tmp_path, "DNS:localhost")
    primary = own_pg(settings={"fsync": "on"}).primary
    if primary.sql("SELECT count(*) FROM pg_settings WHERE name = 'ssl_library' AND setting = ''")[0][0]:
        absent("this PostgreSQL was built without TLS: apt-get install postgresql")
    folder = Path(primary.sql("SHOW data_directory")[0][0])
    owner = folder.stat()
    for name, path in (("server.crt", cert), ("server.key", key)):
        (folder / name).write_text(path.read_text())
        shutil.chown(folder / name, owner.st_uid, owner.st_gid)
        (folder / name).chmod(0o600)
    primary.sql("ALTER SYSTEM SET ssl = on")
    primary.sql("SELECT pg_reload_conf()")
    url = primary.app_url.replace("127.0.0.1", "localhost")
    found = examined(prepared(kit_over(sql_store(f"{url}?sslrootcert={cert}", tls="require"), ["r0"])))
    assert codes(found) == ["D107"]
