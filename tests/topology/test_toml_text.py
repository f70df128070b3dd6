"""A TOML text that is huge, deep or full is refused within a second, by an error of regionkit's."""

from __future__ import annotations

import gc
import time

import pytest

from regionkit import ConfigurationError
from regionkit.topology.loading import parse_toml
from regionkit.topology.toml_text import LARGEST_FILE, MOST_PARTS, parsed

SECONDS = 1.0
HEAD = 'namespace = "shop"\n'
REGIONS = "".join(f"r{number} = {{}}\n" for number in range(15_000))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("".join(f"[regions.r{number}]\n" for number in range(40_000)), "larger than 256 KiB"),
        ("#" * LARGEST_FILE, "larger than 256 KiB"),
        (f"[regions]\n{REGIONS}", "15000 regions"),
        (f"x = {'[' * 100_000}{']' * 100_000}", "nested too deeply"),
        ("x = " + "{a=" * 50_000 + "1" + "}" * 50_000, "nested too deeply"),
        ("a." * 100_000 + "b = 1", "more than 32 parts"),
        (f"[{'.'.join(['a'] * 100_000)}]", "more than 32 parts"),
        ("x = {" + "a." * 100_000 + "b = 1}", "more than 32 parts"),
        ('"a"."b".' * 20_000 + "c = 1", "more than 32 parts"),
        ("x = " + "9" * 200_000, "number that is too long"),
        ("[[x]]\n" * 40_000, "regionkit.toml"),
        ('"' * 200_000, "regionkit.toml"),
        ("a" * 200_000, "regionkit.toml"),
    ],
    ids=range(13),
)
def test_it_is_refused_at_once(text: str, says: str) -> None:
    """The time is this thread's own: other processes of the machine do not count, nor what other tests have left to collect."""
    gc.disable()
    try:
        began = time.thread_time()
        with pytest.raises(ConfigurationError, match=says):
            parse_toml(HEAD + text)
        assert time.thread_time() - began < SECONDS
    finally:
        gc.enable()


def test_a_key_with_as_many_parts_as_may_be() -> None:
    """Dots in texts and comments are no parts of keys."""
    key = ".".join(["a"] * MOST_PARTS)
    assert parsed(f"{key} = 1", "x")
    host = ".".join(["a"] * 100)
    assert parsed(f"url = 'postgresql://{host}/x' # {host}", "x") == {"url": f"postgresql://{host}/x"}
