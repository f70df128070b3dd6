"""A web application in one region, in a process of its own behind a real server: a version per key, written and read back.

`fastapi`: async handlers, an async kit, uvicorn. `starlette`: sync handlers in threads, a sync kit, uvicorn. `flask`:
Werkzeug's threaded server. Not `guarded`, the middleware is left out: nothing carries bookmarks.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import Any

from fix_rigs import NAMESPACE, Order

from regionkit import AsyncRegionKit, Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.web import Cookie

KEY = "a key of more than sixteen characters"
PATIENT = {"base": "gentle", "probe_timeout": 5.0, "read_deadline": 30.0, "write_deadline": 30.0, "trip_probes": 20}
"""A busy machine is no dead server."""
COOKIE = Cookie(secure=False)  # the clients speak plain HTTP
SERVED_BY = "X-Served-By"


def topology(urls: dict[str, str]) -> Topology:
    """The first region has the primary."""
    endpoints = [Endpoint(r, Role.REPLICA if i else Role.PRIMARY, url) for i, (r, url) in enumerate(urls.items())]
    return Topology(NAMESPACE, regions=[Region(r) for r in urls], stores=[SqlStore("orders", endpoints=endpoints)])


def serve(framework: str, region: str, urls: dict[str, str], ready: Any, guarded: bool) -> None:
    """Run until the process is ended; `ready` is told the port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    kits = {"fastapi": AsyncRegionKit, "starlette": RegionKit, "flask": RegionKit}
    kit = kits[framework](topology(urls), local=region, bookmark_keys=[KEY], profile=PATIENT)
    app = {"fastapi": fastapi_app, "starlette": starlette_app, "flask": flask_app}[framework](kit)
    port = listening.getsockname()[1]
    if framework == "flask":
        from werkzeug.serving import make_server

        from regionkit.web.wsgi import RegionKitMiddleware as Wsgi

        app.wsgi_app = Wsgi(app.wsgi_app, kit, cookie=COOKIE) if guarded else app.wsgi_app
        server = make_server("127.0.0.1", port, app, threaded=True, fd=listening.fileno())
        ready.put((region, port))
        server.serve_forever()
    else:
        import uvicorn

        from regionkit.web.asgi import RegionKitMiddleware as Asgi

        wrapped = Asgi(app, kit, cookie=COOKIE) if guarded else app
        ready.put((region, port))
        uvicorn.Server(uvicorn.Config(wrapped, log_level="warning")).run(sockets=[listening])


def _route(session: Any) -> dict[str, str]:
    return {SERVED_BY: session.last_route.role}


def fastapi_app(kit: AsyncRegionKit) -> Any:
    """Async dependencies whose COMMIT comes before the answer."""
    from fastapi import Depends, FastAPI
    from fastapi.responses import PlainTextResponse

    @asynccontextmanager
    async def lifespan(_: Any) -> Any:
        async with kit:
            yield

    app = FastAPI(lifespan=lifespan)

    def session() -> Any:
        return kit.current_session() or kit.session()

    async def writing() -> Any:
        async with session().write("orders") as db:
            yield db

    committed_first = Depends(writing, scope="function")

    @app.post("/{key}/{version}")
    async def put(key: int, version: int, db: Any = committed_first) -> None:
        await db.merge(Order(id=key, item=str(version)))

    @app.get("/{key}")
    async def get(key: int) -> Any:
        s = session()
        async with s.read("orders") as db:
            found = await db.get(Order, key)
        return PlainTextResponse(found.item if found else "0", headers=_route(s))

    return app


def starlette_app(kit: RegionKit) -> Any:
    """Sync handlers: Starlette runs them in threads."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def put(request: Any) -> Response:
        with (kit.current_session() or kit.session()).write("orders") as db:
            db.merge(Order(id=request.path_params["key"], item=str(request.path_params["version"])))
        return PlainTextResponse("")

    def get(request: Any) -> Response:
        s = kit.current_session() or kit.session()
        with s.read("orders") as db:
            found = db.get(Order, request.path_params["key"])
        return PlainTextResponse(found.item if found else "0", headers=_route(s))

    return Starlette(routes=[Route("/{key:int}/{version:int}", put, methods=["POST"]), Route("/{key:int}", get)])


def flask_app(kit: RegionKit) -> Any:
    """Views in the server's threads."""
    from flask import Flask

    app = Flask("region")

    @app.post("/<int:key>/<int:version>")
    def put(key: int, version: int) -> str:
        with (kit.current_session() or kit.session()).write("orders") as db:
            db.merge(Order(id=key, item=str(version)))
        return ""

    @app.get("/<int:key>")
    def get(key: int) -> Any:
        s = kit.current_session() or kit.session()
        with s.read("orders") as db:
            found = db.get(Order, key)
        return (found.item if found else "0"), _route(s)

    return app
