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
SHORT_BECAUSE: Mapping[str, str] = {
    "durable": f"two threads share one interpreter lock, two hundred sessions one cache ({_ADR})",
    "connect": f"two commits that at this rate are hardly shared ({_ADR})",
    "commands_32": f"two commits and two hops between loops for each ({_ADR})",
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
        44,
    ),
    Row(
        "connect",
        "CPU per connect until Boot answered, to that of a bare TLS handshake",
        Source("storm", "restart", "CPU per connect"),
        Source("transport", "handshake", "CPU per handshake"),
        1.0,
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
        8.0,
    ),
    Row(
        "commands_32",
        "commands a second, 32 callers, to that of a bare echo",
        Source("commands", "32 callers, idle", "rate"),
        Source("commands", "echo, 32 callers", "rate"),
        2000,
        more_is_better=True,
    ),
    # One disturbance in thousands of answers makes a maximum.
    Row("pause", "longest pause, to 50 ms", Source("hold", "hold", "longest pause"), 50.0, 50, noise=45),
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
        3.0,
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
