"""A visit: one request of one person, with what its page needs. ``route`` puts a page behind the sign-in."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import grpc.aio
from attrs import field, frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from gateway.api.v1 import (
    audit_pb2,
    command_pb2,
    common_pb2,
    diagnostics_pb2,
    energy_pb2,
    fleet_pb2,
    operation_pb2,
    reading_pb2,
    server_pb2,
    steering_pb2,
    transaction_pb2,
)
from gateway.client import problem_of
from gateway.console import figures
from gateway.console.action_table import ACTIONS
from gateway.console.calls import Gateway, Person
from gateway.console.cookies import NAME, Cookies, SignedIn
from gateway.console.settings import ConsoleSettings
from gateway.console.words import limit_text, may_be_done

HERE: Final = Path(__file__).parent

FRAGMENT: Final = "x-fragment"
"""The header by which a page's script asks for a part of a page: without it an address answers with a whole one."""

FILLING: Final = "filling"
"""Its value where the page fills in a part by itself; any other is for what a person asks for."""

MAX_FORM: Final = 64 * 1024
"""Bytes of a form: the longest has a certificate and a signature, of 6 kB."""

MAX_FIELDS: Final = 100
"""Fields of a form or a query."""

STATUSES: Final = {
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
"""HTTP's word for a gateway's; others are 502."""


@frozen
class Console:
    """Everything that all visits share."""

    settings: ConsoleSettings
    gateway: Gateway
    cookies: Cookies
    pages: Environment

    async def open_to_all(self) -> bool:
        """Return true if the gateway lets in everybody: a trial needs no sign-in."""
        try:
            asked = Person(self.gateway, "").call(self.gateway.server.GetServerInfo, server_pb2.GetServerInfoRequest())
            return not (await asked).server.callers_required
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                return False
            raise


@frozen
class Visit:
    """One request. ``signed``: the person's session."""

    console: Console
    request: Request
    signed: SignedIn
    person: Person
    form: Mapping[str, str] = field(factory=dict)

    @property
    def gateway(self) -> Gateway:
        """The gateway's stubs."""
        return self.console.gateway

    @property
    def now(self) -> datetime:
        """The wall clock."""
        return datetime.now(UTC)

    def query(self, name: str) -> str:
        """A field of the query; empty: it is not there."""
        return self.request.query_params.get(name, "").strip()

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    @property
    def in_a_page(self) -> bool:
        """True where a page's script asks, for a part of that page."""
        return FRAGMENT in self.request.headers

    async def call(self, rpc: Any, request: Any) -> Any:
        """Read something as this person."""
        return await self.person.call(rpc, request)

    def fragment(self, template: str, **values: Any) -> str:
        """A part of a page."""
        return self.console.pages.get_template(template).render(**values, **self._common())

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page."""
        return HTMLResponse(self.fragment(template, **values), status)

    def _common(self) -> dict[str, Any]:
        return {
            "path": self.request.url.path,
            "form_token": self.console.cookies.form_token(self.signed),
            "signed_in": bool(self.signed.token),
            "now": self.now,
        }


ENUMS: Final = SimpleNamespace(
    AuditOutcome=audit_pb2.AuditOutcome,
    ChargingState=reading_pb2.ChargingState,
    CommandState=command_pb2.CommandState,
    EnergyQuality=energy_pb2.EnergyQuality,
    EnergyState=common_pb2.EnergyState,
    FleetEnd=fleet_pb2.FleetEnd,
    FleetOutcome=fleet_pb2.FleetOutcome,
    FrameKind=diagnostics_pb2.FrameKind,
    NodeState=server_pb2.NodeState,
    OperationEnd=operation_pb2.OperationEnd,
    OperationKind=operation_pb2.OperationKind,
    OperationStage=operation_pb2.OperationStage,
    QualityFlag=common_pb2.QualityFlag,
    SteeringState=steering_pb2.SteeringState,
    TransactionState=transaction_pb2.TransactionState,
)
"""Enums whose values templates put into words."""

Page = Callable[[Visit], Awaitable[Response]]


def in_path(name: str) -> str:
    """Return a name of any characters as a part of a path: a slash of it has to outlive the server, which decodes paths
    once."""
    return quote(quote(name, ""), "")


def environment() -> Environment:
    """The templates, with everything that is put into them escaped."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters.update(figures.FILTERS)
    made.globals.update(
        word=figures.word,
        kind=figures.kind,
        moment=figures.moment,
        quote=lambda text: quote(text, ""),
        in_path=in_path,
        limit_text=limit_text,
        may_be_done=may_be_done,
        actions=ACTIONS,
        enum=ENUMS,
    )
    return made


def route(page: Page) -> Callable[[Request], Awaitable[Response]]:
    """Put a page behind the sign-in, and its errors into words."""

    async def answer(request: Request) -> Response:
        console: Console = request.app.state.console
        signed = console.cookies.read(request.cookies.get(NAME, ""))
        try:
            if signed is None and not await console.open_to_all():
                return to_sign_in(request)
        except grpc.aio.AioRpcError as error:
            return failed(Visit(console, request, console.cookies.new(""), Person(console.gateway, "")), error)
        fresh = signed is None
        signed = signed or console.cookies.new("")
        visit = Visit(console, request, signed, Person(console.gateway, signed.token))
        if request.method == "POST":
            form = await read_form(request)
            if form is None:
                return PlainTextResponse("the form is too large\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            if fresh or not console.cookies.is_form_of(signed, form.get("form_token", "")):
                return PlainTextResponse("this form is of another session: go back and load the page anew\n", 403)
            visit = Visit(console, request, signed, visit.person, form)
        try:
            answered = await page(visit)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                return to_sign_in(request, refused=bool(signed.token))
            answered = failed(visit, error)
        renewed = signed if fresh else console.cookies.renewed(signed)
        if renewed is not None and not by_itself(request):
            set_cookie(console, answered, renewed)
        return answered

    return answer


def is_stream(request: Request) -> bool:
    """Return true for a stream of a page's live parts, which a browser takes up again and again."""
    return request.headers.get("accept", "").startswith("text/event-stream")


def by_itself(request: Request) -> bool:
    """Return true for what an open page asks for without its person: that keeps no session from its end, else a
    forgotten page would never be signed out."""
    return is_stream(request) or request.headers.get(FRAGMENT) == FILLING


def to_sign_in(request: Request, refused: bool = False) -> Response:
    """Lead to the sign-in, and back to where a person wanted to go; a stream ends instead."""
    if is_stream(request) or request.method != "GET":
        return PlainTextResponse("sign in first\n", HTTPStatus.UNAUTHORIZED)
    to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    answered = RedirectResponse(f"/sign-in?to={quote(to, '')}{'&refused=1' if refused else ''}", HTTPStatus.SEE_OTHER)
    if refused:
        answered.delete_cookie(NAME)
    return answered


def set_cookie(console: Console, answered: Response, signed: SignedIn) -> None:
    """Give a person's session to the browser: to this site alone, and to none of its scripts."""
    answered.set_cookie(
        NAME,
        console.cookies.write(signed),
        max_age=int(console.settings.absolute),
        secure=console.settings.secure,
        httponly=True,
        samesite="strict",
    )


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of a form, the last of each name; None: it is too large, or its end never comes."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_FORM:
                return None
    except ClientDisconnect:
        return None
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        return None


def failed(visit: Visit, error: grpc.aio.AioRpcError) -> Response:
    """The gateway's refusal as a page."""
    problem = problem_of(error)
    status = STATUSES.get(problem.code, HTTPStatus.BAD_GATEWAY)
    away = problem.code is grpc.StatusCode.UNAVAILABLE and not problem.reason
    in_doubt = visit.request.method == "POST" and may_be_done(problem)
    title = "The gateway can't be reached" if away else TITLES.get(status, "The gateway refused it")
    if in_doubt:
        title = "It is not known whether it was done"
    return visit.page("problem.html", status, title=title, problem=problem, away=away, in_doubt=in_doubt)


TITLES: Final = {
    HTTPStatus.NOT_FOUND: "There is no such thing",
    HTTPStatus.FORBIDDEN: "Your role does not allow it",
    HTTPStatus.BAD_REQUEST: "That can't be",
}
