"""How the driver's answers reach a thread, and what `execute_async` gives.

Hand-written pair with `bridge_async.py`: the driver answers on a thread of its own, to a callback or to a thread that waits.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

__all__ = ["Pending", "answered", "ended"]

T = TypeVar("T")


def answered(response: Any) -> Any:
    """The first page of what was asked; its time-out is the driver's own."""
    return response.result()


def ended(future: Future[T], seconds: float) -> T:
    """What a thread gives within `seconds`; it goes on when they are over.

    Raises:
        TimeoutError: it has not ended.
    """
    return future.result(max(0.0, seconds))


class Pending(Generic[T]):
    """A statement that was sent and not waited for. `result()` waits for its rows; the block's end waits for the rest."""

    __slots__ = ("_error", "_receive", "_response", "_rows", "asked")

    def __init__(self, connect: Callable[[], None], send: Callable[[], Any], receive: Callable[[Any], T]) -> None:
        connect()
        self._response: Any = send()
        self._receive = receive
        self._rows: list[T] = []
        self._error: BaseException | None = None
        self.asked = False

    def result(self) -> T:
        """Its rows, once they are there.

        Raises:
            Exception: what the statement raised.
        """
        self.asked = True
        self._wait()
        if self._error is not None:
            raise self._error
        return self._rows[0]

    def wait_for(self) -> BaseException | None:
        """Wait for it; its error, when nobody asked for it."""
        self._wait()
        return None if self.asked else self._error

    def give_up(self) -> None:
        """Wait for it no longer: the driver drops a late answer."""

    def _wait(self) -> None:
        if self._response is None:
            return
        response, self._response = self._response, None
        try:
            self._rows.append(self._receive(response))
        except BaseException as error:
            self._error = error
