"""Charge points to be made known, one or a fleet: reading what is asked for, telling how it goes."""

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.control.charge_points import NewChargePoint
from gateway.control.convert.enums import REGISTRATION
from gateway.control.convert.quirks import ALIASES, PREFIX, read_quirks
from gateway.control.convert.requests import Fields
from gateway.control.fleet_import import Candidate, Faults, ImportProgress, News, Stage
from gateway.domain.quirks import NAMES
from gateway.domain.values import Registration

SETTABLE = frozenset({"registration", "description", "labels", "minimum_security_profile", "quirks", *ALIASES})
"""Fields of a new charge point besides its identity."""

CHANGEABLE = SETTABLE | {f"{PREFIX}{name}" for name in NAMES}
"""What the mask of a change may name."""

STAGES = {
    Stage.CHECKING: pb.IMPORT_STAGE_CHECKING,
    Stage.HASHING: pb.IMPORT_STAGE_HASHING,
    Stage.COMMITTING: pb.IMPORT_STAGE_COMMITTING,
}


def read_new(given: pb.ChargePoint, key: bytes | None, fields: Fields, caller: str) -> NewChargePoint:
    """Read a new charge point; ``fields`` collects the violations. Values aren't checked."""
    registration = fields.optional_word("charge_point.registration", REGISTRATION, given.registration)
    for descriptor, _ in given.ListFields():
        if descriptor.name not in SETTABLE | {"identity"}:
            fields.wrong(f"charge_point.{descriptor.name}", "is the gateway's to set")
    return NewChargePoint(
        identity=given.identity,
        registration=registration or Registration.ACCEPTED,
        description=given.description,
        quirks=read_quirks(given, fields),
        labels=dict(given.labels),
        key=key,
        caller=caller,
        minimum_security_profile=given.minimum_security_profile,
    )


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
