"""The look at a charger's signing request before any service signs it: its form and key, and whose it is (B11.2).

A certificate that the gateway's own listeners would refuse is not asked for: the name has to fit one of their rules.
"""

from collections.abc import Sequence
from datetime import timedelta

from gateway.chargers.certificate_identity import CertificateRule
from gateway.domain.certificates import DAMAGED, SigningSubject, read_request
from gateway.domain.signing import SigningVerdict
from gateway.domain.values import Clock, new_id
from gateway.store.reads import Reads

ANY_RULE = (CertificateRule(), CertificateRule("serial"))
"""Where no listener asks for certificates yet: the identity, or the serial number in the label of the default name."""


MAX_SHOWN = 255
"""Characters of a subject that are kept beside the request, which has all of it."""


class SigningChecks:
    """``gateway.domain.signing.SigningJudge``. ``rules``: those of the listeners; none: ``ANY_RULE``. ``window``: the
    time that a request has."""

    def __init__(self, reads: Reads, rules: Sequence[CertificateRule], window: timedelta, clock: Clock) -> None:
        self._reads = reads
        self._rules = tuple(dict.fromkeys(rules)) or ANY_RULE
        self._window = window
        self._clock = clock

    async def judge(self, charge_point: str, csr: str) -> SigningVerdict:
        """Raises ``StoreUnavailable``. Takes a fraction of a millisecond besides one read."""
        found = read_request(csr)
        signing_id, expires_at = new_id("sign"), self._clock() + self._window
        if isinstance(found, str):
            return SigningVerdict(signing_id, expires_at, refused=found)
        known = await self._reads.admission(charge_point)
        labels = {} if known is None else known.labels
        refused = None
        try:
            for rule in self._rules:
                why = rule.subject_refusal(found.subject, found.alternative_names, charge_point, labels)
                if why is None:
                    return SigningVerdict(signing_id, expires_at, _shown(found), found.key_type)
                refused = refused or f"csr_{why.removeprefix('certificate_')}"
        except DAMAGED:
            refused = "csr_unreadable"
        return SigningVerdict(signing_id, expires_at, refused=refused or "csr_unreadable")


def _shown(found: SigningSubject) -> str:
    return found.subject.rfc4514_string()[:MAX_SHOWN]
