"""Alternatives that a gateway's users could pick: the same chargers, the same messages, the same core, in one run.

mobilityhouse's ``ocpp`` on ``websockets``, ``ocpp-rpc`` on Node in strict mode, and ``ocpp-go``, each as its
documentation shows, with TLS, the same certificates, Basic authentication and validation; beside the gateway, which
also decides and stores (the others do neither), and beside the bare transport. For each of them most of the sessions
send in an open loop at a rate that saturates none, some in a closed loop.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import processes
from bench.processes import Credentials, Server
from bench.results import Result
from bench.servers import measuring, process
from bench.servers.measuring import Plan

NAME = "peers"
HELP = "the gateway beside mobilityhouse's ocpp, ocpp-rpc on Node and ocpp-go, the same work for each; 3 minutes"

SHORT: Mapping[str, Any] = {
    "sessions": 600,
    "active": 100,
    "seconds": 3.0,
    "warm_up": 1.0,
    "servers": ["mobilityhouse", "ocpp-rpc"],
}

LEFT_OUT = "left out: "
"""Begins the note of a case that could not be measured here, and has no figures."""

SERVERS = {
    "gateway": "all durable: validated, decided, stored, then confirmed",
    "bare": "the leanest transport on Trio; validated and confirmed, nothing stored",
    "trio-websocket": "trio-websocket over trio.SSLStream; validated and confirmed, nothing stored",
    "mobilityhouse": "websockets on asyncio and mobilityhouse's ocpp; validated and confirmed, nothing stored",
    "ocpp-rpc": "ocpp-rpc on Node, strict mode; validated and confirmed, nothing stored",
    "ocpp-go": "ocpp-go's central system on its TLS server; validated and confirmed, nothing stored",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=2000, help="chargers (%(default)s)")
    parser.add_argument("--active", type=int, default=200, help="of them in the closed loop (%(default)s)")
    parser.add_argument("--rate", type=float, default=1000.0, help="MeterValues/s of the others (%(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="rounds, of which the medians count (%(default)s)")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS), help="which (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Each server by itself, one after the other, round by round."""
    plan = Plan(options.sessions, options.active, options.seconds, options.warm_up, options.rate, options.rounds)
    missing = {name: why for name in options.servers if (why := _why_missing(_module(name))) is not None}
    runs: dict[str, list[measuring.Measured]] = {name: [] for name in options.servers if name not in missing}
    for number in range(plan.rounds):
        for name in runs:
            console.print(f"{name}, round {number + 1} of {plan.rounds}")
            with _served(name, plan.sessions) as (server, credentials):
                runs[name].append(measuring.measure(server, credentials, plan))
    results = [measuring.result(NAME, name, plan, measured, [SERVERS[name]]) for name, measured in runs.items()]
    left_out = [Result(scenario=NAME, case=name, notes=[f"{LEFT_OUT}{why}"]) for name, why in missing.items()]
    return results + left_out


def _why_missing(module: str) -> str | None:
    return process.build(module) or process.why_unavailable(module)


@contextmanager
def _served(name: str, sessions: int) -> Iterator[tuple[Server, list[Credentials]]]:
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as temporary:
        folder = Path(temporary)
        if name == "gateway":
            with processes.gateway(folder) as gateway:
                yield gateway, gateway.provision(sessions)
        else:
            with process.running(_module(name), folder) as server:
                yield server, process.credentials(sessions)


def _module(name: str) -> str:
    return name.replace("-", "_")
