"""Costs of a message at the rates of real fleets, of a connect and of idling, beside the bare transport.

A closed loop measures the gateway at its best, with a queue that is always full. 18,000 chargers send 300 to 400
messages a second, which come one by one; at night they send nothing. Here as many chargers as asked for connect at a
steady rate and begin a transaction each; they idle, send MeterValues at a low rate, at that of such a fleet, then at
a high one. The CPU at the low rate is net of the idle load: what is left is the messages'. All of it is done by the
gateway and by the bare transport, in turns. With ``--sessions 18000`` it is the fleet itself.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen
from hdrh.histogram import HdrHistogram
from rich.console import Console

from bench import histogram, processes
from bench.fleet import SETTLE_SECONDS, Fleet, fleet
from bench.fleet_results import Load
from bench.processes import Credentials, Gateway, Server
from bench.results import Figure, Result
from bench.servers import process

NAME = "rates"
HELP = "CPU of a message at 33, 375 and 1,000/s, of a connect in a storm and of idling, beside a bare one; 9 minutes"

SHORT: Mapping[str, Any] = {
    "sessions": 2000,
    "seconds": 6.0,
    "fleet_seconds": 6.0,
    "low_seconds": 9.0,
    "idle_seconds": 6.0,
    "rounds": 1,
}

BARE, OURS = "bare", "gateway"
"""The two cases."""

HIGH, LOW, CONNECT, IDLE = "CPU per message, high", "CPU per message, low", "CPU per connect", "idle CPU"
MIDDLE = "CPU per message, fleet"
ANSWER = "answer at the high rate"
"""Names of figures and of the histogram."""

WARM_UP_SECONDS = 2.0
"""Of each rate; the gateway takes a second to know that messages come close together."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=2000, help="chargers (%(default)s)")
    parser.add_argument("--connects", type=float, default=300.0, help="connects a second (%(default)s)")
    parser.add_argument("--rate", type=float, default=1000.0, help="the high rate of messages (%(default)s)")
    parser.add_argument("--low-rate", type=float, default=33.0, help="the low one (%(default)s)")
    parser.add_argument("--fleet-rate", type=float, default=375.0, help="that of 18,000 chargers (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the high rate (%(default)s)")
    parser.add_argument("--fleet-seconds", type=float, default=20.0, help="of the fleet's rate (%(default)s)")
    parser.add_argument("--low-seconds", type=float, default=30.0, help="of the low rate (%(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="of idling (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the medians count (%(default)s)")


@frozen
class Round:
    """Costs of one server in one round: CPU in microseconds; ``idle`` in milliseconds a second."""

    connect: float
    idle: float
    low: float
    middle: float
    high: float
    answers: HdrHistogram
    loads: tuple[Load, ...]
    wrong: tuple[str, ...]


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Both servers in each round, in an order that turns around."""
    rounds: dict[str, list[Round]] = {BARE: [], OURS: []}
    for number in range(options.rounds):
        for case in (BARE, OURS) if number % 2 == 0 else (OURS, BARE):
            console.print(f"{case}, round {number + 1} of {options.rounds}")
            with _served(case, options.sessions) as (server, credentials), fleet(server, credentials) as chargers:
                rounds[case].append(_round(server, chargers, options))
    return [_result(case, each, options) for case, each in rounds.items()]


@contextmanager
def _served(case: str, sessions: int) -> Iterator[tuple[Server, list[Credentials]]]:
    with tempfile.TemporaryDirectory(prefix="bench-rates-") as folder:
        if case == OURS:
            with processes.gateway(Path(folder)) as gateway:
                yield gateway, gateway.provision(sessions)
        else:
            with process.running(case, Path(folder)) as server:
                yield server, process.credentials(sessions)


def _round(server: Server, chargers: Fleet, options: argparse.Namespace) -> Round:
    connected = chargers.connect(rate=options.connects, status=False)
    started = chargers.send("StartTransaction")
    time.sleep(SETTLE_SECONDS if isinstance(server, Gateway) else WARM_UP_SECONDS)
    began, before = time.perf_counter(), processes.busy_seconds(server.pid)
    time.sleep(options.idle_seconds)
    idle = (processes.busy_seconds(server.pid) - before) / (time.perf_counter() - began)
    low = _sent(chargers, options.low_rate, options.low_seconds)
    middle = _sent(chargers, options.fleet_rate, options.fleet_seconds)
    high = _sent(chargers, options.rate, options.seconds)
    wrong = [f"{count} times: {reason}" for part in (connected, started) for reason, count in part.failures.items()]
    wrong += [f"{count} times: {reason}" for load in (low, middle, high) for reason, count in load.errors.items()]
    if not (connected.connected and low.messages and middle.messages and high.messages):
        wrong.append("nothing was answered")
    return Round(
        1e6 * connected.server_cpu_seconds / max(1, connected.connected),
        1e3 * idle,
        1e6 * max(0.0, low.server_cpu_seconds - idle * low.seconds) / max(1, low.messages),
        middle.server_us_per_message,
        high.server_us_per_message,
        high.latency,
        (low, middle, high),
        tuple(wrong),
    )


def _sent(chargers: Fleet, rate: float, seconds: float) -> Load:
    chargers.start_open_loop(rate=rate)
    time.sleep(WARM_UP_SECONDS)
    chargers.mark()
    time.sleep(seconds)
    return chargers.stop_open_loop()


def _result(case: str, rounds: Sequence[Round], options: argparse.Namespace) -> Result:
    def median(value: Callable[[Round], float]) -> float:
        return statistics.median(value(each) for each in rounds)

    return Result(
        scenario=NAME,
        case=case,
        plan={name: value for name, value in vars(options).items() if isinstance(value, int | float)},
        figures=[
            Figure(HIGH, median(lambda each: each.high), "µs"),
            Figure(MIDDLE, median(lambda each: each.middle), "µs"),
            Figure(LOW, median(lambda each: each.low), "µs"),
            Figure(CONNECT, median(lambda each: each.connect), "µs"),
            Figure(IDLE, median(lambda each: each.idle), "ms/s"),
        ],
        histograms={ANSWER: histogram.merged(each.answers for each in rounds)},
        driver_cores=max(load.driver_cores for each in rounds for load in each.loads),
        server_cores=statistics.median(each.loads[-1].server_cores for each in rounds),
        invalid_because=list(dict.fromkeys(reason for each in rounds for reason in each.wrong)),
        notes=["the low rate's CPU is net of the idle load"],
    )
