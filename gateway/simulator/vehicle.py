"""The vehicle: a battery behind an on-board charger. Sans-I/O, and without a clock of its own.

How much it draws follows from what it is offered and how full it is; how full it is follows from the energy it
was given. Nothing here knows OCPP.
"""

from __future__ import annotations

from attrs import define, field, frozen, validators

#: Nominal line-to-neutral voltage, in volts. Limits are converted with the nominal voltage (E25).
NOMINAL_VOLTS = 230.0

#: The lowest current that a wallbox can signal to a vehicle, in amperes a phase (IEC 61851-1).
MINIMUM_AMPS = 6.0

#: Share of the capacity from which the battery management tapers the power.
TAPER_FROM = 0.8

#: Share of its greatest power that a battery still takes just before it is full.
TAPER_FLOOR = 0.08


@frozen
class VehicleConfig:
    """Properties of a vehicle: battery, on-board charger, and how full it arrives.

    `capacity_wh` is the usable battery in Wh. `arrival_soc` and `target_soc` are shares, 0 to 1.
    `single_phase_watts` and `three_phase_watts` are the greatest power of the on-board charger by the number of
    phases offered; `phases` is how many it can use. `efficiency` is the share of the metered energy that reaches
    the battery.
    """

    capacity_wh: float = field(default=58_000.0, validator=validators.gt(0))
    arrival_soc: float = field(default=0.35, validator=[validators.ge(0), validators.le(1)])
    target_soc: float = field(default=1.0, validator=[validators.gt(0), validators.le(1)])
    phases: int = field(default=3, validator=validators.in_((1, 2, 3)))
    single_phase_watts: float = field(default=7_400.0, validator=validators.gt(0))
    three_phase_watts: float = field(default=11_000.0, validator=validators.gt(0))
    efficiency: float = field(default=0.92, validator=[validators.gt(0), validators.le(1)])

    def greatest_watts(self, phases: int) -> float:
        """The most the on-board charger takes over this many phases, in W."""
        if phases <= 1:
            return self.single_phase_watts
        return self.three_phase_watts * phases / 3


def taper(soc: float) -> float:
    """The share of its greatest power that a battery takes at this state of charge (both 0 to 1).

    Constant up to 80 %, then falling in a straight line to a small rest: the shape of constant current, constant
    voltage charging as a wallbox meter sees it.
    """
    if soc <= TAPER_FROM:
        return 1.0
    if soc >= 1.0:
        return TAPER_FLOOR
    fallen = (soc - TAPER_FROM) / (1.0 - TAPER_FROM)
    return 1.0 - fallen * (1.0 - TAPER_FLOOR)


@define(eq=False)
class Vehicle:
    """A vehicle at the cable. Its battery fills `pace` times as fast as the meter counts (`ChargerConfig.speed`)."""

    config: VehicleConfig
    stored_wh: float
    pace: float = 1.0

    @classmethod
    def arriving(cls, config: VehicleConfig, pace: float = 1.0) -> Vehicle:
        """The vehicle as it arrives, with its battery at `arrival_soc`."""
        return cls(config, config.capacity_wh * config.arrival_soc, pace)

    @property
    def soc(self) -> float:
        """State of charge, 0 to 1."""
        return min(self.stored_wh / self.config.capacity_wh, 1.0)

    @property
    def full(self) -> bool:
        """True once the battery is at the level its owner asked for."""
        return self.soc >= self.config.target_soc

    def power(self, amps: float, phases: int) -> float:
        """Return the power drawn, in W, when offered this current (A a phase) over these phases; 0 when it suspends."""
        if self.full or amps < MINIMUM_AMPS:
            return 0.0
        used = min(phases, self.config.phases)
        offered = amps * NOMINAL_VOLTS * used
        return min(offered, self.config.greatest_watts(used) * taper(self.soc))

    def take(self, metered_wh: float) -> None:
        """Put this much metered energy (Wh) into the battery."""
        gained = metered_wh * self.config.efficiency * self.pace
        self.stored_wh = min(self.stored_wh + gained, self.config.capacity_wh)
