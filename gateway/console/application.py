"""The application: its addresses, and the headers that hold browsers to this site."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import time
from typing import Any, Final
from urllib.parse import urlsplit

import grpc.aio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.v1 import server_pb2
from gateway.client import problem_of
from gateway.console import (
    action_pages,
    charge_point_pages,
    fleet_pages,
    operation_pages,
    overview_pages,
    session_pages,
)
from gateway.console.calls import Gateway, Person
from gateway.console.cookies import MAX_TOKEN, NAME, Cookies
from gateway.console.settings import ConsoleSettings, is_loopback
from gateway.console.visits import HERE, Console, Page, Visit, environment, read_form, route, set_cookie

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing of other sites is loaded, and no script or style stands in a page itself."""

SECURITY_HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)

UNENCRYPTED_HOSTS: Final = "this console is served on loopback: open it by localhost or 127.0.0.1\n"


class Guard:
    """Refuses requests by another host's name, and changes that another site asked for, before any page sees them."""

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        self._app = app
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers(request)]
            await send(message)

        refusal = self._refusal(request)
        await (self._app if refusal is None else refusal)(scope, receive, guarded)

    def _headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        headers = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS]
        if self._secure:
            headers.append((b"strict-transport-security", b"max-age=31536000"))
        if not request.url.path.startswith("/static/"):
            headers.append((b"cache-control", b"no-store"))
        return headers

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        # A name of another's that leads here (DNS rebinding) would let that site's scripts read pages.
        if not self._secure and not is_loopback(_place(f"//{host}")[1]):
            return PlainTextResponse(UNENCRYPTED_HOSTS, HTTPStatus.MISDIRECTED_REQUEST)
        if request.method in ("GET", "HEAD"):
            return None
        origin = request.headers.get("origin")
        foreign = origin is not None and _place(origin)[0] != host
        if foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return PlainTextResponse("this was asked for by another site\n", HTTPStatus.FORBIDDEN)
        return None


def _place(address: str) -> tuple[str, str]:
    """The host of an address, with its port and without; empty: it is none."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "", ""
    return parts.netloc, parts.hostname or ""


async def sign_in_page(request: Request) -> Response:
    """The form for a credential."""
    console: Console = request.app.state.console
    refused = "The gateway does not take this credential any more." if request.query_params.get("refused") else ""
    return _sign_in(console, request, refused)


def _sign_in(console: Console, request: Request, wrong: str, status: int = 200) -> Response:
    signed = console.cookies.read(request.cookies.get(NAME, "")) or console.cookies.new("")
    visit = Visit(console, request, signed, Person(console.gateway, ""))
    answered = visit.page("sign_in.html", status, wrong=wrong, to=_inside(request.query_params.get("to", "/")))
    set_cookie(console, answered, signed)
    return answered


async def sign_in(request: Request) -> Response:
    """Take a credential, if the gateway does."""
    console: Console = request.app.state.console
    form = await read_form(request) or {}
    signed = console.cookies.read(request.cookies.get(NAME, ""))
    if signed is None or not console.cookies.is_form_of(signed, form.get("form_token", "")):
        return _sign_in(console, request, "The form was too old: try again.", HTTPStatus.FORBIDDEN)
    token = form.get("token", "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        return _sign_in(console, request, "That is no credential.", HTTPStatus.BAD_REQUEST)
    if len(token) > MAX_TOKEN:
        text = f"The credential has more than {MAX_TOKEN} characters: a cookie does not hold it."
        return _sign_in(console, request, text, HTTPStatus.BAD_REQUEST)
    try:
        asked = Person(console.gateway, token).call(
            console.gateway.server.GetServerInfo, server_pb2.GetServerInfoRequest()
        )
        await asked
    except grpc.aio.AioRpcError as error:
        problem = problem_of(error)
        if problem.code is grpc.StatusCode.UNAUTHENTICATED:
            return _sign_in(console, request, "The gateway does not know this credential.", HTTPStatus.FORBIDDEN)
        return _sign_in(console, request, f"The gateway can't be asked: {problem.message}", 503)
    answered = RedirectResponse(_inside(form.get("to", "/")), HTTPStatus.SEE_OTHER)
    set_cookie(console, answered, console.cookies.new(token))
    return answered


def _inside(to: str) -> str:
    """A place on this site; the first page for any other."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"


async def sign_out(visit: Visit) -> Response:
    """Forget the credential."""
    answered = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    answered.delete_cookie(NAME)
    return answered


PAGES: Final[tuple[tuple[str, str, Page], ...]] = (
    ("GET", "/", fleet_pages.fleet),
    ("GET", "/live", fleet_pages.fleet_live),
    ("GET", "/charge-points", fleet_pages.charge_points),
    ("GET", "/charge-points/{identity}", charge_point_pages.charge_point),
    ("GET", "/charge-points/{identity}/live", charge_point_pages.charge_point_live),
    ("GET", "/charge-points/{identity}/commands/{request_id}", operation_pages.command),
    ("GET", "/charge-points/{identity}/commands/{request_id}/live", operation_pages.command_live),
    ("GET", "/charge-points/{identity}/actions/{action}", action_pages.form),
    ("POST", "/charge-points/{identity}/actions/{action}", action_pages.act),
    ("GET", "/sessions", session_pages.sessions),
    ("GET", "/sessions/{transaction_id}", session_pages.session),
    ("GET", "/sessions/{transaction_id}/close", action_pages.close_form),
    ("POST", "/sessions/{transaction_id}/close", action_pages.close),
    ("POST", "/orphans", action_pages.attribute),
    ("GET", "/operations", overview_pages.operations),
    ("GET", "/operations/live", overview_pages.operations_live),
    ("GET", "/operations/certificates", overview_pages.certificates),
    ("GET", "/operations/{operation_id}", operation_pages.operation),
    ("GET", "/operations/{operation_id}/live", operation_pages.operation_live),
    ("GET", "/jobs/{job_id}", operation_pages.job),
    ("GET", "/jobs/{job_id}/live", operation_pages.job_live),
    ("POST", "/sign-out", sign_out),
)
"""Every page behind the sign-in. A name in a path has no slash; a request id may have one (``visits.in_path``)."""


def application(settings: ConsoleSettings, clock: Callable[[], float] = time) -> Starlette:
    """Make the console's application. Its connection to the gateway lives as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        gateway = Gateway(settings.target, settings.tls)
        cookies = Cookies(settings.idle, settings.absolute, clock)
        app.state.console = Console(settings, gateway, cookies, environment())
        try:
            yield
        finally:
            await gateway.close()

    routes: list[Any] = [Route(path, route(page), methods=[method]) for method, path, page in PAGES]
    routes += [
        Route("/sign-in", sign_in_page, methods=["GET"]),
        Route("/sign-in", sign_in, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        Route("/{rest:path}", route(action_pages.missing), methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan, middleware=[Middleware(Guard, secure=settings.secure)])
