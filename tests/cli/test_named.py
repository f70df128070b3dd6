"""Names of what an application has made, as the command line takes them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regionkit.cli.named import named
from regionkit.errors import ConfigurationError


def test_a_module_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not be installed, and the folder is named once only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("shop_of_a_test.py").write_text("relay = 7\n")
    assert [named("shop_of_a_test:relay") for _ in range(2)] == [7, 7]
    assert sys.path.count(str(tmp_path)) == 1
    sys.modules.pop("shop_of_a_test")


@pytest.mark.parametrize("name", ["no_such_module:relay", "json:nobody", "json", ":relay", ""])
def test_what_is_not_there(name: str) -> None:
    """A mistake of the caller's, with what to write."""
    with pytest.raises(ConfigurationError, match="write MODULE:NAME"):
        named(name)
