"""Operations: one with its stages as they come, commands, and jobs over the fleet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import grpc.aio
from starlette.responses import Response

from gateway.api.v1 import command_pb2, event_pb2, fleet_pb2, operation_pb2
from gateway.client import problem_of
from gateway.console import live
from gateway.console.action_pages import under_way
from gateway.console.progress import progress_of
from gateway.console.visits import Visit
from gateway.console.words import command_text, may_be_done, operation_text

ITEMS: Final = 200
"""Charge points of a job on one page."""

PROGRESS: Final = ("operation.accepted", "operation.advanced", "operation.ended")
"""Events by which charge points of a job come further."""


COURSE: Final = ("command.queued", "command.sent", "command.answered", "command.not_sent", "command.outcome_unknown")
"""Events by which a command comes further."""

NOT_YET: Final = (
    "The gateway has not recorded it yet: it is not known yet whether it is sent. This page shows it as soon as it is "
    "known; without scripts, load the page anew."
)

NO_COMMAND: Final = (
    "There is no such command at the gateway. If its form was sent a moment ago, it is not known whether it was "
    "done; this page shows it if it comes."
)

IN_DOUBT: Final = "It is not known whether it was done:"

REFUSED: Final = "The gateway refused it, and nothing was done:"


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
    """A command and what became of it; a page that waits for it where the gateway does not know it yet."""
    sending = under_way(*_form_of(visit))
    try:
        found = (await visit.call(visit.gateway.commands.GetCommand, _command_request(visit))).command
    except grpc.aio.AioRpcError as error:
        if not _is_unknown(error):
            raise
        return _awaited(visit, sending is not None)
    return visit.page("command.html", command=found, text=command_text(found))


def _form_of(visit: Visit) -> tuple[str, str]:
    """The charge point and the request id of a command's page."""
    return visit.path("identity"), unquote(visit.path("request_id"))


def _is_unknown(error: grpc.aio.AioRpcError) -> bool:
    """Return true where the gateway has no such command, and the charge point may be known."""
    return problem_of(error).reason == "UNKNOWN_COMMAND"


def _awaited(visit: Visit, sending: bool) -> Response:
    """The page of a command that the gateway does not know: not yet, while it is being sent from here."""
    identity, request_id = _form_of(visit)
    status = HTTPStatus.ACCEPTED if sending else HTTPStatus.NOT_FOUND
    return visit.page(
        "command_awaited.html",
        status,
        identity=identity,
        request_id=request_id,
        text=NOT_YET if sending else NO_COMMAND,
        again=not sending,
    )


async def command_live(visit: Visit) -> Response:
    """The command again whenever it has got further, until it has its outcome."""
    watched = event_pb2.WatchEventsRequest(
        charge_points=[visit.path("identity")], types=COURSE, start_at=event_pb2.WATCH_START_NOW
    )
    sending = under_way(*_form_of(visit))

    async def messages() -> AsyncIterator[str]:
        # The first response comes at once: what came before the watch began is read after it.
        watches: dict[str, AsyncIterator[Any]] = {
            "events": visit.person.watch(visit.gateway.events.WatchEvents, watched)
        }
        if sending is not None:
            watches["sending"] = _end_of(sending)
        async with aclosing(live.merged(watches)) as merged:
            async for name, each in merged:
                try:
                    found = (await visit.call(visit.gateway.commands.GetCommand, _command_request(visit))).command
                except grpc.aio.AioRpcError as error:
                    if not _is_unknown(error):
                        raise
                    if name != "sending":
                        continue
                    problem = problem_of(each)
                    in_doubt = may_be_done(problem)
                    text = f"{IN_DOUBT if in_doubt else REFUSED} {problem.message}"
                    html = visit.fragment("command_awaited_state.html", text=text, again=in_doubt)
                    yield live.message("fragments", {"state": html})
                    if in_doubt:
                        continue  # it may be recorded all the same
                    break
                html = visit.fragment("command_state.html", command=found, text=command_text(found))
                yield live.message("fragments", {"state": html})
                if found.HasField("finish_time"):
                    break
        yield live.message("end", {})

    return live.response(messages(), visit.console.cookies.left(visit.signed))


async def _end_of(sending: asyncio.Task[grpc.aio.AioRpcError | None]) -> AsyncIterator[grpc.aio.AioRpcError]:
    """The error in which a command that is being sent ends, if it does; goes on for ever. A page that is closed ends
    nothing of it."""
    error = await asyncio.shield(sending)
    if error is not None:
        yield error
    await asyncio.Event().wait()
