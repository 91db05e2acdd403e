"""The connection of a browser, which has to ask for something, and to take its answer: uvicorn would wait without end.

The listener counts it from its accept to its end, and decides by its stage which goes where there are too many.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.asyncio_listener import AsyncioListener, Incoming, Stage

REQUEST_SECONDS: Final = 20.0
"""From the connect, or the end of the answer before, to the end of a request: a form has 64 kB. And from the end of an
answer until the client has taken it, where the connection is closed behind it."""

WRITE_SECONDS: Final = 30.0
"""For taking some of an answer, as over HTTP/JSON: a page that sleeps comes back by itself."""


class BrowserConnection(H11Protocol):
    """uvicorn's, that waits for a request so long and no longer."""

    incoming: Incoming
    listener: AsyncioListener
    _timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's."""
        super().connection_made(transport)
        self.incoming.opened(transport)
        if self.listener.is_full:  # all others are being answered
            self.limit_concurrency = 0  # and uvicorn answers 503
        self._look()

    def data_received(self, data: bytes) -> None:
        """As uvicorn's."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """As uvicorn's; a connection that is closed then, or later for want of a request, is not waited for without end
        where its client does not take the rest of the answer."""
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's."""
        super().connection_lost(exc)
        self.incoming.lost()
        self._stop()
        self._taken()

    def timeout_keep_alive_handler(self) -> None:
        """As uvicorn's."""
        super().timeout_keep_alive_handler()
        self._look()

    def shutdown(self) -> None:
        """As uvicorn's."""
        super().shutdown()
        self._look()

    def pause_writing(self) -> None:
        """As uvicorn's; a client that takes nothing of its answer is waited for so long."""
        super().pause_writing()
        self._taken()
        self._stuck = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """As uvicorn's."""
        super().resume_writing()
        self._taken()

    def _taken(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    @property
    def waits(self) -> bool:
        """Return true if the client has not asked for anything yet, or not said all of it."""
        cycle: Any = self.cycle
        if self.transport.is_closing():
            return False
        return cycle is None or bool(cycle.response_complete) or bool(cycle.more_body)

    def _look(self) -> None:
        """Begin to count the time, or end it."""
        if self.waits:
            self.incoming.stage = Stage.NEW if self.cycle is None or self.cycle.more_body else Stage.IDLE
        else:
            self.incoming.stage = Stage.BUSY
        if not (self.waits or self.transport.is_closing()):
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(REQUEST_SECONDS, self._end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        if self.waits or self.transport.is_closing():
            self.transport.abort()  # closing would wait for a client that does not read
