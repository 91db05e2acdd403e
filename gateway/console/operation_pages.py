"""Operations: one with its stages as they come, commands, and jobs over the fleet."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response

from gateway.api.v1 import command_pb2, event_pb2, fleet_pb2, operation_pb2
from gateway.console import live
from gateway.console.progress import progress_of
from gateway.console.visits import Visit
from gateway.console.words import command_text, operation_text


async def job(visit: Visit) -> Response:
    """A job over many charge points, and what became of each."""
    identity = visit.path("job_id")
    request = fleet_pb2.GetFleetJobRequest(fleet_job_id=identity)
    items = fleet_pb2.ListFleetJobItemsRequest(fleet_job_id=identity, page_token=visit.query("page"), page_size=200)
    found, listed = await asyncio.gather(
        visit.call(visit.gateway.fleet.GetFleetJob, request),
        visit.call(visit.gateway.fleet.ListFleetJobItems, items),
    )
    done, total = progress_of(found.fleet_job)
    return visit.page(
        "job.html", job=found.fleet_job, done=done, total=total, items=listed.items, next_page=listed.next_page_token
    )


async def job_live(visit: Visit) -> Response:
    """Its progress, until it has ended."""
    request = fleet_pb2.WatchFleetJobRequest(fleet_job_id=visit.path("job_id"))

    async def messages() -> AsyncIterator[str]:
        async for each in visit.person.watch(visit.gateway.fleet.WatchFleetJob, request):
            done, total = progress_of(each.fleet_job)
            html = visit.fragment("job_progress.html", job=each.fleet_job, done=done, total=total)
            yield live.message("fragments", {"progress": html})
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
    return command_pb2.GetCommandRequest(charge_point=visit.path("identity"), request_id=visit.path("request_id"))


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
