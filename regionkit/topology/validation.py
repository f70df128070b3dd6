"""How a configuration mistake is told: where it is, what was probably meant, and never a secret.

A value is shown only when it looks like a name: a URL or a key that slipped into the wrong argument is described, not
printed. An error is re-raised outside its `except` block, so that no chained exception carries what the text left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from regionkit.core.given import shown
from regionkit.errors import ConfigurationError

__all__ = ["check_name", "did_you_mean", "from_mapping", "is_storable", "located", "sequence_of", "shown"]

T = TypeVar("T")

_LISTED = 20


def is_storable(text: str) -> bool:
    """Whether every server keeps it as a text: no NUL, and no half of a surrogate pair, which is no character."""
    if text.isascii():
        return "\x00" not in text
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def did_you_mean(word: object, known: Iterable[str], aliases: Mapping[str, str] = MappingProxyType({})) -> str:
    """A `fix` sentence: the nearest known word where one is near, and what is known. `aliases`: words for known ones."""
    import difflib  # here, because only a mistake needs it

    choices = sorted({str(choice) for choice in known})
    listed = ", ".join(choices[:_LISTED]) + (", ..." if len(choices) > _LISTED else "")
    if isinstance(word, str):
        lowered = {**aliases, **{choice.lower(): choice for choice in choices}}
        near = difflib.get_close_matches(word.lower(), lowered, n=1)
        if near:
            return f"did you mean {lowered[near[0]]!r}? Known: {listed}."
    return f"known: {listed}." if choices else "none is known."


def check_name(kind: str, value: object, pattern: re.Pattern[str]) -> None:
    """Refuses a `value` that is not a string matching the whole of `pattern`.

    Raises:
        ConfigurationError: naming `kind` and the pattern.
    """
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ConfigurationError(
            f"{shown(value)} is not a usable {kind}.",
            why="such names become parts of table names, keys and messages, so few characters are allowed.",
            fix=f"use a name that matches {pattern.pattern}.",
        )


def from_mapping(kind: str, make: Callable[..., T], given: Mapping[Any, Any], known: Collection[str]) -> T:
    """`make(**given)`, after refusing keys that are not `known`.

    Raises:
        ConfigurationError: naming the key, with a near match; or what `make` raises.
    """
    for key in given:
        if key not in known:
            raise ConfigurationError(
                f"{kind}: unknown key {shown(key)}.",
                why="an unknown key would be ignored silently.",
                fix=did_you_mean(key, known),
            )
    return make(**given)


def sequence_of(kind: str, given: Any, item: type[T]) -> tuple[T, ...]:
    """`given` as a tuple whose items are all of type `item`.

    Raises:
        ConfigurationError: when `given` is a bare string, is not iterable, or holds something else.
    """
    problem = None
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        problem = f"got {shown(given)}"
    else:
        items = tuple(given)
        wrong = [value for value in items if not isinstance(value, item)]
        if not wrong:
            return items
        problem = f"one of them is {shown(wrong[0])}"
    raise ConfigurationError(
        f"{kind} must be a sequence of {item.__name__}: {problem}.",
        fix=f"pass a list or a tuple of {item.__name__}.",
    )


def located(where: str, make: Callable[[], T], scrub: Callable[[str], str] = str) -> T:
    """What `make` returns; its ConfigurationError is raised anew with `where` in front.

    `scrub` is applied to the parts of the message, not to `where`.
    """
    try:
        return make()
    except ConfigurationError as error:
        kind, what, why, fix = type(error), error.what, error.why, error.fix
    raise kind(f"{where}: {scrub(what)}", why=scrub(why), fix=scrub(fix))
