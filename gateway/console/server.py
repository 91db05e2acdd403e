"""The console's server: uvicorn on one address, until it is asked to stop."""

import asyncio
import socket
from collections.abc import Callable
from time import time
from typing import Final

import uvicorn

from gateway.asyncio_listener import AsyncioListener, Incoming
from gateway.console.application import application
from gateway.console.patience import BrowserConnection
from gateway.console.settings import ConsoleSettings

BACKLOG: Final = 128
"""Connections that wait to be accepted: a console serves people, not fleets."""

CONNECTIONS: Final = 500
"""At once, with those that shake hands or are ending; a page has one for its stream and some for what it loads."""

CLOSE_SECONDS: Final = 1
"""For requests under way when the console stops; streams are cut."""


class AnnouncedServer(uvicorn.Server):
    """A server that calls ``started`` once it serves, and heeds signals: one that comes earlier would end it with a
    traceback. It listens by a listener that counts all connections."""

    listener: AsyncioListener

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which is called behind its taking of the signals."""
        await super().startup(sockets=[])
        self.listener = AsyncioListener(list(sockets or ()), self._connection, CONNECTIONS, self.config.ssl)
        self.listener.start()
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        self.listener.close()
        await super().shutdown(sockets=[])

    def _connection(self, incoming: Incoming) -> asyncio.Protocol:
        made = BrowserConnection(self.config, self.server_state, self.lifespan.state)
        made.incoming, made.listener = incoming, self.listener
        return made


def server_on(
    listening: socket.socket,
    settings: ConsoleSettings,
    started: Callable[[str], None],
    clock: Callable[[], float] = time,
) -> AnnouncedServer:
    """A console on a socket that listens. ``started`` is given the address once it serves; ``clock`` counts for
    sessions, in seconds since 1970."""
    config = uvicorn.Config(
        application(settings, clock),
        http=BrowserConnection,
        log_level="error",  # its warnings are one for each request that is none: a stranger's to make
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=CLOSE_SECONDS,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        lifespan="on",
        ws="none",
    )
    port = listening.getsockname()[1]
    return AnnouncedServer(config, lambda: started(address(settings, port)))


def serve(settings: ConsoleSettings, started: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. ``started`` is given the address. Raises OSError where it can't listen."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host.strip("[]"), settings.port))
        listening.listen(BACKLOG)
        server = server_on(listening, settings, started)
        asyncio.run(server.serve(sockets=[listening]))


def address(settings: ConsoleSettings, port: int) -> str:
    """The address that a browser opens."""
    host = f"[{settings.host}]" if ":" in settings.host and "[" not in settings.host else settings.host
    return f"{'https' if settings.secure else 'http'}://{host}:{port}/"
