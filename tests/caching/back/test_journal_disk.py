"""The files of a journal: a torn end is left out, damage is refused by name, and a folder has one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionkit.caching.back import journal_disk
from regionkit.caching.back.journal_disk import JournalDisk
from regionkit.core.frames import Damaged

PAYLOADS = [b"first", b"", b"\0zeros\0\0", bytes(range(200))]


def opened(root: Path, cache: str = "users") -> JournalDisk:
    """Of one process."""
    disk = JournalDisk(root, "shop", cache)
    disk.open()
    return disk


def test_what_a_process_left_behind_is_read_by_another(tmp_path: Path) -> None:
    """Once it ended; of another cache never."""
    first = opened(tmp_path)
    places = first.append(PAYLOADS, 3)
    assert [first.read(*place, len(payload)) for place, payload in zip(places, PAYLOADS, strict=True)] == PAYLOADS
    second, foreign = opened(tmp_path), opened(tmp_path, "carts")
    assert first.folder in second.others()
    assert first.folder not in foreign.others()
    assert second.left_in(first.folder) is None, "it runs"
    first.close()
    left = second.left_in(first.folder)
    assert left is not None
    assert left.payloads == PAYLOADS
    third = opened(tmp_path)
    assert third.left_in(first.folder) is None, "another takes it"
    left.let_go(delete=True)
    assert not first.folder.exists()
    for disk in (second, third, foreign):
        disk.close(delete=True)
    assert list(tmp_path.iterdir()) == []


def test_files_are_closed_when_they_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And read in their order."""
    monkeypatch.setattr(journal_disk, "SEGMENT", 1000)
    disk = opened(tmp_path)
    payloads = [b"%d" % number * 50 for number in range(40)]
    places = [place for payload in payloads for place in disk.append([payload], 1)]
    assert len(disk.sizes) > 3
    assert disk.closed() == list(disk.sizes)[:-1]
    assert disk.total == sum(path.stat().st_size for path in disk.folder.glob("*.rkj"))
    assert disk.read(*places[7], len(payloads[7])) == payloads[7]
    disk.close()
    other = opened(tmp_path)
    left = other.left_in(disk.folder)
    assert left is not None
    assert left.payloads == payloads
    left.let_go(delete=False)
    other.close()


def test_a_tail_that_is_torn_at_any_byte_is_left_out(tmp_path: Path) -> None:
    """It was never answered; also where a file was only begun."""
    disk, reader = opened(tmp_path), opened(tmp_path)
    disk.append(PAYLOADS[:-1], 1)
    [path] = disk.folder.glob("*.rkj")
    before = path.stat().st_size
    disk.append(PAYLOADS[-1:], 1)
    disk.close()
    whole = path.read_bytes()
    for cut in (*range(0, 64, 9), *range(before, len(whole))):
        path.write_bytes(whole[:cut])
        left = reader.left_in(disk.folder)
        assert left is not None
        assert left.payloads == (PAYLOADS[:-1] if cut >= before else []), cut
        left.let_go(delete=False)
    reader.close()


@pytest.mark.parametrize("number", [1, 2])
def test_damage_is_refused_by_the_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """And nothing of it is deleted."""
    monkeypatch.setattr(journal_disk, "SEGMENT", 300)
    disk, reader = opened(tmp_path), opened(tmp_path)
    for _ in range(3):
        disk.append(PAYLOADS, 1)
    disk.close()
    path = disk.folder / f"{number:08d}.rkj"
    data = bytearray(path.read_bytes())
    for at in range(70, len(data), 7):
        data[at] ^= 4
        path.write_bytes(data)
        with pytest.raises(Damaged, match=path.name):
            reader.left_in(disk.folder)
        data[at] ^= 4
    path.write_bytes(data[:-20])
    if number == 1:  # what follows was answered later
        with pytest.raises(Damaged, match="a later file follows"):
            reader.left_in(disk.folder)
    path.write_bytes(data)
    left = reader.left_in(disk.folder)
    assert left is not None
    left.let_go(delete=True)
    reader.close()


def test_a_file_of_another_cache_is_refused(tmp_path: Path) -> None:
    """Its versions would look like this one's."""
    disk, reader = opened(tmp_path, "carts"), opened(tmp_path)
    disk.append(PAYLOADS, 1)
    disk.close()
    moved = disk.folder.with_name("shop.users.0123")
    disk.folder.rename(moved)
    with pytest.raises(Damaged, match="'carts'"):
        reader.left_in(moved)
    reader.close()
