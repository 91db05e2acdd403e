"""The group-commit front of the store for Trio: what is handed over is on disk when ``commit`` returns."""

from gateway.journal.journal import Journal, RunSync
from gateway.journal.numbers import NumberAllocator
from gateway.journal.retention import Retention

__all__ = ["Journal", "NumberAllocator", "Retention", "RunSync"]
