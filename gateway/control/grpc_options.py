"""Options of the gRPC server."""

from typing import Final

from gateway.control.services.deserialization import MAX_RECEIVED_BYTES
from gateway.control.services.server import MAX_RESPONSE_BYTES, MAX_STREAMS_PER_CONNECTION, MIN_PING_SECONDS

MAX_CONNECTIONS: Final = 256
"""Clients' connections; a client of gRPC has one for all of its calls. gRPC itself has no limit: three thousand sockets
that say nothing held as many descriptors, which chargers have to have (``gateway.chargers.capacity``)."""

HANDSHAKE_SECONDS: Final = 10
"""From a client's connect to its first settings, TLS included; gRPC itself gives it two minutes."""

IDLE_SECONDS: Final = 600
"""Without a call under way, a watch counting as one: clients connect again with their next call, and those that leave
channels behind hold no place for ever. gRPC has no share for an address: whom the port lets in is the network's to say
(docs/limits.md)."""

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_RECEIVED_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
    ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000),
    # A client that vanished without a word is noticed, and its watch given up.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients may look after their idle watches as often as this.
    ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_SECONDS * 1000),
)


def options(shares: bool) -> tuple[tuple[str, int], ...]:
    """Return the options of a server that ``shares`` its port with others, or has it alone: two gateways on one port
    would share its clients unnoticed."""
    idle = ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1000)
    return (*_OPTIONS, idle, ("grpc.so_reuseport", int(shares)))
