"""Asking OCSP responders over HTTP (RFC 6960 §A.1). Plain HTTP: answers are signed, and a responder whose own
certificate had to be checked by another one would have no first.
"""

from typing import Final
from urllib.parse import urlsplit

import h11
import trio

MAX_ANSWER_BYTES: Final = 64 * 1024
"""Of an answer's body: one with a chain of certificates has some kilobytes."""

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of an answer's header."""

READ_BYTES: Final = 16 * 1024
"""Asked of the kernel at a time."""

HTTP_PORT: Final = 80


class NoAnswer(Exception):
    """The responder could not be reached, or has not answered; the message is a stable word."""


def is_responder(url: str) -> bool:
    """Return true for a URL at which a responder can be asked: http, a host, no user."""
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # as the resolver does: labels of 1 to 63 characters
    except ValueError:
        return False
    printable = url.isascii() and url.isprintable() and " " not in url
    return parts.scheme == "http" and bool(parts.hostname) and port != 0 and "@" not in parts.netloc and printable


async def ask(url: str, question: bytes) -> bytes:
    """Post a question (DER) and return the answer's body. The caller sets the deadline; cancelling closes the
    connection. Raises NoAnswer; redirections are none."""
    if not is_responder(url):
        raise NoAnswer("not_a_url")
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        stream = await trio.open_tcp_stream(host, parts.port or HTTP_PORT)
    except OSError as exc:
        raise NoAnswer("unreachable") from exc
    async with stream:
        try:
            return await _exchange(stream, parts.netloc, _target(parts.path, parts.query), question)
        except h11.RemoteProtocolError as exc:
            raise NoAnswer("not_http") from exc
        except (trio.BrokenResourceError, OSError) as exc:
            raise NoAnswer("link_lost") from exc


def _target(path: str, query: str) -> str:
    return (path or "/") + (f"?{query}" if query else "")


async def _exchange(stream: trio.SocketStream, host: str, target: str, question: bytes) -> bytes:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    headers = [
        ("Host", host),
        ("Content-Type", "application/ocsp-request"),
        ("Accept", "application/ocsp-response"),
        ("Content-Length", str(len(question))),
        ("Connection", "close"),
    ]
    request = h11.Request(method="POST", target=target, headers=headers)
    pieces = (request, h11.Data(data=question), h11.EndOfMessage())
    await stream.send_all(b"".join(connection.send(each) or b"" for each in pieces))
    body = bytearray()
    while True:
        event = connection.next_event()
        match event:
            case h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(READ_BYTES))
            case h11.Response() if event.status_code != 200:
                raise NoAnswer("http_status")
            case h11.Data():
                body += event.data
                if len(body) > MAX_ANSWER_BYTES:
                    raise NoAnswer("too_large")
            case h11.EndOfMessage():
                return bytes(body)
            case h11.ConnectionClosed() | h11.PAUSED:
                raise NoAnswer("link_lost")
