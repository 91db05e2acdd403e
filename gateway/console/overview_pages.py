"""The page of operations: jobs and rollouts, the gateway with its nodes, store and watchers, and the audit."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.responses import Response

from gateway.api.v1 import (
    audit_pb2,
    charge_point_pb2,
    diagnostics_pb2,
    event_pb2,
    fleet_pb2,
    operation_pb2,
    retention_pb2,
    server_pb2,
    steering_pb2,
)
from gateway.console import live
from gateway.console.progress import progress_of, rollouts_of
from gateway.console.visits import Visit
from gateway.console.words import operation_text

SHOWN: Final = 50
"""Entries of each list on the page of operations."""

INSTALLATIONS: Final = 1_000
"""Newest installations of firmware whose rollouts are shown: the longest page of a list."""

CERTIFICATES: Final = 200
"""Chargers' certificates near their end that are shown."""

NEAR_END: Final = timedelta(days=30)
"""As the gateway warns of its own certificates."""

HAPPENING: Final = ("operation.accepted", "operation.advanced", "operation.ended", "wanted.changed", "steering.changed")
"""Events by which the lists of what is newest change."""


async def operations(visit: Visit) -> Response:
    """Jobs, rollouts, operations, plans, certificates, the gateway, its store and nodes, and the audit."""
    parts = await asyncio.gather(_condition(visit), _jobs(visit), _newest(visit))
    return visit.page("operations.html", **{name: value for part in parts for name, value in part.items()})


async def _condition(visit: Visit) -> dict[str, Any]:
    """The gateway that answers, with its store, its watchers and what it serves; and the nodes beside it."""
    gateway, maybe = visit.gateway, visit.person.maybe
    server, retention, status, nodes = await asyncio.gather(
        visit.call(gateway.server.GetServerInfo, server_pb2.GetServerInfoRequest()),
        maybe(gateway.retention.GetRetention, retention_pb2.GetRetentionRequest()),
        maybe(gateway.diagnostics.GetGatewayStatus, diagnostics_pb2.GetGatewayStatusRequest()),
        maybe(gateway.server.ListNodes, server_pb2.ListNodesRequest()),
    )
    return {
        "server": server.server,
        "retention": None if retention is None else retention.retention,
        "condition": None if status is None else status.status,
        "nodes": None if nodes is None else nodes,
    }


async def _jobs(visit: Visit) -> dict[str, Any]:
    """Jobs over the fleet, and rollouts of firmware, with their progress."""
    gateway, maybe = visit.gateway, visit.person.maybe
    installed = operation_pb2.ListOperationsRequest(page_size=INSTALLATIONS, filter="kind = INSTALL_FIRMWARE")
    jobs, firmware = await asyncio.gather(
        maybe(gateway.fleet.ListFleetJobs, fleet_pb2.ListFleetJobsRequest()),
        maybe(gateway.operations.ListOperations, installed),
    )
    return {
        "jobs": None if jobs is None else [(each, *progress_of(each)) for each in jobs.fleet_jobs],
        "rollouts": () if firmware is None else rollouts_of(firmware.operations, jobs.fleet_jobs if jobs else ()),
    }


async def _newest(visit: Visit) -> dict[str, Any]:
    """The newest operations, limits and plans, and the audit."""
    gateway, maybe = visit.gateway, visit.person.maybe
    listed, steering, audit = await asyncio.gather(
        maybe(gateway.operations.ListOperations, operation_pb2.ListOperationsRequest(page_size=SHOWN)),
        maybe(gateway.steering.ListSteering, steering_pb2.ListSteeringRequest(page_size=SHOWN)),
        maybe(gateway.audit.ListAudit, audit_pb2.ListAuditRequest(page_size=SHOWN)),
    )
    return {
        "operations": () if listed is None else [(each, operation_text(each)) for each in listed.operations],
        "steering": () if steering is None else steering.steering,
        "audit": None if audit is None else audit.entries,
    }


async def operations_live(visit: Visit) -> Response:
    """The newest again when something has happened; the gateway and its jobs with each summary of the fleet."""
    gateway = visit.gateway

    async def messages() -> AsyncIterator[str]:
        events = event_pb2.WatchEventsRequest(types=HAPPENING, start_at=event_pb2.WATCH_START_NOW)
        watches = {
            "events": visit.person.watch(gateway.events.WatchEvents, events),
            "summary": visit.person.watch(gateway.fleet.WatchFleetSummary, fleet_pb2.WatchFleetSummaryRequest()),
        }
        loop = asyncio.get_running_loop()
        shown_at = 0.0
        async for name, each in live.merged(watches):
            if name == "summary":
                condition, jobs = await asyncio.gather(_condition(visit), _jobs(visit))
                yield _fragments(visit, {"condition": condition, "jobs": jobs})
            elif each.events:
                await asyncio.sleep(max(0.0, shown_at + live.PAUSE_SECONDS - loop.time()))
                shown_at = loop.time()
                yield _fragments(visit, {"newest": await _newest(visit)})

    return live.response(messages(), visit.console.cookies.left(visit.signed))


def _fragments(visit: Visit, parts: dict[str, dict[str, Any]]) -> str:
    html = {name: visit.fragment(f"operations_{name}.html", **values) for name, values in parts.items()}
    return live.message("fragments", html)


async def certificates(visit: Visit) -> Response:
    """Chargers' certificates that are near their end, those that end first before the others."""
    near = (datetime.now(UTC) + NEAR_END).isoformat(timespec="seconds")
    request = charge_point_pb2.ListChargePointsRequest(
        page_size=CERTIFICATES,
        filter=f'certificate_expire_time < "{near}"',
        order_by="certificate_expire_time",
    )
    found = await visit.call(visit.gateway.charge_points.ListChargePoints, request)
    template = "certificates_list.html" if visit.in_a_page else "certificates.html"
    return visit.page(template, charge_points=found.charge_points, more=bool(found.next_page_token))
