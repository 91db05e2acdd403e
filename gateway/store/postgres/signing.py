"""Chargers' requests to have a key certified, and the certificates that they have: changed by events, and read."""

# ruff: noqa: S608 - statements are put together from constants of this module; what is given is bound

from datetime import datetime
from typing import TYPE_CHECKING, Final

from gateway.domain import events as e
from gateway.domain.certificates import CertificateFacts
from gateway.domain.events import NewEvent
from gateway.domain.signing import SigningRecord
from gateway.store.certificates import DueCertificate
from gateway.store.encoding import to_micros, to_time
from gateway.store.limits import bounded
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import change, upsert
from gateway.store.postgres.connection import Connection
from gateway.store.rows import Row

if TYPE_CHECKING:
    from gateway.store.postgres.writer import Writer

WARNED, EXPIRED = 1, 2
"""Of ``charger_certificate.warned``."""

REQUESTED: Final = upsert(
    "signing",
    ("charge_point",),
    "charge_point int4, signing_id text, csr text, created_at int8, expires_at int8, chain text",
)
ISSUED: Final = change(
    "key int4, signing_id text, chain text",
    """UPDATE signing s SET chain = u.chain FROM ROWS
    WHERE s.charge_point = u.key AND s.signing_id = u.signing_id""",
)
ENDED: Final = change(
    "key int4, signing_id text",
    "DELETE FROM signing s USING ROWS WHERE s.charge_point = u.key AND s.signing_id = u.signing_id",
)
CERTIFICATE: Final = change(
    "key int4, serial_number text, not_after int8",
    # Reports of another one's end do not count for it.
    """INSERT INTO charger_certificate AS k (charge_point, serial_number, not_after)
    SELECT u.key, u.serial_number, u.not_after FROM ROWS
    ON CONFLICT (charge_point) DO UPDATE SET serial_number = excluded.serial_number, not_after = excluded.not_after,
    warned = 0 WHERE k.serial_number <> excluded.serial_number OR k.not_after <> excluded.not_after""",
)
REPORTED: Final = change(
    "key int4, serial_number text, warned int4",
    """UPDATE charger_certificate k SET warned = u.warned FROM ROWS
    WHERE k.charge_point = u.key AND k.serial_number = u.serial_number""",
)

# --- changes --------------------------------------------------------------------------------------------------


def requested(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CertificateRequested, sequence: int
) -> None:
    writer.change(REQUESTED, owner.key, body.signing_id, body.csr, at, to_micros(body.expires_at), "")


def issued(writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CertificateIssued, sequence: int) -> None:
    writer.change(ISSUED, owner.key, body.signing_id, body.chain)


def ended(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CertificateSigningEnded, sequence: int
) -> None:
    writer.change(ENDED, owner.key, body.signing_id)


def installed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CertificateInstalled, sequence: int
) -> None:
    writer.change(CERTIFICATE, owner.key, body.serial_number, to_micros(body.not_after))


def presented(writer: "Writer", owner: Owner, body: e.ChargePointConnected) -> None:
    """The charger came with a client certificate: that is the one that it has, whatever was sent to it."""
    if body.certificate_serial and body.certificate_not_after is not None:
        writer.change(CERTIFICATE, owner.key, body.certificate_serial, to_micros(body.certificate_not_after))


def expiring(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.CertificateExpiring, sequence: int
) -> None:
    writer.change(REPORTED, owner.key, body.serial_number, EXPIRED if body.expired else WARNED)


# --- reads ----------------------------------------------------------------------------------------------------

_COLUMNS: Final = "s.signing_id, c.identity, s.csr, s.created_at, s.expires_at, s.chain"
_FROM: Final = f"SELECT {_COLUMNS} FROM signing s JOIN charge_point c ON c.key = s.charge_point"
OPEN: Final = f"{_FROM} WHERE s.charge_point = $1"
CERTIFICATES: Final = (
    "SELECT charge_point, serial_number, not_after FROM charger_certificate WHERE charge_point = ANY ($1)"
)


def open_signing(found: list[Row]) -> SigningRecord | None:
    """A charge point's open request, of the row of OPEN."""
    return _record(found[0]) if found else None


def facts(row: Row) -> CertificateFacts:
    """The certificate that a charge point was last known to have."""
    return CertificateFacts(row[0], to_time(row[1]))


def signing(cx: Connection, signing_id: str) -> SigningRecord | None:
    """An open request."""
    return open_signing(cx.rows(f"{_FROM} WHERE s.signing_id = $1", signing_id))


def unsigned(cx: Connection, after: str, limit: int) -> list[SigningRecord]:
    """Open requests that wait for the signing service, by id."""
    sql = f"{_FROM} WHERE s.chain = '' AND s.signing_id > $1 ORDER BY s.signing_id LIMIT $2"
    return [_record(row) for row in cx.rows(sql, after, bounded(limit))]


def overdue_signings(cx: Connection, at: datetime, limit: int) -> list[SigningRecord]:
    """Open requests whose time is over."""
    sql = f"{_FROM} WHERE s.expires_at <= $1 ORDER BY s.expires_at LIMIT $2"
    return [_record(row) for row in cx.rows(sql, to_micros(at), bounded(limit))]


def due_certificates(cx: Connection, now: datetime, near: datetime, limit: int) -> list[DueCertificate]:
    """Certificates of which it is to be reported that they end before ``near``, or have ended at ``now``."""
    found = cx.rows(
        """SELECT c.identity, k.serial_number, k.not_after, k.not_after <= $1
        FROM charger_certificate k JOIN charge_point c ON c.key = k.charge_point
        WHERE k.warned < 2 AND ((k.warned = 0 AND k.not_after <= $2) OR k.not_after <= $1)
        ORDER BY k.not_after LIMIT $3""",
        to_micros(now),
        to_micros(near),
        bounded(limit),
    )
    return [DueCertificate(identity, serial, to_time(end), bool(over)) for identity, serial, end, over in found]


def _record(row: Row) -> SigningRecord:
    signing_id, identity, csr, created, expires, chain = row
    return SigningRecord(signing_id, identity, csr, to_time(created), to_time(expires), chain)
