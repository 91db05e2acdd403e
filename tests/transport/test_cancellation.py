"""Cancellation at every moment: before the first step of an operation, at each after it, and in the middle of its I/O.

Each test runs an operation again and again, cancelled a moment later each time, until it completes uncancelled. After
each, either the connection goes on as if nothing had been, or it has ended and says so. Never is half a TLS record
followed by anything, and never is a message lost that was read, or given out twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing
from attrs import define
from trio.testing import MockClock

from gateway.transport.api import ConnectionClosed
from gateway.transport.connection import Connection
from gateway.transport.limits import Limits
from tests.framing.cases import parts
from tests.support.frames import CLOSE, PING, PONG, TEXT, close, frame, frames_in, head
from tests.transport.ends import ping, serve_upgrade, server_end
from tests.transport.scripted import END, WIRES, Charger, PromptWire, Step, Wire, converse, step, whole_records

KINDS = pytest.mark.parametrize("kind", WIRES)

CLOSE_SECONDS = Limits().close_seconds

MOST_MOMENTS = 2000
"""More than any operation here has: a test that reaches it hangs."""


class Moments(trio.abc.Instrument):
    """Counts the scheduler's steps and the wire's operations, and cancels ``scope`` at one of them."""

    def __init__(self, last: int) -> None:
        self.left = last
        self.scope = trio.CancelScope()

    def tick(self) -> None:
        if self.left == 0:
            self.scope.cancel()
        self.left -= 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.tick()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.tick()

    @property
    def outlived(self) -> bool:
        """The operation was over before its moment came."""
        return self.left >= 0


def observed(wire: Wire, moments: Moments) -> None:
    """The wire's operations are moments too: before they take effect, and when they have."""
    receive, carry = wire.receive_some, wire.carry

    async def receive_some(max_bytes: int | None = None) -> bytes:
        data = await receive(max_bytes)
        moments.tick()
        return data

    def carry_it(data: bytes | bytearray | memoryview) -> None:
        moments.tick()
        carry(data)
        moments.tick()

    wire.receive_some, wire.carry = receive_some, carry_it  # type: ignore[method-assign]


@define
class Attempt:
    """One run, cancelled at a moment of its own."""

    wire: Wire
    connection: Connection
    moments: Moments

    @property
    def charger(self) -> Charger:
        return self.wire.charger

    async def run(self, operation: Callable[[], Awaitable[None]]) -> None:
        observed(self.wire, self.moments)
        trio.lowlevel.add_instrument(self.moments)
        try:
            with self.moments.scope, trio.fail_after(1000):
                await operation()
        finally:
            trio.lowlevel.remove_instrument(self.moments)

    def answers(self) -> list[tuple[int, bytes]]:
        """The frames that the charger heard after the 101; they are whole, unless the wire was cut in one."""
        assert not self.charger.failure
        frames = bytes(self.charger.heard).partition(b"\r\n\r\n")[2]
        return frames_in(frames)

    def assert_cut_cleanly(self) -> None:
        """The wire is closed, and what may have been cut is the last that was written."""
        assert self.wire.closed
        whole_records(self.wire.written)
        assert not self.charger.failure


async def attempts(
    kind: type[Wire], script: list[Step], *, opened: bool = True, cut: Callable[[int], int] | None = None
) -> AsyncIterator[Attempt]:
    """Until one isn't cancelled any more. Each is served with the upgrade done, unless it isn't ``opened``."""
    for moment in range(MOST_MOMENTS):
        charger = Charger([step(b"", head()), *script])
        wire = kind(charger, cut=cut) if cut else kind(charger)
        attempt = Attempt(wire, server_end(wire), Moments(moment))
        if opened:
            await serve_upgrade(attempt.connection)
        yield attempt
        await attempt.connection.aclose()
        attempt.assert_cut_cleanly()
        if attempt.moments.outlived:
            assert moment > 3
            return
    raise AssertionError("the operation never ends")


async def rest_of(connection: Connection) -> tuple[list[bytes], tuple[int, str, str]]:
    """All messages that still come, and the end."""
    messages = []
    with trio.fail_after(1000):
        try:
            while True:
                messages.append(await connection.receive())
        except ConnectionClosed as closed:
            return messages, (closed.code, closed.reason, closed.initiator)


MESSAGES = [b"1", b"2" * 200, b"ab", "κ".encode() * 100, b"last"]

TALK = [
    step(
        b"\r\n\r\n",
        frame(TEXT, MESSAGES[0]) + frame(TEXT, MESSAGES[1]),
        parts(b"a", b"b", between=frame(PING, b"p1")),
        frame(PING, b"p2") + frame(TEXT, MESSAGES[3])[:50],
        frame(TEXT, MESSAGES[3])[50:],
        frame(PING, b"p3"),
        frame(TEXT, MESSAGES[4]) + close(1000, b"bye"),
        END,
    )
]


def in_reads_of(size: int) -> Callable[[int], int]:
    return lambda _: size


@KINDS
@pytest.mark.parametrize("size", [60, 10_000])
async def test_a_receive_cancelled_at_any_moment_loses_nothing(
    kind: type[Wire], size: int, autojump_clock: MockClock
) -> None:
    """Messages in fragments, pings between, records over several reads: all come, once, in order, and so do pongs."""
    async for attempt in attempts(kind, TALK, cut=in_reads_of(size)):
        got: list[bytes] = []

        async def receive_all(attempt: Attempt = attempt, got: list[bytes] = got) -> None:
            while len(got) < len(MESSAGES):
                got.append(await attempt.connection.receive())

        await attempt.run(receive_all)
        more, end = await rest_of(attempt.connection)
        await attempt.connection.aclose()
        if end == (1006, "a write was cancelled", "local"):
            assert kind is not PromptWire  # where a pong was only partly written
            assert got + more == MESSAGES[: len(got + more)]
            continue
        assert got + more == MESSAGES
        assert end == (1000, "bye", "peer")
        answers = attempt.answers()
        everything = [(PONG, b"p1"), (PONG, b"p2"), (PONG, b"p3"), (CLOSE, b"\x03\xe8bye")]
        assert answers == (everything if kind is PromptWire else everything[: len(answers)])


LONG = b"x" * 40_000


@KINDS
async def test_a_send_or_ping_cancelled_at_any_moment_is_whole_or_the_end(
    kind: type[Wire], autojump_clock: MockClock
) -> None:
    """A completed one has arrived; a cancelled one has arrived whole, or not at all, or ended the connection."""
    async for attempt in attempts(kind, []):
        done: list[tuple[int, bytes]] = []

        async def speak(attempt: Attempt = attempt, done: list[tuple[int, bytes]] = done) -> None:
            await attempt.connection.send(b"first")
            done.append((TEXT, b"first"))
            await ping(attempt.connection)
            done.append((PING, b""))
            await attempt.connection.send(LONG)
            done.append((TEXT, LONG))

        await attempt.run(speak)
        in_doubt = [(TEXT, b"first"), (PING, b""), (TEXT, LONG)][len(done) : len(done) + 1]
        try:
            await attempt.connection.send(b"after")
        except ConnectionClosed:
            _, end = await rest_of(attempt.connection)
            assert end == (1006, "a write was cancelled", "local")
            assert kind is not PromptWire
            assert attempt.wire.closed
            written = len(attempt.wire.written)
            for operation in (attempt.connection.send(b"late"), ping(attempt.connection)):
                with pytest.raises(ConnectionClosed):
                    await operation
            await attempt.connection.aclose()
            assert len(attempt.wire.written) == written
        else:
            assert attempt.answers() in ([*done, (TEXT, b"after")], [*done, *in_doubt, (TEXT, b"after")])


@KINDS
async def test_an_opening_cancelled_at_any_moment_leaves_a_close_that_ends_it(
    kind: type[Wire], autojump_clock: MockClock
) -> None:
    """TLS handshake, request, admission, 101. A charger whose request waits for its answer is asked to come back."""
    stages = set()
    async for attempt in attempts(kind, [], opened=False, cut=in_reads_of(100)):
        stage = ["tls"]

        async def open_it(attempt: Attempt = attempt, stage: list[str] = stage) -> None:
            await attempt.connection.secure()
            stage[0] = "request"
            await attempt.connection.request()
            stage[0] = "admission"
            await trio.sleep(1)
            stage[0] = "answer"
            await attempt.connection.accept(None)
            stage[0] = "open"

        await attempt.run(open_it)
        stages.add(stage[0])
        start = trio.current_time()
        await attempt.connection.aclose(1001)
        assert trio.current_time() - start <= CLOSE_SECONDS
        heard = bytes(attempt.charger.heard)
        match stage[0]:
            case "admission":
                assert heard.startswith(b"HTTP/1.1 503 ")
                assert b"\r\nRetry-After: " in heard
                assert attempt.charger.close_notified
            case "answer" if not heard:
                assert kind is not PromptWire  # the 101 was cut
            case "answer" | "open":
                assert heard.startswith(b"HTTP/1.1 101 ")
                assert attempt.answers() in ([], [(CLOSE, b"\x03\xe9")])
            case _:
                assert not heard
    assert stages == {"tls", "request", "admission", "answer", "open"}


@KINDS
@pytest.mark.parametrize("reading", [False, True], ids=["alone", "with a reader"])
@pytest.mark.parametrize("polite", [True, False], ids=["answered", "ignored"])
async def test_a_close_cancelled_at_any_moment_is_done_all_the_same(
    kind: type[Wire], reading: bool, polite: bool, autojump_clock: MockClock
) -> None:
    """Close frame, close_notify, the wire: whether the charger answers or not, and whether a task is in receive."""
    script = [step(b"\x88", close(1001), END)] if polite else []
    async for attempt in attempts(kind, script):
        ends: list[tuple[list[bytes], tuple[int, str, str]]] = []

        async def read(attempt: Attempt = attempt, ends: list[tuple[list[bytes], tuple[int, str, str]]] = ends) -> None:
            ends.append(await rest_of(attempt.connection))

        async with trio.open_nursery() as nursery:
            if reading:
                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
            start = trio.current_time()
            await attempt.run(partial(attempt.connection.aclose, 1001, "restart"))
            assert trio.current_time() - start <= CLOSE_SECONDS + 1
            assert attempt.wire.closed
        assert ends == ([([], (1001, "restart", "local"))] if reading else [])
        assert attempt.answers() == [(CLOSE, b"\x03\xe9restart")]
        if polite:
            assert attempt.charger.close_notified


MINE = [b"mine %d" % i for i in range(4)]
OTHERS = [b"other %d" % i for i in range(4)]


@KINDS
async def test_a_sender_cancelled_at_any_moment_does_not_garble_another(
    kind: type[Wire], autojump_clock: MockClock
) -> None:
    """Two tasks send by turns: the other's messages arrive in order, or it learns that the connection is over."""
    async for attempt in attempts(kind, []):
        sent: list[bytes] = []

        async def send_others(attempt: Attempt = attempt, sent: list[bytes] = sent) -> None:
            for text in OTHERS:
                try:
                    await attempt.connection.send(text)
                except ConnectionClosed:
                    return
                sent.append(text)
                await trio.lowlevel.checkpoint()

        async def send_mine(attempt: Attempt = attempt) -> None:
            for text in MINE:
                await attempt.connection.send(text)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_others)
            await attempt.run(send_mine)
        heard = [payload for _, payload in attempt.answers()]
        from_others = [text for text in heard if text in OTHERS]
        from_me = [text for text in heard if text in MINE]
        assert len(from_others) + len(from_me) == len(heard)
        assert from_others == OTHERS[: len(from_others)]
        assert from_me == MINE[: len(from_me)]
        assert len(from_others) >= len(sent)
        if sent != OTHERS:
            assert kind is not PromptWire
            _, end = await rest_of(attempt.connection)
            assert end == (1006, "a write was cancelled", "local")


@KINDS
async def test_a_session_cancelled_at_any_moment_closes_behind_itself(
    kind: type[Wire], autojump_clock: MockClock
) -> None:
    """From the first byte of TLS to the last answer: each message is answered at most once, in order; TLS is ended."""
    script = [
        step(b"\r\n\r\n", frame(TEXT, b"[1]") + frame(PING, b"p"), frame(TEXT, b"[2]")),
        step(b"re:[2]", frame(TEXT, b"[3]")),
        step(b"re:[3]", close(1000), END),
    ]
    async for attempt in attempts(kind, script, opened=False, cut=in_reads_of(100)):

        async def serve(attempt: Attempt = attempt) -> None:
            story = await converse(attempt.connection)
            assert story.end == (1000, "", "peer")
            assert story.messages == [b"[1]", b"[2]", b"[3]"]

        await attempt.run(serve)
        assert attempt.wire.closed
        if attempt.charger.heard.startswith(b"HTTP/1.1 101 "):
            answers = attempt.answers()
            texts = [payload for opcode, payload in answers if opcode == TEXT]
            assert texts == [b"re:[1]", b"re:[2]", b"re:[3]"][: len(texts)]
            if kind is PromptWire:
                assert answers[-1] == (CLOSE, b"\x03\xe8")
