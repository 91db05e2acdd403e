"""Charge points to be made known, one or a fleet: reading what is asked for, telling how it goes."""

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.control.charge_points import NewChargePoint
from gateway.control.convert.enums import REGISTRATION
from gateway.control.convert.requests import Fields
from gateway.control.fleet_import import Candidate, Faults, ImportProgress, News, Stage
from gateway.domain.values import Registration, Switch

CHANGEABLE = frozenset(
    {"registration", "description", "assume_subprotocol", "own_requests", "accept_hex_password", "labels"}
)

STAGES = {
    Stage.CHECKING: pb.IMPORT_STAGE_CHECKING,
    Stage.HASHING: pb.IMPORT_STAGE_HASHING,
    Stage.COMMITTING: pb.IMPORT_STAGE_COMMITTING,
}


def read_new(given: pb.ChargePoint, key: bytes | None, fields: Fields, caller: str) -> NewChargePoint:
    """Read a new charge point; ``fields`` collects the violations. Values aren't checked."""
    registration = fields.optional_word("charge_point.registration", REGISTRATION, given.registration)
    for descriptor, _ in given.ListFields():
        if descriptor.name not in CHANGEABLE | {"identity"}:
            fields.wrong(f"charge_point.{descriptor.name}", "is the gateway's to set")
    return NewChargePoint(
        identity=given.identity,
        registration=registration or Registration.ACCEPTED,
        description=given.description,
        assume_subprotocol=given.assume_subprotocol,
        own_requests=read_switch(given, "own_requests"),
        accept_hex_password=read_switch(given, "accept_hex_password"),
        labels=dict(given.labels),
        key=key,
        caller=caller,
    )


def read_switch(given: pb.ChargePoint, name: str) -> Switch:
    """An optional field: unset leaves it to the settings."""
    if not given.HasField(name):  # type: ignore[arg-type] # the stubs list the names
        return Switch.DEFAULT
    return Switch.ON if getattr(given, name) else Switch.OFF


def read_candidate(given: pb.ImportedChargePoint, caller: str) -> Candidate:
    """One of a fleet, with what is wrong about it so far."""
    fields = Fields()
    new = read_new(given.charge_point, given.authorization_key or None, fields, caller)
    return Candidate(new, tuple(fields.violations))


def import_news(news: News) -> pb.ImportChargePointsResponse:
    """Return the progress of an import as a message."""
    match news:
        case ImportProgress():
            progress = pb.ImportProgress(stage=STAGES[news.stage], done_count=news.done, total_count=news.total)
            return pb.ImportChargePointsResponse(progress=progress)
        case Faults():
            faults = [
                pb.ImportFault(
                    index=each.index,
                    field=each.field,
                    description=each.description,
                    duplicate_of_index=each.duplicate_of,
                    exists=each.exists,
                )
                for each in news.faults
            ]
            return pb.ImportChargePointsResponse(faults=pb.ImportFaults(faults=faults))
        case _:
            return pb.ImportChargePointsResponse(result=pb.ImportResult(charge_point_count=news.count))
