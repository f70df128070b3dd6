"""The middleware around real frameworks: what each does with contexts, threads, ends of dependencies, errors, streams."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from flask import Flask, stream_with_context
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from regionkit import RegionKit, UsageError
from regionkit.embedded import MemoryRegions, SqliteRegions
from regionkit.routing.events import AnsweredBeforeWrite
from regionkit.web.asgi import RegionKitMiddleware
from regionkit.web.wsgi import RegionKitMiddleware as Wsgi

KEY = "a key of more than sixteen characters"
LAG = 3600.0


class CommitFailed(Exception):
    """What a COMMIT raises here."""


@pytest.fixture
def regions() -> Iterator[MemoryRegions]:
    with MemoryRegions(store="orders", primary="us", replicas=["kr"], lag=0.0) as made:
        yield made


@pytest.fixture
def kit(regions: MemoryRegions) -> Iterator[RegionKit]:
    """The replica shows nothing that is written from now on."""
    with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
        made.create_tables()
        with made.session() as s, s.read("orders") as db:
            assert dict(db) == {}
        regions.lag = LAG
        yield made


def put(kit: RegionKit, key: str, value: int) -> None:
    session = kit.current_session()
    assert session is not None
    with session.write("orders") as db:
        db[key] = value


def seen(kit: RegionKit, answer: httpx.Response, key: str) -> Any:
    with kit.session(bookmark=answer.headers["region-bookmark"]) as s, s.read("orders") as db:
        return db.get(key)


@asynccontextmanager
async def client_of(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


def dependency(kit: RegionKit, fails: bool) -> Callable[[], Iterator[Any]]:
    def writing() -> Iterator[Any]:
        session = kit.current_session()
        assert session is not None
        with session.write("orders") as db:
            yield db
            if fails:
                raise CommitFailed

    return writing


def fastapi_app(kit: RegionKit, *, fails: bool, **scope: Any) -> FastAPI:
    api, writing = FastAPI(), Depends(dependency(kit, fails), **scope)

    @api.post("/")
    def place(db: Any = writing) -> str:
        db["a"] = 1
        return "placed"

    return api


async def test_fastapi_s_end_of_a_dependency_comes_before_the_answer_when_it_is_told_to(kit: RegionKit) -> None:
    """A COMMIT that fails is a 500, one that does not is covered by the bookmark."""
    async with client_of(RegionKitMiddleware(fastapi_app(kit, fails=True, scope="function"), kit)) as client:
        assert (await client.post("/")).status_code == 500
    async with client_of(RegionKitMiddleware(fastapi_app(kit, fails=False, scope="function"), kit)) as client:
        answer = await client.post("/")
        assert answer.status_code == 200 and seen(kit, answer, "a") == 1


@pytest.mark.parametrize("fails", [True, False])
async def test_fastapi_s_usual_end_comes_after_the_answer_and_is_refused(kit: RegionKit, fails: bool) -> None:
    """No client reads 200 before COMMIT. Without the refusal it would: this is how FastAPI does it."""
    async with client_of(RegionKitMiddleware(fastapi_app(kit, fails=fails), kit)) as client:
        assert (await client.post("/")).status_code == 500
    with kit.session() as s, s.write("orders") as db:
        assert "a" not in db
    lenient = RegionKitMiddleware(fastapi_app(kit, fails=fails), kit, open_writes="owner")
    async with client_of(lenient) as client:
        answer = await client.post("/")
        assert answer.status_code == 200  # also where COMMIT fails
        assert seen(kit, answer, "a") == (None if fails else 1)


async def test_blocks_of_sync_dependencies_move_between_threads(tmp_path: Any) -> None:
    """Opened in one, used in another, left in a third, many requests at once: on SQLite, whose connections mind."""
    with SqliteRegions(tmp_path, store="orders", primary="us", replicas=["kr"]) as regions:
        with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as kit:
            kit.create_tables()
            with kit.session() as s, s.write("orders", core=True) as db:
                db.exec_driver_sql("CREATE TABLE t (a INTEGER)")
            moved: Counter[bool] = Counter()

            def writing() -> Iterator[Any]:
                session, thread = kit.current_session(), threading.get_ident()
                assert session is not None
                with session.write("orders", core=True) as db:
                    yield db
                moved[thread != threading.get_ident()] += 1

            api, block = FastAPI(), Depends(writing, scope="function")

            @api.post("/{number}")
            def place(number: int, db: Any = block) -> None:
                db.exec_driver_sql("INSERT INTO t VALUES (?)", (number,))

            async with client_of(RegionKitMiddleware(api, kit)) as client:
                for _ in range(20):
                    answers = await asyncio.gather(*(client.post(f"/{n}") for n in range(8)))
                    assert [a.status_code for a in answers] == [200] * 8
                    if moved[True]:
                        break
            assert moved[True], "this machine moved none"


async def test_starlette_s_middleware_in_child_tasks_sees_the_session(kit: RegionKit) -> None:
    """BaseHTTPMiddleware runs the application in a task of its own; also inside of our middleware's own place in the list."""

    async def around(request: Any, call_next: Any) -> Any:
        assert kit.current_session() is not None
        return await call_next(request)

    def place(request: Any) -> PlainTextResponse:
        put(kit, "a", 1)
        return PlainTextResponse("placed")

    middleware = [Middleware(RegionKitMiddleware, kit=kit), Middleware(BaseHTTPMiddleware, dispatch=around)]
    async with client_of(Starlette(routes=[Route("/", place)], middleware=middleware)) as client:
        assert seen(kit, await client.get("/"), "a") == 1


@pytest.mark.parametrize("outside", [True, False])
async def test_starlette_s_errors_carry_what_was_written(kit: RegionKit, outside: bool) -> None:
    """Around the application its own page is answered; in its list of middleware ours."""

    def fails(request: Any) -> PlainTextResponse:
        put(kit, "a", 1)
        raise ZeroDivisionError

    routes = [Route("/", fails)]
    app: Any = RegionKitMiddleware(Starlette(routes=routes), kit)
    if not outside:
        app = Starlette(routes=routes, middleware=[Middleware(RegionKitMiddleware, kit=kit)])
    async with client_of(app) as client:
        answer = await client.get("/")
        assert answer.status_code == 500 and seen(kit, answer, "a") == 1


async def test_starlette_s_stream_and_background_task(kit: RegionKit) -> None:
    """A sync iterator runs in threads, each part in a copy of the context; a task after the answer is told of."""
    told: list[Any] = []
    kit.subscribe(told.append)

    def parts() -> Iterator[str]:
        put(kit, "a", 1)
        yield "one"
        session = kit.current_session()
        assert session is not None
        with session.read("orders") as db:
            yield str(db["a"])

    def stream(request: Any) -> StreamingResponse:
        return StreamingResponse(parts())

    def later(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(put, kit, "b", 1))

    async with client_of(
        RegionKitMiddleware(Starlette(routes=[Route("/", stream), Route("/later", later)]), kit)
    ) as client:
        answer = await client.get("/")
        assert answer.text == "one1" and seen(kit, answer, "a") == 1
        assert told_of(told) == []
        assert "region-bookmark" not in (await client.get("/later")).headers
        assert told_of(told) == ["/later"]


def told_of(told: list[Any]) -> list[str]:
    return [e.path for e in told if isinstance(e, AnsweredBeforeWrite)]


def test_flask_s_streams_and_errors(kit: RegionKit) -> None:
    """A stream with its context; the page of its error handler carries what was written."""
    app = Flask("shop")

    @app.get("/stream")
    def stream() -> Any:
        @stream_with_context
        def parts() -> Iterator[str]:
            put(kit, "a", 1)
            yield "one"

        return parts()

    @app.get("/error")
    def error() -> str:
        put(kit, "a", 2)
        raise ZeroDivisionError

    app.wsgi_app = Wsgi(app.wsgi_app, kit)  # type: ignore[method-assign]
    client = app.test_client()
    answer = client.get("/stream")
    assert answer.text == "one" and seen(kit, answer, "a") == 1  # type: ignore[arg-type]
    answer = client.get("/error")
    assert answer.status_code == 500 and seen(kit, answer, "a") == 2  # type: ignore[arg-type]


async def test_two_blocks_at_once_in_one_request_are_refused(kit: RegionKit) -> None:
    """By name of what to do."""
    opened, done = threading.Event(), threading.Event()

    def first() -> None:
        session = kit.current_session()
        assert session is not None
        with session.read("orders"):
            opened.set()
            done.wait(10)

    async def both(request: Any) -> PlainTextResponse:
        task = asyncio.create_task(asyncio.to_thread(first))
        await asyncio.to_thread(opened.wait, 10)
        try:
            put(kit, "a", 1)
        except UsageError as error:
            return PlainTextResponse(str(error))
        finally:
            done.set()
            await task
        return PlainTextResponse("")

    async with client_of(RegionKitMiddleware(Starlette(routes=[Route("/", both)]), kit)) as client:
        assert "s.fork()" in (await client.get("/")).text
