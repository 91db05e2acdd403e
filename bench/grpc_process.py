"""The process behind ``grpc_driver``: clients of the control interface, on grpc.aio as its users have it.

It takes one JSON object a line on standard input and answers each with one on standard output: ``start`` some work,
``mark`` the begin of what is measured and ``cut`` its end, ``finish``. It stays below what the gateway spends: requests
are counted in dictionaries, and a batch of events that reaches several watchers with the same bytes is parsed once.
"""

import asyncio
import gc
import itertools
import json
import signal
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import grpc

from bench import histogram
from gateway.api.v1 import command_pb2, event_pb2
from gateway.api.v1.command_pb2_grpc import CommandServiceStub
from gateway.client import describe, problem_of

CALL_SECONDS = 30.0
"""Deadline of a command, as a careful caller sets one."""

PRIMING = 32
"""Commands under way at once while each charger takes its first one, outside of what is measured."""

PRIMING_SECONDS = 60.0

WATCH_SECONDS = 30.0
"""For a watch to begin, and for its last events to arrive."""

RECENT = 8
"""Batches of which the bytes are kept, to recognise those that another watcher has had already."""

OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # Callers that know nothing of each other have a connection each.
    ("grpc.use_local_subchannel_pool", 1),
)


class Work(Protocol):
    """Work of the process until asked to finish."""

    async def start(self) -> dict[str, Any]: ...

    def mark(self) -> None: ...

    def cut(self) -> None: ...

    async def finish(self) -> dict[str, Any]: ...


class Calls:
    """Callers that command chargers, each the next one once the last is answered. No two ask the same charger."""

    def __init__(self, address: str, targets: Sequence[str], callers: int, prime: bool) -> None:
        self._channel = grpc.aio.insecure_channel(address, OPTIONS)
        self._trigger: Any = CommandServiceStub(self._channel).TriggerMessage
        self._targets = targets
        self._callers = callers
        self._prime = prime
        self._run_id = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []
        self._latencies: Counter[int] = Counter()
        self._failures: Counter[str] = Counter()
        self._measured: tuple[Counter[int], Counter[str]] = (Counter(), Counter())
        self._begin = self._seconds = 0.0

    async def start(self) -> dict[str, Any]:
        if self._prime:
            await self._prime_all()
        callers = self._callers
        self._tasks = [asyncio.create_task(self._call(self._targets[n::callers])) for n in range(callers)]
        return {"callers": callers}

    def mark(self) -> None:
        self._latencies, self._failures = Counter(), Counter()
        self._begin = time.perf_counter()

    def cut(self) -> None:
        self._seconds = time.perf_counter() - self._begin
        self._measured = (self._latencies, self._failures)
        self._latencies, self._failures = Counter(), Counter()

    async def finish(self) -> dict[str, Any]:
        await _cancel(self._tasks)
        await self._channel.close(None)
        latencies, failures = self._measured
        calls = latencies.total()
        # While a caller waits for a slow answer it leaves out those calls that it would have made meanwhile.
        interval_us = 1e6 * self._seconds * self._callers / calls if calls else 0.0
        return {
            "calls": calls,
            "seconds": self._seconds,
            "latencies": _encoded(latencies, interval_us),
            "as_seen": _encoded(latencies),
            "failures": dict(failures),
        }

    async def _prime_all(self) -> None:
        """A charger takes its first command only when it has settled after its boot."""
        todo = deque(self._targets)

        async def one() -> None:
            while todo:
                await self._trigger(self._request(todo.popleft()), timeout=PRIMING_SECONDS)

        await asyncio.gather(*(one() for _ in range(PRIMING)))

    async def _call(self, targets: Sequence[str]) -> None:
        clock = time.perf_counter_ns
        for target in itertools.cycle(targets):
            request = self._request(target)
            begin = clock()
            try:
                response = await self._trigger(request, timeout=CALL_SECONDS)
            except grpc.RpcError as error:
                problem = problem_of(error)
                self._failures[f"{problem.code.name} {problem.reason}".rstrip()] += 1
                await asyncio.sleep(0.01)  # what fails at once is not to become a busy loop
                continue
            self._latencies[(clock() - begin) // 1000] += 1
            if response.command.state != command_pb2.COMMAND_STATE_ANSWERED:
                self._failures["not answered"] += 1

    def _request(self, target: str) -> command_pb2.TriggerMessageRequest:
        return command_pb2.TriggerMessageRequest(
            charge_point=target,
            request_id=f"{self._run_id}-{next(self._numbers)}",
            requested_message=command_pb2.TRIGGERED_MESSAGE_HEARTBEAT,
        )


class Ledger:
    """Which events there are, and which of them each watcher has had."""

    def __init__(self, watchers: int) -> None:
        self._numbers: dict[str, int] = {}
        self._had: list[list[int]] = [[] for _ in range(watchers)]
        self._from = 0

    def number(self, event_id: str) -> int:
        """Events are numbered as they become known; ids are opaque."""
        return self._numbers.setdefault(event_id, len(self._numbers))

    def had(self, watcher: int, numbers: Sequence[int]) -> None:
        self._had[watcher].extend(numbers)

    def begin(self) -> None:
        """All watchers are there: from here on each has to have every event."""
        self._from = len(self._numbers)

    def expected(self) -> int:
        return len(self._numbers) - self._from

    def behind(self) -> int:
        """Of the watcher that has had the fewest: how many it has not had yet."""
        return max((self.expected() - len(self._counted(had)) for had in self._had), default=0)

    def missing(self) -> int:
        return sum(self.expected() - len(set(self._counted(had))) for had in self._had)

    def duplicates(self) -> int:
        return sum(len(counted) - len(set(counted)) for counted in map(self._counted, self._had))

    def out_of_order(self) -> int:
        """Watchers that had what they had in another order than the first one."""
        places = {number: place for place, number in enumerate(dict.fromkeys(self._had[0]))}
        orders = ([places[number] for number in dict.fromkeys(had) if number in places] for had in self._had)
        return sum(not _ascending(order) for order in orders)

    def _counted(self, numbers: Sequence[int]) -> list[int]:
        return [number for number in numbers if number >= self._from]


def _ascending(places: Iterable[int]) -> bool:
    return all(before < after for before, after in itertools.pairwise(places))


class Watchers:
    """Watchers of everything, each on a connection of its own. The lag of an event is the time from its receipt by
    the gateway, by the clock of this machine, until it is here."""

    def __init__(self, address: str, watchers: int, settle: bool) -> None:
        self._address = address
        self._watchers = watchers
        self._settle = settle
        self._ledger = Ledger(watchers)
        self._recent: deque[tuple[bytes, list[int], list[int]]] = deque(maxlen=RECENT)
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = 0
        self._all_begun = asyncio.Event()
        self._metered = 0
        self._failures: Counter[str] = Counter()
        self._figures = Figures()
        self._measured = Figures()

    async def start(self) -> dict[str, Any]:
        self._tasks = [asyncio.create_task(self._watch(number)) for number in range(self._watchers)]
        async with asyncio.timeout(WATCH_SECONDS):
            await self._all_begun.wait()
        self._ledger.begin()
        self._metered = 0
        return {"watchers": self._begun}

    def mark(self) -> None:
        self._figures = Figures()

    def cut(self) -> None:
        self._measured, self._figures = self._figures, Figures()

    async def finish(self) -> dict[str, Any]:
        """Nothing new happens any more: wait until everybody has had everything."""
        until = time.monotonic() + WATCH_SECONDS
        quiet = 0
        while self._settle and quiet < 3 and time.monotonic() < until:
            known = self._ledger.expected()
            await asyncio.sleep(0.2)
            quiet = quiet + 1 if self._ledger.expected() == known and self._ledger.behind() <= 0 else 0
        await _cancel(self._tasks)
        measured = self._measured
        return {
            "lags": _encoded(measured.lags),
            "deliveries": measured.deliveries,
            "batches": measured.batches,
            "bytes": measured.bytes,
            "parsed": measured.parsed,
            "events": self._ledger.expected(),
            "meter_values": self._metered,
            "missing": self._ledger.missing(),
            "duplicates": self._ledger.duplicates(),
            "out_of_order": self._ledger.out_of_order(),
            "failures": dict(self._failures),
        }

    async def _watch(self, number: int) -> None:
        async with grpc.aio.insecure_channel(self._address, OPTIONS) as channel:
            watch: Any = channel.unary_stream(
                "/gateway.api.v1.EventService/WatchEvents",
                request_serializer=event_pb2.WatchEventsRequest.SerializeToString,
                response_deserializer=None,  # what comes is bytes
            )
            call = watch(event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_NOW))
            try:
                await call.read()  # the first message comes at once, and holds no event
                self._begun += 1
                if self._begun == self._watchers:
                    self._all_begun.set()
                while (data := await call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
                    self._take(number, data)
                self._failures["ended"] += 1
            except grpc.RpcError as error:
                problem = problem_of(error)
                self._failures[f"{problem.code.name} {problem.reason}".rstrip()] += 1
                self._all_begun.set()

    def _take(self, watcher: int, data: bytes) -> None:
        now = time.time_ns() // 1000
        received, numbers = self._parsed(data)
        if not numbers:
            return  # a sign of life
        figures = self._figures
        figures.lags.update([now - at for at in received])
        figures.deliveries += len(numbers)
        figures.batches += 1
        figures.bytes += len(data)
        self._ledger.had(watcher, numbers)

    def _parsed(self, data: bytes) -> tuple[list[int], list[int]]:
        """Yield the time of receipt of each event of the batch, in microseconds, and its number."""
        for seen, received, numbers in self._recent:
            if seen == data:
                return received, numbers
        self._figures.parsed += 1
        known = self._ledger.expected()
        received, numbers = [], []
        for event in event_pb2.WatchEventsResponse.FromString(data).events:
            at = event.receive_time
            received.append(at.seconds * 1_000_000 + at.nanos // 1000)
            numbers.append(self._ledger.number(event.event_id))
            if (expected := self._ledger.expected()) > known:
                known = expected
                self._metered += event.type == "meter_values.reported"
        self._recent.appendleft((data, received, numbers))
        return received, numbers


class Figures:
    """Figures of watchers between the mark and the cut."""

    def __init__(self) -> None:
        self.lags: Counter[int] = Counter()
        self.deliveries = 0
        self.batches = 0
        self.bytes = 0
        self.parsed = 0


def _encoded(values: Mapping[int, int], interval_us: float = 0.0) -> str:
    """Microseconds and how often, as an HDR histogram; with the values left out if there is an expected interval.

    As HdrHistogram's reference does it. (Its Python form adds remainders below the interval, which no caller would have
    seen.)
    """
    whole = histogram.new()
    for value, count in values.items():
        histogram.record(whole, value, count)
        left_out = value - interval_us
        while 0 < interval_us <= left_out:
            histogram.record(whole, left_out, count)
            left_out -= interval_us
    return histogram.encoded(whole)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


WORK = {"calls": Calls, "watchers": Watchers}


class Process:
    """Takes requests one after the other, until standard input ends."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._begin = (0.0, 0.0)

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=16 * 1024 * 1024)  # a line may name all chargers
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            try:
                answer = await self._answer(json.loads(line))
            except grpc.RpcError as error:
                answer = {"error": describe(error)}
            except TimeoutError:
                answer = {"error": f"not all watches began within {WATCH_SECONDS:.0f} s"}
            print(json.dumps(answer), flush=True)

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.pop("do"):
            case "start":
                work = self._work = WORK[request.pop("work")](**request)
                answer: dict[str, Any] = await work.start()
                gc.collect()
                gc.freeze()  # a collection in here would look like the gateway's latency
                return answer
            case "mark":
                assert self._work is not None
                self._work.mark()
                self._begin = time.perf_counter(), time.process_time()
                return {}
            case "cut":
                assert self._work is not None
                self._work.cut()
                wall, own = self._begin
                return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - own}
            case "finish":
                assert self._work is not None
                work, self._work = self._work, None
                return await work.finish()
            case unknown:
                return {"error": f"unknown request {unknown}"}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the parent's, which then closes the pipe
    gc.disable()
    asyncio.run(Process().serve())


if __name__ == "__main__":
    main()
