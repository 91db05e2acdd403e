"""Several processes as one service: kept running, drained together, reloaded together."""

import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.app.process_supervisor import (
    FIRST_PAUSE,
    GRACE_SECONDS,
    LONGEST_PAUSE,
    STEADY_SECONDS,
    Part,
    ProcessSupervisor,
)
from gateway.app.processes import ABORT_SECONDS, WATCHDOG_LOOKS, WATCHDOG_SECONDS, RunningProcess, take_notes, watch
from gateway.app.service_manager import NOTIFY, WATCHDOG, ServiceManager

DRAIN = 25.0


class FakeChild:
    """A process that ends by ``end``, or ``takes`` seconds after it is signalled; None: only by SIGKILL."""

    def __init__(self, takes: float | None = 0.0, serves: bool = True) -> None:
        self.ready = trio.Event()
        if serves:
            self.ready.set()
        self.signals: list[int] = []
        self._takes = takes
        self._ending = trio.Event()
        self._code = 0

    def end(self, code: int) -> None:
        self._code = code
        self._ending.set()

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if number == signal.SIGKILL:
            self._takes = 0.0
            self.end(-number)
        elif number == signal.SIGTERM and self._takes is not None:
            self._ending.set()

    async def wait(self) -> int:
        await self._ending.wait()
        await trio.sleep(self._takes or 0.0)
        return self._code


class Machine:
    """Processes by name, each begun as often as it has to be, and the times at which they were."""

    def __init__(self, *names: str, aside: tuple[str, ...] = (), **how: Any) -> None:
        self.begun: dict[str, list[FakeChild]] = {name: [] for name in (*names, *aside)}
        self.times: dict[str, list[float]] = {name: [] for name in self.begun}
        self.ended: list[str] = []
        self.how = how
        self.ready = 0
        self.parts = [Part(name, self._launcher(name), name in aside) for name in self.begun]
        self._send, self._received = trio.open_memory_channel[int](10)

    def _launcher(self, name: str) -> Any:
        async def launch() -> FakeChild:
            await trio.lowlevel.checkpoint()
            child = FakeChild(**self.how)
            self.begun[name].append(child)
            self.times[name].append(trio.current_time())
            return child

        return launch

    async def _signals(self) -> AsyncIterator[int]:
        async for number in self._received:
            yield number

    def signal(self, number: int) -> None:
        self._send.send_nowait(number)

    async def run(self) -> int:
        def ready() -> None:
            self.ready += 1

        return await ProcessSupervisor(self.parts, DRAIN, ready).run(self._signals())

    def signals(self, name: str) -> list[int]:
        return self.begun[name][-1].signals


async def served(machine: Machine, nursery: trio.Nursery) -> list[int]:
    """The machine runs; the list gets its exit code."""
    codes = list[int]()

    async def run() -> None:
        codes.append(await machine.run())

    nursery.start_soon(run)
    await wait_all_tasks_blocked()
    return codes


async def test_all_are_drained_by_one_signal_and_those_aside_after_them(autojump_clock: MockClock) -> None:
    """The exit code is 0."""
    machine = Machine("1", "2", aside=("nats",), takes=5.0)
    async with trio.open_nursery() as nursery:
        codes = await served(machine, nursery)
        assert machine.ready == 1
        machine.signal(signal.SIGTERM)
        await wait_all_tasks_blocked()
        assert [machine.signals(name) for name in ("1", "2", "nats")] == [[signal.SIGTERM], [signal.SIGTERM], []]
        await trio.sleep(5.5)
        assert machine.signals("nats") == [signal.SIGTERM]
    assert codes == [0]
    assert [len(each) for each in machine.begun.values()] == [1, 1, 1]


async def test_all_are_reloaded_by_one_signal(autojump_clock: MockClock) -> None:
    """But those aside; a second signal to stop goes on to all, and cuts their drains short."""
    machine = Machine("1", "2", aside=("nats",), takes=20.0)
    async with trio.open_nursery() as nursery:
        await served(machine, nursery)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            machine.signal(number)
            await wait_all_tasks_blocked()
        assert machine.signals("1") == machine.signals("2") == [signal.SIGHUP, signal.SIGTERM, signal.SIGINT]
        assert machine.signals("nats") == []


async def test_one_that_begins_is_reloaded_once_it_serves(autojump_clock: MockClock) -> None:
    """The signal would end a process that has not come to heed it."""
    machine = Machine("1", serves=False)
    async with trio.open_nursery() as nursery:
        await served(machine, nursery)
        machine.signal(signal.SIGHUP)
        await wait_all_tasks_blocked()
        assert machine.signals("1") == []
        machine.begun["1"][0].ready.set()
        await wait_all_tasks_blocked()
        assert machine.signals("1") == [signal.SIGHUP]
        assert machine.ready == 1
        machine.signal(signal.SIGTERM)


async def test_one_that_ends_is_begun_anew_with_longer_and_longer_pauses(autojump_clock: MockClock) -> None:
    """The others are not disturbed. One that ran for a minute begins with the shortest pause again."""
    machine = Machine("1", "2")
    async with trio.open_nursery() as nursery:
        await served(machine, nursery)
        pauses = []
        for _ in range(8):
            machine.begun["1"][-1].end(-9)
            at = trio.current_time()
            await trio.sleep(LONGEST_PAUSE + 1)
            pauses.append(machine.times["1"][-1] - at)
        assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])
        assert (pauses[0], pauses[-1]) == pytest.approx((FIRST_PAUSE, LONGEST_PAUSE))
        await trio.sleep(STEADY_SECONDS)
        machine.begun["1"][-1].end(1)
        at = trio.current_time()
        await trio.sleep(1)
        assert machine.times["1"][-1] == pytest.approx(at + FIRST_PAUSE)
        assert len(machine.begun["2"]) == 1
        machine.signal(signal.SIGTERM)


async def test_one_that_does_not_get_through_its_first_start_ends_all(autojump_clock: MockClock) -> None:
    """Its own message says why; the exit code is 1."""
    machine = Machine("1", "2", serves=False)
    async with trio.open_nursery() as nursery:
        codes = await served(machine, nursery)
        machine.begun["1"][0].end(1)
        await wait_all_tasks_blocked()
        assert machine.signals("2") == [signal.SIGTERM]
    assert codes == [1]
    assert machine.ready == 0
    assert len(machine.begun["1"]) == 1


async def test_one_that_does_not_end_is_killed(autojump_clock: MockClock) -> None:
    """After its drain's deadline, and a grace."""
    machine = Machine("1", aside=("nats",), takes=None)
    async with trio.open_nursery() as nursery:
        codes = await served(machine, nursery)
        began = trio.current_time()
        machine.signal(signal.SIGTERM)
    assert machine.signals("1") == machine.signals("nats") == [signal.SIGTERM, signal.SIGKILL]
    assert trio.current_time() - began == pytest.approx(DRAIN + 2 * GRACE_SECONDS)
    assert codes == [0]


async def test_one_that_waits_to_be_begun_anew_is_not_begun_once_all_stop(autojump_clock: MockClock) -> None:
    """And is waited for by nothing."""
    machine = Machine("1", "2")
    async with trio.open_nursery() as nursery:
        codes = await served(machine, nursery)
        machine.begun["1"][0].end(-9)
        await wait_all_tasks_blocked()
        machine.signal(signal.SIGTERM)
    assert codes == [0]
    assert len(machine.begun["1"]) == 1


class FakeProcess:
    """A process that heeds no signal."""

    pid = 7
    returncode = None

    def __init__(self) -> None:
        self.signals: list[int] = []

    def send_signal(self, number: int) -> None:
        self.signals.append(number)


async def test_a_process_that_gives_no_sign_of_life_is_ended(tmp_path: Path, autojump_clock: MockClock) -> None:
    """One that serves, and not one that takes its time to start: it is asked where it stands, and killed."""
    fake: Any = FakeProcess()
    child, look = RunningProcess(fake), WATCHDOG_SECONDS / WATCHDOG_LOOKS
    path = str(tmp_path / "notes")
    notes = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    await notes.bind(path)
    manager = ServiceManager({NOTIFY: path, WATCHDOG: str(int(WATCHDOG_SECONDS * 1e6))}, trio.current_time)
    with notes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_notes, notes, child)
            nursery.start_soon(watch, child)
            await trio.sleep(10 * WATCHDOG_SECONDS)
            assert fake.signals == []
            manager.ready("serves")
            with trio.move_on_after(10 * WATCHDOG_SECONDS + look / 2):
                await manager.run()
            assert fake.signals == []
            await trio.sleep(WATCHDOG_SECONDS - manager_pause(manager) - look)
            assert fake.signals == []
            await trio.sleep(manager_pause(manager) + 2 * look)
            assert fake.signals[:1] == [signal.SIGABRT]
            await trio.sleep(ABORT_SECONDS)
            assert fake.signals == [signal.SIGABRT, signal.SIGKILL]
            nursery.cancel_scope.cancel()


def manager_pause(manager: ServiceManager) -> float:
    """Seconds between two signs of life."""
    assert manager.watchdog is not None
    return manager.watchdog / 2
