"""The measured offsets of charge points' clocks: how events change them."""

from typing import TYPE_CHECKING, Final

from gateway.domain.events import NewEvent
from gateway.store.clock_offsets import clock_offset_column
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import change

if TYPE_CHECKING:
    from gateway.store.postgres.writer import Writer

MEASURED: Final = change(
    "key int4, known bytea", "UPDATE charge_point c SET clock_offset = u.known FROM ROWS WHERE c.key = u.key"
)


def measured(writer: "Writer", owner: Owner, event: NewEvent) -> None:
    """Note what an event says of its charge point's clock."""
    after = owner.clock.after(event)
    if after is not owner.clock:
        owner.clock = after
        writer.change(MEASURED, owner.key, clock_offset_column(after))
