"""Several gateways on one PostgreSQL: who is there, calls to the node of a charge point, changes by others.

Nothing here is used with SQLite, or where ``[cluster]`` names no node.
"""
