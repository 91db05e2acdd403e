"""Asking a responder over HTTP: what it is sent, and what comes of answers that are none."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport.ocsp_client import MAX_ANSWER_BYTES, NoAnswer, ask, is_responder

Serve = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """A TCP server on loopback, its port."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def answering(*pieces: bytes, heard: bytearray | None = None) -> Serve:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            data = bytearray()
            while not data.endswith(b"\r\n\r\nquestion"):
                data += await stream.receive_some()
            if heard is not None:
                heard[:] = data
            for each in pieces:
                await stream.send_all(each)

    return serve


async def test_a_question_is_posted_and_the_body_returned() -> None:
    """RFC 6960 §A.1, over one connection."""
    heard = bytearray()
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: 6\r\n\r\nanswer"
    async with server(answering(reply, heard=heard)) as port:
        assert await ask(f"http://127.0.0.1:{port}/a/b?c=d", b"question") == b"answer"
    lines = heard.lower().split(b"\r\n")
    assert lines[0] == b"post /a/b?c=d http/1.1"
    assert b"host: 127.0.0.1:%d" % port in lines
    assert b"content-type: application/ocsp-request" in lines


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.0 200 OK\r\n\r\nans", b"wer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nans\r\n", b"3\r\nwer\r\n0\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"),
    ],
    ids=["until-the-end", "chunked", "after-100"],
)
async def test_an_answer_in_any_form_of_http_is_read(pieces: tuple[bytes, ...]) -> None:
    """Piece by piece."""
    async with server(answering(*pieces)) as port:
        assert await ask(f"http://127.0.0.1:{port}", b"question") == b"answer"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "http_status"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "http_status"),
        (b"SSH-2.0-server\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nans", "not_http"),
        (b"", "not_http"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 20_000, "not_http"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MAX_ANSWER_BYTES + 1), "too_large"),
    ],
    ids=["elsewhere", "500", "another-protocol", "cut-off", "nothing", "a-long-head", "a-long-body"],
)
async def test_what_is_no_answer_is_named(reply: bytes, reason: str) -> None:
    """Nothing is followed, and nothing beyond the bounds is kept."""
    async with server(answering(reply)) as port:
        with pytest.raises(NoAnswer, match=f"^{reason}$"):
            await ask(f"http://127.0.0.1:{port}/", b"question")


async def test_the_largest_body_is_read() -> None:
    """One byte more is too large."""
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MAX_ANSWER_BYTES))) as port:
        assert await ask(f"http://127.0.0.1:{port}/", b"question") == bytes(MAX_ANSWER_BYTES)


async def test_a_responder_that_is_not_there_is_no_answer() -> None:
    """Its port is closed, or the URL is none that is asked."""
    async with server(answering()) as port:
        pass
    with pytest.raises(NoAnswer, match="unreachable"):
        await ask(f"http://127.0.0.1:{port}/", b"question")
    for url in ("ldap://127.0.0.1/", "http://a..b/", f"http://{'a' * 64}/"):
        with pytest.raises(NoAnswer, match="not_a_url"):
            await ask(url, b"question")


@pytest.mark.parametrize("url", ["http://ocsp.example", "http://[::1]:8080/x", "http://10.0.0.1:80/a?b=c"])
def test_these_can_be_asked(url: str) -> None:
    assert is_responder(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://a/",
        "a",
        "http:///x",
        "http://a:0/",
        "http://a:x/",
        "http://u:p@a/",
        "http://a/b c",
        "http://ä/",
        "http://[::1/",
        "http://a/\r\nX: y",
        "http://a..b/",
        "http://.a/",
        f"http://{'a' * 64}.example/",
    ],
)
def test_these_can_not(url: str) -> None:
    assert not is_responder(url)


@given(st.text(max_size=40) | st.text(max_size=40).map("http://".__add__))
def test_any_text_is_a_responder_or_not(url: str) -> None:
    """And what is one can be written into a request."""
    if is_responder(url):
        assert url.isascii()
        assert "\n" not in url
