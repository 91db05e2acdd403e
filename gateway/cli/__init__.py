"""The commands for people: run a gateway, prepare its files, and steer chargers over gRPC."""

from gateway.signals import hold_if_serving

hold_if_serving()

# The order matters: OpenSSL reads its configuration when ``ssl`` is first imported, which gRPC does.
from gateway.openssl import arrange  # noqa: E402

arrange()

import gateway.client  # noqa: E402, F401 - before any other import of grpc: it sets gRPC's own logging, which is read once
