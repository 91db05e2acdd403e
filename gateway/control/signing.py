"""Requests of chargers to have a key certified, on their way to the signing service, and its answers (Trio's side).

    certificate.requested ──▶ the store ──▶ SigningDesk.serve ──▶ the service's stream
    certificate.issued or signing_ended ◀── SigningDesk.answer ◀──┘

What waits is read from the store, so that it survives a restart and is there for a service that comes late. The newest
service gets the requests; older ones stand by until it goes. An answer is committed before anything else happens with
it, and a session that has the charger follows.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from enum import StrEnum
from typing import Final

import structlog
import trio
from attrs import frozen

from gateway.control.errors import Failure, Status
from gateway.control.ports import Journal
from gateway.domain.certificates import chain_problem, facts_of
from gateway.domain.decision import SigningOpen
from gateway.domain.events import Body, CertificateIssued, CertificateSigningEnded, NewEvent
from gateway.domain.secrets import shown_text
from gateway.domain.signing import SigningEnd, SigningRecord
from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.store.commits import Append, Appended
from gateway.store.reads import Reads

log = structlog.get_logger()

MAX_SERVICES: Final = 8
"""Streams at once: there is one authority, and perhaps its successor."""

POLL_SECONDS: Final = 1.0
"""Between two looks for requests, while a service is there. Chargers wait for hours."""

PAGE: Final = 100
"""Requests that are read at once."""

MAX_OUT: Final = 1_000
"""Requests that one service has been given and has not answered: a fleet's renewal is paced, and each has 5 kB. Further
ones follow when it answers."""

MAX_NOTICES: Final = 100
"""Refused answers that are still to be reported to a service; further ones are not."""

Changed = Callable[[str, NewEvent], None]
Count = Callable[[str, str], None]


class SigningRefusal(StrEnum):
    """Reasons why an answer is not taken."""

    NOT_WAITING = "NOT_WAITING"
    BAD_CHAIN = "BAD_CHAIN"
    BAD_ANSWER = "BAD_ANSWER"
    UNAVAILABLE = "UNAVAILABLE"


@frozen
class Signed:
    """The service's certificate, with those that issued it."""

    chain: str


@frozen
class Declined:
    """The service issues none; ``reason`` in its words."""

    reason: str


@frozen
class SigningNotice:
    """An answer was not taken."""

    signing_id: str
    reason: SigningRefusal
    description: str


class SigningStream:
    """One service, for as long as its stream is open."""

    def __init__(self, desk: "SigningDesk") -> None:
        self._desk = desk
        self.notices: deque[SigningNotice] = deque()
        self.news = trio.Event()
        self.closed = False

    async def answer(self, signing_id: str, answer: Signed | Declined | None) -> None:
        """Take the service's answer; None: it is none. Reported to the service if it is not taken."""
        notice = await self._desk.take(signing_id, answer)
        if notice is not None and len(self.notices) < MAX_NOTICES:
            self.notices.append(notice)
        self.news.set()

    async def leave(self) -> None:
        """The service wants no more."""
        self.closed = True
        self.news.set()


class SigningDesk:
    """The services that are registered now, and what waits for them. ``changed`` is called with each event that is
    committed here, and the identity of its charge point."""

    def __init__(
        self,
        journal: Journal,
        reads: Reads,
        changed: Changed,
        clock: Clock,
        count: Count = lambda what, label: None,
    ) -> None:
        self._journal = journal
        self._reads = reads
        self._changed = changed
        self._clock = clock
        self._count = count
        self._streams: list[SigningStream] = []  # the oldest first

    @property
    def registered(self) -> int:
        """Number of registered services."""
        return len(self._streams)

    async def serve(self) -> AsyncGenerator[SigningStream | SigningRecord | SigningNotice, None]:
        """Register a service until it leaves or this is closed: first its stream, then all messages to it.

        Raises ``Failure`` if there are too many, and ``StoreUnavailable``.
        """
        if len(self._streams) >= MAX_SERVICES:
            raise Failure(
                Status.RESOURCE_EXHAUSTED, "TOO_MANY_SERVICES", f"{MAX_SERVICES} services sign certificates already"
            )
        stream = SigningStream(self)
        self._streams.append(stream)
        log.info("signing service registered", services=len(self._streams))
        given: frozenset[str] = frozenset()
        try:
            yield stream
            while not stream.closed:
                stream.news = trio.Event()
                while stream.notices:
                    yield stream.notices.popleft()
                if self._streams[-1] is stream:
                    waiting = await self._waiting()
                    given &= {each.signing_id for each in waiting}
                    for each in waiting:
                        if each.signing_id not in given:
                            given |= {each.signing_id}
                            yield each
                with trio.move_on_after(POLL_SECONDS):
                    await stream.news.wait()
        finally:
            self._streams.remove(stream)
            log.info("signing service left", services=len(self._streams))

    async def _waiting(self) -> list[SigningRecord]:
        """The first ``MAX_OUT`` requests that wait."""
        found: list[SigningRecord] = []
        after = ""
        while len(found) < MAX_OUT and (page := await self._reads.unsigned(after, PAGE)):
            found += page
            after = page[-1].signing_id
        return found

    async def take(self, signing_id: str, answer: Signed | Declined | None) -> SigningNotice | None:
        """Record an answer; None: it is on disk, else why it is not taken."""
        try:
            return await self._take(signing_id, answer)
        except StoreUnavailable:
            return SigningNotice(signing_id, SigningRefusal.UNAVAILABLE, "the store can't keep it; answer it again")

    async def _take(self, signing_id: str, answer: Signed | Declined | None) -> SigningNotice | None:
        not_waiting = SigningNotice(signing_id, SigningRefusal.NOT_WAITING, "no request of this id waits for an answer")
        open_ = await self._reads.signing(signing_id)
        if open_ is None or open_.chain:
            return not_waiting
        body: Body
        match answer:
            case Signed(chain):
                problem = chain_problem(chain, self._clock(), open_.csr)
                facts = facts_of(chain)
                if problem is not None or facts is None:
                    return SigningNotice(signing_id, SigningRefusal.BAD_CHAIN, problem or "it can't be read")
                body = CertificateIssued(signing_id, chain, facts.serial_number, facts.not_after)
            case Declined(reason):
                body = CertificateSigningEnded(signing_id, SigningEnd.REFUSED, shown_text(reason))
            case None:
                return SigningNotice(
                    signing_id, SigningRefusal.BAD_ANSWER, "it has neither a certificate nor a refusal in words"
                )
        event = NewEvent(body, self._clock())
        guard = SigningOpen(signing_id, issued=False)
        result = await self._journal.commit(Append(open_.charge_point, None, (event,), (guard,)))
        if not isinstance(result, Appended):
            return not_waiting
        self._changed(open_.charge_point, event)
        self._count("signings", "issued" if isinstance(body, CertificateIssued) else SigningEnd.REFUSED.value)
        return None
