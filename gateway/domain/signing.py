"""Requests of chargers to have a key certified (WP A02), from the charger's message to the installed certificate.

    requested ──▶ issued ──▶ INSTALLED          the charger has accepted the certificate
        │            ├─────▶ REJECTED           the charger has refused it: its old one counts (B11.3)
        │            └─────▶ UNDELIVERED        it can't be sent, or no answer came in several tries
        ├──────────────────▶ REFUSED            the signing service said no
        ├──────────────────▶ SUPERSEDED         the charger asks with another key
        └──────────────────▶ TIMED_OUT          nothing more happened in its time, from either stage

A charge point has one open request at most. Everything is an event, so that it survives a restart of the gateway, and
an absent charger. Changes by ``evolve`` may come twice, and count once.
"""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from attrs import evolve, field, frozen

if TYPE_CHECKING:
    from gateway.domain import events as e
    from gateway.domain.events import NewEvent


class SigningEnd(StrEnum):
    """End of a request."""

    INSTALLED = "INSTALLED"
    REJECTED = "REJECTED"
    REFUSED = "REFUSED"
    UNDELIVERED = "UNDELIVERED"
    SUPERSEDED = "SUPERSEDED"
    TIMED_OUT = "TIMED_OUT"
    DELETED = "DELETED"
    """The charge point was deleted."""


UNSIGNED: Final = "not-signed"
"""Why a request timed out: no signing service answered."""

UNSENT: Final = "not-delivered"
"""The same: the charger was not there to take the certificate."""


@frozen
class SigningRecord:
    """A request that is open. ``chain`` empty: it waits for the signing service."""

    signing_id: str
    charge_point: str
    csr: str = field(repr=False)
    created_at: datetime
    expires_at: datetime
    chain: str = field(default="", repr=False)


@frozen
class SigningVerdict:
    """The gateway's look at a charger's request, before any service signs it. ``refused``: a stable word; empty: it may
    be signed."""

    signing_id: str
    expires_at: datetime
    subject: str = ""
    key_type: str = ""
    refused: str = ""


class SigningJudge(Protocol):
    """Looks at requests."""

    async def judge(self, charge_point: str, csr: str) -> SigningVerdict:
        """Raises ``StoreUnavailable``. Cancelling is safe."""
        ...


class HasSigning(Protocol):
    """A charge point's state, as far as it is changed here."""

    identity: str
    signing: SigningRecord | None


def requested(state: HasSigning, event: "NewEvent", body: "e.CertificateRequested", _: int) -> None:
    """Note a request: the newest one is the open one."""
    state.signing = requested_record(state.identity, event, body)


def requested_record(charge_point: str, event: "NewEvent", body: "e.CertificateRequested") -> SigningRecord:
    """The request as its event leaves it."""
    return SigningRecord(body.signing_id, charge_point, body.csr, event.received_at, body.expires_at)


def issued(state: HasSigning, _: "NewEvent", body: "e.CertificateIssued", __: int) -> None:
    """Note the certificate that is to be sent."""
    if state.signing is not None and state.signing.signing_id == body.signing_id:
        state.signing = evolve(state.signing, chain=body.chain)


def ended(state: HasSigning, _: "NewEvent", body: "e.CertificateSigningEnded", __: int) -> None:
    """Note that the request is over."""
    if state.signing is not None and state.signing.signing_id == body.signing_id:
        state.signing = None
