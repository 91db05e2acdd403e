"""The call that a run has made last: where its connection breaks, a change may have been done, and a read not."""

import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import grpc

METHOD: ContextVar[str] = ContextVar("method", default="")
"""By its path, ``/service/method``; empty: none was made."""

COMMANDS: Final = "/gateway.api.v1.CommandService/"

READ_OF_COMMANDS: Final = frozenset({f"{COMMANDS}GetCommand", f"{COMMANDS}ListCommands"})
"""All others of the service are sent to a charger, whatever their names."""

READING: Final = re.compile(r"/[\w.]+/(Get|List|Count|Check|Compute|Estimate|Stream|Watch|Tap)\w*")


if TYPE_CHECKING:
    Interceptor = grpc.UnaryUnaryClientInterceptor[Any, Any]
else:  # generic for the type checker only
    Interceptor = grpc.UnaryUnaryClientInterceptor


class LastCall(Interceptor):
    """Notes each call before it is made."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Carry out the call."""
        METHOD.set(details.method)
        return continuation(details, request)


def changes(method: str) -> bool:
    """Return true if a method may change something, at a charger or at the gateway."""
    if method.startswith(COMMANDS):
        return method not in READ_OF_COMMANDS
    return bool(method) and READING.fullmatch(method) is None
