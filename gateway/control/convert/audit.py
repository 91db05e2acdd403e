"""Entries of the audit as messages."""

from gateway.api.v1 import audit_pb2 as pb
from gateway.control.convert.common import timestamp
from gateway.control.convert.enums import AUDIT_OUTCOME
from gateway.domain.audit import AuditEntry, SubjectKind

_FIELDS = {
    SubjectKind.COMMAND: "command_id",
    SubjectKind.OPERATION: "operation_id",
    SubjectKind.TRANSACTION: "transaction_id",
    SubjectKind.ID_TAG: "id_tag",
    SubjectKind.CALLER: "subject_caller",
}


def audit_entry(entry: AuditEntry) -> pb.AuditEntry:
    """An entry."""
    message = pb.AuditEntry(
        record_time=timestamp(entry.at),
        caller=entry.caller,
        action=entry.action,
        charge_point=entry.charge_point,
        outcome=AUDIT_OUTCOME.number(entry.outcome),
        detail=entry.detail,
        omitted_count=entry.omitted,
    )
    if entry.kind is not None:
        setattr(message, _FIELDS[entry.kind], entry.subject)
    return message
