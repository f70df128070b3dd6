"""Draws the picture of the README: three regions with a write, two reads and a bookmark.

python scripts/picture.py            writes docs/images/regions.svg
python scripts/picture.py --check    fails when that file is not what this script draws
"""

from __future__ import annotations

import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "docs/images/regions.svg"
WIDTH, HEIGHT = 860, 366
BOX, GAP, TOP = 250, 35, 20
INK, PAPER, LINE, WRITE, READ = "#1f2933", "#ffffff", "#9aa5b1", "#b4232a", "#0b69a3"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


def text(
    x: float, y: float, words: str, *, size: int = 14, weight: int = 400, colour: str = INK, at: str = "middle"
) -> str:
    """One line of text."""
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{at}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{words}</text>'


def box(
    x: float, y: float, width: float, height: float, *, fill: str = PAPER, line: str = LINE, round: float = 8
) -> str:
    """A rectangle with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round:g}" fill="{fill}" stroke="{line}"/>'


def arrow(path: str, colour: str, *, dashed: bool = False) -> str:
    """A path with a head."""
    dash = ' stroke-dasharray="5 5"' if dashed else ""
    head = {WRITE: "write", READ: "read", INK: "next"}.get(colour, "copy")
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash} marker-end="url(#{head})"/>'


def region(number: int, name: str, server: str, note: str, kind: str) -> list[str]:
    """A region's box: the application above, its database below."""
    x = GAP + number * (BOX + GAP) - 10
    middle = x + BOX / 2
    return [
        box(x, TOP, BOX, 300, fill="#f5f7fa"),
        text(middle, TOP + 24, name, weight=600),
        box(x + 35, TOP + 42, BOX - 70, 54),
        text(middle, TOP + 65, "your application"),
        text(middle, TOP + 84, kind, size=12, colour="#52606d"),
        box(x + 35, TOP + 200, BOX - 70, 74, round=22),
        text(middle, TOP + 230, server, weight=600),
        text(middle, TOP + 252, note, size=12, colour="#52606d"),
    ]


def draw() -> str:
    """The whole file."""
    us, eu, kr = (GAP + n * (BOX + GAP) - 10 + BOX / 2 for n in range(3))
    app, data = TOP + 96, TOP + 200
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 10 5 0 10z" fill="{colour}"/></marker>'
        for name, colour in (("write", WRITE), ("read", READ), ("copy", LINE), ("next", INK))
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="{FONT}" role="img" '
        'aria-label="Three regions. A write from Korea goes to the primary in the US. A read in Europe that carries the '
        "session's bookmark waits until the copy there has the write; a read without one takes the nearest copy.\">",
        f"<defs>{heads}</defs>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="{PAPER}"/>',
        *region(0, "us-east-1", "primary", "has 41 and 42", "with regionkit"),
        *region(1, "eu-west-1", "replica", "has 41 and 42", "with regionkit"),
        *region(2, "ap-northeast-2", "replica", "has 41, not yet 42", "with regionkit"),
        arrow(f"M{us + 90:g} {data + 24} H{eu - 94:g}", LINE, dashed=True),
        arrow(
            f"M{us + 90:g} {data + 56} C{eu - 60:g} {data + 130} {eu + 60:g} {data + 130} {kr - 94:g} {data + 56}",
            LINE,
            dashed=True,
        ),
        arrow(f"M{kr - 40:g} {app} C{kr - 110:g} {app + 78} {us + 180:g} {app + 22} {us + 22:g} {data - 3}", WRITE),
        text(us + 62, app + 44, "1 write 42", weight=600, colour=WRITE, at="start"),
        arrow(f"M{kr + 14:g} {app} V{data - 3}", READ),
        text(kr + 22, app + 40, "2 read 41", weight=600, colour=READ, at="start"),
        text(kr + 22, app + 58, "nearest copy", size=12, colour=READ, at="start"),
        arrow(f"M{eu + 10:g} {app} V{data - 3}", READ),
        text(eu + 18, app + 84, "4 read 42", weight=600, colour=READ, at="start"),
        arrow(f"M{kr - 92:g} {TOP + 69} H{eu + 94:g}", INK),
        text((eu + kr) / 2, TOP + 60, "3", weight=600),
        text((us + eu) / 2, data + 16, "copies", size=12, colour="#52606d"),
        text(WIDTH / 2, HEIGHT - 18, "3: the next request lands elsewhere and brings a signed bookmark: “has seen 42”. "
             "Only a copy that has 42 may answer.", size=13),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def main() -> int:
    """Exit code 1 when the file on disk is another one."""
    if "--check" in sys.argv[1:]:
        return int(TARGET.read_text() != draw())
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(draw())
    return 0


if __name__ == "__main__":
    sys.exit(main())
