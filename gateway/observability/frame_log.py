"""The last messages of each charger, for people who want to see why it does what it does, or why it went.

A session adds each message before it reads it, so that one that can't be parsed is kept too, and before it sends it.
They are copied, one behind the other, into one piece of memory for each charger: as objects of their own they would
take twice as much, and an encoder's ``bytes`` can hold on to kilobytes that it didn't need. They are read, redacted and
decoded only when an operator asks for them. Only the gateway's CALLs that carry an AuthorizationKey are redacted before
they are kept: a charger may repeat the key when they are long gone, so the key is remembered apart, to be taken out of
whatever comes after.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from struct import Struct
from typing import TypeAlias

import trio
from attrs import define, field

from gateway.domain.diagnostics import FrameKind, KeptFrame
from gateway.domain.secrets import REDACTED, hides_names
from gateway.domain.values import Clock
from gateway.observability.tap import MAX_TAPS, Tap
from gateway.ocpp.redaction import redact, without
from gateway.transport.api import Initiator, Peer

MAX_FRAME_BYTES = 4_096
"""Of one frame; the rest is cut. Whole for all but a charger's full configuration or a long transaction's data."""

MAX_RING_BYTES = 16_384
"""Of one charge point's ring, whatever the setting says: at 18,000 chargers that all send large frames 300 MB."""

MAX_GONE = 1_000
"""Charge points without a connection whose frames are kept; the longest gone goes first. 16 MB at most, typically 3."""

MAX_KEYS = 8
"""AuthorizationKeys remembered for each charge point: the last ones that were sent to it."""

Kept: TypeAlias = tuple[float, FrameKind, bytes, int]
"""When, by the log's ``now``; what; as much of it as is kept; its length where that is not all of it, else 0."""

_ENDED_BY = {"peer": "the charger", "local": "the gateway", "network": "the network"}

_HEAD = Struct("<dBHI")
"""Before each frame in the ring: a ``Kept`` with the length of what is kept instead of it."""

_HEAD_BYTES = _HEAD.size

_KINDS = tuple(FrameKind)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}


@define(eq=False)
class FrameRing:
    """One charge point's. ``most``: frames in it; ``now``: the log's. (No weak slot: a ring becomes a ``TappedRing`` in
    place.)"""

    most: int
    now: Callable[[], float]
    connections: int = 0
    keys: tuple[str, ...] = field(default=(), repr=False)
    taps: "tuple[Tap, ...]" = ()
    """Only of a ``TappedRing``."""
    _count: int = 0
    _data: bytearray = field(factory=bytearray, repr=False)

    def add(self, kind: FrameKind, data: bytes) -> None:
        """Keep a frame, and let the oldest go. (In one function: it is called twice for each message.)"""
        whole, kept = 0, self._data
        if len(data) > MAX_FRAME_BYTES:
            data, whole = data[:MAX_FRAME_BYTES], min(len(data), 0xFFFF_FFFF)
        size = _HEAD_BYTES + len(data)
        while self._count == self.most or len(kept) + size > MAX_RING_BYTES:
            _, _, length, _ = _HEAD.unpack_from(kept)
            del kept[: _HEAD_BYTES + length]  # moves nothing: a bytearray only notes where it begins
            self._count -= 1
        kept += _HEAD.pack(self.now(), _NUMBERS[kind], len(data), whole)
        kept += data
        self._count += 1

    def frames(self) -> Iterator[Kept]:
        """All of them, the oldest first."""
        at = 0
        while at < len(self._data):
            time, number, length, whole = _HEAD.unpack_from(self._data, at)
            at += _HEAD_BYTES + length
            yield time, _KINDS[number], bytes(self._data[at - length : at]), whole

    def add_command(self, data: bytes) -> None:
        """Keep a CALL of the gateway, without the key that it may carry."""
        payload = data[data.find(b"{") :]  # what is before it is the gateway's own, and the id is another each time
        if hides_names(payload.decode()):
            redacted = redact(data)
            self.keys = (*self.keys, *redacted.keys)[-MAX_KEYS:]
            data = redacted.text.encode()
        self.add(FrameKind.SENT, data)

    def add_end(self, initiator: Initiator, code: int, reason: str) -> None:
        """Keep the end of a connection."""
        self.add(FrameKind.CLOSED, f"by {_ENDED_BY[initiator]}: {code} {reason}".rstrip().encode())


class TappedRing(FrameRing):
    """A ring whose frames go to taps, too. A ring becomes one while a tap is open: without one there is nothing to ask
    for each frame."""

    __slots__ = ()

    def add(self, kind: FrameKind, data: bytes) -> None:
        FrameRing.add(self, kind, data)
        for tap in self.taps:
            tap.put(kind, data)


class FrameLog:
    """The rings of all charge points. ``length``: frames of each, 0 keeps none. Belongs to the Trio loop.

    ``now``: seconds by a clock that never goes back, and that costs little: it is asked twice for each message.
    """

    def __init__(self, clock: Clock, length: int, now: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._now = now
        self._length = length
        self._live: dict[str, FrameRing] = {}
        self._gone: OrderedDict[str, FrameRing] = OrderedDict()
        self._taps: dict[str, tuple[Tap, ...]] = {}

    @property
    def kept(self) -> bool:
        """True if frames are kept at all."""
        return self._length > 0

    def opened(self, identity: str, peer: Peer) -> FrameRing | None:
        """Return the ring for the frames of a charge point's new connection, None where none are kept; ``over`` when
        it is over. Connections that overlap or follow one another share a ring, which shows how one ended and the next
        began."""
        if not self._length:
            return None
        ring = self._live.get(identity)
        if ring is None:
            ring = self._live[identity] = self._gone_ring(identity)
        ring.connections += 1
        if self._taps:
            self._attach(identity, ring)
        ring.add(FrameKind.CONNECTED, f"{peer.address} port {peer.port}, {peer.tls_version}".encode())
        return ring

    def over(self, identity: str) -> None:
        """A connection that was recorded is over."""
        if not self._length:
            return
        ring = self._live[identity]
        ring.connections -= 1
        if not ring.connections:
            self._gone[identity] = self._live.pop(identity)
            if len(self._gone) > MAX_GONE:
                self._gone.popitem(last=False)

    def _gone_ring(self, identity: str) -> FrameRing:
        """Its last one, or a new one."""
        return self._gone.pop(identity) if identity in self._gone else FrameRing(self._length, self._now)

    @contextmanager
    def tapped(self, identity: str) -> Iterator["Tap | None"]:
        """Have a charge point's frames as they come, also those of its connections to come; None: too many taps are
        open. Frames must be kept at all."""
        if sum(map(len, self._taps.values())) >= MAX_TAPS:
            yield None
            return
        ring = self._live.get(identity) or self._gone.get(identity)
        known = () if ring is None else self._keys_of(ring)
        tap = Tap(self._clock, lambda: self._sent_keys(identity), known)
        self._taps[identity] = (*self._taps.get(identity, ()), tap)
        self._attach(identity, ring)
        try:
            yield tap
        finally:
            rest = tuple(each for each in self._taps[identity] if each is not tap)
            if rest:
                self._taps[identity] = rest
            else:
                del self._taps[identity]
            self._attach(identity, self._live.get(identity) or self._gone.get(identity))

    @property
    def taps(self) -> int:
        """Taps that are open."""
        return sum(map(len, self._taps.values()))

    def _attach(self, identity: str, ring: FrameRing | None) -> None:
        if ring is not None:
            ring.taps = self._taps.get(identity, ())
            ring.__class__ = TappedRing if ring.taps else FrameRing

    def _sent_keys(self, identity: str) -> tuple[str, ...]:
        """The keys that the gateway has sent to a charge point of late."""
        ring = self._live.get(identity) or self._gone.get(identity)
        return () if ring is None else ring.keys

    def _keys_of(self, ring: FrameRing) -> tuple[str, ...]:
        """The keys that its frames have named so far."""
        return tuple({key for _, _, data, whole in ring.frames() for key in redact(data, cut=whole > 0).keys})

    def of(self, identity: str) -> list[KeptFrame] | None:
        """A charge point's frames, the oldest first, without secrets; None: there are none.

        Takes 1 ms for a full ring of large frames, and 10 ms if they were made to be hard to search.
        """
        ring = self._live.get(identity) or self._gone.get(identity)
        if ring is None:
            return None
        frames = tuple(ring.frames())
        redacted = [redact(data, cut=whole > 0) for _, _, data, whole in frames]
        keys = {*ring.keys, *(key for each in redacted for key in each.keys)}
        # Frames are dated by a clock that never goes back: what the wall clock did since must not change their order.
        start = self._clock() - timedelta(seconds=self._now())
        shown = []
        for (at, kind, data, whole), each in zip(frames, redacted, strict=True):
            text = without(each.text, keys)
            moment = start + timedelta(seconds=at)
            shown.append(KeptFrame(moment, kind, text, whole or len(data), whole > 0, REDACTED in text))
        return shown
