"""Whoever installs the package has the scripts."""

from __future__ import annotations

import zipfile
from pathlib import Path


def test_the_scripts_are_in_the_wheel(tmp_path: Path) -> None:
    """Every Lua file, byte for byte."""
    from hatchling.builders.wheel import WheelBuilder

    root = Path(__file__).parents[3]
    (wheel,) = WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as packed:
        found = {name: packed.read(name) for name in packed.namelist() if name.endswith(".lua")}
    scripts = (root / "regionkit").rglob("*.lua")
    assert found == {path.relative_to(root).as_posix(): path.read_bytes() for path in scripts}
    assert len(found) >= 6
