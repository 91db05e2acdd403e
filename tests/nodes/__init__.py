"""Nodes in one process: real routers and sessions on one store; the bus and what nodes read of each other are faked."""
