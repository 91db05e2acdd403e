"""The measured offsets of charge points' clocks: how events change them."""

from apsw import Connection

from gateway.domain.events import NewEvent
from gateway.store.clock_offsets import clock_offset, clock_offset_column


def measured(cx: Connection, key: int, event: NewEvent) -> None:
    """Note what an event says of its charge point's clock."""
    before = clock_offset(cx.execute("SELECT clock_offset FROM charge_point WHERE key = ?", (key,)).get)
    after = before.after(event)
    if after is not before:
        cx.execute("UPDATE charge_point SET clock_offset = ? WHERE key = ?", (clock_offset_column(after), key))
