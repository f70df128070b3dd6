"""What came of a call, as bytes: a result, or an error that was asked to be kept. Pure but for a cipher that is handed in.

1. Whoever calls first gets what a repeat would get: the result encoded and decoded, by the type that the function says it gives.
2. What cannot be encoded, does not come back, or is larger than `LARGEST_RESULT` is not kept: the call is done all the same.
3. Results are never logged, and never shown in errors.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from typing import Any

from regionkit.core.codec import PLAIN, Codec
from regionkit.core.storable import words_of
from regionkit.errors import ConfigurationError
from regionkit.messaging.cipher import Cipher

__all__ = ["LARGEST_RESULT", "Results", "Unreadable"]

LARGEST_RESULT = 65_536
"""Of a result, encoded, bytes: records are small rows, and a repeat should not cost more than a call."""
_RESULT, _ERROR = b"r", b"e"
_NOT_PLAIN = (TypeError, ValueError, OverflowError, RecursionError)
_CELERY = frozenset({"Retry", "Ignore", "Reject"})
"""What tasks of Celery raise to say what shall become of the task: never an outcome of the function."""


class Unreadable(Exception):
    """What was kept cannot be read: another key, another type. Says why."""


class Results:
    """The results of one function. Safe to share between threads and tasks."""

    def __init__(
        self,
        function: Callable[..., Any],
        what: str,
        *,
        store: bool,
        errors: Sequence[type[Exception]],
        cipher: Cipher | None,
    ) -> None:
        self._function = function
        self._what = what
        self._store = store
        self._errors = tuple(errors)
        self._cipher = cipher
        self._codec: Codec[Any] | None = None
        try:
            self.codec()
        except ConfigurationError:
            pass  # a name that is not defined yet; the first call says so

    @property
    def is_clear(self) -> bool:
        """Whether the type of what the function gives is known."""
        return self._codec is not None

    def codec(self) -> Codec[Any]:
        """That of what the function says it gives.

        Raises:
            ConfigurationError: it names a type that is not there, or one that cannot be decoded.
        """
        if self._codec is None:
            try:
                plain = getattr(self._function, "func", self._function)  # of a partial
                kind = typing.get_type_hints(plain, include_extras=True).get("return", Any)
                self._codec = Codec(kind, largest=LARGEST_RESULT)
            except Exception as error:
                raise ConfigurationError(
                    f"what {self._what} gives is not clear from its annotation.",
                    why=f"{error}.",
                    fix="import the type where the function is defined, annotate with a msgspec type, a dataclass or plain "
                    "data; or give store_result=False.",
                ) from error
        return self._codec

    def packed(self, result: Any) -> tuple[bytes | None, Any]:
        """What is kept of a result, None for nothing; and what the caller gets."""
        if not self._store:
            return None, result
        try:
            codec = self._codec or self.codec()
            data = codec.encode(result)
            again = codec.decode(data)
        except _NOT_PLAIN:  # ConfigurationError too
            return None, result
        data = _RESULT + data
        return data if self._cipher is None else self._sealed(data), again

    def kept_error(self, error: Exception) -> bytes | None:
        """What is kept of an error; None where it is not one that is kept."""
        if any(kind.__name__ in _CELERY and kind.__module__ == "celery.exceptions" for kind in type(error).__mro__):
            return None
        kind = next((kind for kind in type(error).__mro__ if kind in self._errors), None)
        if kind is None:
            return None
        try:
            data = PLAIN.encode([_name(kind), error.args])
            if len(data) > LARGEST_RESULT or tuple(PLAIN.decode(data)[1]) != error.args:
                raise ValueError("it does not decode to the same value")
        except _NOT_PLAIN:
            data = PLAIN.encode([_name(kind), [words_of(error)[:LARGEST_ERROR]]])
        return self._sealed(_ERROR + data)

    def _sealed(self, data: bytes) -> bytes:
        return data if self._cipher is None else bytes(self._cipher.encrypt(data))

    def unpacked(self, kept: bytes) -> Any:
        """The result that was kept.

        Raises:
            Unreadable: it cannot be read.
            Exception: the error that was kept.
        """
        try:
            data = kept if self._cipher is None else bytes(self._cipher.decrypt(kept))
            if data[:1] == _RESULT:
                return self.codec().decode(data[1:])
            name, args = PLAIN.decode(data[1:])
        except Exception as error:
            raise Unreadable(f"{type(error).__name__}: it is of another type, or under another key") from None
        for kind in self._errors:
            if _name(kind) == name:
                raise kind(*args)
        raise Unreadable(f"it is a {name}, which is not in store_errors= now")


LARGEST_ERROR = 2000
"""Letters of an error's text that are kept, where its arguments cannot be."""


def _name(kind: type[Exception]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
