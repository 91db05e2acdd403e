"""The socket of a charger, on real sockets: it behaves as any Trio stream, and takes what the kernel takes at once."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
import trio.testing

from gateway.transport.link import SocketLink


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
async def linked() -> AsyncIterator[tuple[SocketLink, socket.socket]]:
    with sockets() as (near, far):
        link = SocketLink(near)
        yield link, far
        await link.aclose()


def fill(link: SocketLink) -> int:
    """Write until the kernel takes no more; how many bytes it took."""
    taken = 0
    while sent := link.send_nowait(b"x" * 65_536):
        taken += sent
    return taken


async def test_it_is_a_stream_like_any_other() -> None:
    """Trio's own suite for streams."""

    async def make() -> tuple[SocketLink, SocketLink]:
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
        return SocketLink(near), SocketLink(far)

    async def make_clogged() -> tuple[SocketLink, SocketLink]:
        ends = await make()
        for end in ends:
            fill(end)
        return ends

    await trio.testing.check_two_way_stream(make, make_clogged)


async def test_what_the_kernel_takes_goes_out_without_waiting() -> None:
    """No checkpoint: a task that was cancelled meanwhile has sent all of it."""
    async with linked() as (link, far):
        assert link.send_nowait(b"hello") == 5
        assert far.recv(100) == b"hello"


async def test_a_full_buffer_takes_nothing_and_is_no_error() -> None:
    """Whoever has more waits in ``send_all``, which ends when the peer reads."""
    async with linked() as (link, far):
        filled = fill(link)
        assert link.send_nowait(b"more") == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.send_all, b"more")
            read = b""
            while len(read) < filled + 4:
                read += await trio.to_thread.run_sync(far.recv, 1 << 20)
        assert read.endswith(b"more")


async def test_a_reset_is_a_broken_stream_for_both_ways() -> None:
    """The peer's process died with unread input."""
    async with linked() as (link, far):
        link.send_nowait(b"unread")
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
        with pytest.raises(trio.BrokenResourceError):
            await link.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            link.send_nowait(b"more")


async def test_after_closing_nothing_can_be_done() -> None:
    """And closing again does nothing."""
    async with linked() as (link, _):
        await link.aclose()
        await link.aclose()
        with pytest.raises(trio.ClosedResourceError):
            link.send_nowait(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await link.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await link.send_all(b"x")
