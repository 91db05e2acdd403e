"""Several gateways on one PostgreSQL and three NATS servers, with one on SQLite beside them.

``cost``: CPU of the gateway for each durable MeterValues with so many waiting, on SQLite and on PostgreSQL, whose own
CPU is a figure beside it. ``commits``: the answers of one node and of three, whose server takes 5 ms longer for each
flush. ``processes``: two processes of one machine beside one. ``scaling``: the same rates where there are cores enough.
``commands``: a command at the charger's node and at another one. ``death``: chargers of a node that is killed come to
another. ``failover``: the primary is killed, and a standby promoted.

PostgreSQL, NATS and the drivers share the cores that the gateways leave.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import cores, histogram, processes, results
from bench.fleet import SETTLE_SECONDS, fleet
from bench.fleet_results import Load
from bench.grpc_driver import GrpcDriver
from bench.many_nodes import Place, connect, fleets_at, judged, store_settings, wrong_of
from bench.results import Figure, Result
from tests.cluster.servers import Databases, Nats, Replicated, Single, nats_program
from tests.support import postgres

NAME = "nodes"
HELP = (
    "several gateways on PostgreSQL: cost, commits, processes, commands, a node's and the primary's death; six minutes"
)

CASES = ("cost", "commits", "processes", "scaling", "commands", "death", "failover")

SHORT: Mapping[str, Any] = {"seconds": 3.0, "warm_up": 1.0, "waiting": [16], "sessions": 100, "rounds": 1}

NODES = 3

SYNC_MICROSECONDS = 5_000
"""Added to each flush of the server (``commit_delay``), as cloud volumes have it."""

STEADY = 30.0
"""MeterValues a second of each node where commits are measured: hardly two of one node in one commit."""

PROCESSES_SESSIONS = 128

SCALING_CORES = 4
"""Fewer have no room for two processes, the server and the drivers beside each other."""

RETURNS = 100.0
"""Chargers of a dead node that come back, a second."""

DEAD_SECONDS = 2.0
"""From the death of a primary to the promotion, as its manager takes to be sure of it."""

PATIENCE = 20.0
"""``store.patience_seconds``."""

COST, COMMIT, PROCESSES, SCALING, COMMAND_MS, RETURN_SECONDS = 1.0, 1.15, 1.10, 1.8, 2.0, 5.0
"""What is asked: the cost on PostgreSQL to that on SQLite from 16 waiting on, three nodes' commits to one's, the cost
of two processes to one's, their rate to one's where cores allow, a command's longer way, and a charger's return."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="what to measure (%(default)s)")
    parser.add_argument("--waiting", type=int, nargs="+", default=[1, 16, 64], help="messages at once (%(default)s)")
    parser.add_argument("--sessions", type=int, default=300, help="chargers of a node that dies (%(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of one and two processes in turns (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before each (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """All cases; each is shown when it is measured, and one that fails leaves the others to be measured."""
    program, missing = nats_program(), postgres.missing()
    if missing or program is None:
        why = f"skipped: {missing or 'a NATS server was not found'}"
        return [Result(scenario=NAME, case=case, notes=[why]) for case in options.cases]
    measured: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="bench-nodes-") as folder, ExitStack() as stack:
        nats = Nats(program)
        stack.callback(nats.kill)
        nats.start()
        place = Place(Path(folder), nats, options)
        for case in options.cases:
            console.print(case)
            try:
                found = _MEASURES[case](place)
            except Exception as error:
                console.print_exception()
                found = [Result(scenario=NAME, case=case, invalid_because=[f"it failed: {error!r}"])]
            results.show(found, console)
            measured += found
    return measured


# --- cost ---------------------------------------------------------------------------------------------------------


def _cost(place: Place) -> list[Result]:
    found = []
    for waiting in place.options.waiting:
        with processes.gateway(place.new()) as gateway:
            sqlite = _closed(place, gateway, waiting)
        with postgres.server(durable=True) as server:
            settings = f"[store]\n{store_settings(Single(server))}\n"
            with processes.gateway(place.new(), settings=settings) as gateway:
                before = processes.usage(server.pid).cpu_seconds
                shared = _closed(place, gateway, waiting)
                own = processes.usage(server.pid).cpu_seconds - before
        ratio = shared.server_us_per_message / sqlite.server_us_per_message
        asked = [judged(ratio, COST, "to SQLite's")] if waiting > 1 else []
        found.append(
            Result(
                scenario=NAME,
                case=f"{waiting} waiting",
                figures=[
                    Figure("CPU per message, SQLite", sqlite.server_us_per_message, "µs"),
                    Figure("CPU per message, PostgreSQL", shared.server_us_per_message, "µs"),
                    Figure("of PostgreSQL's server per message", _each(own, shared, place), "µs"),
                    Figure("messages, SQLite", sqlite.rate, "1/s"),
                    Figure("messages, PostgreSQL", shared.rate, "1/s"),
                    Figure("CPU per message to SQLite's", ratio, "×"),
                ],
                histograms={"answer, SQLite": sqlite.latency, "answer, PostgreSQL": shared.latency},
                driver_cores=shared.driver_cores,
                server_cores=shared.server_cores,
                invalid_because=[*wrong_of(sqlite), *wrong_of(shared)],
                notes=asked,
            )
        )
    return found


def _each(cpu_seconds: float, load: Load, place: Place) -> float:
    """Microseconds for each message, of CPU that was counted from the start, with the warm-up in it."""
    share = place.options.seconds / (place.options.seconds + place.options.warm_up)
    return 1e6 * cpu_seconds * share / load.messages if load.messages else 0.0


def _closed(place: Place, gateway: processes.Gateway, waiting: int) -> Load:
    """Each charger sends its next message once the last one is confirmed."""
    with fleet(gateway, gateway.provision(waiting)) as chargers:
        connect(chargers)
        time.sleep(SETTLE_SECONDS)
        return chargers.closed_loop(place.options.seconds, place.options.warm_up)


# --- commits ------------------------------------------------------------------------------------------------------


def _commits(place: Place) -> list[Result]:
    with postgres.server(durable=True) as server:
        server.configure(commit_delay=str(SYNC_MICROSECONDS), commit_siblings="0")
        one, three = (_steady(place, Single(server), count) for count in (1, NODES))
    alone, among = (histogram.milliseconds(each.latency, 50) for each in (one, three))
    return [
        Result(
            scenario=NAME,
            case="commits, 5 ms syncs",
            figures=[
                Figure("p50 of an answer, one node", alone, "ms"),
                Figure(f"p50 of an answer, {NODES} nodes", among, "ms"),
                Figure("to one node's", among / alone, "×"),
            ],
            histograms={"answer, one node": one.latency, f"answer, {NODES} nodes": three.latency},
            driver_cores=three.driver_cores,
            server_cores=three.server_cores,
            invalid_because=[*wrong_of(one), *wrong_of(three)],
            notes=[judged(among / alone, COMMIT, "to one node's")],
        )
    ]


def _steady(place: Place, databases: Databases, count: int) -> Load:
    """The answers of the first node; the others have as much to do."""
    with place.nodes(count, databases) as nodes, ExitStack() as stack:
        found = fleets_at(stack, nodes, 16)
        for each in found:
            each.start_open_loop(rate=STEADY)
        time.sleep(place.options.warm_up)
        for each in found:
            each.mark()
        time.sleep(place.options.seconds)
        first, *_ = [each.stop_open_loop() for each in found]
        return first


# --- processes ----------------------------------------------------------------------------------------------------


def _processes(place: Place) -> list[Result]:
    """One and two in turns: what else the machine does takes from both alike, and the medians count."""
    loads: dict[int, list[Load]] = {1: [], 2: []}
    for _ in range(place.options.rounds):
        for count, found in loads.items():
            found.append(_served(place, count))
    costs = {count: statistics.median(load.server_us_per_message for load in found) for count, found in loads.items()}
    rates = {count: statistics.median(load.rate for load in found) for count, found in loads.items()}
    each = {count: ", ".join(f"{load.server_us_per_message:.1f}" for load in found) for count, found in loads.items()}
    ratio, last = costs[2] / costs[1], loads[2][-1]
    return [
        Result(
            scenario=NAME,
            case=f"2 processes, {len(cores.every())} cores",
            figures=[
                Figure("CPU per message, 1 process", costs[1], "µs"),
                Figure("CPU per message, 2 processes", costs[2], "µs"),
                Figure("to one process's", ratio, "×"),
                Figure("messages, 1 process", rates[1], "1/s"),
                Figure("messages, 2 processes", rates[2], "1/s"),
            ],
            driver_cores=last.driver_cores,
            server_cores=last.server_cores,
            invalid_because=[reason for found in loads.values() for load in found for reason in wrong_of(load)],
            notes=[
                judged(ratio, PROCESSES, "CPU per message to one process's"),
                f"CPU per message by rounds: {each[1]} µs of one, {each[2]} µs of two",
            ],
        )
    ]


def _served(place: Place, count: int) -> Load:
    with postgres.server(durable=True) as server:
        settings = place.settings(store_settings(Single(server)))
        many = ("--processes", str(count))
        with processes.gateway(place.new(), settings=settings, arguments=many, on_cores=cores.every()) as gateway:
            return _closed(place, gateway, PROCESSES_SESSIONS)


def _scaling(place: Place) -> list[Result]:
    case = "scaling of 2 processes"
    if len(cores.every()) < SCALING_CORES:
        why = f"skipped: it takes {SCALING_CORES} cores, there are {len(cores.every())}"
        return [Result(scenario=NAME, case=case, notes=[why])]
    one, two = (_served(place, count) for count in (1, 2))
    figures = [Figure("messages, 1 process", one.rate, "1/s"), Figure("messages, 2 processes", two.rate, "1/s")]
    note = judged(two.rate / one.rate, SCALING, "rate to one process's", least=True)
    return [Result(scenario=NAME, case=case, figures=figures, server_cores=two.server_cores, notes=[note])]


# --- commands, deaths ---------------------------------------------------------------------------------------------


def _commands(place: Place) -> list[Result]:
    with postgres.server(durable=True) as server, place.nodes(2, Single(server)) as [first, second], GrpcDriver() as by:
        credentials = first.provision(8)
        targets = [each.identity for each in credentials]
        with fleet(second, credentials) as chargers:
            connect(chargers)
            time.sleep(SETTLE_SECONDS)
            by.prime(second.control_address, targets)
            found = {}
            for name, node in (("here", second), ("there", first)):
                by.call(node.control_address, targets, 1)
                time.sleep(place.options.warm_up)
                window = by.measure(place.options.seconds, node.pid)
                found[name] = by.called()
    here, there = (histogram.milliseconds(each.latency, 50) for each in found.values())
    failed = [f"{count} calls failed: {why}" for each in found.values() for why, count in each.failures.items()]
    return [
        Result(
            scenario=NAME,
            case="a command, 1 caller",
            figures=[
                Figure("p50 at the charger's node", here, "ms"),
                Figure("p50 at another node", there, "ms"),
                Figure("longer", there - here, "ms"),
            ],
            histograms={f"command, {name}": each.latency for name, each in found.items()},
            driver_cores=window.driver_cores,
            server_cores=window.server_cores,
            invalid_because=failed,
            notes=[judged(there - here, COMMAND_MS, "milliseconds longer")],
        )
    ]


def _death(place: Place) -> list[Result]:
    with postgres.server(durable=True) as server, place.nodes(NODES, Single(server)) as [first, second, _]:
        credentials = first.provision(place.options.sessions)
        with fleet(first, credentials) as before, fleet(second, credentials) as after:
            connect(before)
            time.sleep(SETTLE_SECONDS)
            first.kill()
            back = after.connect(rate=RETURNS)
    seconds = histogram.milliseconds(back.latency, 95) / 1000
    wrong = [f"{count} chargers failed to come back: {why}" for why, count in back.failures.items()]
    return [
        Result(
            scenario=NAME,
            case="death of a node",
            figures=[
                Figure("chargers", back.connected),
                Figure("p95 from its reconnect until a charger is answered", seconds, "s"),
            ],
            histograms={"until Boot is answered": back.latency},
            driver_cores=back.driver_cores,
            invalid_because=wrong,
            notes=[judged(seconds, RETURN_SECONDS, "seconds for 95 %")],
        )
    ]


def _failover(place: Place) -> list[Result]:
    with Replicated() as replicated, place.nodes(NODES, replicated) as nodes, ExitStack() as stack:
        share = max(place.options.sessions // NODES, 1)
        found = fleets_at(stack, nodes, share)
        for each in found:
            each.start_open_loop(rate=STEADY)
            each.mark()
        time.sleep(place.options.seconds / 2)
        replicated.kill()
        time.sleep(DEAD_SECONDS)
        replicated.promote()
        time.sleep(place.options.seconds)
        loads = [each.stop_open_loop() for each in found]
        alive = sum(each.check().alive for each in found)
    waits = histogram.merged(each.latency for each in loads)
    longest, closed = histogram.milliseconds(waits, 100) / 1000, share * NODES - alive
    return [
        Result(
            scenario=NAME,
            case="failover",
            figures=[
                Figure("chargers", share * NODES),
                Figure("longest wait of a charger", longest, "s"),
                Figure("sessions that closed", closed),
            ],
            histograms={"answer": waits},
            driver_cores=sum(each.driver_cores for each in loads),
            server_cores=sum(each.server_cores for each in loads),
            invalid_because=[reason for each in loads for reason in wrong_of(each)],
            notes=[
                judged(longest, PATIENCE, "seconds of the longest wait"),
                judged(closed, 0, "sessions that closed"),
                f"the standby is promoted {DEAD_SECONDS:g} s after the primary's death",
            ],
        )
    ]


_MEASURES: Mapping[str, Callable[[Place], Sequence[Result]]] = {
    "cost": _cost,
    "commits": _commits,
    "processes": _processes,
    "scaling": _scaling,
    "commands": _commands,
    "death": _death,
    "failover": _failover,
}
