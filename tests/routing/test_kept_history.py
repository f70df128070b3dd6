"""The newest history on disk: what a process that starts knows from its first instant."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from regionkit import RegionKit, RegionKitError
from regionkit.embedded import MemoryRegions
from regionkit.facts.history import HistoryRow, Lineage, adoption_id
from regionkit.routing.kept_history import KeptHistory
from regionkit.testing import VirtualClock

OLD = Lineage((HistoryRow("h1", None, None, 1, "us"),))
NEW = Lineage((*OLD.rows, HistoryRow("h2", "h1", 7, 2, "kr")))


def kept(folder: Path) -> KeptHistory:
    """As a process that starts finds it."""
    return KeptHistory(folder, "shop", "orders/kr")


def test_the_newest_is_kept(tmp_path: Path) -> None:
    """A process that lags behind does not put an older one in its place."""
    assert kept(tmp_path).load() is None
    one, other = kept(tmp_path), kept(tmp_path)
    one.keep(OLD)
    other.keep(NEW)
    one.keep(OLD)
    kept(tmp_path).keep(OLD)
    assert kept(tmp_path).load() == NEW
    assert {path.name for path in tmp_path.iterdir()} == {"shop-orders~kr.history", "shop-orders~kr.lock"}


def test_a_history_apart_is_not_put_in_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another deployment with the same names shares the folder by mistake: the first one stays safe."""
    kept(tmp_path).keep(NEW)
    other = Lineage((HistoryRow("x1", None, None, 1, "staging"),))
    kept(tmp_path).keep(other)
    assert kept(tmp_path).load() == NEW and "left as it is" in caplog.text


def test_an_adopted_history_takes_its_place(tmp_path: Path) -> None:
    """An operator's word outranks descent."""
    kept(tmp_path).keep(NEW)
    made = Lineage((HistoryRow("x1", None, None, 1, "us"), HistoryRow(adoption_id("9"), "x1", 5, 2, "us")))
    kept(tmp_path).keep(made)
    assert kept(tmp_path).load() == made


def test_what_cannot_be_read_is_written_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file cut off by a full disk."""
    (tmp_path / "shop-orders~kr.history").write_text('{"rows": [')
    assert kept(tmp_path).load() is None and "cannot be read" in caplog.text
    kept(tmp_path).keep(NEW)
    assert kept(tmp_path).load() == NEW


def test_what_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And stops nothing."""
    gone = KeptHistory(tmp_path / "gone", "shop", "orders")
    with caplog.at_level(logging.WARNING, "regionkit"):
        gone.keep(OLD)
        gone.keep(NEW)
    assert caplog.text.count("cannot be written") == 1


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_process_that_starts_does_not_write_to_a_replaced_primary_while_the_new_one_is_away(
    tmp_path: Path, has_folder: bool
) -> None:
    """Nobody but the folder can know. Without one it writes there: the new owner has failed to answer, and says nothing."""
    clock, folder = VirtualClock(), tmp_path / "kept" if has_folder else None
    with MemoryRegions(store="orders", primary="us", replicas=["kr"], lag=0.0, clock=clock) as regions:

        def kit() -> RegionKit:
            return RegionKit(regions.topology, local="us", folder=folder, clock=clock)

        with kit() as before:
            before.create_tables()
            regions.tell(before)
            regions.kill("us")
            regions.promote("kr")
            regions.tell(before)
            store = before._store("orders").shards[0]
            store.keep_history()  # as the monitor does after each answer
            assert store.state.snapshot.owner == 1
        regions.kill("kr")
        regions.revive("us")
        with kit() as after, after.session() as s:
            if has_folder:
                with pytest.raises(RegionKitError), s.write("orders") as db:
                    db["a"] = 1
            else:
                with s.write("orders") as db:
                    db["a"] = 1
