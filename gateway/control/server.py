"""``ControlServer``: the gRPC server in its asyncio loop; its start, readiness, drain and end come from Trio.

This module is asyncio's, and knows no Trio: what Trio sees of it is awaited through the bridge.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import structlog
from attrs import frozen
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gateway.bridge import Bridge, Started, Unavailable
from gateway.control.event_streams import IDLE_SECONDS
from gateway.control.grpc_options import options
from gateway.control.http.methods import MethodTable
from gateway.control.http.server import HttpServer, HttpSettings, HttpTls
from gateway.control.jwt_callers import JwtCallers, JwtKey, JwtRules
from gateway.control.listen_address import check_address, listening_address, why_not_listening
from gateway.control.reflection import add_reflection
from gateway.control.services.all_services import ControlPorts, ServicePolicy, services
from gateway.control.services.authentication import Authentication, Interceptor
from gateway.control.services.deserialization import GenericServer, ReadingServer
from gateway.control.services.refused_calls import RefusedCalls
from gateway.control.services.scope import Scopes, StoredOwners
from gateway.control.tls import ServerTls, Tls
from gateway.domain.charging_state import OFFLINE_GRACE
from gateway.errors import SettingsError
from gateway.store.audit_commits import RecordRefusal

log = structlog.get_logger()

MAX_RPCS = 8192
"""At once. Above what the bridge carries, so that callers are refused there, with a reason."""

LAST_ANSWER_SECONDS = 0.5
"""For the answers to calls that are ended when the server stops: they are ready, and have to be written."""

PROBE_SECONDS = 1.0
"""Between two looks at how late the loop is."""


@frozen
class ControlSettings:
    """``port`` 0 lets the system choose. Times in seconds."""

    host: str = "127.0.0.1"
    port: int = 50051
    tls: Tls | None = None
    allow_insecure: bool = False
    require_callers: bool = False
    """Let in only callers that were made known, and those to what their roles allow."""
    jwt: JwtRules | None = None
    """The JWTs by which callers are let in as well; None: none are."""
    jwt_keys: tuple[JwtKey, ...] = ()
    default_timeout: float = 60.0
    """The deadline of a call whose caller set none."""
    idle: float = IDLE_SECONDS
    """Without events for so long, watchers get a sign of life."""
    offline_grace: float = OFFLINE_GRACE.total_seconds()
    """A charge point may be offline for so long before the charging states of its connectors are unknown."""
    shares: bool = False
    """Whether other processes of the same service listen on the port, too: the kernel gives a connection to one."""
    http: HttpSettings | None = None
    """The same contract over HTTP and JSON; None: it is off."""


def unmeasured(_: object) -> None:
    """Do nothing: the loop's lag, or what is refused, is not measured."""


class ControlServer:
    """One run of the control interface. Raises SettingsError for an address that isn't allowed.

    ``refused`` is called with the reason of each call that is refused for its caller, in asyncio's thread. ``traces``
    sees each call of gRPC first; those over HTTP have no traces.
    """

    def __init__(
        self,
        settings: ControlSettings,
        ports: ControlPorts,
        *,
        late: Callable[[float], None] = unmeasured,
        refused: Callable[[str], None] = unmeasured,
        traces: Interceptor | None = None,
        bridge: Bridge | None = None,
    ) -> None:
        clients_need_certificates = settings.tls is not None and settings.tls.client_ca is not None
        authenticated = clients_need_certificates or settings.require_callers
        check_address(settings.host, settings.tls is not None, authenticated, settings.allow_insecure)
        self._settings = settings
        self._late = late
        self._traces = traces
        self._tls = None if settings.tls is None else ServerTls(settings.tls)
        self._http_tls: HttpTls | None = None
        self._http_port: int | None = None
        if settings.http is not None:
            host = settings.http.host
            check_address(host, settings.tls is not None, authenticated, settings.allow_insecure, "http.address")
            self._http_tls = None if settings.tls is None else HttpTls(settings.http.make_context, settings.tls)
        self._clock = ports.clock
        self._bridge = bridge or Bridge()
        self._ready = True
        self._grace: float | None = None
        self._changed: asyncio.Event | None = None
        # Without it nothing stands before an RPC: a trial on loopback pays nothing for it.
        self._authentication: Authentication | None = None
        self._follows = False
        self._refused: RefusedCalls | None = None
        self._jwt: JwtCallers | None = None
        if settings.require_callers:
            owners, call = StoredOwners(ports.reads), self._bridge.call
            scopes = Scopes(
                lambda labels, identities, limit: call(owners.labelled, labels, identities, limit),
                lambda field, value: call(owners.owner, field, value),
            )
            self._refused = RefusedCalls(
                lambda entry: call(ports.journal.commit, RecordRefusal(entry)), ports.clock, refused
            )
            if settings.jwt is not None:
                self._jwt = JwtCallers(settings.jwt, settings.jwt_keys, ports.clock)
            self._follows = ports.reads.store_kind != "sqlite"  # of which this process is the only one
            self._authentication = Authentication(lambda: call(ports.reads.callers), scopes, self._refused, self._jwt)
        policy = ServicePolicy(
            timeout=settings.default_timeout,
            idle=settings.idle,
            offline_grace=settings.offline_grace,
            callers_required=settings.require_callers,
            callers_changed=self._callers_changed,
        )
        self._services = services(self._bridge, ports, policy)

    # --- from Trio --------------------------------------------------------------------------------------------

    @property
    def http_port(self) -> int | None:
        """The port of HTTP and JSON; None: they are off, or it does not listen yet."""
        return self._http_port

    async def run(self, *, task_status: Any = None) -> None:
        """Serve until drained or cancelled; a Trio task. Reports the port that it listens on as started.

        Raises SettingsError if it can't listen. Cancelling ends calls under way: reads with UNAVAILABLE, and with
        OUTCOME_UNKNOWN what may have changed something.
        """
        if task_status is None:
            await self._bridge.run(self._serve)
        else:
            await self._bridge.run(self._serve, task_status=task_status)

    def set_ready(self, ready: bool) -> None:
        """Set the state that the health service reports. Never waits."""
        self._ready = ready
        self._tell()

    def replace_tls(self, tls: Tls) -> None:
        """Present another certificate to clients that connect from now on. Nothing happens where TLS is off. Never
        waits."""
        if self._tls is not None:
            self._tls.replace(tls)
        if self._http_tls is not None:
            self._http_tls.replace(tls)

    def replace_jwt_keys(self, keys: tuple[JwtKey, ...]) -> None:
        """Take other keys of JWTs from now on, and end streams whose key is gone. Never waits. For any thread."""
        if self._jwt is not None and self._authentication is not None:
            self._jwt.replace(keys)
            try:
                self._bridge.post(self._authentication.look_at_tokens)
            except Unavailable:
                pass  # not started yet, or over: there are no streams

    def drain(self, grace: float) -> None:
        """Take no more calls, end all watches with UNAVAILABLE, let calls finish for ``grace`` seconds; then ``run``
        returns. Never waits."""
        self._grace = grace
        self._tell()

    def _tell(self) -> None:
        try:
            self._bridge.post(self._notice)
        except Unavailable:
            pass  # not started yet, and then it looks when it starts; or over

    # --- in asyncio -------------------------------------------------------------------------------------------

    def _notice(self) -> None:
        if self._changed is not None:
            self._changed.set()

    async def _callers_changed(self) -> None:
        if self._authentication is not None:
            await self._authentication.changed()

    async def _serve(self, started: Started) -> None:
        self._changed = asyncio.Event()
        first = [each for each in (self._traces, self._authentication) if each is not None]
        shared = options(self._settings.shares)
        server = grpc.aio.server(options=shared, maximum_concurrent_rpcs=MAX_RPCS, interceptors=first)
        servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
        names = self._register(server, servicer)
        port = self._listen(server)
        try:
            http = await self._listen_http()
        except SettingsError:
            await server.stop(None)  # it has its port already
            raise
        await server.start()
        log.info("control interface listens", host=self._settings.host, port=port, tls=self._settings.tls is not None)
        started(port)
        beside = [asyncio.create_task(_probe(self._late))]
        if self._authentication is not None and self._follows:
            beside.append(asyncio.create_task(self._authentication.follow()))
        grace = 0.0
        try:
            while self._grace is None:
                self._changed.clear()
                await _set_health(servicer, names, self._ready)
                await self._changed.wait()
            grace = self._grace or 0.0
            await servicer.enter_graceful_shutdown()
        finally:
            for each in beside:
                each.cancel()
            for service in self._services:
                service.service.stop()
            await self._stop(server, http, grace)
            log.info("control interface stopped")

    async def _stop(self, server: grpc.aio.Server, http: HttpServer | None, grace: float) -> None:
        """Calls may finish for ``grace`` seconds. What is left then is answered that its outcome is not known: gRPC
        would end it without a reason."""
        stopping = [asyncio.ensure_future(server.stop(grace + LAST_ANSWER_SECONDS))]
        if http is not None:
            stopping.append(asyncio.ensure_future(http.stop()))
        await asyncio.wait(stopping, timeout=grace)
        if self._refused is not None:
            await self._refused.settle()
        self._bridge.interrupt()
        _, left = await asyncio.wait(stopping, timeout=LAST_ANSWER_SECONDS)
        for each in left:  # clients over HTTP that do not read; gRPC has its own end
            each.cancel()
        await asyncio.gather(*stopping, return_exceptions=True)

    def _register(self, server: grpc.aio.Server, servicer: Any) -> list[str]:
        """Add all services; returns the names whose health is reported, the whole server's (empty) among them."""
        generic = GenericServer(server)
        reading = ReadingServer(generic)
        for each in self._services:
            each.add(each.service, reading)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, generic)
        ours = [f"gateway.api.v1.{each.name}Service" for each in self._services]
        add_reflection([*ours, "grpc.health.v1.Health"], server)
        return ["", *ours]

    async def _listen_http(self) -> HttpServer | None:
        settings, authentication = self._settings, self._authentication
        if settings.http is None:
            return None
        guard = (None, None) if authentication is None else (authentication.intercept_service, authentication.recognise)
        table = MethodTable(*guard)
        reading: Any = ReadingServer(table)
        for each in self._services:
            each.add(each.service, reading)
        http = HttpServer(settings.http, table, self._http_tls, settings.require_callers, self._clock)
        self._http_port = await http.listen()
        return http

    def _listen(self, server: grpc.aio.Server) -> int:
        address = listening_address(self._settings.host, self._settings.port)
        tls = self._tls
        try:
            if tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, tls.credentials())
        except RuntimeError:
            port = 0
        if port == 0:  # gRPC gives no reason
            reason = why_not_listening(self._settings.host, self._settings.port)
            if reason is None:
                reason = "gRPC refuses to" if tls is None else "gRPC refuses to with this certificate, key or client_ca"
            raise SettingsError(f"control.address: can't listen on {address}: {reason}")
        return port


async def _probe(late: Callable[[float], None]) -> None:
    """Report each second how late this loop is, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PROBE_SECONDS
        await asyncio.sleep(PROBE_SECONDS)
        late(max(0.0, loop.time() - due))


async def _set_health(servicer: Any, names: list[str], ready: bool) -> None:
    status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in names:
        await servicer.set(name, status)
