"""Alternatives that a gateway's users could pick: the same chargers, the same messages, the same core, in one run.

mobilityhouse's ``ocpp`` on ``websockets``, ``ocpp-rpc`` on Node in strict mode, and ``ocpp-go``, each as its
documentation shows, with TLS, the same certificates, Basic authentication and validation; beside the gateway, which
also decides and stores (they do neither), and beside the bare transport. And SteVe on MariaDB, which decides and stores
too, where an operator has built one and names it. For each of them most of the sessions send in an open loop, at the
low rate of a quiet fleet and at one that saturates hardly any, and some in a closed loop.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve
from rich.console import Console

from bench import processes
from bench.processes import Credentials, Server
from bench.results import Result
from bench.servers import measuring, process, steve
from bench.servers.measuring import Plan

NAME = "peers"
HELP = "the gateway beside mobilityhouse's ocpp, ocpp-rpc on Node, ocpp-go and SteVe, the same work for each; 8 minutes"

SHORT: Mapping[str, Any] = {
    "sessions": 600,
    "active": 100,
    "seconds": 3.0,
    "warm_up": 1.0,
    "servers": ["mobilityhouse", "ocpp-rpc"],
    "low_rate": 0.0,
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
    steve.NAME: "SteVe on MariaDB, all durable: decided, stored, each commit flushed, then confirmed; TLS by a key "
    "store, keys of chargers not looked at (SteVe 3.7 knows none); both processes on the server's core",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=2000, help="chargers (%(default)s)")
    parser.add_argument("--active", type=int, default=200, help="of them in the closed loop (%(default)s)")
    parser.add_argument("--rate", type=float, default=1000.0, help="MeterValues/s of the others (%(default)s)")
    parser.add_argument("--low-rate", type=float, default=33.0, help="the low rate of theirs; 0: none (%(default)s)")
    parser.add_argument(
        "--low-seconds", type=float, default=15.0, help="of the low rate, and of silence before it (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="rounds, of which the medians count (%(default)s)")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS), help="which (%(default)s)")
    parser.add_argument(
        "--steve",
        type=_steve,
        metavar="FOLDER",
        help=f"the folder in which SteVe was built (what {steve.VARIABLE} names; without one it is left out)",
    )


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Each server by itself, one after the other, round by round."""
    plan = Plan(
        options.sessions,
        options.active,
        options.seconds,
        options.warm_up,
        options.rate,
        options.rounds,
        options.low_rate,
        options.low_seconds,
    )
    built = options.steve or steve.named()
    missing = {name: why for name in options.servers if (why := _why_missing(name, built)) is not None}
    for name, why in missing.items():
        console.print(f"{name} is {LEFT_OUT}{why}", soft_wrap=True)
    runs: dict[str, list[measuring.Measured]] = {name: [] for name in options.servers if name not in missing}
    for number in range(plan.rounds):
        for name in runs:
            console.print(f"{name}, round {number + 1} of {plan.rounds}")
            with _served(name, plan.sessions, built) as (server, credentials):
                runs[name].append(measuring.measure(server, credentials, _plan_of(name, plan)))
    results = [
        measuring.result(NAME, name, _plan_of(name, plan), measured, [SERVERS[name]]) for name, measured in runs.items()
    ]
    left_out = [Result(scenario=NAME, case=name, notes=[f"{LEFT_OUT}{why}"]) for name, why in missing.items()]
    return results + left_out


def _steve(text: str) -> Path:
    """The folder that ``--steve`` names. A wrong one is an error of the option's, before anything is measured."""
    folder = Path(text)
    if fault := steve.fault(folder):
        raise argparse.ArgumentTypeError(fault)
    return folder


def _plan_of(name: str, plan: Plan) -> Plan:
    """The plan of all, with a warm-up that this one needs."""
    return evolve(plan, warm_up=max(plan.warm_up, steve.WARM_UP_SECONDS)) if name == steve.NAME else plan


def _why_missing(name: str, built: Path | None) -> str | None:
    if name == steve.NAME:
        return steve.why_unavailable(built)
    return process.build(_module(name)) or process.why_unavailable(_module(name))


@contextmanager
def _served(name: str, sessions: int, built: Path | None) -> Iterator[tuple[Server, list[Credentials]]]:
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as temporary:
        folder = Path(temporary)
        if name == "gateway":
            with processes.gateway(folder) as gateway:
                yield gateway, gateway.provision(sessions)
        elif name == steve.NAME:
            assert built is not None, "it is left out"
            with steve.running(built, folder) as with_database:
                yield with_database, with_database.provision(sessions)
        else:
            with process.running(_module(name), folder) as server:
                yield server, process.credentials(sessions)


def _module(name: str) -> str:
    return name.replace("-", "_")
