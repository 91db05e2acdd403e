"""Errors of the control interface, taken apart: a reason for programs, and one line for people."""

from typing import Any

import grpc
from attrs import field, frozen
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status


@frozen
class Problem:
    """An RPC's error, taken apart. ``reason`` is empty where something other than the gateway answered."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: dict[str, str] = field(factory=dict)
    violations: tuple[tuple[str, str], ...] = ()
    """(field, what is wrong with it)."""

    def __str__(self) -> str:
        head = f"{self.code.name} {self.reason}".rstrip()
        # A bad request's message repeats its violations: those are not repeated here.
        shown = [f"{name}={value}" for name, value in sorted(self.metadata.items()) if value and value != self.message]
        wrong = [f"{name}: {what}" for name, what in self.violations if what not in self.message]
        parts = [f"{head}: {_line(self.message)}" if self.message else head, *map(_line, wrong)]
        return "; ".join(parts) + (f" ({_line(', '.join(shown))})" if shown else "")


def problem_of(error: grpc.RpcError) -> Problem:
    """The error that a stub raised, taken apart. Never raises."""
    call: Any = error  # what stubs raise is a Call, too
    info, violations = ErrorInfo(), []
    try:
        status = rpc_status.from_call(call)
    except ValueError:
        status = None  # details that contradict the status: not the gateway's
    for detail in status.details if status is not None else ():
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


def _line(text: str) -> str:
    """Text that a charger may have had a hand in, without line breaks and control characters."""
    return "".join(each if each.isprintable() else " " for each in text)
