"""Watching: everybody sees everything, and how long after, and what one more watcher costs the gateway.

Chargers send MeterValues in an open loop; 1, 10, 50 watchers, each on a connection of its own, watch all events. The
lag of an event is the time from its receipt by the gateway until the watcher has it, by the one clock of this machine.
Every event must reach every watcher once, and all in one order: compared among the watchers by the events' ids, and
with the number of messages that the gateway confirmed to the chargers.

What a further delivery costs is the difference between two numbers of watchers, so that what is done once for an event
is not in it. The yardstick is what one more message costs a bare grpc.aio server that streams messages of the same size
at the same rate to as many streams.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import asdict, frozen
from rich.console import Console

from bench import processes
from bench.fleet import Fleet, Load, fleet
from bench.grpc_driver import GrpcDriver, Watched, Window
from bench.results import Figure, Result
from bench.scenarios.commands import amiss
from bench.servers.echo import echo

NAME = "watch"
HELP = "1, 10, 50 watchers of everything at 2,000 events/s: lag, gaps, CPU per delivery; about a minute"

SHORT = {"sessions": 100, "seconds": 2.5, "warm_up": 0.5, "watchers": [1, 10]}

SATURATED = 0.98
"""Cores of the gateway's at which another delivery takes the place of other work instead of adding to it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=200, help="chargers (%(default)s)")
    parser.add_argument("--watchers", type=int, nargs="+", default=[1, 10, 50], help="watchers at once (%(default)s)")
    parser.add_argument("--rate", type=float, default=2000.0, help="events/s, MeterValues (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before each (%(default)s)")


@frozen
class Plan:
    """What the cases of one run have in common."""

    sessions: int
    watchers: Sequence[int]
    rate: float
    seconds: float
    warm_up: float


@frozen
class Streamed:
    """Watchers of one server: how many, what they had, and what it took."""

    watchers: int
    window: Window
    watched: Watched
    load: Load | None = None

    @property
    def driver_cores(self) -> float:
        return self.window.driver_cores + (self.load.driver_cores if self.load is not None else 0.0)


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Each number of watchers, and what the differences come to."""
    plan = Plan(options.sessions, sorted(set(options.watchers)), options.rate, options.seconds, options.warm_up)
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as folder, GrpcDriver() as driver:
        with processes.gateway(Path(folder)) as gateway:
            credentials = gateway.provision(plan.sessions)
            with fleet(gateway, credentials) as chargers:
                console.print(f"{plan.sessions} chargers connect")
                connected = chargers.connect(transaction=True)
                if connected.connected < plan.sessions:
                    failures = connected.failures
                    raise RuntimeError(f"{connected.connected} of {plan.sessions} chargers connected: {failures}")
                delivered = []
                for watchers in plan.watchers:
                    console.print(f"{watchers} watcher{'s' if watchers > 1 else ''}")
                    delivered.append(_watch(plan, gateway, chargers, driver, watchers))
        console.print("a bare gRPC server")
        bare = [_bare(plan, driver, each) for each in delivered[:2]]
    return [*(_delivery(plan, each, delivered[0]) for each in delivered), _bare_result(plan, bare)]


def _watch(plan: Plan, gateway: processes.Gateway, chargers: Fleet, driver: GrpcDriver, watchers: int) -> Streamed:
    driver.watch(gateway.control_address, watchers)
    chargers.start_open_loop(rate=plan.rate)
    time.sleep(plan.warm_up)
    window = driver.measure(plan.seconds, gateway.pid)
    load = chargers.stop_open_loop()
    return Streamed(watchers, window, driver.watched(), load)


def _bare(plan: Plan, driver: GrpcDriver, like: Streamed) -> Streamed:
    """As many streams, with messages as large and as frequent as the gateway's batches were."""
    batches = max(1, like.watched.batches)
    rate = batches / like.watchers / like.window.seconds
    with echo(rate, like.watched.bytes // batches) as server:
        driver.watch(server.address, like.watchers, settle=False)
        time.sleep(plan.warm_up)
        window = driver.measure(plan.seconds, server.pid)
        return Streamed(like.watchers, window, driver.watched())


def _delivery(plan: Plan, streamed: Streamed, fewest: Streamed) -> Result:
    watched, window, load = streamed.watched, streamed.window, streamed.load
    assert load is not None
    wrong = _amiss(plan, streamed)
    figures = [
        Figure("gaps", _gaps(streamed)),
        Figure("duplicates", watched.duplicates),
        Figure("deliveries", watched.deliveries / window.seconds, "1/s"),
        Figure("events per batch", _per(watched.deliveries, watched.batches)),
        # With all else that the gateway does for an event: receiving, deciding, committing it.
        Figure("CPU per delivery", _per(1e6 * window.server_cpu_seconds, watched.deliveries), "µs"),
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
        histograms={"lag": watched.lag, "MeterValues": load.latency},
        driver_cores=streamed.driver_cores,
        server_cores=window.server_cores,
        invalid_because=wrong,
    )


def _gaps(streamed: Streamed) -> int:
    """Deliveries that are missing. What a charger was confirmed is on disk, so it is an event."""
    unseen = max(0, streamed.load.messages - streamed.watched.meter_values) if streamed.load is not None else 0
    return streamed.watched.missing + unseen * streamed.watchers


def _amiss(plan: Plan, streamed: Streamed) -> list[str]:
    watched, load = streamed.watched, streamed.load
    assert load is not None
    counted = (
        (_gaps(streamed), "deliveries are missing"),
        (watched.duplicates, "events were delivered twice"),
        (watched.out_of_order, "watchers had another order than the first"),
    )
    wrong = [f"a watch failed: {failure} ({count})" for failure, count in watched.failures.items()]
    wrong += [f"{count} {what}" for count, what in counted if count]
    if not watched.deliveries:
        wrong.append("nothing was delivered")
    if streamed.window.server_cores >= SATURATED:
        wrong.append(
            f"the gateway was saturated ({streamed.window.server_cores:.2f} cores): its CPU says nothing of a delivery"
        )
    return wrong + amiss(load, plan.rate)


def _bare_result(plan: Plan, bare: Sequence[Streamed]) -> Result:
    """One result of them all: "CPU per message" is that of one message more, where there is more than one number."""
    most = bare[-1]
    figures = []
    wrong = []
    for each in bare:
        streams = _counted(each.watchers, "stream")
        wrong += [f"{streams}: {failure} ({count})" for failure, count in each.watched.failures.items()]
        message = _per(1e6 * each.window.server_cpu_seconds, each.watched.batches)
        figures.append(Figure(f"messages, {streams}", each.watched.batches / each.window.seconds, "1/s"))
        figures.append(Figure(f"CPU per message, {streams}", message, "µs"))
    if most is not bare[0]:
        message = _further(bare[0], most, lambda each: each.batches)
    if message <= 0:
        wrong.append("the bare server was too much disturbed to tell what a message costs")
    return Result(
        scenario=NAME,
        case="bare stream",
        plan={**asdict(plan), "streams": [each.watchers for each in bare]},
        figures=[
            Figure("CPU per message", message, "µs"),
            Figure("bytes per message", most.watched.bytes // max(1, most.watched.batches)),
            *figures,
        ],
        histograms={"lag": most.watched.lag},
        driver_cores=most.driver_cores,
        server_cores=most.window.server_cores,
        invalid_because=wrong,
    )


def _further(few: Streamed, more: Streamed, count: Callable[[Watched], int]) -> float:
    """Microseconds of the server's CPU for each of those that there are more of."""
    cpu = more.window.server_cores - few.window.server_cores
    return _per(1e6 * cpu, count(more.watched) / more.window.seconds - count(few.watched) / few.window.seconds)


def _per(total: float, count: float) -> float:
    return total / count if count > 0 else 0.0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
