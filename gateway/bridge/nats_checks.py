"""A look at the NATS servers of the settings before they are used: each is connected to as nodes do, and left again."""

import asyncio
import errno
import socket
import ssl
from typing import Final

from attrs import evolve, frozen
from nats.errors import Error

from gateway.bridge.nats_connection import NO_TLS, NatsAddress, NatsConnection

CHECK_SECONDS: Final = 5.0
"""For each server, all at once: several times what one takes that is there."""

ERROR_NUMBER: Final = "[Errno "
REFUSED: Final = f"{ERROR_NUMBER}{errno.ECONNREFUSED}]"


@frozen
class ServerFault:
    """A reason not to use a server. ``lasts``: waiting mends nothing, the settings or the server's are wrong."""

    server: str
    reason: str
    lasts: bool


def faults(address: NatsAddress) -> list[ServerFault]:
    """Reasons why servers can't be used, in the order of the address; none: all are reached and let this gateway in.
    Raises ``OSError`` where the authority can't be read."""
    address.options()
    return asyncio.run(_all(address))


async def _all(address: NatsAddress) -> list[ServerFault]:
    found = await asyncio.gather(*(_look(evolve(address, servers=(each,))) for each in address.servers))
    return [each for each in found if each is not None]


async def _look(address: NatsAddress) -> ServerFault | None:
    """Connect to one server. The library keeps the reason to itself and its callback."""
    [server] = address.servers
    errors: list[Exception] = []

    async def keep(error: Exception) -> None:
        errors.append(error)

    client = NatsConnection()
    try:
        await asyncio.wait_for(
            client.connect(
                **address.options(),
                error_cb=keep,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
            ),
            CHECK_SECONDS,
        )
    except (Error, OSError, ValueError, TimeoutError) as error:
        reason, lasts = _why(errors[0] if errors else error, bool(address.token))
        return ServerFault(server, reason, lasts)
    finally:
        await client.leave()
    return None


def _why(error: Exception, has_token: bool) -> tuple[str, bool]:
    """Return the reason in plain words, and whether waiting mends nothing."""
    text = str(error)
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}", True
        case ssl.SSLError():
            return f"TLS fails: {getattr(error, 'reason', None) or text}", True
        case socket.gaierror():
            return "its host can't be resolved", False
        case ConnectionRefusedError():
            return "nothing listens there", False
        case TimeoutError():
            return "it does not answer", False
        case OSError() if text.count(REFUSED) == text.count(ERROR_NUMBER) > 0:  # one of each address of its host
            return "nothing listens there", False
        case OSError():
            return error.strerror or text, False
        case Error() if NO_TLS in text:
            return f"{NO_TLS}, and the address says tls://", True
        case Error() if "authorization" in text.lower():
            asks = "it refuses the token of cluster.nats_token_file" if has_token else "it asks for a token"
            return asks, True
        case Error() if "INFO" in text:
            return "what answers there is no NATS server", True
        case _:
            return text.removeprefix("nats: ") or type(error).__name__, True
