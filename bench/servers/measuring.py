"""One measurement, the same for every server that chargers can connect to, and what several of them give together.

All chargers connect and boot; that is the memory of a session and the CPU of a connect. Most of them then send
MeterValues in an open loop, first at the low rate of a quiet fleet where that is asked for, then at a rate that no
server is saturated by (latency as chargers see it); the others, in
transactions, send in a closed loop, which keeps the server's core busy: the CPU of a message.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller
from typing import Any

from attrs import asdict, frozen

from bench import fleet as fleets
from bench import histogram
from bench.fleet import fleet
from bench.fleet_results import Load
from bench.processes import Credentials, Gateway, Server
from bench.results import Figure, Result

CPU_PER_MESSAGE = "CPU per message"
CPU_OPEN = "CPU per message, open loop"
CPU_LOW = "CPU per message, low rate"
CPU_PER_CONNECT = "CPU per connect"
MEMORY = "memory per session"

SETTLE_SECONDS = 0.3
"""After the last answer to a connect, for what the server still has to do with it. A gateway takes longer."""

CONNECTS = 500
"""Whose CPU is measured: so few that they are done before a gateway begins to configure the first of them."""


@frozen
class Plan:
    """``active`` of the ``sessions`` send in the closed loop, for ``seconds`` after ``warm_up``; the others at ``rate``
    a second all together, for as long; and before that at ``low_rate`` for ``low_seconds``, after as many of silence.
    No open loop where its rate is 0."""

    sessions: int
    active: int
    seconds: float
    warm_up: float
    rate: float
    rounds: int = 1
    low_rate: float = 0.0
    low_seconds: float = 0.0

    def __attrs_post_init__(self) -> None:
        if not 0 < self.active < self.sessions:
            raise ValueError(f"of {self.sessions} sessions {self.active} can't be the active ones: some, and not all")


@frozen
class Measured:
    """Result of one run of a server. ``quiet``: CPU in microseconds for each message at the low rate, net of what the
    server takes in silence; ``wrong``: the faults, in words."""

    connect_milliseconds: float
    kib_per_session: float
    closed: Load
    open: Load | None
    wrong: tuple[str, ...]
    low: Load | None = None
    quiet: float = 0.0


def measure(server: Server, credentials: Sequence[Credentials], plan: Plan) -> Measured:
    """One run against a server without connections."""
    active, others = credentials[: plan.active], credentials[plan.active : plan.sessions]
    wrong: list[str] = []
    with fleet(server, others) as most, fleet(server, active) as few:
        before = server.usage()
        connected = most.connect(status=False, count=CONNECTS)
        for these in (connected, most.connect(status=False), few.connect(transaction=True)):
            _note(wrong, "did not connect", these.failures)
        time.sleep(fleets.SETTLE_SECONDS if isinstance(server, Gateway) else SETTLE_SECONDS)
        growth = server.usage().rss_bytes - before.rss_bytes
        quiet, low = _low_rate(server, most, plan) if plan.low_rate else (0.0, None)
        opened = _open_loop(most, plan.rate, plan.seconds, plan.warm_up) if plan.rate else None
        closed = few.closed_loop(plan.seconds, plan.warm_up)
        for load in (closed, opened, low):
            _note(wrong, "failed", load.errors if load else {})
        for each, expected in ((most, len(others)), (few, len(active))):
            checked = each.check()
            _note(wrong, "were lost", checked.errors)
            if checked.alive < expected:
                wrong.append(f"{checked.alive} of {expected} sessions were left")
    return Measured(
        1e3 * connected.server_cpu_seconds / max(1, connected.connected),
        growth / 1024 / plan.sessions,
        closed,
        opened,
        tuple(wrong),
        low,
        quiet,
    )


def _low_rate(server: Server, chargers: Any, plan: Plan) -> tuple[float, Load]:
    """Microseconds for each message, net of what silence takes, and the load."""
    before = server.usage().cpu_seconds
    time.sleep(plan.low_seconds)
    idle = (server.usage().cpu_seconds - before) / plan.low_seconds
    load = _open_loop(chargers, plan.low_rate, plan.low_seconds, plan.warm_up)
    return 1e6 * max(0.0, load.server_cpu_seconds - idle * load.seconds) / max(1, load.messages), load


def _open_loop(chargers: Any, rate: float, seconds: float, warm_up: float) -> Load:
    chargers.start_open_loop(rate=rate)
    time.sleep(warm_up)
    chargers.mark()
    time.sleep(seconds)
    load: Load = chargers.stop_open_loop()
    return load


def _note(wrong: list[str], what: str, counts: Mapping[str, int]) -> None:
    wrong += [f"{count} {what}: {reason}" for reason, count in counts.items()]


def result(scenario: str, case: str, plan: Plan, runs: Sequence[Measured], notes: Sequence[str] = ()) -> Result:
    """Medians of the runs; latencies of all of them together. One that went wrong makes it invalid."""
    opened = [run.open for run in runs if run.open is not None]
    figures = [
        _median(CPU_PER_MESSAGE, "µs", runs, lambda run: run.closed.server_us_per_message),
        _median("rate", "1/s", runs, lambda run: run.closed.rate),
        _median(MEMORY, "KiB", runs, lambda run: run.kib_per_session),
        _median(CPU_PER_CONNECT, "ms", runs, lambda run: run.connect_milliseconds),
    ]
    figures += _of_parts(CPU_PER_MESSAGE, [run.closed for run in runs])
    histograms = {"closed loop": histogram.merged(run.closed.latency for run in runs)}
    if opened:
        figures.append(_median(CPU_OPEN, "µs", opened, lambda load: load.server_us_per_message))
        figures += _of_parts(CPU_OPEN, opened)
        histograms["open loop"] = histogram.merged(load.latency for load in opened)
    if low := [run for run in runs if run.low is not None]:
        figures.append(_median(CPU_LOW, "µs", low, lambda run: run.quiet))
        histograms["low rate"] = histogram.merged(run.low.latency for run in low if run.low is not None)
    rounds = [
        f"{figure.name}: {', '.join(f'{each:.3g}' for each in values)} {figure.unit}" for figure, values in figures
    ]
    return Result(
        scenario=scenario,
        case=case,
        plan=asdict(plan),
        figures=[figure for figure, _ in figures],
        histograms=histograms,
        driver_cores=max(load.driver_cores for load in [run.closed for run in runs] + opened),
        server_cores=statistics.median(run.closed.server_cores for run in runs),
        invalid_because=list(dict.fromkeys(reason for run in runs for reason in run.wrong)),
        notes=[*notes, *(rounds if len(runs) > 1 else ())],
    )


def _of_parts(name: str, loads: Sequence[Load]) -> list[tuple[Figure, list[float]]]:
    """Return that CPU figure for each process of a server that consists of several."""
    parts = loads[0].server_parts
    return [_median(f"{name}, of it {part}", "µs", loads, methodcaller("server_us_of", part)) for part in parts]


def _median(name: str, unit: str, runs: Sequence[Any], value: Callable[[Any], float]) -> tuple[Figure, list[float]]:
    values = [value(run) for run in runs]
    return Figure(name, statistics.median(values), unit), values
