"""Charging sessions made from a seed, in the shapes that charging takes, to hold estimates against what came.

Each is charged second by second, and sampled as chargers do: every minute, with a meter's noise. What an estimator is
given ends at the moment of asking.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

from attrs import define, frozen

from gateway.domain.metering import Edge, Metering, PowerSample, RegisterSample, SocSample
from gateway.energy.completion import Charge, EnergyTarget, FullTarget, Target
from gateway.energy.session import session_energy

BEGIN = datetime(2026, 1, 10, 18, 0, tzinfo=UTC)
STEP = 10
"""Seconds of the simulation."""

LONGEST = 40 * 3600 // STEP


@define
class State:
    """Of a vehicle while it charges: seconds since the start, kWh taken, kWh that it can take."""

    seconds: int
    taken: float
    room: float
    capacity: float

    @property
    def soc(self) -> float:
        return 100 * (1 - (self.room - self.taken) / self.capacity)


@frozen
class Curve:
    """A session as it went. ``power``: kW at each step until the target was reached."""

    power: tuple[float, ...]
    target: Target
    target_kwh: float
    room: float
    capacity: float
    noise: tuple[float, ...]
    with_soc: bool
    tapers: bool

    @property
    def end(self) -> datetime:
        return BEGIN + timedelta(seconds=len(self.power) * STEP)

    def taken(self, step: int) -> float:
        return sum(self.power[:step]) * STEP / 3600

    def step_at(self, share: float) -> int:
        """The first step at which a share of the energy had flowed."""
        flowed, wanted = 0.0, share * self.target_kwh
        for step, kw in enumerate(self.power):
            flowed += kw * STEP / 3600
            if flowed >= wanted:
                return step + 1
        return len(self.power)

    def seen(self, step: int) -> Charge:
        """The progress known after so many steps."""
        now = BEGIN + timedelta(seconds=step * STEP)
        powers, registers, socs, flowed = [], [], [], 0.0
        for number in range(step):
            if number % 6 == 0:
                at = BEGIN + timedelta(seconds=number * STEP)
                powers.append(PowerSample(self.power[number] * 1000 * self.noise[number // 6 % 997], at))
                registers.append(RegisterSample(round(flowed * 1e6), at))
                socs.append(SocSample(round(100 * (1 - (self.room - flowed) / self.capacity)), at))
            flowed += self.power[number] * STEP / 3600
        energy = session_energy(Metering(Edge(BEGIN, 0), None, tuple(registers)))
        return Charge(now, energy, tuple(powers), tuple(socs) if self.with_soc else ())


def plain(charge: Charge, kwh: float) -> datetime:
    """Remaining energy over present power, the mean of the last three readings: what is to be beaten."""
    watts = max(median(each.watts for each in charge.powers[-3:]), 1.0)
    missing = kwh - (charge.energy.total_mwh or 0) / 1e6
    return charge.now + min(timedelta(hours=missing / (watts / 1000)), timedelta(days=3))


PowerOf = Callable[[State], float]


def charged(rng: random.Random, power: PowerOf, room: float, capacity: float, target_kwh: float, **more) -> Curve:
    """Run a session until it has its energy."""
    state, powers = State(0, 0.0, room, capacity), []
    while state.taken < target_kwh and len(powers) < LONGEST:
        kw = max(power(state), 0.0)
        powers.append(kw)
        state.taken += kw * STEP / 3600
        state.seconds += STEP
    noise = tuple(rng.gauss(1, 0.01) for _ in range(997))
    return Curve(tuple(powers), more.pop("target"), target_kwh, room, capacity, noise, **more)


def taper(rng: random.Random, direct: bool) -> Callable[[State], float]:
    """The share of its most power that a vehicle takes, by its charge: whole until a knee, then less and less."""
    knee = rng.uniform(55, 80) if direct else rng.uniform(88, 97)
    last, bend = rng.uniform(0.08, 0.28), rng.uniform(0.75, 1.5)

    def share(state: State) -> float:
        if state.soc <= knee:
            return 1.0
        return last + (1 - last) * max(1 - ((state.soc - knee) / (100 - knee)) ** bend, 0.0)

    return share


def battery(rng: random.Random) -> tuple[float, float]:
    """Capacity, and the room in it, in kWh."""
    capacity = rng.uniform(40, 85)
    return capacity, capacity * rng.uniform(0.45, 0.9)


def to_full(rng: random.Random, power: PowerOf, room: float, capacity: float) -> Curve:
    with_soc = rng.random() < 0.5
    target = FullTarget() if with_soc else FullTarget(round(room * 1e6))
    return charged(rng, power, room, capacity, room, target=target, with_soc=with_soc, tapers=True)


def to_energy(rng: random.Random, power: PowerOf) -> Curve:
    """A part of the battery, far from full."""
    capacity, room = battery(rng)
    kwh = rng.uniform(0.3, 0.7) * room
    target = EnergyTarget(round(kwh * 1e6))
    return charged(rng, power, room, capacity, kwh, target=target, with_soc=False, tapers=False)


def constant(rng: random.Random) -> Curve:
    """The same power from start to end."""
    kw = rng.choice([2.3, 3.7, 7.4, 11.0, 22.0])
    return to_energy(rng, lambda state: kw)


def tapering(rng: random.Random) -> Curve:
    """To full: direct current with a long taper, or alternating with a short one."""
    direct = rng.random() < 0.6
    kw = rng.uniform(40, 150) if direct else rng.choice([7.4, 11.0, 22.0])
    share = taper(rng, direct)
    return to_full(rng, lambda state: kw * share(state), *reversed(battery(rng)))


def cold(rng: random.Random) -> Curve:
    """A cold battery takes little at first, and more as it warms up; then it tapers."""
    kw, begins, warms = rng.uniform(40, 120), rng.uniform(0.25, 0.5), rng.uniform(15, 40) * 60
    share = taper(rng, True)

    def power(state: State) -> float:
        warm = begins + (1 - begins) * min(state.seconds / warms, 1.0)
        return kw * min(warm, share(state))

    return to_full(rng, power, *reversed(battery(rng)))


def ramp(rng: random.Random) -> Curve:
    """Power is raised over some minutes; then it tapers."""
    kw, rises = rng.uniform(40, 150), rng.uniform(3, 12) * 60
    share = taper(rng, True)
    return to_full(rng, lambda state: kw * min(0.1 + state.seconds / rises, share(state)), *reversed(battery(rng)))


def load_managed(rng: random.Random) -> Curve:
    """A house's other loads decide: another limit every five to twenty minutes."""
    phases, changes = rng.choice([1, 3]), [(0, 16.0)]
    while changes[-1][0] < LONGEST * STEP:
        changes.append((changes[-1][0] + rng.randrange(300, 1200), rng.uniform(6, 32 if phases == 1 else 16)))

    def power(state: State) -> float:
        while len(changes) > 1 and changes[1][0] <= state.seconds:
            changes.pop(0)
        return changes[0][1] * 0.23 * phases

    return to_energy(rng, power)


def one_phase(rng: random.Random) -> Curve:
    """Three phases until some moment, then one."""
    capacity, room = battery(rng)
    kwh, at = rng.uniform(0.3, 0.7) * room, rng.uniform(0.1, 0.7)
    target = EnergyTarget(round(kwh * 1e6))
    return charged(
        rng, lambda state: 11.0 if state.taken < at * kwh else 3.7, room, capacity, kwh,
        target=target, with_soc=False, tapers=False,
    )  # fmt: skip


def interrupted(rng: random.Random) -> Curve:
    """Pauses of three to twenty minutes, every twenty to sixty."""
    kw, spans = rng.choice([3.7, 7.4, 11.0]), [0]
    while spans[-1] < LONGEST * STEP:
        spans += [spans[-1] + rng.randrange(1200, 3600)]
        spans += [spans[-1] + rng.randrange(180, 1200)]

    def power(state: State) -> float:
        while len(spans) > 2 and spans[2] <= state.seconds:
            del spans[:2]
        return kw if state.seconds < spans[1] else 0.0

    return to_energy(rng, power)


def stuck(rng: random.Random) -> Curve:
    """Power ends at some moment, for many hours."""
    kw, at = rng.choice([3.7, 7.4, 11.0]), rng.uniform(0.3, 0.7)
    capacity, room = battery(rng)
    kwh = rng.uniform(0.3, 0.7) * room
    stalled = [0]

    def power(state: State) -> float:
        if state.taken >= at * kwh and stalled[0] < 8 * 3600:
            stalled[0] += STEP
            return 0.0
        return kw

    target = EnergyTarget(round(kwh * 1e6))
    return charged(rng, power, room, capacity, kwh, target=target, with_soc=False, tapers=False)


SHAPES: dict[str, Callable[[random.Random], Curve]] = {
    "constant": constant,
    "taper": tapering,
    "cold battery": cold,
    "ramp": ramp,
    "load-managed": load_managed,
    "one-phase fall-back": one_phase,
    "interrupted": interrupted,
    "stuck": stuck,
}
