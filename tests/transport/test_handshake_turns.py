"""Steps of handshakes between two looks at the sockets: counted, at a listener that hundreds knock at together."""

from __future__ import annotations

import os
from collections import Counter

import pytest
import trio
import trio.testing

from gateway.transport.handshake_turns import STEPS_A_TURN, HandshakeTurns
from gateway.transport.tls_probe import GROUPS, client_hello
from gateway.transport.tls_records import TlsRecords
from tests.transport.test_listener import open_port


class TurnsOfTheLoop(trio.abc.Instrument):
    """Counts how often the loop has looked at its sockets."""

    number = 0

    def after_io_wait(self, timeout: float) -> None:
        self.number += 1


async def test_so_many_steps_are_taken_between_two_looks_at_the_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred ClientHellos that lie there at once; a task that is there all along gets its turn in between."""
    loop = TurnsOfTheLoop()
    steps: Counter[int] = Counter()
    handshake = TlsRecords.handshake

    def counted(self: TlsRecords) -> bool:
        steps[loop.number] += 1
        return handshake(self)

    monkeypatch.setattr(TlsRecords, "handshake", counted)
    hello = client_hello([GROUPS["X25519"]], [(GROUPS["X25519"], bytes(range(32)))])
    neighbour = 0
    async with open_port() as port:
        streams = [await port.raw() for _ in range(100)]
        for stream in streams:
            assert os.write(stream.socket.fileno(), hello) == len(hello)  # all of them before the loop goes on
        trio.lowlevel.add_instrument(loop)
        try:
            with trio.fail_after(60):
                while steps.total() < 100:
                    neighbour += 1
                    await trio.lowlevel.checkpoint()
        finally:
            trio.lowlevel.remove_instrument(loop)
    assert max(steps.values()) == STEPS_A_TURN
    assert neighbour >= 100 / STEPS_A_TURN


async def test_addresses_take_turns() -> None:
    """One that asks for one step waits for one of each other address, not for all of another's."""
    turns, order = HandshakeTurns(), []

    async def step(lane: str, name: str) -> None:
        await turns.take(lane)
        order.append(name)

    async with trio.open_nursery() as nursery:
        for n in range(50):
            nursery.start_soon(step, "crowd", f"crowd {n}")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(step, "other", "other")
        await trio.testing.wait_all_tasks_blocked()
        assert len(turns) == 51
        nursery.start_soon(turns.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert order.index("other") < 2 * STEPS_A_TURN
    assert len(order) == 51


async def test_a_turn_that_is_given_up_is_the_next_ones() -> None:
    """Cancelled while it waits, before and after ``run`` is there; asking again works."""
    turns = HandshakeTurns()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0):
            await turns.take("x")
        assert len(turns) == 0
        nursery.start_soon(turns.run)
        for _ in range(3):
            await turns.take("x")
        nursery.cancel_scope.cancel()
