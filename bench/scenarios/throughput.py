"""Durable MeterValues, closed loop: each charger sends its next message as soon as the last one is confirmed.

What is confirmed is on disk, so this is the whole way: TLS, frames, validation, decision, commit, reply. Once with few
sessions and once with more; then on a disk whose syncs take 5 ms longer, as cloud volumes do (`bench.slow_sync`):
throughput must not fall with the disk, since batches form while a commit is under way.

A closed loop measures what a message costs and how many there can be. Its latencies are those of a queue that is
always full; what chargers feel is in ``hold``.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from rich.console import Console

from bench import histogram, processes
from bench.fleet import SETTLE_SECONDS, fleet
from bench.fleet_results import Connected, Load
from bench.results import Figure, Result

NAME = "throughput"
HELP = "durable MeterValues, closed loop, 200 and 1,000 sessions, and on a slow disk; five minutes"

SHORT: Mapping[str, Any] = {"sessions": [200], "seconds": 4.0, "warm_up": 2.0, "slow_sync": 0.0, "turns": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, nargs="+", default=[200, 1000], help="chargers (%(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement (%(default)s)")
    parser.add_argument(
        "--turns", type=int, default=3, help="gateways started anew for each, whose medians count (%(default)s)"
    )
    parser.add_argument("--warm-up", type=float, default=3.0, help="seconds before each (%(default)s)")
    parser.add_argument(
        "--slow-sync", type=float, default=5.0, metavar="MS", help="longer syncs; 0 for none (%(default)s)"
    )


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Every number of sessions on the machine's disk, then on the slow one."""
    measured = []
    for delay in (0.0, options.slow_sync) if options.slow_sync else (0.0,):
        for sessions in options.sessions:
            case = f"{sessions} sessions" + (f", {delay:g} ms syncs" if delay else "")
            console.print(case)
            turns = [_turn(sessions, delay, options) for _ in range(options.turns)]
            measured.append(_result(case, sessions, delay, turns, options))
    return measured


@frozen
class Turn:
    """One gateway's: ``memory`` in KiB per session, ``disk`` in bytes per message."""

    load: Load
    connected: Connected
    memory: float
    disk: float


def _turn(sessions: int, delay: float, options: argparse.Namespace) -> Turn:
    """A gateway of its own: what a message costs differs from one start to the next by more than within one."""
    launcher: Sequence[str] = ("-m", "bench.slow_sync", f"{delay:g}") if delay else ("-m", "gateway")
    with (
        tempfile.TemporaryDirectory(prefix="bench-throughput-") as folder,
        processes.gateway(Path(folder), launcher=launcher) as gateway,
        fleet(gateway, gateway.provision(sessions)) as chargers,
    ):
        idle = gateway.usage().rss_bytes
        connected = chargers.connect(transaction=True)
        time.sleep(SETTLE_SECONDS)
        grown = gateway.usage().rss_bytes - idle
        disk = gateway.disk_bytes()
        load = chargers.closed_loop(options.seconds, options.warm_up)
        disk = gateway.disk_bytes() - disk
    return Turn(load, connected, grown / 1024 / sessions, disk / load.messages if load.messages else 0.0)


def _result(case: str, sessions: int, delay: float, turns: Sequence[Turn], options: argparse.Namespace) -> Result:
    def median(value: Callable[[Turn], float]) -> float:
        return statistics.median(value(turn) for turn in turns)

    wrong = [
        f"{count} connects failed: {reason}" for turn in turns for reason, count in turn.connected.failures.items()
    ]
    wrong += [f"{count} messages failed: {reason}" for turn in turns for reason, count in turn.load.errors.items()]
    costs = ", ".join(f"{turn.load.server_us_per_message:.1f}" for turn in turns)
    notes = [
        f"CPU per message by turns: {costs} µs",
        "the rate limit of each session is raised (sessions.max_messages_per_second)",
    ]
    if delay:
        notes.append("all of SQLite's I/O goes through Python here: its CPU per message is no measure")
    return Result(
        scenario=NAME,
        case=case,
        plan={
            "sessions": sessions,
            "seconds": options.seconds,
            "warm_up": options.warm_up,
            "slow_sync_ms": delay,
            "turns": options.turns,
        },
        figures=[
            Figure("messages", median(lambda turn: turn.load.rate), "1/s"),
            Figure("CPU per message", median(lambda turn: turn.load.server_us_per_message), "µs"),
            Figure("driver's CPU per message", median(lambda turn: turn.load.driver_us_per_message), "µs"),
            Figure("memory per session, charging", median(lambda turn: turn.memory), "KiB"),
            Figure("disk per message", median(lambda turn: turn.disk), "B"),
        ],
        histograms={"confirmation": histogram.merged(turn.load.latency for turn in turns)},
        driver_cores=max(turn.load.driver_cores for turn in turns),
        server_cores=median(lambda turn: turn.load.server_cores),
        invalid_because=wrong if all(turn.load.messages for turn in turns) else [*wrong, "no message was confirmed"],
        notes=notes,
    )
