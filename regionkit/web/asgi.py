"""ASGI middleware: each request gets a session, which is the current one inside, and its answer carries the bookmark.

`carriage.py` holds the rules, `readiness.py` those of the readiness endpoint.

The start of an answer is held until the first message of its body, as servers do by the specification: what is done until
then is in the bookmark. An error that the application lets through before that becomes an answer with status 500, when
the session has moved: what was written before it stays with the client. It is raised again for the server's log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from regionkit.contract.current_session import enter_session, leave_session
from regionkit.kit import RegionKit
from regionkit.kit_async import AsyncRegionKit
from regionkit.web.carriage import Cookie
from regionkit.web.claims import READY, Probe, claimed
from regionkit.web.visit import Carrier, OpenWrites, Visit, present

__all__ = ["RegionKitMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FAILED = b"Internal Server Error"


class RegionKitMiddleware:
    """Bookmarks in and out, `kit.current_session()` in handlers, and a readiness endpoint, for any ASGI application.

    Wrap the application: `app = RegionKitMiddleware(app, kit)`, outside of everything that makes answers. Sync handlers, which
    frameworks run in threads, see the same session. The scopes lifespan and websocket pass through untouched. Shared by
    all tasks. For several kits put one around the other, each with a header or cookie of its own.

    Args:
        app: the application.
        kit: a RegionKit or an AsyncRegionKit (of the server's event loop), with `bookmark_keys`.
        header: the header that carries bookmarks both ways; None for none.
        cookie: the cookie that does, for browsers; None for none.
        ready: path of the readiness endpoint; None for none. `HEAD` and `GET`: 200 once every store has been proved, 503 before.
        open_writes: what becomes of an answer that begins while a write block of its session is open: "refuse" raises UsageError,
            "owner" lets it go with a bookmark that says "read from the owner" of that store.
        options: called with the scope; gives keyword arguments of `kit.session`, such as `attributes`.

    Raises:
        ConfigurationError: the kit has no `bookmark_keys`, or a bad name.
    """

    def __init__(
        self,
        app: App,
        kit: RegionKit | AsyncRegionKit,
        *,
        header: str | None = "Region-Bookmark",
        cookie: Cookie | None = None,
        ready: str | None = READY,
        open_writes: OpenWrites = "refuse",
        options: Callable[[Scope], Mapping[str, Any]] | None = None,
    ) -> None:
        self.app = app
        self._carrier = Carrier(kit, header=header, cookie=cookie, open_writes=open_writes)
        self._probe = Probe(kit, ready)
        self._options = options
        self._header = self._carrier.header_name.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of a client, as the server gives it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if self._probe.path is not None and path.removeprefix(scope.get("root_path", "")) == self._probe.path:
            await self._answer_probe(scope, send)
        elif not claimed(scope, self._carrier):
            await self.app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        texts = [v.decode("latin-1") for n, v in scope["headers"] if n == self._header]
        cookies = [v.decode("latin-1") for n, v in scope["headers"] if n == b"cookie"]
        visit = self._carrier.visit(texts, cookies, {} if self._options is None else self._options(scope))
        answer = _Answer(visit, send)
        token = enter_session(visit.session)
        try:
            await self.app(scope, receive, answer.send)
            await answer.release()
        except Exception:
            if answer.begun or not visit.carries:
                raise
            await answer.fail()
            raise
        finally:
            leave_session(visit.session, token)
            visit.ended(scope["path"])

    async def _answer_probe(self, scope: Scope, send: Send) -> None:
        query: bytes = scope.get("query_string", b"")
        status, headers, body = self._probe.answer(scope["method"], query.decode("latin-1"))
        pairs = [(n.lower().encode(), v.encode()) for n, v in headers]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


class _Answer:
    """What the application sends, its start held until something follows."""

    __slots__ = ("_held", "_send", "_visit", "begun")

    def __init__(self, visit: Visit, send: Send) -> None:
        self._visit = visit
        self._send = send
        self._held: Message | None = None
        self.begun = False

    async def send(self, message: Message) -> None:
        if not self.begun:
            if message["type"] == "http.response.start":
                self._held = message
                return
            if self._held is not None:
                await self.release()
        await self._send(message)

    async def release(self, *, failed: bool = False) -> None:
        """Send the start that is held, if any, with the bookmark as of now."""
        start = self._held
        if start is None or self.begun:
            return
        raw: list[tuple[bytes, bytes]] = list(start.get("headers", ()))
        found = present((n.decode("latin-1"), v.decode("latin-1")) for n, v in raw)
        change = await self._visit.change_async(found, failed=failed)
        if change.added:
            kept = [(n, v) for n, v in raw if n.decode("latin-1").lower() not in change.dropped]
            added = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in change.added]
            start = {**start, "headers": [*kept, *added]}
        self._held, self.begun = None, True
        await self._send(start)

    async def fail(self) -> None:
        """Answer in the place of an application that did not; the bookmark goes with it."""
        length = str(len(FAILED)).encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", length)]
        self._held = {"type": "http.response.start", "status": 500, "headers": headers}
        await self.release(failed=True)
        await self._send({"type": "http.response.body", "body": FAILED})
