"""The bridge between the loops, in real time: threads are invisible to Trio's virtual clock."""

import asyncio
import contextlib
import gc
import random
import threading
import time

import pytest
import trio

from gateway.bridge import Bridge, Overloaded, Stream, Unavailable
from gateway.bridge.call import BridgeCall


async def cross(main, **options):
    """Run an asyncio function against a bridge and return what it returned."""
    bridge = Bridge(**options)
    result = []

    async def run(started):
        result.append(await main(bridge))

    with trio.fail_after(60):
        await bridge.run(run)
    return result[0]


async def eventually(condition):
    """Wait, in asyncio, until the other side has come that far."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not happen")


async def double(number):
    await trio.lowlevel.checkpoint()
    return 2 * number


async def test_a_call_runs_in_trio_and_its_result_comes_back():
    """Each loop stays in its own thread."""

    async def thread_of(number):
        await trio.sleep(0.001)
        return number, threading.current_thread()

    async def main(bridge):
        return await bridge.call(thread_of, 7), threading.current_thread()

    (number, trio_thread), asyncio_thread = await cross(main)
    assert number == 7
    assert trio_thread is threading.main_thread()
    assert asyncio_thread is not trio_thread


async def test_an_exception_of_the_function_is_raised_in_the_caller():
    """And harms nothing else."""

    async def fail():
        await trio.lowlevel.checkpoint()
        raise LookupError("none such")

    async def main(bridge):
        with pytest.raises(LookupError, match="none such"):
            await bridge.call(fail)
        return await bridge.call(double, 4)

    assert await cross(main) == 8


async def test_a_cancelled_caller_cancels_the_function_in_trio():
    """Cancellation goes down."""
    ended = []

    async def wait():
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    async def main(bridge):
        task = asyncio.create_task(bridge.call(wait))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: ended)

    await cross(main)
    assert ended == [True]


async def test_a_call_that_takes_too_long_is_cancelled_and_says_so():
    """A deadline in seconds."""

    async def main(bridge):
        with pytest.raises(TimeoutError):
            await bridge.call(trio.sleep_forever, timeout=0.02)
        return await bridge.call(double, 1, timeout=60)

    assert await cross(main) == 2


async def test_a_cancelled_bridge_ends_its_calls_as_unavailable_and_joins_its_thread():
    """Cancellation goes up; no thread is left."""
    outcomes = []
    bridge = Bridge()

    async def main(started):
        started("ready")
        try:
            await bridge.call(trio.sleep_forever)
        except Unavailable:
            outcomes.append("unavailable")
        except asyncio.CancelledError:
            outcomes.append("cancelled")
            raise

    before = threading.active_count()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            assert await nursery.start(bridge.run, main) == "ready"
            nursery.cancel_scope.cancel()
    assert outcomes in (["unavailable"], ["cancelled"])
    assert threading.active_count() == before


async def test_after_the_run_everything_is_unavailable():
    """Nothing waits for a loop that has ended."""
    bridge = Bridge()

    async def main(started):
        await bridge.call(double, 1)

    await bridge.run(main)
    with pytest.raises(Unavailable):
        bridge.post(lambda: None)

    async def late():
        with pytest.raises(Unavailable):
            await bridge.call(double, 1)
        with pytest.raises(Unavailable):
            bridge.stream(count, 1)

    await trio.to_thread.run_sync(asyncio.run, late())


async def test_an_error_of_the_asyncio_side_ends_the_run_with_it():
    """It is not swallowed, and calls under way are cancelled."""
    bridge = Bridge()

    async def main(started):
        task = asyncio.create_task(bridge.call(trio.sleep_forever))
        await asyncio.sleep(0.01)
        assert not task.done()
        raise OSError("address in use")

    with pytest.raises(OSError, match="address in use"):
        await bridge.run(main)


async def test_more_calls_than_allowed_are_refused_and_room_comes_back():
    """The bound is on what is under way in Trio."""

    async def main(bridge):
        waiting = [asyncio.create_task(bridge.call(trio.sleep_forever)) for _ in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await bridge.call(double, 1)
        for task in waiting:
            task.cancel()
        await eventually(lambda: bridge.calls == 0)
        return await bridge.call(double, 1)

    assert await cross(main, max_calls=3) == 2


async def test_a_failing_callback_takes_nothing_down():
    """An exception in run_sync_soon would cancel every Trio task."""

    async def main(bridge):
        bridge._lanes.to_trio(lambda: 1 / 0)
        bridge.post(lambda: 1 / 0)
        return await bridge.call(double, 2)

    assert await cross(main) == 4


async def count(upto):
    for number in range(upto):
        await trio.lowlevel.checkpoint()
        yield number


async def test_a_stream_hands_over_every_item_in_order():
    """And ends when its generator does."""

    async def main(bridge):
        async with bridge.stream(count, 1000) as items:
            return [item async for item in items]

    assert await cross(main) == list(range(1000))


async def test_a_slow_reader_makes_the_generator_wait():
    """No more is produced than the depth allows."""
    produced = []

    async def produce():
        for number in range(100):
            produced.append(number)
            yield number
            await trio.lowlevel.checkpoint()

    async def main(bridge):
        async with bridge.stream(produce, depth=3) as items:
            await asyncio.sleep(0.05)
            assert produced == [0, 1, 2]
            assert await anext(items) == 0
            await eventually(lambda: produced == [0, 1, 2, 3])
            await asyncio.sleep(0.02)
            assert produced == [0, 1, 2, 3]

    await cross(main)


async def test_streams_at_any_pace_lose_nothing_and_stay_within_their_depth():
    """Readers and generators that outrun each other by turns: no item lost, none too many made, none stuck."""
    randomness = random.Random(7)
    ahead = []

    def numbers(made, taken):
        async def produce():
            for number in range(200):
                made.append(number)
                ahead.append(len(made) - len(taken))
                yield number
                if randomness.random() < 0.3:
                    await trio.sleep(randomness.random() / 500)

        return produce

    async def read(bridge):
        made, taken = [], []
        async with bridge.stream(numbers(made, taken), depth=3) as items:
            async for item in items:
                taken.append(item)
                if randomness.random() < 0.3:
                    await asyncio.sleep(randomness.random() / 500)
        assert taken == list(range(200))

    async def main(bridge):
        await asyncio.gather(*(read(bridge) for _ in range(20)))

    await cross(main)
    assert max(ahead) <= 4  # the depth, and the one that was taken and not yet noted here


async def test_a_reader_that_keeps_up_sends_nothing_back(monkeypatch):
    """Its pace is counted: Trio is woken to start the generator and to end it, not for its items."""
    wake_ups = []
    token_type = type(trio.lowlevel.current_trio_token())
    real = token_type.run_sync_soon

    def counted(self, fn, *args, **options):
        wake_ups.append(fn)
        return real(self, fn, *args, **options)

    async def produce():
        for number in range(50):
            await trio.sleep(0.002)
            yield number

    async def main(bridge):
        monkeypatch.setattr(token_type, "run_sync_soon", counted)
        async with bridge.stream(produce, depth=20) as items:
            assert [item async for item in items] == list(range(50))

    await cross(main)
    assert len(wake_ups) <= 5


async def test_what_fails_leaves_nothing_to_the_collector():
    """An exception knows the frames that it went through; none of these keeps the exception."""

    async def fail():
        await trio.lowlevel.checkpoint()
        raise LookupError("none such")

    async def fail_after_an_item():
        yield 1
        raise LookupError("no more")

    async def once(bridge):
        with contextlib.suppress(LookupError):
            await bridge.call(fail)
        with contextlib.suppress(TimeoutError):
            await bridge.call(trio.sleep_forever, timeout=0.001)
        with contextlib.suppress(LookupError):
            async with bridge.stream(fail_after_an_item) as items:
                async for _ in items:
                    pass
        async with bridge.stream(fail_after_an_item, depth=5):
            await asyncio.sleep(0.01)  # left without reading its end

    async def main(bridge):
        await once(bridge)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(10):
                await once(bridge)
            await eventually(lambda: bridge.calls == bridge.streams == 0)
            gc.collect()
            return [each for each in gc.garbage if isinstance(each, BaseException | BridgeCall | Stream)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()

    assert await cross(main) == []


async def test_leaving_a_stream_cancels_its_generator_and_gives_its_place_back():
    """Its clean-up runs."""
    closed = []

    async def produce():
        try:
            yield 1
            await trio.sleep_forever()
        finally:
            closed.append(True)

    async def main(bridge):
        async with bridge.stream(produce) as items:
            assert await anext(items) == 1
            with pytest.raises(Overloaded):
                bridge.stream(count, 1)
        await eventually(lambda: closed and bridge.streams == 0)
        async with bridge.stream(count, 2) as items:
            return [item async for item in items]

    assert await cross(main, max_streams=1) == [0, 1]


async def test_an_error_of_the_generator_comes_after_its_items():
    """Items that were produced are not lost."""

    async def produce():
        yield 1
        yield 2
        raise LookupError("no more")

    async def main(bridge):
        async with bridge.stream(produce, depth=5) as items:
            seen = [await anext(items), await anext(items)]
            with pytest.raises(LookupError, match="no more"):
                await anext(items)
            return seen

    assert await cross(main) == [1, 2]


async def test_a_closed_stream_ends_its_reader():
    """The task that closes it need not be the one that reads it."""

    async def main(bridge):
        async with bridge.stream(trio_never) as items:
            asyncio.get_running_loop().call_later(0.02, items.close)
            return [item async for item in items]

    assert await cross(main) == []


async def trio_never():
    await trio.sleep_forever()
    yield None


async def test_a_cancelled_bridge_ends_streams():
    """The reader gets the error that the gateway stops, or is cancelled itself."""
    outcomes = []
    bridge = Bridge()

    async def main(started):
        started()
        try:
            async with bridge.stream(trio_never) as items:
                async for _ in items:
                    pass
        except (Unavailable, asyncio.CancelledError) as error:
            outcomes.append(type(error))
            raise

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(bridge.run, main)
            nursery.cancel_scope.cancel()
    assert len(outcomes) == 1


async def test_a_thousand_calls_cancelled_at_random_each_have_one_outcome():
    """No call is lost, none is answered twice, and nothing is left over."""
    randomness = random.Random(2)
    entered = left = 0

    async def work(seconds):
        nonlocal entered, left
        entered += 1
        try:
            await trio.sleep(seconds)
            if seconds > 0.045:
                raise LookupError
            return seconds
        finally:
            left += 1

    async def main(bridge):
        loop = asyncio.get_running_loop()
        wanted = [randomness.uniform(0, 0.05) for _ in range(1000)]
        tasks = [asyncio.create_task(bridge.call(work, seconds)) for seconds in wanted]
        for task in randomness.sample(tasks, 400):
            loop.call_later(randomness.uniform(0, 0.06), task.cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await eventually(lambda: bridge.calls == 0)
        return list(zip(wanted, outcomes, strict=True))

    started = time.monotonic()
    outcomes = await cross(main)
    assert time.monotonic() - started < 60
    assert entered == left
    for wanted, outcome in outcomes:
        if isinstance(outcome, LookupError):
            assert wanted > 0.045
        elif not isinstance(outcome, asyncio.CancelledError):
            assert outcome == wanted
    assert sum(isinstance(outcome, float) for _, outcome in outcomes) >= 400


async def test_a_burst_of_calls_takes_few_wake_ups(monkeypatch):
    """One wake-up for all that waits: a hundred calls don't take a hundred."""
    wake_ups = []
    token_type = type(trio.lowlevel.current_trio_token())
    real = token_type.run_sync_soon

    def counted(self, fn, *args, **options):
        wake_ups.append(fn)
        return real(self, fn, *args, **options)

    monkeypatch.setattr(token_type, "run_sync_soon", counted)
    hold = threading.Event()

    async def main(bridge):
        bridge._lanes.to_trio(lambda: hold.wait(5))
        await asyncio.sleep(0.02)
        calls = [asyncio.create_task(bridge.call(double, n)) for n in range(100)]
        await asyncio.sleep(0.02)
        hold.set()
        return await asyncio.gather(*calls)

    assert await cross(main) == [2 * n for n in range(100)]
    assert len(wake_ups) < 10
