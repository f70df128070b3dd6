"""docs/reference/errors.md and the error tree say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from regionkit import errors
from regionkit.errors import RegionKitError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
SECTION = re.compile(r"^### (RK-\d{4}) (\w+)\n(.*?)(?=^### |^## |\Z)", re.DOTALL | re.MULTILINE)


def tree(kind: type[RegionKitError] = RegionKitError) -> Iterator[type[RegionKitError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def sections() -> dict[str, tuple[str, str]]:
    return {code: (name, text) for code, name, text in SECTION.findall(PAGE.read_text())}


def test_each_code_has_a_section_and_each_section_a_code() -> None:
    """A code in an error leads to its section; no section speaks of an error that is not there."""
    assert {code: name for code, (name, _) in sections().items()} == {kind.code: kind.__name__ for kind in tree()}


def test_codes_are_unique() -> None:
    """Two errors never share a section."""
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_each_section_says_what_the_class_says(kind: type[RegionKitError]) -> None:
    """Retryable and committed are those of the class; what, why and what to do are there."""
    _, text = sections()[kind.code]
    retryable = "yes" if kind.retryable else "no"
    assert f"Retryable: {retryable}" in text
    assert f"Committed: {kind.committed}" in text
    for part in ("**What.**", "**Why.**", "**What to do.**"):
        assert part in text
