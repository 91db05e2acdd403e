"""``GatewayClient``: the services of one gateway over one connection."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc

from gateway.api.v1.audit_pb2_grpc import AuditServiceStub
from gateway.api.v1.caller_pb2_grpc import CallerServiceStub
from gateway.api.v1.charge_point_pb2_grpc import ChargePointServiceStub
from gateway.api.v1.command_pb2 import GetCommandRequest
from gateway.api.v1.command_pb2_grpc import CommandServiceStub
from gateway.api.v1.diagnostics_pb2_grpc import DiagnosticsServiceStub
from gateway.api.v1.energy_pb2_grpc import EnergyServiceStub
from gateway.api.v1.event_pb2_grpc import EventServiceStub
from gateway.api.v1.fleet_pb2_grpc import FleetServiceStub
from gateway.api.v1.id_tag_pb2_grpc import IdTagServiceStub
from gateway.api.v1.operation_pb2_grpc import OperationServiceStub
from gateway.api.v1.retention_pb2_grpc import RetentionServiceStub
from gateway.api.v1.server_pb2_grpc import ServerServiceStub
from gateway.api.v1.signing_pb2_grpc import SigningServiceStub
from gateway.api.v1.steering_pb2_grpc import SteeringServiceStub
from gateway.api.v1.transaction_pb2_grpc import TransactionServiceStub
from gateway.api.v1.vendor_data_pb2_grpc import VendorDataServiceStub
from gateway.client.bearer import BearerToken
from gateway.client.connection import CHANGE_SECONDS, OPTIONS, Tls, new_request_id

M = TypeVar("M")

TIMEOUT_SECONDS = CHANGE_SECONDS
"""The default deadline of a call."""


class GatewayClient:
    """The stubs of all services; a context manager. Safe for several threads.

        with GatewayClient("127.0.0.1:50051") as gateway:
            gateway.call(gateway.commands.Reset, ResetRequest(charge_point="CP1", type=RESET_TYPE_SOFT))

    Everything raises ``grpc.RpcError``; ``problem_of`` and ``describe`` say what it means.
    """

    def __init__(
        self,
        target: str,
        tls: Tls | None = None,
        timeout: float = TIMEOUT_SECONDS,
        interceptors: "Sequence[grpc.UnaryUnaryClientInterceptor[Any, Any]]" = (),
        token: str | None = None,
    ) -> None:
        """``token``: a caller's, sent with each call; also without TLS, which is for loopback."""
        self._timeout = timeout
        if tls is None:
            self.channel = grpc.insecure_channel(target, OPTIONS)
        else:
            self.channel = grpc.secure_channel(target, tls.credentials(), OPTIONS)
        if token is not None:
            self.channel = grpc.intercept_channel(self.channel, BearerToken(token))
        # Streams go around the interceptors: those of unary calls would only add a layer to each of their messages.
        unary = grpc.intercept_channel(self.channel, *interceptors) if interceptors else self.channel
        self.charge_points = ChargePointServiceStub(unary)
        self.commands = CommandServiceStub(unary)
        self.operations = OperationServiceStub(unary)
        self.transactions = TransactionServiceStub(unary)
        self.energy = EnergyServiceStub(unary)
        self.steering = SteeringServiceStub(unary)
        self.id_tags = IdTagServiceStub(unary)
        self.events = EventServiceStub(self.channel)
        self.vendor_data = VendorDataServiceStub(self.channel)
        self.signing = SigningServiceStub(self.channel)
        self.diagnostics = DiagnosticsServiceStub(unary)
        self.retention = RetentionServiceStub(unary)
        self.fleet = FleetServiceStub(unary)
        self.callers = CallerServiceStub(unary)
        self.server = ServerServiceStub(unary)
        self.audit = AuditServiceStub(unary)

    def __enter__(self) -> "GatewayClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all calls and watches, and the connection."""
        self.channel.close()

    def call(self, rpc: Callable[..., M], request: Any, timeout: float | None = None) -> M:
        """Call a method of a stub within ``timeout`` seconds. A command without a request id is given one, in place,
        so that calling again with the same request is safe."""
        # GetCommand alone is a read that names a request id: of a command that there is. GetConfiguration is a command.
        named = "request_id" in request.DESCRIPTOR.fields_by_name and not isinstance(request, GetCommandRequest)
        if named and not request.request_id:
            request.request_id = new_request_id()
        return rpc(request, timeout=self._timeout if timeout is None else timeout)

    def pages(self, rpc: Callable[..., M], request: Any, timeout: float | None = None) -> Iterator[M]:
        """All pages of a list, from ``request``'s on; it is moved along."""
        while True:
            page: Any = self.call(rpc, request, timeout)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
