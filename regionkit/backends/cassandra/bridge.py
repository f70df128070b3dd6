"""How the driver's answers reach a thread, and what `execute_async` gives.

Hand-written pair with `bridge_async.py`: the driver answers on a thread of its own, to a callback or to a thread that waits.
`cassandra.concurrent` works here: what it sends, it sends through the block, and the block's end counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, NoReturn, TypeVar

from cassandra.cluster import EXEC_PROFILE_DEFAULT

from regionkit.backends.cassandra.classify import unpacked
from regionkit.errors import UsageError

__all__ = ["Pending", "answered", "check_helper", "ended"]

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


def check_helper(profile: Any) -> None:
    """Whether a statement that names an execution profile may be sent: `cassandra.concurrent` always names the driver's default.

    Raises:
        UsageError: it is another one.
    """
    if profile is not EXEC_PROFILE_DEFAULT:
        raise UsageError(
            "an execution profile in a block.",
            why="its level, data centre and time-out are those of the block.",
            fix="leave it out; for a weaker read ask for consistency=EVENTUAL.",
        )


class Pending(Generic[T]):
    """A statement that was sent and not waited for. `result()` waits for its rows; the block's end waits for the rest.

    To `cassandra.concurrent` it is what the driver's own session gives.
    """

    __slots__ = ("_error", "_future", "_receive", "_response", "_rows", "asked")

    def __init__(self, connect: Callable[[], None], send: Callable[[], Any], receive: Callable[[Any], T]) -> None:
        connect()
        self._response: Any = send()
        self._future: Any = self._response[0]
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

    def add_callbacks(
        self,
        callback: Callable[..., object],
        errback: Callable[..., object],
        callback_args: Sequence[Any] = (),
        callback_kwargs: Mapping[str, Any] | None = None,
        errback_args: Sequence[Any] = (),
        errback_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Have its rows, or its error, told on the driver's thread: that is where the error is known, and the block's end is
        silent about it.
        """
        self.asked = True

        def failed(error: BaseException, *arguments: Any, **named: Any) -> None:
            errback(unpacked(error) or error, *arguments, **named)

        self._future.add_callbacks(
            callback,
            failed,
            callback_args=callback_args,
            callback_kwargs=callback_kwargs,
            errback_args=errback_args,
            errback_kwargs=errback_kwargs,
        )

    def __getattr__(self, name: str) -> Any:
        """What the driver's ResultSet asks of the future that its rows came from."""
        return getattr(self._future, name)

    def start_fetching_next_page(self) -> NoReturn:
        """Refused: the page would be fetched past the block."""
        raise UsageError(
            "a further page of a statement that cassandra.concurrent has sent.",
            why="the driver would fetch it past the block, its deadline and its end.",
            fix="read long results with cql.execute(...), or let more rows into a page: options.page_size.",
        )

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
