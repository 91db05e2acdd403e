"""Standing of chargers' certificates as OCSP responders give it: asked at each connect, kept for as long as it counts,
and asked again for those that stay connected.

TLS has no stapling for clients' certificates that chargers know, so that the gateway asks. A responder that does not
answer costs little: after one failure it is left alone for some seconds, in which all others are decided without it.
"""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

import structlog
import trio
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.chargers.admission import identity_of
from gateway.domain.values import Clock
from gateway.transport.api import Accept, Admit, Rejection, UpgradeRequest
from gateway.transport.certificate_files import DAMAGED
from gateway.transport.client_authority import MAX_DEPTH
from gateway.transport.ocsp import (
    NONCE_BYTES,
    Question,
    Standing,
    Status,
    UnusableAnswer,
    question,
    read_answer,
    responders,
)
from gateway.transport.ocsp_client import NoAnswer, ask

log = structlog.get_logger()

ASK_SECONDS: Final = 5.0
"""For one question and its answer: responders answer in tens of milliseconds, and an upgrade waits for it."""

PAUSE_SECONDS: Final = 10.0
"""After a failure nothing is asked of this responder: a fleet that comes back must not wait for it one by one."""

AT_ONCE: Final = 16
"""Questions under way: what a returning fleet asks of a responder and of this machine's descriptors."""

MAX_KEPT: Final = 50_000
"""Answers kept, some 200 bytes each: one for each charger of the largest import."""

MAX_RESPONDERS: Final = 64
"""Responders whose failures are remembered: there is one for each authority (``MAX_ISSUERS``)."""

RECHECK_SECONDS: Final = 60.0
"""Between two looks at those that are connected; each is asked about as often as its answers say (``MAX_AGE``)."""

RETRY_AFTER_SECONDS: Final = 30
"""Retry-After of a charger whose responder does not answer: a few pauses later."""

LOG_SECONDS: Final = 60.0
"""Between two lines of log about responders that fail."""

REVOKED: Final = "client_certificate_revoked"
UNKNOWN: Final = "client_certificate_unknown"
UNAVAILABLE: Final = "client_ocsp_unavailable"


_WORST_FIRST: Final = (Standing.REVOKED, Standing.UNKNOWN, None, Standing.GOOD)


class Issuers(Protocol):
    """The authorities of a listener's clients, as they were last read."""

    def issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """Return the authority that issued a certificate; None: there is none."""


class Connections(Protocol):
    """Connections with certificates (``CertifiedConnections``)."""

    async def close_refused(self, refusal: Callable[[bytes | None], Awaitable[str | None]]) -> None:
        """Close those for whose certificate ``refusal`` has a reason."""


@frozen
class _Key:
    """The certificate of an answer: whose, and which."""

    issuer: bytes
    serial: int


class CertificateStatuses:
    """The standings of the certificates of one listener's chargers. Belongs to the Trio loop.

    ``responder``: the URL that is asked about chargers; empty: the one that their certificate names.
    ``accepts_missing``: a certificate of which nothing current is known counts as good, unless the last word on it was
    that it is revoked.
    """

    def __init__(
        self,
        issuers: Issuers,
        responder: str,
        *,
        accepts_missing: bool,
        clock: Clock,
        count: Callable[[str, str], None],
        ask: Callable[[str, bytes], Awaitable[bytes]] = ask,
    ) -> None:
        self._issuers = issuers
        self._responder = responder
        self._accepts_missing = accepts_missing
        self._clock = clock
        self._count = count
        self._ask = ask
        self._kept: OrderedDict[_Key, Status] = OrderedDict()
        self._silent_until: OrderedDict[str, float] = OrderedDict()
        self._places = trio.CapacityLimiter(AT_ONCE)
        self._logged_at = float("-inf")

    async def refusal(self, certificate: bytes | None) -> str | None:
        """Return why a charger with this certificate (DER) may not come in, as a stable word; None: it may.

        Waits for the responder, at most ``ASK_SECONDS`` once it has a place. Cancelling is safe.
        """
        standing = await self._standing(certificate)
        if standing is None:
            return None if self._accepts_missing else UNAVAILABLE
        return {Standing.GOOD: None, Standing.REVOKED: REVOKED, Standing.UNKNOWN: UNKNOWN}[standing]

    def guarding(self, admit: Admit) -> Admit:
        """Return an admission that refuses of those that ``admit`` lets in the ones with a certificate that is not
        good."""

        async def guarded(request: UpgradeRequest) -> Accept | Rejection:
            answer = await admit(request)
            if isinstance(answer, Rejection):
                return answer
            reason = await self.refusal(request.peer.certificate)
            if reason is None:
                return answer
            self._count("refused_upgrades", reason)
            identity = identity_of(answer.principal)
            if reason == UNAVAILABLE:
                return Rejection(503, reason, identity, (("Retry-After", str(RETRY_AFTER_SECONDS)),))
            return Rejection(403, reason, identity)

        return guarded

    async def watch(self, connections: Connections) -> None:
        """Until cancelled: close those whose certificates are revoked by now. One after the other is asked about, once
        its last answer counts no longer; a charger that is connected stays where no answer comes."""

        async def revoked(certificate: bytes | None) -> str | None:
            return REVOKED if await self._standing(certificate) is Standing.REVOKED else None

        while True:
            await trio.sleep(RECHECK_SECONDS)
            await connections.close_refused(revoked)

    async def _standing(self, certificate: bytes | None) -> Standing | None:
        """The standing by answers that count now, about the certificate and those of its issuers that name a responder
        (RFC 5280 §6.1.3); None where one of them has none."""
        try:
            leaf = x509.load_der_x509_certificate(certificate or b"")
            issuer = self._issuers.issuer_of(leaf)
            named = next(iter(responders(leaf)), "")
        except DAMAGED:
            return None
        if issuer is None:  # its authority was taken away meanwhile
            return None
        found = {await self._standing_of(leaf, issuer, self._responder or named)}
        for each, above, url in self._issuers_above(issuer):
            if Standing.REVOKED in found:
                break
            found.add(await self._standing_of(each, above, url))
        return next(each for each in _WORST_FIRST if each in found)

    def _issuers_above(self, issuer: x509.Certificate) -> Iterator[tuple[x509.Certificate, x509.Certificate, str]]:
        """The intermediate authorities from ``issuer`` up that name a responder, each with its own issuer. The
        responder of the settings is for chargers: another authority's may not know of it."""
        for _ in range(MAX_DEPTH):
            if issuer.issuer == issuer.subject:
                return
            try:
                above, named = self._issuers.issuer_of(issuer), responders(issuer)
            except DAMAGED:
                return
            if above is None:
                return
            if named:
                yield issuer, above, named[0]
            issuer = above

    async def _standing_of(self, leaf: x509.Certificate, issuer: x509.Certificate, url: str) -> Standing | None:
        key = _Key(issuer.fingerprint(SHA256()), leaf.serial_number)
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.until:
            self._kept.move_to_end(key)
            return kept.standing
        asked = question(leaf, issuer, secrets.token_bytes(NONCE_BYTES))
        status = await self._question(url, asked, issuer)
        if status is not None:
            self._keep(key, status)
            return status.standing
        if kept is not None and kept.standing is Standing.REVOKED:
            return Standing.REVOKED  # what was revoked once does not become good by a responder's silence
        return None

    async def _question(self, url: str, asked: Question, issuer: x509.Certificate) -> Status | None:
        if not url:
            self._failed(url, "no_responder")
            return None
        async with self._places:
            if trio.current_time() < self._silent_until.get(url, float("-inf")):
                self._count("ocsp_answers", "paused")
                return None
            try:
                with trio.fail_after(ASK_SECONDS):
                    data = await self._ask(url, asked.der)
                status = read_answer(data, asked, issuer, self._clock())
            except trio.TooSlowError:
                self._failed(url, "deadline")
            except (NoAnswer, UnusableAnswer) as exc:
                self._failed(url, str(exc))
            else:
                self._count("ocsp_answers", status.standing.value)
                return status
        return None

    def _keep(self, key: _Key, status: Status) -> None:
        self._kept[key] = status
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def _failed(self, url: str, reason: str) -> None:
        self._count("ocsp_answers", reason)
        now = trio.current_time()
        if url:
            self._silent_until[url] = now + PAUSE_SECONDS
            self._silent_until.move_to_end(url)
            if len(self._silent_until) > MAX_RESPONDERS:
                self._silent_until.popitem(last=False)
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log.error("an OCSP responder gives no answer that counts", responder=url, reason=reason)
