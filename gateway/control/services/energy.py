"""EnergyService."""

from gateway.api.v1 import energy_pb2 as pb
from gateway.api.v1.energy_pb2_grpc import EnergyServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert import energy as convert
from gateway.control.convert.requests import Fields
from gateway.control.energy import TransactionEnergies
from gateway.control.errors import invalid
from gateway.control.services.paging import page
from gateway.control.services.rpc import Context, Service, unary
from gateway.domain.commands import FieldViolation


class EnergyRpcs(Service, EnergyServiceServicer):
    """The energy of transactions, what it costs, and when charging will be done."""

    def __init__(self, bridge: Bridge, default_timeout: float, energies: TransactionEnergies) -> None:
        super().__init__(bridge, default_timeout)
        self._energies = energies

    @unary
    async def ListTransactionEnergy(
        self, request: pb.ListTransactionEnergyRequest, context: Context
    ) -> pb.ListTransactionEnergyResponse:
        fields = Fields()
        transaction_id = fields.text("transaction_id", request.transaction_id)
        zone = convert.time_zone(fields, "time_zone", request.time_zone)
        seconds = convert.interval_seconds(fields, request)
        position = convert.position(fields, request.position)
        fields.check()
        filters = (transaction_id, request.time_zone, seconds, position)
        wanted = page(request.page_size, request.page_token, "energy", filters)
        position, first = _place(wanted.after, position)
        found, intervals = await self.call(context, self._energies.intervals, transaction_id, position, zone, seconds)
        numbered = list(enumerate(intervals, 1))[first : first + wanted.size]
        messages, token = wanted.cut(
            numbered, lambda each: f"{found.position} {each[0]}", lambda each: convert.energy_interval(each[1])
        )
        if first + len(messages) == len(intervals):
            token = ""
        return pb.ListTransactionEnergyResponse(
            energy=convert.transaction_energy(found), intervals=messages, next_page_token=token
        )

    @unary
    async def ComputeCost(self, request: pb.ComputeCostRequest, context: Context) -> pb.ComputeCostResponse:
        fields = Fields()
        transaction_id = fields.text("transaction_id", request.transaction_id)
        position = convert.position(fields, request.position)
        revision = convert.revision(fields, request)
        fields.present("price_schedule", request, "price_schedule")
        fields.check()
        schedule = convert.price_schedule(fields, "price_schedule", request.price_schedule)
        fields.check()
        found, cost = await self.call(context, self._energies.cost, transaction_id, position, revision, schedule)
        return pb.ComputeCostResponse(energy=convert.transaction_energy(found), cost=convert.cost_message(cost))

    @unary
    async def EstimateCompletion(
        self, request: pb.EstimateCompletionRequest, context: Context
    ) -> pb.EstimateCompletionResponse:
        fields = Fields()
        transaction_id = fields.text("transaction_id", request.transaction_id)
        target = convert.target(fields, request)
        limits = convert.power_limits(fields, "limits", request.limits)
        capacity = convert.battery_capacity(fields, request)
        fields.check()
        assert target is not None
        found, completion, now = await self.call(
            context, self._energies.completion, transaction_id, target, limits, capacity
        )
        return convert.completion_response(found, completion, now)


def _place(after: str, position: int) -> tuple[int, int]:
    """Position and number of intervals before the page, from the last key of the page before."""
    if not after:
        return position, 0
    parts = after.split(" ")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise invalid(FieldViolation("page_token", "is not a token of this list"))
    return int(parts[0]), int(parts[1])
