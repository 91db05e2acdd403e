"""Actions: a form that says beforehand what will happen, and the way to where it is followed."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import grpc.aio
from starlette.responses import RedirectResponse, Response

from gateway.api.v1 import charge_point_pb2, transaction_pb2
from gateway.client import new_request_id, problem_of
from gateway.console.action_table import ACTIONS, COMMAND, OPERATION, Action
from gateway.console.calls import COMMAND_SECONDS
from gateway.console.form_fields import FieldError, text, whole
from gateway.console.visits import STATUSES, Visit, in_path

AT_ONCE_SECONDS: Final = 1.0
"""For a command's first answer: what is refused is said on the form, and what takes longer is followed on its page."""

MAX_UNDER_WAY: Final = 200
"""Commands that go on while their pages follow them."""

UNDER_WAY: Final[dict[asyncio.Task[Any], tuple[str, str]]] = {}
"""Each with its charge point and request id. Kept, for a task that nothing holds may be collected. The gateway has the
outcome of each."""


def under_way(identity: str, request_id: str) -> asyncio.Task[grpc.aio.AioRpcError | None] | None:
    """Return the task that sends a command of a form, while it goes on: the gateway may not know the command yet."""
    return next((task for task, of in UNDER_WAY.items() if of == (identity, request_id)), None)


async def form(visit: Visit) -> Response:
    """The form of an action, with what is known of the charge point."""
    action = ACTIONS.get(visit.path("action"))
    if action is None:
        return await missing(visit)
    return await _form(visit, action, dict(visit.request.query_params))


async def missing(visit: Visit) -> Response:
    """A page for an address that there is not."""
    return visit.page("problem.html", 404, title="There is no such page", problem=None, away=False, in_doubt=False)


async def _form(
    visit: Visit, action: Action, values: Mapping[str, str], wrong: Mapping[str, str] | None = None, refusal: Any = None
) -> Response:
    request = charge_point_pb2.GetChargePointRequest(identity=visit.path("identity"))
    found = await visit.call(visit.gateway.charge_points.GetChargePoint, request)
    open_ = transaction_pb2.ListTransactionsRequest(
        charge_point=visit.path("identity"), state=transaction_pb2.TRANSACTION_STATE_OPEN, page_size=10
    )
    running = await visit.call(visit.gateway.transactions.ListTransactions, open_)
    status = 200
    if wrong:
        status = HTTPStatus.BAD_REQUEST
    elif refusal is not None:
        status = STATUSES.get(refusal.code, HTTPStatus.BAD_GATEWAY)
    return visit.page(
        "action.html",
        status,
        action=action,
        point=found.charge_point,
        running=running.transactions,
        values=values,
        wrong=wrong or {},
        refusal=refusal,
        request_id=_request_id(values, refusal),
    )


def _request_id(values: Mapping[str, str], refusal: Any) -> str:
    """The form's own, by which a second click is the same request; another one where it belongs to another request."""
    used_up = refusal is not None and refusal.reason == "REQUEST_ID_REUSED"
    return new_request_id() if used_up else values.get("request_id") or new_request_id()


async def act(visit: Visit) -> Response:
    """Ask for an action. The form's request id makes a second click, or a reload, the same request."""
    action = ACTIONS.get(visit.path("action"))
    if action is None:
        return await missing(visit)
    identity = visit.path("identity")
    try:
        request_id = text(visit.form, "request_id", 64)
        request = action.request(identity, request_id, visit.form)
    except FieldError as error:
        return await _form(visit, action, visit.form, {error.field: error.reason})
    place = f"/charge-points/{quote(identity, '')}"
    try:
        if action.ends == COMMAND:
            await _send(visit, action, request)
            return _to(f"{place}/commands/{in_path(request_id)}")
        answered = await visit.call(action.rpc(visit.gateway), request)
    except grpc.aio.AioRpcError as error:
        problem = problem_of(error)
        if problem.code is grpc.StatusCode.UNAUTHENTICATED:
            raise
        return await _form(visit, action, visit.form, refusal=problem)
    if action.ends == OPERATION:
        return _to(f"/operations/{quote(answered.operation.operation_id, '')}")
    return _to(f"{place}#plan")


async def _send(visit: Visit, action: Action, request: Any) -> None:
    """Send a command, and wait a moment for what is refused at once. Raises AioRpcError where there is no command."""
    if len(UNDER_WAY) >= MAX_UNDER_WAY:
        await asyncio.wait(UNDER_WAY, return_when=asyncio.FIRST_COMPLETED)
    task = asyncio.create_task(_sent(visit, action, request))
    UNDER_WAY[task] = (visit.path("identity"), request.request_id)
    task.add_done_callback(UNDER_WAY.pop)
    done, _ = await asyncio.wait((task,), timeout=AT_ONCE_SECONDS)
    error = task.result() if done else None
    if error is not None and "command_id" not in problem_of(error).metadata:
        raise error


async def _sent(visit: Visit, action: Action, request: Any) -> grpc.aio.AioRpcError | None:
    """The error in which a command ended, if it did: the command's page says what it means."""
    try:
        await visit.person.call(action.rpc(visit.gateway), request, COMMAND_SECONDS)
    except grpc.aio.AioRpcError as error:
        return error
    return None


def _to(place: str) -> Response:
    return RedirectResponse(place, HTTPStatus.SEE_OTHER)


# --- records of sessions ----------------------------------------------------------------------------------------


async def close_form(visit: Visit) -> Response:
    """The form that ends a session's record."""
    return await _close_form(visit, {})


async def _close_form(visit: Visit, wrong: Mapping[str, str], refusal: Any = None) -> Response:
    request = transaction_pb2.GetTransactionRequest(transaction_id=visit.path("transaction_id"))
    found = (await visit.call(visit.gateway.transactions.GetTransaction, request)).transaction
    status = HTTPStatus.BAD_REQUEST if wrong else 200
    if refusal is not None:
        status = STATUSES.get(refusal.code, HTTPStatus.BAD_GATEWAY)
    return visit.page("close.html", status, session=found, values=visit.form, wrong=wrong, refusal=refusal)


async def close(visit: Visit) -> Response:
    """End a session's record; nothing is sent to the charger."""
    try:
        request = transaction_pb2.CloseTransactionRequest(
            transaction_id=visit.path("transaction_id"), reason=text(visit.form, "reason", 200)
        )
        if visit.form.get("meter", "").strip():
            request.meter_stop_watt_hours = whole(visit.form, "meter", 0, 2**53)
        request.insist = "insist" in visit.form
    except FieldError as error:
        return await _close_form(visit, {error.field: error.reason})
    try:
        await visit.call(visit.gateway.transactions.CloseTransaction, request)
    except grpc.aio.AioRpcError as error:
        problem = problem_of(error)
        if problem.code is grpc.StatusCode.UNAUTHENTICATED:
            raise
        return await _close_form(visit, {}, problem)
    return _to(f"/sessions/{quote(request.transaction_id, '')}")


async def attribute(visit: Visit) -> Response:
    """Tie a stop that belongs to no session to one."""
    request = transaction_pb2.AttributeOrphanRequest(
        orphan_event_id=visit.form.get("orphan", ""),
        transaction_id=visit.form.get("transaction_id", "").strip(),
        reason=visit.form.get("reason", "").strip(),
        request_id=visit.form.get("request_id") or new_request_id(),
    )
    await visit.call(visit.gateway.transactions.AttributeOrphan, request)
    return _to(f"/sessions/{quote(request.transaction_id, '')}")
