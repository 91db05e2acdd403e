"""Normalised readings as messages."""

from collections.abc import Iterable
from typing import Any

from gateway.api.v1 import reading_pb2 as pb
from gateway.control.convert.common import energy, flags, timestamp
from gateway.control.convert.enums import READING_KIND, VALUE_SOURCE
from gateway.domain.latest import Latest
from gateway.domain.measurements import RULES, Kind, Reading


def latest(found: Latest | None) -> pb.LatestReadings | None:
    """The newest readings of a connector; None: there are none."""
    if found is None or not found.readings:
        return None
    return pb.LatestReadings(
        power=_maybe(found.total(Kind.POWER)),
        energy_register=_maybe(found.total(Kind.ENERGY_REGISTER)),
        current=_maybe(found.total(Kind.CURRENT)),
        voltage=_maybe(found.total(Kind.VOLTAGE)),
        state_of_charge=_maybe(found.total(Kind.STATE_OF_CHARGE)),
        temperature=_maybe(found.total(Kind.TEMPERATURE)),
        frequency=_maybe(found.total(Kind.FREQUENCY)),
        phases=list(map(reading, found.phases)),
        rules_version=found.rules,
    )


def normalised(readings: Iterable[Reading]) -> pb.NormalisedReadings:
    """The readings of one message."""
    return pb.NormalisedReadings(readings=list(map(reading, readings)), rules_version=RULES)


def reading(found: Reading) -> pb.Reading:
    """One value."""
    return pb.Reading(
        kind=READING_KIND.number(found.kind),
        value=found.value,
        energy=energy(found.mwh),
        phase=found.phase,
        time=timestamp(found.at),
        context=found.context,
        location=found.location,
        source=VALUE_SOURCE.number(found.source),
        estimated=found.estimated,
        flags=flags(found.flags),
    )


def _maybe(found: Reading | None) -> Any:
    return None if found is None else reading(found)
