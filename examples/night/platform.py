"""A charging platform's calls of the gateway: all that the example needs, and nothing but gRPC."""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
from attrs import define, field
from google.protobuf.timestamp_pb2 import Timestamp

from examples.night.optimiser import Step
from examples.night.prices import Price
from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import common_pb2 as common
from gateway.api.v1 import energy_pb2 as energy
from gateway.api.v1 import event_pb2 as events
from gateway.api.v1 import id_tag_pb2 as tags
from gateway.api.v1 import operation_pb2 as operations
from gateway.api.v1 import steering_pb2 as steering
from gateway.api.v1 import transaction_pb2 as transactions
from gateway.client import GatewayClient
from gateway.client.connection import new_request_id

CONNECTOR = common.ConnectorAddress(evse=1, connector=1)
POWER = "Power.Active.Import"
START = events.WATCH_START_BEGINNING


@define
class Watched:
    """What the watches have shown so far, by charge point. Filled by threads, read by others."""

    power: dict[str, list[tuple[datetime, float]]] = field(factory=dict)
    """Power in W over all phases, by the time at which it was measured."""
    steering: dict[str, list[tuple[datetime, str]]] = field(factory=dict)
    """The states of what is wanted, by the time at which each began."""

    sent: dict[str, list[datetime]] = field(factory=dict)
    """The times at which charging profiles were sent."""

    def take_samples(self, batch: events.WatchMeterValuesResponse) -> None:
        """Keep what a batch of meter values says."""
        for sample in batch.samples:
            if sample.HasField("power_watts") and not sample.phase:
                at = sample.sample_time.ToDatetime(UTC)
                self.power.setdefault(sample.charge_point, []).append((at, sample.power_watts))

    def take_events(self, batch: events.WatchEventsResponse) -> None:
        """Keep what a batch of events says."""
        for event in batch.events:
            if event.HasField("steering_changed"):
                now = event.steering_changed.steering
                state = steering.SteeringState.Name(now.state).removeprefix("STEERING_STATE_")
                at = now.since_time.ToDatetime(UTC)
                self.steering.setdefault(event.charge_point, []).append((at, state))
            elif event.command_sent.operation == "SetChargingProfile":
                self.sent.setdefault(event.charge_point, []).append(event.receive_time.ToDatetime(UTC))


class Platform:
    """The platform's side of the gateway. Methods block; safe for several threads."""

    def __init__(self, target: str) -> None:
        self.watched = Watched()
        self._gateway = GatewayClient(target)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=watch, daemon=True) for watch in self._watches(self._gateway)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the watches and the connection."""
        self._over.set()
        self._gateway.close()
        for thread in self._threads:
            thread.join(10)

    # --- provisioning -----------------------------------------------------------------------------------------

    def add_home(self, charge_point: str, key: bytes, id_tag: str) -> None:
        """A charge point and its owner's tag."""
        gateway = self._gateway
        record = points.ChargePoint(identity=charge_point)
        create = points.CreateChargePointRequest(charge_point=record, authorization_key=key)
        gateway.call(gateway.charge_points.CreateChargePoint, create)
        tag = tags.IdTag(id_tag=id_tag, status=tags.ID_TAG_STATUS_ACCEPTED)
        gateway.call(gateway.id_tags.CreateIdTag, tags.CreateIdTagRequest(id_tag=tag))

    # --- on, off, and by plan ---------------------------------------------------------------------------------

    def start(self, charge_point: str, id_tag: str) -> operations.Operation:
        """Start charging, and wait for what comes of it: DONE only if the meter shows power."""
        gateway = self._gateway
        request = operations.StartChargingRequest(
            charge_point=charge_point, request_id=new_request_id(), id_tag=id_tag, connector=CONNECTOR
        )
        operation = gateway.operations.StartCharging(request, timeout=110).operation
        watch = operations.WatchOperationRequest(operation_id=operation.operation_id)
        for response in gateway.operations.WatchOperation(watch, timeout=300):
            operation = response.operation
        return operation

    def set_plan(self, charge_point: str, steps: Iterable[Step], end: datetime, amps: float, why: str) -> None:
        """Hand over a plan. From here on it is the gateway's: it brings it onto the charger and keeps it there."""
        gateway = self._gateway
        plan = steering.Plan(
            steps=[
                steering.PlanStep(
                    start_time=_time(step.start),
                    limit=steering.RateLimit(
                        value=amps if step.charges else 0, unit=common.CHARGING_RATE_UNIT_AMPERES, number_phases=3
                    ),
                )
                for step in steps
            ],
            end_time=_time(end),
        )
        request = steering.SetPlanRequest(
            charge_point=charge_point, connector=CONNECTOR, plan=plan, by="night example", why=why
        )
        gateway.call(gateway.steering.SetPlan, request)

    # --- what became of it ------------------------------------------------------------------------------------

    def transaction(self, charge_point: str) -> transactions.Transaction:
        """The one transaction of the night."""
        gateway = self._gateway
        request = transactions.ListTransactionsRequest(charge_point=charge_point)
        [found] = gateway.call(gateway.transactions.ListTransactions, request).transactions
        return found

    def cost(self, transaction_id: str, night: Sequence[Price]) -> energy.ComputeCostResponse:
        """The cost of a transaction by the night's prices."""
        gateway = self._gateway
        periods = [
            energy.PricePeriod(
                start_time=_time(price.start), end_time=_time(price.end), price_per_kwh=str(price.per_kwh)
            )
            for price in night
        ]
        schedule = energy.PriceSchedule(currency="GBP", periods=periods)
        request = energy.ComputeCostRequest(transaction_id=transaction_id, price_schedule=schedule)
        return gateway.call(gateway.energy.ComputeCost, request)

    # --- watching ---------------------------------------------------------------------------------------------

    def _watches(self, gateway: GatewayClient) -> list[tuple[Callable[..., Any], Any, Callable[[Any], None]]]:
        samples = events.WatchMeterValuesRequest(measurands=[POWER], start_at=START)
        changes = events.WatchEventsRequest(types=["steering.changed", "command.sent"], start_at=START)
        return [
            (gateway.events.WatchMeterValues, samples, self.watched.take_samples),
            (gateway.events.WatchEvents, changes, self.watched.take_events),
        ]

    def _watch(self, rpc: Callable[..., Any], request: Any, take: Callable[[Any], None]) -> None:
        """Follow a watch, and go on after the last batch where it breaks off."""
        while not self._over.is_set():
            try:
                for batch in rpc(request, wait_for_ready=True):
                    take(batch)
                    request.resume_token = batch.resume_token
            except (grpc.RpcError, ValueError):  # ValueError: the channel is closed
                self._over.wait(0.2)


def _time(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
