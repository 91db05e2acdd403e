"""The writer's thread, with real threads: order, failures, cancellation, and its end."""

from __future__ import annotations

import threading

import pytest
import trio

from gateway.journal.thread import WriterThread


async def test_one_thread_does_everything_in_order() -> None:
    """Whatever asks for it."""
    thread, done = WriterThread(), []

    def note(number: int) -> int:
        done.append(number)
        return threading.get_ident()

    idents = {await thread.run(note, number) for number in range(100)}
    thread.end()
    assert done == list(range(100))
    assert len(idents) == 1
    assert threading.get_ident() not in idents


async def test_what_a_function_raises_is_raised_to_who_asked() -> None:
    """And the thread goes on."""
    thread = WriterThread()

    def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await thread.run(fail)
    assert await thread.run(int) == 0
    thread.end()


async def test_a_cancelled_wait_leaves_the_work_to_itself() -> None:
    """What comes after it is done after it."""
    thread, gate, done = WriterThread(), threading.Event(), []

    def stall() -> None:
        gate.wait(10)
        done.append("stalled")

    with trio.move_on_after(0.05) as scope:
        await thread.run(stall)
    assert scope.cancelled_caught
    gate.set()
    await thread.run(done.append, "after")
    thread.end()
    assert done == ["stalled", "after"]


async def test_who_is_cancelled_already_has_nothing_done() -> None:
    """Handing over is the point of no return."""
    thread, done = WriterThread(), []
    with trio.CancelScope() as scope:
        scope.cancel()
        await thread.run(done.append, 1)
    assert not done


def test_a_thread_that_outlives_the_loop_ends_quietly() -> None:
    """A disk that hung until after the drain."""
    thread, gate = WriterThread(), threading.Event()

    async def main() -> None:
        with trio.move_on_after(0.05):
            await thread.run(gate.wait, 10)

    trio.run(main)
    worker = thread._thread
    thread.end()
    gate.set()
    assert worker is not None
    worker.join(10)
    assert not worker.is_alive()


async def test_a_system_without_threads_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next time it may have one."""
    thread = WriterThread()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            await thread.run(int)
    assert await thread.run(int) == 0
    thread.end()
