"""Admission: the claim of an upgrade request against what the store knows (A1, A2, A7).

Nothing is written for a refusal, and its work is bounded, because refused chargers come back for ever (JE 3.3): one
read, and for keys of unknown strength one slow hash, for which identities and addresses take turns (``slow_checks``).
Where there is no place left, not even that.
"""

import random
from collections.abc import Callable, Mapping, Sequence

import structlog
import trio
from attrs import field, frozen

from gateway.chargers.certificate_identity import CertificateRule
from gateway.chargers.load_budget import LoadBudget
from gateway.chargers.slow_checks import SlowChecks
from gateway.domain.credentials import Verifier, find
from gateway.domain.quirks import EffectiveQuirks, QuirkBook
from gateway.domain.records import Credential, KeyStanding
from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.observability.reconnects import Flapping
from gateway.session.ports import Counter
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
class KeyUse:
    """The key by which a charger was admitted.

    ``passed_over``: newer ones that it had been offered, and did not use: it has not taken them (A7.8). ``settles``:
    something is to be written for it.
    """

    credential_id: str
    passed_over: tuple[str, ...] = ()
    settles: bool = False


@frozen
class Principal:
    """An admitted charger. ``use``: what follows from the key that it used; None where none was looked at."""

    identity: str
    subprotocol: str
    security_profile: int
    use: KeyUse | None = field(default=None, eq=False)


def identity_of(principal: object) -> str:
    """Return the identity of a connection."""
    assert isinstance(principal, Principal)
    return principal.identity


class Admission:
    """The listeners' ``admit``. ``refusing`` returns the reason why none can be served now, or None; ``has_place`` if
    there is a place for this charger."""

    def __init__(
        self,
        *,
        reads: Reads,
        verifier: Verifier,
        clock: Clock,
        observer: Counter,
        terms: Mapping[str, EntryTerms],
        subprotocols: Sequence[str],
        refusing: Callable[[], str | None],
        has_place: Callable[[str], bool] = lambda _: True,
        addresses: Addresses | None = None,
        slow_checks: SlowChecks | None = None,
        quirks: QuirkBook | None = None,
        load: LoadBudget | None = None,
        flapping: Flapping | None = None,
    ) -> None:
        self._load = load
        self._flapping = flapping
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
        self._quirks = quirks or QuirkBook(EffectiveQuirks(accept_hex_password=verifier.accept_hex))
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
        away = self._kept_away(claimed.identity)
        if away is not None:
            return away
        if not self._has_place(claimed.identity):
            seconds = random.randint(*RETRY_AFTER_FULL_SECONDS)  # noqa: S311 - spreads load, keeps no secret
            return _later("at_capacity", claimed.identity, seconds)
        try:
            known = await self._reads.admission(claimed.identity)
        except StoreUnavailable:
            return _later("store-unavailable")
        if known is None:
            return Rejection(404, "unknown_identity", claimed.identity)
        if terms.security_profile < known.minimum_security_profile:
            return Rejection(403, "security_profile_too_low", claimed.identity)
        quirks = self._quirks.of(known.boot, known.quirks)
        use: KeyUse | Rejection | None = None
        if terms.rule is not None:
            reason = terms.rule.refusal(request.peer.certificate, claimed.identity, known.labels)
            if reason is not None:
                return Rejection(403, reason, claimed.identity)
        if terms.security_profile != CERTIFICATE_PROFILE:
            use = await self._check_password(claimed, request.peer.address, known, quirks)
        if isinstance(use, Rejection):
            return use
        chosen = select_subprotocol(request.offered, self._subprotocols, quirks.assume_subprotocol)
        if isinstance(chosen, Rejection):
            return Rejection(chosen.status, chosen.reason, claimed.identity, chosen.headers)
        principal = Principal(
            claimed.identity,
            chosen or self._subprotocols[0],
            terms.security_profile,
            use,
        )
        if self._flapping is not None:
            self._flapping.connected(claimed.identity)
        return Accept(principal, chosen)

    def _kept_away(self, identity: str) -> Rejection | None:
        """The answer before anything is looked up: to all while the gateway has too much to do, and to one that comes
        and goes."""
        if self._load is not None and self._load.refusing:
            return _later("overloaded", identity, self._load.retry_after())
        seconds = 0 if self._flapping is None else self._flapping.kept_out(identity)
        return _later("flapping", identity, seconds) if seconds else None

    async def _check_password(
        self, claimed: Claim, address: str, known: AdmissionRecord, quirks: EffectiveQuirks
    ) -> KeyUse | Rejection:
        """The key that was used, or why there is none."""
        credentials = known.credentials
        if claimed.password is None:
            return unauthorized("authorization_missing", claimed.identity)
        used = await self._verify(claimed.identity, address, credentials, claimed.password, quirks.accept_hex_password)
        if isinstance(used, Rejection):
            return used
        if used is None:
            return unauthorized("wrong_password", claimed.identity)
        return _key_use(used, credentials)

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


def _key_use(used: Credential, credentials: tuple[Credential, ...]) -> KeyUse:
    """The consequences of the use of one of the keys. One that counts from the next boot on is not passed over: the
    charger may only have lost its link."""
    passed_over = tuple(
        each.credential_id
        for each in credentials
        if each.not_before > used.not_before and each.standing is KeyStanding.OFFERED
    )
    older = any(each.not_before < used.not_before for each in credentials)
    settles = older or bool(passed_over) or used.standing is not KeyStanding.SETTLED
    return KeyUse(used.credential_id, passed_over, settles)


def _later(reason: str, identity: str | None = None, seconds: int = RETRY_AFTER_SECONDS) -> Rejection:
    return Rejection(503, reason, identity, (("Retry-After", str(seconds)),))
