"""What MkDocs does not do by itself: README.md is the front page, and a link to a file outside docs/ becomes that file's path."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, /, *, page: Any, config: Any, files: Any) -> str:
    """The text of a page, its links seen from docs/."""
    uri = page.file.src_uri
    folder = posixpath.join("docs", posixpath.dirname(uri))
    if uri == "README.md":
        folder, markdown = "", (ROOT / "README.md").read_text().replace("](docs/images/", "](images/")

    def link(found: re.Match[str]) -> str:
        words, target, anchor = found[1], posixpath.normpath(posixpath.join(folder, found[2])), found[3] or ""
        if target.startswith("docs/") and target.endswith(".md"):
            return f"[{words}]({posixpath.relpath(target, posixpath.join('docs', posixpath.dirname(uri)))}{anchor})"
        return f"{words} (`{target}`)" if "/" in target else f"`{target}`"

    return LINK.sub(link, markdown)
