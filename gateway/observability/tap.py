"""A tap: the frames of one charge point as they come, for an operator who watches, without secrets.

The session's side only puts bytes into a bounded queue: frames that a slow reader leaves no room for are dropped and
counted, and the reader learns how many. They are redacted when they are read, in their order, by the table that all
frames are redacted by; AuthorizationKeys that were seen are taken out of whatever comes after.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

import trio
from attrs import frozen

from gateway.domain.diagnostics import FrameKind, KeptFrame
from gateway.domain.secrets import REDACTED
from gateway.domain.values import Clock
from gateway.ocpp.redaction import redact, without

MAX_TAPS: Final = 8
"""Open at once: a few people look at a few charge points. Each may hold ``MAX_WAITING_BYTES``."""

MAX_WAITING: Final = 1_000
"""Frames that wait for a tap's reader: minutes of a busy charge point."""

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""Their bytes: as much as the longest message."""

MAX_TAPPED_BYTES: Final = 256 * 1024
"""Of one frame; the rest is cut. Real messages stay below, but for a transaction's end with hours of samples; redacting
more would hold up the loop for tens of milliseconds."""

MAX_KEYS: Final = 64
"""Secrets that are looked for in what comes after them: of the last messages that held one."""

AT_ONCE: Final = 50
"""Frames of one batch."""

BIG_BYTES: Final = 16 * 1024
"""A larger frame is redacted in a worker thread."""


@frozen
class TappedFrames:
    """A batch, the oldest first. ``missing``: frames since the batch before that found no room."""

    frames: tuple[KeptFrame, ...]
    missing: int = 0


class Tap:
    """One tap. ``put`` is the session's; ``next`` is its reader's. ``sent_keys``: the keys that the gateway has sent;
    ``known``: those that earlier frames have named."""

    def __init__(self, clock: Clock, sent_keys: Callable[[], Iterable[str]], known: Iterable[str] = ()) -> None:
        self._clock = clock
        self._sent_keys = sent_keys
        self._keys: OrderedDict[str, None] = OrderedDict.fromkeys(known)
        self._waiting: deque[tuple[float, FrameKind, bytes, int]] = deque()
        self._bytes = 0
        self._missing = 0
        self._arrived = trio.Event()

    @property
    def waiting(self) -> int:
        """Frames that wait to be read."""
        return len(self._waiting)

    def put(self, kind: FrameKind, data: bytes) -> None:
        """Take a frame, or count it where there is no room. Never waits."""
        kept = data[:MAX_TAPPED_BYTES]
        if len(self._waiting) >= MAX_WAITING or self._bytes + len(kept) > MAX_WAITING_BYTES:
            self._missing += 1
            return
        self._waiting.append((trio.current_time(), kind, kept, len(data)))
        self._bytes += len(kept)
        self._arrived.set()

    async def next(self) -> TappedFrames:
        """Wait for frames. Cancelling is safe: what was not returned stays."""
        while not self._waiting:
            self._arrived = trio.Event()
            await self._arrived.wait()
        batch = [self._waiting[index] for index in range(min(AT_ONCE, len(self._waiting)))]
        start = self._clock() - timedelta(seconds=trio.current_time())
        if any(len(kept) > BIG_BYTES for _, _, kept, _ in batch):
            shown = await trio.to_thread.run_sync(self._shown, batch, start)
        else:
            shown = self._shown(batch, start)
        for _, _, kept, _ in batch:
            self._waiting.popleft()
            self._bytes -= len(kept)
        missing, self._missing = self._missing, 0
        return TappedFrames(shown, missing)

    def _shown(self, batch: list[tuple[float, FrameKind, bytes, int]], start: datetime) -> tuple[KeptFrame, ...]:
        shown = []
        for at, kind, kept, size in batch:
            cut = size > len(kept)
            redacted = redact(kept, cut=cut)
            self._keys.update(dict.fromkeys(redacted.keys))
            while len(self._keys) > MAX_KEYS:
                self._keys.popitem(last=False)
            text = without(redacted.text, {*self._keys, *self._sent_keys()})
            shown.append(KeptFrame(start + timedelta(seconds=at), kind, text, size, cut, REDACTED in text))
        return tuple(shown)
