"""`regionkit write-back`: run the flusher of a cache, look at what it has not written, and say what becomes of that.

The cache is one that the application has made, named as "module:attribute". Values are printed with --values only: they may be
anybody's data.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import signal
import sys
from collections.abc import Callable
from inspect import isawaitable
from typing import Any
from uuid import UUID

import msgspec

from regionkit.cli.named import named
from regionkit.core.given import can
from regionkit.errors import ConfigurationError

__all__ = ["add_write_back"]


def add_write_back(found: argparse.ArgumentParser) -> None:
    """Its actions."""
    actions = found.add_subparsers(title="actions", required=True, metavar="ACTION")

    def action(name: str, run: Callable[[Any, argparse.Namespace], Any], text: str) -> Any:
        made = actions.add_parser(name, help=text, description=text)
        made.add_argument("cache", metavar="MODULE:NAME", help="a Cache or AsyncCache, or a function that makes one")
        made.add_argument("--json", action="store_true", help="plain data instead of text; its keys are stable")
        made.set_defaults(run=lambda options: asyncio.run(_done(run, options)))
        return made

    made = action("run", _run, "write rows until SIGTERM or SIGINT, then the rest")
    made.add_argument("--once", action="store_true", help="write what is dirty now; exit code 1 if anything is left")
    made.add_argument("--drain", type=float, default=10.0, metavar="SECONDS", help="for writing the rest at the end")
    made = action("list", _list, "state of the buffer, and parked values; exit code 1 if there are any")
    made.add_argument("--dirty", action="store_true", help="print the keys that are dirty, too")
    made.add_argument("--values", action="store_true", help="print parked values, too")
    made.add_argument("--limit", type=int, default=100, metavar="N")
    made = action("retry", _retry, "have parked values written after all")
    made.add_argument("key", metavar="KEY", nargs="?", help="as `list` prints it; default: all that are parked")
    made = action("discard", _discard, "forget a parked value for good: readers get the row")
    made.add_argument("key", metavar="KEY", help="as `list` prints it")


async def _done(run: Callable[[Any, argparse.Namespace], Any], options: argparse.Namespace) -> int:
    cache = await _cache(options.cache)
    try:
        code: int = await run(cache, options)
        return code
    finally:
        await _of(cache.close())


async def _of(given: Any) -> Any:
    """What a verb gives, of a cache of either form."""
    return await given if isawaitable(given) else given


async def _run(cache: Any, options: argparse.Namespace) -> int:
    if options.once:
        flushed = await _of(cache.flush(timeout=options.drain))
        _print(flushed, options, f"{flushed.dirty} dirty, {flushed.parked} parked")
        return 0 if flushed.clean else 1
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    flusher = cache.flusher(drain=options.drain)
    await _of(flusher.start())
    print(f"cache {cache.name}: flushing", file=sys.stderr, flush=True)
    await told.wait()
    clean = (
        await asyncio.to_thread(flusher.stop) if not asyncio.iscoroutinefunction(flusher.stop) else await flusher.stop()
    )
    state = cache.status()
    _print(
        {name: state[name] for name in ("flushed", "parked")} | {"clean": clean}, options, f"{state['flushed']} written"
    )
    return 0 if clean else 1


async def _list(cache: Any, options: argparse.Namespace) -> int:
    state = await _of(cache.buffer())
    told: dict[str, Any] = msgspec.to_builtins(state)
    parked = await _of(cache.parked(options.limit))
    told["parked_keys"] = [
        {
            "key": repr(one.key),
            "version": one.version,
            "reason": one.reason,
            "age": one.age,
            "deleted": one.deleted,
            **({"value": _plain(one.value)} if options.values else {}),
        }
        for one in parked
    ]
    if options.dirty:
        told["dirty_keys"] = [repr(key) for key in await _of(cache.dirty(options.limit))]
    puts = f" ({state.entries} puts)" if state.entries else ""
    lines = [f"{state.dirty} dirty{puts} for up to {state.oldest:.1f} s, {state.parked} parked, {state.bytes} bytes"]
    lines += [f"no flusher for {state.flusher:.0f} s"] if state.flusher else []
    lines += [f"parked {one['key']} {one['age']:.0f} s: {one['reason']}" for one in told["parked_keys"]]
    lines += [f"dirty {key}" for key in told.get("dirty_keys", ())]
    _print(told, options, "\n".join(lines))
    return 1 if state.parked else 0


async def _retry(cache: Any, options: argparse.Namespace) -> int:
    count = await _of(cache.retry(None if options.key is None else _key(options.key)))
    _print({"retried": count}, options, f"{count} will be tried again")
    return 0 if count or options.key is None else 1


async def _discard(cache: Any, options: argparse.Namespace) -> int:
    found = await _of(cache.discard(_key(options.key)))
    _print({"discarded": found}, options, "discarded" if found else "nothing is parked there")
    return 0 if found else 1


def _print(told: Any, options: argparse.Namespace, text: str) -> None:
    print(msgspec.json.format(msgspec.json.encode(told), indent=2).decode() if options.json else text)


def _plain(value: Any) -> Any:
    """A value that JSON has a form for; of any other its text. NaN becomes null."""
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=repr)
    except TypeError:  # a mapping with other keys
        return repr(value)


def _key(text: str) -> Any:
    """A key as `list` prints it; what is no literal is the text itself."""
    try:
        found = _literal(ast.parse(text, mode="eval").body)
    except (ValueError, SyntaxError, TypeError, AttributeError, IndexError):
        return text
    return found if isinstance(found, str | int | bytes | tuple | UUID) and not isinstance(found, bool) else text


def _literal(node: ast.AST) -> Any:
    """A literal, or a UUID, or a tuple of them."""
    if isinstance(node, ast.Tuple):
        return tuple(_literal(part) for part in node.elts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UUID":
        return UUID(ast.literal_eval(node.args[0]))
    return ast.literal_eval(node)


async def _cache(name: str) -> Any:
    found: Any = named(name)
    from regionkit.caching import WriteBack  # the command line's help need not wait for it

    if not can(found, "flusher", "parked") and callable(found):
        found = await _of(found())
    if not can(found, "flusher", "parked"):
        raise ConfigurationError(
            f"{name!r} is a {type(found).__name__}.", fix="name a Cache, or a function that makes one."
        )
    if not isinstance(found.strategy, WriteBack):
        await _of(found.close())
        raise ConfigurationError(
            f"cache {name!r} is {type(found.strategy).__name__}.", fix="name one whose strategy is WriteBack."
        )
    return found
