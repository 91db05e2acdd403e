"""Wanted limits, plans, their steering, and installed charging profiles as messages."""

from gateway.api.v1 import common_pb2, event_pb2
from gateway.api.v1 import steering_pb2 as pb
from gateway.control.convert.common import connector, int32, schedule, timestamp
from gateway.control.convert.enums import KIND, PURPOSE, RATE_UNIT, RECURRENCY, STEERING_STATE
from gateway.control.convert.requests import Fields
from gateway.domain import events as e
from gateway.domain.charging import ChargingProfile, ChargingRateUnit
from gateway.domain.steering import InstalledProfile, Plan, PlanStep, RateLimit, StandingLimit, Steering, Wanted
from gateway.domain.values import ConnectorAddress


def rate_limit(limit: RateLimit | None) -> pb.RateLimit | None:
    """A limit; None leaves the field unset."""
    if limit is None:
        return None
    return pb.RateLimit(value=float(limit.value), unit=RATE_UNIT.number(limit.unit), number_phases=limit.phases)


def wanted(value: Wanted) -> pb.Wanted:
    """Return what is wanted of a connector as a message."""
    return pb.Wanted(
        connector=connector(value.connector),
        revision=value.revision,
        standing=None if value.standing is None else _standing(value.standing),
        plan=None if value.plan is None else plan(value.plan),
        caller=value.caller,
    )


def _standing(value: StandingLimit) -> pb.StandingLimit:
    return pb.StandingLimit(limit=rate_limit(value.limit), until_time=timestamp(value.until))


def plan(value: Plan) -> pb.Plan:
    """A plan as a message."""
    return pb.Plan(
        steps=[pb.PlanStep(start_time=timestamp(step.at), limit=rate_limit(step.limit)) for step in value.steps],
        end_time=timestamp(value.ends_at),
        after=rate_limit(value.after),
    )


def steering(address: ConnectorAddress, value: Steering) -> pb.ConnectorSteering:
    """The progress of a connector's wanted state as a message."""
    return pb.ConnectorSteering(
        connector=connector(address),
        revision=value.revision,
        state=STEERING_STATE.number(value.state),
        since_time=timestamp(value.since),
        reason=value.reason,
        purpose=PURPOSE.number(value.purpose),
        charging_profile_id=value.profile_id,
        covered_until_time=timestamp(value.covered_until),
        command_id=value.command_id,
    )


def profile(value: ChargingProfile) -> common_pb2.ChargingProfile:
    """A charging profile as a message."""
    return common_pb2.ChargingProfile(
        charging_profile_id=int32(value.profile_id),
        transaction_id=value.transaction_id,
        stack_level=int32(value.stack_level),
        purpose=PURPOSE.number(value.purpose),
        kind=KIND.number(value.kind),
        recurrency_kind=RECURRENCY.number(value.recurrency_kind),
        valid_from_time=timestamp(value.valid_from),
        valid_to_time=timestamp(value.valid_to),
        schedule=schedule(value.schedule),
    )


def installed_profile(value: InstalledProfile) -> pb.InstalledChargingProfile:
    """A charging profile that a charger has accepted, as a message."""
    return pb.InstalledChargingProfile(
        connector=connector(value.connector),
        profile=profile(value.profile),
        accept_time=timestamp(value.accepted_at),
        command_id=value.command_id,
    )


# --- events ---------------------------------------------------------------------------------------------------


def wanted_changed(body: e.WantedChanged) -> event_pb2.WantedChanged:
    """Return the body of ``wanted.changed`` as a message."""
    return event_pb2.WantedChanged(
        wanted=wanted(body.wanted),
        what=body.what,
        request_id=body.request_id,
        by=body.by,
        why=body.why,
        caller=body.caller,
        operation_id=body.operation_id,
    )


def steering_changed(body: e.SteeringChanged) -> event_pb2.SteeringChanged:
    """Return the body of ``steering.changed`` as a message."""
    return event_pb2.SteeringChanged(steering=steering(body.connector, body.steering))


def profile_installed(body: e.ChargingProfileInstalled) -> event_pb2.ChargingProfileInstalled:
    """Return the body of ``charging_profile.installed`` as a message."""
    return event_pb2.ChargingProfileInstalled(connector=connector(body.connector), profile=profile(body.profile))


def profile_removed(body: e.ChargingProfileRemoved) -> event_pb2.ChargingProfileRemoved:
    """Return the body of ``charging_profile.removed`` as a message."""
    return event_pb2.ChargingProfileRemoved(
        connector=connector(body.connector),
        charging_profile_id=int32(body.profile_id),
        purpose=PURPOSE.number(body.purpose),
        why=body.why,
    )


# --- requests -------------------------------------------------------------------------------------------------


def read_limit(fields: Fields, name: str, value: pb.RateLimit) -> RateLimit:
    """A limit of a request."""
    return RateLimit(
        fields.number(f"{name}.value", value.value),
        fields.word(f"{name}.unit", RATE_UNIT, value.unit, ChargingRateUnit.AMPERE),
        value.number_phases if value.HasField("number_phases") else None,
    )


def read_plan(fields: Fields, name: str, value: pb.Plan) -> Plan:
    """A plan of a request."""
    steps = []
    for number, step in enumerate(value.steps):
        at = f"{name}.steps[{number}]"
        limit = read_limit(fields, f"{at}.limit", step.limit) if step.HasField("limit") else None
        steps.append(PlanStep(fields.time(f"{at}.start_time", step, "start_time"), limit))
    return Plan(
        tuple(steps),
        fields.time(f"{name}.end_time", value, "end_time"),
        read_limit(fields, f"{name}.after", value.after) if value.HasField("after") else None,
    )
