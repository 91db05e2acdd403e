"""Commands: RPC → charger → RPC with its outcome committed, beside a bare RPC of the same size.

Closed loop with 1 and with 32 callers, each of which asks chargers that no other one asks: against a bare grpc.aio
server (``echo``), with chargers that are otherwise silent (``idle``), and while they send MeterValues in an open loop
(``loaded``). The command is TriggerMessage: it has the whole life of a command (queued, sent, answered: three commits)
and nothing that follows from it. Latencies are corrected for coordinated omission by the callers' mean interval.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, frozen
from rich.console import Console

from bench import histogram, processes
from bench.fleet import SETTLE_SECONDS, fleet
from bench.fleet_results import Load
from bench.grpc_driver import Called, GrpcDriver, Window
from bench.results import Figure, Result
from bench.servers.echo import echo

NAME = "commands"
HELP = "RPC, charger, RPC by 1 and 32 callers, idle and under load, beside a bare gRPC echo; about 80 seconds"

SHORT: Mapping[str, Any] = {"sessions": 200, "seconds": 3.0, "warm_up": 0.5}

CASES = ("echo", "idle", "loaded")

TOLERANCE = 0.05
"""Share by which the load may miss what was asked of it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=500, help="chargers (%(default)s)")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 32], help="callers at once (%(default)s)")
    parser.add_argument("--load", type=float, default=3000.0, help="MeterValues/s under load (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before each (%(default)s)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="what to measure (%(default)s)")


@frozen
class Plan:
    """Properties that the cases of one run share."""

    sessions: int
    callers: Sequence[int]
    load: float
    seconds: float
    warm_up: float
    cases: Sequence[str]


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """All cases, each with every number of callers."""
    plan = Plan(options.sessions, options.callers, options.load, options.seconds, options.warm_up, tuple(options.cases))
    if max(plan.callers) > plan.sessions:
        raise SystemExit(f"{max(plan.callers)} callers need as many chargers: --sessions is {plan.sessions}")
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="bench-commands-") as folder, GrpcDriver() as driver:
        if "echo" in plan.cases:
            console.print("a bare gRPC server")
            with echo() as bare:
                targets = [f"CP{number:05}" for number in range(plan.sessions)]
                for callers in plan.callers:
                    window, called = _call(driver, plan, bare.address, bare.pid, targets, callers)
                    results.append(_result(plan, "echo", callers, window, called))
        if set(plan.cases) & {"idle", "loaded"}:
            with processes.gateway(Path(folder)) as gateway:
                results += _commands(plan, gateway, driver, console)
    return results


def _commands(plan: Plan, gateway: processes.Gateway, driver: GrpcDriver, console: Console) -> list[Result]:
    results = []
    credentials = gateway.provision(plan.sessions)
    targets = [each.identity for each in credentials]
    with fleet(gateway, credentials) as chargers:
        console.print(f"{plan.sessions} chargers connect, and take a first command")
        connected = chargers.connect(transaction=True)
        if connected.connected < plan.sessions:
            raise RuntimeError(f"{connected.connected} of {plan.sessions} chargers connected: {connected.failures}")
        time.sleep(SETTLE_SECONDS)
        driver.prime(gateway.control_address, targets)
        for case in ("idle", "loaded"):
            for callers in plan.callers if case in plan.cases else ():
                console.print(f"{case}, {callers} caller{'s' if callers > 1 else ''}")
                if case == "loaded":
                    chargers.start_open_loop(rate=plan.load)
                window, called = _call(driver, plan, gateway.control_address, gateway.pid, targets, callers)
                load = chargers.stop_open_loop() if case == "loaded" else None
                results.append(_result(plan, case, callers, window, called, load))
    return results


def _call(
    driver: GrpcDriver, plan: Plan, address: str, pid: int, targets: Sequence[str], callers: int
) -> tuple[Window, Called]:
    driver.call(address, targets, callers)
    time.sleep(plan.warm_up)
    window = driver.measure(plan.seconds, pid)
    return window, driver.called()


def _result(plan: Plan, case: str, callers: int, window: Window, called: Called, load: Load | None = None) -> Result:
    """The check looks for the case by its name, and for "rate" and the percentiles of "command" and "echo"."""
    who = f"{callers} caller{'s' if callers > 1 else ''}"
    figures = [
        Figure("p99 as seen", histogram.milliseconds(called.as_seen, 99), "ms"),
        Figure("rate", called.calls_per_second, "1/s"),
        # Under load this has the load's share in it.
        Figure("server CPU per call", 1e6 * window.server_cpu_seconds / called.calls if called.calls else 0.0, "µs"),
    ]
    histograms = {"echo" if case == "echo" else "command": called.latency}
    wrong = [f"{count} calls failed: {failure}" for failure, count in called.failures.items()]
    if not called.calls:
        wrong.append("no call was answered")
    if load is not None:
        figures.append(Figure("MeterValues", load.rate, "1/s"))
        histograms["MeterValues"] = load.latency
        wrong += amiss(load, plan.load)
    return Result(
        scenario=NAME,
        case=f"echo, {who}" if case == "echo" else f"{who}, {case}",
        plan={**asdict(plan), "callers": callers},
        figures=figures,
        histograms=histograms,
        driver_cores=window.driver_cores + (load.driver_cores if load is not None else 0.0),
        server_cores=window.server_cores,
        invalid_because=wrong,
    )


def amiss(load: Load, asked: float) -> list[str]:
    """Return the faults of an open-loop load of ``asked`` messages a second; empty if nothing was."""
    found = [f"{count} messages of the load failed: {error}" for error, count in load.errors.items()]
    if abs(load.rate - asked) > TOLERANCE * asked:
        found.append(f"the load was {load.rate:.0f} messages/s instead of {asked:.0f}")
    return found
