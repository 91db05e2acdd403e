"""Chargers' requests to have a key certified: how they are changed by events, and read. Reads of certificates' ends."""

from datetime import datetime

from apsw import Connection

from gateway.domain import events as e
from gateway.domain.events import NewEvent
from gateway.domain.signing import SigningRecord
from gateway.store.certificates import DueCertificate
from gateway.store.encoding import to_micros, to_time
from gateway.store.limits import bounded

_COLUMNS = "s.signing_id, c.identity, s.csr, s.created_at, s.expires_at, s.chain"
_FROM = f"SELECT {_COLUMNS} FROM signing s JOIN charge_point c ON c.key = s.charge_point"  # noqa: S608 - constants

# --- changes --------------------------------------------------------------------------------------------------


def requested(cx: Connection, key: int, event: NewEvent, at: int, body: e.CertificateRequested, sequence: int) -> None:
    cx.execute(
        "INSERT OR REPLACE INTO signing (charge_point, signing_id, csr, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        (key, body.signing_id, body.csr, at, to_micros(body.expires_at)),
    )


def issued(cx: Connection, key: int, event: NewEvent, at: int, body: e.CertificateIssued, sequence: int) -> None:
    cx.execute(
        "UPDATE signing SET chain = ? WHERE charge_point = ? AND signing_id = ?", (body.chain, key, body.signing_id)
    )


def ended(cx: Connection, key: int, event: NewEvent, at: int, body: e.CertificateSigningEnded, sequence: int) -> None:
    cx.execute("DELETE FROM signing WHERE charge_point = ? AND signing_id = ?", (key, body.signing_id))


# --- reads ----------------------------------------------------------------------------------------------------


def open_signing(cx: Connection, key: int) -> SigningRecord | None:
    """A charge point's open request."""
    row = cx.execute(f"{_FROM} WHERE s.charge_point = ?", (key,)).fetchone()
    return None if row is None else _record(row)


def signing(cx: Connection, signing_id: str) -> SigningRecord | None:
    """An open request."""
    row = cx.execute(f"{_FROM} WHERE s.signing_id = ?", (signing_id,)).fetchone()
    return None if row is None else _record(row)


def unsigned(cx: Connection, after: str, limit: int) -> list[SigningRecord]:
    """Open requests that wait for the signing service, by id."""
    sql = f"{_FROM} WHERE s.chain = '' AND s.signing_id > ? ORDER BY s.signing_id LIMIT ?"
    return [_record(row) for row in cx.execute(sql, (after, bounded(limit)))]


def overdue_signings(cx: Connection, at: datetime, limit: int) -> list[SigningRecord]:
    """Open requests whose time is over."""
    sql = f"{_FROM} WHERE s.expires_at <= ? ORDER BY s.expires_at LIMIT ?"
    return [_record(row) for row in cx.execute(sql, (to_micros(at), bounded(limit)))]


def due_certificates(cx: Connection, now: datetime, near: datetime, limit: int) -> list[DueCertificate]:
    """Certificates of which it is to be reported that they end before ``near``, or have ended at ``now``."""
    found = cx.execute(
        """SELECT c.identity, k.serial_number, k.not_after, k.not_after <= ?1
        FROM charger_certificate k JOIN charge_point c ON c.key = k.charge_point
        WHERE k.warned < 2 AND ((k.warned = 0 AND k.not_after <= ?2) OR k.not_after <= ?1)
        ORDER BY k.not_after LIMIT ?3""",
        (to_micros(now), to_micros(near), bounded(limit)),
    )
    return [DueCertificate(identity, serial, to_time(end), bool(over)) for identity, serial, end, over in found]


def _record(row: tuple[object, ...]) -> SigningRecord:
    signing_id, identity, csr, created, expires, chain = row
    return SigningRecord(signing_id, identity, csr, to_time(created), to_time(expires), chain)  # type: ignore[arg-type]
