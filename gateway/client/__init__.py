"""A thin typed client of the control interface, for the command line and other programs: no asyncio, no Trio."""

import os

# Read by gRPC when it is first imported: its own log is for its developers, and fork support logs about subprocesses.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from gateway.client.client import GatewayClient, Tls, new_request_id
from gateway.client.errors import Problem, describe, problem_of
from gateway.client.vendor_data import VendorDataHandling

__all__ = ["GatewayClient", "Problem", "Tls", "VendorDataHandling", "describe", "new_request_id", "problem_of"]
