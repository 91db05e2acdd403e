"""A client's connection: addresses, TLS, options of the channel, and what goes with each call."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from gateway.api.methods import Method, Repeatable

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""The most that the gateway sends; gRPC's default of 4 MiB could be too little for an event that holds a large message
of a charger's."""

READ_SECONDS = 10.0
"""The default deadline of a read."""

CHANGE_SECONDS = 60.0
"""The default deadline of everything else: a charger may take 30 seconds for one command, and another may be
before it."""

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    # A gateway that vanished without a word is noticed, even while a watch is idle.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A gateway that restarts is found again within a second, not after gRPC's two minutes.
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

Token = str | Callable[[], str]
"""A caller's token, or what gives one for each call: JWTs end."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM. ``ca`` None: the system's authorities; ``certificate`` and ``key`` where the gateway asks for them."""

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)

    def credentials(self) -> Any:
        """gRPC's credentials."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


def deadline_of(method: Method[Any, Any], timeout: float | None, default: float | None) -> float:
    """The seconds that a call has."""
    if timeout is not None:
        return timeout
    if default is not None:
        return default
    return READ_SECONDS if method.repeatable is Repeatable.READ else CHANGE_SECONDS


def metadata_of(token: Token | None, compressed: bool) -> tuple[tuple[str, str], ...]:
    """The metadata of each call."""
    bearer = token() if callable(token) else token
    entries = () if bearer is None else (("authorization", f"Bearer {bearer}"),)
    return (*entries, ("gateway-response-compression", "gzip")) if compressed else entries


def identify(method: Method[Any, Any], request: Any) -> None:
    """Give a request that needs one a request id, in place, so that the same request again is the same command."""
    if method.repeatable is Repeatable.BY_REQUEST_ID and not request.request_id:
        request.request_id = new_request_id()


def new_request_id() -> str:
    """An id for one command, unique without coordination."""
    return uuid.uuid4().hex
