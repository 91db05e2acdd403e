"""One charge point: what it does and why, its power and energy, its messages, configuration and commands."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc.aio
from starlette.responses import Response

from gateway.api.v1 import (
    charge_point_pb2,
    command_pb2,
    diagnostics_pb2,
    event_pb2,
    operation_pb2,
    steering_pb2,
    transaction_pb2,
)
from gateway.console import live
from gateway.console.costs import costs
from gateway.console.curves import power_curve
from gateway.console.figures import moment
from gateway.console.quirks import quirk_rows
from gateway.console.visits import Visit
from gateway.console.words import Situation, command_text, operation_text, sentences

SHOWN: Final = 15
"""Commands, operations and sessions that a page shows, the newest ones; lists have the others."""

FRAMES: Final = 30
"""Messages that a page shows, the newest ones."""

ROOT_READS: Final = 10
"""Newest readings of installed roots that are looked at for the last one of each kind."""

ROOTS: Final = {
    "CentralSystemRootCertificate": "to know the gateway by",
    "ManufacturerRootCertificate": "to know signed firmware by",
}

WORK: Final = (
    ("firmware_update", "Firmware update"),
    ("diagnostics_upload", "Upload of diagnostics"),
    ("log_upload", "Upload of a log"),
)
"""Work that goes on after the charger's answer, by field."""

QUIET: Final = ("meter_values.reported",)
"""Events that come by another stream."""


async def charge_point(visit: Visit) -> Response:
    """The page that support needs."""
    identity = visit.path("identity")
    request = charge_point_pb2.GetChargePointRequest(identity=identity)
    found = (await visit.call(visit.gateway.charge_points.GetChargePoint, request)).charge_point
    parts = await asyncio.gather(_now(visit, found), _history(visit, identity), _rest(visit, found))
    values = {name: value for part in parts for name, value in part.items()}
    values["curve"] = json.dumps(await power_curve(visit, values["newest"], values["steered"])).replace("<", "\\u003c")
    return visit.page("charge_point.html", **values)


async def _now(visit: Visit, found: Any) -> dict[str, Any]:
    """The present: its running sessions, wanted limits, and a sentence about them."""
    identity = found.identity
    gateway = visit.gateway
    listed, steering = await asyncio.gather(
        visit.call(
            gateway.transactions.ListTransactions,
            transaction_pb2.ListTransactionsRequest(charge_point=identity, page_size=SHOWN),
        ),
        visit.person.maybe(gateway.steering.GetSteering, steering_pb2.GetSteeringRequest(charge_point=identity)),
    )
    transactions = list(listed.transactions)
    running = [each for each in transactions if each.state == transaction_pb2.TRANSACTION_STATE_OPEN]
    steered = tuple(steering.connectors) if steering is not None else ()
    current = [await _running(visit, each) for each in running[:4]]
    return {
        "point": found,
        "transactions": transactions,
        "newest": transactions[0] if transactions else None,
        "steered": steered,
        "running": current,
        "sentences": sentences(Situation(found, tuple(running), steered, visit.now)),
    }


async def _running(visit: Visit, transaction: Any) -> dict[str, Any]:
    """A running session, with its cost so far and an estimate of its end."""
    asked = transaction_pb2.GetTransactionRequest(transaction_id=transaction.transaction_id)
    whole = await visit.person.maybe(visit.gateway.transactions.GetTransaction, asked)
    session = transaction if whole is None else whole.transaction
    return {"transaction": session, "bill": await costs(visit, transaction.transaction_id)}


async def _history(visit: Visit, identity: str) -> dict[str, Any]:
    """Commands and operations, the newest first."""
    gateway = visit.gateway
    commands, operations = await asyncio.gather(
        visit.call(
            gateway.commands.ListCommands, command_pb2.ListCommandsRequest(charge_point=identity, page_size=SHOWN)
        ),
        visit.call(
            gateway.operations.ListOperations,
            operation_pb2.ListOperationsRequest(charge_point=identity, page_size=SHOWN),
        ),
    )
    return {
        "commands": [(each, command_text(each)) for each in commands.commands],
        "operations": [(each, operation_text(each)) for each in operations.operations],
    }


async def _rest(visit: Visit, found: Any) -> dict[str, Any]:
    """Messages, refused connections, repairs, the configuration and the roots that were read last, quirks."""
    gateway, identity, maybe = visit.gateway, found.identity, visit.person.maybe
    boot = found.boot
    repairs = diagnostics_pb2.ListDeviationsRequest(
        vendor=boot.vendor, model=boot.model, firmware_version=boot.firmware_version
    )
    frames, refused, deviations, configuration, roots = await asyncio.gather(
        maybe(gateway.diagnostics.ListFrames, diagnostics_pb2.ListFramesRequest(charge_point=identity)),
        maybe(
            gateway.diagnostics.ListRefusedConnections,
            diagnostics_pb2.ListRefusedConnectionsRequest(charge_point=identity, page_size=SHOWN),
        ),
        maybe(gateway.diagnostics.ListDeviations, repairs),
        maybe(gateway.commands.ListCommands, _answered(identity, "GetConfiguration", 1)),
        maybe(gateway.commands.ListCommands, _answered(identity, "GetInstalledCertificateIds", ROOT_READS)),
    )
    return {
        "frames": None if frames is None else list(reversed(frames.frames))[:FRAMES],
        "refused": None if refused is None else refused.refused_connections,
        "deviations": None if deviations is None else deviations.deviations if boot.vendor else (),
        "configuration": _configuration(found, configuration),
        "roots": _roots(roots),
        "quirks": quirk_rows(found),
        "work": [(name, getattr(found, field)) for field, name in WORK if found.HasField(field)],
    }


def _answered(identity: str, operation: str, most: int) -> command_pb2.ListCommandsRequest:
    """The newest commands of a kind that the charger has answered."""
    which = f'operation = "{operation}" AND state = ANSWERED'
    return command_pb2.ListCommandsRequest(charge_point=identity, page_size=most, filter=which)


def _roots(read: Any) -> list[tuple[str, Any, Any]]:
    """The root certificates that the charger has named last, by what they are for: the use, when, and which."""
    newest: dict[str, tuple[str, Any, Any]] = {}
    for command in () if read is None else read.commands:
        use = json.loads(command.arguments_json).get("certificate_use", "")
        answer = command.answer.installed_certificates
        newest.setdefault(use, (ROOTS.get(use, use), moment(command, "finish_time"), answer.certificates))
    return list(newest.values())


def _configuration(found: Any, read: Any) -> dict[str, Any]:
    """The keys that were read last, each with what the platform asks for and whether that differs."""
    asked = {each.key: each for each in found.boot_configuration}
    command = read.commands[0] if read is not None and read.commands else None
    known = {each.key: each for each in command.answer.configuration.keys} if command is not None else {}
    rows = []
    for key in sorted({*asked, *known}):
        wanted, has = asked.get(key), known.get(key)
        value = has.value if has is not None and has.HasField("value") else None
        differs = wanted is not None and (value != wanted.value if has is not None else wanted.status != "Accepted")
        rows.append({"key": key, "has": has, "value": value, "wanted": wanted, "differs": differs})
    return {"rows": rows, "command": command, "read": None if command is None else moment(command, "finish_time")}


async def charge_point_live(visit: Visit) -> Response:
    """Its state, commands and messages again when something has happened; and points of its power."""
    token = live.resume_token(visit.request.headers.get("last-event-id"))

    async def messages() -> AsyncIterator[str]:
        if token:
            try:
                async for each in _happening(visit, token):
                    yield each
            except grpc.aio.AioRpcError as error:
                # A place that the gateway does not know, or does not keep any more: the page shows the present.
                if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE):
                    raise
        async for each in _happening(visit, b""):
            yield each

    return live.response(messages(), visit.console.cookies.left(visit.signed))


async def _happening(visit: Visit, token: bytes) -> AsyncIterator[str]:
    """Messages of a page: fragments that carry where the watch of events stands, and points of the curve."""
    identity, gateway = visit.path("identity"), visit.gateway
    start: dict[str, Any] = {"resume_token": token} if token else {"start_at": event_pb2.WATCH_START_NOW}
    events = event_pb2.WatchEventsRequest(charge_points=[identity], **start)
    meters = event_pb2.WatchMeterValuesRequest(
        charge_points=[identity], measurands=["Power.Active.Import"], start_at=event_pb2.WATCH_START_NOW
    )
    meters.latest_interval.FromSeconds(1)
    watches = {
        "events": visit.person.watch(gateway.events.WatchEvents, events),
        "meters": visit.person.watch(gateway.events.WatchMeterValues, meters),
    }
    place, dirty, shown_at = token, bool(token), 0.0
    loop = asyncio.get_running_loop()
    async for name, each in live.merged(watches):
        if name == "events":
            place = each.resume_token
            dirty = dirty or any(event.type not in QUIET for event in each.events)
        else:
            points = _points(each.samples)
            if points[0]:
                yield live.message("points", points)
                dirty = dirty or loop.time() - shown_at > METERS_SECONDS
        if dirty:
            await asyncio.sleep(max(0.0, shown_at + live.PAUSE_SECONDS - loop.time()))
            dirty, shown_at = False, loop.time()
            yield live.message("fragments", await _fragments(visit, identity), place)


def _points(samples: Any) -> list[list[float]]:
    """Times and kilowatts of power over all phases."""
    found = [each for each in samples if each.HasField("power_watts") and not each.phase]
    return [[each.sample_time.seconds for each in found], [round(each.power_watts / 1000, 3) for each in found]]


METERS_SECONDS: Final = 5.0
"""Between two looks at a charge point that only measures: its energy and the estimate of its end move slowly."""


async def _fragments(visit: Visit, identity: str) -> dict[str, str]:
    request = charge_point_pb2.GetChargePointRequest(identity=identity)
    found = (await visit.call(visit.gateway.charge_points.GetChargePoint, request)).charge_point
    parts = await asyncio.gather(_now(visit, found), _history(visit, identity), _rest(visit, found))
    values = {name: value for part in parts for name, value in part.items()}
    names = ("now", "connectors", "history", "frames")
    return {name: visit.fragment(f"charge_point_{name}.html", **values) for name in names}
