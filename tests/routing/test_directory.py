# Generated from test_directory_async.py by scripts/twins.py. Do not edit.
"""A directory of homes and its copies: one that lags, one on disk, rows that change while they are remembered."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fix_rig_partitions import HOMES, PartitionRig
from placing import find_placement, set_placement
from waiting import seen

from regionkit import ConfigurationError, Directory, RegionKit, RegionUnavailable, UnknownHome
from regionkit.core.concurrency import sleep
from regionkit.core.deadline import Deadline
from regionkit.facts.placement import Placement

US, KR = HOMES
LONG = 3600.0


def kit_of(rig: PartitionRig, **options: Any) -> RegionKit:
    """A kit in ap-northeast-2; the owner of its directory is in us-east-1, a copy of that is near."""
    return RegionKit(rig.topology(Directory(**options)), local=KR)


def written_at(kit: RegionKit, key: str = "c9") -> str:
    """The region that took a write of the key."""
    with kit.session() as s:
        with s.write("carts", key=key):
            pass
        assert s.last_route is not None
        return s.last_route.region


def moved(kit: RegionKit, home: str, version: int) -> Placement:
    """What another process does: the row of c9 gets another home."""
    kept_in = kit._store("carts").directory.kept_in
    backend = kept_in.backend(kept_in.state.snapshot.owner)
    row = Placement("carts", "c9", home, version, version)
    return set_placement(backend, Deadline(kept_in.clock, 10.0), row, expected=version - 1)


def test_a_copy_that_lags_takes_no_row_back(sqlite_partition_rig: PartitionRig) -> None:
    """A process that knows the second home goes on there, also when the row is old and the nearest copy has the first."""
    rig = sqlite_partition_rig
    with seen(kit_of(rig, max_age=0.05)) as kit:
        kit.place("carts", key="c9", home=US)
        _arrived(kit)
        with rig.hold(US):
            directory = kit._store("carts").directory
            directory.remember(moved(kit, KR, 2))
            sleep(0.1)
            assert directory.home_without_io("c9") is None
            assert written_at(kit) == KR


def _arrived(kit: RegionKit) -> None:
    """The near copy of the directory has the row."""
    kept_in = kit._store("carts").directory.kept_in
    end = time.monotonic() + 10
    near = next(i for i in range(2) if i != kept_in.state.snapshot.owner)
    while find_placement(kept_in.backend(near), Deadline(kept_in.clock, 5.0), "carts", "c9") is None:
        assert time.monotonic() < end
        sleep(0.02)


def test_absence_is_what_the_owner_says_and_never_remembered(sqlite_partition_rig: PartitionRig) -> None:
    """A key that this process missed, and the near copy does not have yet, is found as soon as it has a home."""
    rig = sqlite_partition_rig
    with seen(kit_of(rig)) as kit, kit_of(rig) as other:
        with rig.hold(US):
            for _ in range(2):
                with pytest.raises(UnknownHome, match="has no home yet"):
                    written_at(other)
            kit.place("carts", key="c9", home=US)
            assert written_at(other) == US


def test_a_row_that_points_nowhere_is_asked_for_again(sqlite_partition_rig: PartitionRig) -> None:
    """Corrected, it is used at once, however long rows are remembered."""
    with seen(kit_of(sqlite_partition_rig, max_age=LONG)) as kit:
        directory = kit._store("carts").directory
        directory.place("c9", "eu-north-1", Deadline(directory.kept_in.clock, 5.0))
        for _ in range(2):
            with pytest.raises(UnknownHome, match="does not have"):
                written_at(kit)
        moved(kit, KR, 2)
        end = time.monotonic() + 10
        while True:
            try:
                assert written_at(kit) == KR
                break
            except UnknownHome:  # the near copy has the first row still
                assert time.monotonic() < end
                sleep(0.02)


def test_what_place_gives_back_is_used(sqlite_partition_rig: PartitionRig) -> None:
    """A home that somebody else has changed meanwhile replaces the one that was remembered."""
    with seen(kit_of(sqlite_partition_rig, max_age=LONG)) as kit:
        kit.place("carts", key="c9", home=US)
        assert written_at(kit) == US
        moved(kit, KR, 2)
        assert written_at(kit) == US
        assert (kit.place("carts", key="c9", home=KR)).version == 2
        assert written_at(kit) == KR


def test_a_copy_on_disk_that_can_not_be_written_stops_nothing(
    sqlite_partition_rig: PartitionRig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once. One that cannot be read when a process starts is refused, with its name."""
    rig, folder = sqlite_partition_rig, tmp_path / "copy"
    with seen(kit_of(rig, copy=str(folder))) as kit:
        (folder / "shop-carts.placements").mkdir()
        with caplog.at_level(logging.WARNING, "regionkit.directory"):
            for number in range(3):
                kit.place("carts", key=f"c{number}", home=US)
                assert written_at(kit, f"c{number}") == US
        assert len([record for record in caplog.records if "cannot be written" in record.message]) == 1
    with pytest.raises(ConfigurationError, match=r"shop-carts\.placements cannot be used"):
        with kit_of(rig, copy=str(folder)):
            pass


def test_the_copy_on_disk_is_bounded_and_shared(sqlite_partition_rig: PartitionRig, tmp_path: Path) -> None:
    """Rows that come and go fill no disk; what another process has written stays, and the newest row of a key counts."""
    rig, path = sqlite_partition_rig, tmp_path / "shop-carts.placements"
    options: dict[str, Any] = {"copy": str(tmp_path), "max_entries": 10}
    with kit_of(rig, **options) as kit, kit_of(rig, **options) as other:
        ours, theirs = kit._store("carts").directory, other._store("carts").directory
        theirs.remember(Placement("carts", "theirs", KR, 3, 3))
        ours.remember(Placement("carts", "theirs", US, 2, 2))
        for number in range(500):
            ours.remember(Placement("carts", "c", US, number + 1, number + 1))
            assert len(path.read_bytes().splitlines()) <= 21
    with kit_of(rig, **options) as kit:
        assert kit._store("carts").directory._rows.known("theirs").home == KR
        assert kit._store("carts").directory._rows.known("c").version == 500


def test_processes_with_one_id_write_a_shared_copy(
    sqlite_partition_rig: PartitionRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In containers all have id 1: each writes a file of its own, and leaves none behind."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    replace, made = Path.replace, []

    def note(self: Path, target: Path) -> Path:
        made.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", note)
    (tmp_path / "shop-carts.placements").touch()
    for _ in range(3):
        with kit_of(sqlite_partition_rig, copy=str(tmp_path)):
            pass
    assert len(set(made)) == 3
    assert {path.name for path in tmp_path.glob("shop-carts.*")} == {"shop-carts.placements"}


@pytest.mark.slow
def test_a_directory_that_hangs_costs_known_keys_one_question(sqlite_partition_rig: PartitionRig) -> None:
    """It has a budget of its own; then what is known serves, and only the monitor asks. A new key is told what is the matter."""
    with seen(kit_of(sqlite_partition_rig, max_age=0.05)) as kit:
        kit.place("carts", key="c9", home=US)
        assert written_at(kit) == US
        sleep(0.1)
        kept_in, asked = kit._store("carts").directory.kept_in, []

        def hangs(deadline: Deadline, kind: str, key: str) -> None:
            asked.append(key)
            sleep(min(deadline.remaining(), 5.0))
            deadline.require("an answer")

        for backend in kept_in.backends:
            backend.records.get = hangs
        began = time.monotonic()
        assert written_at(kit) == US
        assert time.monotonic() - began < kept_in.profile.write_deadline * 0.8, "the key's home had no time left"
        first = len(asked)
        assert 1 <= first <= 2
        for _ in range(5):
            assert written_at(kit) == US
        assert len(asked) == first
        assert all(e.write_breaker == "closed" for e in kit.status().endpoints)
        with pytest.raises(RegionUnavailable, match="does not answer, and key 'new' is not known here"):
            with kit.session() as s, s.write("carts", key="new", timeout=0.5):
                pass
