"""As many chargers as a process may have files open for (18,000 at the usual hard limit of 20,000), held.

They connect, boot and begin a transaction each; then each sends MeterValues every 60 s and Heartbeat every 300 s,
spread evenly, and latency counts from the moment a message was due until its confirmation was read. Memory per session
is what the process has grown by since it was idle, once all have booted and were configured. The longest pause is the
longest wait of any charger: at some hundred messages a second one is due in any pause that matters.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench import histogram, processes
from bench.fleet import SETTLE_SECONDS, Fleet, fleet
from bench.fleet_results import Connected, Load
from bench.results import Figure, Result

NAME = "hold"
HELP = "18,000 sessions in one process: answer latency, memory per session, longest pause; six minutes"

SHORT: Mapping[str, Any] = {"sessions": 2500, "seconds": 10.0, "meter_values_every": 8.0, "heartbeat_every": 40.0}
"""About as many messages a second as 18,000 chargers send: a pause is found only if a message is due in it."""

WARM_UP_SECONDS = 3.0

COMMITS = "gateway_commit_seconds_count"
PAUSES = "gateway_collector_pause_seconds_count"

TELLING = "gateway_collector_"
"""How those metrics of the gateway's begin that say something about pauses."""

SHOWN = 12
"""Pauses that are reported one by one: the longest ones."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=18_000, help="chargers (%(default)s)")
    parser.add_argument("--rate", type=float, default=400.0, help="connects a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=180.0, help="to hold them (%(default)s)")
    parser.add_argument(
        "--meter-values-every", type=float, default=60.0, metavar="S", help="seconds, each charger (%(default)s)"
    )
    parser.add_argument(
        "--heartbeat-every", type=float, default=300.0, metavar="S", help="seconds, each charger (%(default)s)"
    )


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """One result."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-hold-") as folder,
        processes.gateway(Path(folder)) as gateway,
    ):
        console.print(f"{options.sessions} chargers are made known")
        credentials = gateway.provision(options.sessions)
        processes.restart(gateway)  # idle is a gateway that has not done anything yet
        time.sleep(1)
        idle = gateway.usage().rss_bytes
        with fleet(gateway, credentials) as chargers:
            connected = connect(chargers, options.rate, console)
            time.sleep(SETTLE_SECONDS)
            booted = gateway.usage().rss_bytes
            started = chargers.send("StartTransaction", rate=options.rate * 2)
            before = telling(gateway)
            load = _hold(chargers, options, console)
            held = gateway.usage().rss_bytes
            checked = chargers.check()
            after = telling(gateway)
            alive = connected.connected
            wrong = amiss(connected, started, load)
            if checked.alive != options.sessions:
                wrong.append(
                    f"{options.sessions - checked.alive} of {options.sessions} sessions were not there in the end"
                )
    return [
        Result(
            scenario=NAME,
            case=NAME,
            plan={name: getattr(options, name) for name in PLAN},
            figures=[
                Figure("sessions", alive),
                Figure("memory per session", (booted - idle) / 1024 / max(1, alive), "KiB"),
                Figure("memory per session, charging, in the end", (held - idle) / 1024 / max(1, alive), "KiB"),
                Figure("memory, idle", idle / 2**20, "MiB"),
                Figure("memory, in the end", held / 2**20, "MiB"),
                Figure("longest pause", histogram.milliseconds(load.latency, 100), "ms"),
                Figure("driver's longest turn", 1000 * load.longest_turn, "ms"),
                Figure("messages", load.rate, "1/s"),
                Figure("CPU per message", load.server_us_per_message, "µs"),
                Figure("driver's CPU per message", load.driver_us_per_message, "µs"),
                Figure("driver's memory per session", checked.driver_rss_bytes / 1024 / max(1, alive), "KiB"),
            ],
            histograms={"answer": load.latency, "accept to Boot answered": connected.latency},
            driver_cores=load.driver_cores,
            server_cores=load.server_cores,
            invalid_because=wrong,
            notes=[*pauses(load), *_collector(before, after)],
        )
    ]


PLAN = ("sessions", "rate", "seconds", "meter_values_every", "heartbeat_every")


def connect(chargers: Fleet, rate: float, console: Console, *, boot: bool = True, status: bool = True) -> Connected:
    """All of them, at this rate, with a bar of progress."""
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task("connecting", total=len(chargers))
        chargers.progress = lambda done: bars.update(bar, completed=done)
        try:
            return chargers.connect(rate=rate, boot=boot, status=status)
        finally:
            chargers.progress = None


def amiss(*parts: Connected | Load) -> list[str]:
    """Return the faults of these; empty if there are none."""
    wrong = []
    for part in parts:
        failures = part.failures if isinstance(part, Connected) else part.errors
        wrong += [f"{count} times: {reason}" for reason, count in failures.items()]
        if isinstance(part, Load) and not part.messages:
            wrong.append("no message was confirmed")
    return wrong


def telling(gateway: processes.Gateway) -> dict[str, float]:
    """Return the gateway's own figures of its collector; empty if there are none."""
    return {
        name.removeprefix(TELLING): value
        for name, value in gateway.metrics().items()
        if name.startswith(TELLING) and "_bucket" not in name and "_created" not in name
    }


def pauses(load: Load) -> list[str]:
    """Describe the pauses with their times, so that their causes can be looked for."""
    longest = sorted(sorted(load.pauses, key=lambda pause: -pause[1])[:SHOWN])
    listed = ", ".join(f"{1000 * length:.0f} ms at {at:.1f} s" for at, length in longest)
    return [f"{len(load.pauses)} times something due was unanswered for 20 ms or more: {listed}"] if listed else []


def slow_parts(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """Describe how many commits and pauses of the collector took longer than some bounds, as the gateway's own metrics
    have it: a slow disk is not the gateway's doing. Raises KeyError without these metrics."""

    def listed(counted: str, *bounds: str) -> str:
        return ", ".join(
            f"{_longer(after, counted, s) - _longer(before, counted, s)} of more than {s} s" for s in bounds
        )

    commits, pauses_ = listed(COMMITS, "0.025", "0.05", "0.1"), listed(PAUSES, "0.025", "0.05")
    return f"commits: {commits}; pauses of the collector: {pauses_}"


def _longer(metrics: Mapping[str, float], counted: str, bound: str) -> int:
    """Return the number of a histogram's observations, with any labels, beyond the bucket of ``bound``.

    ``counted``: the metric that counts all of them."""
    bucket = counted.removesuffix("_count") + "_bucket{"
    buckets = [value for name, value in metrics.items() if name.startswith(bucket) and f'le="{bound}"' in name]
    if not buckets:
        raise KeyError(f"the gateway has no {counted} with a bucket of {bound}")
    return round(sum(value for name, value in metrics.items() if name.partition("{")[0] == counted) - sum(buckets))


def _collector(before: dict[str, float], after: dict[str, float]) -> list[str]:
    listed = ", ".join(f"{name} {value:.4g} (+ {value - before.get(name, 0):.4g})" for name, value in after.items())
    return [f"the gateway's collector, and meanwhile: {listed}"] if listed else []


def _hold(chargers: Fleet, options: argparse.Namespace, console: Console) -> Load:
    chargers.start_open_loop(meter_values_every=options.meter_values_every, heartbeat_every=options.heartbeat_every)
    time.sleep(WARM_UP_SECONDS)
    chargers.mark()
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task("holding", total=options.seconds)
        until = time.monotonic() + options.seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            bars.update(bar, completed=options.seconds - max(0.0, left))
    return chargers.stop_open_loop()
