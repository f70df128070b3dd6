"""The Lua scripts of a package, from the files in its folder `scripts`, each with the digest that a server knows it by.

A script runs whole or not at all between two other commands of the server. INFO inside a script tells the offset *before*
the script's own effects: a position is asked for after it.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import NamedTuple

__all__ = ["Lua", "lua"]


class Lua(NamedTuple):
    """One script. `digest`: SHA-1 of the text in hexadecimal, as EVALSHA takes it."""

    text: bytes
    digest: bytes


@functools.cache
def lua(package: str, name: str) -> Lua:
    """The script in `scripts/<name>.lua` of a package.

    It stands behind the package's `prelude.lua`, and a script `a_b` behind `a_prelude.lua` too, where there are such. Before them
    all stands `a_b_first.lua`, where there is one: it answers the plain case without the functions of the preludes.
    """
    folder = resources.files(package).joinpath("scripts")
    names = [f"{name}_first", "prelude", f"{name.partition('_')[0]}_prelude", name]
    files = [folder.joinpath(f"{name}.lua") for name in names]
    text = b"".join(file.read_bytes() for file in files[:-1] if file.is_file()) + files[-1].read_bytes()
    return Lua(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())
