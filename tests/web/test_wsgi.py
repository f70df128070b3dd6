"""The WSGI middleware: bookmarks in and out, what is current when, errors, streams, readiness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from regionkit import STRONG, AsyncRegionKit, ConfigurationError, RegionKit, StaleRead, UsageError
from regionkit.embedded import AsyncMemoryRegions, MemoryRegions
from regionkit.routing.events import AnsweredBeforeWrite, BookmarkRefused
from regionkit.web import Cookie
from regionkit.web.wsgi import RegionKitMiddleware

KEY = "a key of more than sixteen characters"
LAG = 3600.0
"""Seconds: a replica that shows nothing before the test says so."""


@pytest.fixture
def regions() -> Iterator[MemoryRegions]:
    with MemoryRegions(store="orders", primary="us", replicas=["kr"], lag=0.0) as made:
        yield made


@pytest.fixture
def kit(regions: MemoryRegions) -> Iterator[RegionKit]:
    with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
        made.create_tables()
        yield made


class Answer:
    """What a client got."""

    def __init__(self, app: Any, path: str = "/", method: str = "GET", **environ: Any) -> None:
        self.error: Exception | None = None
        self.parts: list[bytes] = []
        self.starts = 0
        self.status, self.headers = "", []
        base = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "wsgi.file_wrapper": FileWrapper}
        try:
            body = app({**base, **environ}, self._start)
            self.body = body
            try:
                for part in body:
                    assert self.status, "the body came before the headers"
                    self.parts.append(part)
            finally:
                if hasattr(body, "close"):
                    body.close()
        except Exception as error:
            self.error = error

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        self.starts += 1
        self.status, self.headers = status, headers
        return self.parts.append

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n == name]

    @property
    def bookmark(self) -> str:
        (found,) = self.all("Region-Bookmark")
        return found


def put(kit: RegionKit, key: str, value: int) -> None:
    session = kit.current_session()
    assert session is not None
    with session.write("orders") as db:
        db[key] = value


def got(kit: RegionKit, key: str) -> Any:
    session = kit.current_session()
    assert session is not None
    with session.read("orders") as db:
        return db.get(key)


def started(body: Callable[[], Iterable[bytes]], headers: list[tuple[str, str]] | None = None) -> Any:
    """An application that runs `body` and answers what it returns."""

    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        made = body()
        start("200 OK", list(headers or [("Content-Type", "text/plain")]))
        return made

    return app


def writing(kit: RegionKit, value: int = 1) -> Any:
    return started(lambda: put(kit, "a", value) or [b"written"])


def reading(kit: RegionKit) -> Any:
    return started(lambda: [repr(got(kit, "a")).encode()])


def test_a_write_is_seen_by_the_next_request_over_header_and_cookie(kit: RegionKit, regions: MemoryRegions) -> None:
    """The replica never shows it; without the bookmark the read misses it."""
    regions.lag = LAG
    written = Answer(RegionKitMiddleware(writing(kit), kit, cookie=Cookie()))
    (line,) = written.all("Set-Cookie")
    assert line.endswith("; HttpOnly; SameSite=Lax; Secure")
    reads = RegionKitMiddleware(reading(kit), kit, cookie=Cookie())
    assert Answer(reads).parts == [b"None"]
    assert Answer(reads, HTTP_REGION_BOOKMARK=written.bookmark).parts == [b"1"]
    assert Answer(reads, HTTP_COOKIE=f"x=y; {line.partition(';')[0]}").parts == [b"1"]


def test_two_bookmarks_are_merged(kit: RegionKit, regions: MemoryRegions) -> None:
    """A client that wrote in two requests side by side sends both."""
    regions.lag = LAG
    write = RegionKitMiddleware(writing(kit), kit)
    old = Answer(write).bookmark
    new = Answer(RegionKitMiddleware(writing(kit, 2), kit)).bookmark
    reads = RegionKitMiddleware(reading(kit), kit)
    assert Answer(reads, HTTP_REGION_BOOKMARK=f"{new}, {old}").parts == [b"2"]


@pytest.mark.parametrize("bad", ["rk1.invented", "x" * 5000, "rk0.gA", "a\r\nSet-Cookie: evil=1"])
def test_an_unusable_bookmark_counts_for_nothing_and_the_others_count(
    kit: RegionKit, regions: MemoryRegions, bad: str
) -> None:
    """The request is served, hooks hear of it, no text of it comes back; its cookie, which may be another's, stays."""
    regions.lag = LAG
    told: list[Any] = []
    kit.subscribe(told.append)
    good = Answer(RegionKitMiddleware(writing(kit), kit)).bookmark
    reads = RegionKitMiddleware(reading(kit), kit, cookie=Cookie())
    answer = Answer(reads, HTTP_REGION_BOOKMARK=f"{bad}, {good}", HTTP_COOKIE=f"regionkit={bad[:9]}")
    assert answer.parts == [b"1"]
    assert next(e for e in told if isinstance(e, BookmarkRefused)).count >= 1
    assert not any(bad in v or "evil" in v for _, v in answer.headers)
    assert not [line for line in answer.all("Set-Cookie") if "Max-Age=0" in line]


def test_an_answer_that_used_no_session_is_not_touched(kit: RegionKit) -> None:
    """It stays cacheable; the same list of headers, the same body."""
    body = [b"static"]
    app = RegionKitMiddleware(started(lambda: body, [("Cache-Control", "public, max-age=600")]), kit, cookie=Cookie())
    answer = Answer(app, HTTP_REGION_BOOKMARK="rk1.invented")
    assert answer.headers == [("Cache-Control", "public, max-age=600")]
    assert answer.body is body


def test_a_page_for_everybody_reads_in_a_session_of_its_own(kit: RegionKit) -> None:
    """Its answer stays public, and says nothing of what was read."""

    def page() -> list[bytes]:
        with kit.session() as s, s.read("orders") as db:
            return [repr(db.get("a")).encode()]

    answer = Answer(RegionKitMiddleware(started(page, [("Cache-Control", "public")]), kit))
    assert answer.parts == [b"None"] and answer.headers == [("Cache-Control", "public")]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", ["200 OK", "304 Not Modified", "204 No Content"])
def test_an_answer_without_a_body_carries_it_too(kit: RegionKit, method: str, status: str) -> None:
    """HEAD, 304, 204: the headers are those of any other answer."""

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        put(kit, "a", 1)
        start(status, [])
        return []

    answer = Answer(RegionKitMiddleware(app, kit), method=method)
    assert answer.bookmark and answer.all("Vary") == ["Region-Bookmark"] and answer.all("Cache-Control") == ["private"]


def test_a_stream_carries_what_was_done_until_its_first_part(kit: RegionKit, regions: MemoryRegions) -> None:
    """Rule 8; a write after it is told to hooks, with the path."""
    regions.lag = LAG
    told: list[Any] = []
    kit.subscribe(told.append)

    def body() -> Iterator[bytes]:
        put(kit, "a", 1)
        yield b"one"
        put(kit, "a", 2)
        yield b"two"

    answer = Answer(RegionKitMiddleware(started(body), kit), path="/stream")
    assert answer.parts == [b"one", b"two"]
    with kit.session(bookmark=answer.bookmark) as s, s.read("orders") as db:
        assert db["a"] >= 1
    assert [e.path for e in told if isinstance(e, AnsweredBeforeWrite)] == ["/stream"]
    told.clear()
    Answer(RegionKitMiddleware(writing(kit), kit))
    assert not [e for e in told if isinstance(e, AnsweredBeforeWrite)]


def test_a_part_written_by_the_old_way_lets_the_headers_go(kit: RegionKit) -> None:
    """start_response gives a function that writes."""

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        put(kit, "a", 1)
        write = start("200 OK", [])
        write(b"old ")
        write(b"way")
        return []

    answer = Answer(RegionKitMiddleware(app, kit))
    assert answer.parts == [b"old ", b"way"] and answer.bookmark and answer.starts == 1


def test_a_file_goes_to_the_server_as_it_is(kit: RegionKit, tmp_path: Any) -> None:
    """A server may send it by itself."""
    (tmp_path / "x").write_bytes(b"content")
    app = RegionKitMiddleware(started(lambda: FileWrapper((tmp_path / "x").open("rb"))), kit)
    answer = Answer(app)
    assert isinstance(answer.body, FileWrapper) and answer.parts == [b"content"]


def test_the_session_is_current_inside_and_nowhere_else(kit: RegionKit) -> None:
    """While the application runs, makes its body and closes it; between these the thread is the server's."""
    inside: list[Any] = []

    class Body:
        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            inside.append(kit.current_session())
            if len(inside) > 3:
                raise StopIteration
            return b"x"

        def close(self) -> None:
            inside.append(kit.current_session())

    def made() -> Body:
        inside.append(kit.current_session())
        return Body()

    app = RegionKitMiddleware(started(made), kit)
    body = app({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
    assert kit.current_session() is None
    for _ in body:
        assert kit.current_session() is None
    body.close()  # type: ignore[attr-defined]
    assert kit.current_session() is None
    assert len(inside) == 5 and len(set(map(id, inside))) == 1 and inside[0] is not None


def test_an_error_carries_what_was_written_before_it(kit: RegionKit, regions: MemoryRegions) -> None:
    """Status 500 with the bookmark, then the error itself for the server's log."""
    regions.lag = LAG

    def fails() -> list[bytes]:
        put(kit, "a", 1)
        raise ZeroDivisionError

    def fails_in_its_body() -> Iterator[bytes]:
        put(kit, "a", 2)
        raise ZeroDivisionError
        yield b""

    for body in (fails, fails_in_its_body):
        answer = Answer(RegionKitMiddleware(started(body), kit))
        assert answer.status == "500 Internal Server Error" and answer.parts == [b"Internal Server Error"]
        assert isinstance(answer.error, ZeroDivisionError)
        with kit.session(bookmark=answer.bookmark) as s, s.read("orders") as db:
            assert db["a"] in (1, 2)


def test_an_error_without_a_write_is_left_to_the_server(kit: RegionKit) -> None:
    """Nothing is answered in its place."""
    answer = Answer(RegionKitMiddleware(started(lambda: [b"x"[1].to_bytes()]), kit))
    assert isinstance(answer.error, IndexError) and answer.starts == 0


def test_an_error_in_the_middle_of_a_stream_stays_one(kit: RegionKit) -> None:
    """The headers are gone: the server breaks the connection off."""

    def body() -> Iterator[bytes]:
        yield b"one"
        put(kit, "a", 1)
        raise ZeroDivisionError

    answer = Answer(RegionKitMiddleware(started(body), kit))
    assert answer.status == "200 OK" and answer.parts == [b"one"] and isinstance(answer.error, ZeroDivisionError)


def open_write(kit: RegionKit) -> Callable[[], Iterator[bytes]]:
    def body() -> Iterator[bytes]:
        session = kit.current_session()
        assert session is not None
        with session.write("orders") as db:
            db["a"] = 7
            yield b"all went well"

    return body


def test_an_answer_that_begins_before_its_commit_is_refused(kit: RegionKit) -> None:
    """The client is told nothing, and the write is rolled back."""
    answer = Answer(RegionKitMiddleware(started(open_write(kit)), kit))
    assert isinstance(answer.error, UsageError) and "s.fork()" in str(answer.error) and answer.starts == 0
    with kit.session() as s, s.read("orders", consistency=STRONG) as db:
        assert "a" not in db


def test_or_its_client_reads_from_the_owner(kit: RegionKit, regions: MemoryRegions) -> None:
    """open_writes="owner": whatever position the COMMIT gets, the next request sees it."""
    regions.lag = LAG
    answer = Answer(RegionKitMiddleware(started(open_write(kit)), kit, open_writes="owner"))
    assert answer.parts == [b"all went well"]
    assert Answer(RegionKitMiddleware(reading(kit), kit), HTTP_REGION_BOOKMARK=answer.bookmark).parts == [b"7"]


def test_a_lost_bookmark_is_told_once_and_the_client_goes_on(kit: RegionKit, regions: MemoryRegions) -> None:
    """The request meets StaleRead with `lost`; its answer carries what survived and takes the cookies away."""
    regions.lag = LAG
    lost = Answer(RegionKitMiddleware(writing(kit), kit)).bookmark
    regions.promote("kr")
    reads = RegionKitMiddleware(reading(kit), kit, cookie=Cookie())
    jar = f"regionkit={lost}; regionkit-00000001={lost}"
    answer = Answer(reads, HTTP_COOKIE=jar)
    assert isinstance(answer.error, StaleRead) and answer.error.lost
    assert answer.status.startswith("500")
    kept, *gone = answer.all("Set-Cookie")
    assert [line.partition(";")[0] for line in gone] == ["regionkit=", "regionkit-00000001="]
    assert Answer(reads, HTTP_COOKIE=kept.partition(";")[0]).parts == [b"None"]


def test_a_loss_that_the_application_accepts_goes_on_at_once(kit: RegionKit, regions: MemoryRegions) -> None:
    """And the cookies that named it are taken away too."""
    regions.lag = LAG
    lost = Answer(RegionKitMiddleware(writing(kit), kit)).bookmark
    regions.promote("kr")

    def accepts() -> list[bytes]:
        try:
            got(kit, "a")
        except StaleRead as error:
            assert error.lost
            session = kit.current_session()
            assert session is not None
            session.accept_loss()
        return [repr(got(kit, "a")).encode()]

    app = RegionKitMiddleware(started(accepts), kit, cookie=Cookie())
    answer = Answer(app, HTTP_COOKIE=f"regionkit-00000001={lost}")
    assert answer.parts == [b"None"]
    assert [line.partition(";")[0] for line in answer.all("Set-Cookie")][1:] == ["regionkit-00000001="]


def test_the_readiness_endpoint_never_runs_the_application(regions: MemoryRegions) -> None:
    """503 until a store has been proved, 200 from then on; 405 for other methods; none where it is switched off."""

    def never(environ: Any, start: Any) -> Any:
        raise AssertionError

    with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as made:
        app = RegionKitMiddleware(never, made, ready="/healthy")
        regions.kill("us")
        regions.kill("kr")
        answer = Answer(app, "/healthy")
        assert answer.status == "503 Service Unavailable" and not json.loads(answer.parts[0])["ready"]
        regions.revive("us")
        while Answer(app, "/healthy").status != "200 OK":
            pass
        told = Answer(app, "/healthy", "HEAD")
        assert told.status == "200 OK" and told.parts == [b""] and told.all("Cache-Control") == ["no-store"]
        assert Answer(app, "/healthy", "POST").status == "405 Method Not Allowed"
        assert isinstance(Answer(app, "/regionkit/ready").error, AssertionError)
        assert isinstance(Answer(RegionKitMiddleware(never, made, ready=None), "/healthy").error, AssertionError)
    assert Answer(app, "/healthy").status == "503 Service Unavailable"


def test_two_kits_need_two_headers_unless_they_read_each_other(kit: RegionKit, regions: MemoryRegions) -> None:
    """The same kit twice is served once; other keys in the same header are refused."""
    app = RegionKitMiddleware(RegionKitMiddleware(writing(kit), kit), kit)
    assert len(Answer(app).all("Region-Bookmark")) == 1
    with RegionKit(regions.topology, local="us", bookmark_keys=[KEY]) as twin:
        with RegionKit(regions.topology, local="us", bookmark_keys=["another" + KEY]) as other:

            def writes_twice() -> list[bytes]:
                put(kit, "a", 1)
                for one in (twin, other):
                    if one.current_session() is not None:
                        put(one, "b", 1)
                return [b"x"]

            inner = started(writes_twice)
            refused = Answer(RegionKitMiddleware(RegionKitMiddleware(inner, kit), other))
            assert isinstance(refused.error, ConfigurationError) and "header=" in str(refused.error)
            apart = Answer(RegionKitMiddleware(RegionKitMiddleware(inner, kit), other, header="Other-Bookmark"))
            assert len(apart.all("Region-Bookmark")) == len(apart.all("Other-Bookmark")) == 1
            shared = Answer(RegionKitMiddleware(RegionKitMiddleware(inner, kit), twin))
            assert len(shared.all("Region-Bookmark")) == 2
            both = ",".join(shared.all("Region-Bookmark"))
            assert Answer(RegionKitMiddleware(reading(kit), kit), HTTP_REGION_BOOKMARK=both).parts == [b"1"]


def test_options_of_the_session_come_from_the_request(kit: RegionKit) -> None:
    """Such as the user's country, for preferences."""

    def shown() -> list[bytes]:
        session = kit.current_session()
        assert session is not None
        return [session._state.attributes["geography"].encode()]

    app = RegionKitMiddleware(
        started(shown), kit, options=lambda environ: {"attributes": {"geography": environ["HTTP_CF_IPCOUNTRY"]}}
    )
    assert Answer(app, HTTP_CF_IPCOUNTRY="KR").parts == [b"KR"]


def test_what_cannot_work_is_refused_at_the_start(regions: MemoryRegions) -> None:
    """No keys, an async kit, no kit, a word that is none, a path that is none."""
    with RegionKit(regions.topology, local="kr") as unsigned:
        with pytest.raises(ConfigurationError, match="bookmark_keys"):
            RegionKitMiddleware(writing(unsigned), unsigned)
    with RegionKit(regions.topology, local="kr", bookmark_keys=[KEY]) as kit:
        for wrong in ({"open_writes": "allow"}, {"ready": "ready"}, {"header": None}, {"header": "a b"}):
            with pytest.raises(ConfigurationError):
                RegionKitMiddleware(writing(kit), kit, **wrong)
    with pytest.raises(ConfigurationError, match="not a kit"):
        RegionKitMiddleware(writing(kit), "kit")  # type: ignore[arg-type]


async def test_an_async_kit_is_refused() -> None:
    """Its threads have no loop."""
    async with AsyncMemoryRegions(store="orders", primary="us") as regions:
        async with AsyncRegionKit(regions.topology, local="us", bookmark_keys=[KEY]) as kit:
            with pytest.raises(ConfigurationError, match="event loop"):
                RegionKitMiddleware(lambda *_: [], kit)  # type: ignore[arg-type]


@pytest.mark.parametrize("lazy", [False, True])
def test_it_keeps_the_protocol(kit: RegionKit, lazy: bool) -> None:
    """wsgiref's validator stands on both sides."""
    app = reading(kit) if not lazy else started(lambda: (part for part in [b"a", b"", b"b"]))
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ["QUERY_STRING"] = ""
    checked = validator(RegionKitMiddleware(validator(app), kit))
    body = checked(environ, lambda status, headers, exc_info=None: lambda data: None)
    assert b"".join(body) == (b"ab" if lazy else b"None")
    body.close()  # type: ignore[attr-defined]
