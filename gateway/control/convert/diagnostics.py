"""Refused connections, frames, deviations, latencies and the status of the gateway as messages."""

from datetime import timedelta

from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.control.convert.common import offset, timestamp
from gateway.control.convert.enums import CONNECTION_STAGE, FRAME_KIND, LATENCY_KIND
from gateway.control.status import GatewayStatus
from gateway.domain.diagnostics import (
    DeviationCount,
    FlappingChargePoint,
    KeptFrame,
    LatencyCount,
    RefusedConnection,
)


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


def latency(entry: LatencyCount) -> pb.Latency:
    """An entry of the list of latencies."""
    bounds = [*(offset(timedelta(seconds=bound)) for bound in entry.bounds), None]
    return pb.Latency(
        kind=LATENCY_KIND.number(entry.kind),
        action=entry.action,
        vendor=entry.vendor,
        model=entry.model,
        firmware_version=entry.firmware_version,
        count=entry.count,
        mean_duration=offset(timedelta(seconds=entry.mean)),
        median_duration=offset(timedelta(seconds=entry.quantile(0.5))),
        p99_duration=offset(timedelta(seconds=entry.quantile(0.99))),
        buckets=[
            pb.LatencyBucket(max_duration=bound, count=count) for bound, count in zip(bounds, entry.counts, strict=True)
        ],
    )


def flapping(entry: FlappingChargePoint) -> pb.Flapping:
    """A charge point that comes and goes."""
    message = pb.Flapping(
        charge_point=entry.identity,
        connect_count=entry.connects,
        since_time=timestamp(entry.since),
        last_connect_time=timestamp(entry.last),
    )
    message.kept_out_duration.FromMilliseconds(round(1000 * entry.kept_out))
    return message


def gateway_status(found: GatewayStatus, most_watchers: int) -> pb.GatewayStatus:
    """The status, with so many watchers."""
    store = found.store
    return pb.GatewayStatus(
        status_time=timestamp(found.at),
        store=pb.StoreStatus(
            healthy=store.healthy,
            database_bytes=store.database,
            log_bytes=store.log,
            free_bytes=store.free,
            disk_bytes=store.disk,
            waiting_write_count=store.waiting,
        ),
        watchers=[
            pb.EventWatcher(
                caller=each.caller, method=each.method, start_time=timestamp(each.since), events_behind=each.behind
            )
            for each in found.watchers[:most_watchers]
        ],
        watcher_count=len(found.watchers),
        certificates=[
            pb.ServedCertificate(listener=each.listener, kind=each.kind, expire_time=timestamp(each.ends))
            for each in found.certificates
        ],
    )
