"""A user's program, which `mypy --strict` has to find nothing wrong with, without any stubs installed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from gateway_client import FileTokenStore, Gateway, GatewayError, Repeat, Status, Tls, duration, moment, timestamp, v1
from gateway_client.aio import AsyncGateway
from gateway_client.trio_gateway import TrioGateway


def start(gateway: Gateway, charge_point: str) -> str | None:
    """The id of a start, or None where the charger is away."""
    request = v1.StartChargingRequest(
        charge_point=charge_point, id_tag="FAMILY", connector=v1.ConnectorAddress(evse=1, connector=1)
    )
    try:
        return gateway.operations.start_charging(request, timeout=10).operation.operation_id
    except GatewayError as error:
        if error.status is Status.FAILED_PRECONDITION and error.repeat is Repeat.WAIT:
            print(error.reason, error.metadata["charge_point"], [name for name, _ in error.violations])
            return None
        raise


def plan(gateway: Gateway, until: datetime) -> int:
    """The revision of what is wanted that a plan makes."""
    limit = v1.RateLimit(value=16, unit=v1.CHARGING_RATE_UNIT_AMPERES, number_phases=3)
    step = v1.PlanStep(start_time=timestamp(until - timedelta(hours=1)), limit=limit)
    made = v1.Plan(steps=[step], end_time=timestamp(until))
    response = gateway.steering.set_plan(v1.SetPlanRequest(charge_point="CP1", plan=made))
    return response.revision


def identities(gateway: Gateway) -> list[str]:
    """All charge points, over pages."""
    request = v1.ListChargePointsRequest(filter="connected = true", view=v1.CHARGE_POINT_VIEW_BASIC)
    pages = gateway.pages(gateway.charge_points.list_charge_points, request)
    return [each.identity for page in pages for each in page.charge_points]


def follow(gateway: Gateway) -> None:
    """Events, over restarts."""
    request = v1.WatchEventsRequest(start_at=v1.WATCH_START_BEGINNING)
    with gateway.watch_events(request, FileTokenStore("events.token"), lambda error, _: print(error.reason)) as watch:
        for batch in watch:
            for event in batch.events:
                at: datetime = moment(event.receive_time)
                body: str | None = event.WhichOneof("body")
                print(at, event.event_id, body, event.HasField("transaction_started"))


async def powers(gateway: AsyncGateway | TrioGateway) -> AsyncIterator[float]:
    """The power that chargers report, twice a second at most."""
    request = v1.WatchMeterValuesRequest(
        start_at=v1.WATCH_START_NOW, latest_interval=duration(timedelta(milliseconds=500))
    )
    async for batch in gateway.watch_meter_values(request):
        for sample in batch.samples:
            yield sample.power_watts


if __name__ == "__main__":
    with Gateway("gateway.example:50051", Tls(ca=b""), token=lambda: "token") as made:
        print(start(made, "CP1"), plan(made, datetime.now(UTC)), identities(made))
