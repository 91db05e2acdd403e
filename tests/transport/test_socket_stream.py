"""The socket of a charger, on real sockets: it behaves as any Trio stream, and takes what the kernel takes at once."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import structlog
import trio
import trio.testing

from gateway.transport.epoll import Epoll
from gateway.transport.socket_stream import SocketStream

Make = Callable[[socket.socket], SocketStream]


@pytest.fixture(params=["by Trio", "by the poller"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Each way in which a link learns that there is something to read."""
    if request.param == "by Trio":
        yield SocketStream
        return
    poller = Epoll()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        yield lambda sock: SocketStream(sock, poller)
        assert not len(poller), "a closed socket is still registered"
        poller.stop()


@contextmanager
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
    near.setblocking(False)
    with near, far:
        yield near, far


@asynccontextmanager
async def linked(make: Make) -> AsyncIterator[tuple[SocketStream, socket.socket]]:
    with sockets() as (near, far):
        link = make(near)
        yield link, far
        await link.aclose()


def fill(link: SocketStream) -> int:
    """Write until the kernel takes no more; how many bytes it took."""
    taken = 0
    while sent := link.send_nowait(b"x" * 65_536):
        taken += sent
    return taken


async def test_it_is_a_stream_like_any_other(make: Make) -> None:
    """Trio's own suite for streams."""

    async def pair() -> tuple[SocketStream, SocketStream]:
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
        return make(near), make(far)

    async def clogged() -> tuple[SocketStream, SocketStream]:
        ends = await pair()
        for end in ends:
            fill(end)
        return ends

    await trio.testing.check_two_way_stream(pair, clogged)


async def test_what_the_kernel_takes_goes_out_without_waiting(make: Make) -> None:
    """No checkpoint: a task that was cancelled meanwhile has sent all of it."""
    async with linked(make) as (link, far):
        assert link.send_nowait(b"hello") == 5
        assert far.recv(100) == b"hello"


async def test_a_full_buffer_takes_nothing_and_is_no_error(make: Make) -> None:
    """A sender with more waits in ``send_all``, which ends when the peer reads."""
    async with linked(make) as (link, far):
        filled = fill(link)
        assert link.send_nowait(b"more") == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.send_all, b"more")
            read = b""
            while len(read) < filled + 4:
                read += await trio.to_thread.run_sync(far.recv, 1 << 20)
        assert read.endswith(b"more")


async def test_a_reset_is_a_broken_stream_for_both_ways(make: Make) -> None:
    """The peer's process died with unread input."""
    async with linked(make) as (link, far):
        link.send_nowait(b"unread")
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
        with pytest.raises(trio.BrokenResourceError):
            await link.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            link.send_nowait(b"more")


async def test_after_closing_nothing_can_be_done(make: Make) -> None:
    """And closing again does nothing."""
    async with linked(make) as (link, _):
        await link.aclose()
        await link.aclose()
        with pytest.raises(trio.ClosedResourceError):
            link.send_nowait(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await link.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await link.send_all(b"x")


async def test_what_came_before_the_first_read_is_read(make: Make) -> None:
    """And what comes in pieces, however much is asked for at once."""
    async with linked(make) as (link, far):
        far.sendall(b"one two")
        await trio.sleep(0.01)
        assert await link.receive_some(3) == b"one"
        assert await link.receive_some(100) == b" two"
        far.sendall(b"three")
        assert await link.receive_some(100) == b"three"
        far.close()
        assert await link.receive_some(100) == b""
        assert await link.receive_some(100) == b""


async def test_a_read_that_was_cancelled_loses_nothing(make: Make) -> None:
    """Bytes that come after it are for the next one."""
    async with linked(make) as (link, far):
        with trio.move_on_after(0.01):
            await link.receive_some(100)
        far.sendall(b"late")
        await trio.sleep(0.01)
        assert await link.receive_some(100) == b"late"


async def test_a_peer_that_never_stops_sending_lets_others_run(make: Make) -> None:
    """Each read is a checkpoint, also where there is always more."""
    async with linked(make) as (link, far):
        far.setblocking(False)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for _ in range(50):
                far.send(b"x" * 100)
                await link.receive_some(10)
            nursery.cancel_scope.cancel()
        assert turns > 25


async def test_thousands_of_sockets_are_woken_each_for_its_own() -> None:
    """More than one call of epoll reports, and their numbers used again."""
    poller = Epoll()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        for _ in range(2):
            pairs = [socket.socketpair() for _ in range(700)]
            links = []
            for near, _ in pairs:
                near.setblocking(False)
                links.append(SocketStream(near, poller))
            for number, (_, far) in enumerate(pairs):
                far.sendall(b"%d" % number)
            for number, link in enumerate(links):
                assert await link.receive_some() == b"%d" % number
            for link, (_, far) in zip(links, pairs, strict=True):
                await link.aclose()
                far.close()
            assert not len(poller)
        poller.stop()


async def test_a_link_may_be_closed_after_its_poller_has_stopped() -> None:
    """In whatever order a listener comes to its end."""
    near, far = socket.socketpair()
    near.setblocking(False)
    poller = Epoll()
    link = SocketStream(near, poller)
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        poller.stop()
    await link.aclose()
    far.close()


async def test_an_end_that_comes_with_the_last_data_is_read_after_it(make: Make) -> None:
    """Both in one word of the kernel's: it gives no other."""
    with sockets() as (near, far):
        far.sendall(b"last words")
        far.shutdown(socket.SHUT_WR)
        link = make(near)
        with trio.fail_after(60):
            assert await link.receive_some(100) == b"last words"
            assert await link.receive_some(100) == b""
            assert await link.receive_some(100) == b""
        await link.aclose()


async def test_a_socket_whose_word_fails_keeps_it_from_no_other() -> None:
    """The kernel reports an event once: those after the failing one must not be lost."""

    class Fails:
        def readable(self, over: bool) -> None:
            raise KeyError("a bug")

    poller = Epoll()
    pairs = [socket.socketpair() for _ in range(20)]
    links = []
    for number, (near, _) in enumerate(pairs):
        near.setblocking(False)
        if number % 2:
            links.append(SocketStream(near, poller))
        else:
            poller.add(near.fileno(), Fails())
    for _, far in pairs:
        far.sendall(b"word")
    with structlog.testing.capture_logs() as logged:
        async with trio.open_nursery() as nursery:
            await nursery.start(poller.run)
            with trio.fail_after(60):
                for link in links:
                    assert await link.receive_some() == b"word"
            for link in links:
                await link.aclose()
            poller.stop()
    assert [each["event"] for each in logged] == 10 * ["reader failed"]
    for near, far in pairs:
        near.close()
        far.close()


async def test_a_read_that_is_interrupted_waits_no_longer(make: Make) -> None:
    """The next one waits again, and nothing is lost."""
    async with linked(make) as (link, far):
        link.interrupt()  # of no read
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(trio.WouldBlock):
                    await link.receive_some(100)

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            link.interrupt()
        far.sendall(b"later")
        assert await link.receive_some(100) == b"later"


async def test_reading_without_waiting_takes_what_is_there(make: Make) -> None:
    """In pieces as they are asked for; a read that waits afterwards hears of more."""
    async with linked(make) as (link, far):
        with pytest.raises(trio.WouldBlock):
            link.receive_nowait(100)
        far.sendall(b"one two")
        await trio.sleep(0.01)
        assert link.receive_nowait(3) == b"one"
        assert link.receive_nowait(100) == b" two"
        with pytest.raises(trio.WouldBlock):
            link.receive_nowait(100)
        far.sendall(b"three")
        assert await link.receive_some(100) == b"three"
        far.close()
        await trio.sleep(0.01)
        assert link.receive_nowait(100) == b""


async def test_who_writes_is_not_interrupted(make: Make) -> None:
    """It waits on until the peer reads."""
    async with linked(make) as (link, far):
        filled = fill(link)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.send_all, b"more")
            await trio.testing.wait_all_tasks_blocked()
            link.interrupt()
            await trio.testing.wait_all_tasks_blocked()
            read = b""
            while len(read) < filled + 4:
                read += await trio.to_thread.run_sync(far.recv, 1 << 20)
        assert read.endswith(b"more")
