"""The connection of a browser, which has to ask for something: one that does not makes room for others.

uvicorn counts connections, and waits for the request of each without end: as many silent sockets as it counts would
keep everybody out.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS: Final = 20.0
"""From the connect, or the end of the answer before, to the end of a request: a form has 64 kB. And from the end of an
answer until the client has taken it, where the connection is closed behind it."""

WRITE_SECONDS: Final = 30.0
"""For taking some of an answer, as over HTTP/JSON: a page that sleeps comes back by itself."""

ROOM: Final = 20
"""Connections below uvicorn's limit: from there on the one that has waited longest goes when another comes."""


class BrowserConnection(H11Protocol):
    """uvicorn's, that waits for a request so long and no longer."""

    _since = 0.0
    _gave_way = False
    """Aborted for another, and not gone yet."""
    _timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's; where many are open, the connection that has kept waiting longest is closed."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency - ROOM:
            others: Any = self.connections - {self}
            waiting = [each for each in others if each.waits or (each.transport.is_closing() and not each._gave_way)]
            if waiting:
                oldest = min(waiting, key=lambda each: each._since)
                oldest._gave_way = True
                oldest.transport.abort()
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
        self._stop()
        self._taken()

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
        if not (self.waits or self.transport.is_closing()):
            self._stop()
        elif self._timer is None:
            self._since = self.loop.time()
            self._timer = self.loop.call_later(REQUEST_SECONDS, self._end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        if self.waits or self.transport.is_closing():
            self.transport.abort()  # closing would wait for a client that does not read
