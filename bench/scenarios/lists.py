"""A platform that starts: lists, counts and snapshots of 10,000 connected charge points, each in a transaction.

They connect, boot, begin a transaction and send meter values; then each of them sends MeterValues every 60 s and
Heartbeat every 300 s, while a client asks for everything in turns: all pages of the list, whole and basic, a filter
that half of them pass and one that none passes, all pages of the open transactions, the counts, and the snapshots of
readings and states, and of open transactions without and with their energy. Time is that of the client, from the
request until the last message was read, the quickest of several turns. What is asked of a snapshot is a second, of a
message at most a mebibyte, and of a charger's longest wait meanwhile 50 ms; the snapshot with the energies counts for
none of these.

A result is invalid if an answer lacks a charge point or a transaction, or has one too many.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc
from attrs import define, field
from rich.console import Console

from bench import histogram, processes
from bench.fleet import SETTLE_SECONDS, Fleet, fleet
from bench.results import Figure, Result
from bench.scenarios.hold import amiss, connect
from gateway.api.v1 import charge_point_pb2, transaction_pb2
from gateway.api.v1.charge_point_pb2_grpc import ChargePointServiceStub
from gateway.api.v1.transaction_pb2_grpc import TransactionServiceStub

NAME = "lists"
HELP = "lists, filters, counts and snapshots of 10,000 charge points in transactions; two minutes"

SHORT: Mapping[str, Any] = {"sessions": 2000, "turns": 2}

PAGE: Final = 1000

SECONDS: Final = 60.0
"""For one answer: many times what it takes."""

WARM_UP_SECONDS: Final = 2.0

PAUSE_SECONDS: Final = 0.2
"""Between two requests, so that what one left to do is not the next one's."""

METER_VALUES_EVERY, HEARTBEAT_EVERY = 60.0, 300.0

MEBIBYTE: Final = 2**20

Counted: TypeAlias = Callable[[], Iterable[tuple[int, int]]]
"""Asks for something: how many each message has, and its bytes."""

SNAPSHOTS: Final = ("snapshot of readings and states", "snapshot of open transactions")
"""Those of which something is asked."""


@define
class Taken:
    """Times and sizes of the answers to requests of one kind."""

    seconds: list[float] = field(factory=list)
    largest: int = 0
    wrong: list[str] = field(factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=10_000, help="charge points (%(default)s)")
    parser.add_argument("--rate", type=float, default=400.0, help="connects a second (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="how often everything is asked for (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """One result."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-lists-") as folder,
        processes.gateway(Path(folder)) as gateway,
    ):
        credentials = gateway.provision(options.sessions)
        with fleet(gateway, credentials) as chargers, grpc.insecure_channel(gateway.control_address) as channel:
            connected = connect(chargers, options.rate, console)
            time.sleep(SETTLE_SECONDS)
            started = chargers.send("StartTransaction", rate=options.rate * 2)
            metered = chargers.send("MeterValues", rate=options.rate * 2)
            console.print("everything is asked for")
            asked = requests(channel, options.sessions)
            snapshots = {name: asked.pop(name) for name in SNAPSHOTS}
            others, _ = _measured(chargers, asked, options)
            taken, load = _measured(chargers, snapshots, options)
    taken = {**others, **taken}
    wrong = [*amiss(connected, started, metered, load), *(each for of in taken.values() for each in of.wrong)]
    return [
        Result(
            scenario=NAME,
            case=NAME,
            plan={"sessions": options.sessions, "rate": options.rate, "turns": options.turns},
            figures=[
                *(Figure(name, 1000 * min(each.seconds), "ms") for name, each in taken.items()),
                Figure("largest message of a snapshot", max(taken[name].largest for name in SNAPSHOTS) / 1024, "KiB"),
                Figure("longest wait of a charger during snapshots", histogram.milliseconds(load.latency, 100), "ms"),
                Figure("messages of chargers meanwhile", load.rate, "1/s"),
            ],
            histograms={"answer during snapshots": load.latency},
            driver_cores=load.driver_cores,
            server_cores=load.server_cores,
            invalid_because=wrong,
            notes=[f"{name}: median {1000 * statistics.median(each.seconds):.0f} ms" for name, each in taken.items()],
        )
    ]


def requests(channel: grpc.Channel, sessions: int) -> dict[str, tuple[Counted, int]]:
    """All that is asked for, by name, with how many each has to have in all. Half of the charge points are below the
    middle one by their identities."""
    points, charging = ChargePointServiceStub(channel), TransactionServiceStub(channel)
    basic = charge_point_pb2.CHARGE_POINT_VIEW_BASIC
    half = f"connected = true AND identity < CP{sessions // 2:05}"

    def listed(**fields: Any) -> Counted:
        request = charge_point_pb2.ListChargePointsRequest(page_size=PAGE, **fields)
        return lambda: _pages(points.ListChargePoints, request, lambda page: len(page.charge_points))

    running = transaction_pb2.ListTransactionsRequest(
        page_size=PAGE, filter="state = OPEN", view=transaction_pb2.TRANSACTION_VIEW_BASIC
    )
    return {
        "list of all": (listed(), sessions),
        "list of all, basic": (listed(view=basic), sessions),
        "filter, half pass, basic": (listed(view=basic, filter=half), sessions // 2),
        "filter, none passes": (listed(view=basic, filter="vendor = nobody"), 0),
        "list of open transactions, basic": (
            lambda: _pages(charging.ListTransactions, running, lambda page: len(page.transactions)),
            sessions,
        ),
        "count of charge points": (
            lambda: [_one(points.CountChargePoints(charge_point_pb2.CountChargePointsRequest(), timeout=SECONDS))],
            sessions,
        ),
        "count of transactions": (
            lambda: [_one(charging.CountTransactions(transaction_pb2.CountTransactionsRequest(), timeout=SECONDS))],
            sessions,
        ),
        "snapshot of open transactions with energy": (
            lambda: _transactions(charging, transaction_pb2.TRANSACTION_VIEW_FULL),
            sessions,
        ),
        SNAPSHOTS[0]: (
            lambda: (
                (len(each.charge_points), each.ByteSize())
                for each in points.StreamLatestReadings(charge_point_pb2.StreamLatestReadingsRequest(), timeout=SECONDS)
            ),
            sessions,
        ),
        SNAPSHOTS[1]: (lambda: _transactions(charging, transaction_pb2.TRANSACTION_VIEW_BASIC), sessions),
    }


def _transactions(charging: Any, view: Any) -> Iterable[tuple[int, int]]:
    request = transaction_pb2.StreamOpenTransactionsRequest(view=view)
    for each in charging.StreamOpenTransactions(request, timeout=SECONDS):
        yield len(each.transactions), each.ByteSize()


def _one(counted: Any) -> tuple[int, int]:
    return counted.total_count, counted.ByteSize()


def _pages(rpc: Callable[..., Any], request: Any, count: Callable[[Any], int]) -> Iterable[tuple[int, int]]:
    token = ""
    while True:
        request.page_token = token
        page = rpc(request, timeout=SECONDS)
        yield count(page), page.ByteSize()
        token = page.next_page_token
        if not token:
            return


def _measured(
    chargers: Fleet, asked: Mapping[str, tuple[Counted, int]], options: argparse.Namespace
) -> tuple[dict[str, Taken], Any]:
    """Ask for each in turns while the chargers send."""
    chargers.start_open_loop(meter_values_every=METER_VALUES_EVERY, heartbeat_every=HEARTBEAT_EVERY)
    time.sleep(WARM_UP_SECONDS)
    chargers.mark()
    taken = {name: Taken() for name in asked}
    for _ in range(options.turns):
        for name, (ask, expected) in asked.items():
            began = time.perf_counter()
            found = list(ask())
            each = taken[name]
            each.seconds.append(time.perf_counter() - began)
            each.largest = max(each.largest, *(size for _, size in found))
            count = sum(number for number, _ in found)
            if count != expected:
                each.wrong.append(f"{name}: {count} instead of {expected}")
            time.sleep(PAUSE_SECONDS)
    return taken, chargers.stop_open_loop()
