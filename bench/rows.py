"""The rows of the check: what was asked, where it is found, and the yardstick of its ratio.

Names of scenarios, cases and figures are those that the scenarios give them.
"""

from collections.abc import Iterable, Mapping

from attrs import frozen

from bench import histogram
from bench.results import Figure, Result

TOLERANCE = 0.15
"""How much worse than its recorded ratio a row may be."""

_ADR = "docs/adr/0008-rows-that-are-short.md"
_RATES = "docs/adr/0011-company.md"
_GREW = "docs/adr/0016-where-a-message-grew.md"
_QUIET = "docs/adr/0017-quiet-rates.md"
SHORT_BECAUSE: Mapping[str, str] = {
    "durable": f"two threads share one interpreter lock, two hundred sessions one cache ({_ADR}; {_GREW})",
    "connect": f"two commits that at this rate are hardly shared ({_ADR})",
    "memory": f"a charge point's state, its tasks with their scopes, a queue of commands ({_QUIET})",
    "memory_charging": f"the last twenty messages of each charger, its transaction, its newest readings ({_QUIET})",
    "takeover": f"a connect's two commits, and the older session's end between them ({_QUIET})",
    "mass_end": f"an event with its commit for each ({_QUIET})",
    "command_loaded_p99": f"each of its hops waits behind bursts ({_QUIET})",
    "commands_32": f"two commits and two hops between loops for each ({_ADR})",
    "rate_1000": f"eight messages share a commit and its wake-ups, and the bare transport does neither ({_RATES})",
    "rate_1000_p50": f"a message waits for company ({_RATES})",
    "rate_375": f"few messages share a commit and its wake-ups ({_QUIET})",
    "rate_33": f"each message has a commit to itself, and the journal's thread has to be woken for it ({_RATES})",
    "idle": f"ticks of the collector, probes of the loops, and pings ({_RATES})",
    "startup": f"a second of it are imports, mostly of classes that attrs generates ({_QUIET})",
    "storm_connect": f"a read and two commits, the opening's for its epoch and the Boot's ({_RATES})",
}
"""Rows that are short of what was asked: why, and which ADR shows it."""


@frozen
class Source:
    """Source of a value: a figure of a case or, with ``percentile``, that of the case's histogram of that name."""

    scenario: str
    case: str
    name: str
    percentile: float | None = None

    def find(self, measured: Iterable[Result]) -> tuple[Figure, Result]:
        """The value and the result that it is in. Raises KeyError if it was not measured."""
        for result in measured:
            if (result.scenario, result.case) != (self.scenario, self.case):
                continue
            if not result.figures:
                raise KeyError("; ".join(result.notes) or f"{self.scenario} ({self.case}) has no figures")
            if self.percentile is None:
                units = {figure.name: figure.unit for figure in result.figures}
                return Figure(self.name, result.figure(self.name), units[self.name]), result
            value = histogram.milliseconds(result.histograms[self.name], self.percentile)
            return Figure(self.name, value, "ms"), result
        raise KeyError(f"there is no {self.scenario} ({self.case})")


@frozen
class Row:
    """A line of the check. ``limit`` bounds the value or, with ``limit_is_ratio``, its ratio to the yardstick.

    ``more_is_better``: a rate, which the limit bounds from below. Without a limit it is there for comparison: it must
    be measured, but is not judged. ``noise``: below this, in the unit of the value, one run differs from the next by
    more than is tolerated, whatever the gateway does; there nothing counts as worse. It stays below the limit.
    """

    key: str
    what: str
    source: Source
    yardstick: Source | float
    limit: float | None = None
    limit_is_ratio: bool = False
    more_is_better: bool = False
    noise: float = 0.0

    def met(self, value: float, ratio: float) -> bool:
        """Return true if it is what was asked."""
        if self.limit is None:
            return True
        found = ratio if self.limit_is_ratio else value
        return found >= self.limit if self.more_is_better else found <= self.limit

    def worse(self, value: float, ratio: float, reference: float | None) -> bool:
        """Return true if it has become worse by more than is tolerated."""
        if reference is None or self.limit is None or value < self.noise:
            return False
        allowed = 1 + TOLERANCE
        return ratio < reference / allowed if self.more_is_better else ratio > reference * allowed

    def asked(self, unit: str) -> str:
        """Return the target as text."""
        if self.limit is None:
            return "(comparison)"
        return f"{'≥' if self.more_is_better else '≤'} {self.limit:g} {'×' if self.limit_is_ratio else unit}".rstrip()


RATES, RATES_BARE = ("rates", "gateway"), ("rates", "bare")
"""The gateway at the rates of real fleets, and the bare transport at the same."""

BARE = ("transport", "bare")
"""Scenario and case of the bare transport: TLS, WebSocket, validated and answered, nothing stored."""

ROWS = (
    Row(
        "durable",
        "CPU per durable MeterValues, to that of the bare transport",
        Source("throughput", "200 sessions", "CPU per message"),
        Source(*BARE, "CPU per message"),
        2.0,
        limit_is_ratio=True,
    ),
    Row(
        "memory",
        "memory per session, booted, to that of the bare transport",
        Source("hold", "hold", "memory per session"),
        Source(*BARE, "memory per session"),
        1.25,
        limit_is_ratio=True,
    ),
    Row(
        "memory_charging",
        "memory per session, charging, to that of the bare transport",
        Source("hold", "hold", "memory per session, charging, in the end"),
        Source(*BARE, "memory per session"),
        1.4,
        limit_is_ratio=True,
    ),
    Row(
        "connect",
        "CPU per connect until Boot answered, to that of a bare TLS handshake",
        Source("storm", "restart", "CPU per connect"),
        Source("transport", "handshake", "CPU per handshake"),
        1.0,
    ),
    Row(
        "takeover",
        "CPU per takeover of a live connection until Boot answered, to that of a bare TLS handshake",
        Source("storm", "takeover", "CPU per takeover"),
        Source("transport", "handshake", "CPU per handshake"),
        1.0,
    ),
    Row(
        "mass_end",
        "CPU per session that ends, 1,000 at once, to that of a bare TLS handshake",
        Source("storm", "outage", "CPU per end and heartbeat"),
        Source("transport", "handshake", "CPU per handshake"),
        0.25,
    ),
    # What was asked is a minute for 10,000, and one core is the loop's.
    Row(
        "reconcile",
        "CPU per charge point with a plan, back and sent its profile, to that of a bare TLS handshake",
        Source("reconcile", "restart", "CPU per charge point, connect and all"),
        Source("transport", "handshake", "CPU per handshake"),
        6.0,
    ),
    Row(
        "command_idle_p50",
        "command, 1 caller, idle, p50, to that of a bare echo",
        Source("commands", "1 caller, idle", "command", 50),
        Source("commands", "echo, 1 caller", "echo", 50),
        2.0,
    ),
    Row(
        "command_loaded_p99",
        "command, 1 caller, under load, p99, to that of a bare echo",
        Source("commands", "1 caller, loaded", "command", 99),
        Source("commands", "echo, 1 caller", "echo", 99),
        6.0,
    ),
    Row(
        "commands_32",
        "commands a second, 32 callers, to that of a bare echo",
        Source("commands", "32 callers, idle", "rate"),
        Source("commands", "echo, 32 callers", "rate"),
        2500,
        more_is_better=True,
    ),
    Row(
        "rate_1000",
        "CPU per durable MeterValues at 1,000/s over 2,000 sessions, to that of the bare transport at the same",
        Source(*RATES, "CPU per message, high"),
        Source(*RATES_BARE, "CPU per message, high"),
        2.0,
        limit_is_ratio=True,
    ),
    Row(
        "rate_1000_p50",
        "answer at 1,000/s, p50, to 6 ms",
        Source(*RATES, "answer at the high rate", 50),
        6.0,
        6.0,
        noise=5.5,
    ),
    Row(
        "rate_1000_p99",
        "answer at 1,000/s, p99, to 15 ms",
        Source(*RATES, "answer at the high rate", 99),
        15.0,
        15.0,
        noise=14.0,
    ),
    Row(
        "rate_375",
        "the same at 375/s, as 18,000 chargers send it",
        Source(*RATES, "CPU per message, fleet"),
        Source(*RATES_BARE, "CPU per message, fleet"),
        2.0,
        limit_is_ratio=True,
    ),
    Row(
        "rate_33",
        "the same at 33/s, net of the idle load",
        Source(*RATES, "CPU per message, low"),
        Source(*RATES_BARE, "CPU per message, low"),
        2.0,
        limit_is_ratio=True,
    ),
    Row(
        "idle",
        "CPU of 2,000 sessions that say nothing, to 2 ms/s",
        Source(*RATES, "idle CPU"),
        2.0,
        2.0,
        noise=1.5,
    ),
    Row(
        "storm_connect",
        "CPU per connect until Boot answered at 300/s, to that of the bare transport at the same",
        Source(*RATES, "CPU per connect"),
        Source(*RATES_BARE, "CPU per connect"),
        2.5,
        limit_is_ratio=True,
    ),
    # One disturbance in thousands of answers makes a maximum.
    Row("pause", "longest pause, to 50 ms", Source("hold", "hold", "longest pause"), 50.0, 50, noise=45),
    # Of 10,000 charge points a second; the short form has 2,000.
    Row(
        "snapshot_readings",
        "snapshot of the readings and states of 2,000 charge points, to 200 ms",
        Source("lists", "lists", "snapshot of readings and states"),
        200.0,
        200.0,
        noise=150.0,
    ),
    Row(
        "snapshot_open",
        "snapshot of 2,000 open transactions, to 200 ms",
        Source("lists", "lists", "snapshot of open transactions"),
        200.0,
        200.0,
        noise=150.0,
    ),
    Row(
        "snapshot_message",
        "largest message of a snapshot, to 1 MiB",
        Source("lists", "lists", "largest message of a snapshot"),
        1024.0,
        1024.0,
        noise=1023.0,
    ),
    Row(
        "snapshot_wait",
        "longest wait of a charger during snapshots, to 50 ms",
        Source("lists", "lists", "longest wait of a charger during snapshots"),
        50.0,
        50.0,
        noise=45.0,
    ),
    Row(
        "delivery",
        "CPU per further delivery of an event, to that of a bare gRPC stream message",
        Source("watch", "10 watchers", "CPU per further delivery"),
        Source("watch", "bare stream", "CPU per message"),
        4.0,
        noise=2.0,  # a difference of two measurements of the whole gateway, divided by thousands
    ),
    Row(
        "startup",
        "until chargers are accepted, full database, to a bare process start with its imports",
        Source("startup", "warm", "until accepting"),
        Source("startup", "bare process", "until ready"),
        1.5,
    ),
    Row(
        "soak",
        "memory in the end of the churn, to that after the warm-up",
        Source("soak", "soak", "memory in the end"),
        Source("soak", "soak", "memory after the warm-up"),
        1.05,
        limit_is_ratio=True,
    ),
    *(
        Row(
            f"{key}_{short}",
            f"{peer}: {what}, to that of the bare transport",
            Source("peers", peer, what),
            Source(*BARE, what),
        )
        for key, peer in (("mobilityhouse", "mobilityhouse"), ("ocpp_rpc", "ocpp-rpc"))
        for short, what in (("cpu", "CPU per message"), ("memory", "memory per session"))
    ),
)
