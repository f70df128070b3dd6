"""The command: arguments, the stage, where the story goes. SQLAlchemy is imported when the story begins, not for --help."""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regionkit.demo.narration import Narrator, explained, key_pressed
from regionkit.errors import RegionKitError

if TYPE_CHECKING:
    from regionkit.demo.stage import Stage

__all__ = ["add_arguments", "main", "run"]

LAG, FAST_LAG = 0.8, 0.25
"""Seconds that the copies of the embedded stage are behind."""
SCRIPT = "quickstart.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the demo."""
    parser.add_argument("--fast", action="store_true", help="shorter lags and fewer requests: under 6 s instead of 20")
    parser.add_argument("--plain", action="store_true", help="wait for no key press")
    parser.add_argument(
        "--json", action="store_true", help="figures as JSON on stdout, the story on stderr; implies --plain"
    )
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="of the traffic (default 7)")
    parser.add_argument(
        "--real", action="store_true", help="PostgreSQL with two streaming replicas, at the round trips of three cities"
    )
    parser.add_argument("--folder", type=Path, help="keep the SQLite files here (default: a temporary folder)")


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m regionkit.demo`. The exit code: 0 told to the end, 1 it could not be, 2 wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="regionkit demo", description="Three regions on this machine, in half a minute."
    )
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Tell the story."""
    logging.getLogger("regionkit").addHandler(logging.NullHandler())  # the story tells of the events itself
    say = Narrator(sys.stderr if options.json else sys.stdout)
    try:
        with ExitStack() as stack:
            stage = stack.enter_context(_stage(options, stack))
            results = _told(options, stage, say)
    except RegionKitError as error:
        print(f"\n{explained(error)}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        from regionkit.testing import ServerUnavailable

        if not isinstance(error, ServerUnavailable):
            raise
        print(error, file=sys.stderr)  # it names the command that provides the server
        return 1
    _tell_figures(say, results)
    if options.json:
        print(json.dumps(results | {"steps": say.steps}, indent=2))
    else:
        _show_script(say)
    return 0


def _stage(options: argparse.Namespace, stack: ExitStack) -> Stage:
    if options.real:
        from regionkit.demo.real import RealStage

        return RealStage()
    from regionkit.demo.stage import EmbeddedStage

    folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regionkit-demo-")))
    return EmbeddedStage(folder, FAST_LAG if options.fast else LAG)


def _told(options: argparse.Namespace, stage: Stage, say: Narrator) -> dict[str, Any]:
    from regionkit.demo.stage import LOCAL
    from regionkit.demo.story import Pace, Story
    from regionkit.kit import RegionKit

    pace = Pace((100, 0.8), (25, 0.3), (60, 0.6)) if options.fast else Pace((400, 4.0), (80, 1.0), (200, 2.5))
    waits = not (options.plain or options.json)
    say.opening(f"regionkit demo\n{stage.about}")
    with RegionKit(stage.topology, local=LOCAL, profile=stage.profile, bookmark_keys=[secrets.token_hex(32)]) as kit:
        story = Story(stage, kit, say, pace, options.seed, key_pressed if waits else lambda _: None)
        return {"stage": stage.name, "seed": options.seed, "lag": stage.lag, **story.tell()}


def _tell_figures(say: Narrator, f: dict[str, Any]) -> None:
    reads = ", ".join(f"{region} {count:,}" for region, count in f["reads_by_region"].items())
    writes = ", ".join(f"{region} {count:,}" for region, count in f["writes_by_region"].items())
    rows = [
        ("reads", f"{f['reads']:,}", reads),
        ("  local", f"{f['local_share']:.1%}", "of all reads"),
        ("  stale", f"{f['session_reads_stale']:,}", f"of {f['session_reads_checked']:,} SESSION reads, each checked"),
        ("", f"{f['eventual_reads_stale']:,}", f"of {f['eventual_reads']:,} EVENTUAL reads, which may be"),
        ("writes", f"{f['writes']:,}", writes),
        ("  lost", f"{f['writes_lost_by_failover']:,}", "with Virginia: acknowledged there, not copied yet"),
        ("  doubled", f"{f['keyed_counted'] - 1:,}", f"of 1 keyed write that was sent {f['keyed_sent']} times"),
        ("loads", f"{f['cache_loads']:,}", f"for {f['cache_callers']} callers at once of a cache without a server"),
        *(
            [
                (
                    "settings",
                    f"{f['settings_lost']:,}",
                    f"lost of {f['settings_put']:,} puts: flusher and buffer were killed",
                )
            ]
            if f["settings_put"]
            else []
        ),
        (
            "charges",
            f"{f['charged_once']:,}",
            f"of {f['orders']} orders once, {f['charged_twice']} twice, of {f['messages']} messages",
        ),
        (
            "half done",
            f"{f['half_done']:,}",
            f"of {f['transactions']} transactions, in {f['killed_in_commit']} of which the process was killed",
        ),
        ("recovery", f"{f['recovered_after_promote']:.2f} s", "from the promotion to the first acknowledged write"),
    ]
    say.heading(f"Measured, in {f['seconds']:.1f} s")
    say.block("\n".join(f"{name:<10} {value:>7}  {what}" for name, value, what in rows))


def _show_script(say: Narrator) -> None:
    source = files("regionkit.demo").joinpath(SCRIPT)
    say.heading("The same in a script: python -m regionkit.demo.quickstart")
    say.block("\n" + source.read_text().partition('"""\n\n')[2], indent="")  # no indent: to be copied
