"""The tasks of a session besides its reader: commands under way, provisioning."""

from collections.abc import Awaitable, Callable

import trio

from gateway.session.context import SessionContext, SessionOver
from gateway.transport.api import ConnectionClosed


class TaskGroup:
    """Starts tasks that end with their session. Refers to no session, so that a session that is over is no cycle."""

    def __init__(self, core: SessionContext) -> None:
        self._core = core
        self._nursery: trio.Nursery | None = None

    @property
    def open(self) -> bool:
        """Whether the session runs, and is not about to end."""
        return self._nursery is not None and self._core.ending is None

    def begin(self, nursery: trio.Nursery) -> None:
        """The session runs: its tasks belong to ``nursery``."""
        self._nursery = nursery

    def cease(self) -> None:
        """The nursery is closed."""
        self._nursery = None

    def start(self, fn: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start a part; if the session doesn't run (any more), nothing. Its lost connection ends the session."""
        if self._nursery is not None:
            try:
                self._nursery.start_soon(self._part, fn, *args)
            except RuntimeError:  # it is closed, a step before ``cease``: all of them, and the reader, are over
                self._nursery = None

    async def _part(self, fn: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await fn(*args)
        except ConnectionClosed as closed:
            self._core.connection_closed(closed)
        except SessionOver:
            pass  # it has said so to the core, and everything else is being cancelled
