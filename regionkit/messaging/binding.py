"""The arguments of a call as the function sees them: by position or name, defaults applied. Pure.

`key=` and `fingerprint=` are functions of these arguments. One whose parameters are all called as parameters of the function
gets those; another one is called as the function is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from regionkit.errors import ConfigurationError

__all__ = ["Binding"]

_EMPTY = inspect.Parameter.empty
_SELF = ("self", "cls")


class Binding:
    """How one function is called. Immutable; shared freely."""

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        self._what = what
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters.values()
        self._names = [p.name for p in parameters]
        self._defaults = [p.default for p in parameters]
        kinds = [p.kind for p in parameters]
        self._by_position = sum(kind is not inspect.Parameter.KEYWORD_ONLY for kind in kinds)
        loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
        self._is_plain = not any(kind in loose for kind in kinds)
        self._count = len(kinds)
        self.is_method = self._names[:1] != [] and self._names[0] in _SELF

    def values(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Sequence[Any]:
        """One value for each parameter, in their order.

        Raises:
            TypeError: the function does not take these arguments.
        """
        given = len(args)
        if self._is_plain and given <= self._by_position:
            if given == self._count and not kwargs:
                return args
            values, named = list(args), 0
            for name, default in zip(self._names[given:], self._defaults[given:], strict=True):
                if name in kwargs:
                    named += 1
                    values.append(kwargs[name])
                else:
                    values.append(default)
            if named == len(kwargs) and not any(value is _EMPTY for value in values):
                return values
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return [bound.arguments[name] for name in self._names]

    def function_of(self, option: str, function: Any) -> Callable[[Sequence[Any]], Any]:
        """What gives `function` the arguments that it takes, out of those of a call. `option`: its name, for errors.

        Raises:
            ConfigurationError: it takes others.
        """
        if not callable(function):
            raise ConfigurationError(
                f"{option}= of {self._what} is a {type(function).__name__}.",
                fix=f"give a function of its arguments: {option}=lambda order: order['id'].",
            )
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # of a built-in function
            return lambda values: function(*values)
        wanted = list(signature.parameters.values())
        names = [p.name for p in wanted]
        if names and set(names) <= set(self._names) and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in wanted):
            places = [self._names.index(name) for name in names]
            if len(places) == 1:
                pick = itemgetter(places[0])
                return lambda values: function(pick(values))
            return lambda values: function(*[values[place] for place in places])
        try:
            signature.bind(*self._names)
        except TypeError as error:
            raise ConfigurationError(
                f"{option}= of {self._what} takes other arguments than it.",
                why=f"{error}; {self._what} has {', '.join(self._names) or 'none'}.",
                fix="call its parameters as those of the function that it needs, or let it take all of them.",
            ) from None
        return lambda values: function(*values)
