"""Ids of events, as they are read from a request."""

from gateway.store.api import event_id_prefix


def sequence_of(event_id: str, store_id: str) -> int | None:
    """The sequence of one of the store's events, by its id; None: it is no such id."""
    prefix = event_id_prefix(store_id)
    sequence = event_id.removeprefix(prefix)
    known = event_id.startswith(prefix) and sequence.isascii() and sequence.isdigit() and len(sequence) < 19
    return int(sequence) if known else None
