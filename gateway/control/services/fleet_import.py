"""Receiving a fleet: a header, then batches, within bounds, until the client ends its side."""

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.control.convert.provisioning import read_candidate
from gateway.control.errors import Failure, Status, invalid
from gateway.control.fleet_import import MAX_CHARGE_POINTS, Candidate
from gateway.control.services.request_stream import RequestStream
from gateway.control.services.rpc import CALLER
from gateway.domain.commands import FieldViolation

MAX_BATCH = 1_000
"""Charge points of one message: reading them holds the loop up for a few milliseconds."""

MAX_FLEET_BYTES = 32 * 1024 * 1024
"""Of all messages of one import. 50,000 charge points with keys and short notes make 5 MB."""


async def receive(requests: RequestStream[pb.ImportChargePointsRequest]) -> tuple[list[Candidate], bool]:
    """The whole fleet, and whether it is only to be validated. Raises ``Failure``."""
    header = _header(await requests.next())
    fleet: list[Candidate] = []
    caller = CALLER.get()
    size = 0
    while (request := await requests.next()) is not None:
        if request.WhichOneof("part") != "batch":
            raise invalid(FieldViolation("part", "must be a batch: the header comes once, first"))
        given = request.batch.charge_points
        size += request.ByteSize()
        if len(given) > MAX_BATCH:
            raise invalid(FieldViolation("batch.charge_points", f"must have at most {MAX_BATCH}"))
        if size > MAX_FLEET_BYTES:
            raise Failure(
                Status.RESOURCE_EXHAUSTED, "IMPORT_TOO_LARGE", f"an import has at most {MAX_FLEET_BYTES} bytes in all"
            )
        if len(fleet) + len(given) > header.charge_point_count:
            raise _other_count(header.charge_point_count, "more")
        fleet += [read_candidate(each, caller) for each in given]
    if len(fleet) < header.charge_point_count:
        raise _other_count(header.charge_point_count, f"only {len(fleet)}")
    return fleet, header.validate_only


def running() -> Failure:
    """There is an import under way."""
    return Failure(
        Status.FAILED_PRECONDITION, "IMPORT_RUNNING", "another import is running: one at a time, wait for its end"
    )


def _header(request: pb.ImportChargePointsRequest | None) -> pb.ImportHeader:
    if request is None or request.WhichOneof("part") != "header":
        raise invalid(FieldViolation("part", "must be a header in the first message"))
    if not 1 <= request.header.charge_point_count <= MAX_CHARGE_POINTS:
        raise invalid(FieldViolation("header.charge_point_count", f"must be 1 to {MAX_CHARGE_POINTS}"))
    return request.header


def _other_count(announced: int, came: str) -> Failure:
    return invalid(
        FieldViolation("header.charge_point_count", f"announced {announced} charge points, and {came} came"),
        reason="IMPORT_INCOMPLETE",
    )
