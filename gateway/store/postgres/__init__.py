"""The store on PostgreSQL: one record for gateways on several machines (docs/store.md, PostgreSQL)."""

from gateway.store.postgres.connection import place_of
from gateway.store.postgres.durability import Durability
from gateway.store.postgres.examination import faults
from gateway.store.postgres.recovery import Renewed, recover
from gateway.store.postgres.store import PostgresStore

__all__ = ["Durability", "PostgresStore", "Renewed", "faults", "place_of", "recover"]
