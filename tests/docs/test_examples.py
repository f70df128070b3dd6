"""Every Python example of README.md and docs/ runs as printed, page by page; every TOML example loads."""

from __future__ import annotations

import doctest
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from regionkit.topology import parse_toml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEEDS = {"docs/operations/metrics.md": "opentelemetry.trace"}
"""Pages whose examples need an extra."""
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def load(example: Example) -> None:
    text = str(example.parsed)
    if "[regions." in text:
        parse_toml(text, environ=os.environ)
    else:
        tomllib.loads(text)


SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE),
        CodeBlockParser("toml", load),
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_examples_of_a_page_run(page: Path, started: list[Any], place: dict[str, Any]) -> None:
    """Top to bottom, in one namespace, in a folder with two regions as SQLite files. Servers that it starts, it ends."""
    if page.relative_to(ROOT).as_posix() in NEEDS:
        pytest.importorskip(NEEDS[page.relative_to(ROOT).as_posix()])
    document = SYBIL.parse(page)
    document.namespace = place
    for example in document.examples():
        example.evaluate()
    assert [node.url for servers in started for node in servers.nodes if node.alive] == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.ko.md"], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Files that it names are there, and so are their sections."""
    wrong = []
    for target, anchor in LINK.findall(page.read_text()):
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            wrong.append(f"{target}#{anchor}")
    assert wrong == []
