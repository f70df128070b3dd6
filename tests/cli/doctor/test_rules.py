"""The doctor's rules without a server: what is not known is not spoken of, and what no test server can be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from regionkit.cli.doctor.collecting import fits, written_passwords
from regionkit.cli.doctor.facts import DriverFacts, EndpointFacts, Facts, StoreFacts
from regionkit.cli.doctor.findings import CODES, Finding, in_order
from regionkit.cli.doctor.report import as_data, as_text
from regionkit.cli.doctor.rules import diagnose
from regionkit.contract.examination import Examined
from regionkit.topology.profiles import PROFILES

NOW = 1_800_000_000.0
ROOT = Path(__file__).parents[3]


def facts(*endpoints: EndpointFacts, **more: Any) -> Facts:
    """Of one store, looked at from "us"."""
    given: dict[str, Any] = {"local": "us", "profile": PROFILES["balanced"], "endpoints": endpoints}
    backend = more.pop("backend", "sql")
    store = StoreFacts(name="s", backend=backend, regions=("us",), **more.pop("store", {}))
    return Facts(**given | {"stores": {"s": store}} | more)


def endpoint(server: str = "postgresql", **more: Any) -> EndpointFacts:
    """A healthy owner in "us" with these `settings`."""
    seen = {name: more.pop(name) for name in list(more) if name in Examined.__struct_fields__}
    given = {"store": "s", "endpoint": "us", "region": "us", "found": "owner"} | more
    return EndpointFacts(**{"examined": Examined(server=server, **seen)} | given)


def codes(found: Facts) -> list[str]:
    """What the rules find."""
    return [f.code for f in diagnose(found, NOW)]


@pytest.mark.parametrize("server", ["postgresql", "mariadb", "mysql", "sqlite", "redis", "valkey", "mongodb", "memory"])
def test_what_is_not_known_is_not_spoken_of(server: str) -> None:
    """A server whose account may see nothing gives no finding."""
    assert codes(facts(endpoint(server))) == []


def test_every_code_is_used_once_by_a_rule_and_documented() -> None:
    """The registry, the rules and the page name the same codes."""
    sources = "".join(
        path.read_text() for path in (ROOT / "regionkit/cli/doctor").glob("*.py") if path.stem != "findings"
    )
    used = set(re.findall(r'"(D\d{3})"', sources))
    assert used == set(CODES)
    page = (ROOT / "docs/operations/doctor.md").read_text()
    assert set(re.findall(r"\bD\d{3}\b", page)) == set(CODES)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (endpoint(encrypted=False, loopback=False), "D106"),
        (endpoint("redis", loopback=False), "D505"),
        (endpoint("mongodb", loopback=False), "D505"),
        (endpoint(certificate_ends=NOW + 86_400.0), "D107"),
        (endpoint(skew=-3.0, skew_error=0.1), "D305"),
        (endpoint("cassandra", settings=dict(datacenter="us", read_level="ONE", write_level="ONE"), skew=12.0), "D305"),
        (endpoint(version="12.1"), "D701"),
        (endpoint(rtt=0.4), "D303"),
        (endpoint(lag=60.0, found="replica"), "D302"),
        (endpoint(examined=None, failed="it hung"), "D108"),
        (endpoint(allowed=False, state="refused by residency", examined=None, endpoint="x"), "D105"),
        (endpoint(settings={"full_page_writes": "off"}), "D404"),
        (endpoint(settings={"synchronous_commit": "off"}), "D404"),
        (endpoint(found="replica", settings={"receives": "off"}), "D407"),
        (endpoint("mariadb", settings={"log_bin": "OFF"}), "D411"),
        (endpoint("mariadb", found="replica", settings={"log_slave_updates": "OFF"}), "D411"),
        (endpoint("mariadb", found="replica", settings={"uses_gtid": "No"}), "D412"),
        (endpoint("mysql", version="5.7.44"), "D701"),
        (endpoint("mysql", settings={"log_bin": "OFF"}), "D411"),
        (endpoint("mysql", found="replica", settings={"log_bin": "OFF"}), "D411"),
        (endpoint("mysql", found="replica", settings={"log_replica_updates": "OFF"}), "D411"),
        (
            endpoint("mysql", settings={"rpl_semi_sync_source_enabled": "ON", "rpl_semi_sync_source_clients": "0"}),
            "D416",
        ),
        (endpoint("mysql", found="replica", settings={"receives": "Yes", "applies": "No"}), "D415"),
        (endpoint("redis", settings={"rdb_last_bgsave_status": "err"}), "D423"),
        (endpoint("mongodb", settings={"voters": "4", "data_voters": "4", "electable": "4"}), "D434"),
        (endpoint("mongodb", settings={"delayed": "m3:27017"}), "D435"),
    ],
)
def test_a_fault(given: EndpointFacts, code: str) -> None:
    """Those that need another network, another clock or a full disk."""
    assert code in codes(facts(given))


@pytest.mark.parametrize(
    "given",
    [
        endpoint(encrypted=False, loopback=True),
        endpoint(certificate_ends=NOW + 90 * 86_400.0),
        endpoint(skew=1.5, skew_error=0.9),
        endpoint(rtt=0.2),
        endpoint("redis", loopback=False, rights=frozenset({"password"})),
        endpoint("mongodb", settings={"voters": "3", "data_voters": "3", "electable": "3"}),
    ],
)
def test_no_fault(given: EndpointFacts) -> None:
    """The other side of each bound."""
    assert codes(facts(given)) == []


def test_copies_of_different_versions() -> None:
    """A replica that is older than its primary; a newer one is how one updates."""
    primary = endpoint("mariadb", version="11.4.2")
    for version, found in (("10.11.8", ["D702"]), ("11.4.1", []), ("11.8.1", [])):
        copy = endpoint("mariadb", version=version, endpoint="kr", region="kr", found="replica")
        assert codes(facts(primary, copy)) == found


def test_mysql_servers_that_were_cloned() -> None:
    """One uuid: both are named. Servers with uuids of their own are not."""
    for uuid, found in (("a", ["D414", "D414"]), ("b", [])):
        primary = endpoint("mysql", host="h1", settings={"server_uuid": "a"})
        copy = endpoint("mysql", host="h2", endpoint="kr", region="kr", found="replica", settings={"server_uuid": uuid})
        assert codes(facts(primary, copy)) == found


def test_mysql_without_gtids() -> None:
    """An error beside copies; alone it proves nothing to anybody, which is a note."""
    primary = endpoint("mysql", settings={"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"})
    copy = endpoint("mysql", endpoint="kr", region="kr", found="replica", settings={"gtid_mode": "ON"})
    assert [(f.code, f.severity) for f in diagnose(facts(primary), NOW)] == [("D412", "note")]
    assert [(f.code, f.severity) for f in diagnose(facts(primary, copy), NOW)] == [("D412", "error")]


def test_the_configuration() -> None:
    """No keys, no copy here, a caution of the store, a driver out of its range."""
    driver = DriverFacts("redis", "5.0", ">=6.4,<9", False)
    found = facts(endpoint(), signs=False, local="mars", drivers=(driver,), store={"cautions": ("say replicaSet=.",)})
    assert set(codes(found)) == {"D101", "D103", "D104", "D703"}


def test_a_quorum_that_is_short() -> None:
    """Nodes enough and too few replicas is a warning; a node that is away; a schema in two versions; logins on one node."""
    settings = {
        "datacenter": "us", "read_level": "LOCAL_QUORUM", "write_level": "LOCAL_QUORUM", "replicas:us": "2", "nodes:us": "3",
        "connected": "2", "schemas": "2", "logins:us": "1",
    }  # fmt: skip
    found = diagnose(
        facts(endpoint("cassandra", settings=settings), store={"datacenters": ("us",)}, backend="cassandra"), NOW
    )
    assert [(f.code, f.severity) for f in found] == [
        ("D446", "error"),
        ("D447", "warning"),
        ("D441", "warning"),
        ("D446", "warning"),
    ]


def test_text_is_narrow_and_plain_and_json_has_the_same() -> None:
    """At most 80 columns, nothing that moves a cursor, worst first, and a line that counts."""
    worst = Finding("D404", "error", "s us", "fsync\x1b[31m is off. " * 9, "why " * 40, "fix")
    mild = Finding("D101", "note", "configuration", "what", "why", "fix")
    found = in_order([mild, worst, mild])
    assert found == [worst, mild]
    text = as_text(found, 3)
    assert max(map(len, text.splitlines())) <= 80 and "\x1b" not in text
    assert text.splitlines()[0] == "error D404  s us"
    assert text.splitlines()[-1] == "3 endpoints examined: 1 error, 1 note."
    told = as_data(found, "us", 3)
    assert [f["code"] for f in told["findings"]] == ["D404", "D101"]
    assert told["counts"] == {"error": 1, "warning": 0, "note": 1}


@pytest.mark.parametrize(
    ("version", "wanted", "good"),
    [
        ("8.1.0", ">=8.1,<9", True),
        ("8.0.3", ">=8.1,<9", False),
        ("9.0", ">=8.1,<9", False),
        ("2.0.43", ">=2.0.43,<2.2", True),
        ("2.2.0", ">=2.0.43,<2.2", False),
        ("3.30.1", ">=3.30.1", True),
    ],
)
def test_ranges(version: str, wanted: str, good: bool) -> None:
    """As pip reads them, where they are written as regionkit's are."""
    assert fits(version, wanted) is good


def test_passwords_that_are_written_out(tmp_path: Path) -> None:
    """Of URLs alone, and not those that come from the environment."""
    path = tmp_path / "x.toml"
    path.write_text(
        '[[stores.a.endpoints]]\nurl = "postgresql://app:secret@h/d"\n'
        '[[stores.a.endpoints]]\nurl = "postgresql://app:${P}@h/d"\nread_url = "postgresql://r:s@h/d"\n'
        '[stores.b]\nurl = "mongodb://m/d"\n'
    )
    assert written_passwords(str(path)) == ("stores.a.endpoints[0].url", "stores.a.endpoints[1].read_url")
    assert "secret" not in str(written_passwords(str(path)))
