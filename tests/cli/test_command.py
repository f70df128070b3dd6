"""The command line: answers, exit codes, errors without tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fix_rigs import wait_until

import regionkit
from regionkit import RegionKit
from regionkit.cli import main
from regionkit.embedded import SqliteRegions


@pytest.fixture
def regions(tmp_path: Path) -> Iterator[SqliteRegions]:
    """Two regions with history rows, which have arrived in the copy."""
    with SqliteRegions(tmp_path / "data", store="orders", primary="us", replicas=["kr"], namespace="shop") as regions:
        with RegionKit(regions.topology, local="us") as kit:
            kit.create_tables()
            wait_until(lambda: all(e.lag is not None for e in kit.status().endpoints), 30.0)
        yield regions


@pytest.fixture
def config(regions: SqliteRegions, tmp_path: Path) -> str:
    """Their topology as TOML."""
    path = tmp_path / "regionkit.toml"
    lines = [
        'namespace = "shop"',
        "profile = 'aggressive'",
        "[regions.us]",
        "[regions.kr]",
        "[stores.orders]",
        'backend = "sql"',
    ]
    lines.append('strategy = "local-read-global-write"')
    for endpoint in regions.topology.store("orders").endpoints:
        lines += [
            "[[stores.orders.endpoints]]",
            f'region = "{endpoint.region}"',
            f'role = "{endpoint.role}"',
            f'url = "{endpoint.url}"',
        ]
    path.write_text("\n".join(lines))
    return str(path)


def test_status_is_good(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A table, or JSON with the same; 0 when every endpoint is up."""
    assert main(["status", "--config", config, "--local", "kr"]) == 0
    assert "kr (here)" in capsys.readouterr().out
    assert main(["status", "--config", config, "--local", "kr", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["local"] == "kr"
    assert {e["endpoint"]: (e["role"], e["state"], e["epoch"]) for e in seen["endpoints"]} == {
        "us": ("owner", "up", 1),
        "kr": ("replica", "up", 1),
    }


def test_status_of_a_dead_endpoint_is_bad(
    regions: SqliteRegions, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 when one is down, and the table says which."""
    regions.kill("us")
    assert main(["status", "--config", config, "--local", "kr"]) == 1
    assert "breaker open" in capsys.readouterr().out


def test_explain(regions: SqliteRegions, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Which endpoint would serve a call; 1 when none would."""
    where = ["--config", config, "--local", "kr"]
    assert main(["explain", "orders", "read", *where]) == 0
    assert "use kr" in capsys.readouterr().out
    assert main(["explain", "orders", "write", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["endpoint"] == "us"
    regions.kill("us")
    assert main(["explain", "orders", "write", "--json", *where]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "refuse"


def test_the_command_line_knows_what_the_application_remembers(
    regions: SqliteRegions,
    config: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the same folder, by its option or by the variable; without one it takes the old primary for the owner."""
    folder = tmp_path / "kept"
    with RegionKit(regions.topology, local="us", folder=folder) as kit, kit.session():
        store = kit._store("orders").shards[0]
        wait_until(lambda: store.state.snapshot.settled, 30.0)
        regions.kill("us")
        regions.promote("kr")
        wait_until(lambda: store.state.snapshot.owner == 1, 30.0)
        wait_until(lambda: store.kept.load() == store.state.snapshot.lineage, 30.0)
    regions.kill("kr")
    regions.revive("us")
    arguments = ["explain", "orders", "write", "--config", config, "--local", "us"]
    assert main(arguments) == 0
    assert main([*arguments, "--folder", str(folder)]) == 1
    monkeypatch.setenv("REGIONKIT_FOLDER", str(folder))
    assert main(arguments) == 1
    capsys.readouterr()


def test_adopt_with_yes(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The owner may be adopted; a replica is refused."""
    where = ["--config", config, "--local", "kr", "--yes"]
    assert main(["adopt", "orders", "us", *where]) == 0
    assert "owner" in capsys.readouterr().out
    assert main(["adopt", "orders", "kr", *where]) == 2
    assert "replica" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "code"), [("us", 0), ("kr", 1), ("", 1)])
def test_adopt_wants_the_name_typed(config: str, monkeypatch: pytest.MonkeyPatch, typed: str, code: int) -> None:
    """Anything but the region's name changes nothing."""

    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return f"{typed}\n"

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["adopt", "orders", "us", "--config", config, "--local", "kr"]) == code


@pytest.fixture
def parted(tmp_path: Path) -> str:
    """A partitioned store whose two parts stand in one region, and a copy elsewhere, as TOML; their tables are made."""
    path = tmp_path / "parted.toml"
    home = '{ name = "write-partitioning", home = "intrinsic", pattern = "^(?P<region>[a-z0-9]+):" }'
    lines = ["[regions.us]", "[regions.kr]", "[stores.carts]", 'backend = "sql"', f"strategy = {home}"]
    for region, role, part in (("us", "primary", "p0"), ("us", "primary", "p1"), ("kr", "primary", "p2")):
        url = f"sqlite:///{tmp_path / part}.db"
        lines += [
            "[[stores.carts.endpoints]]",
            f'region = "{region}"\nrole = "{role}"\nurl = "{url}"\npartitions = ["{part}"]',
        ]
    path.write_text("\n".join(["profile = 'aggressive'", *lines]))
    with RegionKit.from_toml(path, local="us") as kit:
        kit.create_tables()
    return str(path)


def epochs(config: str, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """By endpoint."""
    capsys.readouterr()
    assert main(["status", "--config", config, "--local", "us", "--json"]) == 0
    return {e["endpoint"]: e["epoch"] for e in json.loads(capsys.readouterr().out)["endpoints"]}


def test_a_key_says_which_part_of_a_store_is_meant(parted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`explain` shows the part where the key has its home; without a key it says so; a key that has none is told."""
    where = ["--config", parted, "--local", "kr", "--json"]
    for key, endpoint in (("p0:7", "us"), ("p1:7", "us#2"), ("p2:7", "kr")):
        assert main(["explain", "carts", "write", "--key", key, *where]) == 0
        assert json.loads(capsys.readouterr().out)["endpoint"] == endpoint
    assert main(["explain", "carts", "write", *where]) == 1
    assert "the call has no key" in capsys.readouterr().err
    assert main(["explain", "carts", "write", "--key", "p9:7", *where]) == 1
    assert "which the store does not have" in capsys.readouterr().err


def test_of_several_endpoints_in_a_region_one_is_adopted(parted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its id, or by a key of its part; by the region alone nobody can tell which one is meant."""
    where = ["--config", parted, "--local", "us", "--yes"]
    assert main(["adopt", "carts", "us", *where]) == 2
    assert "--key" in (said := capsys.readouterr().err) and "us#2" in said
    assert epochs(parted, capsys) == {"us": 1, "us#2": 1, "kr": 1}
    assert main(["adopt", "carts", "us#2", *where]) == 0
    assert epochs(parted, capsys) == {"us": 1, "us#2": 2, "kr": 1}
    assert main(["adopt", "carts", "us", "--key", "p0:7", *where]) == 0
    assert epochs(parted, capsys) == {"us": 2, "us#2": 2, "kr": 1}
    assert main(["adopt", "carts", "kr", "--key", "p0:7", *where]) == 2
    assert "no endpoint 'kr'" in capsys.readouterr().err
    assert main(["adopt", "carts", "us#3", *where]) == 2
    assert "did you mean 'us#2'" in capsys.readouterr().err


def test_a_key_for_a_store_without_parts_is_refused(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked or changed."""
    for command in (["explain", "orders", "read"], ["adopt", "orders", "us", "--yes"]):
        assert main([*command, "--key", "a", "--config", config, "--local", "kr"]) == 1
        assert "was given key=" in capsys.readouterr().err


def test_adopt_without_a_terminal_is_refused(config: str) -> None:
    """A script says --yes, or does nothing."""
    command = [sys.executable, "-m", "regionkit.cli", "adopt", "orders", "us", "--config", config, "--local", "kr"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--yes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--config", "no-such-file.toml"], "no file"),
        (["explain", "order", "read"], "did you mean 'orders'"),
        (["status", "--local", "krr"], "did you mean 'kr'"),
        (["status", "--local", ""], "REGIONKIT_REGION"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    """What, why and fix on stderr, nothing on stdout, exit code 2."""
    monkeypatch.delenv("REGIONKIT_REGION", raising=False)
    defaults = {"--config": config, "--local": "kr"}
    for name, value in defaults.items():
        arguments = arguments if name in arguments else [*arguments, name, value]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "fix:" in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["explain", "orders"], ["explain", "orders", "delete"]])
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As argparse does."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit codes are documented; the version is the package's."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "exit codes:" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"regionkit {regionkit.__version__}\n"


def test_help_is_quick_and_loads_no_driver() -> None:
    """Under 0.3 s of work, the best of three runs; other work on the machine does not count."""
    heavy = "('sqlalchemy', 'psycopg', 'click', 'rich')"
    code = f"import sys, regionkit.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    taken = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "regionkit.cli", "--help"], capture_output=True, check=True)
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(taken) < 0.3


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["stat"], "Did you mean status?"),
        (["sttaus"], "Did you mean status?"),
        (["hospital", "sho"], "Did you mean show?"),
        (["status", "--jsno"], "Did you mean --json?"),
        (["tpc", "log", "verfy"], "Did you mean verify?"),
    ],
)
def test_an_unfinished_or_misspelt_word_suggests_the_command(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of commands, of their actions, of options; exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert meant in capsys.readouterr().err


def test_a_fault_leaves_a_line_on_stderr(config: str, regions: SqliteRegions) -> None:
    """Warnings of the library reach stderr by Python's own default: nothing swallows them, in the command line neither."""
    regions.kill("us")
    words = ["-m", "regionkit.cli", "status", "--config", config, "--local", "kr"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 1
    assert "BreakerChanged" in done.stderr
    assert "BreakerChanged" not in done.stdout
