"""Evidence for energy: the quality of a piece of it, how a session's was found, and why to doubt it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Quality(StrEnum):
    """The evidence for a piece of energy, the best first."""

    MEASURED = "measured"
    """A register was read at both of its ends, or did not move between the readings around them."""
    INTERPOLATED = "interpolated"
    """It ends between two readings; their energy is divided evenly over their time."""
    ESTIMATED = "estimated"
    """It rests on an assumption: no reading falls into it, a time is that of receipt, a register is taken to begin at
    0, or it is power over time."""
    MISSING = "missing"
    """For a part of its time there is no register reading; nothing is counted for that part."""
    CONTRADICTED = "contradicted"
    """The registers around it can't all be true."""


_RANKS: Final = {quality: rank for rank, quality in enumerate(Quality)}


def worst(qualities: Iterable[Quality]) -> Quality:
    """The worst of several; MEASURED for none."""
    return max(qualities, key=_RANKS.__getitem__, default=Quality.MEASURED)


class Basis(StrEnum):
    """The way in which the energy of a session was found."""

    STOP_MINUS_START = "stop-minus-start"
    """The register at its stop less that at its start (E13)."""
    REGISTER_DELTAS = "register-deltas"
    """The last usable register less the first one: an end is missing or can't be used."""
    SEGMENTS = "segments"
    """The sum over several segments, each of one counter (E16)."""
    INTERVALS = "intervals"
    """The sum of the energies that the meter measured interval by interval: there are no two registers (E20)."""
    POWER = "power"
    """Power over time: there are neither two registers nor energies of intervals."""
    UNKNOWN = "unknown"
    """There is no evidence of it."""


class Doubt(StrEnum):
    """A reason to doubt the energy of a session."""

    START_MISSING = "start-missing"
    """Its start came without a usable register."""
    STOP_MISSING = "stop-missing"
    """It has ended, or is taken to have, without a usable register of its stop."""
    START_LEFT_OUT = "start-left-out"
    """The register of its start contradicts those that follow."""
    STOP_LEFT_OUT = "stop-left-out"
    """The register of its stop contradicts those before."""
    SESSION_REGISTER = "session-register"
    """Its samples count the session alone, beside a lifetime register (E15)."""
    OUTLIERS = "outliers"
    """Single samples lie apart from the others, and were left out."""
    RESET = "reset"
    """A register fell on the way (E16)."""
    JUMP = "jump"
    """A register rose faster than a charge point gives, or many times faster than in the rest (E15b)."""
    METER_CHANGED = "meter-changed"
    """The meter was replaced on the way (E17)."""
    POWER_DISAGREES = "power-disagrees"
    """The register differs by a factor of ten or more from the power over time, or from the energies of intervals: one
    is stuck or in another unit (E10, E20)."""
    CLOCK_SUSPECT = "clock-suspect"
    """A time that it rests on is that of receipt: the charger gave none that can be right."""
    STOP_BEFORE_START = "stop-before-start"
    """Its stop's time lies before its start's; all energy is counted at the start."""
    DOUBTED_WHEN_RECORDED = "doubted-when-recorded"
    """Its start or stop was flagged as implausible when it was recorded."""
    READINGS_DELETED = "readings-deleted"
    """Its readings are gone by retention; start and stop alone are known."""
    BY_OPERATOR = "by-operator"
    """The register at its end is an operator's: given at its closing, or of a stop that the operator tied to it."""


CONTRADICTIONS: Final = frozenset(
    {
        Doubt.START_LEFT_OUT,
        Doubt.STOP_LEFT_OUT,
        Doubt.OUTLIERS,
        Doubt.RESET,
        Doubt.JUMP,
        Doubt.POWER_DISAGREES,
    }
)
"""Doubts that say that the meter contradicts itself."""
