"""TCP load balancers in front of a listener: each connection begins with a PROXY header that names its real address.

Only named balancers may say so, or a stranger could take any address. What comes from elsewhere is closed at once.
"""

from collections.abc import Iterable
from typing import Final

import trio
from attrs import evolve

from gateway.errors import GatewayError
from gateway.framing.proxy_header import ProxyHeader, ProxyHeaderError
from gateway.transport.addresses import Networks
from gateway.transport.listening_socket import Accepted

HEADER_SECONDS: Final = 5.0
"""For the header. A balancer sends it in the first segment of its connection, over a near network."""

MAX_UNINTRODUCED: Final = 1024
"""Connections whose header has not come yet: as many as the kernel holds for us at once, so only a balancer that opens
them and says nothing gets there."""


class NotIntroduced(GatewayError):
    """The connection may not come in. ``reason`` is a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Proxies:
    """One listener's balancers, by address or network; without any, connections are what they seem. Raises ValueError
    for what is no network."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = Networks(networks)
        self._waiting = 0

    def __bool__(self) -> bool:
        return bool(self._networks)

    async def introduce(self, accepted: Accepted) -> Accepted:
        """Read the header: the connection with its real address, or with the balancer's own if it speaks for itself.
        Nothing behind the header is read. Raises NotIntroduced; cancelling leaves a connection that can only be closed.
        """
        if accepted.address not in self._networks:
            raise NotIntroduced("not_a_proxy")
        if self._waiting >= MAX_UNINTRODUCED:
            raise NotIntroduced("crowded_out")
        self._waiting += 1
        try:
            with trio.move_on_after(HEADER_SECONDS):
                return await _introduced(accepted)
        finally:
            self._waiting -= 1
        raise NotIntroduced("proxy_header_deadline")


async def _introduced(accepted: Accepted) -> Accepted:
    link, header = accepted.link, ProxyHeader()
    try:
        while header.wanted:
            await link.arrived()
            try:
                data = link.receive_nowait(header.wanted)
            except trio.WouldBlock:
                continue
            if not data:
                raise NotIntroduced("closed_by_peer")
            header.feed(data)
    except trio.BrokenResourceError as error:
        raise NotIntroduced("closed_by_peer") from error
    except ProxyHeaderError as error:
        raise NotIntroduced(error.reason) from error
    link.look_again()
    source = header.source
    return accepted if source is None else evolve(accepted, address=source.address, port=source.port)
