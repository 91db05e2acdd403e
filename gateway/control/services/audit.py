"""AuditService."""

from datetime import datetime

from gateway.api.v1 import audit_pb2 as pb
from gateway.api.v1.audit_pb2_grpc import AuditServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert.audit import audit_entry
from gateway.control.convert.requests import Fields
from gateway.control.errors import invalid
from gateway.control.services.filters import names
from gateway.control.services.paging import Page, page
from gateway.control.services.rpc import Context, Service, unary
from gateway.domain.audit import AuditEntry
from gateway.domain.commands import FieldViolation
from gateway.store.filters import AuditFilter
from gateway.store.reads import Reads


class AuditRpcs(Service, AuditServiceServicer):
    """The audit of what callers did."""

    def __init__(self, bridge: Bridge, default_timeout: float, reads: Reads) -> None:
        super().__init__(bridge, default_timeout)
        self._reads = reads

    @unary
    async def ListAudit(self, request: pb.ListAuditRequest, context: Context) -> pb.ListAuditResponse:
        fields = Fields()
        where = AuditFilter(
            names(fields, "callers", request.callers),
            names(fields, "charge_points", request.charge_points),
            names(fields, "actions", request.actions),
            fields.optional_time("recorded_from_time", request, "recorded_from_time"),
            fields.optional_time("recorded_before_time", request, "recorded_before_time"),
        )
        fields.check()
        wanted = page(request.page_size, request.page_token, "audit", where)
        entries = await self.call(context, self._reads.audit, where, _after(wanted), wanted.size)
        messages, token = wanted.cut(entries, _place, audit_entry)
        return pb.ListAuditResponse(entries=messages, next_page_token=token)


def _place(entry: AuditEntry) -> str:
    return f"{entry.at.isoformat()} {entry.key}"


def _after(wanted: Page) -> tuple[datetime, int] | None:
    """The place of the entry that a page begins after; None: at the newest."""
    if not wanted.after:
        return None
    at, _, key = wanted.after.partition(" ")
    try:
        time = datetime.fromisoformat(at)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None or not (key.isascii() and key.isdigit() and len(key) < 19):
        raise invalid(FieldViolation("page_token", "is not a token of this list"))
    return time, int(key)
