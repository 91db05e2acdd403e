"""TCP links that can be cut or fall silent, and a balancer: carried by a thread beside the test."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import trio
from attrs import define, field

Target: TypeAlias = int | Path
"""A port of loopback, or a socket of the file system."""

CHUNK = 65_536
"""Bytes that a link carries at once."""

THREAD_SECONDS = 60.0
"""For the thread to begin, to do what it is asked, and to end: an idle machine takes milliseconds."""

GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


@define(eq=False)
class Link:
    """A port that leads to the target with the fewest connections, of those that take one: a balancer, where there are
    several. ``open``; ``cut``: connections are reset, and so is each new one; ``silent``: nothing passes."""

    port: int
    targets: Sequence[Target]
    _network: "Network"
    _state: Literal["open", "cut", "silent"] = "open"
    _passes: trio.Event = field(factory=trio.Event)
    _scopes: dict[trio.CancelScope, Target | None] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._passes.set()

    def cut(self) -> None:
        """Reset what there is, and what comes."""
        self._network.call(partial(self._be, "cut"))

    def silence(self) -> None:
        """Let nothing pass in either direction, and nothing end."""
        self._network.call(partial(self._be, "silent"))

    def mend(self) -> None:
        self._network.call(partial(self._be, "open"))

    def _be(self, state: Literal["open", "cut", "silent"]) -> None:
        self._state = state
        if state == "silent":
            self._passes = trio.Event()
        else:
            self._passes.set()
        if state == "cut":
            for scope in self._scopes:
                scope.cancel()

    async def carry(self, stream: trio.SocketStream) -> None:
        """Carry one connection, until either end has ended it, or the link is cut."""
        with trio.CancelScope() as scope:
            if self._state == "cut":
                scope.cancel()
            self._scopes[scope] = None
            other: trio.SocketStream | None = None
            try:
                await self._passes.wait()
                other = await self._connected(scope)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._pass, stream, other, nursery.cancel_scope)
                    nursery.start_soon(self._pass, other, stream, nursery.cancel_scope)
            except* GONE:
                pass
            finally:
                del self._scopes[scope]
                for each in (stream, other):
                    if each is not None:
                        each.socket.close()

    async def _connected(self, scope: trio.CancelScope) -> trio.SocketStream:
        taken = list(self._scopes.values())
        for target in sorted(self.targets, key=taken.count):
            try:
                stream = await _open(target)
            except OSError:
                continue
            self._scopes[scope] = target
            return stream
        raise OSError("no target takes a connection")

    async def _pass(self, here: trio.SocketStream, there: trio.SocketStream, scope: trio.CancelScope) -> None:
        while data := await here.receive_some(CHUNK):
            await self._passes.wait()
            await there.send_all(data)
        await self._passes.wait()
        scope.cancel()  # an end of one direction is one of both: nothing here is half closed


async def _open(target: Target) -> trio.SocketStream:
    if isinstance(target, int):
        return await trio.open_tcp_stream("127.0.0.1", target)
    return await trio.open_unix_socket(str(target))


@define(eq=False)
class Balancer:
    """The door of all nodes, as chargers have it."""

    port: int
    tls: ssl.SSLContext


class Network:
    """Links, for the time of the context. Its methods are for any other thread."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=trio.run, args=(self._run,), daemon=True)
        self._ready = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None

    def __enter__(self) -> "Network":
        self._thread.start()
        assert self._ready.wait(THREAD_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        nursery = self._nursery
        assert nursery is not None
        self.call(nursery.cancel_scope.cancel)
        self._thread.join(THREAD_SECONDS)
        assert not self._thread.is_alive()

    def link(self, *targets: Target) -> Link:
        """Make a link to one of the targets."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        made = Link(listening.getsockname()[1], targets, self)

        def listen() -> None:
            assert self._nursery is not None
            self._nursery.start_soon(self._serve, made, trio.SocketListener(trio.socket.from_stdlib_socket(listening)))

        self.call(listen)
        return made

    def call(self, work: Callable[[], object]) -> None:
        """Do something in the thread of the links, and return when it is done."""
        done, token = threading.Event(), self._token
        assert token is not None

        def act() -> None:
            work()
            done.set()

        token.run_sync_soon(act)
        assert done.wait(THREAD_SECONDS)

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery, self._token = nursery, trio.lowlevel.current_trio_token()
            self._ready.set()
            await trio.sleep_forever()

    async def _serve(self, link: Link, listener: trio.SocketListener) -> None:
        await trio.serve_listeners(link.carry, [listener])
