"""Storms of three times what the gateway can take: of connects, of messages, and of both at once.

First the capacity of this machine, one by one: connects that are begun as soon as others are done, 64 under way;
MeterValues in a closed loop. Then three times that is offered by the clock, whether or not the gateway keeps up, and
what it still gets done in a second (the goodput: connects until their Boot is answered, messages confirmed) is held
against its capacity. At least 0.8 of it is asked: a gateway that spends its time on what it will not finish does less.

both: chargers that are there report at a third of the gateway's capacity while three times as many others connect as it
can take. The chargers that are there come first: theirs is the share of their messages that is confirmed in time.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import histogram, processes
from bench.fleet import SETTLE_SECONDS, Connected, Fleet, Load, fleet
from bench.results import Figure, Result

NAME = "overload"
HELP = "connects and messages offered at three times what the gateway can take: its goodput; two minutes"

TIMES = 3.0
"""Of the capacity."""

ASKED = 0.8
"""Of the capacity, that is to be done all the same."""

PRESENT_SHARE = 1 / 3
"""Of the capacity for messages, that those who are there use while others connect."""

CPU_SHARE = "done for each second of CPU, of that at capacity"
"""What else runs on the machine changes a rate, and this hardly: a gateway that works in vain has less of it."""

GONE_SECONDS = 60.0
"""Until the gateway has recorded the ends of those that were disconnected."""

SHORT: Mapping[str, Any] = {"sessions": 3000, "present": 200, "seconds": 5.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=6_000, help="chargers of a storm of connects (%(default)s)")
    parser.add_argument("--present", type=int, default=200, help="chargers that send messages (%(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each storm of messages (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Return the three storms, on one gateway."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-overload-") as folder,
        processes.gateway(Path(folder)) as gateway,
        fleet(gateway, gateway.provision(options.sessions)) as storm,
        fleet(gateway, gateway.provision(options.present, prefix="PRESENT")) as present,
    ):
        console.print(f"{options.sessions} chargers connect as fast as it goes")
        storm.connect()  # the first time is dearer: each is asked for its configuration
        _gone(gateway, storm)
        capacity = storm.connect()
        _gone(gateway, storm)
        offered = TIMES * _rate(capacity)
        console.print(f"the same chargers, {offered:.0f} a second")
        connects = _connects(capacity, storm.connect(rate=offered), offered)
        _gone(gateway, storm)

        console.print(f"{options.present} chargers report as fast as it goes")
        present.connect(transaction=True)
        time.sleep(SETTLE_SECONDS)
        most = present.closed_loop(options.seconds)
        console.print(f"the same chargers, {TIMES * most.rate:.0f} messages a second")
        messages = _messages(most, _open_loop(present, TIMES * most.rate, options.seconds))

        reports = PRESENT_SHARE * most.rate
        console.print(f"{reports:.0f} messages a second, and {offered:.0f} connects")
        present.start_open_loop(rate=reports)
        time.sleep(1)
        present.mark()
        came = storm.connect(rate=offered)
        load = present.stop_open_loop()
        lost = len(present) - present.check().alive
        return [connects, messages, _both(capacity, came, offered, most, load, reports, lost)]


def _gone(gateway: processes.Gateway, chargers: Fleet) -> None:
    """Disconnect all, and wait until the gateway has no sessions left."""
    chargers.disconnect()
    until = time.monotonic() + GONE_SECONDS
    while gateway.metrics()["gateway_connections"] and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(1)


def _open_loop(chargers: Fleet, rate: float, seconds: float) -> Load:
    chargers.start_open_loop(rate=rate)
    time.sleep(1)
    chargers.mark()
    time.sleep(seconds)
    return chargers.stop_open_loop()


def _rate(connected: Connected) -> float:
    """Connects a second until Boot was answered."""
    return connected.connected / connected.seconds if connected.seconds else 0.0


def _ms(part: Connected) -> float:
    """CPU milliseconds of the server's for each connect that succeeded."""
    return 1000 * part.server_cpu_seconds / max(1, part.connected)


def _connects(capacity: Connected, came: Connected, offered: float) -> Result:
    goodput = _rate(came) / _rate(capacity)
    failed = sum(came.failures.values())
    return Result(
        scenario=NAME,
        case="connects",
        plan={"sessions": came.connected + failed, "times": TIMES},
        figures=[
            Figure("capacity", _rate(capacity), "1/s"),
            Figure("offered", offered, "1/s"),
            Figure("done", _rate(came), "1/s"),
            Figure("goodput", goodput),
            Figure("failed", failed),
            Figure("CPU per connect at capacity", _ms(capacity), "ms"),
            Figure("CPU per connect", _ms(came), "ms"),
            Figure(CPU_SHARE, _ms(capacity) / _ms(came) if came.connected else 0.0),
        ],
        histograms={"due to Boot answered": came.latency},
        driver_cores=came.driver_cores,
        server_cores=came.server_cpu_seconds / came.seconds,
        invalid_because=_short(goodput),
        notes=_failures(came),
    )


def _messages(most: Load, load: Load) -> Result:
    goodput = load.rate / most.rate
    return Result(
        scenario=NAME,
        case="messages",
        plan={"times": TIMES},
        figures=[
            Figure("capacity", most.rate, "1/s"),
            Figure("offered", TIMES * most.rate, "1/s"),
            Figure("done", load.rate, "1/s"),
            Figure("goodput", goodput),
            Figure("CPU per message at capacity", most.server_us_per_message, "µs"),
            Figure("CPU per message", load.server_us_per_message, "µs"),
            Figure(CPU_SHARE, most.server_us_per_message / load.server_us_per_message if load.messages else 0.0),
        ],
        histograms={"confirmation": load.latency},
        driver_cores=load.driver_cores,
        server_cores=load.server_cores,
        invalid_because=_short(goodput),
        notes=["due and not sent at the end, as one may be under way on a connection: as a queue in a charger"],
    )


def _both(
    capacity: Connected, came: Connected, offered: float, most: Load, load: Load, reports: float, lost: int
) -> Result:
    confirmed, connects = load.rate / reports, _rate(came) / _rate(capacity)
    goodput = load.rate / most.rate + connects
    return Result(
        scenario=NAME,
        case="both",
        plan={"sessions": came.connected, "times": TIMES, "share of messages": PRESENT_SHARE},
        figures=[
            Figure("messages offered", reports, "1/s"),
            Figure("messages confirmed in time", confirmed),
            Figure("connects offered", offered, "1/s"),
            Figure("connects done", _rate(came), "1/s"),
            Figure("goodput, messages' and connects' shares together", goodput),
            Figure("longest wait of those that are there", histogram.milliseconds(load.latency, 100), "ms"),
            Figure("failed", sum(came.failures.values())),
        ],
        histograms={"confirmation of those that are there": load.latency, "due to Boot answered": came.latency},
        driver_cores=load.driver_cores + came.driver_cores,
        server_cores=came.server_cpu_seconds / came.seconds,
        invalid_because=[
            *_short(goodput),
            *_short(confirmed),
            *([f"{lost} of those that were there were lost"] if lost else []),
        ],
        notes=_failures(came),
    )


def _short(goodput: float) -> list[str]:
    return [f"goodput is {goodput:.2f} of the capacity: {ASKED:g} is asked"] if goodput < ASKED else []


def _failures(came: Connected) -> list[str]:
    return [f"{count} connects failed: {reason}" for reason, count in came.failures.items()]
