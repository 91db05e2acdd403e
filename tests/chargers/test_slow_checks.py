"""Slow password checks: who waits for whom. The checks are gates in real threads, which the test opens."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from gateway.chargers.slow_checks import AT_ONCE, MAX_WAITING, SlowChecks


class Hashing:
    """Checks in the order in which they began. Each takes until it is let go."""

    def __init__(self, checks: SlowChecks, nursery: trio.Nursery) -> None:
        self.checks, self.nursery = checks, nursery
        self.began: list[str] = []
        self.answers: dict[str, str | None] = {}
        self.gates: dict[str, threading.Event] = {}
        self._over = False

    async def check(self, identity: str, address: str, name: str) -> None:
        self.answers[name] = await self.checks.check(identity, address, self._work(name))

    def _work(self, name: str) -> Callable[[], str]:
        gate = self.gates[name] = threading.Event()

        def work() -> str:
            self.began.append(name)
            if not self._over:
                assert gate.wait(60)
            return name

        return work

    async def start(self, identity: str, address: str, name: str) -> None:
        """Ask for a check; if there is a turn for it now, it has begun on return: threads begin in any order."""
        self.nursery.start_soon(self.check, identity, address, name)
        await trio.testing.wait_all_tasks_blocked()
        ended = sum(answer is not None for answer in self.answers.values())
        with trio.fail_after(60):
            while len(self.began) < self.checks.running + ended:  # noqa: ASYNC110 - a thread's beginning
                await trio.sleep(0.001)

    async def began_with(self, names: list[str]) -> None:
        """Wait for so many to have begun, and see that it is these, in this order, and no more."""
        with trio.fail_after(60):
            while len(self.began) < len(names):  # noqa: ASYNC110 - a thread's beginning
                await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked()
        assert self.began == names

    async def finish(self, name: str) -> None:
        """Let one go, and wait for its answer."""
        self.gates[name].set()
        with trio.fail_after(60):
            while name not in self.answers:  # noqa: ASYNC110 - a thread's end
                await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked()

    def release(self) -> None:
        self._over = True
        for gate in self.gates.values():
            gate.set()


@asynccontextmanager
async def hashing(most_waiting: int = MAX_WAITING) -> AsyncIterator[Hashing]:
    """At the end everything is let go, and must have come to an end."""
    checks = SlowChecks(most_waiting)
    async with trio.open_nursery() as nursery:
        made = Hashing(checks, nursery)
        try:
            yield made
        finally:
            made.release()
    assert checks.running == 0


async def test_a_charger_under_attack_delays_no_other() -> None:
    """190 guesses at one key wait; another charger's check begins at once, and so does the next."""
    async with hashing() as hashes:
        for n in range(190):
            await hashes.start("attacked", "192.0.2.1", f"guess {n}")
        await hashes.began_with(["guess 0"])
        await hashes.start("other", "192.0.2.1", "first connect")
        await hashes.began_with(["guess 0", "first connect"])
        assert hashes.checks.running == AT_ONCE
        await hashes.start("third", "192.0.2.1", "third's connect")
        await hashes.finish("first connect")
        await hashes.began_with(["guess 0", "first connect", "third's connect"])


async def test_the_right_key_from_elsewhere_comes_after_one_guess() -> None:
    """Addresses take turns, so it waits for the guess that runs and for one more."""
    async with hashing() as hashes:
        for n in range(150):
            await hashes.start("attacked", "192.0.2.1", f"guess {n}")
        await hashes.start("attacked", "198.51.100.1", "right")
        await hashes.began_with(["guess 0"])
        await hashes.finish("guess 0")
        await hashes.began_with(["guess 0", "guess 1"])
        await hashes.finish("guess 1")
        await hashes.began_with(["guess 0", "guess 1", "right"])


async def test_the_right_key_from_the_attackers_own_address_waits_for_those_before_it() -> None:
    """Nothing tells it from a guess, but its turn comes, whatever comes after it."""
    async with hashing() as hashes:
        before = [f"guess {n}" for n in range(20)]
        for name in [*before, "right", *(f"later {n}" for n in range(20))]:
            await hashes.start("attacked", "192.0.2.1", name)
        for n, name in enumerate(before):
            await hashes.began_with(before[: n + 1])
            await hashes.finish(name)
        await hashes.began_with([*before, "right"])


async def test_what_waits_for_one_charger_is_bounded_and_the_crowds_newest_goes() -> None:
    """A crowd from one address can't keep the right key from another one out."""
    async with hashing(most_waiting=10) as hashes:
        for n in range(30):
            await hashes.start("attacked", "192.0.2.1", f"guess {n}")
            assert hashes.checks.waiting("attacked") <= 10
        assert [hashes.answers.get(f"guess {n}", "") for n in range(11, 30)] == [None] * 19
        await hashes.start("attacked", "198.51.100.1", "right")
        assert "right" not in hashes.answers
        assert hashes.answers["guess 10"] is None
        await hashes.began_with(["guess 0"])
        await hashes.finish("guess 0")
        await hashes.began_with(["guess 0", "guess 1"])
        await hashes.finish("guess 1")
        await hashes.began_with(["guess 0", "guess 1", "right"])


async def test_guesses_that_find_no_room_cost_the_attacked_charger_no_turn() -> None:
    """They come and go without end, and what waits keeps its place among the chargers."""
    async with hashing(most_waiting=1) as hashes:
        for name in ("a", "b"):
            await hashes.start(name, "x", f"{name} runs")
        await hashes.began_with(["a runs", "b runs"])
        await hashes.start("attacked", "x", "first")
        for n in range(3):
            await hashes.start(f"other {n}", "x", f"other {n}")
            await hashes.start("attacked", "x", f"no room {n}")
            assert hashes.answers[f"no room {n}"] is None
        await hashes.finish("a runs")
        await hashes.began_with(["a runs", "b runs", "first"])


async def test_one_that_goes_away_while_it_waits_is_forgotten() -> None:
    """A cancelled wait takes no turn and leaves nothing behind."""
    async with hashing() as hashes:
        await hashes.start("CP1", "x", "running")
        async with trio.open_nursery() as inner:
            inner.start_soon(hashes.check, "CP1", "x", "gone")
            await trio.testing.wait_all_tasks_blocked()
            assert hashes.checks.waiting("CP1") == 1
            inner.cancel_scope.cancel()
        assert hashes.checks.waiting("CP1") == 0
        await hashes.start("CP1", "x", "third")
        await hashes.began_with(["running"])
        await hashes.finish("running")
        await hashes.began_with(["running", "third"])
        await hashes.finish("third")
        assert hashes.checks.running == hashes.checks.waiting("CP1") == 0


@pytest.mark.parametrize("runs_itself", [True, False])
async def test_the_only_one_that_waits_for_a_charger_leaves_it_no_turn(runs_itself: bool) -> None:
    """The charger's turn goes to the next one, and the place that becomes free fails nothing."""
    async with hashing() as hashes:
        for name in ("CP1", "CP2"):
            await hashes.start(name, "x", f"{name} runs")
        async with trio.open_nursery() as inner:
            inner.start_soon(hashes.check, "CP1" if runs_itself else "CP3", "x", "gone")
            await trio.testing.wait_all_tasks_blocked()
            inner.cancel_scope.cancel()
        await hashes.start("CP4", "x", "next")
        await hashes.began_with(["CP1 runs", "CP2 runs"])
        await hashes.finish("CP1 runs")
        await hashes.began_with(["CP1 runs", "CP2 runs", "next"])
        await hashes.finish("CP2 runs")
        await hashes.finish("next")
        assert hashes.answers == {"CP1 runs": "CP1 runs", "CP2 runs": "CP2 runs", "next": "next"}


async def test_one_that_is_cancelled_while_it_runs_gives_its_place_back() -> None:
    """The thread can't be stopped, so it is waited for; then the next has its turn."""
    async with hashing() as hashes:
        async with trio.open_nursery() as inner:
            inner.start_soon(hashes.check, "CP1", "x", "running")
            await hashes.began_with(["running"])
            await hashes.start("CP1", "x", "next")
            inner.cancel_scope.cancel()
            hashes.gates["running"].set()
        await hashes.began_with(["running", "next"])


async def test_a_check_waits_for_no_other_work_in_threads() -> None:
    """Whatever else is in threads, and however long: it has its own places."""
    limiter = trio.to_thread.current_default_thread_limiter()
    others = [object() for _ in range(int(limiter.total_tokens))]
    for each in others:
        limiter.acquire_on_behalf_of_nowait(each)
    try:
        with trio.fail_after(60):
            assert await SlowChecks().check("CP1", "x", lambda: "done") == "done"
    finally:
        for each in others:
            limiter.release_on_behalf_of(each)


async def test_a_check_that_fails_gives_its_place_back() -> None:
    """A bug in it is its caller's."""
    checks = SlowChecks()

    def bug() -> None:
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await checks.check("CP1", "x", bug)
    assert checks.running == 0
