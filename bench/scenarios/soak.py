"""An hour of a fleet's life: 18,000 sessions of which some come and go, in which memory must not grow.

Some chargers stay and report; others come, charge, are taken over and go, with a word or without, all the time; both
are commanded; some watchers stay, others come and go, too; and events go by retention, as they do in years. First the
database's caches are filled, which is growth that ends by itself: chargers report as fast as they can until the
database is larger than they are, and watchers read it from its beginning. From then on the gateway's memory is sampled,
and a straight line is laid through it: what it says of the end is held against what it says of the beginning. The
longest wait of those that stay counts from the moment their message was due. In the end all leave, and nothing may be
left of them: no session, no descriptor, no thread.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import grpc
from attrs import define, field, frozen
from rich.console import Console
from rich.progress import Progress

from bench import histogram
from bench.fleet import Fleet, fleet
from bench.fleet_results import Connected
from bench.processes import Gateway, Stopwatch, gateway, usage
from bench.results import Figure, Result
from bench.scenarios.hold import pauses, slow_parts
from gateway.api.v1 import command_pb2, command_pb2_grpc, common_pb2, event_pb2, event_pb2_grpc

NAME = "soak"
HELP = "churn among 18,000 chargers, commands, watchers, retention: memory, longest wait; an hour (--seconds for less)"

SHORT: Mapping[str, Any] = {"seconds": 45.0, "stay": 200, "come": 80, "every": 1.0, "watchers": 2}

CACHES = 96 * 2**20
"""Bytes of the database that the gateway keeps in memory at most: 64 MiB for writing, 4 for each of 8 readers."""

FILL_SECONDS = 60.0
"""After so long the caches have to do as they are."""

READERS = 8
"""That read the database from its beginning, so that each of its readers' caches is filled, too."""

SETTLE_SECONDS = 5.0
"""Between filling and sampling: what the rush needed is given back."""

COMMANDS_PER_SECOND = 20
MINUTES_A_DAY = 24 * 60.0
RATE = 100.0
"""Connects and takeovers a second: far below what would make a storm of it."""

OFFLINE = frozenset({"CHARGE_POINT_OFFLINE", "OUTCOME_UNKNOWN", "NOT_SENT", "QUEUE_FULL"})
"""What may become of a command whose charger comes and goes."""

QUIET_SECONDS = 30.0
DESCRIPTORS = 8 * 3 + 8
"""That may be open besides those from before: of the store's readers, opened at need, and of late clients."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.add_argument("--seconds", type=float, default=3600.0, help="to sample, at least 20 (%(default)s)")
    parser.add_argument("--stay", type=int, default=17_400, help="chargers that stay (%(default)s)")
    parser.add_argument("--come", type=int, default=600, help="chargers that come and go (%(default)s)")
    parser.add_argument(
        "--every", type=float, default=50.0, metavar="S", help="MeterValues of those that stay (%(default)s)"
    )
    parser.add_argument("--watchers", type=int, default=5, help="of everything, that stay (%(default)s)")
    parser.add_argument(
        "--keep-minutes", type=float, default=10.0, help="retention of what no open transaction needs (%(default)s)"
    )


@frozen
class Sample:
    """Resources that the gateway held at one time."""

    at: float
    rss_bytes: int
    threads: int
    descriptors: int


@define
class Churn:
    """Counts of events, and of faults. Used by several threads."""

    happened: Counter[str] = field(factory=Counter)
    surprises: Counter[str] = field(factory=Counter)
    over: Event = field(factory=Event)
    _lock: Lock = field(factory=Lock)

    def count(self, what: str, how_often: int = 1) -> None:
        """Something happened."""
        with self._lock:
            self.happened[what] += how_often

    def surprise(self, what: str, how_often: int = 1) -> None:
        """Something happened that should not have."""
        with self._lock:
            self.surprises[what] += how_often

    def again_and_again(self, act: Callable[[], None]) -> Thread:
        """Do it in a thread of its own until it is over. What it raises is a surprise, and ends it."""

        def run() -> None:
            try:
                while not self.over.is_set():
                    act()
            except Exception as error:
                self.surprise(f"{type(error).__name__}: {error}")

        thread = Thread(target=run, name=getattr(act, "__name__", "churn"))
        thread.start()
        return thread


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """One result, whose figures before and after are those of the straight line."""
    churn = Churn()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-soak-")))
        retention = f"[store.retention]\nmax_age_days = {options.keep_minutes / MINUTES_A_DAY!r}\n"
        measured = stack.enter_context(gateway(folder, settings=retention))
        stay = stack.enter_context(fleet(measured, measured.provision(options.stay, "ST")))
        come = stack.enter_context(fleet(measured, measured.provision(options.come, "CO")))
        before = _sample(measured)
        _record(churn, "connected", stay.connect(rate=4 * RATE, transaction=True))
        console.print("The database's caches are filled")
        _fill(measured, stay)
        stay.start_open_loop(meter_values_every=options.every, heartbeat_every=10 * options.every)
        stay.mark()
        with _churning(churn, measured, come, options):
            time.sleep(SETTLE_SECONDS)
            server, everything = Stopwatch.of(measured.pid), Stopwatch.of(os.getpid())
            metrics = measured.metrics()
            samples = list(_samples(measured, options.seconds, console))
            server_cores, all_cores = server.stop().cores, everything.stop().cores
            slow = slow_parts(metrics, measured.metrics())
        load = stay.stop_open_loop()
        size = measured.disk_bytes()
        oldest = _oldest(measured, "CO00000")
        for reason, times in load.errors.items():
            churn.surprise(reason, times)
        alive = stay.check().alive
        if alive != options.stay:
            churn.surprise("a charger that was to stay was not there in the end", options.stay - alive)
        stay.disconnect()
        _until_quiet(measured, before, churn)
    at_first, in_the_end = line(samples)
    hours = (samples[-1].at - samples[0].at) / 3600
    connects = churn.happened["connected"] + churn.happened["taken over"]
    return [
        Result(
            scenario=NAME,
            case=NAME,
            plan={name: getattr(options, name) for name in PLAN},
            figures=[
                Figure("memory after the warm-up", at_first / 2**20, "MiB"),
                Figure("memory in the end", in_the_end / 2**20, "MiB"),
                Figure("growth", (in_the_end - at_first) / 2**20 / hours, "MiB/h"),
                Figure("growth per connect", (in_the_end - at_first) / connects, "B"),
                Figure("connects", connects),
                Figure("messages of those that stay", load.rate, "1/s"),
                Figure("longest wait of those that stay", histogram.milliseconds(load.latency, 100), "ms"),
                Figure("driver's longest turn", 1000 * load.longest_turn, "ms"),
                Figure("oldest event of one that comes and goes", oldest / 60, "min"),
                Figure("database in the end", size / 2**20, "MiB"),
                Figure("threads, most", max(each.threads for each in samples)),
                Figure("descriptors, most", max(each.descriptors for each in samples)),
            ],
            histograms={"answer": load.latency},
            series={"memory, MiB": [(each.at - samples[0].at, each.rss_bytes / 2**20) for each in samples]},
            driver_cores=all_cores - server_cores,
            server_cores=server_cores,
            invalid_because=[f"{times} times: {what}" for what, times in churn.surprises.most_common()],
            notes=[
                "; ".join(f"{what} {times:,}" for what, times in sorted(churn.happened.items())),
                slow,
                *pauses(load),
            ],
        )
    ]


PLAN = ("seconds", "stay", "come", "every", "watchers", "keep_minutes")


def line(samples: Sequence[Sample]) -> tuple[float, float]:
    """Memory at the first and the last sample by the straight line through all of them."""
    slope, intercept = statistics.linear_regression([s.at for s in samples], [s.rss_bytes for s in samples])
    return intercept + slope * samples[0].at, intercept + slope * samples[-1].at


# --- what happens ---------------------------------------------------------------------------------------------


def _fill(measured: Gateway, stay: Fleet) -> None:
    """The caches of the database."""
    until = time.monotonic() + FILL_SECONDS
    while measured.disk_bytes() < CACHES and time.monotonic() < until:
        stay.closed_loop(2.0, warm_up=0.0)
    readers = [Thread(target=_read_all, args=(measured,)) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()


def _read_all(measured: Gateway) -> None:
    """The first events, some thousand, over a channel of its own."""
    _watch(measured, event_pb2.WATCH_START_BEGINNING, 200)


@contextmanager
def _churning(churn: Churn, measured: Gateway, come: Fleet, options: argparse.Namespace) -> Iterator[None]:
    """All of it, until the block is left."""
    identities = [f"ST{number:05}" for number in range(options.stay)] + [f"CO{n:05}" for n in range(options.come)]
    targets = itertools.cycle(identities)
    turns = itertools.count()
    starts = itertools.cycle([event_pb2.WATCH_START_BEGINNING, event_pb2.WATCH_START_NOW])
    with grpc.insecure_channel(measured.control_address) as channel:
        commands = command_pb2_grpc.CommandServiceStub(channel)

        def come_and_go() -> None:
            _visit(churn, come, next(turns))

        def command() -> None:
            churn.count(f"command: {_command(churn, commands, next(targets))}")
            churn.over.wait(1 / COMMANDS_PER_SECOND)

        def watch() -> None:
            churn.count("events watched", _watch(measured, next(starts), 20))
            churn.count("watches")
            churn.over.wait(0.5)

        def watch_on() -> None:
            _watch_on(churn, measured)

        acts = (come_and_go, command, watch, *[watch_on] * options.watchers)
        threads = [churn.again_and_again(act) for act in acts]
        try:
            yield
        finally:
            churn.over.set()
            for thread in threads:
                thread.join()


def _visit(churn: Churn, come: Fleet, turn: int) -> None:
    """They come, charge, are taken over every other time, stop charging, and go: in turn with a word and without."""
    _record(churn, "connected", come.connect(rate=RATE, transaction=True))
    _record(churn, "reported", come.send("MeterValues", rate=4 * RATE))
    if turn % 2:
        _record(churn, "taken over", come.take_over(rate=RATE))
    else:
        _record(churn, "stopped charging", come.send("StopTransaction", rate=4 * RATE))
    come.disconnect(abrupt=turn % 4 < 2)


def _record(churn: Churn, what: str, done: Connected) -> None:
    churn.count(what, done.connected)
    for reason, times in done.failures.items():
        churn.surprise(f"{what}: {reason}", times)


def _command(churn: Churn, commands: command_pb2_grpc.CommandServiceStub, identity: str) -> str:
    """One that changes nothing; what became of it."""
    request = command_pb2.ChangeAvailabilityRequest(
        charge_point=identity,
        request_id=str(uuid.uuid4()),
        connector=common_pb2.ConnectorAddress(evse=1, connector=1),
        type=command_pb2.AVAILABILITY_TYPE_OPERATIVE,
    )
    try:
        commands.ChangeAvailability(request, timeout=10)
    except grpc.RpcError as error:
        found = [reason for reason in OFFLINE if reason.encode() in _details(error)]
        if not found or identity.startswith("ST"):
            churn.surprise(f"a command to {identity[:2]}…: {error.code().name} {error.details()}")
        return found[0] if found else error.code().name
    return "answered"


def _details(error: grpc.RpcError) -> bytes:
    """The error's details in their binary form, in which the reason stands as it is."""
    metadata: Any = error.trailing_metadata() or ()  # pairs, which the stubs don't say
    return b"".join(value for key, value in metadata if key == "grpc-status-details-bin")


def _watch(measured: Gateway, start: "event_pb2.WatchStart.ValueType", batches: int) -> int:
    """Some batches of all events, at most two seconds of them; how many events."""
    events = 0
    with grpc.insecure_channel(measured.control_address) as channel:
        request = event_pb2.WatchEventsRequest(start_at=start)
        stream = event_pb2_grpc.EventServiceStub(channel).WatchEvents(request, timeout=2)
        try:
            for batch in itertools.islice(stream, batches):
                events += len(batch.events)
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.DEADLINE_EXCEEDED, _overtaken(start)):
                raise
        finally:
            stream.cancel()  # type: ignore[no-untyped-call]
    return events


def _overtaken(start: "event_pb2.WatchStart.ValueType") -> grpc.StatusCode | None:
    """Return what a watch may end with that retention has overtaken: one that reads from the beginning."""
    return grpc.StatusCode.OUT_OF_RANGE if start == event_pb2.WATCH_START_BEGINNING else None


def _watch_on(churn: Churn, measured: Gateway) -> None:
    """All events from now on, until it is over. An end of the watch, and an older connection's event after one of its
    successor, are surprises."""
    epochs: dict[str, int] = {}
    with grpc.insecure_channel(measured.control_address) as channel:
        request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_NOW)
        stream = event_pb2_grpc.EventServiceStub(channel).WatchEvents(request)
        for batch in stream:
            for event in batch.events:
                if event.epoch < epochs.get(event.charge_point, 0):
                    churn.surprise("an event of an older connection after one of its successor")
                epochs[event.charge_point] = event.epoch
            churn.count("events of the watchers that stay", len(batch.events))
            if churn.over.is_set():
                stream.cancel()  # type: ignore[no-untyped-call]
                return
    churn.surprise("a watch that was to stay has ended")


def _oldest(measured: Gateway, identity: str) -> float:
    """Seconds since the oldest event of this charge point that is still there."""
    request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING, charge_points=[identity])
    with grpc.insecure_channel(measured.control_address) as channel:
        for batch in event_pb2_grpc.EventServiceStub(channel).WatchEvents(request, timeout=60):
            for event in batch.events:
                return time.time() - event.receive_time.ToDatetime(UTC).timestamp()
    return 0.0


# --- what it costs --------------------------------------------------------------------------------------------


def _samples(measured: Gateway, seconds: float, console: Console) -> Iterator[Sample]:
    """A hundred at least, and one in five seconds at least."""
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task("churning", total=seconds)
        begin = time.monotonic()
        while (past := time.monotonic() - begin) < seconds:
            yield _sample(measured)
            bars.update(bar, completed=past)
            time.sleep(min(5.0, seconds / 100))


def _sample(measured: Gateway) -> Sample:
    used = usage(measured.pid)
    descriptors = len(list(Path(f"/proc/{measured.pid}/fd").iterdir()))
    return Sample(time.monotonic(), used.rss_bytes, used.threads, descriptors)


HELD = ("gateway_sessions", "gateway_connections", "gateway_handshakes")
"""Metrics of what chargers hold, all of them 0 once they have gone."""


def _until_quiet(measured: Gateway, before: Sample, churn: Churn) -> None:
    """All have gone; what is left of them is a surprise."""
    until = time.monotonic() + QUIET_SECONDS
    while True:
        left = {name: measured.total(name) for name in HELD}
        descriptors = _sample(measured).descriptors - before.descriptors
        if not any(left.values()) and descriptors <= DESCRIPTORS:
            return
        if time.monotonic() > until:
            churn.surprise(f"left behind: {left}, {descriptors} descriptors")
            return
        time.sleep(0.25)
