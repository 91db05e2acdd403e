"""Entries of the audit that are written with the events that they stand for, and go with them."""

from apsw import Connection

from gateway.domain.audit import AuditNote, note_of
from gateway.domain.events import Body, NewEvent

_INSERT = "INSERT INTO audit (sequence, at, caller, action, charge_point, kind, subject) VALUES (?, ?, ?, ?, ?, ?, ?)"


def noted(cx: Connection, key: int, event: NewEvent, at: int, body: Body, sequence: int) -> None:
    """Note who did it, if the event names a caller."""
    note = note_of(body)
    if note is not None:
        insert(cx, note, at, sequence, key)


def insert(cx: Connection, note: AuditNote, at: int, sequence: int, charge_point: int | None) -> None:
    cx.execute(_INSERT, (sequence, at, note.caller, note.action, charge_point, note.kind or "", note.subject))


def forget_audit(cx: Connection, floor: int) -> None:
    """Drop the entries whose events retention has passed."""
    cx.execute("DELETE FROM audit WHERE sequence <= ?", (floor,))
