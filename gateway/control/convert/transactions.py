"""Transactions as messages."""

from gateway.api.v1 import completion_pb2, transaction_pb2
from gateway.control.convert.common import connector, energy, energy_of_watt_hours, flags, int64, timestamp
from gateway.control.convert.enums import (
    COMPLETION_STATE,
    ENERGY_BASIS,
    ENERGY_DOUBT,
    ENERGY_STATE,
    PROVENANCE,
    TRANSACTION_STATE,
)
from gateway.control.energy import Completed
from gateway.control.transactions import ShownTransaction
from gateway.domain.values import Flag
from gateway.energy.quality import CONTRADICTIONS
from gateway.energy.session import RULES_VERSION
from gateway.energy.settlement import provenance


def transaction(shown: ShownTransaction) -> transaction_pb2.Transaction:
    """A charging transaction."""
    record = shown.record
    return transaction_pb2.Transaction(
        transaction_id=record.transaction_id,
        charge_point=record.charge_point,
        connector=connector(record.connector),
        id_tag=record.id_tag,
        id_tag_status=record.status,
        state=TRANSACTION_STATE.number(record.state),
        meter_start=energy_of_watt_hours(record.meter_start),
        start_time=timestamp(record.started_at),
        start_time_raw=record.start_raw or "",
        start_receive_time=timestamp(record.start_received_at),
        reservation_id=None if record.reservation_id is None else int64(record.reservation_id),
        meter_stop=energy_of_watt_hours(record.meter_stop),
        stop_time=timestamp(record.stopped_at),
        stop_time_raw=record.stop_raw or "",
        stop_receive_time=timestamp(record.stop_received_at),
        stop_reason=record.stop_reason or "",
        stop_id_tag=record.stop_id_tag or "",
        energy=energy_of_watt_hours(record.energy),
        flags=flags(record.flags if record.stale_at is None else (*record.flags, Flag.STALE)),
        number=int64(record.number),
        stale_time=timestamp(record.stale_at),
        stale_reason=record.stale_why,
        close_time=timestamp(record.closed_at),
        close_reason=record.close_reason,
        close_caller=record.closed_by,
        start_command_id=record.start_command_id,
        energy_so_far=None if shown.so_far is None else energy(shown.so_far.total_mwh),
        energy_summary=_summary(shown),
        start_provenance=PROVENANCE.number(provenance(record.start_raw, record.start_received_at)),
        stop_provenance=PROVENANCE.number(provenance(record.stop_raw, record.stop_received_at)),
        close_meter=energy_of_watt_hours(record.close_meter),
        close_meter_time=timestamp(record.close_meter_at),
        completion=None if shown.completed is None else _completion(shown.completed),
    )


def _completion(found: Completed) -> completion_pb2.Completion:
    """An estimate of when charging will be done."""
    completion = found.completion
    return completion_pb2.Completion(
        state=COMPLETION_STATE.number(completion.state),
        estimate_time=timestamp(found.at),
        finish_time=timestamp(completion.finish),
        earliest_time=timestamp(completion.earliest),
        latest_time=timestamp(completion.latest),
        remaining=energy(completion.remaining_mwh),
    )


def _summary(shown: ShownTransaction) -> transaction_pb2.EnergySummary:
    """The energy so far of an open transaction; else what is recorded of it."""
    state, known = ENERGY_STATE.number(shown.state), shown.record.settlement
    if shown.so_far is not None:
        return transaction_pb2.EnergySummary(
            state=state,
            energy=energy(shown.so_far.total_mwh),
            basis=ENERGY_BASIS.number(shown.so_far.basis),
            doubts=map(ENERGY_DOUBT.number, shown.so_far.doubts),
            contradicted=shown.so_far.contradicted,
            rules_version=RULES_VERSION,
        )
    return transaction_pb2.EnergySummary(
        state=state,
        energy=energy(known.mwh),
        basis=ENERGY_BASIS.number(known.basis),
        doubts=map(ENERGY_DOUBT.number, known.doubts),
        contradicted=not CONTRADICTIONS.isdisjoint(known.doubts),
        revision=known.revision,
        rules_version=known.rules_version,
        pending=known.due,
    )
