"""Meter samples of stored events as messages: reported ones, and the registers of a transaction's start and stop."""

from collections.abc import Iterable
from datetime import datetime

from gateway.api.v1 import common_pb2, transaction_pb2
from gateway.control.convert.common import connector, energy, flags, timestamp
from gateway.control.convert.readings import normalised
from gateway.domain.codec import UnreadableBody, body_of
from gateway.domain.dialects import samples_of
from gateway.domain.events import (
    Body,
    MeterValuesReported,
    StoredEvent,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.latest import readings_of_event
from gateway.domain.power import Power, PowerSource, powers
from gateway.domain.readings import ENERGY_IMPORT_REGISTER, POWER_IMPORT, Sample, energy_mwh, samples
from gateway.domain.values import Flag

METERED = frozenset({MeterValuesReported.TYPE, TransactionStarted.TYPE, TransactionStopped.TYPE})
"""The types of events that hold meter values."""

_WATTS = {"W": 1.0, "kW": 1000.0}

_POWER_SOURCES = {
    PowerSource.MEASURED: common_pb2.POWER_SOURCE_MEASURED,
    PowerSource.PHASES: common_pb2.POWER_SOURCE_PHASES,
    PowerSource.CURRENT_VOLTAGE: common_pb2.POWER_SOURCE_CURRENT_VOLTAGE,
}

_NO_POWER = common_pb2.POWER_SOURCE_UNSPECIFIED

_SOURCES = {
    TransactionStarted.TYPE: transaction_pb2.READING_SOURCE_START,
    MeterValuesReported.TYPE: transaction_pb2.READING_SOURCE_METER_VALUES,
    TransactionStopped.TYPE: transaction_pb2.READING_SOURCE_STOP,
}


def reading(event: StoredEvent) -> transaction_pb2.TransactionReading:
    """Return the metering in one event of a transaction as a message."""
    return transaction_pb2.TransactionReading(
        event_id=event.event_id,
        source=_SOURCES.get(event.type, transaction_pb2.READING_SOURCE_UNSPECIFIED),
        receive_time=timestamp(event.received_at),
        samples=meter_samples(event),
    )


def normalised_reading(event: StoredEvent) -> transaction_pb2.TransactionReading:
    """As ``reading``, with the normalised readings of what was reported."""
    message = reading(event)
    message.normalised.CopyFrom(normalised(readings_of_event(event)))
    return message


def meter_samples(event: StoredEvent, measurands: frozenset[str] = frozenset()) -> list[common_pb2.MeterSample]:
    """The samples of an event, of these measurands only (none: all). An event without any, or one that can't be
    read, gives none."""
    try:
        body = body_of(event)
    except UnreadableBody:
        return []
    if not isinstance(body, MeterValuesReported | TransactionStarted | TransactionStopped):
        return []
    found = _found(body, event)
    messages = [_message(sample, event, body) for sample in found if not measurands or sample.measurand in measurands]
    if not measurands or POWER_IMPORT in measurands:
        messages.extend(_derived(found, event, body))
    return messages


def _found(body: Body, event: StoredEvent) -> list[Sample]:
    match body:
        case TransactionStarted():
            return [_register(body.meter_start, "Transaction.Begin", event)]
        case TransactionStopped():
            reported = samples_of(body.dialect, body.meter_value, event.received_at)
            return [*reported, _register(body.meter_stop, "Transaction.End", event)]
        case MeterValuesReported():
            return samples_of(body.dialect, body.meter_value, event.received_at)
        case _:
            return []


def _register(watt_hours: int, context: str, event: StoredEvent) -> Sample:
    """The register that a start or stop carries, as a sample."""
    suspect = Flag.CLOCK_SUSPECT in event.flags
    # The meter readers' own rules decide whether the number is one.
    element = {"sampledValue": [{"value": str(watt_hours), "context": context, "unit": "Wh"}]}
    (sample,) = samples([element], event.received_at)
    return _at(sample, None if suspect else event.reported_at, event.reported_raw)


def _at(sample: Sample, at: datetime | None, raw: str | None) -> Sample:
    return Sample(
        raw,
        at,
        sample.received_at,
        ENERGY_IMPORT_REGISTER,
        sample.value_raw,
        sample.value,
        sample.unit,
        context=sample.context,
    )


def _derived(found: list[Sample], event: StoredEvent, body: Body) -> Iterable[common_pb2.MeterSample]:
    """The connector's power at each moment for which the charger did not send it as one value."""
    for power in powers(found):
        if power.source is not PowerSource.MEASURED:
            yield _derived_message(power, event, body)


def _derived_message(power: Power, event: StoredEvent, body: Body) -> common_pb2.MeterSample:
    return common_pb2.MeterSample(
        charge_point=event.charge_point,
        connector=connector(getattr(body, "connector", None)),
        transaction_id=getattr(body, "transaction_id", None) or "",
        sample_time=timestamp(power.at),
        receive_time=timestamp(event.received_at),
        measurand=POWER_IMPORT,
        unit="W",
        context=power.context,
        location=power.location,
        format="Raw",
        power_watts=power.watts,
        flags=flags(event.flags),
        event_id=event.event_id,
        derived=True,
        power_source=_POWER_SOURCES[power.source],
        estimated=power.estimated,
    )


def _message(sample: Sample, event: StoredEvent, body: Body) -> common_pb2.MeterSample:
    return common_pb2.MeterSample(
        charge_point=event.charge_point,
        connector=connector(getattr(body, "connector", None)),
        transaction_id=getattr(body, "transaction_id", None) or "",
        sample_time=timestamp(sample.at),
        sample_time_raw=sample.timestamp_raw or "",
        receive_time=timestamp(event.received_at),
        measurand=sample.measurand,
        value=sample.value_raw,
        unit=sample.unit,
        phase=sample.phase or "",
        context=sample.context,
        location=sample.location,
        format=sample.format,
        energy=energy(energy_mwh(sample)),
        power_watts=_watts(sample),
        flags=flags(dict.fromkeys((*event.flags, *sample.flags))),
        event_id=event.event_id,
        power_source=_POWER_SOURCES[PowerSource.MEASURED] if _is_total_power(sample) else _NO_POWER,
    )


def _is_total_power(sample: Sample) -> bool:
    return sample.measurand == POWER_IMPORT and sample.phase is None and _watts(sample) is not None


def _watts(sample: Sample) -> float | None:
    scale = _WATTS.get(sample.unit)
    if sample.value is None or scale is None or not sample.measurand.startswith("Power.Active"):
        return None
    return float(sample.value) * scale
