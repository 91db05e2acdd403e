"""Admission: the claim of an upgrade request against what the store knows (A1, A2, A7).

Nothing is written for a refusal, and its work is bounded, because refused chargers come back for ever (JE 3.3): one
read, and for keys of unknown strength one slow hash, for which identities and addresses take turns (``slow_checks``).
Where there is no place left, not even that.
"""

import random
from collections.abc import Callable, Mapping, Sequence

import structlog
import trio
from attrs import frozen

from gateway.chargers.certificate_identity import CertificateRule
from gateway.chargers.slow_checks import SlowChecks
from gateway.domain.credentials import Verifier, find
from gateway.domain.records import Credential
from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.session.ports import Observer
from gateway.store.api import AdmissionRecord
from gateway.store.reads import Reads
from gateway.transport.addresses import Addresses
from gateway.transport.api import Accept, Rejection, UpgradeRequest
from gateway.transport.authentication import Claim, claim, select_subprotocol, unauthorized
from gateway.transport.token_bucket import TokenBucket

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 30
"""Retry-After while the gateway can't serve a charger: about as long as a disk or a successor takes."""

RETRY_AFTER_FULL_SECONDS = (60, 180)
"""Retry-After of a charger without a place: somewhere in between, so that they don't all come back at once."""

RETRY_AFTER_CROWDED_SECONDS = (5, 15)
"""Retry-After for a charger whose password too many others guess at this moment."""

LOGGED_PER_SECOND, LOGGED_AT_ONCE = 5, 50
"""Refusals that get a line of log: strangers and chargers without a place come back for ever, thousands of them at once
(A1.6). The others are counted only."""

BASIC_AUTH_PROFILE = 2
"""TLS with Basic authentication (WP 2.4)."""

CERTIFICATE_PROFILE = 3
"""TLS with a client certificate, which stands in the place of the password (WP 2.5)."""


@frozen
class EntryTerms:
    """Terms on which a listener lets a charger in. ``rule`` is that of its certificate, where one is asked for; with
    profile 3 no password is."""

    path_prefix: str
    security_profile: int = BASIC_AUTH_PROFILE
    rule: CertificateRule | None = None


@frozen
class Principal:
    """An admitted charger. ``superseded``: credentials that the one it used has replaced by being used."""

    identity: str
    subprotocol: str
    security_profile: int
    superseded: tuple[str, ...] = ()


class Admission:
    """The listeners' ``admit``. ``refusing`` returns the reason why none can be served now, or None; ``has_place`` if
    there is a place for this charger."""

    def __init__(
        self,
        *,
        reads: Reads,
        verifier: Verifier,
        clock: Clock,
        observer: Observer,
        terms: Mapping[str, EntryTerms],
        subprotocols: Sequence[str],
        refusing: Callable[[], str | None],
        has_place: Callable[[str], bool] = lambda _: True,
        addresses: Addresses | None = None,
        slow_checks: SlowChecks | None = None,
    ) -> None:
        self._reads = reads
        self._verifier = verifier
        self._clock = clock
        self._observer = observer
        self._terms = terms
        self._subprotocols = subprotocols
        self._refusing = refusing
        self._has_place = has_place
        self._addresses = Addresses() if addresses is None else addresses
        self._slow_checks = slow_checks or SlowChecks()
        self._lines = TokenBucket(LOGGED_PER_SECOND, LOGGED_AT_ONCE)
        self._unlogged = 0

    async def __call__(self, request: UpgradeRequest) -> Accept | Rejection:
        """Decide. Cancelling is safe."""
        answer = await self._decide(request)
        if isinstance(answer, Rejection):
            self._observer.count("refused_upgrades", answer.reason)
            self._log(answer, request.peer.address)
        return answer

    def _log(self, refusal: Rejection, address: str) -> None:
        if not self._lines.allows(trio.current_time()):
            self._unlogged += 1
            return
        log.info(
            "charger refused",
            identity=refusal.identity,
            reason=refusal.reason,
            status=refusal.status,
            address=address,
            unlogged_before=self._unlogged,
        )
        self._unlogged = 0

    async def _decide(self, request: UpgradeRequest) -> Accept | Rejection:
        reason = self._refusing()
        if reason is not None:
            return _later(reason)
        terms = self._terms[request.listener]
        claimed = claim(request, terms.path_prefix)
        if isinstance(claimed, Rejection):
            return claimed
        if not self._has_place(claimed.identity):
            seconds = random.randint(*RETRY_AFTER_FULL_SECONDS)  # noqa: S311 - spreads load, keeps no secret
            return _later("at_capacity", claimed.identity, seconds)
        try:
            known = await self._reads.admission(claimed.identity)
        except StoreUnavailable:
            return _later("store-unavailable")
        if known is None:
            return Rejection(404, "unknown_identity", claimed.identity)
        superseded: tuple[str, ...] | Rejection = ()
        if terms.rule is not None:
            reason = terms.rule.refusal(request.peer.certificate, claimed.identity, known.labels)
            if reason is not None:
                return Rejection(403, reason, claimed.identity)
        if terms.security_profile != CERTIFICATE_PROFILE:
            superseded = await self._check_password(claimed, request.peer.address, known)
        if isinstance(superseded, Rejection):
            return superseded
        chosen = select_subprotocol(request.offered, self._subprotocols, known.assume_subprotocol)
        if isinstance(chosen, Rejection):
            return Rejection(chosen.status, chosen.reason, claimed.identity, chosen.headers)
        principal = Principal(
            claimed.identity,
            chosen or self._subprotocols[0],
            terms.security_profile,
            superseded,
        )
        return Accept(principal, chosen)

    async def _check_password(
        self, claimed: Claim, address: str, known: AdmissionRecord
    ) -> tuple[str, ...] | Rejection:
        """The credentials that the one it used has replaced by being used, or why it is none."""
        credentials = known.credentials
        if claimed.password is None:
            return unauthorized("authorization_missing", claimed.identity)
        accept_hex = known.accept_hex_password.resolve(self._verifier.accept_hex)
        used = await self._verify(claimed.identity, address, credentials, claimed.password, accept_hex)
        if isinstance(used, Rejection):
            return used
        if used is None:
            return unauthorized("wrong_password", claimed.identity)
        return tuple(each.credential_id for each in credentials if each.not_before < used.not_before)

    async def _verify(
        self, identity: str, address: str, credentials: tuple[Credential, ...], password: bytes, accept_hex: bool
    ) -> Credential | Rejection | None:
        """The credential that the password fits; with ``accept_hex`` also as hexadecimal text (X3)."""
        now = self._clock()
        found = self._verifier.recall(credentials, password, now, accept_hex)
        if found is None and self._verifier.worth_a_thread(credentials):
            checked = await self._slow_checks.check(
                identity,
                self._addresses.lane(address),
                lambda: (find(credentials, password, now, accept_hex),),
            )
            if checked is None:
                return _later("checks_crowded", identity, random.randint(*RETRY_AFTER_CROWDED_SECONDS))  # noqa: S311
            (found,) = checked
            for each in credentials:
                if each.credential_id == found:
                    self._verifier.remember(each, password)
        return next((each for each in credentials if each.credential_id == found), None)


def _later(reason: str, identity: str | None = None, seconds: int = RETRY_AFTER_SECONDS) -> Rejection:
    return Rejection(503, reason, identity, (("Retry-After", str(seconds)),))
