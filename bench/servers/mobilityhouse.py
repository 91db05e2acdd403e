"""``websockets`` on asyncio and mobilityhouse's ``ocpp``, put together as their documentation shows.

All that has a default keeps it: requests and confirmations are validated (in the loop's default executor), pings are
sent every 20 s, the collector is CPython's. Two things are done in its favour: its loggers stay at WARNING, where the
examples log every message at INFO, and handlers return at once.
"""

import asyncio
import sys
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from bench.servers import work

_transactions = count(1)


def _now() -> str:
    return datetime.now(UTC).isoformat()


class Charger(ChargePoint):
    """One charger, its messages answered at once."""

    @on(Action.boot_notification)
    def on_boot_notification(self, **_: Any) -> call_result.BootNotification:
        return call_result.BootNotification(current_time=_now(), interval=300, status=RegistrationStatus.accepted)

    @on(Action.heartbeat)
    def on_heartbeat(self) -> call_result.Heartbeat:
        return call_result.Heartbeat(current_time=_now())

    @on(Action.status_notification)
    def on_status_notification(self, **_: Any) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @on(Action.start_transaction)
    def on_start_transaction(self, **_: Any) -> call_result.StartTransaction:
        return call_result.StartTransaction(
            transaction_id=next(_transactions), id_tag_info=IdTagInfo(status=AuthorizationStatus.accepted)
        )

    @on(Action.stop_transaction)
    def on_stop_transaction(self, **_: Any) -> call_result.StopTransaction:
        return call_result.StopTransaction()

    @on(Action.meter_values)
    def on_meter_values(self, **_: Any) -> call_result.MeterValues:
        return call_result.MeterValues()


def process_request(connection: ServerConnection, request: Request) -> Response | None:
    """Basic authentication (keys are raw bytes, which the library's own ``basic_auth`` would refuse)."""
    if work.admitted(request.path.rpartition("/")[2], request.headers.get("Authorization")):
        return None
    return connection.respond(HTTPStatus.UNAUTHORIZED, "credentials required\n")


async def on_connect(connection: ServerConnection) -> None:
    """For every charger that connects."""
    if connection.subprotocol is None or connection.request is None:
        await connection.close()
        return
    try:
        await Charger(connection.request.path.rpartition("/")[2], connection).start()
    except ConnectionClosed:
        pass


async def run(certificates: Path) -> None:
    server = await serve(
        on_connect,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("ocpp1.6")],
        ssl=work.tls(certificates),
        process_request=process_request,
    )
    work.ready(next(iter(server.sockets)).getsockname()[1])
    await server.wait_closed()


def main() -> int:
    asyncio.run(run(work.options(__doc__).certificates))
    return 0


if __name__ == "__main__":
    sys.exit(main())
