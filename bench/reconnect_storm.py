"""A fleet that comes back at once, with session tickets and without: ``python -m bench.reconnect_storm``.

Over real sockets, to a gateway as it is shipped: each charger connects, shakes hands, upgrades, authenticates and sends
a BootNotification. Then all links are cut, and all chargers come back in the same moment: with a full handshake, and
with the ticket that each of them kept. Shown is the time until every one of them is answered, and what the gateway's
process has spent for that. A charger that is refused comes back after a pause, as real ones do; how often is shown.

The gateway has one core, the chargers the others, of which they need more than it does.
"""

import argparse
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import trio
from attrs import define, field

from bench import wire
from bench.processes import Credentials, Gateway, Server, Stopwatch, gateway

VERSIONS: Final = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}

PAUSE_SECONDS: Final = 0.5
"""Until a charger that was refused, or whose link was lost, comes back."""

STORM_SECONDS: Final = 300.0
"""For all of them to be answered: a guard against hanging."""

BOOT: Final = wire.text_frame(b'[2,"x","BootNotification",{"chargePointVendor":"B","chargePointModel":"M"}]')

SETTINGS: Final = """
[sessions]
own_requests = false
"""
"""Chargers here answer no request of the gateway's own."""

GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError, ssl.SSLError, wire.Unexpected)


@define
class Resuming:
    """A client's context that begins with a session, as far as Trio uses one."""

    context: ssl.SSLContext
    session: ssl.SSLSession | None

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **options: Any) -> ssl.SSLObject:
        """As of ``ssl.SSLContext``."""
        return self.context.wrap_bio(incoming, outgoing, **{**options, "session": self.session})


@define
class Charger:
    """One charger, and the ticket that it kept."""

    credentials: Credentials
    session: ssl.SSLSession | None = None
    seconds: float = 0.0
    stream: Any = None


@define
class Storm:
    """One return of all of them."""

    server: Server
    context: ssl.SSLContext
    with_tickets: bool
    refused: int = 0
    others: int = 0
    """Handshakes that were not of the kind that is measured."""
    seconds: list[float] = field(factory=list)

    async def come_back(self, charger: Charger, began: float) -> None:
        """Until it is answered."""
        while True:
            try:
                charger.stream = await self._answered(charger)
                self.seconds.append(trio.current_time() - began)
                return
            except GONE:
                self.refused += 1
                await trio.sleep(PAUSE_SECONDS)

    async def _answered(self, charger: Charger) -> Any:
        session = charger.session if self.with_tickets else None
        made: Any = Resuming(self.context, session)
        transport = await trio.open_tcp_stream(self.server.host, self.server.port)
        stream = trio.SSLStream(transport, made, server_hostname="localhost", https_compatible=True)
        try:
            await stream.do_handshake()
            self.others += stream.session_reused != self.with_tickets
            own = charger.credentials
            await stream.send_all(wire.upgrade_request(self.server.path, own.identity, own.key))
            data = b""
            while (answer := wire.upgrade_answer(data)) is None:
                data += await _more(stream)
            if answer[0] != 101:
                raise wire.Unexpected(f"status {answer[0]}")
            await stream.send_all(BOOT)
            while b'[3,"x"' not in data:
                data += await _more(stream)
        except GONE:
            await trio.aclose_forcefully(transport)
            raise
        charger.session = stream.session
        return transport

    async def run(self, chargers: Sequence[Charger]) -> None:
        """All at once."""
        with trio.fail_after(STORM_SECONDS):
            async with trio.open_nursery() as nursery:
                began = trio.current_time()
                for each in chargers:
                    nursery.start_soon(self.come_back, each, began)


async def _more(stream: Any) -> bytes:
    data = await stream.receive_some()
    if not data:
        raise wire.Unexpected("the link ended")
    return bytes(data)


async def cut(server: Gateway, chargers: Sequence[Charger]) -> None:
    """Cut all links, as a power cut does, and wait until the gateway has noticed."""
    for each in chargers:
        await trio.aclose_forcefully(each.stream)
    with trio.fail_after(STORM_SECONDS):
        while await trio.to_thread.run_sync(server.total, "gateway_sessions") > 0:  # noqa: ASYNC110 - another process
            await trio.sleep(0.2)


def client_of(server: Gateway, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A context of chargers that know this version alone."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    context.minimum_version = context.maximum_version = version
    return context


async def measured(server: Gateway, name: str, credentials: Sequence[Credentials]) -> None:
    """The storms of one version of TLS, printed."""
    context = client_of(server, VERSIONS[name])
    chargers = [Charger(each) for each in credentials]
    first = Storm(server, context, with_tickets=False)
    await first.run(chargers)
    for with_tickets in (False, True):
        await cut(server, chargers)
        storm, watch = Storm(server, context, with_tickets), Stopwatch.of(server.pid)
        await storm.run(chargers)
        watch.stop()
        if storm.others:
            raise RuntimeError("a handshake was not of the kind that is measured")
        ordered = sorted(storm.seconds)
        half, all_ = ordered[len(ordered) // 2], ordered[-1]
        each = watch.cpu_seconds / len(chargers) * 1000
        print(
            f"{name}, {'tickets' if with_tickets else 'none':8} half {half:6.2f} s   all {all_:6.2f} s   "
            f"CPU {watch.cpu_seconds:6.2f} s, {each:5.2f} ms each   refused {storm.refused}"
        )
    await cut(server, chargers)


def main() -> None:
    """Measure each version and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.reconnect_storm", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="chargers")
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as name, gateway(Path(name), settings=SETTINGS) as server:
        credentials = server.provision(count)
        print(f"{ssl.OPENSSL_VERSION}; {count} chargers at once")
        for version in VERSIONS:
            trio.run(measured, server, version, credentials)


if __name__ == "__main__":
    main()
