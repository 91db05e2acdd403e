"""A fleet of chargers in processes of their own, controlled from here: ``with fleet(server, credentials) as f``.

The processes (`bench.fleet_process`) run on the driver's cores and answer in JSON lines. Everything that measures says
what the driver itself cost and what the server used meanwhile, by the kernel's accounting.
"""

import selectors
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from bench import cores, histogram
from bench.fleet_jobs import OPENING
from bench.fleet_pipe import FleetFailed, FleetPipe
from bench.fleet_results import Checked, Connected, Load, TakenOver
from bench.processes import Credentials, Server, Usage

PER_ADDRESS = 15_000
"""Connections from one source address: it has 28,000 ports (``ip_local_port_range``), and those of closed ones are
held for a minute."""

PER_PROCESS = 19_000
"""Sessions of one process; hard limits of 20,000 descriptors are common."""

CONNECT_SECONDS = 60.0
"""After which a connection whose Boot is not answered counts as failed; chargers give up at about that."""

SETTLE_SECONDS = 4.0
"""From the last Boot until a gateway has configured all chargers: it leaves each alone for 2 s, then asks it to change
two settings. What is measured before that has those commands in it."""

ANSWER_SECONDS = 30.0
"""How much longer than it should a process may take to answer before it counts as broken."""


class Fleet:
    """Chargers in processes. Not for several threads. ``progress`` is called with the number done while many work."""

    def __init__(
        self,
        server: Server,
        credentials: Sequence[Credentials],
        *,
        processes: int = 1,
        source_addresses: Sequence[str] | None = None,
    ) -> None:
        if processes < 1 or len(credentials) > processes * PER_PROCESS:
            raise ValueError(f"one process holds {PER_PROCESS} sessions at most, {len(credentials)} were asked for")
        self.progress: Callable[[int], None] | None = None
        self._server = server
        self._credentials = list(credentials)
        self._sources = list(source_addresses or _sources(len(credentials)))
        self._how_many = processes
        self._processes: list[FleetPipe] = []
        self._before: Usage | None = None

    def __len__(self) -> int:
        return len(self._credentials)

    def __enter__(self) -> "Fleet":
        try:
            with cores.on(cores.driver_cores()):
                for number in range(self._how_many):
                    self._processes.append(FleetPipe(self._plan(number)))
            for process in self._processes:
                process.answer(ANSWER_SECONDS)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.end()
        self._processes.clear()

    def _plan(self, number: int) -> dict[str, Any]:
        server = self._server
        mine = self._credentials[number :: self._how_many]
        return {
            "host": server.host,
            "port": server.port,
            "path": server.path,
            "ca_file": str(server.ca_file),
            "credentials": [(each.identity, each.key.hex()) for each in mine],
            "sources": self._sources,
            "cores": list(cores.driver_cores()),
            "offset": number / self._how_many,
        }

    # --- connecting -------------------------------------------------------------------------------------------

    def connect(
        self,
        *,
        rate: float | None = None,
        boot: bool = True,
        status: bool = True,
        transaction: bool = False,
        order: Sequence[int] | None = None,
        count: int | None = None,
        seconds_each: float = CONNECT_SECONDS,
        at_once: int = OPENING,
    ) -> Connected:
        """Connect all that aren't: ``rate`` a second, whether or not the ones before are done, or (None) as fast as it
        goes with ``at_once`` of each process under way. Each boots, says its status, begins a transaction, as asked.

        ``order``: indexes of the credentials in the order wanted, also some of them only; ``count``: so many of the
        first ones.
        """
        wanted = list(order if order is not None else range(len(self)))[:count]
        per_process: list[list[int]] = [[] for _ in self._processes]
        for index in wanted:
            per_process[index % self._how_many].append(index // self._how_many)
        said = ("BootNotification",) * boot + ("StatusNotification",) * status + ("StartTransaction",) * transaction
        seconds = ANSWER_SECONDS + seconds_each + (len(wanted) / rate if rate else len(wanted) / 20)
        alike = {"do": "connect", "rate": self._share(rate), "script": said}
        alike |= {"seconds_each": seconds_each, "at_once": at_once}
        orders = [{**alike, "order": mine} for mine in per_process]
        return Connected(**self._job(orders, seconds))

    def take_over(
        self,
        *,
        rate: float | None = None,
        boot: bool = True,
        status: bool = True,
        seconds_each: float = CONNECT_SECONDS,
    ) -> TakenOver:
        """Each live charger connects once more while its connection is still open; the server is to end the old one.

        The newcomers make up the fleet then.
        """
        said = ("BootNotification",) * boot + ("StatusNotification",) * status
        order = {"do": "takeover", "rate": self._share(rate), "script": said, "seconds_each": seconds_each}
        seconds = ANSWER_SECONDS + 2 * seconds_each + (len(self) / rate if rate else len(self) / 20)
        return TakenOver(**self._job([order] * self._how_many, seconds, takeover=True))

    def send(self, action: str, *, rate: float | None = None, seconds_each: float = CONNECT_SECONDS) -> Connected:
        """Each live charger sends one message; ``latency`` stays empty. StartTransaction makes them all charge."""
        order = {"do": "send", "action": action, "rate": self._share(rate), "seconds_each": seconds_each}
        seconds = ANSWER_SECONDS + seconds_each + (len(self) / rate if rate else len(self) / 100)
        return Connected(**self._job([order] * self._how_many, seconds))

    def _share(self, rate: float | None) -> float | None:
        return None if rate is None else rate / self._how_many

    def _job(self, orders: Sequence[Mapping[str, Any]], seconds: float, takeover: bool = False) -> dict[str, Any]:
        before = self._server.usage()
        for process, order in zip(self._processes, orders, strict=True):
            process.tell(order)
        answers = self._answers(seconds)
        after = self._server.usage()
        took = max(each["seconds"] for each in answers)
        driver = sum(each["cpu_seconds"] for each in answers)
        result = {
            "connected": sum(each["done"] for each in answers),
            "failures": _sum(each["failures"] for each in answers),
            "seconds": took,
            "begun_seconds": max(each["begun_seconds"] for each in answers),
            "latency": histogram.merged(histogram.decoded(each["latency"]) for each in answers),
            "overtaken": max(each["overtaken"] for each in answers),
            "driver_cores": driver / took if took else 0.0,
            "driver_cpu_seconds": driver,
            "server_cpu_seconds": after.cpu_seconds - before.cpu_seconds,
            "server_rss_growth": after.rss_bytes - before.rss_bytes,
        }
        if takeover:
            result["ends"] = _sum(each["ends"] for each in answers)
            result["overlap"] = histogram.merged(histogram.decoded(each["overlap"]) for each in answers)
        return result

    # --- sending ----------------------------------------------------------------------------------------------

    def closed_loop(
        self, seconds: float, warm_up: float = 2.0, action: str = "MeterValues", at_once: int | None = None
    ) -> Load:
        """Every charger sends its next message as soon as the last one is confirmed; or, with ``at_once`` of each
        process under way, as soon as all the others have had their turn."""
        self._tell_all({"do": "closed_loop", "action": action, "at_once": at_once})
        time.sleep(warm_up)
        self.mark()
        self._sleep(seconds)
        return self._stop()

    def start_open_loop(
        self,
        *,
        meter_values_every: float | None = None,
        heartbeat_every: float | None = None,
        rate: float | None = None,
    ) -> None:
        """Messages by the clock, spread evenly over the chargers, until `stop_open_loop`.

        ``rate``: MeterValues a second of all together, in place of each one's period in seconds.
        """
        periods = {"MeterValues": len(self) / rate if rate else meter_values_every, "Heartbeat": heartbeat_every}
        every = {action: period for action, period in periods.items() if period is not None}
        if not every:
            raise ValueError("nothing to send")
        self._before = self._server.usage()
        self._tell_all({"do": "open_loop", "every": every})

    def mark(self) -> None:
        """Count from here on: what was before was to warm up."""
        self._tell_all({"do": "mark"})
        self._before = self._server.usage()

    def stop_open_loop(self) -> Load:
        """End the open loop and return its result, once the last answers are in."""
        return self._stop()

    def _stop(self) -> Load:
        assert self._before is not None, "nothing was started"
        self._tell_all({"do": "stop"})
        answers = self._answers(ANSWER_SECONDS)
        after, before = self._server.usage(), self._before
        self._before = None
        took = max(each["seconds"] for each in answers)
        driver = sum(each["cpu_seconds"] for each in answers)
        return Load(
            messages=sum(each["messages"] for each in answers),
            in_time=sum(each["in_time"] for each in answers),
            seconds=took,
            latency=histogram.merged(histogram.decoded(each["latency"]) for each in answers),
            errors=_sum(each["errors"] for each in answers),
            driver_cores=driver / took if took else 0.0,
            driver_cpu_seconds=driver,
            server_cpu_seconds=after.cpu_seconds - before.cpu_seconds,
            server_rss_growth=after.rss_bytes - before.rss_bytes,
            longest_turn=max(each["longest_turn"] for each in answers),
            pauses=tuple(sorted((at, length) for each in answers for at, length in each["pauses"])),
            server_parts={name: seconds - before.parts.get(name, 0.0) for name, seconds in after.parts.items()},
        )

    # --- ends -------------------------------------------------------------------------------------------------

    def disconnect(self, *, abrupt: bool = False, share: float = 1.0) -> None:
        """Close this share of all: with a Close frame, or (``abrupt``) with a TCP reset and no word."""
        self._tell_all({"do": "disconnect", "abrupt": abrupt, "share": share})
        self._answers(ANSWER_SECONDS)

    def vanish(self) -> None:
        """All are gone at once, faster than any `disconnect`; the fleet is of no use afterwards."""
        for process in self._processes:
            process.kill()

    def check(self) -> Checked:
        """Count chargers that are alive and losses since the last time. Not while the fleet sends."""
        self._tell_all({"do": "check"})
        answers = self._answers(ANSWER_SECONDS)
        return Checked(
            alive=sum(each["alive"] for each in answers),
            errors=_sum(each["errors"] for each in answers),
            asked=_sum(each["asked"] for each in answers),
            driver_rss_bytes=sum(each["rss_bytes"] for each in answers),
        )

    # --- the pipes --------------------------------------------------------------------------------------------

    def _tell_all(self, order: Mapping[str, Any]) -> None:
        for process in self._processes:
            process.tell(order)

    def _sleep(self, seconds: float) -> None:
        """Sleep, unless a process ends meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            for process in self._processes:
                process.check()

    def _answers(self, seconds: float) -> list[dict[str, Any]]:
        """One of each process, in their order; progress is passed on meanwhile. Raises FleetFailed."""
        found: dict[FleetPipe, dict[str, Any]] = {}
        done: dict[FleetPipe, int] = {}
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for process in self._processes:
                selector.register(process.output, selectors.EVENT_READ, process)
            while len(found) < len(self._processes):
                ready = selector.select(max(0.0, until - time.monotonic()))
                if not ready:
                    raise FleetFailed(f"a process of the fleet did not answer within {seconds:.0f} s")
                for key, _ in ready:
                    for message in key.data.messages():
                        if "progress" in message:
                            done[key.data] = message["progress"]
                            if self.progress is not None:
                                self.progress(sum(done.values()))
                        else:
                            found[key.data] = message
        return [found[process] for process in self._processes]


def fleet(
    server: Server,
    credentials: Sequence[Credentials],
    *,
    processes: int = 1,
    source_addresses: Sequence[str] | None = None,
) -> Fleet:
    """A fleet for ``with``: no charger is connected yet. Source addresses: as many as it takes, unless given."""
    return Fleet(server, credentials, processes=processes, source_addresses=source_addresses)


def _sources(sessions: int) -> list[str]:
    """Of loopback, all of whose 127.0.0.0/8 answers; one more than needed, for closed connections keep their ports."""
    return [f"127.0.0.{number}" for number in range(1, 3 + sessions // PER_ADDRESS)]


def _sum(counts: Iterator[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total.most_common())
