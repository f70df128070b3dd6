"""WSGI middleware: each request gets a session, which is the current one inside, and its answer carries the bookmark.

`carriage.py` holds the rules, `readiness.py` those of the readiness endpoint.

`start_response` is passed on when the first part of the body is there: what is done until then is in the bookmark. The
session is the current one while the application is called, and while it makes each part of its body; between them the
thread is the server's. An error that the application lets through before that becomes an answer with status 500, when the
session has moved: what was written before it stays with the client. It is raised again for the server's log.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from regionkit.contract.current_session import enter_session, leave_session
from regionkit.errors import ConfigurationError
from regionkit.kit import RegionKit
from regionkit.web.carriage import Cookie
from regionkit.web.claims import READY, Probe, claimed
from regionkit.web.visit import Carrier, OpenWrites, Visit, changed, present

__all__ = ["RegionKitMiddleware"]

Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]

PHRASES = {200: "200 OK", 405: "405 Method Not Allowed", 503: "503 Service Unavailable"}
FAILED = b"Internal Server Error"


class RegionKitMiddleware:
    """Bookmarks in and out, `kit.current_session()` in views, and a readiness endpoint, for any WSGI application.

    Wrap the application: `app.wsgi_app = RegionKitMiddleware(app.wsgi_app, kit)`. Shared by all threads, also green ones with
    context variables of their own (gevent). For several kits put one around the other, each with a header or cookie of its own.

    Args:
        app: the application.
        kit: a RegionKit with `bookmark_keys`.
        header: the header that carries bookmarks both ways; None for none.
        cookie: the cookie that does, for browsers; None for none.
        ready: path of the readiness endpoint; None for none. `HEAD` and `GET`: 200 once every store has been proved, 503 before.
        open_writes: what becomes of an answer that begins while a write block of its session is open: "refuse" raises UsageError,
            "owner" lets it go with a bookmark that says "read from the owner" of that store.
        options: called with the environ; gives keyword arguments of `kit.session`, such as `attributes`.

    Raises:
        ConfigurationError: the kit is async or has no `bookmark_keys`, or a bad name.
    """

    def __init__(
        self,
        app: App,
        kit: RegionKit,
        *,
        header: str | None = "Region-Bookmark",
        cookie: Cookie | None = None,
        ready: str | None = READY,
        open_writes: OpenWrites = "refuse",
        options: Callable[[Environ], Mapping[str, Any]] | None = None,
    ) -> None:
        self._carrier = Carrier(kit, header=header, cookie=cookie, open_writes=open_writes)
        if not isinstance(kit, RegionKit):
            raise ConfigurationError(
                "an AsyncRegionKit cannot serve a WSGI application.",
                why="its threads have no event loop.",
                fix="pass a RegionKit.",
            )
        self.app = app
        self._probe = Probe(kit, ready)
        self._options = options
        self._header = "HTTP_" + self._carrier.header_name.upper().replace("-", "_")

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """One request, as the server gives it."""
        if self._probe.path is not None and environ.get("PATH_INFO") == self._probe.path:
            status, headers, told = self._probe.answer(environ["REQUEST_METHOD"], environ.get("QUERY_STRING", ""))
            start_response(PHRASES[status], headers)
            return [told]
        if not claimed(environ, self._carrier):
            return self.app(environ, start_response)
        texts = [environ[self._header]] if self._header in environ else []
        cookies = [environ["HTTP_COOKIE"]] if "HTTP_COOKIE" in environ else []
        visit = self._carrier.visit(texts, cookies, {} if self._options is None else self._options(environ))
        answer = _Answer(visit, start_response, environ.get("PATH_INFO", ""))
        token = enter_session(visit.session)
        try:
            body = self.app(environ, answer.start)
            if answer.held and _is_whole(body, environ.get("wsgi.file_wrapper")):
                answer.release()
                return body
        except Exception as error:
            return answer.failed(error)
        finally:
            leave_session(visit.session, token)
        return _Body(body, answer)


def _is_whole(body: object, wrapper: object) -> bool:
    """Whether nothing of the application's runs any more; then the server gets the body itself, whose kind it may know."""
    return type(body) in (list, tuple) or (isinstance(wrapper, type) and type(body) is wrapper)


class _Answer:
    """The call of start_response, held until something follows."""

    __slots__ = ("_begun", "_held", "_start", "_visit", "_writer", "path")

    def __init__(self, visit: Visit, start_response: Any, path: str) -> None:
        self._visit = visit
        self._start = start_response
        self._held: tuple[Any, ...] | None = None
        self._writer: Any = None
        self._begun = False
        self.path = path

    @property
    def held(self) -> bool:
        """Whether the application has started an answer that was not passed on yet."""
        return self._held is not None

    @property
    def visit(self) -> Visit:
        return self._visit

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], Any]:
        """What the application gets for start_response."""
        if self._begun:  # only with an error: the server raises it
            self._start(status, headers, exc_info)
        elif self._held is not None and exc_info is None:
            raise AssertionError("start_response was called twice without exc_info")
        self._held = (status, headers, exc_info)
        return self._write

    def _write(self, data: bytes) -> Any:
        if self._held is not None:
            self.release()
        return self._writer(data)

    def release(self, *, failed: bool = False) -> None:
        """Pass the call on, with the bookmark as of now."""
        assert self._held is not None, "a part of the body came before start_response was called"
        status, headers, exc_info = self._held
        new = changed(headers, self._visit.change(present(headers), failed=failed))
        self._held, self._begun = None, True
        self._writer = self._start(status, new, exc_info) if exc_info else self._start(status, new)

    def failed(self, error: Exception) -> Iterable[bytes]:
        """The body of an answer in the place of an application that did not give one; raises where that is too late."""
        if self._begun or not self._visit.carries:
            raise error
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(FAILED)))]
        self._held = ("500 Internal Server Error", headers, sys.exc_info())
        self.release(failed=True)
        return _then_raise(error)


def _then_raise(error: Exception) -> Iterator[bytes]:
    yield FAILED
    raise error


class _Body:
    """The application's body: its first part lets the headers go, and the session is the current one while a part is made."""

    __slots__ = ("_answer", "_body", "_failure", "_parts")

    def __init__(self, body: Iterable[bytes], answer: _Answer) -> None:
        self._body = body
        self._answer = answer
        self._parts: Iterator[bytes] | None = None
        self._failure: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._failure is not None:
            return next(self._failure)
        session = self._answer.visit.session
        token = enter_session(session)
        try:
            if self._parts is None:
                self._parts = iter(self._body)
            part = next(self._parts)
        except StopIteration:
            if self._answer.held:
                self._answer.release()
            raise
        except Exception as error:
            self._failure = iter(self._answer.failed(error))
            return next(self._failure)
        finally:
            leave_session(session, token)
        if self._answer.held:
            self._answer.release()
        return part

    def close(self) -> None:
        """Closes the application's body, as servers call it at the end."""
        session = self._answer.visit.session
        token = enter_session(session)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            leave_session(session, token)
            self._answer.visit.ended(self._answer.path)
