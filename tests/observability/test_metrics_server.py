"""The metrics port: the page that a scraper gets, and how little any other client does to it."""

import gzip
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.observability.metrics import Metrics
from gateway.observability.metrics_server import (
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    REQUEST_SECONDS,
    MetricsServer,
    parse,
)

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"


@define
class Site:
    """A port that serves a registry with one gauge."""

    port: MetricsServer
    number: int
    nursery: trio.Nursery

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.number)

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer."""
        async with await self.connect() as stream:
            await stream.send_all(request)
            head, _, body = (await read_all(stream)).partition(b"\r\n\r\n")
            return head, body


async def read_all(stream: trio.SocketStream) -> bytes:
    data = b""
    with trio.fail_after(60), suppress(trio.BrokenResourceError):
        while part := await stream.receive_some():
            data += part
    return data


@asynccontextmanager
async def served(
    read: Callable[[], float] = lambda: 7.0, about: str = "The answer.", **options: float
) -> AsyncIterator[Site]:
    metrics = Metrics()
    metrics.gauge("answer", about, read)
    metrics.count("slowed", "frames")
    port = MetricsServer(metrics.registry, **options)
    async with trio.open_nursery() as nursery:
        _, number = await nursery.start(port.serve, "127.0.0.1", 0)
        yield Site(port, number, nursery)
        nursery.cancel_scope.cancel()


async def test_a_scraper_gets_all_metrics() -> None:
    """In the text format, with its length, and the connection ends."""
    async with served() as site:
        head, body = await site.ask(SCRAPE)
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain")
        assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
        assert b"\nanswer 7.0\n" in body
        assert b'gateway_slowed_total{what="frames"} 1.0' in body


async def test_a_scraper_gets_what_it_prefers() -> None:
    """OpenMetrics, compressed, and some of the names: as the library's own server gives them."""
    async with served() as site:
        head, body = await site.ask(
            b"GET /metrics?name[]=answer HTTP/1.1\r\nAccept-Encoding: gzip\r\n"
            b"Accept: application/openmetrics-text; version=1.0.0\r\n\r\n"
        )
        assert b"application/openmetrics-text" in head
        assert b"Content-Encoding: gzip" in head
        text = gzip.decompress(body)
        assert b"answer 7.0" in text
        assert b"gateway_happenings" not in text
        assert text.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
        (b"x" * (MAX_HEAD_BYTES + 1), 431),
    ],
)
async def test_what_is_no_scrape_is_refused(request_: bytes, status: int) -> None:
    """With a status and an empty body, or the library's own; no thread is used for what can't be read."""
    async with served() as site:
        head, _ = await site.ask(request_)
        assert head.startswith(f"HTTP/1.1 {status} ".encode())


async def test_idle_and_slow_connections_use_no_thread_and_keep_no_scraper_out() -> None:
    """Hundreds of them, silent or with a byte of a head; there are few at once, and the ones that wait longest go."""
    async with served() as site:
        threads = threading.active_count()
        idle = []
        for n in range(300):
            stream = await site.connect()
            if n % 2:
                await stream.send_all(b"GET ")
            idle.append(stream)
            await trio.testing.wait_all_tasks_blocked()
            assert site.port.connections <= MAX_CONNECTIONS
        head, _ = await site.ask(SCRAPE)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert threading.active_count() <= threads + 1  # the one that puts metrics into words
        for stream in idle:
            await trio.aclose_forcefully(stream)


async def test_a_request_that_does_not_come_ends_its_connection(autojump_clock: MockClock) -> None:
    """Silent, or a byte a second: the time is for the whole head."""
    async with served() as site:
        for sends in (False, True):
            begin = trio.current_time()
            async with await site.connect() as stream, trio.open_nursery() as nursery:

                async def trickle(stream: trio.SocketStream = stream) -> None:
                    try:
                        for byte in SCRAPE:
                            await stream.send_all(bytes([byte]))
                            await trio.sleep(1)
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        pass

                if sends:
                    nursery.start_soon(trickle)
                try:
                    assert await stream.receive_some() == b""
                except trio.BrokenResourceError:
                    pass
                nursery.cancel_scope.cancel()
            assert trio.current_time() - begin == pytest.approx(REQUEST_SECONDS, abs=0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert site.port.connections == 0


async def test_an_answer_that_is_not_read_ends_its_connection() -> None:
    """One of megabytes, which no kernel takes: the scraper has some seconds for it, here one."""
    async with served(about="x" * 16_000_000, answer_seconds=1) as site:
        stream = await site.connect()
        await stream.send_all(SCRAPE)
        with trio.fail_after(60):
            while not site.port.connections:  # noqa: ASYNC110 - the other side of a socket
                await trio.sleep(0.01)
            while site.port.connections:  # noqa: ASYNC110 - the other side of a socket
                await trio.sleep(0.01)
        assert len(await read_all(stream)) < 16_000_000
        await trio.aclose_forcefully(stream)


async def test_scrapes_are_made_one_at_a_time() -> None:
    """Twenty at once occupy one thread."""
    running, most = 0, 0
    lock = threading.Lock()

    def read() -> float:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1
        return 1.0

    async with served(read) as site, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(site.ask, SCRAPE)
    assert most == 1


async def test_a_gauge_that_fails_costs_its_scrape_and_no_other() -> None:
    """It is logged; the port and the gateway go on."""
    failing = iter([True, False])

    def read() -> float:
        if next(failing):
            raise ZeroDivisionError
        return 2.0

    async with served(read) as site:
        with capture_logs() as logs:
            assert await site.ask(SCRAPE) == (b"", b"")
        assert [line["event"] for line in logs] == ["a scrape failed"]
        head, body = await site.ask(SCRAPE)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"\nanswer 2.0\n" in body


@given(st.binary(max_size=300))
def test_any_head_is_read_or_refused(head: bytes) -> None:
    """It never raises."""
    parse(head)


@given(
    st.sampled_from(["GET", "POST", "options"]),
    st.text("abc/%20?&=[]", max_size=20),
    st.dictionaries(st.text("abcXYZ-", min_size=1, max_size=8), st.text("abc;q=0. ", max_size=20), max_size=5),
)
def test_a_request_is_read_as_it_was_written(method: str, target: str, fields: dict[str, str]) -> None:
    """Method, query and fields; the last of one name counts."""
    lines = [f"{method} /{target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    environment = parse("\r\n".join([*lines, "", ""]).encode())
    assert environment is not None
    assert environment["REQUEST_METHOD"] == method
    assert environment["QUERY_STRING"] == target.partition("?")[2]
    last = {name.upper().replace("-", "_"): value.strip() for name, value in fields.items()}
    assert {name[5:]: value for name, value in environment.items() if name.startswith("HTTP_")} == last
