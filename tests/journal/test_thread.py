"""The journal's threads, real ones: order, failures, cancellation, and their end."""

from __future__ import annotations

import threading

import pytest
import trio
import trio.testing

from gateway.journal.thread import ReaderThreads, WriterThread


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
    """Later work is done after it."""
    thread, gate, done = WriterThread(), threading.Event(), []

    def stall() -> None:
        gate.wait(60)
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
    worker.join(60)
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


async def test_reads_one_after_the_other_share_a_thread() -> None:
    """Another is begun only when all are busy."""
    threads = ReaderThreads(8)
    assert len({await threads.run(threading.get_ident) for _ in range(100)}) == 1
    threads.end()


async def test_reads_at_once_have_so_many_threads_and_no_more() -> None:
    """The others wait for their turn."""
    threads, gate, begun = ReaderThreads(3), threading.Event(), []

    all_begun = threading.Event()

    def stall(number: int) -> None:
        begun.append(number)
        if len(begun) == 3:
            all_begun.set()
        gate.wait(60)

    async with trio.open_nursery() as nursery:
        for number in range(7):
            nursery.start_soon(threads.run, stall, number)
        await trio.to_thread.run_sync(all_begun.wait, 10)
        await trio.sleep(0.05)
        assert len(begun) == 3
        gate.set()
    assert sorted(begun) == list(range(7))
    threads.end()


async def test_a_read_that_is_cancelled_before_its_turn_is_not_done() -> None:
    """Its result is not needed; one under way is left to itself, and both make room for the next."""
    threads, gate, done = ReaderThreads(1), threading.Event(), []
    with trio.move_on_after(0.05):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(threads.run, gate.wait, 10)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(threads.run, done.append, "cancelled")
    gate.set()
    await threads.run(done.append, "next")
    assert done == ["next"]
    threads.end()


async def test_what_a_read_raises_is_raised_to_who_asked() -> None:
    """And the thread goes on; until the end, after which none is begun anew."""
    threads = ReaderThreads(2)
    with pytest.raises(ValueError, match="invalid literal"):
        await threads.run(int, "x")
    assert await threads.run(int, "1") == 1
    threads.end()
    threads.end()
    with pytest.raises(RuntimeError, match="ended"):
        await threads.run(int, "1")


async def test_a_thread_that_was_ended_is_begun_again_by_the_next_function() -> None:
    """No function waits for a thread that is gone."""
    thread = WriterThread()
    first = await thread.run(threading.get_ident)
    thread.end()
    with trio.fail_after(60):
        assert await thread.run(int) == 0
    assert first != threading.get_ident()
    thread.end()


async def test_fewer_threads_than_wanted_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system has no more to give the readers wait for each other; if it has none they raise an error."""
    start = threading.Thread.start
    begun = []

    def refuses(thread: threading.Thread) -> None:
        if begun and thread.name.startswith("journal-reader"):
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuses)
    readers, results = ReaderThreads(3), []

    async def ask(number: int) -> None:
        results.append(await readers.run(pow, number, 2))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ask, number)
    assert sorted(results) == [0, 1, 4, 9, 16]
    readers.end()
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await ReaderThreads(3).run(int)
