"""The tasks of a session besides its reader: commands under way, provisioning, pings."""

from collections.abc import Awaitable, Callable

import trio

from gateway.session.context import SessionContext, SessionOver
from gateway.transport.api import ConnectionClosed


class TaskGroup:
    """Starts tasks that end with their session. Holds no reference to Session, which would create a reference cycle."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._nursery: trio.Nursery | None = None

    @property
    def open(self) -> bool:
        """True while the session runs, and is not about to end."""
        return self._nursery is not None and self._context.ending is None

    def begin(self, nursery: trio.Nursery) -> None:
        """The session runs: its tasks belong to ``nursery``."""
        self._nursery = nursery

    def cease(self) -> None:
        """The nursery is closed."""
        self._nursery = None

    def start(self, fn: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start a task; if the session doesn't run (any more), nothing. A connection that it finds closed ends the
        session."""
        if self._nursery is not None:
            try:
                self._nursery.start_soon(self._run, fn, *args)
            except RuntimeError:  # it is closed, a step before ``cease``: all of them, and the reader, are over
                self._nursery = None

    async def _run(self, fn: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await fn(*args)
        except ConnectionClosed as closed:
            self._context.connection_closed(closed)
        except SessionOver:
            pass  # the context knows, and everything else is being cancelled
