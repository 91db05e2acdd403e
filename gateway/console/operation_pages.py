"""Operations: one with its stages as they come, commands, and jobs over the fleet."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import unquote

from starlette.responses import Response

from gateway.api.v1 import command_pb2, event_pb2, fleet_pb2, operation_pb2
from gateway.console import live
from gateway.console.progress import progress_of
from gateway.console.visits import Visit
from gateway.console.words import command_text, operation_text

ITEMS: Final = 200
"""Charge points of a job on one page."""

PROGRESS: Final = ("operation.accepted", "operation.advanced", "operation.ended")
"""Events by which charge points of a job come further."""


async def job(visit: Visit) -> Response:
    """A job over many charge points, and what became of each."""
    request = fleet_pb2.GetFleetJobRequest(fleet_job_id=visit.path("job_id"))
    found, listed = await asyncio.gather(visit.call(visit.gateway.fleet.GetFleetJob, request), _items(visit))
    done, total = progress_of(found.fleet_job)
    return visit.page(
        "job.html",
        job=found.fleet_job,
        done=done,
        total=total,
        items=listed.items,
        page=visit.query("page"),
        next_page=listed.next_page_token,
    )


async def _items(visit: Visit) -> fleet_pb2.ListFleetJobItemsResponse:
    """A page of what became of a job's charge points."""
    request = fleet_pb2.ListFleetJobItemsRequest(
        fleet_job_id=visit.path("job_id"), page_token=visit.query("page"), page_size=ITEMS
    )
    found: fleet_pb2.ListFleetJobItemsResponse = await visit.call(visit.gateway.fleet.ListFleetJobItems, request)
    return found


async def job_live(visit: Visit) -> Response:
    """Its progress, and that of its charge points, until it has ended."""
    request = fleet_pb2.WatchFleetJobRequest(fleet_job_id=visit.path("job_id"))
    advanced = event_pb2.WatchEventsRequest(types=PROGRESS, start_at=event_pb2.WATCH_START_NOW)

    async def messages() -> AsyncIterator[str]:
        watches = {
            "job": visit.person.watch(visit.gateway.fleet.WatchFleetJob, request),
            "events": visit.person.watch(visit.gateway.events.WatchEvents, advanced),
        }
        loop = asyncio.get_running_loop()
        html, shown_at = {"progress": ""}, 0.0
        async for name, each in live.merged(watches):
            if name == "job":
                done, total = progress_of(each.fleet_job)
                html["progress"] = visit.fragment("job_progress.html", job=each.fleet_job, done=done, total=total)
            elif not each.events or not html["progress"]:
                continue
            await asyncio.sleep(max(0.0, shown_at + live.PAUSE_SECONDS - loop.time()))
            shown_at = loop.time()
            html["items"] = visit.fragment("job_items.html", items=(await _items(visit)).items)
            yield live.message("fragments", html)
        yield live.message("end", {})

    return live.response(messages(), visit.console.cookies.left(visit.signed))


async def operation(visit: Visit) -> Response:
    """An operation and its stages."""
    request = operation_pb2.GetOperationRequest(operation_id=visit.path("operation_id"))
    found = (await visit.call(visit.gateway.operations.GetOperation, request)).operation
    return visit.page("operation.html", operation=found, text=operation_text(found))


async def operation_live(visit: Visit) -> Response:
    """Its stages as they are reached, until it has ended."""
    request = operation_pb2.WatchOperationRequest(operation_id=visit.path("operation_id"))

    async def messages() -> AsyncIterator[str]:
        async for each in visit.person.watch(visit.gateway.operations.WatchOperation, request):
            found = each.operation
            html = visit.fragment("operation_stages.html", operation=found, text=operation_text(found))
            yield live.message("fragments", {"stages": html})
        yield live.message("end", {})

    return live.response(messages(), visit.console.cookies.left(visit.signed))


def _command_request(visit: Visit) -> command_pb2.GetCommandRequest:
    return command_pb2.GetCommandRequest(
        charge_point=visit.path("identity"), request_id=unquote(visit.path("request_id"))
    )


async def command(visit: Visit) -> Response:
    """A command and what became of it."""
    found = (await visit.call(visit.gateway.commands.GetCommand, _command_request(visit))).command
    return visit.page("command.html", command=found, text=command_text(found))


async def command_live(visit: Visit) -> Response:
    """The command again whenever it has got further, until it has its outcome."""
    identity = visit.path("identity")
    watched = event_pb2.WatchEventsRequest(
        charge_points=[identity],
        types=["command.sent", "command.answered", "command.not_sent", "command.outcome_unknown"],
        start_at=event_pb2.WATCH_START_NOW,
    )

    async def messages() -> AsyncIterator[str]:
        # The first response comes at once: what came before the watch began is read after it.
        stream: Any = visit.person.watch(visit.gateway.events.WatchEvents, watched)
        try:
            async for _ in stream:
                found = (await visit.call(visit.gateway.commands.GetCommand, _command_request(visit))).command
                html = visit.fragment("command_state.html", command=found, text=command_text(found))
                yield live.message("fragments", {"state": html})
                if found.HasField("finish_time"):
                    break
        finally:
            stream.cancel()
        yield live.message("end", {})

    return live.response(messages(), visit.console.cookies.left(visit.signed))
