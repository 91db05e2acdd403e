"""A/B: the gateway's own transport against trio-websocket, in one run, round by round.

First with the least behind each (a message is validated and answered): what the transports cost. Then the whole
gateway, durable, its transport exchanged: what that is worth to its users. Beside them the bare transport, which is the
yardstick of many a figure, and a bare TLS handshake. The rounds alternate between the servers, so that whatever else
the machine does falls on all of them; the medians count.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import processes, yardsticks
from bench.processes import Credentials, Server
from bench.results import Figure, Result
from bench.servers import measuring, process
from bench.servers.measuring import Plan

NAME = "transport"
HELP = "the gateway's transport against trio-websocket and a bare one, alternating; 6 minutes"

SHORT: Mapping[str, Any] = {"sessions": 1000, "seconds": 3.0, "warm_up": 1.0, "servers": ["bare"]}

HANDSHAKE = "handshake"

BARE = {"bare": "bare", "own transport": "lean_gateway", "trio-websocket": "trio_websocket"}
"""Servers of `bench.servers` that validate and answer, by the case they are."""

GATEWAYS = {
    "gateway": ("-m", "gateway"),
    "gateway on trio-websocket": ("-m", "bench.servers.gateway_trio_websocket"),
}
"""How the whole gateway is launched, by the case that it is."""

CASES = (*BARE, *GATEWAYS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=2000, help="chargers (%(default)s)")
    parser.add_argument("--active", type=int, default=200, help="of them in the closed loop (%(default)s)")
    parser.add_argument("--rate", type=float, default=0.0, help="MeterValues/s of the others, 0 for none (%(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the medians count (%(default)s)")
    parser.add_argument("--servers", nargs="+", choices=CASES, default=list(CASES), help="which (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """All servers in each round, in an order that turns around from round to round."""
    plan = Plan(options.sessions, options.active, options.seconds, options.warm_up, options.rate, options.rounds)
    results = [_handshake(console)]
    runs: dict[str, list[measuring.Measured]] = {case: [] for case in CASES if case in options.servers}
    for number in range(plan.rounds):
        for case in list(runs) if number % 2 == 0 else reversed(list(runs)):
            console.print(f"{case}, round {number + 1} of {plan.rounds}")
            with _served(case, plan.sessions) as (server, credentials):
                runs[case].append(measuring.measure(server, credentials, plan))
    results += [measuring.result(NAME, case, plan, measured) for case, measured in runs.items()]
    return results


def _handshake(console: Console) -> Result:
    console.print("bare TLS handshakes")
    with tempfile.TemporaryDirectory(prefix="bench-handshake-") as folder:
        certificates = processes.certificates(Path(folder)).parent
        spent = yardsticks.handshake_milliseconds(certificates)
    return Result(scenario=NAME, case=HANDSHAKE, figures=[Figure("CPU per handshake", spent, "ms")])


@contextmanager
def _served(case: str, sessions: int) -> Iterator[tuple[Server, list[Credentials]]]:
    with tempfile.TemporaryDirectory(prefix="bench-transport-") as temporary:
        folder = Path(temporary)
        if case in GATEWAYS:
            with processes.gateway(folder, launcher=GATEWAYS[case]) as gateway:
                yield gateway, gateway.provision(sessions)
        else:
            with process.running(BARE[case], folder) as server:
                yield server, process.credentials(sessions)
