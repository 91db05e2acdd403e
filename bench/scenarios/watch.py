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
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import asdict, frozen
from rich.console import Console

from bench import histogram, processes
from bench.fleet import Fleet, Load, fleet
from bench.grpc_driver import GrpcDriver, Watched, Window
from bench.results import Figure, Result
from bench.scenarios.commands import amiss
from bench.servers.echo import echo

NAME = "watch"
HELP = "1, 10, 50 watchers of everything at 2,000 events/s: lag, gaps, CPU per delivery"

SHORT = {"sessions": 100, "seconds": 2.5, "warm_up": 0.5, "watchers": [1, 10]}


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
        bare = _bare(plan, driver, delivered)
    results = [_delivery(plan, each) for each in delivered]
    results += [_bare_stream(plan, each) for each in bare]
    if len(plan.watchers) > 1:
        results += _further(plan, delivered, bare)
    return results


def _watch(plan: Plan, gateway: processes.Gateway, chargers: Fleet, driver: GrpcDriver, watchers: int) -> Streamed:
    driver.watch(gateway.control_address, watchers)
    chargers.start_open_loop(rate=plan.rate)
    time.sleep(plan.warm_up)
    window = driver.measure(plan.seconds, gateway.pid)
    load = chargers.stop_open_loop()
    return Streamed(watchers, window, driver.watched(), load)


def _bare(plan: Plan, driver: GrpcDriver, delivered: Iterable[Streamed]) -> list[Streamed]:
    """As many streams, with messages like those that the gateway sent to the most watchers below 50 or so."""
    found = []
    for like in delivered:
        batches = max(1, like.watched.batches)
        rate = batches / like.watchers / like.window.seconds
        with echo(rate, like.watched.bytes // batches) as server:
            driver.watch(server.address, like.watchers, settle=False)
            time.sleep(plan.warm_up)
            window = driver.measure(plan.seconds, server.pid)
            found.append(Streamed(like.watchers, window, driver.watched()))
    return found


def _delivery(plan: Plan, streamed: Streamed) -> Result:
    watched, window, load = streamed.watched, streamed.window, streamed.load
    assert load is not None
    # What a charger was confirmed is on disk, and one event.
    unseen = max(0, load.messages - watched.meter_values)
    gaps = watched.missing + unseen * streamed.watchers
    wrong = [f"a watch failed: {failure} ({count})" for failure, count in watched.failures.items()]
    wrong += amiss(load, plan.rate)
    if not watched.deliveries:
        wrong.append("nothing was delivered")
    for count, what in (
        (gaps, "deliveries are missing"),
        (watched.duplicates, "events were delivered twice"),
        (watched.out_of_order, "watchers had another order than the first"),
    ):
        if count:
            wrong.append(f"{count} {what}")
    return Result(
        scenario=NAME,
        case=f"watchers-{streamed.watchers}",
        plan={**asdict(plan), "watchers": streamed.watchers},
        figures=[
            Figure("lag p50", histogram.milliseconds(watched.lag, 50), "ms"),
            Figure("lag p99", histogram.milliseconds(watched.lag, 99), "ms"),
            Figure("lag max", histogram.milliseconds(watched.lag, 100), "ms"),
            Figure("gaps", gaps),
            Figure("duplicates", watched.duplicates),
            Figure("deliveries", watched.deliveries / window.seconds, "1/s"),
            Figure("events per batch", _per(watched.deliveries, watched.batches)),
            # With all else that the gateway does for an event: receiving, deciding, committing it.
            Figure("CPU per delivery", _per(1e6 * window.server_cpu_seconds, watched.deliveries), "µs"),
            Figure("MeterValues", load.rate, "1/s"),
        ],
        histograms={"lag": watched.lag, "MeterValues": load.latency},
        driver_cores=streamed.driver_cores,
        server_cores=window.server_cores,
        invalid_because=wrong,
    )


def _bare_stream(plan: Plan, streamed: Streamed) -> Result:
    watched, window = streamed.watched, streamed.window
    wrong = [f"a stream failed: {failure} ({count})" for failure, count in watched.failures.items()]
    return Result(
        scenario=NAME,
        case=f"bare-{streamed.watchers}",
        plan={**asdict(plan), "watchers": streamed.watchers},
        figures=[
            Figure("messages", watched.batches / window.seconds, "1/s"),
            Figure("bytes per message", watched.bytes // max(1, watched.batches)),
            Figure("CPU per message", _per(1e6 * window.server_cpu_seconds, watched.batches), "µs"),
        ],
        histograms={"lag": watched.lag},
        driver_cores=streamed.driver_cores,
        server_cores=window.server_cores,
        invalid_because=wrong if watched.batches else [*wrong, "nothing was streamed"],
    )


def _further(plan: Plan, delivered: Sequence[Streamed], bare: Sequence[Streamed]) -> list[Result]:
    """From the fewest watchers to each greater number: what one delivery more costs, beside a bare message more."""
    results = []
    for more, bare_more in zip(delivered[1:], bare[1:], strict=True):
        event = _marginal(delivered[0], more, more.watched.deliveries, delivered[0].watched.deliveries)
        batch = _marginal(delivered[0], more, more.watched.batches, delivered[0].watched.batches)
        message = _marginal(bare[0], bare_more, bare_more.watched.batches, bare[0].watched.batches)
        parts = [_delivery(plan, delivered[0]), _delivery(plan, more)]
        parts += [_bare_stream(plan, bare[0]), _bare_stream(plan, bare_more)]
        wrong = [f"{part.case}: {reason}" for part in parts for reason in part.invalid_because]
        if message <= 0:
            wrong.append("the bare server was too much disturbed to tell what a message costs")
        results.append(
            Result(
                scenario=NAME,
                case=f"further-{more.watchers}",
                plan={**asdict(plan), "watchers": more.watchers},
                figures=[
                    Figure("CPU per further delivery", event, "µs"),
                    Figure("CPU per further batch", batch, "µs"),
                    Figure("CPU per bare message", message, "µs"),
                    Figure("events per batch", _per(more.watched.deliveries, more.watched.batches)),
                    Figure("ratio", event / message if message > 0 else 0.0),
                ],
                driver_cores=more.driver_cores,
                server_cores=more.window.server_cores,
                invalid_because=wrong,
            )
        )
    return results


def _marginal(few: Streamed, more: Streamed, more_count: int, few_count: int) -> float:
    """Microseconds of the server's CPU for each of those that there are more of."""
    cpu = more.window.server_cores - few.window.server_cores
    return _per(1e6 * cpu, more_count / more.window.seconds - few_count / few.window.seconds)


def _per(total: float, count: float) -> float:
    return total / count if count > 0 else 0.0
