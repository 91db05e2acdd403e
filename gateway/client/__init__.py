"""A typed client of the control interface: ``Gateway`` for programs without an event loop, ``aio.AsyncGateway`` for
asyncio, ``trio_gateway.TrioGateway`` for Trio. It is a distribution, too: ``gateway-client``."""

import os  # not in gateway-client

# Read by gRPC when it is first imported: its own log is for its developers,  # not in gateway-client
# and fork support logs about subprocesses.  # not in gateway-client
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # not in gateway-client
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # not in gateway-client

from gateway.client.client import GatewayClient  # not in gateway-client
from gateway.client.connection import Tls, new_request_id
from gateway.client.errors import GatewayError, Problem, Status, describe, problem_of
from gateway.client.gateway import Gateway
from gateway.client.reasons import Repeat
from gateway.client.signing import CertificateSigning
from gateway.client.tokens import FileTokenStore, MemoryTokenStore, TokenStore
from gateway.client.values import duration, moment, timestamp, to_dict, to_json
from gateway.client.vendor_data import VendorDataHandling

__all__ = [
    "CertificateSigning",
    "FileTokenStore",
    "Gateway",
    "GatewayClient",  # not in gateway-client
    "GatewayError",
    "MemoryTokenStore",
    "Problem",
    "Repeat",
    "Status",
    "Tls",
    "TokenStore",
    "VendorDataHandling",
    "describe",
    "duration",
    "moment",
    "new_request_id",
    "problem_of",
    "timestamp",
    "to_dict",
    "to_json",
]
