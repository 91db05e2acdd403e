"""Live parts of pages: server-sent events from the gateway's watches.

Each message has fragments of HTML by the id of the element that they belong in, or points of a curve. Its id is where
the watch stands, so that a browser that lost the stream goes on from there.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import grpc.aio
from starlette.responses import StreamingResponse

RETRY_MILLISECONDS: Final = 1_000
"""After so long a browser connects again."""

PAUSE_SECONDS: Final = 0.5
"""Between two messages: what comes meanwhile is shown together."""

KEEPALIVE_SECONDS: Final = 15.0
"""Without a message for so long a comment is sent, by which a browser that is gone is noticed."""

SIGNALS: Final = 64
"""Messages of watches that wait to be shown; a page that is slower lets the gateway wait."""

HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


def message(event: str, data: Any, token: bytes = b"") -> str:
    """One message, as the browser's EventSource reads it."""
    place = f"id: {base64.urlsafe_b64encode(token).decode()}\n" if token else ""
    text = json.dumps(data, separators=(",", ":"))
    return f"{place}event: {event}\ndata: {text}\n\n"


def resume_token(header: str | None) -> bytes:
    """The place that a browser has seen last; empty: none, or none that can be read."""
    try:
        return base64.b64decode((header or "").encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def response(messages: AsyncIterator[str], left: float) -> StreamingResponse:
    """A stream that ends with its person's session, ``left`` seconds from now."""
    return StreamingResponse(_stream(messages, left), media_type="text/event-stream", headers=HEADERS)


async def _stream(messages: AsyncIterator[str], left: float) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    ends = asyncio.get_running_loop().time() + left
    waiting: asyncio.Future[str] | None = None
    try:
        while asyncio.get_running_loop().time() < ends:
            if waiting is None:
                waiting = asyncio.ensure_future(anext(messages))
            await asyncio.wait((waiting,), timeout=KEEPALIVE_SECONDS)
            if not waiting.done():
                yield ": still here\n\n"
                continue
            try:
                yield waiting.result()
            except StopAsyncIteration:
                return
            except grpc.aio.AioRpcError as error:
                # The browser connects again, and says what is wrong meanwhile.
                yield message("lost", {"code": error.code().name})
                return
            waiting = None
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait((waiting,))
        close: Callable[[], Awaitable[None]] | None = getattr(messages, "aclose", None)
        if close is not None:
            await close()


async def merged(watches: Mapping[str, AsyncIterator[Any]]) -> AsyncGenerator[tuple[str, Any], None]:
    """Responses of several watches as they come, each with its watch's name. Ends with the first that ends or fails."""
    queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue(SIGNALS)

    async def read(name: str, watch: AsyncIterator[Any]) -> None:
        async for each in watch:
            await queue.put((name, each))

    tasks = [asyncio.create_task(read(name, watch)) for name, watch in watches.items()]
    try:
        while True:
            taking = asyncio.create_task(queue.get())
            done, _ = await asyncio.wait((taking, *tasks), return_when=asyncio.FIRST_COMPLETED)
            if taking in done:
                yield taking.result()
                continue
            taking.cancel()
            for task in done:
                task.result()
            return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
