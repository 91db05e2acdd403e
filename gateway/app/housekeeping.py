"""What is written now and then instead of with every message."""

from itertools import islice

import trio

from gateway.errors import StoreUnavailable
from gateway.router.router import Router
from gateway.session.ports import Journal
from gateway.store.api import RecordLastHeard

INTERVAL_SECONDS = 300.0
"""How old the stored "last heard" of a connected charger may be after a crash: about one heartbeat."""

CHUNK = 500
"""Chargers in one write: a millisecond or two of the writer's time."""


async def record_last_heard(journal: Journal, router: Router) -> None:
    """Until cancelled. A store that can't write has to do without: the next round tells the same and more."""
    while True:
        await trio.sleep(INTERVAL_SECONDS)
        heard = iter(router.heard())
        while chunk := tuple(islice(heard, CHUNK)):
            try:
                await journal.commit(RecordLastHeard(chunk))
            except StoreUnavailable:
                break
