"""The whole process stands still (SIGSTOP, a paused machine): when it goes on, no peer has lost anything."""

import signal
import socket

import trio

from tests.endtoend.asking import in_thread
from tests.endtoend.charger import Charger, chargers
from tests.endtoend.gateway_process import MakeGateway

IDENTITIES = tuple(f"CP{number}" for number in range(6))

SHORT = {
    "sessions": {
        "tls_handshake_seconds": 2,
        "upgrade_seconds": 2,
        "admission_seconds": 2,
        "write_seconds": 2,
        "end_seconds": 2,
        "call_timeout_seconds": 3,
    },
    "store": {"commit_deadline_seconds": 1},
}
"""Every deadline is shorter than the stop, as the default ones are than a stop of a minute."""

SECONDS = 5


async def test_no_session_ends_and_every_message_is_answered(make_gateway: MakeGateway) -> None:
    """Deadlines of commits, reads and handshakes pass meanwhile; what chargers sent lies in the kernel's buffers."""
    gateway = make_gateway(**SHORT)
    await in_thread(gateway.start)
    for identity in IDENTITIES:
        await in_thread(gateway.add_charge_point, identity)
    async with chargers(gateway, *IDENTITIES) as connected:
        stopped = trio.Event()
        answered: list[str] = []

        async def goes_on(charger: Charger) -> None:
            """Sends as soon as it is answered: something is on its way to the disk all the time."""
            for number in range(10_000):
                await charger.status("Available" if number % 2 else "Preparing")
                if stopped.is_set():
                    break
            answered.append("goes on")

        async def is_punctual(charger: Charger) -> None:
            """Sends while the gateway stands still, and is answered when it doesn't."""
            await trio.sleep(SECONDS / 2)
            await charger.call("Heartbeat", {})
            answered.append("is punctual")

        with socket.create_connection(("127.0.0.1", gateway.port)) as newcomer:
            tls = gateway.tls.wrap_socket(newcomer, server_hostname="localhost", do_handshake_on_connect=False)
            async with trio.open_nursery() as nursery:
                for charger in connected[:3]:
                    nursery.start_soon(goes_on, charger)
                await trio.sleep(0.5)
                gateway.signal(signal.SIGSTOP)
                nursery.start_soon(is_punctual, connected[3])
                handshaken = trio.Event()

                async def shakes_hands() -> None:
                    await trio.sleep(SECONDS / 2)
                    await in_thread(tls.do_handshake)
                    handshaken.set()

                nursery.start_soon(shakes_hands)
                await trio.sleep(SECONDS)
                gateway.signal(signal.SIGCONT)
                await trio.sleep(0.5)
                stopped.set()
            assert handshaken.is_set()
            assert isinstance(tls.version(), str)
            tls.close()
        assert sorted(answered) == ["goes on"] * 3 + ["is punctual"]
        await trio.sleep(4)  # the grace after it, and a look at who is silent
        assert [charger.ended for charger in connected] == [None] * len(connected)
        for charger in connected:
            assert "currentTime" in await charger.call("Heartbeat", {})
    assert b"store unavailable" not in gateway.log.read_bytes()
    assert await in_thread(gateway.stop) == 0
