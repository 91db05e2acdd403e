"""TransactionService."""

from collections.abc import AsyncIterator, Iterable

from attrs import evolve

from gateway.api.v1 import transaction_pb2 as pb
from gateway.api.v1.transaction_pb2_grpc import TransactionServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert.enums import TRANSACTION_STATE
from gateway.control.convert.events import event
from gateway.control.convert.requests import Fields
from gateway.control.convert.samples import normalised_reading, reading
from gateway.control.convert.transactions import transaction
from gateway.control.errors import invalid
from gateway.control.services.list_requests import TRANSACTION_FIELDS, equal, orphan_query, query, transaction_query
from gateway.control.services.paging import Page, in_parts, page
from gateway.control.services.rpc import CALLER, Context, Service, changing, streaming, unary
from gateway.control.transactions import ShownTransaction, Transactions
from gateway.domain.commands import FieldViolation
from gateway.domain.conditions import Order
from gateway.domain.records import TransactionState

MAX_EVENTS = 200
"""Events of a page: each may hold a message of a charger's, whole."""


class TransactionRpcs(Service, TransactionServiceServicer):
    """Transactions and what was metered in them."""

    def __init__(self, bridge: Bridge, default_timeout: float, transactions: Transactions) -> None:
        super().__init__(bridge, default_timeout)
        self._transactions = transactions

    @unary
    async def GetTransaction(self, request: pb.GetTransactionRequest, context: Context) -> pb.GetTransactionResponse:
        found = await self.call(context, self._transactions.get, _id(request.transaction_id))
        return pb.GetTransactionResponse(transaction=transaction(found))

    @unary
    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        asked = transaction_query(request)
        whole = request.view != pb.TRANSACTION_VIEW_BASIC
        wanted = page(request.page_size, request.page_token, "transactions", asked)
        listed = await self.call(context, self._transactions.page, asked, wanted.after, wanted.size, whole)
        messages, token = wanted.cut_found(listed.found, transaction)
        return pb.ListTransactionsResponse(transactions=messages, next_page_token=token, resume_token=listed.token)

    @streaming
    async def StreamOpenTransactions(
        self, request: pb.StreamOpenTransactionsRequest, context: Context
    ) -> AsyncIterator[pb.StreamOpenTransactionsResponse]:
        is_open = equal("state", TransactionState.OPEN)
        asked = evolve(query(request, Fields(), TRANSACTION_FIELDS, is_open), order=Order("start_time"))
        whole = request.view == pb.TRANSACTION_VIEW_FULL
        async with self.stream(self._transactions.snapshot, asked, whole, _snapshot_part) as parts:
            async for messages in parts:
                for message in messages:
                    yield message

    @unary
    async def CountTransactions(
        self, request: pb.CountTransactionsRequest, context: Context
    ) -> pb.CountTransactionsResponse:
        asked = query(request, Fields(), TRANSACTION_FIELDS)
        counted = await self.call(context, self._transactions.count, asked)
        return pb.CountTransactionsResponse(
            total_count=sum(counted.found.values()),
            counts=[
                pb.TransactionCount(state=TRANSACTION_STATE.number(state), count=count)
                for state, count in counted.found.items()
            ],
            resume_token=counted.token,
        )

    @unary
    async def ListTransactionReadings(
        self, request: pb.ListTransactionReadingsRequest, context: Context
    ) -> pb.ListTransactionReadingsResponse:
        transaction_id = _id(request.transaction_id)
        wanted = page(request.page_size, request.page_token, "readings", transaction_id, max_size=MAX_EVENTS)
        convert = normalised_reading if request.normalised_readings else reading
        events = await self.call(context, self._transactions.readings, transaction_id, _sequence(wanted), wanted.size)
        messages, token = wanted.cut(events, lambda stored: str(stored.sequence), convert)
        return pb.ListTransactionReadingsResponse(readings=messages, next_page_token=token)

    @changing
    async def CloseTransaction(
        self, request: pb.CloseTransactionRequest, context: Context
    ) -> pb.CloseTransactionResponse:
        fields = Fields()
        transaction_id = fields.text("transaction_id", request.transaction_id)
        ended_at = fields.optional_time("end_time", request, "end_time")
        fields.check()
        about = {"transaction_id": transaction_id}
        register = request.meter_stop_watt_hours if request.HasField("meter_stop_watt_hours") else None
        given = (transaction_id, request.reason, register, ended_at, request.insist, CALLER.get())
        closed = await self.change(context, about, self._transactions.close, *given)
        return pb.CloseTransactionResponse(transaction=transaction(closed))

    @changing
    async def AttributeOrphan(self, request: pb.AttributeOrphanRequest, context: Context) -> pb.AttributeOrphanResponse:
        fields = Fields()
        orphan = fields.text("orphan_event_id", request.orphan_event_id)
        transaction_id = fields.text("transaction_id", request.transaction_id)
        fields.text("request_id", request.request_id)
        fields.check()
        about = {
            "transaction_id": transaction_id,
            "orphan_event_id": orphan[:100],
            "request_id": request.request_id,
        }
        given = (orphan, transaction_id, request.reason, request.request_id, request.insist, CALLER.get())
        attributed = await self.change(context, about, self._transactions.attribute, *given)
        return pb.AttributeOrphanResponse(transaction=transaction(attributed))

    @unary
    async def ListOrphans(self, request: pb.ListOrphansRequest, context: Context) -> pb.ListOrphansResponse:
        asked = orphan_query(request)
        wanted = page(request.page_size, request.page_token, "orphans", asked, max_size=MAX_EVENTS)
        listed = await self.call(context, self._transactions.orphans, asked, wanted.after, wanted.size)
        messages, token = wanted.cut_found(listed.found, event)
        return pb.ListOrphansResponse(orphans=messages, next_page_token=token, resume_token=listed.token)


def _snapshot_part(token: bytes, found: Iterable[ShownTransaction]) -> list[pb.StreamOpenTransactionsResponse]:
    """A part of a snapshot as messages."""
    parts = in_parts([transaction(each) for each in found])
    return [pb.StreamOpenTransactionsResponse(transactions=part, resume_token=token) for part in parts]


def _id(transaction_id: str) -> str:
    fields = Fields()
    fields.text("transaction_id", transaction_id)
    fields.check()
    return transaction_id


def _sequence(wanted: Page) -> int:
    if not wanted.after:
        return 0
    if not (wanted.after.isascii() and wanted.after.isdigit() and len(wanted.after) < 19):
        raise invalid(FieldViolation("page_token", "is not a token of this list"))
    return int(wanted.after)
