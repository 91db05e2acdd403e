"""A gateway between electric-vehicle chargers (OCPP 1.6J over wss) and a charging platform (gRPC)."""
