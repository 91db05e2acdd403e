"""Creations of charge points that are asked for again: what became of the first one, by its events."""

from typing import Final

from attrs import frozen

from gateway.domain.codec import body_of
from gateway.domain.events import ChargePointCreated, ChargePointUpdated
from gateway.domain.records import ChargePointRecord
from gateway.store.api import EventFilter, Store
from gateway.store.commits import CreateChargePoint

PAGE: Final = 1_000
"""Events of one read."""

TYPES: Final = frozenset({ChargePointCreated.TYPE, ChargePointUpdated.TYPE})


@frozen
class Creation:
    """The newest creation of a charge point.

    ``epoch``: that of its last connection by then. ``changed``: it was changed since, by more than its own request that
    came again.
    """

    request_id: str
    epoch: int
    changed: bool = False


def creation(store: Store, identity: str) -> Creation | None:
    """The creation of a charge point; None: its event is gone, or there is none."""
    found: Creation | None = None
    where, after, head = EventFilter(frozenset({identity}), TYPES), store.bounds().floor, store.bounds().head
    while after < head:
        page = store.events(after, PAGE, where)
        for event in page.events:
            body = body_of(event)
            if isinstance(body, ChargePointCreated):
                found = Creation(body.request_id, event.epoch)
            elif isinstance(body, ChargePointUpdated) and found is not None and body.request_id != found.request_id:
                found = Creation(found.request_id, found.epoch, changed=True)
        after = page.position
    return found


def made_by(write: CreateChargePoint, record: ChargePointRecord) -> bool:
    """Return true if a charge point is as a request makes it; its key can't be compared."""
    asked = (write.registration, write.description, write.quirks, write.labels, write.minimum_security_profile)
    have = (record.registration, record.description, record.quirks, record.labels, record.minimum_security_profile)
    return asked == have
