"""Rules that every source file keeps: size, no unsafe decoders, chance for jitter only, no machine's own names."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from parsed import PACKAGE, parsed

ROOT = Path(__file__).parents[2]
LONGEST = 400
UNSAFE = frozenset({"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"})
CHOICES = frozenset(  # which airports visitors of the demo see; what goes wrong in a test
    {"demo/workload.py", "testing/chaos.py", "testing/chaos_async.py"}
)
JITTER = frozenset(
    {
        *("core/supervisor.py", "core/supervisor_async.py", "routing/monitor.py", "routing/monitor_async.py"),
        *("routing/store_state.py", "demo/workload.py"),
        *("caching/shaping.py", "caching/sampler.py", "caching/sampler_async.py"),
        *("caching/back/flusher.py", "caching/back/flusher_async.py"),
        *("backends/cassandra/records.py", "backends/cassandra/records_async.py"),
        *("messaging/case.py", "messaging/admitting.py", "messaging/admitting_async.py"),
        *("messaging/outside.py", "messaging/outside_async.py"),
        *("messaging/outbox_mongo.py", "messaging/outbox_mongo_async.py"),
        *("transactions/manager.py", "transactions/manager_async.py"),
    }
)
PLACES = re.compile(
    r"(?<![\w.$~/])/(?:work|root)(?![\w-])|"
    + "|".join(("pypi" + r"\.org", "python" + "hosted", "--index" + "-url", "PIP_" + "INDEX"))
)
OTHERS = frozenset({"__pycache__", "dist", "build", "demo-data"})
GENERATED = "# Generated from "


def trees() -> Iterator[tuple[str, ast.Module]]:
    return ((path.relative_to(PACKAGE).as_posix(), tree) for path, _, tree in parsed())


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


def text_files() -> Iterator[Path]:
    """What belongs to the repository; of other folders, as of an environment with all its packages, nothing is read."""
    for folder, inner, names in os.walk(ROOT):
        inner[:] = sorted(name for name in inner if _is_ours(name) and name not in OTHERS)
        yield from (Path(folder, name) for name in sorted(names) if _is_ours(name))


def _is_ours(name: str) -> bool:
    return not name.startswith(".") or name in (".ci", ".github", ".gitignore", ".gitattributes")


def test_no_hand_written_module_is_longer_than_400_lines() -> None:
    """A module that passes 400 lines wants to be two."""
    counts = {
        path.relative_to(ROOT).as_posix(): len(text.splitlines())
        for path in sorted(PACKAGE.rglob("*.py"))
        if not (text := path.read_text()).startswith(GENERATED)
    }
    assert {name: count for name, count in counts.items() if count > LONGEST} == {}


def test_nothing_that_runs_what_it_decodes() -> None:
    """No pickle, no marshal, no yaml.load: a value read back from a server is data, never a program."""
    wrong = []
    for name, tree in trees():
        wrong += [f"{name}: {module}" for module in imported(tree) & UNSAFE]
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("load", "unsafe_load")
                and _is_name(node.value, "yaml")
            ):
                wrong.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
            elif isinstance(node, ast.Call) and _is_name(node.func, "eval", "exec"):
                wrong.append(f"{name}:{node.lineno}: {ast.unparse(node.func)}")
    assert wrong == []


def _is_name(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def test_random_is_used_for_jitter_only() -> None:
    """Ids, keys and tokens come from os.urandom or secrets; `random` only spreads waits."""
    assert {name for name, tree in trees() if "random" in imported(tree)} <= JITTER | CHOICES


def test_no_test_drops_an_engine_whose_pool_holds_a_connection() -> None:
    """`create_engine(...).begin()` keeps nothing to dispose of: the collector closes the connection, in some later test."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if "create_engine" in (text := path.read_text()) or "async_engine" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr in ("begin", "connect", "raw_connection")
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith(("create_engine", "async_engine"))
    ]
    assert found == []


def test_no_text_names_a_machine_or_a_package_index() -> None:
    """A clone works anywhere: no path of one machine, no package host."""
    wrong = []
    for path in text_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        wrong += [f"{path.relative_to(ROOT)}: {found.group()}" for found in PLACES.finditer(text)]
    assert wrong == []
