"""Rows of the audit to entries, of any store with these tables."""

from gateway.domain.audit import AuditEntry, AuditOutcome, SubjectKind, outcome_of_command, outcome_of_operation
from gateway.domain.codec import decode_answer, decode_error
from gateway.domain.commands import CommandState
from gateway.domain.operations import End
from gateway.store.encoding import to_time
from gateway.store.rows import Row

AUDIT = """a.key, a.at, a.caller, a.action, coalesce(c.identity, ''), a.kind, a.subject, a.denied, a.omitted,
    m.state, m.answer, m.error, m.reason, o.operation_id, o.ended, o.reason"""
AUDIT_TABLES = """audit a LEFT JOIN charge_point c ON c.key = a.charge_point
    LEFT JOIN command m ON a.kind = 'command' AND m.command_id = a.subject
    LEFT JOIN operation o ON a.kind = 'operation' AND o.operation_id = a.subject"""


def entry(row: Row) -> AuditEntry:
    """An entry of the audit, with the fate of what it points at."""
    key, at, caller, action, identity, kind, subject, denied, omitted = row[:9]
    state, answer, error, reason, operation, ended, why = row[9:]
    outcome, detail = AuditOutcome.DONE, ""
    if denied:
        outcome, detail = AuditOutcome.DENIED, denied
    elif kind == SubjectKind.COMMAND:
        outcome, detail = outcome_of_command(
            None if state is None else CommandState(state),
            None if answer is None else decode_answer(answer),
            None if error is None else decode_error(error),
            reason or "",
        )
    elif kind == SubjectKind.OPERATION:
        end = None if ended is None else End(ended)
        outcome, detail = outcome_of_operation(operation is not None, end, why or "")
    elif not kind:
        detail = subject
    subject_kind = SubjectKind(kind) if kind else None
    return AuditEntry(key, to_time(at), caller, action, identity, subject_kind, subject, outcome, detail, omitted)
