"""A TOML text as a dictionary, within bounds that are looked at before it is parsed. Pure.

1. It is at most `LARGEST_FILE`, and no key has more than `MOST_PARTS` parts: tomllib takes seconds for a key of thousands.
2. An error names the place and nothing that stands there, which may be a secret.
"""

from __future__ import annotations

import re
from typing import Any

from regionkit.errors import ConfigurationError

__all__ = ["LARGEST_FILE", "MOST_PARTS", "parsed", "too_large"]

LARGEST_FILE = 1 << 18
"""Bytes (of a text, characters): a thousand stores in 256 KiB; tomllib reads so much in a third of a second."""
MOST_PARTS = 32
"""Of a dotted key: regionkit's have four at most."""
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_DEEP_KEY = re.compile(rf"(?m)^[ \t\[]*(?:{_PART}){{{MOST_PARTS}}}|[{{,][ \t]*(?:{_PART}){{{MOST_PARTS}}}")


def parsed(text: str, name: str) -> dict[str, Any]:
    """The document of a text that messages call `name`.

    Raises:
        ConfigurationError: too large, too deep, or no TOML.
    """
    if len(text) > LARGEST_FILE:
        raise too_large(name)
    if _DEEP_KEY.search(text):
        raise ConfigurationError(f"{name} has a key of more than {MOST_PARTS} parts.", fix="take the dots out of it.")
    import tomllib  # here, because it compiles its grammar: only who loads a file pays for that

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why = str(error)
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError:  # of numbers that Python does not read: thousands of digits
        why = "it has a number that is too long"
    place = re.search(r"\(at (?:line \d+, column \d+|end of document)\)", why)
    raise ConfigurationError(
        f"{name} is not TOML {place.group() if place else ''}".rstrip() + ".",
        why="" if place else f"{why}." if why.startswith("it ") else "",
        fix="correct the syntax there; texts stand in quotes.",
    )


def too_large(name: str) -> ConfigurationError:
    """The error of a file, or a text, beyond its bound."""
    return ConfigurationError(f"{name} is larger than 256 KiB.", fix="pass the path of a regionkit TOML file.")
