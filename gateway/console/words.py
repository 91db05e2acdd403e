"""Answers in sentences: what a charge point is doing and why, what an operation's end means, why energy is doubted."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import grpc
from attrs import frozen

from gateway.api.v1 import charge_point_pb2, common_pb2, operation_pb2, reading_pb2, steering_pb2, transaction_pb2
from gateway.client import Problem
from gateway.console.figures import connector_name, energy, moment, power, span, word

STATES: Final = {
    reading_pb2.CHARGING_STATE_AVAILABLE: "is free: no vehicle is plugged in",
    reading_pb2.CHARGING_STATE_CONNECTED: "has a vehicle plugged in, which does not charge",
    reading_pb2.CHARGING_STATE_CHARGING: "is charging",
    reading_pb2.CHARGING_STATE_FAULTED: "reports a fault",
    reading_pb2.CHARGING_STATE_RESERVED: "is held for a reservation",
    reading_pb2.CHARGING_STATE_OUT_OF_SERVICE: "is out of service",
}

STATUS_REASONS: Final = {
    "SuspendedEV": "the vehicle takes no power: it is full, or waits by its own timer",
    "SuspendedEVSE": "the charger gives no power: a limit, a plan or its own settings hold it",
    "Preparing": "it was not started: no tag was shown and no remote start was sent",
    "Finishing": "its session is over, and the cable is still plugged in",
}

DOUBTS: Final = {
    common_pb2.ENERGY_DOUBT_START_MISSING: "The register at the start is missing.",
    common_pb2.ENERGY_DOUBT_STOP_MISSING: "There is no register of a stop: the session runs, or its stop has not come.",
    common_pb2.ENERGY_DOUBT_START_LEFT_OUT: "The register at the start contradicts the later ones, and was left out.",
    common_pb2.ENERGY_DOUBT_STOP_LEFT_OUT: "The register at the stop contradicts the earlier ones, and was left out.",
    common_pb2.ENERGY_DOUBT_SESSION_REGISTER: "Samples count from 0 in this session, beside a register for life.",
    common_pb2.ENERGY_DOUBT_OUTLIERS: "Single samples lie apart from all others, and were left out.",
    common_pb2.ENERGY_DOUBT_RESET: "The meter's register fell on the way: it began anew.",
    common_pb2.ENERGY_DOUBT_JUMP: "The register rose faster than the charger can give.",
    common_pb2.ENERGY_DOUBT_METER_CHANGED: "The meter was replaced during the session.",
    common_pb2.ENERGY_DOUBT_POWER_DISAGREES: "Register and power differ tenfold: one is stuck, or in another unit.",
    common_pb2.ENERGY_DOUBT_CLOCK_SUSPECT: "The charger's clock can't be right: times are those of receipt.",
    common_pb2.ENERGY_DOUBT_STOP_BEFORE_START: "Its stop lies before its start by the charger's clock.",
    common_pb2.ENERGY_DOUBT_DOUBTED_WHEN_RECORDED: "Its start or stop was implausible when it came.",
    common_pb2.ENERGY_DOUBT_READINGS_DELETED: "Its readings are gone by retention: start and stop alone are known.",
    common_pb2.ENERGY_DOUBT_BY_OPERATOR: "An operator gave the register at its end.",
}

BASES: Final = {
    common_pb2.ENERGY_BASIS_STOP_MINUS_START: "the register at the stop less that at the start",
    common_pb2.ENERGY_BASIS_REGISTER_DELTAS: "the last usable register less the first one",
    common_pb2.ENERGY_BASIS_SEGMENTS: "the sum over parts, for the register began anew",
    common_pb2.ENERGY_BASIS_POWER: "power over time, for there are no registers",
    common_pb2.ENERGY_BASIS_UNKNOWN: "nothing: there is no evidence of it",
    common_pb2.ENERGY_BASIS_INTERVALS: "the energies that the meter measured interval by interval",
}

ENDS: Final = {
    operation_pb2.OPERATION_END_DONE: "Done: it was seen to have happened.",
    operation_pb2.OPERATION_END_NO_EFFECT: "The charger accepted it, and nothing came of it.",
    operation_pb2.OPERATION_END_REFUSED: "The charger refused it.",
    operation_pb2.OPERATION_END_TIMED_OUT: "The charger gave no answer, and nothing came of it.",
    operation_pb2.OPERATION_END_OFFLINE: "The charger was not there: nothing was sent. What is wanted is kept for it.",
    operation_pb2.OPERATION_END_NOT_SENT: "Nothing was sent.",
    operation_pb2.OPERATION_END_UNKNOWN: "It can't be known what came of it.",
    operation_pb2.OPERATION_END_ROLLED_BACK: "The charger went on as before; nothing has changed.",
}

STEERING: Final = {
    steering_pb2.STEERING_STATE_PENDING: "is to be sent",
    steering_pb2.STEERING_STATE_APPLIED: "was accepted by the charger; its meter has not shown it yet",
    steering_pb2.STEERING_STATE_VERIFIED: "holds: the meter shows it",
    steering_pb2.STEERING_STATE_REFUSED: "was refused by the charger; it is tried again",
    steering_pb2.STEERING_STATE_INEFFECTIVE: "was accepted, but by the meter it does not hold; it is tried again",
}


@frozen
class Situation:
    """All that a sentence about a charge point rests on."""

    charge_point: charge_point_pb2.ChargePoint
    transactions: tuple[transaction_pb2.Transaction, ...]
    """Those that are open."""
    steered: tuple[steering_pb2.SteeredConnector, ...]
    now: datetime


def limit_text(limit: steering_pb2.RateLimit) -> str:
    """A limit in words."""
    if limit.value == 0:
        return "a pause"
    unit = "A" if limit.unit == common_pb2.CHARGING_RATE_UNIT_AMPERES else "W"
    return f"{limit.value:g} A per phase" if unit == "A" else power(limit.value)


def sentences(found: Situation) -> list[str]:
    """Return one sentence for each connector of a charge point: its state and the reason for it."""
    point = found.charge_point
    if not point.HasField("connection"):
        return ["It has never connected to this gateway."]
    since = moment(point.connection, "since_time")
    lasted = "" if since is None else span((found.now - since).total_seconds())
    if not point.connection.connected:
        why = "what its connectors do is not known" if lasted else "nothing is known of it"
        return [f"It is offline for {lasted}: {why}. Commands can't reach it; limits and plans are kept for it."]
    if point.registration != common_pb2.REGISTRATION_ACCEPTED:
        held = "held in waiting" if point.registration == common_pb2.REGISTRATION_PENDING else "rejected"
        return [f"It is connected and {held} by the operator's decision, so it does not charge by remote control."]
    shown = [each for each in point.connectors if each.connector.evse]
    if not shown:
        return [f"It is connected for {lasted}, and has not said anything of its connectors yet."]
    return [_connector(found, each) for each in shown]


def _connector(found: Situation, shown: charge_point_pb2.Connector) -> str:
    name = f"Connector {connector_name(shown.connector)}"
    doing = STATES.get(shown.charging_state, "is in a state that is not known")
    parts = [f"{name} {doing}"]
    transaction = next((each for each in found.transactions if each.connector == shown.connector), None)
    if shown.charging_state == reading_pb2.CHARGING_STATE_CHARGING:
        if shown.latest.HasField("power"):
            parts[0] += f" with {power(shown.latest.power.value)}"
        if transaction is not None:
            parts[0] += f" for {transaction.id_tag or 'no tag'}"
            if transaction.HasField("energy_so_far"):
                parts[0] += f", {energy(transaction.energy_so_far)} so far"
    elif shown.charging_state == reading_pb2.CHARGING_STATE_FAULTED:
        parts.append(f"{shown.error_code or 'no error code'}{f' ({shown.info})' if shown.info else ''}")
    elif shown.charging_state == reading_pb2.CHARGING_STATE_CONNECTED:
        if transaction is None and shown.status not in ("Preparing", "Finishing"):
            parts.append("no session is open")
        elif shown.status in STATUS_REASONS:
            parts.append(STATUS_REASONS[shown.status])
    limit = _limit(found.steered, shown)
    if limit:
        parts.append(limit)
    return "; ".join(parts) + "."


def _limit(steered: Iterable[steering_pb2.SteeredConnector], shown: charge_point_pb2.Connector) -> str:
    """The limit that is wanted of a connector, or of all, now."""
    for each in steered:
        address = each.wanted.connector
        if each.HasField("present_limit") and (address == shown.connector or not address.evse):
            origin = "the limit set by hand" if each.wanted.HasField("standing") else "the plan"
            state = STEERING.get(each.steering.state, "is wanted")
            return f"{origin}, {limit_text(each.present_limit)}, {state}"
    return ""


def may_be_done(problem: Problem) -> bool:
    """Return true if what was asked for may have been done although an error came: the gateway says so, or it was not
    the gateway that answered."""
    never = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    return problem.reason == "OUTCOME_UNKNOWN" or (not problem.reason and problem.code not in never)


def operation_text(operation: operation_pb2.Operation) -> str:
    """Return one sentence about the state of an operation."""
    if operation.end:
        reason = f" The reason: {operation.reason}." if operation.reason else ""
        return f"{ENDS.get(operation.end, 'It has ended.')}{reason}"
    stage = operation.stages[-1].stage if operation.stages else 0
    return f"It goes on; it has got as far as: {word(operation_pb2.OperationStage, stage)}."


def command_text(command: Any) -> str:
    """Return one sentence about the outcome of a command."""
    if command.HasField("error"):
        return f"The charger answered with an error: {command.error.code} {command.error.description}".strip() + "."
    if command.HasField("answer"):
        kind = command.answer.WhichOneof("answer")
        status = getattr(getattr(command.answer, kind), "status", "") if kind else ""
        late = " It came after the time for an answer." if command.late else ""
        return f"The charger answered{f': {status}' if status else ''}.{late}"
    state = {
        1: "It waits for the charger, or for commands before it.",
        2: "It is on its way; there is no answer yet.",
        4: f"It was not sent: {command.reason}. Nothing happened.",
        5: f"It was sent, and there is no answer ({command.reason}): it may have been carried out.",
    }
    return state.get(command.state, "It is not known what became of it.")
