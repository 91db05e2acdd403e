"""The gRPC control plane.

Two sides, joined by the bridge. In Trio: what the operator may do, in the domain's words (``charge_points``,
``commands``, ``id_tags``, ``transactions``, ``watching``), through the ``ports``. In asyncio: ``server`` and
``services``, which turn protobuf ``messages`` into the domain's values and failures into statuses.
"""

import os

# Read by gRPC when it is first imported. The gateway never forks; with fork support on, gRPC logs about every
# subprocess that anything starts. Its own log goes to standard error past the gateway's.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
