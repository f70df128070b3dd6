"""What processes of one host tell each other: who may read what, and who asks."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regionkit import CassandraStore, ConfigurationError, Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.facts.history import HistoryRow, Lineage
from regionkit.facts.observation import Observation
from regionkit.facts.position import GtidsReached, Levels, LevelsReached
from regionkit.routing import host_answers
from regionkit.routing.host_answers import EndpointAnswers, HostAnswers, HostTurn, own_folder
from regionkit.testing import VirtualClock

ROW = HistoryRow("h1", None, None, 1, "here")
NAME, OTHER_NAME = "a" * 32, "b" * 32


def observation(**changes: Any) -> Observation:
    """An answer of now."""
    values: dict[str, Any] = {"role": Role.PRIMARY, "incarnation": "run", "lineage": Lineage((ROW,)), "origin": "here"}
    values |= {"reached": 7, "shown": 8, "sent_at": SYSTEM_CLOCK.monotonic(), "rtt": 0.01}
    return Observation(**values | changes)


@pytest.fixture
def answers(tmp_path: Path) -> HostAnswers:
    """Those of a folder of the test's own."""
    return HostAnswers(tmp_path, SYSTEM_CLOCK)


def told_by_another(answers: HostAnswers, said: Observation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process would have told."""
    with monkeypatch.context() as patched:
        patched.setattr(host_answers, "PROCESS", host_answers._Process())
        answers.tell(NAME, said)


@pytest.mark.parametrize(
    "reached",
    [
        7,
        None,
        GtidsReached(((0, 1, 5),), ((0, 1, 5), (0, 2, 3))),
        LevelsReached("us", "LOCAL_QUORUM", "EACH_QUORUM", (("us", 3),)),
    ],
    ids=["counter", "none", "gtids", "levels"],
)
def test_an_answer_comes_back_as_it_was(answers: HostAnswers, reached: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions of every backend, and all that else is said."""
    shown: Any = {int: 9, GtidsReached: ((0, 1, 6),), LevelsReached: Levels(reads=(("us", "ONE"),))}.get(type(reached))
    said = observation(reached=reached, shown=shown, term=3, waiting=True, region="us")
    told_by_another(answers, said, monkeypatch)
    assert answers.told(NAME, said.sent_at - 1.0) == said


def test_an_answer_is_read_while_it_is_young_and_by_others_only(
    answers: HostAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older than the interval: no answer. A process does not read itself."""
    said = observation()
    answers.tell(NAME, said)
    assert answers.told(NAME, 0.0) is None
    told_by_another(answers, said, monkeypatch)
    assert answers.told(NAME, said.sent_at - 0.1) == said
    assert answers.told(NAME, said.sent_at) is None
    assert answers.told(OTHER_NAME, 0.0) is None


def test_an_answer_of_another_boot_or_clock_is_not_read(
    answers: HostAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its instants would mean something else here; so would one that lies ahead."""
    said = observation()
    told_by_another(answers, said, monkeypatch)
    process, offset, rest = msgspec.msgpack.decode((tmp_path / NAME).read_bytes())
    (tmp_path / NAME).write_bytes(msgspec.msgpack.encode([process, offset + 60.0, rest]))
    assert answers.told(NAME, 0.0) is None
    told_by_another(answers, observation(sent_at=said.sent_at + 100.0), monkeypatch)
    assert answers.told(NAME, 0.0) is None


@pytest.mark.parametrize("said", [b"", b"\xff", b"null", msgspec.msgpack.encode([1, 2.0, {}])])
def test_what_is_no_answer_is_none(answers: HostAnswers, tmp_path: Path, said: bytes) -> None:
    """A file cut off, or of something else."""
    (tmp_path / NAME).write_bytes(said)
    assert answers.told(NAME, 0.0) is None


def test_an_answer_that_is_too_large_is_not_told(answers: HostAnswers, tmp_path: Path) -> None:
    """A history of thousands of rows is each process's own to read."""
    rows = tuple(HistoryRow(f"h{n}", f"h{n - 1}", n, n, "x" * 30) for n in range(2000))
    answers.tell(NAME, observation(lineage=Lineage(rows)))
    assert list(tmp_path.iterdir()) == []


def test_one_asks_at_a_time(answers: HostAnswers) -> None:
    """Until it is done; `release` twice is once."""
    claim = answers.claim(NAME)
    assert claim is not None and answers.claim(NAME) is None
    other = answers.claim(OTHER_NAME)
    assert other is not None
    other.release()
    claim.release()
    claim.release()
    again = answers.claim(NAME)
    assert again is not None
    again.release()


def _claims_and_dies(folder: Path, ready: Any) -> None:
    assert HostAnswers(folder, SYSTEM_CLOCK).claim(NAME) is not None
    ready.set()
    os.kill(os.getpid(), 9)


def test_a_claim_ends_with_its_process(answers: HostAnswers, tmp_path: Path) -> None:
    """Killed in the middle of its question."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_claims_and_dies, args=(tmp_path, ready))
    process.start()
    assert ready.wait(60.0)
    process.join(60.0)
    claim = answers.claim(NAME)
    assert claim is not None
    claim.release()


def test_without_a_folder_everybody_asks(answers: HostAnswers, tmp_path: Path) -> None:
    """It was taken away: nothing is told, everybody has the right to ask, and nothing fails."""
    (tmp_path / "file").touch()
    gone = HostAnswers(tmp_path / "file" / "gone", SYSTEM_CLOCK)
    gone.tell(NAME, observation())
    gone.sweep()
    assert gone.told(NAME, 0.0) is None
    assert isinstance(gone.claim(NAME), HostTurn) and isinstance(gone.claim(NAME), HostTurn)


def test_what_nobody_writes_is_taken_away(answers: HostAnswers, tmp_path: Path) -> None:
    """After a day; and nothing of anybody else's."""
    old = [NAME, f"{NAME}.lock", f"{NAME}.{NAME}-7", "shop-orders.history", "notes.txt"]
    for name in (*old, OTHER_NAME):
        (tmp_path / name).write_bytes(b"x")
    for name in old:
        os.utime(tmp_path / name, (0, 0))
    answers.sweep()
    assert {path.name for path in tmp_path.iterdir()} == {OTHER_NAME, "shop-orders.history", "notes.txt"}


def test_a_folder_that_was_taken_away_and_made_by_another_account_is_not_believed(
    answers: HostAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cleaner of the temporary folder comes by night. One that is missing is made again."""
    said = observation()
    told_by_another(answers, said, monkeypatch)
    tmp_path.chmod(0o777)  # as if it were theirs
    assert answers.told(NAME, 0.0) is None
    tmp_path.chmod(0o700)
    assert answers.told(NAME, 0.0) == said
    (tmp_path / NAME).unlink()
    tmp_path.rmdir()
    told_by_another(answers, said, monkeypatch)
    assert answers.told(NAME, 0.0) == said


def test_a_machine_without_a_temporary_folder_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose file system cannot be written: the kit is made, and asks itself."""

    def none() -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr("tempfile.gettempdir", none)
    assert host_answers.host_answers(None, SYSTEM_CLOCK) is None


def test_a_fork_is_another_process() -> None:
    """It has a name of its own, though all else was copied."""
    read, write = os.pipe()
    before = host_answers.PROCESS.name()
    child = os.fork()
    if child == 0:
        os.write(write, host_answers.PROCESS.name().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 99).decode() not in (before, "") and host_answers.PROCESS.name() == before
    os.close(read)
    os.close(write)


def test_a_folder_is_the_accounts_alone(tmp_path: Path) -> None:
    """It is made so; one that others can write to, a file and no path are refused with what to do."""
    made = own_folder(tmp_path / "a" / "b")
    assert made is not None and made.stat().st_mode & 0o777 == 0o700
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    for given, why in (
        (tmp_path / "open", "other accounts"),
        (tmp_path / "file", "file"),
        (7, "not a path"),
        ("", "not a path"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            own_folder(given)
    assert own_folder(None) is None


def kit_of(*urls: str, options: Any = None, clock: Any = SYSTEM_CLOCK) -> RegionKit:
    """A kit over addresses that nobody is asked at."""
    regions = [f"r{number}" for number in range(len(urls))]
    endpoints = [
        Endpoint(region, Role.REPLICA if number else Role.PRIMARY, url)
        for number, (region, url) in enumerate(zip(regions, urls, strict=True))
    ]
    store = SqlStore("orders", endpoints=endpoints, options=options or {})
    topology = Topology(namespace="shop", regions=[Region(region) for region in regions], stores=[store])
    return RegionKit(topology, local="r0", clock=clock)


def names_of_cassandra(datacenters: dict[str, str]) -> list[str | None] | None:
    """Of a store whose data centres are called so."""
    store = CassandraStore("orders", url="cassandra://127.0.0.1:1/shop", datacenters=datacenters)
    return names(RegionKit(Topology(namespace="shop", regions=[Region("r0")], stores=[store]), local="r0"))


def names(kit: RegionKit) -> list[str | None] | None:
    """Of its endpoints' questions."""
    found: EndpointAnswers | None = kit._store("orders").shards[0].answers
    kit.close()
    return None if found is None else list(found._names)


def test_only_those_who_would_ask_the_same_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same address, account and options: the same name. A file's processes ask themselves; so does who has a clock."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    url = "postgresql://app:secret@127.0.0.1:1/shop"
    (name,) = names(kit_of(url)) or []
    assert name is not None and "secret" not in name and len(name) == 32
    assert names(kit_of(url)) == [name]
    other_dc = [names_of_cassandra({"r0": dc}) for dc in ("a", "b")]
    assert other_dc[0] != other_dc[1]
    for other in (url.replace("secret", "other"), url.replace("app", "ops"), url.replace("127.0.0.1:1", "127.0.0.1:2")):
        assert names(kit_of(other)) not in ([name], None)
    assert names(kit_of(url, options={"pool_size": 3})) not in ([name], None)
    assert names(kit_of(f"sqlite:///{tmp_path}/x.db")) is None
    assert names(kit_of(url, clock=VirtualClock())) is None
    with (
        monkeypatch.context() as patched
    ):  # the folder is seen by another host, or by a container with a network of its own
        patched.setattr(host_answers, "_host", lambda: "another boot")
        assert names(kit_of(url)) not in ([name], None)
    monkeypatch.setattr(host_answers, "fcntl", None)  # as on Windows
    assert names(kit_of(url)) is None
