"""`regionkit status --watch`."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regionkit import RegionKit
from regionkit.cli import main
from regionkit.embedded import SqliteRegions
from regionkit.routing.status import EndpointStatus, Status

rich = pytest.importorskip("rich.console")


@pytest.fixture
def config(tmp_path: Path) -> str:
    """One region as TOML."""
    with SqliteRegions(tmp_path / "data", store="orders", primary="us", replicas=[], namespace="shop") as regions:
        with RegionKit(regions.topology, local="us") as kit:
            kit.create_tables()
        [endpoint] = regions.topology.store("orders").endpoints
        url = endpoint.url
    path = tmp_path / "regionkit.toml"
    lines = ['namespace = "shop"', "[regions.us]", "[stores.orders]", 'backend = "sql"', "[[stores.orders.endpoints]]"]
    path.write_text("\n".join([*lines, f'region = "us"\nrole = "primary"\nurl = "{url}"']))
    return str(path)


def test_what_is_drawn() -> None:
    """All endpoints, the state in words, and what to do about one that is not well."""
    from regionkit.cli.watching import drawn

    def endpoint(name: str, state: str, **more: str) -> EndpointStatus:
        return EndpointStatus("orders", name, name, "owner", state, 0.25, 12.0, 3, "closed", "closed", 2, **more)

    found = Status("us", (endpoint("us", "up"), endpoint("kr", "breaker open: [closed]", advice="start the server.")))
    console = rich.Console(width=100, record=True, file=io.StringIO())
    console.print(drawn(found, datetime.now(UTC)))
    text = console.export_text()
    assert "us (here)" in text and "breaker open: [closed]" in text
    assert "250 ms" in text and "12 s" in text and "orders kr: start the server." in text


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_it_watches_until_it_is_told_to_end(config: str, more: list[str]) -> None:
    """Ctrl-C ends it with the exit code of the last look; each look is drawn, or one line of JSON."""
    words = ["-m", "regionkit.cli", "status", "--watch", "--every", "0.1", "--config", config, "--local", "us", *more]
    watching = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    lines = [watching.stdout.readline() for _ in range(2)]
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    if more:
        assert all(json.loads(line)["endpoints"][0]["state"] == "up" for line in lines)
    else:
        assert lines[0].startswith("from us, ")


def test_without_rich_it_says_what_to_install(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2; --json needs nothing."""
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert main(["status", "--watch", "--config", config, "--local", "us"]) == 2
    assert 'pip install "regionkit[cli]"' in capsys.readouterr().err
    assert main(["status", "--watch", "--every", "0", "--config", config, "--local", "us"]) == 2
