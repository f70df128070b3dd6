"""What the web middleware adds to a request: to one that asks no store, and to one that carries its bookmark by hand.

Applications are called as a server calls them, without a socket, so that nothing hides the difference. Each request brings a
signed bookmark. By hand is what docs/how-to/web.md shows below the middleware: a session, a read in memory, its bookmark.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.harness import Candidate, Report, Row, Settings, measure, measure_async, pin
from regionkit import AsyncRegionKit, RegionKit
from regionkit.embedded import AsyncMemoryRegions, MemoryRegions
from regionkit.web import Cookie
from regionkit.web.asgi import RegionKitMiddleware as Asgi
from regionkit.web.wsgi import RegionKitMiddleware as Wsgi

MOST = 60.0
"""Microseconds: a small share of what the smallest framework takes for a request."""
REQUESTS = 300
KEY = "a key for benchmarks, 32 bytes.."
REGIONS: dict[str, Any] = {"store": "orders", "primary": "us", "replicas": ["kr"]}
HEADER = "Region-Bookmark"


def run(settings: Settings) -> Report:
    """Rows of ASGI with an async kit, then of WSGI."""
    pin()
    report = Report("web", "Web middleware", settings)
    asyncio.run(_asgi(report, settings))
    _wsgi(report, settings)
    return report


def _rows() -> list[Row]:
    return [
        Row(
            "request that asks no store: middleware adds", "middleware, no store", "bare, no store", "difference", MOST
        ),
        Row("the same, header and cookie", "middleware, no store, cookie", "bare, no store", "difference", MOST),
        Row(
            "read, bookmark in and out: middleware adds to by hand",
            "middleware, read",
            "by hand, read",
            "difference",
            MOST,
        ),
        Row("read, bookmark in and out: by hand", "by hand, read", way="time"),
    ]


async def _asgi(report: Report, settings: Settings) -> None:
    async with (
        AsyncMemoryRegions(**REGIONS) as regions,
        AsyncRegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as kit,
    ):
        await kit.create_tables()
        async with kit.session() as s:
            async with s.write("orders") as db:
                db["a"] = 1
            text = await s.bookmark()

        async def nothing(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

        async def by_hand(scope: Any, receive: Any, send: Any) -> None:
            found = next(v for n, v in scope["headers"] if n == b"region-bookmark").decode()
            async with kit.session(bookmark=found) as s:
                async with s.read("orders") as db:
                    db.get("a")
                out = (await s.bookmark()).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"region-bookmark", out)]})
            await send({"type": "http.response.body", "body": b"ok"})

        async def reading(scope: Any, receive: Any, send: Any) -> None:
            session = kit.current_session()
            assert session is not None
            async with session.read("orders") as db:
                db.get("a")
            await nothing(scope, receive, send)

        def asked(app: Any, cookie: bytes = b"") -> Callable[[], Any]:
            headers = [(b"host", b"x"), (b"region-bookmark", text.encode()), (b"cookie", b"a=b; " + cookie)]

            async def run() -> None:
                await app({"type": "http", "path": "/", "method": "GET", "headers": headers}, None, _swallow)

            return run

        carried = b"regionkit=" + text.encode()
        candidates = [
            Candidate("bare, no store", asked(nothing)),
            Candidate("middleware, no store", asked(Asgi(nothing, kit))),
            Candidate("middleware, no store, cookie", asked(Asgi(nothing, kit, cookie=Cookie()), carried)),
            Candidate("by hand, read", asked(by_hand)),
            Candidate("middleware, read", asked(Asgi(reading, kit))),
        ]
        report.add(_rows(), await measure_async(candidates, settings, REQUESTS), "ASGI")


async def _swallow(message: Any) -> None:
    pass


def _wsgi(report: Report, settings: Settings) -> None:
    with MemoryRegions(**REGIONS) as regions, RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                db["a"] = 1
            text = s.bookmark()

        def nothing(environ: Any, start: Any) -> Iterable[bytes]:
            start("200 OK", [("Content-Length", "2")])
            return [b"ok"]

        def by_hand(environ: Any, start: Any) -> Iterable[bytes]:
            with kit.session(bookmark=environ["HTTP_REGION_BOOKMARK"]) as s:
                with s.read("orders") as db:
                    db.get("a")
                start("200 OK", [(HEADER, s.bookmark())])
            return [b"ok"]

        def reading(environ: Any, start: Any) -> Iterable[bytes]:
            session = kit.current_session()
            assert session is not None
            with session.read("orders") as db:
                db.get("a")
            return nothing(environ, start)

        def asked(app: Any, cookie: str = "") -> Callable[[], Any]:
            def run() -> None:
                environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_REGION_BOOKMARK": text}
                for _ in app({**environ, "HTTP_COOKIE": f"a=b; {cookie}"}, _started):
                    pass

            return run

        candidates = [
            Candidate("bare, no store", asked(nothing)),
            Candidate("middleware, no store", asked(Wsgi(nothing, kit))),
            Candidate("middleware, no store, cookie", asked(Wsgi(nothing, kit, cookie=Cookie()), f"regionkit={text}")),
            Candidate("by hand, read", asked(by_hand)),
            Candidate("middleware, read", asked(Wsgi(reading, kit))),
        ]
        report.add(_rows(), measure(candidates, settings, REQUESTS), "WSGI")


def _started(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
    pass
