"""`${NAME}` in configuration: replaced after parsing, from a mapping, once, and never shown.

In a URL each part is replaced on its own after the URL was taken apart, so a value may hold any character: it can
not become another part. The result is a URL again, percent-encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from regionkit.errors import ConfigurationError
from regionkit.topology.url_parts import decoded, split_url

__all__ = ["expand", "expand_url", "has_variable", "scrubber"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHORTEST_SCRUBBED = 4


def has_variable(text: str) -> bool:
    """Whether `text` holds a `${NAME}`."""
    return _VARIABLE.search(text) is not None


def expand(text: str, environ: Mapping[str, str], where: str, literal: Callable[[str], str] = str) -> str:
    """`text` with each `${NAME}` replaced by `environ[NAME]`; what stands between goes through `literal`.

    Values are not looked into again. A "${" that begins no variable is refused: it is a misspelt one.

    Raises:
        ConfigurationError: naming the variable and `where`, never a value.
    """
    pieces = _VARIABLE.split(text)
    for index, piece in enumerate(pieces):
        if index % 2:
            if piece not in environ:
                raise ConfigurationError(
                    f"{where}: the environment variable {piece} is not set.",
                    why=f"${{{piece}}} must be replaced by its value.",
                    fix=f"set {piece} in the environment of this process.",
                )
            pieces[index] = environ[piece]
        elif "${" in piece:
            raise ConfigurationError(
                f"{where}: '${{' begins no variable.",
                why="a variable is ${NAME}, its name made of letters, digits and '_'.",
                fix="correct the name; in a URL a literal '${' is written %24%7B.",
            )
        else:
            pieces[index] = literal(piece)
    return "".join(pieces)


def expand_url(url: str, environ: Mapping[str, str], where: str) -> str:
    """`url` with each `${NAME}` replaced inside its part, percent-encoded again.

    A text that is one `${NAME}` and nothing else is replaced by a whole URL, which its owner has encoded.

    Raises:
        ConfigurationError: as `expand`, or when the URL cannot be read.
    """
    if _VARIABLE.fullmatch(url):
        return expand(url, environ, where)
    if "${" not in url:
        return url
    return split_url(url, lambda part: expand(part, environ, where, decoded)).render(masked=False)


def scrubber(text: str, environ: Mapping[str, str]) -> Callable[[str], str]:
    """A function that puts `${NAME}` back for every value that `text` takes from `environ`.

    For messages about values that are already replaced. Values under four characters are left: they cannot be told
    from the message's own words.
    """
    values = {name: environ[name] for name in _VARIABLE.findall(text) if name in environ}
    forms = {
        form: f"${{{name}}}"
        for name, value in values.items()
        for form in (value, quote(value, safe=""), repr(value)[1:-1])
        if len(form) >= _SHORTEST_SCRUBBED
    }
    ordered = sorted(forms, key=len, reverse=True)
    if not ordered:
        return str
    pattern = re.compile("|".join(map(re.escape, ordered)))
    return lambda message: pattern.sub(lambda found: forms[found.group()], message)
