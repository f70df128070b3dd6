"""Names that are imported when somebody asks for them."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from regionkit.core.lazy import lazy_names


def test_a_name_is_found_where_it_lives_and_loaded_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of a module, and a module itself."""
    find, _ = lazy_names("email", {"Charset": "charset", "quoprimime": ""})
    monkeypatch.delitem(sys.modules, "email.charset", raising=False)
    assert "email.charset" not in sys.modules
    assert find("Charset").__module__ == "email.charset"
    assert "email.charset" in sys.modules
    assert isinstance(find("quoprimime"), ModuleType)


def test_any_other_name_is_an_attribute_error_of_the_package() -> None:
    """As of every module, so that hasattr() and imports work."""
    find, _ = lazy_names("email", {"Charset": "charset"})
    with pytest.raises(AttributeError, match="module 'email' has no attribute 'Charsets'"):
        find("Charsets")


def test_dir_is_what_the_package_exports() -> None:
    """Also what is not loaded yet."""
    _, names = lazy_names("regionkit", {})
    assert names() == sorted(names())
    assert {"RegionKit", "SESSION"} <= set(names())
