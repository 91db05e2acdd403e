"""`gateway fleet summary`: the fleet in numbers."""

from collections.abc import Iterator

from gateway.api.v1.fleet_pb2 import GetFleetSummaryRequest
from gateway.api.v1.fleet_summary_pb2 import FleetSummary, MakeCount
from gateway.api.v1.operation_pb2 import OperationStage
from gateway.api.v1.steering_pb2 import SteeringState
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    charging_state,
    connect,
    connector_name,
    moment,
)
from gateway.cli.output import JsonOption, age, counted, facts, kilowatts, local, out, print_json, table


def summary(target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Show the fleet in numbers: what it is made of, what it does, its power, and what is wrong with it."""
    with connect(target) as gateway:
        found = gateway.fleet.GetFleetSummary(GetFleetSummaryRequest(), timeout=READ_SECONDS).summary
    if json:
        print_json(as_dict(found))
        return
    out().print(facts(_facts(found)))
    makes = [(_make(each), each.firmware_version, _connected(each.connected), each.count) for each in found.make_counts]
    out().print(table("make", "firmware", "connection", ">chargers", rows=makes))
    if found.other_make_count:
        out().print(f"and {counted(found.other_make_count, 'charger')} of other makes")
    if found.faults:
        rows = [
            (
                each.charge_point,
                connector_name(each.connector.connector),
                each.connector.error_code,
                each.connector.info,
                local(moment(each.connector, "status_time")),
            )
            for each in found.faults
        ]
        out().print(table("fault", "connector", "error", "-info", "-since", rows=rows))
    if found.silent_charge_points:
        away = [(each.charge_point, age(moment(each, "since_time"))) for each in found.silent_charge_points]
        out().print(table("silent", "-since", rows=away))
    if found.flapping_charge_points:
        often = [(each.charge_point, each.connection_count) for each in found.flapping_charge_points]
        out().print(table("flapping", ">connections in an hour", rows=often))


def _facts(found: FleetSummary) -> Iterator[tuple[str, object]]:
    connected = sum(each.count for each in found.charge_point_counts if each.connected)
    yield "chargers", f"{found.charge_point_count}, {connected} connected"
    yield "power now", f"{kilowatts(found.power.watts)} on {found.power.reading_count} connectors{_doubts(found)}"
    states = sorted(found.charging_state_counts, key=lambda each: -each.count)
    yield "connectors", ", ".join(f"{each.count} {charging_state(each.state)}" for each in states) or "none"
    yield "open transactions", found.open_transaction_count
    yield "faults", found.fault_count
    yield "silent for an hour", found.silent_count
    yield "flapping", found.flapping_count
    yield "never connected", found.never_connected_count
    for each in found.operation_counts:
        yield f"operations {_word(OperationStage.Name(each.stage), 'OPERATION_STAGE_')}", each.count
    for wanted in found.steering_counts:
        yield f"limits and plans {_word(SteeringState.Name(wanted.state), 'STEERING_STATE_')}", wanted.count
    yield "looked at since", local(moment(found, "history_since_time"))


def _doubts(found: FleetSummary) -> str:
    power = found.power
    said = f"; {kilowatts(power.stale_watts)} more on {power.stale_count} by old values" if power.stale_count else ""
    if power.missing_count:
        said += f"; {power.missing_count} charge without saying so"
    if power.unanswered_nodes:
        said += f"; without nodes that gave no answer: {', '.join(map(str, power.unanswered_nodes))}"
    return said


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")


def _make(found: MakeCount) -> str:
    return f"{found.vendor} {found.model}".strip() or "not said"


def _connected(connected: bool) -> str:
    return "connected" if connected else "offline"
