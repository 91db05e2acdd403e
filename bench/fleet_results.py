"""Results of what a fleet of chargers did: connecting, being taken over, sending, and its state."""

from collections.abc import Mapping

from attrs import field, frozen
from hdrh.histogram import HdrHistogram


@frozen(kw_only=True)
class Connected:
    """Result of connecting.

    ``connected``: how many are ready (booted, or whatever was asked for). ``latency``: microseconds from when each was
    due to connect until its Boot was answered, those that failed not among them. ``overtaken``: by how many later ones
    one charger was overtaken at most. ``begun_seconds``: until the last one was begun. ``driver_cores``: CPU seconds
    per second of all processes together.
    """

    connected: int
    failures: Mapping[str, int]
    seconds: float
    begun_seconds: float
    latency: HdrHistogram = field(eq=False)
    overtaken: int
    driver_cores: float
    driver_cpu_seconds: float
    server_cpu_seconds: float
    server_rss_growth: int


@frozen(kw_only=True)
class TakenOver(Connected):
    """Result of a takeover: how the connections that were replaced ended (by reason), and ``overlap``, microseconds
    from the newcomer's upgrade until then."""

    ends: Mapping[str, int]
    overlap: HdrHistogram = field(eq=False)


@frozen(kw_only=True)
class Load:
    """Result of sending.

    ``messages``: confirmed ones, of which ``in_time`` before the sending was stopped; ``latency``: microseconds from
    when each was due (in a closed loop: sent) until its confirmation was read. ``longest_turn``: seconds that the
    driver's loop needed for one turn at most: what it may have added to a latency. ``pauses`` of an open loop: seconds
    since the mark, and for how long (20 ms and more) what was due went unanswered. ``server_parts``: CPU seconds by
    process, where the server is several.
    """

    messages: int
    in_time: int
    seconds: float
    latency: HdrHistogram = field(eq=False)
    errors: Mapping[str, int]
    driver_cores: float
    driver_cpu_seconds: float
    server_cpu_seconds: float
    server_rss_growth: int
    longest_turn: float
    pauses: tuple[tuple[float, float], ...]
    server_parts: Mapping[str, float] = field(factory=dict)

    @property
    def rate(self) -> float:
        """Confirmed messages per second."""
        return self.in_time / self.seconds if self.seconds else 0.0

    @property
    def server_us_per_message(self) -> float:
        """CPU of the server's for each confirmed message, microseconds."""
        return 1e6 * self.server_cpu_seconds / self.messages if self.messages else 0.0

    def server_us_of(self, part: str) -> float:
        """The same of one of the server's processes."""
        return 1e6 * self.server_parts.get(part, 0.0) / self.messages if self.messages else 0.0

    @property
    def driver_us_per_message(self) -> float:
        """The same of the driver's."""
        return 1e6 * self.driver_cpu_seconds / self.messages if self.messages else 0.0

    @property
    def server_cores(self) -> float:
        """CPU seconds per second of the server's."""
        return self.server_cpu_seconds / self.seconds if self.seconds else 0.0


@frozen(kw_only=True)
class Checked:
    """State of the fleet. Since the last check, ``errors``: what was lost or refused, and ``asked``: the server's CALLs
    that were confirmed, by action."""

    alive: int
    errors: Mapping[str, int]
    asked: Mapping[str, int]
    driver_rss_bytes: int
