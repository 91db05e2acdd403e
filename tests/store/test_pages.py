"""Pages of events, where bodies are large."""

import pytest

from gateway.domain.events import VendorDataReceived
from gateway.store.api import EventFilter, Store
from gateway.store.limits import PAGE_BYTES
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


@pytest.mark.parametrize(("less", "events"), [(0, 4), (1, 5)], ids=["full to the byte", "a byte short of it"])
def test_a_page_takes_no_event_more_once_it_is_full_to_the_byte(store: Store, less: int, events: int) -> None:
    """The last event may exceed the bound; none begins at it."""
    epoch = connect(store).state.epoch
    where = EventFilter(types=frozenset({VendorDataReceived.TYPE}))

    def received(size: int) -> None:
        append(store, VendorDataReceived("V", "Accepted", "m", "x" * size), epoch=epoch)

    received(0)
    [empty] = store.events(0, 1, where).events
    around = len(empty.body_json)
    for size in (*[PAGE_BYTES // 4] * 3, PAGE_BYTES // 4 - less, around):
        received(size - around)
    page = store.events(empty.sequence, 1000, where)
    assert len(page.events) == events
