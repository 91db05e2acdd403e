"""Vendors' data on its way from chargers to the services that registered for it, and their answers back (Trio's side).

    a session asks ──▶ Link.ask: waits, for a bounded time ◀──┐
                          │ outbox (bounded)                  │ answer
                          ▼                                   │
                    VendorServiceRegistry.serve ──▶ the service's stream

Each service has its ``ServiceStream`` with its own bounds: a slow one delays and refuses its own vendors' data, no
others'. The newest service for a vendor's message gets it; older ones stand by until it goes, so that a successor can
be there before its predecessor leaves, and one that hangs on a dead connection hinders no other.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

import orjson
import structlog
import trio
from attrs import define, evolve, field, frozen

from gateway.control.errors import Failure, Status
from gateway.domain.values import Clock, new_id
from gateway.domain.vendor_data import REJECTED, UNKNOWN_MESSAGE, UNKNOWN_VENDOR, VendorAnswer, VendorData

log = structlog.get_logger()

ANSWER_SECONDS: Final = 5.0
"""Default time for a service's answer. Chargers wait about 30 s, and many then drop the connection."""

MAX_SERVICES: Final = 64
"""Streams at once: vendors are counted in tens, and each has a service and perhaps its successor."""

MAX_WAITING: Final = 4_096
"""Data of one service that waits for an answer: 800 a second for the whole time. Further data is rejected at once."""

MAX_OUTBOX_BYTES: Final = 16 * 1024 * 1024
"""Data of one service that its stream has not taken yet: sixteen of the largest messages that chargers may send."""

MAX_NOTICES: Final = 100
"""Refused answers that are still to be reported to a service; further ones are not."""


class AnswerRefusal(StrEnum):
    """Reasons why an answer did not reach its charger."""

    NOT_WAITING = "NOT_WAITING"
    BAD_STATUS = "BAD_STATUS"
    DATA_TOO_LONG = "DATA_TOO_LONG"


@frozen
class Asked:
    """Data for a service. ``json``: the data in JSON; empty if there is none."""

    data_id: str
    charge_point: str
    vendor_id: str
    message_id: str | None
    json: bytes = field(repr=False)
    received_at: datetime
    answer_by: datetime


@frozen
class AnswerRefused:
    data_id: str
    reason: AnswerRefusal


Interests: TypeAlias = Mapping[str, frozenset[str]]
"""Vendor ids to message ids, folded by ``fold``. No message ids: all; an empty one: data without a message id."""

Count: TypeAlias = Callable[[str, str], None]


def fold(name: str) -> str:
    """OCPP's vendor and message ids are the same in any case (CiString, S §7)."""
    return name.casefold()


@define(eq=False)
class _Waiting:
    answer: VendorAnswer | None = None
    settled: trio.Event = field(factory=trio.Event)

    def settle(self, answer: VendorAnswer | None) -> None:
        self.answer = answer
        self.settled.set()


class ServiceStream:
    """One service, for as long as its stream is open."""

    def __init__(self, interests: Interests, caller: str = "") -> None:
        self.interests = interests
        self._caller = caller
        self._waiting: dict[str, _Waiting] = {}
        self._outbox: OrderedDict[str, Asked] = OrderedDict()
        self._outbox_bytes = 0
        self._notices: deque[AnswerRefused] = deque()
        self._news = trio.Event()
        self._closed = False

    def handles(self, vendor: str, message: str) -> bool:
        """Return true if the service wants this message of the vendor (both folded)."""
        messages = self.interests.get(vendor)
        return messages is not None and (not messages or message in messages)

    # --- for sessions -----------------------------------------------------------------------------------------

    async def ask(self, asked: Asked, deadline: float) -> tuple[VendorAnswer, str]:
        """The service's answer, or what stands for it, and how it came about. ``deadline`` in Trio's time."""
        size = len(asked.json)
        if len(self._waiting) >= MAX_WAITING or self._outbox_bytes + size > MAX_OUTBOX_BYTES:
            return REJECTED, "overloaded"
        waiting = self._waiting[asked.data_id] = _Waiting()
        self._outbox[asked.data_id] = asked
        self._outbox_bytes += size
        self._news.set()
        try:
            with trio.move_on_at(deadline):
                await waiting.settled.wait()
        finally:
            self._waiting.pop(asked.data_id, None)
            self._take(asked.data_id)
        if waiting.answer is not None:
            return evolve(waiting.answer, caller=self._caller), "answered"
        return REJECTED, "service-gone" if self._closed else "timed-out"

    # --- for the stream ---------------------------------------------------------------------------------------

    async def next(self) -> Asked | AnswerRefused | None:
        """Return the next message for the service; None: it has left. Cancelling is safe."""
        while not self._closed:
            if self._notices:
                return self._notices.popleft()
            if self._outbox:
                return self._take(next(iter(self._outbox)))
            self._news = trio.Event()
            await self._news.wait()
        return None

    async def answer(self, data_id: str, answer: VendorAnswer | AnswerRefusal) -> None:
        """Take the service's answer to some data, or its fault; reported to the service if it is of no use."""
        waiting = self._waiting.get(data_id)
        if waiting is None or waiting.settled.is_set():
            answer = AnswerRefusal.NOT_WAITING
        elif isinstance(answer, VendorAnswer):
            waiting.settle(answer)
        if isinstance(answer, AnswerRefusal) and len(self._notices) < MAX_NOTICES:
            self._notices.append(AnswerRefused(data_id, answer))
            self._news.set()

    async def leave(self) -> None:
        """The service wants no more."""
        self.close()

    def close(self) -> None:
        """End all waits without an answer. Repeating it does nothing."""
        self._closed = True
        for waiting in self._waiting.values():
            if not waiting.settled.is_set():
                waiting.settle(None)
        self._news.set()

    def _take(self, data_id: str) -> Asked | None:
        asked = self._outbox.pop(data_id, None)
        if asked is not None:
            self._outbox_bytes -= len(asked.json)
        return asked


class VendorServiceRegistry:
    """The services that are registered now: ``gateway.domain.vendor_data.VendorServices``, and the streams' side."""

    def __init__(
        self, clock: Clock, answer_seconds: float = ANSWER_SECONDS, count: Count = lambda what, label: None
    ) -> None:
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._count = count
        self._links: list[ServiceStream] = []  # the oldest first

    @property
    def registered(self) -> int:
        """Number of registered services."""
        return len(self._links)

    # --- for sessions -----------------------------------------------------------------------------------------

    def at_once(self, vendor_id: str, message_id: str | None) -> VendorAnswer | None:
        """The answer where no service is to be asked (S §4.3, B8.1); else None."""
        found = self._find(vendor_id, message_id)
        return found if isinstance(found, VendorAnswer) else None

    async def ask(self, data: VendorData) -> VendorAnswer:
        """The service's answer; Rejected where it has too much to do, gives none in time, or leaves before."""
        link = self._find(data.vendor_id, data.message_id)
        if isinstance(link, VendorAnswer):
            return link
        now = self._clock()
        asked = Asked(
            new_id("vd"),
            data.charge_point,
            data.vendor_id,
            data.message_id,
            b"" if data.data is None else orjson.dumps(data.data),
            now,
            now + timedelta(seconds=self._answer_seconds),
        )
        answer, how = await link.ask(asked, trio.current_time() + self._answer_seconds)
        self._count("vendor_data", how)
        return answer

    def _find(self, vendor_id: str, message_id: str | None) -> ServiceStream | VendorAnswer:
        vendor, message = fold(vendor_id), fold(message_id or "")
        known = False
        for link in reversed(self._links):
            if link.handles(vendor, message):
                return link
            known = known or vendor in link.interests
        return UNKNOWN_MESSAGE if known else UNKNOWN_VENDOR

    # --- for the streams --------------------------------------------------------------------------------------

    async def serve(
        self, interests: Interests, caller: str = ""
    ) -> AsyncGenerator[ServiceStream | Asked | AnswerRefused, None]:
        """Register a service until it leaves or this is closed: first its stream, then all messages to it.

        Raises ``Failure`` if there are too many. Closing answers Rejected to all that wait.
        """
        if len(self._links) >= MAX_SERVICES:
            raise Failure(
                Status.RESOURCE_EXHAUSTED, "TOO_MANY_SERVICES", f"{MAX_SERVICES} services handle vendors' data already"
            )
        link = ServiceStream(interests, caller)
        self._links.append(link)
        vendors = sorted(interests)[:10]
        log.info("service for vendors' data registered", vendors=vendors, services=len(self._links), caller=caller)
        try:
            yield link
            while (item := await link.next()) is not None:
                yield item
        finally:
            self._links.remove(link)
            link.close()
            log.info("service for vendors' data left", vendors=vendors, services=len(self._links), caller=caller)
