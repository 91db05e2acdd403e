"""Failures of RPCs: a status, a reason for programs, words for people.

An exception and not a value, because that is what it is to gRPC: it ends the RPC wherever it is found out. Raised on
both sides; ``services.rpc`` alone turns it into a status with ``google.rpc.ErrorInfo``.
"""

from enum import StrEnum

from gateway.domain.commands import FieldViolation
from gateway.errors import GatewayError


class Status(StrEnum):
    """The gRPC statuses that are used, by gRPC's names."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    """For a stale etag alone: generic layers repeat it, and that changes nothing."""
    OUT_OF_RANGE = "OUT_OF_RANGE"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNKNOWN = "UNKNOWN"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    INTERNAL = "INTERNAL"


class Failure(GatewayError):
    """``reason`` is stable and for programs: upper case, unless it is a charger's own error code."""

    def __init__(
        self,
        status: Status,
        reason: str,
        message: str,
        metadata: dict[str, str] | None = None,
        violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.metadata = metadata or {}
        self.violations = violations


def outcome_unknown(message: str, cause: str, metadata: dict[str, str]) -> Failure:
    """It may have been done, or not. ``cause`` is why that isn't known, as in a command's ``reason``.

    UNKNOWN, because generic layers repeat ABORTED and UNAVAILABLE."""
    return Failure(Status.UNKNOWN, "OUTCOME_UNKNOWN", message, {**metadata, "cause": cause})


def invalid(*violations: FieldViolation, reason: str = "INVALID_REQUEST") -> Failure:
    """The request can't be served as it is; at least one violation."""
    message = "; ".join(f"{each.field}: {each.description}" for each in violations)
    return Failure(Status.INVALID_ARGUMENT, reason, message, violations=violations)


def not_found(what: str, name: str) -> Failure:
    """There is no such thing. ``what`` in words, e.g. ``charge point``."""
    key = what.replace(" ", "_")
    return Failure(Status.NOT_FOUND, f"UNKNOWN_{key.upper()}", f"there is no {what} {name}", {key: name})


def already_exists(what: str, name: str) -> Failure:
    """The name is taken."""
    key = what.replace(" ", "_")
    article = "an" if what[0] in "aeiou" else "a"
    message = f"there is {article} {what} {name} already"
    return Failure(Status.ALREADY_EXISTS, f"{key.upper()}_EXISTS", message, {key: name})


def stale(what: str, name: str) -> Failure:
    """The etag is not that of the present revision."""
    return Failure(
        Status.ABORTED,
        "ETAG_MISMATCH",
        f"{what} {name} has changed since; read it again",
        {what.replace(" ", "_"): name},
    )
