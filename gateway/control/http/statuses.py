"""Statuses of calls over HTTP: the code, and the body of an error, as AIP-193 has them."""

import json
from collections.abc import Mapping
from typing import Any, Final

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2  # noqa: F401  # the details' types, which JSON shows by name

from gateway.control.errors import Failure
from gateway.control.http.context import HttpContext
from gateway.control.services.rpc import refuse

HTTP_CODES: Final[Mapping[grpc.StatusCode, int]] = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""As ``google/rpc/code.proto`` maps them."""

BY_REASON: Final[Mapping[str, int]] = {"REQUEST_TOO_LARGE": 413, "UNKNOWN_METHOD": 404}
"""Where HTTP has a code that says it better, by the error's reason."""


def error_of(context: HttpContext) -> tuple[int, dict[str, Any]]:
    """The code and the body of a call that ended in an error."""
    status = status_pb2.Status.FromString(context.details)
    details = [json_format.MessageToDict(each) for each in status.details]
    code = next(
        (BY_REASON[each["reason"]] for each in details if each.get("reason") in BY_REASON), HTTP_CODES[context.code]
    )
    error = {
        "code": code,
        "message": status.message or context.message,
        "status": context.code.name,
        "details": details,
    }
    return code, {"error": error}


def error_of_failure(failure: Failure, context: HttpContext) -> tuple[int, dict[str, Any]]:
    """The same of a call that was refused before its method."""
    refuse(context, failure)
    return error_of(context)


def as_bytes(body: Mapping[str, Any]) -> bytes:
    """A body as it goes out."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
