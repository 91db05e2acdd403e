"""Watching: everybody sees everything, and how long after, and what one more watcher costs the gateway.

Chargers send MeterValues in an open loop; 1, 10, 50 watchers, each on a connection of its own, watch all events. The
lag of an event is the time from its receipt by the gateway until the watcher has it, by the one clock of this machine.
Every event must reach every watcher once, and all in one order: compared among the watchers by the events' ids, and
with the number of messages that the gateway confirmed to the chargers.

What a further delivery costs is the difference between two numbers of watchers, so that what is done once for an event
is not in it. The numbers take turns, there and back, since what else happens on the machine, and how far the database
has grown, changes a server's CPU by as much as some watchers do. The yardstick is what one more message costs a bare
grpc.aio server that streams messages of the same size and as often, in the same way by a difference of two numbers.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, define, field, frozen
from hdrh.histogram import HdrHistogram
from rich.console import Console

from bench import histogram, processes
from bench.fleet import SETTLE_SECONDS, Fleet, fleet
from bench.fleet_results import Load
from bench.grpc_driver import GrpcDriver, Watched, Window
from bench.results import Figure, Result
from bench.scenarios.commands import amiss
from bench.servers.echo import echo

NAME = "watch"
HELP = "1, 10, 50 watchers of everything at 2,000 events/s: lag, gaps, CPU per delivery; about two minutes"

SHORT: Mapping[str, Any] = {"sessions": 100, "seconds": 2.5, "warm_up": 0.4, "watchers": [1, 10], "turns": 2}

BARE_STREAMS = (1, 50)
"""So many that what a message costs is well above what a server's CPU varies by."""

BARE_TURNS = 2

SATURATED = 0.98
"""Cores of the gateway's at which another delivery takes the place of other work instead of adding to it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=200, help="chargers (%(default)s)")
    parser.add_argument("--watchers", type=int, nargs="+", default=[1, 10, 50], help="watchers at once (%(default)s)")
    parser.add_argument("--rate", type=float, default=2000.0, help="events/s, MeterValues (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (%(default)s)")
    parser.add_argument("--turns", type=int, default=4, help="measurements of each number (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before each (%(default)s)")


@frozen
class Plan:
    """Properties that the cases of one run share."""

    sessions: int
    watchers: Sequence[int]
    rate: float
    seconds: float
    warm_up: float
    turns: int


@frozen
class Turn:
    """Watchers of one server, once: what they had, what it took, and of the gateway the chargers' messages."""

    window: Window
    watched: Watched
    load: Load | None = None

    @property
    def unseen(self) -> int:
        """Messages that were confirmed and no watcher had. What a charger was confirmed is on disk, so it is an
        event."""
        return max(0, self.load.messages - self.watched.meter_values) if self.load is not None else 0


@define
class Streamed:
    """All turns of one number of watchers."""

    watchers: int
    turns: list[Turn] = field(factory=list)

    def total(self, of: Callable[[Watched], int]) -> int:
        return sum(of(turn.watched) for turn in self.turns)

    @property
    def deliveries(self) -> int:
        return self.total(lambda watched: watched.deliveries)

    @property
    def batches(self) -> int:
        return self.total(lambda watched: watched.batches)

    @property
    def bytes(self) -> int:
        return self.total(lambda watched: watched.bytes)

    @property
    def gaps(self) -> int:
        """Deliveries that are missing."""
        return self.total(lambda watched: watched.missing) + self.watchers * sum(turn.unseen for turn in self.turns)

    @property
    def lag(self) -> HdrHistogram:
        return histogram.merged(turn.watched.lag for turn in self.turns)

    @property
    def loads(self) -> list[Load]:
        return [turn.load for turn in self.turns if turn.load is not None]

    @property
    def seconds(self) -> float:
        return sum(turn.window.seconds for turn in self.turns)

    @property
    def server_cpu_seconds(self) -> float:
        return sum(turn.window.server_cpu_seconds for turn in self.turns)

    @property
    def server_cores(self) -> float:
        return self.server_cpu_seconds / self.seconds

    @property
    def driver_cores(self) -> float:
        """Of both drivers, in the turn in which they had the most."""
        return max(turn.window.driver_cores + (turn.load.driver_cores if turn.load else 0.0) for turn in self.turns)


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Each number of watchers, and what the differences come to."""
    numbers = sorted(set(options.watchers))
    plan = Plan(options.sessions, numbers, options.rate, options.seconds, options.warm_up, options.turns)
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as folder, GrpcDriver() as driver:
        with processes.gateway(Path(folder)) as gateway:
            delivered = _deliver(plan, gateway, driver, console)
        bare = _stream(plan, driver, delivered[0], console)
    return [*(_delivery(plan, each, delivered[0]) for each in delivered), _bare_result(plan, bare)]


def _deliver(plan: Plan, gateway: processes.Gateway, driver: GrpcDriver, console: Console) -> list[Streamed]:
    """The gateway's watchers, by their number."""
    streamed = {watchers: Streamed(watchers) for watchers in plan.watchers}
    credentials = gateway.provision(plan.sessions)
    with fleet(gateway, credentials) as chargers:
        console.print(f"{plan.sessions} chargers connect")
        connected = chargers.connect(transaction=True)
        if connected.connected < plan.sessions:
            raise RuntimeError(f"{connected.connected} of {plan.sessions} chargers connected: {connected.failures}")
        time.sleep(SETTLE_SECONDS)
        for watchers in _there_and_back(plan.watchers, plan.turns):
            console.print(_counted(watchers, "watcher"))
            streamed[watchers].turns.append(_watch(plan, gateway, chargers, driver, watchers))
    return list(streamed.values())


def _there_and_back(numbers: Sequence[int], turns: int) -> Iterator[int]:
    """So that a drift weighs on all alike."""
    for turn in range(turns):
        yield from numbers if turn % 2 == 0 else reversed(numbers)


def _watch(plan: Plan, gateway: processes.Gateway, chargers: Fleet, driver: GrpcDriver, watchers: int) -> Turn:
    driver.watch(gateway.control_address, watchers)
    chargers.start_open_loop(rate=plan.rate)
    time.sleep(plan.warm_up)
    window = driver.measure(plan.seconds, gateway.pid)
    load = chargers.stop_open_loop()
    return Turn(window, driver.watched(), load)


def _stream(plan: Plan, driver: GrpcDriver, like: Streamed, console: Console) -> list[Streamed]:
    """The bare server's streams, with messages as large and as frequent as the gateway's batches were."""
    streamed = {streams: Streamed(streams) for streams in BARE_STREAMS}
    batches = max(1, like.batches)
    with echo(batches / like.watchers / like.seconds, like.bytes // batches) as server:
        for streams in _there_and_back(BARE_STREAMS, BARE_TURNS):
            console.print(f"a bare gRPC server, {_counted(streams, 'stream')}")
            driver.watch(server.address, streams, settle=False)
            time.sleep(plan.warm_up)
            window = driver.measure(plan.seconds, server.pid)
            streamed[streams].turns.append(Turn(window, driver.watched()))
    return list(streamed.values())


def _delivery(plan: Plan, streamed: Streamed, fewest: Streamed) -> Result:
    wrong = _amiss(plan, streamed)
    rate = sum(load.in_time for load in streamed.loads) / sum(load.seconds for load in streamed.loads)
    figures = [
        Figure("gaps", streamed.gaps),
        Figure("duplicates", streamed.total(lambda watched: watched.duplicates)),
        Figure("MeterValues", rate, "1/s"),
        Figure("deliveries", streamed.deliveries / streamed.seconds, "1/s"),
        Figure("events per batch", _per(streamed.deliveries, streamed.batches)),
        # With all else that the gateway does for an event: receiving, deciding, committing it.
        Figure("CPU per delivery", _per(1e6 * streamed.server_cpu_seconds, streamed.deliveries), "µs"),
    ]
    if streamed is not fewest:
        figures += [
            Figure("CPU per further delivery", _further(fewest, streamed, lambda each: each.deliveries), "µs"),
            Figure("CPU per further batch", _further(fewest, streamed, lambda each: each.batches), "µs"),
        ]
        wrong += [f"{fewest.watchers} to compare with: {reason}" for reason in _amiss(plan, fewest)]
    return Result(
        scenario=NAME,
        case=_counted(streamed.watchers, "watcher"),
        plan={**asdict(plan), "watchers": streamed.watchers},
        figures=figures,
        histograms={"lag": streamed.lag, "MeterValues": histogram.merged(load.latency for load in streamed.loads)},
        driver_cores=streamed.driver_cores,
        server_cores=streamed.server_cores,
        invalid_because=wrong,
    )


def _amiss(plan: Plan, streamed: Streamed) -> list[str]:
    counted = (
        (streamed.gaps, "deliveries are missing"),
        (streamed.total(lambda watched: watched.duplicates), "events were delivered twice"),
        (streamed.total(lambda watched: watched.out_of_order), "watchers had another order than the first"),
    )
    wrong = [f"{count} {what}" for count, what in counted if count]
    wrong += _failures(streamed)
    if not streamed.deliveries:
        wrong.append("nothing was delivered")
    if streamed.server_cores >= SATURATED:
        used = f"{streamed.server_cores:.2f} cores"
        wrong.append(f"the gateway was saturated ({used}): its CPU says nothing of a delivery")
    return wrong + list(itertools.chain.from_iterable(amiss(load, plan.rate) for load in streamed.loads))


def _failures(streamed: Streamed) -> list[str]:
    watched = [turn.watched for turn in streamed.turns]
    return [f"{count} streams failed: {why}" for each in watched for why, count in each.failures.items()]


def _bare_result(plan: Plan, bare: Sequence[Streamed]) -> Result:
    """One result of them all: "CPU per message" is that of one message more."""
    most = bare[-1]
    message = _further(bare[0], most, lambda each: each.batches)
    wrong = [f"{_counted(each.watchers, 'stream')}: {failure}" for each in bare for failure in _failures(each)]
    if message <= 0:
        wrong.append("the bare server was too much disturbed to tell what a message costs")
    figures = [
        Figure("CPU per message", message, "µs"),
        Figure("bytes per message", most.bytes // max(1, most.batches)),
    ]
    for each in bare:
        streams = _counted(each.watchers, "stream")
        figures.append(Figure(f"messages, {streams}", each.batches / each.seconds, "1/s"))
        figures.append(Figure(f"CPU per message, {streams}", _per(1e6 * each.server_cpu_seconds, each.batches), "µs"))
    return Result(
        scenario=NAME,
        case="bare stream",
        plan={**asdict(plan), "streams": [each.watchers for each in bare]},
        figures=figures,
        histograms={"lag": most.lag},
        driver_cores=most.driver_cores,
        server_cores=most.server_cores,
        invalid_because=wrong,
    )


def _further(few: Streamed, more: Streamed, count: Callable[[Streamed], int]) -> float:
    """Microseconds of the server's CPU for each of those that there are more of."""
    cpu = more.server_cores - few.server_cores
    return _per(1e6 * cpu, count(more) / more.seconds - count(few) / few.seconds)


def _per(total: float, count: float) -> float:
    return total / count if count > 0 else 0.0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
