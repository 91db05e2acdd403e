"""A connection to a NATS server, as the settings want it: TLS where the address says ``tls://``, or none at all."""

import asyncio
import ssl
from typing import Any, Final

import structlog
from attrs import field, frozen
from nats.aio.client import Client
from nats.errors import Error

CONNECT_SECONDS: Final = 2
"""For each step of a connection to one server: another one is tried then."""

LEAVE_SECONDS: Final = 1.0
"""For closing a connection: asyncio waits without end for one whose TLS handshake has failed."""

NO_TLS: Final = "it offers no TLS"


log = structlog.get_logger()


@frozen
class NatsAddress:
    """The servers. ``token``: empty: none is needed; ``authority``: a file of CAs in PEM, for ``tls://``."""

    servers: tuple[str, ...]
    token: str = field(default="", repr=False)
    authority: str | None = None

    def options(self) -> dict[str, Any]:
        """Arguments of a connection. Raises ``OSError`` where the authority can't be read (``ssl.SSLError`` is one)."""
        options: dict[str, Any] = {"servers": list(self.servers), "connect_timeout": CONNECT_SECONDS}
        if self.token:
            options["token"] = self.token
        if self.authority is not None:
            options["tls"] = ssl.create_default_context(cafile=self.authority)
        return options


class NatsConnection(Client):
    """A connection of nats-py that takes ``tls://`` for a demand, and lives on after an answer that comes too late. The
    library goes by the server's word alone: one that asks for no TLS, or an attacker on the way to it, would be sent
    the token and all commands in the clear."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        await super()._process_info(info, initial_connection)
        server = self._current_server
        if initial_connection and server is not None and server.uri.scheme == "tls":
            if not (info.get("tls_required") or info.get("tls_available")):
                raise Error(NO_TLS)
            info["tls_required"] = True  # by which the connection is lifted to TLS before anything is sent

    async def _process_pong(self) -> None:
        """Take a PONG, also one that comes when its flush has given up: by the library's own the reading ends there,
        with a traceback, and the connection hears nothing more until pings have failed for seconds."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def leave(self) -> None:
        """Close the connection, in order if it can be, within ``LEAVE_SECONDS``. Raises nothing."""
        try:
            await asyncio.wait_for(self.close(), LEAVE_SECONDS)
        except (Error, OSError, TimeoutError) as error:
            log.debug("NATS connection not closed in order", error=repr(error))
