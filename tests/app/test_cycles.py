"""Sessions are freed by reference counts alone, from accept to the end: the collector's policy rests on it
(docs/performance.md). Everything is real: TLS, sockets, store, threads."""

import gc
import json
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.domain.commands import ClearCache, CommandRecord
from gateway.domain.credentials import make_credential
from gateway.domain.records import CredentialKind
from gateway.session.keepalive import Timer
from gateway.store.commits import AddCredential
from tests.app.blocking_charger import KEY, PATIENCE, Charger
from tests.app.running import Running, running, settings, until
from tests.app.test_serve import certificates  # noqa: F401 - a fixture

ROUNDS = 35
"""Of all ways to come and go: six hundred connections."""

SLACK = 23
"""Objects of one type that may be some library's cache. Fewer than rounds: one object that each leaves behind shows."""

GUARD = 900.0


class Visits:
    """Ways to come and go. Each leaves a gateway without connections."""

    def __init__(self, serving: Running, authority: Path) -> None:
        self.serving = serving
        self.port = serving.gateway.endpoints.listeners[0].addresses[0][1]
        self.tls = ssl.create_default_context(cafile=str(authority))
        self.asked = self.carried = 0

    @contextmanager
    def charger(self, **options: Any) -> Iterator[Charger]:
        charger = Charger(self.port, self.tls, **options)
        try:
            yield charger
        finally:
            charger.socket.close()

    def charges_and_closes(self) -> None:
        """A whole visit: a transaction with its values, a command, the closing handshake."""
        with self.charger() as charger:
            charger.boot()
            charger.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"})
            start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
            number = charger.call("StartTransaction", start)["transactionId"]
            value = {"timestamp": "2026-01-01T00:01:00Z", "sampledValue": [{"value": "10"}]}
            charger.call("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [value]})
            stop = {"transactionId": number, "meterStop": 10, "timestamp": "2026-01-01T00:02:00Z"}
            charger.call("StopTransaction", stop)
            trio.from_thread.run_sync(self._command)
            charger.accept(json.loads(charger.next()[1]))
            while trio.from_thread.run_sync(lambda: self.carried == self.asked - 1):
                charger.call("Heartbeat", {})
            charger.frame(8, struct.pack("!H", 1000))
            charger.read_to_the_end()

    def _command(self) -> None:
        self.asked += 1
        self.serving.nursery.start_soon(self._carry, f"r{self.asked}")

    async def _carry(self, request_id: str) -> None:
        deadline = trio.current_time() + PATIENCE
        outcome = await self.serving.gateway.router.call("CP1", ClearCache(), request_id=request_id, deadline=deadline)
        assert isinstance(outcome, CommandRecord), outcome
        self.carried += 1

    def is_cut_off(self) -> None:
        """The link goes, without a word."""
        with self.charger() as charger:
            charger.boot()
            charger.call("Heartbeat", {})

    def sends_what_it_may_not(self) -> None:
        """A binary message: 1003."""
        with self.charger() as charger:
            charger.frame(2, b"x")
            assert charger.next()[0] == 8
            charger.read_to_the_end()

    def sends_rubbish(self) -> None:
        """Messages that can't be read, then half a frame."""
        with self.charger() as charger:
            charger.frame(1, b"rubbish")
            charger.frame(1, b'[2,"1","NoSuchAction",{}]')
            assert charger.next()[1].startswith(b'[4,"1","NotImplemented"')
            charger.socket.sendall(b"\x81\xfe")

    def is_replaced(self) -> None:
        """It comes back while its old connection is still there."""
        with self.charger() as old, self.charger() as new:
            assert old.next()[0] == 8
            new.boot()

    def is_refused(self) -> None:
        """Wrong key, unknown identity, wrong subprotocol."""
        for options in ({"key": b"another one"}, {"identity": "CP2"}, {"offer": "ocpp2.0.1"}):
            with self.charger(**options) as charger:
                assert charger.status in (400, 401, 404)

    def fails_in_tls(self) -> None:
        """Plain text, half a greeting, a server it doesn't trust."""
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as raw:
                raw.sendall(data)
        raw = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(raw, server_hostname="localhost")
        raw.close()

    def fails_in_http(self) -> None:
        """No request, and one that is none."""
        for data in (b"", b"\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"):
            raw = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
            with self.tls.wrap_socket(raw, server_hostname="localhost") as secured:
                secured.sendall(data)


@pytest.mark.timeout(GUARD + 60)
async def test_hundreds_of_connections_leave_nothing_behind_without_a_collector(
    tmp_path: Path,
    certificates: Path,  # noqa: F811
) -> None:
    """Served, refused, replaced, broken in TLS, in HTTP, in a frame: with the collector off, as many objects are there
    afterwards as before."""
    async with running(settings(tmp_path, certificates), GUARD) as serving:
        credential = make_credential(KEY, CredentialKind.GENERATED, datetime(2026, 1, 1, tzinfo=UTC))
        serving.disk.commit([AddCredential("CP1", credential)])
        visits = Visits(serving, certificates / "ca.pem")
        ways = (
            visits.charges_and_closes,
            visits.is_cut_off,
            visits.sends_what_it_may_not,
            visits.sends_rubbish,
            visits.is_replaced,
            visits.is_refused,
            visits.fails_in_tls,
            visits.fails_in_http,
        )
        await _take(serving, ways, 5)
        _objects()  # the first count makes some itself: what abstract classes remember of the types that it asks about
        gc.collect()
        gc.disable()
        try:
            before = _objects()
            await _take(serving, ways, ROUNDS)
            grown = _objects() - before
        finally:
            gc.enable()
        assert {name: count for name, count in grown.items() if count > SLACK} == {}


async def _take(serving: Running, ways: tuple[Callable[[], None], ...], rounds: int) -> None:
    """Take each of the ways so many times; afterwards no charger is connected."""
    for _ in range(rounds):
        for way in ways:
            await trio.to_thread.run_sync(way)
    await until(lambda: not len(serving.gateway.router) and not serving.gateway.endpoints.listeners[0].opening)
    await until(lambda: not serving.gateway.capacity.taken)


def _objects() -> Counter[str]:
    """All that the collector knows of, by type, but for past deadlines: Trio and the watch over silence clear them away
    many at a time."""
    kept = {"CancelScope", "CancelReason", Timer.__name__, "tuple", "list"}
    return Counter(name for each in gc.get_objects() if (name := type(each).__name__) not in kept)
