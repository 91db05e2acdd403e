"""The clock of a process that may stand still: what it slept through counts for no deadline."""

from __future__ import annotations

import socket
import time

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gateway.app.stall_clock import GRACE_SECONDS, JUST_BEFORE, STALL_SECONDS, StallClock
from gateway.session.commands.command_task import stalled
from gateway.session.keepalive import Keepalive, TimerQueue
from gateway.session.limits import SessionLimits


class Real:
    """Real time, as a test has it."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def started() -> tuple[Real, StallClock]:
    real = Real()
    clock = StallClock(real)
    clock.start_clock()
    return real, clock


def test_without_a_stall_it_is_real_time() -> None:
    """Busy turns of the loop, and sleeps as long as were asked for."""
    real, clock = started()
    began = clock.current_time()
    for _ in range(100):
        real.time += STALL_SECONDS * 0.9
        clock.current_time()
    assert clock.deadline_to_sleep_time(clock.current_time() + 300) == pytest.approx(300)
    real.time += 300
    assert clock.current_time() - began == pytest.approx(90 * STALL_SECONDS + 300)
    assert (clock.stalled, clock.stalls) == (0.0, 0)


@pytest.mark.parametrize("stopped", [5.0, 60.0, 86_400.0])
@pytest.mark.parametrize("sleep", [0.01, 0.25, 30.0])
def test_a_stop_while_it_sleeps_fires_no_deadline_before_what_waits_is_read(sleep: float, stopped: float) -> None:
    """Whatever was due meanwhile gets the grace, and then its deadline."""
    real, clock = started()
    deadline = clock.current_time() + sleep
    clock.deadline_to_sleep_time(deadline)
    real.time += sleep + stopped
    resumed = real.time
    assert clock.current_time() < deadline
    assert clock.stalls == 1
    while clock.current_time() < deadline:
        asked = clock.deadline_to_sleep_time(deadline)
        assert asked > 0
        real.time += max(asked, 1e-6)  # as the kernel does
    assert GRACE_SECONDS - 1e-6 <= real.time - resumed <= GRACE_SECONDS + sleep + 2 * JUST_BEFORE
    assert clock.stalls == 1
    assert clock.stalled == pytest.approx(stopped + GRACE_SECONDS, abs=sleep + 2 * JUST_BEFORE)


def test_a_task_that_holds_the_loop_up_is_a_stall_too() -> None:
    """Nothing was slept for: all of it is taken out."""
    real, clock = started()
    before = clock.current_time()
    real.time += 10
    assert clock.current_time() == before
    for _ in range(4):
        real.time += GRACE_SECONDS / 4
        assert clock.current_time() == pytest.approx(before)
    real.time += 0.5
    assert clock.current_time() == pytest.approx(before + 0.5)


@given(st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(0, 100)), max_size=50))
def test_it_never_goes_back_and_never_runs_ahead(steps: list[tuple[float, float | None]]) -> None:
    """Whatever is slept for and however long it takes: all that is left out is in ``stalled``."""
    real, clock = started()
    began = last = clock.current_time()
    for step, sleep in steps:
        if sleep is not None:
            clock.deadline_to_sleep_time(last + sleep)
        real.time += step
        present = clock.current_time()
        assert last - 1e-6 <= present <= last + step + 1e-6
        last = present
    assert last - began + clock.stalled == pytest.approx(real.time, abs=1e-6)


def test_in_trio_what_came_in_time_is_read_though_the_loop_was_late() -> None:
    """Two deadlines pass while the loop stands still; the data of one of them lies in the kernel's buffer."""

    async def main() -> None:
        near, far = (trio.socket.from_stdlib_socket(each) for each in socket.socketpair())
        got: list[bytes | None] = []

        async def read() -> None:
            with trio.move_on_after(0.3) as scope:
                got.append(await near.recv(10))
            if scope.cancelled_caught:
                got.append(None)

        async def read_late() -> None:
            with trio.move_on_after(0.3):
                await trio.sleep(0.1)  # comes to it after the stall
                await trio.sleep(0.1)
                got.append(b"late, and in time")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(read_late)
            await trio.testing.wait_all_tasks_blocked()
            await far.send(b"in time")
            before = stalled()
            time.sleep(1.0)  # noqa: ASYNC251 - that is what is tested
        assert sorted(map(str, got)) == ["b'in time'", "b'late, and in time'"]
        assert stalled() - before >= 0.9
        near.close()
        far.close()

    trio.run(main, clock=StallClock(stall=0.2, grace=0.2))


async def test_with_other_clocks_nothing_is_left_out(autojump_clock: trio.testing.MockClock) -> None:
    """Virtual time has no stalls."""
    await trio.sleep(100)
    assert stalled() == 0


def test_a_charger_whose_frames_lie_unread_after_a_stall_is_not_silent() -> None:
    """Its ping was sent before, the pong came meanwhile, and the end was due while the loop stood still."""

    class Heard:
        """The parts of a session's centre that silence looks at."""

        def __init__(self) -> None:
            self.last_heard = self.last_said = trio.current_time()
            self.limits = SessionLimits(silence=0.2, ping_grace=0.3, ping_interval=0)
            self.transport = self.observer = self
            self.ended: list[str] = []
            self.pinged = trio.Event()

        def end(self, reason: str, code: int, caller: str = "") -> None:
            self.ended.append(reason)

        def count(self, what: str) -> None:
            pass

        def ping_nowait(self) -> bool:
            self.pinged.set()
            return True

    async def main() -> None:
        heard = Heard()
        silence = Keepalive(heard, heard)  # type: ignore[arg-type]
        watch = TimerQueue()
        near, far = (trio.socket.from_stdlib_socket(each) for each in socket.socketpair())

        async def read() -> None:
            while await near.recv(10):
                heard.last_heard = trio.current_time()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await nursery.start(watch.run)
            watch.add(silence.look, silence.due())
            await heard.pinged.wait()
            await far.send(b"pong")
            time.sleep(1.0)  # noqa: ASYNC251 - that is what is tested
            await trio.sleep(0.1)
            assert heard.ended == []
            await trio.sleep(2)  # and nothing more is heard
            assert heard.ended[:1] == ["silent"]
            nursery.cancel_scope.cancel()
        near.close()
        far.close()

    trio.run(main, clock=StallClock(stall=0.15, grace=0.3))
