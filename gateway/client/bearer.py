"""A caller's token, sent with each call of a channel."""

from typing import TYPE_CHECKING, Any

import grpc
from attrs import field, frozen

if TYPE_CHECKING:
    _Unary = grpc.UnaryUnaryClientInterceptor[Any, Any]
    _Watch = grpc.UnaryStreamClientInterceptor[Any, Any]
    _Both = grpc.StreamStreamClientInterceptor[Any, Any]
else:  # generic for the type checker only
    _Unary, _Watch = grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor
    _Both = grpc.StreamStreamClientInterceptor


@frozen
class _Details(grpc.ClientCallDetails):
    """A call's details as gRPC passes them on."""

    method: str
    timeout: float | None
    metadata: Any = field(repr=False)
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class BearerToken(_Unary, _Watch, _Both):
    """Adds ``authorization: Bearer <token>`` to the metadata of calls, whether they stream or not."""

    def __init__(self, token: str) -> None:
        self._entry = ("authorization", f"Bearer {token}")

    def _with_token(self, details: Any) -> _Details:
        return _Details(
            details.method,
            details.timeout,
            [*(details.metadata or ()), self._entry],
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Carry out a call with the token."""
        return continuation(self._with_token(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Begin a stream with the token."""
        return continuation(self._with_token(client_call_details), request)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Begin a stream in both directions with the token."""
        return continuation(self._with_token(client_call_details), request_iterator)
