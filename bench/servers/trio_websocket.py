"""trio-websocket over ``trio.SSLStream``, as its documentation shows, with the same work as ``bare``."""

import sys
from pathlib import Path

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, WebSocketServer, serve_websocket

from bench.servers import work


async def handle(request: WebSocketRequest) -> None:
    """One charger: admit, then answer until the end."""
    headers = {name.lower(): value.decode("latin-1") for name, value in request.headers}
    if not work.admitted(request.path.rpartition("/")[2], headers.get(b"authorization")):
        await request.reject(401)
        return
    connection = await request.accept(subprotocol="ocpp1.6" if "ocpp1.6" in request.proposed_subprotocols else None)
    try:
        while True:
            message = await connection.get_message()
            if isinstance(message, bytes):
                await connection.aclose(1003, "binary messages are not accepted")
                return
            await connection.send_message(work.answer(message.encode()).decode())
    except (ConnectionClosed, work.Unanswerable):
        pass


async def serve(certificates: Path) -> None:
    async with trio.open_nursery() as nursery:
        server: WebSocketServer = await nursery.start(serve_websocket, handle, "127.0.0.1", 0, work.tls(certificates))
        work.ready(server.port)


def main() -> int:
    options = work.options(__doc__)
    work.tune()
    trio.run(serve, options.certificates)
    return 0


if __name__ == "__main__":
    sys.exit(main())
