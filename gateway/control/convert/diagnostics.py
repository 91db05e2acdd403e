"""Refused connections, frames and deviations as messages."""

from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.control.convert.common import timestamp
from gateway.control.convert.enums import CONNECTION_STAGE, FRAME_KIND
from gateway.domain.diagnostics import DeviationCount, KeptFrame, RefusedConnection


def refused_connection(entry: RefusedConnection) -> pb.RefusedConnection:
    """An entry of the list of refused connections."""
    return pb.RefusedConnection(
        charge_point=entry.identity,
        address=entry.address,
        listener=entry.listener,
        stage=CONNECTION_STAGE.number(entry.stage),
        reason=entry.reason,
        http_status=entry.status,
        count=entry.count,
        first_seen_time=timestamp(entry.first_seen),
        last_seen_time=timestamp(entry.last_seen),
        path=entry.path,
    )


def frame(kept: KeptFrame) -> pb.Frame:
    """A frame, or a connection's beginning or end."""
    return pb.Frame(
        frame_time=timestamp(kept.at),
        kind=FRAME_KIND.number(kept.kind),
        text=kept.text,
        size_bytes=kept.size,
        cut=kept.cut,
        redacted=kept.redacted,
    )


def deviation(entry: DeviationCount) -> pb.Deviation:
    """An entry of the list of deviations."""
    return pb.Deviation(
        deviation=entry.deviation,
        vendor=entry.vendor,
        model=entry.model,
        firmware_version=entry.firmware_version,
        count=entry.count,
        first_seen_time=timestamp(entry.first_seen),
        last_seen_time=timestamp(entry.last_seen),
        last_charge_point=entry.charge_point,
    )
