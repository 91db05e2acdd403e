"""Many chargers at once, and the daily life in front of them."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import trio
from attrs import evolve, frozen

from gateway.simulator.charger import SimulatedCharger
from gateway.simulator.config import ChargerConfig, Clock, Observer, utc_now
from gateway.simulator.link import Dial

#: Called with every charger's events: its identity, the event's name, the details.
CrowdObserver = Callable[[str, str, Mapping[str, Any]], None]


@frozen
class Habits:
    """Habits of people with their wallbox. Pairs are the shortest and longest time, in seconds of the charger's life;
    `starts_with_tag` and `stops_with_tag` are shares, 0 to 1. Who has no tag waits for a remote start."""

    away: tuple[float, float] = (600.0, 7_200.0)
    finds_tag: tuple[float, float] = (3.0, 30.0)
    stays: tuple[float, float] = (3_600.0, 36_000.0)
    arrival_soc: tuple[float, float] = (0.2, 0.7)
    starts_with_tag: float = 0.8
    stops_with_tag: float = 0.3


async def daily_life(charger: SimulatedCharger, habits: Habits | None = None) -> None:
    """Come home, plug in, start or wait to be started, leave when full or when time is up; until cancelled.

    The same seed and identity give the same life. A connector in use by another caller is left alone.
    """
    habits = habits or Habits()
    config = charger.config
    # A life to be repeated, not a secret to be kept.
    dice = random.Random(f"{config.seed}/{config.identity}/life")  # noqa: S311

    async def pass_time(span: tuple[float, float]) -> None:
        await trio.sleep(config.pace(dice.uniform(*span)))

    while True:
        await pass_time(habits.away)
        number = dice.randint(1, config.connectors)
        if charger.vehicle(number) is not None:
            continue
        charger.plug_in(number, evolve(config.vehicle, arrival_soc=dice.uniform(*habits.arrival_soc)))
        await pass_time(habits.finds_tag)
        if dice.random() < habits.starts_with_tag and not charger.charging(number):
            await charger.present_id_tag(connector=number)
        with trio.move_on_after(config.pace(dice.uniform(*habits.stays))):
            await charger.wait_for(partial(_done, number=number))
        if charger.charging(number) and dice.random() < habits.stops_with_tag:
            await charger.present_id_tag(connector=number)
        charger.unplug(number)


def _done(charger: SimulatedCharger, number: int) -> bool:
    vehicle = charger.vehicle(number)
    return vehicle is None or vehicle.full or charger.status(number) == "Finishing"


async def simulate_many(
    configs: Iterable[ChargerConfig],
    ssl_context: ssl.SSLContext | None = None,
    *,
    spread: float = 10.0,
    habits: Habits | None = None,
    lively: bool = True,
    clock: Clock = utc_now,
    on_event: CrowdObserver | None = None,
    dial: Dial | None = None,
    task_status: trio.TaskStatus[tuple[SimulatedCharger, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run many chargers until cancelled; started with all of them, at once.

    They connect spread evenly over `spread` real seconds. `lively`: each has its daily life by `habits`, else
    no car comes home unless the caller acts. Raises ValueError when two have one identity.
    """
    chargers = tuple(
        SimulatedCharger(config, ssl_context, clock=clock, on_event=_observer(config.identity, on_event), dial=dial)
        for config in configs
    )
    if len({charger.identity for charger in chargers}) < len(chargers):
        raise ValueError("identity: two simulated chargers have the same one")

    async def live(charger: SimulatedCharger, delay: float) -> None:
        await trio.sleep(delay)
        async with trio.open_nursery() as nursery:
            await nursery.start(charger.run)
            if lively:
                nursery.start_soon(daily_life, charger, habits)

    async with trio.open_nursery() as nursery:
        for position, charger in enumerate(chargers):
            nursery.start_soon(live, charger, position * spread / len(chargers))
        task_status.started(chargers)


def _observer(identity: str, on_event: CrowdObserver | None) -> Observer | None:
    return None if on_event is None else partial(on_event, identity)
