"""The certificates that chargers were last known to have: how they are changed by events, and read."""

from datetime import datetime

from apsw import Connection

from gateway.domain import events as e
from gateway.domain.certificates import CertificateFacts
from gateway.domain.events import NewEvent
from gateway.store.encoding import to_micros, to_time

WARNED, EXPIRED = 1, 2
"""Of ``charger_certificate.warned``."""


def installed(cx: Connection, key: int, event: NewEvent, at: int, body: e.CertificateInstalled, sequence: int) -> None:
    _put(cx, key, body.serial_number, body.not_after)


def presented(cx: Connection, key: int, body: e.ChargePointConnected) -> None:
    """The charger came with a client certificate: that is the one that it has, whatever was sent to it."""
    if body.certificate_serial and body.certificate_not_after is not None:
        _put(cx, key, body.certificate_serial, body.certificate_not_after)


def _put(cx: Connection, key: int, serial_number: str, not_after: datetime) -> None:
    """Keep a certificate; reports of another one's end do not count for it."""
    cx.execute(
        """INSERT INTO charger_certificate (charge_point, serial_number, not_after) VALUES (?1, ?2, ?3)
        ON CONFLICT (charge_point) DO UPDATE SET serial_number = ?2, not_after = ?3, warned = 0
        WHERE serial_number <> ?2 OR not_after <> ?3""",
        (key, serial_number, to_micros(not_after)),
    )


def expiring(cx: Connection, key: int, event: NewEvent, at: int, body: e.CertificateExpiring, sequence: int) -> None:
    cx.execute(
        "UPDATE charger_certificate SET warned = ? WHERE charge_point = ? AND serial_number = ?",
        (EXPIRED if body.expired else WARNED, key, body.serial_number),
    )


def certificate(cx: Connection, key: int) -> CertificateFacts | None:
    """The certificate that a charge point was last known to have."""
    row = cx.execute(
        "SELECT serial_number, not_after FROM charger_certificate WHERE charge_point = ?", (key,)
    ).fetchone()
    return None if row is None else CertificateFacts(row[0], to_time(row[1]))
