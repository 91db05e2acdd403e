"""Errors of the control interface, taken apart: a reason for programs, and one line for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status as RpcStatus

from gateway.client.reasons import Repeat, repeat_of

DETAILS = "grpc-status-details-bin"
"""The trailer in which gRPC carries a status with details."""


class Status(Enum):
    """gRPC's statuses, by name."""

    OK = "OK"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class Problem:
    """An RPC's error, taken apart. ``reason`` is empty where something other than the gateway answered."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: tuple[tuple[str, str], ...] = ()
    """(field, what is wrong with it)."""

    def __str__(self) -> str:
        head = f"{self.code.name} {self.reason}".rstrip()
        # A bad request's message repeats its violations: those are not repeated here.
        shown = [f"{name}={value}" for name, value in sorted(self.metadata.items()) if value and value != self.message]
        wrong = [f"{name}: {what}" for name, what in self.violations if what not in self.message]
        parts = [f"{head}: {_line(self.message)}" if self.message else head, *map(_line, wrong)]
        return "; ".join(parts) + (f" ({_line(', '.join(shown))})" if shown else "")


class GatewayError(Exception):
    """An RPC that did not end well.

    ``status`` by gRPC's name; ``reason`` is a name of ``v1.ErrorReason``, a charger's own error code, or empty where
    something other than the gateway answered; ``metadata`` and ``violations`` (field, what is wrong with it) as in
    docs/errors.md.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem

    def __reduce__(self) -> tuple[type["GatewayError"], tuple[Problem]]:
        return GatewayError, (self.problem,)

    @property
    def status(self) -> Status:
        """gRPC's status."""
        return Status[self.problem.code.name]

    @property
    def reason(self) -> str:
        """The reason, for programs."""
        return self.problem.reason

    @property
    def message(self) -> str:
        """The text, for people."""
        return self.problem.message

    @property
    def metadata(self) -> Mapping[str, str]:
        """The subject of the reason, e.g. ``charge_point``, ``command_id`` and ``cause``."""
        return self.problem.metadata

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        """Each field that is wrong, and what is wrong with it."""
        return self.problem.violations

    @property
    def repeat(self) -> Repeat:
        """The way to go on, by the table in docs/errors.md."""
        return repeat_of(self.problem.code.name, self.problem.reason, self.problem.metadata)


def problem_of(error: grpc.RpcError) -> Problem:
    """The error that a stub raised, taken apart. Never raises."""
    call: Any = error  # what stubs raise is a Call, or an AioRpcError: both have these methods
    info, violations = ErrorInfo(), []
    for detail in _details(call):
        if detail.Is(ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(BadRequest.DESCRIPTOR):
            request = BadRequest()
            detail.Unpack(request)
            violations = [(each.field, each.description) for each in request.field_violations]
    return Problem(call.code(), call.details() or "", info.reason, dict(info.metadata), tuple(violations))


def describe(error: grpc.RpcError) -> str:
    """The error in one readable line."""
    return str(problem_of(error))


def _details(call: Any) -> Any:
    """The details of a call's status; none where they contradict the status: then they are not the gateway's."""
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS:
            try:
                status = RpcStatus.FromString(value)
            except DecodeError:
                return ()
            return status.details if status.code == call.code().value[0] else ()
    return ()


def _line(text: str) -> str:
    """Text that a charger may have had a hand in, without line breaks and control characters."""
    return "".join(each if each.isprintable() else " " for each in text)
