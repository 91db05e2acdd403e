"""All chargers come back at once, after a restart (``restart``) and over connections that still seem alive
(``takeover``); and half of them vanish at once (``outage``).

restart: the gateway is stopped as an operator stops it, with all chargers connected, and started again; then they
reconnect at a stated rate, whether or not it keeps up. What each connect costs the server: TLS handshake, upgrade,
authentication, the opening committed, Boot committed and answered. Time counts from the moment a charger was due to
connect until its Boot was answered. The order: by how many later ones one charger was overtaken.

outage: half of them are reset within a moment, as when a part of the network goes. The gateway records the end of each;
the others are not to notice: each of them sends a Heartbeat meanwhile, and must be there in the end. Then the others
go too, within a few milliseconds; the store must stay available, since chargers elsewhere would be sent away else.

takeover: each live charger connects once more while its connection is still open, as after a lost mobile link. Both
are there until the gateway has ended the older one, and it must end every one.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hdrh.histogram import HdrHistogram
from rich.console import Console

from bench import histogram, processes
from bench.fleet import SETTLE_SECONDS, Fleet, fleet
from bench.fleet_results import Connected
from bench.results import Figure, Result
from bench.scenarios.hold import amiss, connect

NAME = "storm"
HELP = "18,000 reconnect after a restart, half of them vanish, 9,000 take over from themselves; five minutes"

HEARD_SECONDS = 10.0
"""In which each of those that remain sends a Heartbeat."""

RECORDED_SECONDS = 60.0
"""For recording the ends of those that vanished."""

SHORT: Mapping[str, Any] = {"sessions": 2000, "takeovers": 1000, "rate": 300.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=18_000, help="that reconnect after a restart (%(default)s)")
    parser.add_argument("--takeovers", type=int, default=9_000, help="that take over, 0 for none (%(default)s)")
    parser.add_argument("--rate", type=float, default=400.0, help="connects a second that are offered (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Both cases, each with a gateway of its own."""
    measured = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-storm-") as folder,
        processes.gateway(Path(folder)) as gateway,
        fleet(gateway, gateway.provision(options.sessions)) as chargers,
    ):
        measured.append(_restart(gateway, chargers, options, console))
        measured.append(_outage(gateway, chargers, options, console))
    if options.takeovers:
        with (
            tempfile.TemporaryDirectory(prefix="bench-storm-") as folder,
            processes.gateway(Path(folder)) as gateway,
            fleet(gateway, gateway.provision(options.takeovers)) as chargers,
        ):
            measured.append(_takeover(gateway, chargers, options, console))
    return measured


def _restart(gateway: processes.Gateway, chargers: Fleet, options: argparse.Namespace, console: Console) -> Result:
    console.print(f"{len(chargers)} chargers connect for the first time")
    first = connect(chargers, options.rate, console)
    wrong = amiss(first)
    time.sleep(SETTLE_SECONDS)
    console.print("the gateway restarts")
    stopped = gateway.stop()
    lost = chargers.check()
    began = time.perf_counter()
    gateway.start()
    started = time.perf_counter() - began
    wrong += [f"{lost.alive} sessions outlived the gateway"] if lost.alive else []
    console.print(f"{len(chargers)} chargers reconnect, {options.rate:g} a second")
    again = connect(chargers, options.rate, console, status=False)
    wrong += amiss(again)
    ends = ", ".join(f"{count} {reason.removeprefix('lost: ')}" for reason, count in lost.errors.items())
    return Result(
        scenario=NAME,
        case="restart",
        plan={"sessions": len(chargers), "rate": options.rate},
        figures=[
            Figure("CPU per connect", 1000 * again.server_cpu_seconds / max(1, again.connected), "ms"),
            Figure("CPU per first connect, status and configuration", _ms(first), "ms"),
            Figure("connected", again.connected),
            Figure("failed", sum(again.failures.values())),
            Figure("rate", again.connected / again.seconds, "1/s"),
            Figure("overtaken by at most", again.overtaken),
            Figure("time to stop", stopped, "s"),
            Figure("time to start", started, "s"),
            Figure("driver's CPU per connect", 1000 * again.driver_cpu_seconds / max(1, again.connected), "ms"),
        ],
        histograms={"due to Boot answered": again.latency},
        driver_cores=again.driver_cores,
        server_cores=again.server_cpu_seconds / again.seconds,
        invalid_because=wrong,
        notes=[f"how sessions ended with the gateway: {ends}", *_keeping_up(again.latency)],
    )


def _outage(gateway: processes.Gateway, chargers: Fleet, options: argparse.Namespace, console: Console) -> Result:
    time.sleep(SETTLE_SECONDS)
    there = chargers.check().alive
    console.print(f"half of {there} chargers vanish")
    watch = processes.Stopwatch.of(gateway.pid)
    chargers.disconnect(abrupt=True, share=0.5)
    left = chargers.check().alive
    beating = chargers.send("Heartbeat", rate=left / HEARD_SECONDS)
    recorded, healthy = _until_sessions(gateway, left)
    watch.stop()
    checked = chargers.check()
    console.print(f"the other {checked.alive} vanish")
    chargers.vanish()
    began = time.perf_counter()
    all_recorded, still_healthy = _until_sessions(gateway, 0)
    rest = time.perf_counter() - began
    wrong = [f"{count} heartbeats failed: {reason}" for reason, count in beating.failures.items()]
    wrong += [f"{count} others: {reason}" for reason, count in checked.errors.items()]
    if not (recorded and all_recorded):
        wrong.append(f"the gateway has sessions that are gone since {RECORDED_SECONDS:.0f} s, or others than are there")
    if not (healthy and still_healthy):
        wrong.append("the store counted as unavailable while ends were recorded: nobody would have been served")
    return Result(
        scenario=NAME,
        case="outage",
        plan={"sessions": there, "rate": options.rate},
        figures=[
            Figure("vanished", there - left),
            Figure("others that were lost", left - checked.alive),
            Figure("until the gateway had let the last ones go", rest, "s"),
            Figure("CPU per end and heartbeat", 1000 * watch.cpu_seconds / max(1, there - left), "ms"),
        ],
        driver_cores=beating.driver_cores,
        server_cores=watch.cores,
        invalid_because=wrong,
    )


def _until_sessions(gateway: processes.Gateway, count: int) -> tuple[bool, bool]:
    """Wait until the gateway has so many sessions; return that, and if it took commits all the time."""
    healthy = True
    until = time.monotonic() + RECORDED_SECONDS
    while time.monotonic() < until:
        healthy = healthy and gateway.total("gateway_store_healthy") == 1
        if gateway.total("gateway_sessions") == count:
            return True, healthy
        time.sleep(0.1)
    return False, healthy


def _takeover(gateway: processes.Gateway, chargers: Fleet, options: argparse.Namespace, console: Console) -> Result:
    console.print(f"{len(chargers)} chargers connect")
    first = connect(chargers, options.rate, console)
    time.sleep(SETTLE_SECONDS)
    console.print(f"and connect once more, {options.rate:g} a second")
    before = gateway.usage().rss_bytes
    taken = chargers.take_over(rate=options.rate, status=False)
    time.sleep(1)
    checked = chargers.check()
    wrong = amiss(first, taken)
    if left := taken.ends.get("still open", 0):
        wrong.append(f"{left} replaced connections were never ended")
    if checked.alive != len(chargers):
        wrong.append(f"{len(chargers) - checked.alive} of {len(chargers)} sessions were not there in the end")
    wrong += [f"{count} times: {reason}" for reason, count in checked.errors.items()]
    ends = ", ".join(f"{count} {reason}" for reason, count in taken.ends.items())
    return Result(
        scenario=NAME,
        case="takeover",
        plan={"sessions": len(chargers), "rate": options.rate},
        figures=[
            Figure("CPU per takeover", _ms(taken), "ms"),
            Figure("taken over", taken.connected),
            Figure("failed", sum(taken.failures.values())),
            Figure("rate", taken.connected / taken.seconds, "1/s"),
            Figure("overtaken by at most", taken.overtaken),
            Figure("overlap, longest", histogram.milliseconds(taken.overlap, 100), "ms"),
            Figure("memory that stays, each", (gateway.usage().rss_bytes - before) / 1024 / len(chargers), "KiB"),
            Figure("driver's CPU per takeover", 1000 * taken.driver_cpu_seconds / max(1, taken.connected), "ms"),
        ],
        histograms={"due to Boot answered": taken.latency, "both open": taken.overlap},
        driver_cores=taken.driver_cores,
        server_cores=taken.server_cpu_seconds / taken.seconds,
        invalid_because=wrong,
        notes=[f"how the replaced connections ended: {ends}", *_keeping_up(taken.latency)],
    )


def _ms(part: Connected) -> float:
    """CPU milliseconds of the server's for each that succeeded."""
    return 1000 * part.server_cpu_seconds / max(1, part.connected)


def _keeping_up(latency: HdrHistogram) -> list[str]:
    if histogram.milliseconds(latency, 99) > 1000:
        return ["the gateway did not keep up with the rate that was offered: times are those of a queue"]
    return []
