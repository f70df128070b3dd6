"""Files that answer for what they hold: a place that forgets is known by its name, and a file has one process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regionkit.core.disk import inode, sync_folder, unsafe_place, written


@pytest.mark.parametrize("kind", ["tmpfs", "nfs4", "fuse.sshfs", "9p"])
def test_a_file_system_that_may_forget_is_named(tmp_path: Path, kind: str) -> None:
    """The nearest mount above the file counts."""
    line = "1 2 8:1 / {} rw - {} /dev/sda rw"
    mounts = "\n".join((line.format("/", "ext4"), line.format(str(tmp_path.resolve()).replace(" ", "\\040"), kind)))
    assert unsafe_place(tmp_path / "file", mounts) == kind
    assert unsafe_place(Path("/file"), mounts) == ""


def test_a_file_that_is_written_belongs_to_its_descriptor(tmp_path: Path) -> None:
    """Nobody else writes it as long as that is open."""
    path = tmp_path / "file"
    fd = written(path, b"bytes")
    try:
        assert path.read_bytes() == b"bytes"
        assert inode(os.fstat(fd)) == inode(path.stat())
        with pytest.raises(BlockingIOError):
            os.close(written(path, b""))
        assert path.read_bytes() == b"bytes", "it is another process's"
    finally:
        os.close(fd)
    os.close(written(path, b"other"))
    sync_folder(path)
    assert path.read_bytes() == b"other"
