"""The homes of the example: simulated wallboxes of different abilities, and what goes wrong with each at night."""

from datetime import timedelta

from attrs import frozen

from gateway.simulator import ChargerConfig
from gateway.simulator.vehicle import VehicleConfig

AMPS = 16.0
"""What each plan lets a vehicle have, per phase, while it charges."""

WATTS = AMPS * 230 * 3


@frozen
class Home:
    """A home: its wallbox, its vehicle, and what happens to it.

    ``needed_wh``: from the wallbox's meter, to fill the vehicle as far as its owner wants. ``away``: from when after
    the evening, and for how long, its link is down. ``forgets``: when after the evening it loses its profiles.
    """

    name: str
    config: ChargerConfig
    needed_wh: float
    away: tuple[timedelta, timedelta] | None = None
    forgets: timedelta | None = None

    @property
    def id_tag(self) -> str:
        """The owner's tag."""
        return f"TAG-{self.name.upper()}"


def homes(url: str) -> list[Home]:
    """Three homes, whose wallboxes connect to ``url``."""
    return [
        _home(url, "oak", 24_000, away=(timedelta(hours=3, minutes=20), timedelta(hours=1))),
        _home(url, "elm", 18_000, schedule_periods=1, forgets=timedelta(hours=6, minutes=10)),
        _home(url, "ash", 15_000, obeys_limits=False),
    ]


def _home(
    url: str,
    name: str,
    battery_wh: float,
    away: tuple[timedelta, timedelta] | None = None,
    forgets: timedelta | None = None,
    schedule_periods: int = 24,
    obeys_limits: bool = True,
) -> Home:
    """A home whose vehicle wants ``battery_wh`` in its battery."""
    capacity = 60_000.0
    vehicle = VehicleConfig(capacity_wh=capacity, arrival_soc=0.3, target_soc=0.3 + battery_wh / capacity)
    config = ChargerConfig(
        url=url,
        identity=f"home-{name}",
        password=f"key-of-{name}-0123456".encode(),
        serial=f"SN-{name}",
        vehicle=vehicle,
        schedule_periods=schedule_periods,
        obeys_limits=obeys_limits,
        reconnect_most=30.0,
    )
    return Home(name, config, battery_wh / vehicle.efficiency, away, forgets)
