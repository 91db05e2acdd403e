"""Configuration of a simulated charger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import Attribute, field, frozen, validators

from gateway.simulator.configuration import MEASURANDS
from gateway.simulator.link import Target
from gateway.simulator.profiles import MAX_PERIODS
from gateway.simulator.vehicle import VehicleConfig

#: The wall clock: aware UTC.
Clock = Callable[[], datetime]

#: Called with each event: a name and its details (see `SimulatedCharger`).
Observer = Callable[[str, Mapping[str, Any]], None]


def utc_now() -> datetime:
    """The real wall clock."""
    return datetime.now(UTC)


def _check_url(config: ChargerConfig, attribute: Attribute[str], value: str) -> None:
    Target.of(value, "identity", b"")


@frozen
class ChargerConfig:
    """One home wallbox.

    `url` is the endpoint, wss://host:port/path; the identity is appended percent-encoded. `password` is the raw
    bytes of the AuthorizationKey. `speed` is how much faster than real time life passes: every interval, time-out
    and wait is divided by it, and the vehicle's battery fills that much faster. What is on the wire stays true:
    timestamps are real, and the metered energy is the power times the real time. `measurands` are those the meter
    knows; others are refused as MeterValuesSampledData. `schedule_periods` is the number of periods of a charging
    schedule that it takes; where `obeys_limits` is false it accepts charging profiles and gives what the hardware
    gives. `seed` makes the jitter and the daily life repeatable.
    Raises ValueError for a URL that is not wss, or a number out of range.
    """

    url: str = field(validator=_check_url)
    identity: str = field(validator=validators.min_len(1))
    password: bytes = field(repr=False)
    vendor: str = field(default="Hearth", validator=validators.max_len(20))
    model: str = field(default="Wallbox 22", validator=validators.max_len(20))
    firmware: str = field(default="1.4.2", validator=validators.max_len(50))
    serial: str = field(default="", validator=validators.max_len(25))
    connectors: int = field(default=1, validator=[validators.ge(1), validators.le(8)])
    phases: int = field(default=3, validator=validators.in_((1, 3)))
    max_current_amps: float = field(default=32.0, validator=[validators.ge(6), validators.le(80)])
    speed: float = field(default=1.0, validator=[validators.gt(0), validators.le(1_000)])
    vehicle: VehicleConfig = field(factory=VehicleConfig)
    seed: int = 0
    id_tag: str = field(default="HOME-TAG", validator=[validators.min_len(1), validators.max_len(20)])
    measurands: tuple[str, ...] = MEASURANDS
    fixed_cable: bool = False
    schedule_periods: int = field(default=MAX_PERIODS, validator=[validators.ge(1), validators.le(MAX_PERIODS)])
    obeys_limits: bool = True
    register_wh: float = field(default=1_250_000.0, validator=validators.ge(0))
    #: The shortest and longest wait between attempts to connect, in seconds.
    reconnect_least: float = field(default=1.0, validator=validators.gt(0))
    reconnect_most: float = field(default=120.0, validator=validators.gt(0))

    def pace(self, seconds: float) -> float:
        """An interval of the charger's life in real seconds."""
        return seconds / self.speed
