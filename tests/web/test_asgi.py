"""The ASGI middleware, with a kit of either form: bookmarks in and out, streams, errors, scopes, readiness."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from regionkit import STRONG, AsyncRegionKit, ConfigurationError, RegionKit, StaleRead, UsageError
from regionkit.embedded import AsyncMemoryRegions, MemoryRegions
from regionkit.routing.events import AnsweredBeforeWrite
from regionkit.web import Cookie
from regionkit.web.asgi import RegionKitMiddleware

KEY = "a key of more than sixteen characters"
LAG = 3600.0


class Shop:
    """One store in two regions, and a kit of either form in the one without the primary."""

    def __init__(self, kit: Any, regions: Any) -> None:
        self.kit, self.regions = kit, regions
        self.told: list[Any] = []
        kit.subscribe(self.told.append)

    @property
    def current(self) -> Any:
        return self.kit.current_session()

    async def put(self, key: str, value: int) -> None:
        session = self.current
        if isinstance(self.kit, RegionKit):
            await asyncio.to_thread(self._put, key, value)  # as a sync handler
            return
        async with session.write("orders") as db:
            db[key] = value

    def _put(self, key: str, value: int) -> None:
        with self.current.write("orders") as db:
            db[key] = value

    async def get(self, key: str, session: Any = None, **level: Any) -> Any:
        session = session or self.current
        if isinstance(self.kit, RegionKit):
            return await asyncio.to_thread(self._get, key, session, level)
        async with session.read("orders", **level) as db:
            return db.get(key)

    def _get(self, key: str, session: Any, level: Any) -> Any:
        with session.read("orders", **level) as db:
            return db.get(key)

    async def promote(self) -> None:
        done = self.regions.promote("kr")
        if done is not None:
            await done


@asynccontextmanager
async def shop_of(form: str) -> AsyncIterator[Shop]:
    if form == "sync":
        with MemoryRegions(store="orders", primary="us", replicas=["kr"]) as regions:
            with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as kit:
                kit.create_tables()
                yield Shop(kit, regions)
    else:
        async with AsyncMemoryRegions(store="orders", primary="us", replicas=["kr"]) as regions:
            async with AsyncRegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as kit:
                await kit.create_tables()
                yield Shop(kit, regions)


@pytest.fixture(params=["async", "sync"])
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    async with shop_of(request.param) as made:
        yield made


class Answer:
    """What a client got: of `sent`, the messages, `error`, what came out of the application."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.error: BaseException | None = None

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent)

    def all(self, name: str) -> list[str]:
        return [v.decode() for n, v in self.sent[0]["headers"] if n == name.encode()]

    @property
    def bookmark(self) -> str:
        (found,) = self.all("region-bookmark")
        return found


async def ask(app: Any, path: str = "/", method: str = "GET", query: str = "", **headers: str) -> Answer:
    answer = Answer()
    pairs = [(n.replace("_", "-").encode(), v.encode("latin-1")) for n, v in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "query_string": query.encode(), "headers": pairs}
    try:
        await app(scope, asyncio.Event().wait, answer.send)
    except BaseException as error:
        answer.error = error
    return answer


def started(work: Callable[[], Awaitable[Any]], *headers: tuple[bytes, bytes], status: int = 200) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        found = await work()
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": repr(found).encode()})

    return app


async def test_a_write_is_seen_by_the_next_request_over_header_and_cookie(shop: Shop) -> None:
    """The replica never shows it; without the bookmark the read misses it."""
    shop.regions.lag = LAG
    written = await ask(RegionKitMiddleware(started(lambda: shop.put("a", 1)), shop.kit, cookie=Cookie()))
    assert written.all("vary") == ["Region-Bookmark, Cookie"] and written.all("cache-control") == ["private"]
    reads = RegionKitMiddleware(started(lambda: shop.get("a")), shop.kit, cookie=Cookie())
    assert (await ask(reads)).body == b"None"
    assert (await ask(reads, region_bookmark=written.bookmark)).body == b"1"
    pair = written.all("set-cookie")[0].partition(";")[0]
    assert (await ask(reads, cookie=f"x=y; {pair}", region_bookmark="rk1.invented")).body == b"1"


async def test_an_answer_that_used_no_session_is_not_touched(shop: Shop) -> None:
    """The very message of the application."""
    app = RegionKitMiddleware(started(lambda: asyncio.sleep(0), (b"cache-control", b"public")), shop.kit)
    assert (await ask(app)).sent[0]["headers"] == [(b"cache-control", b"public")]


async def test_other_scopes_pass_through(shop: Shop) -> None:
    """Lifespan and websocket see no session, and the very receive and send of the server."""
    seen: list[Any] = []

    async def app(*call: Any) -> None:
        seen.append((call, shop.current))

    for kind in ("lifespan", "websocket"):
        call = ({"type": kind, "path": "/regionkit/ready", "headers": []}, asyncio.Event().wait, Answer().send)
        await RegionKitMiddleware(app, shop.kit)(*call)
        assert seen[-1] == (call, None)


async def test_a_stream_carries_what_was_done_until_its_first_part(shop: Shop) -> None:
    """Also what was done after its start; a write after that is told to hooks."""
    shop.regions.lag = LAG

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await shop.put("a", 1)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await shop.put("a", 2)
        await send({"type": "http.response.body", "body": b"two"})

    answer = await ask(RegionKitMiddleware(app, shop.kit), path="/stream")
    assert answer.body == b"onetwo"
    assert await shop.get("a", shop.kit.session(bookmark=answer.bookmark)) >= 1
    assert [e.path for e in shop.told if isinstance(e, AnsweredBeforeWrite)] == ["/stream"]


async def test_messages_before_the_start_pass_and_a_start_without_a_body_is_sent(shop: Shop) -> None:
    """Early hints are no answer yet."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.early_hint", "links": []})
        await shop.put("a", 1)
        await send({"type": "http.response.start", "status": 304, "headers": []})

    answer = await ask(RegionKitMiddleware(app, shop.kit))
    assert [m["type"] for m in answer.sent] == ["http.response.early_hint", "http.response.start"]
    assert any(n == b"region-bookmark" for n, _ in answer.sent[1]["headers"])


async def test_an_error_carries_what_was_written_before_it(shop: Shop) -> None:
    """Status 500 with the bookmark, then the error itself; also where a start was held."""
    shop.regions.lag = LAG

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await shop.put("a", 1)
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    for path in ("/", "/late"):
        answer = await ask(RegionKitMiddleware(fails, shop.kit), path)
        assert (answer.status, answer.body) == (500, b"Internal Server Error")
        assert isinstance(answer.error, ZeroDivisionError)
        assert await shop.get("a", shop.kit.session(bookmark=answer.bookmark)) == 1


async def test_an_error_without_a_write_and_a_cancelled_request_are_left_to_the_server(shop: Shop) -> None:
    """Nothing is answered in their place."""
    for kind in (ZeroDivisionError, asyncio.CancelledError):

        async def fails(kind: type[BaseException] = kind) -> None:
            if kind is asyncio.CancelledError:
                await shop.put("a", 1)
            raise kind

        answer = await ask(RegionKitMiddleware(started(fails), shop.kit))
        assert answer.sent == [] and isinstance(answer.error, kind)
    assert shop.current is None


async def test_an_answer_that_begins_before_its_commit_is_refused() -> None:
    """The client is told nothing of success, and the write is rolled back; "owner" lets it go."""
    async with shop_of("async") as shop:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async with shop.current.write("orders") as db:
                db["a"] = 7
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"all went well"})

        answer = await ask(RegionKitMiddleware(app, shop.kit))
        assert isinstance(answer.error, UsageError) and "s.fork()" in str(answer.error) and answer.sent == []
        assert await shop.get("a", shop.kit.session(), consistency=STRONG) is None
        shop.regions.lag = LAG
        answer = await ask(RegionKitMiddleware(app, shop.kit, open_writes="owner"))
        assert answer.body == b"all went well"
        assert await shop.get("a", shop.kit.session(bookmark=answer.bookmark)) == 7


async def test_an_answer_of_failure_goes_even_while_a_task_of_the_session_writes() -> None:
    """It is no promise of success; the bookmark says: read from the owner."""
    async with shop_of("async") as shop:
        go_on, opened = asyncio.Event(), asyncio.Event()

        async def writes() -> None:
            async with shop.current.write("orders") as db:
                db["a"] = 1
                opened.set()
                await go_on.wait()

        tasks: list[Any] = []

        async def fails() -> None:
            await shop.put("b", 1)
            tasks.append(asyncio.create_task(writes()))
            await opened.wait()
            raise ZeroDivisionError

        answer = await ask(RegionKitMiddleware(started(fails), shop.kit))
        assert answer.status == 500
        go_on.set()
        await tasks[0]
        shop.regions.lag = LAG
        assert await shop.get("a", shop.kit.session(bookmark=answer.bookmark)) == 1


async def test_a_lost_bookmark_is_told_once_and_the_client_goes_on(shop: Shop) -> None:
    """The request meets StaleRead with `lost`; its answer carries what survived and takes the cookies away."""
    shop.regions.lag = LAG
    lost = (await ask(RegionKitMiddleware(started(lambda: shop.put("a", 1)), shop.kit))).bookmark
    await shop.promote()
    reads = RegionKitMiddleware(started(lambda: shop.get("a")), shop.kit, cookie=Cookie())
    answer = await ask(reads, cookie=f"regionkit={lost}; regionkit-00000001={lost}")
    assert isinstance(answer.error, StaleRead) and answer.error.lost and answer.status == 500
    kept, *gone = answer.all("set-cookie")
    assert [line.partition(";")[0] for line in gone] == ["regionkit=", "regionkit-00000001="]
    assert (await ask(reads, cookie=kept.partition(";")[0])).body == b"None"


async def test_the_readiness_endpoint_never_runs_the_application(shop: Shop) -> None:
    """Below a root path too; HEAD has no body."""

    async def never(*_: Any) -> None:
        raise AssertionError

    app = RegionKitMiddleware(never, shop.kit, ready="/healthy")
    while (await ask(app, "/healthy")).status != 200:
        await asyncio.sleep(0.001)
    answer = await ask(app, "/healthy", query="now")
    assert json.loads(answer.body)["stores"][0]["store"] == "orders"
    assert (await ask(app, "/healthy", "HEAD")).body == b""
    assert (await ask(app, "/healthy", "POST")).status == 405
    assert isinstance((await ask(app, "/other")).error, AssertionError)
    below = Answer()
    scope = {"type": "http", "path": "/api/healthy", "root_path": "/api", "method": "GET", "headers": []}
    await app(scope, asyncio.Event().wait, below.send)
    assert below.status == 200


async def test_two_kits_need_two_headers(shop: Shop) -> None:
    """The same kit twice is served once; other keys in the same header are refused."""
    app = RegionKitMiddleware(RegionKitMiddleware(started(lambda: shop.put("a", 1)), shop.kit), shop.kit)
    assert len((await ask(app)).all("region-bookmark")) == 1
    async with AsyncMemoryRegions(store="users", primary="us") as regions:
        async with AsyncRegionKit(regions.topology, local="us", bookmark_keys=["another" + KEY]) as other:
            refused = await ask(RegionKitMiddleware(app, other))
            assert isinstance(refused.error, ConfigurationError) and "header=" in str(refused.error)
            apart = await ask(RegionKitMiddleware(app, other, header="Other-Bookmark"))
            assert apart.error is None and len(apart.all("region-bookmark")) == 1


async def test_requests_side_by_side_have_sessions_of_their_own(shop: Shop) -> None:
    """Tasks and pooled threads of a request inherit its session and no other's."""
    seen: dict[str, set[int]] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        mine = seen.setdefault(scope["path"], set())
        mine.add(id(shop.current))
        await asyncio.sleep(0.001)
        mine.add(await asyncio.create_task(child()))
        mine.add(await asyncio.to_thread(lambda: id(shop.current)))
        kept.append(shop.current)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def child() -> int:
        return id(shop.current)

    kept: list[Any] = []  # or an id could come twice
    wrapped = RegionKitMiddleware(app, shop.kit)
    await asyncio.gather(*(ask(wrapped, f"/{n}") for n in range(8)))
    assert all(len(ids) == 1 for ids in seen.values())
    assert len({next(iter(ids)) for ids in seen.values()}) == 8 and id(None) not in set.union(*seen.values())
