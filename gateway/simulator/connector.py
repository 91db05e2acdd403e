"""One connector of the wallbox: the facts about it, the status that follows from them, and its meter."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import define, field, frozen

from gateway.simulator.messages import Transaction, wire_time
from gateway.simulator.profiles import Limit, Profile
from gateway.simulator.vehicle import MINIMUM_AMPS, NOMINAL_VOLTS, Vehicle

NO_ERROR = "NoError"


@frozen
class Authorization:
    """Permission to charge: the tag, until when it waits for the cable, and the profile of a remote start."""

    id_tag: str
    until: datetime
    parent_id_tag: str | None = None
    profile: Profile | None = None


@frozen
class Reservation:
    """The connector is kept for one tag (or its group) until `expires`."""

    id: int
    id_tag: str
    expires: datetime
    parent_id_tag: str | None = None

    def admits(self, id_tag: str, parent_id_tag: str | None) -> bool:
        """Return true if this tag may use the reserved connector (S §5.13)."""
        if id_tag.casefold() == self.id_tag.casefold():
            return True
        if self.parent_id_tag is None or parent_id_tag is None:
            return False
        return parent_id_tag.casefold() == self.parent_id_tag.casefold()


@define(eq=False)
class Connector:
    """The facts about one connector. Its status is never stored but derived (see `status`)."""

    number: int
    register_wh: float = 0.0
    vehicle: Vehicle | None = None
    authorization: Authorization | None = None
    transaction: Transaction | None = None
    #: A transaction ended here and the cable is still in.
    finished: bool = False
    fault: str = NO_ERROR
    operative: bool = True
    #: ChangeAvailability was answered Scheduled: it applies when the transaction ends.
    scheduled_operative: bool | None = None
    reservation: Reservation | None = None
    next_sample_at: datetime | None = None
    #: What was last reported, to report only changes.
    reported: tuple[str, str] | None = field(default=None)

    def power(self, offer: Limit) -> float:
        """The power flowing now, in W, when the box offers this limit."""
        if self.transaction is None or self.vehicle is None or not self.transaction.accepted:
            return 0.0
        return self.vehicle.power(offer.amps, offer.phases)

    def status_of_whole(self) -> str:
        """The status of connector 0, the box: Available, Unavailable or Faulted, whatever the others are (S §4.9)."""
        if self.fault != NO_ERROR:
            return "Faulted"
        return "Available" if self.operative else "Unavailable"

    def status(self, offer: Limit) -> str:
        """The status that follows from the facts (S §4.9); the first row that applies wins.

        | fact                                              | status        |
        | a fault                                           | Faulted       |
        | transaction, and the box gives less than 6 A      | SuspendedEVSE |
        | transaction, and the vehicle takes nothing        | SuspendedEV   |
        | transaction                                       | Charging      |
        | taken out of service                              | Unavailable   |
        | cable in, its transaction ended                   | Finishing     |
        | cable in, or a tag authorized                     | Preparing     |
        | reserved                                          | Reserved      |
        | none of these                                     | Available     |
        """
        if self.fault != NO_ERROR:
            return "Faulted"
        if self.transaction is not None:
            if offer.amps < MINIMUM_AMPS or not self.transaction.accepted:
                return "SuspendedEVSE"
            return "Charging" if self.power(offer) > 0 else "SuspendedEV"
        if not self.operative:
            return "Unavailable"
        if self.vehicle is not None and self.finished:
            return "Finishing"
        if self.vehicle is not None or self.authorization is not None:
            return "Preparing"
        return "Available" if self.reservation is None else "Reserved"

    @property
    def register(self) -> int:
        """The lifetime register in whole Wh, as transactions carry it."""
        return int(self.register_wh)

    def readings(self, measurands: tuple[str, ...], offer: Limit, context: str) -> list[dict[str, Any]]:
        """The `sampledValue` list for these measurands, in their order."""
        watts = self.power(offer)
        phases = offer.phases if self.vehicle is None else min(offer.phases, self.vehicle.config.phases)
        amps = watts / (NOMINAL_VOLTS * phases)
        values: list[dict[str, Any]] = []
        for name in measurands:
            match name:
                case "Energy.Active.Import.Register":
                    values.append(_value(name, f"{self.register_wh:.1f}", "Wh"))
                case "Power.Active.Import":
                    values.append(_value(name, f"{watts:.1f}", "W"))
                case "Power.Offered":
                    values.append(_value(name, f"{offer.watts:.1f}", "W"))
                case "Current.Offered":
                    values.append(_value(name, f"{offer.amps:.1f}", "A"))
                case "Current.Import":
                    values += [_value(name, f"{amps:.2f}", "A", f"L{n + 1}") for n in range(phases)]
                case "Voltage":
                    values += [_value(name, f"{NOMINAL_VOLTS:.1f}", "V", f"L{n + 1}-N") for n in range(phases)]
                case "SoC" if self.vehicle is not None:
                    values.append(_value(name, f"{self.vehicle.soc * 100:.0f}", "Percent") | {"location": "EV"})
        for value in values:
            value["context"] = context
        return values

    def meter_value(self, measurands: tuple[str, ...], offer: Limit, context: str, now: datetime) -> dict[str, Any]:
        """One element of `meterValue`: the readings and when they were taken."""
        return {"timestamp": wire_time(now), "sampledValue": self.readings(measurands, offer, context)}


def _value(measurand: str, value: str, unit: str, phase: str | None = None) -> dict[str, Any]:
    reading: dict[str, Any] = {"measurand": measurand, "value": value, "unit": unit}
    if phase is not None:
        reading["phase"] = phase
    return reading
