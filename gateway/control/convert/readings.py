"""Normalised readings as messages."""

from collections.abc import Iterable
from typing import Final

from gateway.api.v1 import reading_pb2 as pb
from gateway.control.convert.common import energy, flags, timestamp
from gateway.control.convert.enums import READING_KIND, VALUE_SOURCE
from gateway.domain.latest import Latest
from gateway.domain.measurements import RULES, Kind, Reading

_FIELDS: Final = {kind: kind.value.replace("-", "_") for kind in Kind}
"""The field of the newest reading in total."""


def latest(found: Latest | None) -> pb.LatestReadings | None:
    """The newest readings of a connector; None: there are none."""
    if found is None or not found.readings:
        return None
    totals = {_FIELDS[kind]: reading(each) for (kind, phase), each in found.readings.items() if not phase}
    if "power" not in totals and (power := found.total(Kind.POWER)) is not None:
        totals["power"] = reading(power)
    phases = found.phases if len(totals) < len(found.readings) else []
    return pb.LatestReadings(**totals, phases=list(map(reading, phases)), rules_version=found.rules)


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
