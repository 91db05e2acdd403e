"""Pages of events, where bodies are large."""

from gateway.domain.events import VendorDataReceived
from gateway.store.api import EventFilter, Store
from gateway.store.sqlite.event_queries import PAGE_BYTES
from tests.store.builders import append, connect


def test_a_page_is_bounded_by_bytes(store: Store) -> None:
    """At least one event, and no more than fill it; the next page goes on behind the last one."""
    epoch = connect(store).state.epoch
    for n in range(9):
        append(store, VendorDataReceived("V", "Accepted", str(n), "x" * (PAGE_BYTES // 4)), epoch=epoch)
    where = EventFilter(types=frozenset({VendorDataReceived.TYPE}))
    seen: list[int] = []
    position = 0
    for expected in (4, 4, 1):
        page = store.events(position, 1000, where)
        assert len(page.events) == expected
        position = page.position
        seen += [event.sequence for event in page.events]
    assert seen == sorted(set(seen))
    assert len(seen) == 9
    assert store.events(position, 1000, where).events == ()
