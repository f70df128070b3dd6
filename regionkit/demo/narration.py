"""How the demo speaks: a numbered line for what happened, below it the call that did it. 80 columns, colour on a TTY only."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TextIO

from regionkit.errors import RegionKitError

__all__ = ["Narrator", "duration", "explained", "key_pressed"]

WIDTH = 80
INDENT = "    "


class Narrator:
    """Writes the story to `out`, and remembers it for --json.

    Attributes:
        steps: what was told: title, call, and the seconds it took where they were measured.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._coloured = out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.steps: list[dict[str, str | float | None]] = []

    def opening(self, text: str) -> None:
        """The headline, and what follows it."""
        head, _, rest = text.partition("\n")
        self._line(self._painted(head, "1"))
        self._line(*rest.splitlines(), "")

    def step(self, title: str, call: str, seconds: float | None = None) -> None:
        """One thing that happened, the call that did it, and how long it took."""
        self.steps.append({"title": title, "call": call, "seconds": seconds})
        number = f"{len(self.steps):>2}  "
        value = "" if seconds is None else duration(seconds)
        lines = textwrap.wrap(title, WIDTH - len(INDENT) - (len(value) + 2 if value else 0), break_on_hyphens=False)
        head = f"{number}{lines[0]}"
        if value:
            head = f"{head:<{WIDTH - len(value)}}{value}"
        self._line(head, *(INDENT + line for line in lines[1:]))
        self._line(self._painted(f"{INDENT}>>> {call}", "36"))

    def block(self, text: str, *, indent: str = INDENT) -> None:
        """Something printed as it is."""
        self._line(*(f"{indent}{line}".rstrip() for line in text.splitlines()))

    def heading(self, text: str) -> None:
        """What the lines below are."""
        self._line("", self._painted(text, "1"))

    def _line(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self._out)
        self._out.flush()

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text


def duration(seconds: float) -> str:
    """Seconds as people say them: 240 ms, 1.31 s."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def explained(error: RegionKitError) -> str:
    """What happened, why, and what to do: a paragraph each, 80 columns."""
    parts = [(f"{error.code} {type(error).__name__}: ", error.what), ("  why: ", error.why), ("  fix: ", error.fix)]
    return "\n".join(
        textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent="       ", break_on_hyphens=False)
        for head, text in parts
        if text
    )


def key_pressed(prompt: str) -> None:
    """Show a prompt and wait for any key, when there is a terminal to press it at."""
    if not sys.stdin.isatty():
        return
    import termios
    import tty

    print(f"\n{INDENT}{prompt} ", end="", file=sys.stderr, flush=True)
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)  # leaves Ctrl-C what it is
        os.read(terminal, 1)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        print(file=sys.stderr)
