"""Make the sync twins: every `x_async.py` of the package and the tests that has no hand-written pair gives `x.py`.

    python scripts/twins.py [--check]

A twin is the source with a short list of words replaced. A rule that no file uses is an error, as is a stale twin under
--check. Twins are formatted and type-checked like any other code.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADER = "# Generated from {source} by scripts/twins.py. Do not edit.\n"
HAND_WRITTEN = {
    "regionkit/core/concurrency_async.py",  # threads and asyncio differ in kind
    "regionkit/core/overlap_async.py",  # waits of one thread meet in greenlets, tasks meet in the loop
    "regionkit/backends/cassandra/bridge_async.py",  # the driver answers to a callback or to a waiting thread
    "regionkit/backends/sql/bridge_async.py",  # greenlets are crossed on one side only
    "regionkit/backends/redis/stream_async.py",  # a socket's time-outs, an event loop's timer
    "regionkit/caching/memcached_line_async.py",  # a socket, a loop's streams
    "regionkit/backends/redis/lane_async.py",  # tasks share a connection, threads each take one
    "regionkit/backends/mongo/sockets_async.py",  # a thread polls a socket, asyncio knows
}
RULES = [
    (r"\basync def\b", "def"),
    (r"\basync with\b", "with"),
    (r"\basync for\b", "for"),
    (r"\bawait ", ""),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\b__aiter__\b", "__iter__"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\bAbstractAsyncContextManager\b", "AbstractContextManager"),
    (
        r"\basync_(backend_of|back_of|backing_of|log_of|tier_of|cached_method|cached|plain_backend_of|plain_backing|plain_of)\b",
        r"\1",
    ),
    (r"\b(?!execute_async\()(\w+)_async(?= import\b|\()", r"\1"),  # Cassandra's handle and driver have that method
    (r"\bspawn_async\b", "spawn"),
    (r"\bcreate_async_engine\b", "create_engine"),
    (
        r"\ba(sleep|elapse|stray|within|called|collect|gather|owner|caller|elsewhere|drive|resume|bounded|thread|overlap|pause)\b",
        r"\1",
    ),
    (r"\bAwaitable\[([^\[\]]+(?:\[[^\[\]]*\])?)\]", r"\1"),
    (r"\bsqlalchemy\.ext\.asyncio import Session\b", "sqlalchemy.orm import Session"),
    (r"\bsqlalchemy\.ext\.asyncio import Connection\b", "sqlalchemy import Connection"),
    (r"\bpymongo\.asynchronous\b", "pymongo.synchronous"),
    (r"\bIS_ASYNC = True\b", "IS_ASYNC = False"),
]


def sources() -> list[Path]:
    found = [p for folder in ("regionkit", "tests") for p in (ROOT / folder).rglob("*_async.py")]
    return sorted(p for p in found if p.relative_to(ROOT).as_posix() not in HAND_WRITTEN)


def twin_of(source: Path) -> Path:
    return source.with_name(source.name.replace("_async.py", ".py"))


def generate(source: Path, used: set[int]) -> str:
    text = source.read_text()
    for number, (pattern, replacement) in enumerate(RULES):
        text, count = re.subn(pattern, replacement, text)
        if count:
            used.add(number)
    return HEADER.format(source=source.name) + text


def formatted(texts: dict[Path, str]) -> dict[Path, str]:
    """Run ruff over all twins at once, in a folder of the same shape."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in texts.items():
            copy = Path(folder) / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
        config = ["--config", str(ROOT / "pyproject.toml")]
        ruff = [sys.executable, "-m", "ruff"]
        subprocess.run(
            [*ruff, "check", "-q", "--fix-only", "--select", "I,F401,UP035,RUF022", *config, folder], check=True
        )
        subprocess.run([*ruff, "format", "-q", *config, folder], check=True)
        return {path: (Path(folder) / path.relative_to(ROOT)).read_text() for path in texts}


def main() -> int:
    used: set[int] = set()
    made = formatted({twin_of(s): generate(s, used) for s in sources()})
    unused = [RULES[n][0] for n in range(len(RULES)) if n not in used]
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv:
        for path in stale:
            path.write_text(made[path])
            print("made", path.relative_to(ROOT))
        stale = []
    for path in stale:
        print("stale:", path.relative_to(ROOT), "- run: make twins", file=sys.stderr)
    for pattern in unused:
        print("unused rule:", pattern, file=sys.stderr)
    return int(bool(stale or unused))


if __name__ == "__main__":
    raise SystemExit(main())
