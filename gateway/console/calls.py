"""Calls of the gateway's public contract, each with the credential of the person for whom it is made."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final

import grpc.aio

from gateway.api.v1.audit_pb2_grpc import AuditServiceStub
from gateway.api.v1.charge_point_pb2_grpc import ChargePointServiceStub
from gateway.api.v1.command_pb2_grpc import CommandServiceStub
from gateway.api.v1.diagnostics_pb2_grpc import DiagnosticsServiceStub
from gateway.api.v1.energy_pb2_grpc import EnergyServiceStub
from gateway.api.v1.event_pb2_grpc import EventServiceStub
from gateway.api.v1.fleet_pb2_grpc import FleetServiceStub
from gateway.api.v1.operation_pb2_grpc import OperationServiceStub
from gateway.api.v1.retention_pb2_grpc import RetentionServiceStub
from gateway.api.v1.server_pb2_grpc import ServerServiceStub
from gateway.api.v1.steering_pb2_grpc import SteeringServiceStub
from gateway.api.v1.transaction_pb2_grpc import TransactionServiceStub
from gateway.client import Tls
from gateway.client.connection import OPTIONS

READ_SECONDS: Final = 10.0
"""The deadline of a read, as docs/api.md has it."""

COMMAND_SECONDS: Final = 60.0
"""The deadline of a command: a charger may take 30 s for one, and another may go first."""


class Gateway:
    """One connection to a gateway, for all persons. Made in the loop that it is used in."""

    def __init__(self, target: str, tls: Tls | None) -> None:
        if tls is None:
            self._channel = grpc.aio.insecure_channel(target, OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(target, tls.credentials(), OPTIONS)
        channel: Any = self._channel
        # The stubs' types are those of their synchronous and asynchronous forms; calls here are awaited.
        self.audit: Any = AuditServiceStub(channel)
        self.charge_points: Any = ChargePointServiceStub(channel)
        self.commands: Any = CommandServiceStub(channel)
        self.diagnostics: Any = DiagnosticsServiceStub(channel)
        self.energy: Any = EnergyServiceStub(channel)
        self.events: Any = EventServiceStub(channel)
        self.fleet: Any = FleetServiceStub(channel)
        self.operations: Any = OperationServiceStub(channel)
        self.retention: Any = RetentionServiceStub(channel)
        self.server: Any = ServerServiceStub(channel)
        self.steering: Any = SteeringServiceStub(channel)
        self.transactions: Any = TransactionServiceStub(channel)

    async def close(self) -> None:
        """End all calls and the connection."""
        await self._channel.close(None)


class Person:
    """A person's way to the gateway; ``token`` empty: without a credential. All raises ``grpc.aio.AioRpcError``."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        self.gateway = gateway
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, rpc: Any, request: Any, timeout: float = READ_SECONDS) -> Awaitable[Any]:
        """Make one call."""
        called: Awaitable[Any] = rpc(request, timeout=timeout, metadata=self._metadata)
        return called

    def watch(self, rpc: Any, request: Any, timeout: float | None = None) -> AsyncIterator[Any]:
        """Begin a stream; it ends with the task that reads it."""
        stream: AsyncIterator[Any] = rpc(request, timeout=timeout, metadata=self._metadata)
        return stream

    async def maybe(self, rpc: Any, request: Any) -> Any:
        """Make a call for a part of a page that may be missing: the response, or None where the gateway refuses it or
        has none."""
        try:
            return await self.call(rpc, request)
        except grpc.aio.AioRpcError as error:
            if error.code() in MISSING:
                return None
            raise


MISSING: Final = frozenset(
    {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Answers by which a part of a page is left out: the role or the scope does not have it, or there is none of it."""
