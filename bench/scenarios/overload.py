"""Storms of three times what the gateway can take: of connects, of messages, and of both at once.

First the capacity of this machine, in the same run: connects that are done in a second with 32 under way, with 64, and
so on, until twice as many bring hardly more; the same of MeterValues, of as many chargers as the storm has, each of
which has its turn once all the others had theirs. A capacity that was not reached is none, and nothing is held against
it: where the drivers had no time left, or where twice as many still did more and the gateway had time left, the results
are not valid, and say so.

Then three times that is offered by the clock, whether or not the gateway keeps up, and what it still gets done in a
second (the goodput: connects until their Boot is answered, messages confirmed) is held against its capacity. At least
0.8 of it is asked: a gateway that spends its time on what it will not finish does less. Drivers that did not offer as
much make a result invalid, too.

both: chargers that are there report at a third of the gateway's capacity. What it can take of connects beside them is
found in the same way, and then three times as many others connect. The chargers that are there come first: theirs is
the share of their messages that is confirmed in time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from attrs import frozen
from rich.console import Console

from bench import cores, histogram, processes
from bench.fleet import SETTLE_SECONDS, Fleet, fleet
from bench.fleet_results import Connected, Load
from bench.results import SATURATED, Figure, Result

NAME = "overload"
HELP = "the capacity for connects and messages, then three times that: the goodput; five minutes"

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

FIRST_AT_ONCE, MOST_AT_ONCE = 32, 512
"""Under way while the capacity is looked for: doubled from the first to the last."""

MORE = 1.1
"""Times as many that twice as much under way must get done, or the capacity is reached."""

BUSY = 0.9
"""Of its core: a gateway that has it can do no more, whatever twice as much under way brings."""

OFFERED = 0.9
"""Of what was to be offered: drivers that began less were the bottleneck."""

SHORT: Mapping[str, Any] = {"sessions": 3000, "present": 600, "seconds": 5.0}

Measured = TypeVar("Measured", Connected, Load)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=6_000, help="chargers of a storm of connects (%(default)s)")
    parser.add_argument("--present", type=int, default=1_000, help="chargers that send messages (%(default)s)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each storm of messages (%(default)s)")


@frozen
class Capacity(Generic[Measured]):
    """The most that was done in a second, with ``at_once`` under way; ``unreached``: reasons why it may be more."""

    most: Measured
    at_once: int
    unreached: tuple[str, ...] = ()


def capacity(measure: Callable[[int], Measured], most: int) -> Capacity[Measured]:
    """Double what is under way, up to ``most``, until that brings hardly more."""
    at_once = min(FIRST_AT_ONCE, most)
    best: Measured = measure(at_once)
    best_at_once = at_once
    while at_once < most:
        at_once = min(2 * at_once, most)
        found = measure(at_once)
        before = _rate(best)
        if _rate(found) > before:
            best, best_at_once = found, at_once
        if _rate(found) <= MORE * before:
            return Capacity(best, best_at_once, _driven(best))
    if _server_cores(best) < BUSY:
        text = (
            f"{at_once} at once still did more than half as many, and the gateway had {_server_cores(best):.2f} cores"
        )
        return Capacity(best, best_at_once, (*_driven(best), f"the capacity was not reached: {text}"))
    return Capacity(best, best_at_once, _driven(best))


def _driven(found: Connected | Load) -> tuple[str, ...]:
    """Return the reason why it was the drivers that did no more, if it was."""
    cores_there = len(cores.driver_cores())
    if found.driver_cores < SATURATED * cores_there:
        return ()
    return (f"the capacity is the drivers': they had {found.driver_cores:.2f} of their {cores_there} cores",)


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Return the three storms, on one gateway."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-overload-") as folder,
        processes.gateway(Path(folder)) as gateway,
        fleet(gateway, gateway.provision(options.sessions)) as storm,
        fleet(gateway, gateway.provision(options.present, prefix="PRESENT")) as present,
    ):

        def connects(at_once: int) -> Connected:
            console.print(f"{options.sessions // 2} chargers connect, {at_once} at once")
            found = storm.connect(count=options.sessions // 2, at_once=at_once)
            _gone(gateway, storm)
            return found

        def connects_beside(at_once: int) -> Connected:
            console.print(f"{options.sessions // 6} chargers connect beside them, {at_once} at once")
            found = storm.connect(count=options.sessions // 6, at_once=at_once)
            _gone(gateway, storm, stay=options.present)
            return found

        def messages(at_once: int) -> Load:
            console.print(f"{options.present} chargers report, {at_once} at once")
            return present.closed_loop(options.seconds / 2, at_once=at_once)

        console.print(f"{options.sessions} chargers connect for the first time")
        storm.connect()  # that is dearer: each is asked for its configuration
        _gone(gateway, storm)
        most_connects = capacity(connects, MOST_AT_ONCE)
        offered = TIMES * _rate(most_connects.most)
        console.print(f"{options.sessions} chargers, {offered:.0f} a second")
        first = _connects(most_connects, storm.connect(rate=offered), offered)
        _gone(gateway, storm)

        present.connect(transaction=True)
        time.sleep(SETTLE_SECONDS)
        most_messages = capacity(messages, min(MOST_AT_ONCE, options.present))
        wanted = TIMES * _rate(most_messages.most)
        console.print(f"{options.present} chargers report, {wanted:.0f} messages a second")
        second = _messages(most_messages, _open_loop(present, wanted, options.seconds))

        reports = PRESENT_SHARE * _rate(most_messages.most)
        present.start_open_loop(rate=reports)
        time.sleep(1)
        most_beside = capacity(connects_beside, MOST_AT_ONCE)
        offered = TIMES * _rate(most_beside.most)
        console.print(f"{reports:.0f} messages a second, and {offered:.0f} connects")
        present.mark()
        came = storm.connect(rate=offered)
        load = present.stop_open_loop()
        lost = len(present) - present.check().alive
        return [first, second, _both(most_beside, came, offered, most_messages, load, reports, lost)]


def _gone(gateway: processes.Gateway, chargers: Fleet, stay: int = 0) -> None:
    """Disconnect these, and wait until the gateway has no sessions left but those that ``stay``."""
    chargers.disconnect()
    until = time.monotonic() + GONE_SECONDS
    while gateway.metrics()["gateway_connections"] > stay and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(1)


def _open_loop(chargers: Fleet, rate: float, seconds: float) -> Load:
    chargers.start_open_loop(rate=rate)
    time.sleep(1)
    chargers.mark()
    time.sleep(seconds)
    return chargers.stop_open_loop()


def _rate(found: Connected | Load) -> float:
    """Messages confirmed in a second, or connects until Boot was answered."""
    if isinstance(found, Load):
        return found.rate
    return found.connected / found.seconds if found.seconds else 0.0


def _server_cores(found: Connected | Load) -> float:
    return found.server_cpu_seconds / found.seconds if found.seconds else 0.0


def _ms(part: Connected) -> float:
    """CPU milliseconds of the server's for each connect that succeeded."""
    return 1000 * part.server_cpu_seconds / max(1, part.connected)


def _of_capacity(found: Capacity[Any], of: str = "") -> list[Figure]:
    """Return what was measured of the capacity."""
    return [
        Figure(f"capacity{of}", _rate(found.most), "1/s"),
        Figure(f"at once{of} at capacity", found.at_once),
        Figure(f"cores of the gateway{of} at capacity", _server_cores(found.most)),
        Figure(f"cores of the drivers{of} at capacity", found.most.driver_cores),
    ]


def _connects(found: Capacity[Connected], came: Connected, offered: float) -> Result:
    most = found.most
    goodput = _rate(came) / _rate(most)
    failed = sum(came.failures.values())
    return Result(
        scenario=NAME,
        case="connects",
        plan={"sessions": came.connected + failed, "times": TIMES},
        figures=[
            *_of_capacity(found),
            Figure("offered", _begun(came), "1/s"),
            Figure("done", _rate(came), "1/s"),
            Figure("goodput", goodput),
            Figure("failed", failed),
            Figure("CPU per connect at capacity", _ms(most), "ms"),
            Figure("CPU per connect", _ms(came), "ms"),
            Figure(CPU_SHARE, _ms(most) / _ms(came) if came.connected else 0.0),
        ],
        histograms={"due to Boot answered": came.latency},
        driver_cores=came.driver_cores,
        server_cores=_server_cores(came),
        invalid_because=[*found.unreached, *_late(came, offered), *_short(goodput)],
        notes=_failures(came),
    )


def _messages(found: Capacity[Load], load: Load) -> Result:
    most = found.most
    goodput = load.rate / most.rate
    return Result(
        scenario=NAME,
        case="messages",
        plan={"times": TIMES},
        figures=[
            *_of_capacity(found),
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
        invalid_because=[*found.unreached, *_short(goodput)],
        notes=["due and not sent at the end, as one may be under way on a connection: as a queue in a charger"],
    )


def _both(
    connects: Capacity[Connected],
    came: Connected,
    offered: float,
    messages: Capacity[Load],
    load: Load,
    reports: float,
    lost: int,
) -> Result:
    confirmed, goodput = load.rate / reports, _rate(came) / _rate(connects.most)
    return Result(
        scenario=NAME,
        case="both",
        plan={"sessions": came.connected, "times": TIMES, "share of messages": PRESENT_SHARE},
        figures=[
            Figure("messages offered", reports, "1/s"),
            Figure("messages confirmed in time", confirmed),
            *_of_capacity(connects, " for connects beside them"),
            Figure("connects offered", _begun(came), "1/s"),
            Figure("connects done", _rate(came), "1/s"),
            Figure("goodput of connects", goodput),
            Figure("longest wait of those that are there", histogram.milliseconds(load.latency, 100), "ms"),
            Figure("failed", sum(came.failures.values())),
        ],
        histograms={"confirmation of those that are there": load.latency, "due to Boot answered": came.latency},
        driver_cores=load.driver_cores + came.driver_cores,
        server_cores=_server_cores(came),
        invalid_because=[
            *(f"connects: {each}" for each in connects.unreached),
            *(f"messages: {each}" for each in messages.unreached),
            *_late(came, offered),
            *_short(goodput),
            *_short(confirmed),
            *([f"{lost} of those that were there were lost"] if lost else []),
        ],
        notes=_failures(came),
    )


def _begun(came: Connected) -> float:
    """Connects a second that were begun."""
    return (came.connected + sum(came.failures.values())) / came.begun_seconds if came.begun_seconds else 0.0


def _late(came: Connected, offered: float) -> list[str]:
    """Return the reason why it was no storm, if the drivers began too few."""
    begun = _begun(came)
    if begun >= OFFERED * offered:
        return []
    return [f"the drivers were the bottleneck: they began {begun:.0f} connects a second of {offered:.0f}"]


def _short(goodput: float) -> list[str]:
    return [f"goodput is {goodput:.2f} of the capacity: {ASKED:g} is asked"] if goodput < ASKED else []


def _failures(came: Connected) -> list[str]:
    return [f"{count} connects failed: {reason}" for reason, count in came.failures.items()]
