"""Jobs of a charging platform: a plan by price, an app's status, a bill.

python jobs.py plan CP1       half an hour of waiting, then 16 A until seven hours from now
python jobs.py status CP1     what an app shows of a charger
python jobs.py bill TX        the transaction's cost by a day and a night price
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from charge import connect
from gateway_client import Gateway, GatewayError, moment, timestamp, v1

CONNECTOR = v1.ConnectorAddress(evse=1, connector=1)


# [plan]
def plan(gateway: Gateway, charge_point: str, now: datetime) -> dict[str, Any]:
    """Hand over a plan; from here on the gateway brings it onto the charger, and keeps it there."""
    cheap, end = now + timedelta(minutes=30), now + timedelta(hours=7)
    amperes = v1.CHARGING_RATE_UNIT_AMPERES
    steps = [
        v1.PlanStep(start_time=timestamp(now), limit=v1.RateLimit(value=0, unit=amperes)),
        v1.PlanStep(start_time=timestamp(cheap), limit=v1.RateLimit(value=16, unit=amperes, number_phases=3)),
    ]
    wanted = v1.Plan(steps=steps, end_time=timestamp(end))
    gateway.steering.set_plan(v1.SetPlanRequest(charge_point=charge_point, connector=CONNECTOR, plan=wanted))

    # How far it has got. The same states come as events steering.changed, which need no asking.
    request = v1.GetSteeringRequest(charge_point=charge_point, connector=CONNECTOR)
    [steered] = gateway.steering.get_steering(request).connectors
    state = v1.SteeringState.Name(steered.steering.state)
    # A limit by hand comes before the plan: while one holds, there is no next change. LiftWantedLimit ends it.
    change = moment(steered.next_change_time).isoformat() if steered.HasField("next_change_time") else None
    return {"state": state, "next_change": change}


# [plan]


# [status]
def status(gateway: Gateway, charge_point: str) -> dict[str, Any]:
    """What an app shows of a charger: whether it is there, what it does, and how fast."""
    request = v1.GetLatestReadingsRequest(charge_points=[charge_point])
    [readings] = gateway.charge_points.get_latest_readings(request).charge_points
    shown: dict[str, Any] = {"connected": readings.connected, "connectors": []}
    for each in readings.connectors:
        if each.connector.evse == 0:  # the charge point as a whole: it has a status, and no charging state
            continue
        state = v1.ChargingState.Name(each.charging_state).removeprefix("CHARGING_STATE_")
        # The newest reading stays after a charge: it is of the present only while the vehicle charges.
        power = each.latest.power.value if state == "CHARGING" and each.latest.HasField("power") else 0.0
        shown["connectors"].append({"state": state, "watts": power})
    return shown


# [status]


# [bill]
def bill(gateway: Gateway, transaction_id: str) -> dict[str, Any]:
    """The cost of a transaction by prices of the day, exact, of the revision of its energy that it names."""
    prices = v1.PriceSchedule(
        currency="GBP",
        time_zone="Europe/London",
        daily_prices=[
            v1.DailyPrice(start_of_day="00:00", end_of_day="05:00", price_per_kwh="0.075"),
            v1.DailyPrice(start_of_day="05:00", end_of_day="24:00", price_per_kwh="0.2475"),
        ],
    )
    request = v1.ComputeCostRequest(transaction_id=transaction_id, price_schedule=prices)
    response = gateway.energy.compute_cost(request)
    transaction = gateway.transactions.get_transaction(
        v1.GetTransactionRequest(transaction_id=transaction_id)
    ).transaction
    return {
        "total": f"{response.cost.total} {response.cost.currency}",
        "watt_hours": response.energy.energy.watt_hours,
        # FINAL: it changes only by what no one expected any more, and then an event says so.
        "state": v1.EnergyState.Name(transaction.energy_summary.state),
        "revision": transaction.energy_summary.revision,
        "look_at_it": transaction.energy_summary.contradicted,
    }


# [bill]


def main(command: str, argument: str) -> None:
    """Run one of the jobs."""
    with connect() as gateway:
        if command == "plan":
            print(json.dumps(plan(gateway, argument, datetime.now(UTC))))
        elif command == "status":
            print(json.dumps(status(gateway, argument)))
        elif command == "bill":
            print(json.dumps(bill(gateway, argument)))
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(sys.argv[1], sys.argv[2])
    except GatewayError as error:
        sys.exit(f"{error} [{error.repeat.value}]")
