"""The gateway's own transport with the least behind it: what its promises cost over ``bare``.

The listener, the limits and the reading of the upgrade request are the gateway's; only how fast one peer may be is
raised, as it is for the gateway itself under load.
"""

import sys
from pathlib import Path

import trio

from bench.servers import work
from gateway.transport.api import Accept, ConnectionClosed, Rejection, Transport, UpgradeRequest
from gateway.transport.authentication import claim, select_subprotocol
from gateway.transport.certificate_files import CertificateFiles
from gateway.transport.limits import Limits
from gateway.transport.listener import Listener
from gateway.transport.tls import TlsFiles, TlsProvider

UNLIMITED = 100_000.0
"""Messages a second from one peer: a closed loop is faster than any charger may be."""


async def admit(request: UpgradeRequest) -> Accept | Rejection:
    """Admit any peer with an identity and a password."""
    claimed = claim(request, "/ocpp")
    if isinstance(claimed, Rejection):
        return claimed
    chosen = select_subprotocol(request.offered, ("ocpp1.6",))
    return chosen if isinstance(chosen, Rejection) else Accept(claimed.identity, chosen)


async def handle(transport: Transport, _: object) -> None:
    """Answer until the end."""
    try:
        while True:
            await transport.send(work.answer(await transport.receive()))
    except (ConnectionClosed, work.Unanswerable):
        pass


def provider(certificates: Path) -> TlsProvider:
    return TlsProvider(
        TlsFiles(
            tuple(
                CertificateFiles(certificates / f"server-{kind}.pem", certificates / f"server-{kind}.key")
                for kind in ("ecdsa", "rsa")
            )
        )
    )


async def serve(certificates: Path) -> None:
    listener = Listener(
        name="bench",
        host="127.0.0.1",
        port=0,
        tls=provider(certificates),
        admit=admit,
        handle=handle,
        limits=Limits(messages_per_second=UNLIMITED, frames_per_second=UNLIMITED),
    )
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(listener.serve)
        work.ready(addresses[0][1])


def main() -> int:
    options = work.options(__doc__)
    work.tune()
    trio.run(serve, options.certificates)
    return 0


if __name__ == "__main__":
    sys.exit(main())
