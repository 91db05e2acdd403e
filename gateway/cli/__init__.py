"""The commands for people: run a gateway, prepare its files, and steer chargers over gRPC."""

import gateway.client  # noqa: F401 - before any other import of grpc: it sets gRPC's own logging, which is read once
