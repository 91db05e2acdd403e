"""Watching events, from any point of the history to its moving end (Trio's side)."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import nullcontext
from typing import Final, Literal, TypeAlias

from gateway.control.errors import Failure, Status, invalid
from gateway.control.ports import Feed
from gateway.control.watchers import Watcher, Watchers
from gateway.domain.commands import FieldViolation
from gateway.feed import BEGINNING, BadToken, Batch, BelowFloor, BeyondHead, decode, encode
from gateway.store.api import EventFilter, Generation, generation_at

BATCH_EVENTS, BATCH_BYTES = 100, 256 * 1024
"""Of one message. A written message costs the same whatever it holds, and beyond 50 events that cost is nothing; more
would only make a watcher on a slow link wait longer for the first of them."""

IDLE_SECONDS = 10.0
"""Without events for so long a watcher gets a message without any: it sees that it is alive, and its resume token
moves on even if its filter lets nothing through."""

Start: TypeAlias = Literal["beginning", "now"] | bytes
"""Where to begin; bytes are a resume token."""


UNNAMED: Final = Watcher()


def unnoticed(what: str, which: str) -> None:
    """Does nothing with what another life of the store gave out."""


class EventStreams:
    """Streams of events for watchers. Holds nothing for them: a slow one lags in the store."""

    def __init__(
        self,
        feed: Feed,
        store_id: str,
        idle: float = IDLE_SECONDS,
        generations: Callable[[], Sequence[Generation]] = tuple,
        from_another_life: Callable[[str, str], None] = unnoticed,
        watchers: Watchers | None = None,
    ) -> None:
        """``watchers``: where open watches are listed; None: nowhere."""
        self._feed = feed
        self._store_id = store_id
        self._idle = idle
        self._generations = generations
        self._from_another_life = from_another_life
        self._watchers = watchers

    async def watch(self, where: EventFilter, start: Start, watcher: Watcher = UNNAMED) -> AsyncGenerator[Batch, None]:
        """Batches without end; the first comes at once and has no events, and others have none at times: their
        positions tell how far the watch has come. Raises ``Failure`` and ``StoreUnavailable``.

        To be closed when it is no longer read. Cancelling is safe: a watch with the last token misses nothing.
        """
        after, known = self._position(start)
        try:
            async with self._feed.subscribe(
                where, after, idle=self._idle, max_events=BATCH_EVENTS, max_bytes=BATCH_BYTES
            ) as subscription:
                if not known:  # and not below retention, where nothing can be known
                    assert after is not None
                    raise BeyondHead(after)
                with nullcontext() if self._watchers is None else self._watchers.entered(watcher, subscription):
                    yield Batch((), subscription.position, subscription.head)
                    while True:
                        yield await subscription.next()
        except BelowFloor as error:
            raise Failure(
                Status.OUT_OF_RANGE,
                "BELOW_RETENTION",
                "the events after this resume token have been deleted by retention; begin anew at the beginning",
                {"floor": str(error.floor)},
            ) from None
        except BeyondHead:
            self._from_another_life("resume_token", f"position {after}")
            raise Failure(
                Status.OUT_OF_RANGE,
                "BEYOND_HEAD",
                "this store has never been where the resume token is: an older state of it was restored, or it is a "
                "copy. What the token's events were can't be known here; begin anew at the beginning",
            ) from None

    def place(self, batch: Batch) -> bytes:
        """The resume token after a batch."""
        return encode(self._store_id, batch.position, generation_at(self._generations(), batch.position))

    def _position(self, start: Start) -> tuple[int | None, bool]:
        """Return the position to begin at; one that this store has not reached is refused (a copy has other events)."""
        if start == "now":
            return None, True
        if start == "beginning":
            return BEGINNING, True
        assert isinstance(start, bytes)
        position = decode(start, self._store_id)
        if isinstance(position, BadToken):
            raise invalid(FieldViolation("resume_token", position.reason), reason="BAD_RESUME_TOKEN")
        return position.sequence, generation_at(self._generations(), position.sequence) == position.generation
