"""Chargers and strangers that mean harm, in a process of their own: what they send costs the gateway all it can.

They run at a lower priority than the neighbour that is measured beside them, since both share the drivers' cores.
"""

import multiprocessing
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import trio
from attrs import frozen

from bench import wire
from bench.processes import Credentials, Server
from gateway.transport.tls_probe import client_hello
from tests.hostile import payloads

TEN = 10
"""Chargers that send the same message at once."""

STALLERS = 300
"""Sockets that say nothing, or the first byte."""

GUESSERS = 60
"""Sockets that try passwords of one charger."""

HANDSHAKES = 40
"""Sockets that offer a key share which would take the gateway long."""

FFDHE8192 = 0x0104

NICE = 10

GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError, ssl.SSLError, wire.Unexpected)
"""What a link that the gateway has ended raises."""


@frozen
class Place:
    """Address of the gateway, and identities to attack it as. ``guessed``: a charger with a key that was imported."""

    host: str
    port: int
    path: str
    ca_file: Path
    chargers: Sequence[Credentials]
    guessed: str


Attack = Callable[[Place], Awaitable[None]]
"""Goes on until it is cancelled."""


# --- One link -----------------------------------------------------------------------------------------------------


async def _secure(place: Place) -> trio.SSLStream[trio.SocketStream]:
    context = ssl.create_default_context(cafile=str(place.ca_file))
    stream = trio.SSLStream(await trio.open_tcp_stream(place.host, place.port), context, server_hostname="localhost")
    await stream.do_handshake()
    return stream


async def _upgraded(place: Place, charger: Credentials) -> trio.SSLStream[trio.SocketStream]:
    """An open WebSocket. Raises Unexpected where it is refused."""
    stream = await _secure(place)
    await stream.send_all(wire.upgrade_request(place.path, charger.identity, charger.key))
    data = b""
    while (answer := wire.upgrade_answer(data)) is None:
        more = await stream.receive_some()
        if not more:
            raise wire.Unexpected("no answer to the upgrade")
        data += bytes(more)
    if answer[0] != 101:
        raise wire.Unexpected(f"status {answer[0]}")
    return stream


async def _answered(stream: trio.SSLStream[trio.SocketStream]) -> None:
    """Until the message with the id x is answered. Raises Unexpected when the link ends before."""
    data = b""
    while more := await stream.receive_some():
        found, data = wire.frames(data + bytes(more))
        for opcode, text in found:
            if opcode == wire.PING:
                await stream.send_all(wire.frame(wire.PONG, text))
            elif opcode == wire.TEXT and wire.parse(text)[:2] in ([3, "x"], [4, "x"]):
                return
    raise wire.Unexpected("the link ended")


# --- What they do -------------------------------------------------------------------------------------------------


async def nothing(place: Place) -> None:
    """No attack: what the others are compared with."""
    await trio.sleep_forever()


def sending(message: bytes, chargers: int = TEN) -> Attack:
    """Each of some chargers sends it, waits for the answer and sends it again; one that is ended comes back."""

    async def again_and_again(place: Place, charger: Credentials) -> None:
        while True:
            with suppress(*GONE):
                stream = await _upgraded(place, charger)
                try:
                    while True:
                        await stream.send_all(message)
                        await _answered(stream)
                finally:
                    await trio.aclose_forcefully(stream)
            await trio.sleep(0.05)

    async def attack(place: Place) -> None:
        async with trio.open_nursery() as nursery:
            for charger in place.chargers[:chargers]:
                nursery.start_soon(again_and_again, place, charger)

    return attack


async def reconnects(place: Place) -> None:
    """One charger, a megabyte, and a new connection for the next one."""
    message = wire.frame(wire.TEXT, payloads.text_of_brackets())
    while True:
        with suppress(*GONE), trio.move_on_after(0.5):
            stream = await _upgraded(place, place.chargers[0])
            try:
                await stream.send_all(message)
                await _answered(stream)
            finally:
                await trio.aclose_forcefully(stream)
        await trio.sleep(0.01)


def stalling(first: Callable[[], bytes], sockets: int) -> Attack:
    """Strangers that send the first bytes of a handshake and no more, and come back when they are put out."""

    async def stall(place: Place) -> None:
        while True:
            with suppress(*GONE):
                stream = await trio.open_tcp_stream(place.host, place.port)
                try:
                    if begin := first():
                        await stream.send_all(begin)
                    while await stream.receive_some():
                        pass
                finally:
                    await trio.aclose_forcefully(stream)
            await trio.sleep(0.05)

    async def attack(place: Place) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(sockets):
                nursery.start_soon(stall, place)

    return attack


async def guesses(place: Place) -> None:
    """Strangers that try passwords of a charger whose key is checked slowly."""

    async def guess() -> None:
        while True:
            with suppress(*GONE):
                await _upgraded(place, Credentials(place.guessed, os.urandom(8).hex().encode()))
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        for _ in range(GUESSERS):
            nursery.start_soon(guess)


def _dear_handshake() -> bytes:
    """A TLS 1.3 ClientHello whose only key share is a random number of ffdhe8192 (RFC 7919)."""
    return client_hello([FFDHE8192], [(FFDHE8192, os.urandom(1024))])


def _stop() -> bytes:
    """An honest StopTransaction of 4 MiB, in two frames as its size wants it."""
    return wire.frame(wire.TEXT, payloads.long_stop(4 * payloads.MEGABYTE - 1024))


ATTACKS: dict[str, Callable[[], Attack]] = {
    "none": lambda: nothing,
    "ffdhe8192": lambda: stalling(_dear_handshake, HANDSHAKES),
    "silent sockets": lambda: stalling(bytes, STALLERS),
    "first byte only": lambda: stalling(lambda: b"\x16", STALLERS),
    "guesses": lambda: guesses,
    "reconnects with a megabyte": lambda: reconnects,
    "stops of 4 MiB": lambda: sending(_stop(), 3),
    **{
        name: lambda make=make: sending(wire.frame(wire.TEXT, make()))  # type: ignore[misc]
        for name, make in payloads.DEAR.items()
    },
}
"""By the case they are."""


# --- Their process ------------------------------------------------------------------------------------------------


@contextmanager
def attacked(server: Server, attack: str, chargers: Sequence[Credentials], guessed: str) -> Iterator[int]:
    """Run the attack in a process of its own while the body runs; yields its process id. Raises RuntimeError if that
    process ended by itself."""
    place = Place(server.host, server.port, server.path, server.ca_file, chargers, guessed)
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(attack, place), daemon=True)
    process.start()
    try:
        assert process.pid is not None
        yield process.pid
        if process.exitcode is not None:
            raise RuntimeError(f"the attack {attack} ended with {process.exitcode}")
    finally:
        process.terminate()
        process.join(10)


def _run(attack: str, place: Any) -> None:
    os.nice(NICE)
    trio.run(ATTACKS[attack](), place)
