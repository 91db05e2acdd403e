"""Every setting, at a value other than its default, followed to where it acts.

A setting that is read and used nowhere looks like any other: the file loads, the example shows it. So each has a
row here, and one that has none fails the last test. Limits of sessions and connections are followed in virtual time,
from the settings through ``session_limits`` and ``connection_limits``; the rest, and that the gateway hands these
limits on, on a whole gateway in real time.
"""

import base64
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints

import apsw
import attrs
import grpc
import jwt
import pytest
import trio
from attrs import evolve
from cryptography import x509
from prometheus_client import generate_latest
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.api.v1 import charge_point_pb2, charge_point_pb2_grpc, command_pb2, command_pb2_grpc, reading_pb2
from gateway.app.from_settings import connection_limits, control_settings, session_limits
from gateway.app.nodes import new_bus
from gateway.app.serve import Gateway, utc_now
from gateway.app.settings import (
    BootConfigurationSetting,
    CertificateFiles,
    ControlSettings,
    QuirkSettings,
    SessionSettings,
    Settings,
    load,
)
from gateway.app.settings.callers import JwtRoleSettings, JwtScopeSettings, JwtSettings
from gateway.app.settings.cluster import ClusterSettings
from gateway.app.store_lifetime import opened
from gateway.app.stores import ANSWER_SECONDS, commit_deadline, password
from gateway.bridge.nats import NatsClient
from gateway.chargers.admission import Principal
from gateway.control.errors import Failure
from gateway.control.jwt_callers import JwtCallers
from gateway.control.vendor_data import Asked
from gateway.domain.codec import decode
from gateway.domain.commands import ClearCache, CommandState, RefusalReason, Refused
from gateway.domain.credentials import make_credential
from gateway.domain.drain import DrainStage
from gateway.domain.events import CertificateRequested, ConnectorStatusChanged, NewEvent
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.operations import OperationKind, OperationRefusal, OperationRefused, OperationRequest
from gateway.domain.records import CredentialKind
from gateway.domain.values import ConnectorAddress, Registration
from gateway.errors import SettingsError, StoreError, StoreUnavailable
from gateway.session.commands.provisioning import DesiredKey
from gateway.store.commits import Append, CreateChargePoint, RecordLastHeard
from gateway.store.postgres import PostgresStore
from gateway.store.postgres.durability import Durability, problems
from gateway.store.sqlite.migrate import scripts
from gateway.transport.api import Accept, ConnectionClosed, Peer, UpgradeRequest
from tests.app.running import Disk, Running, running, settings, until
from tests.app.test_serve import ask
from tests.control.test_jwt_callers import EC, OTHER_EC, jwks, public
from tests.endtoend.asking import failure
from tests.endtoend.gateway_process import development_certificates, free_port
from tests.framing.proxy_headers import proxy_header
from tests.session.commands.test_commands import ready
from tests.support.charger_certificates import request
from tests.support.frames import TEXT, frame, head
from tests.support.harness import BOOT, Harness, boot
from tests.support.wire import FakeTransport
from tests.traces.collector import Collector, collecting
from tests.transport.authorities import ClientAuthority, Issued
from tests.transport.ends import RawClient, authority, open_raw
from tests.transport.responders import Responder, over_http
from tests.transport.test_connection import open_gated
from tests.transport.test_listener import authorization, open_port, wait_for

KEY = bytes(range(20))
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"}
START = {"connectorId": 1, "idTag": "STRANGER", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"}

VIRTUAL: dict[str, tuple[Any, Callable[..., Awaitable[None]]]] = {}
"""Setting of [sessions] → a value and what is to be seen of it, in virtual time."""

REAL: dict[str, tuple[Any, Callable[..., Awaitable[None]]]] = {}
"""The same of any setting, on a whole gateway."""

REFUSED_VALUES = {"listeners.security_profiles": [[1], [1, 2], [2, 3], [4]]}
"""Settings with few values, and others, which are refused."""


def virtually(name: str, value: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    def row(check: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        VIRTUAL[f"sessions.{name}"] = value, check
        return check

    return row


def really(name: str, value: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    def row(check: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        REAL[name] = value, check
        return check

    return row


# --- sessions, in virtual time --------------------------------------------------------------------------------


@virtually("retry_interval", 88)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.add_charge_point(registration=Registration.PENDING)
    async with harness.connected() as charger:
        assert (await charger.call("BootNotification", BOOT))["interval"] == 88


@virtually("silence_seconds", 50.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport) as charger:
        await boot(charger)
        await trio.sleep(49.9)
        assert transport.pings == 0
        await trio.sleep(0.2)
        assert transport.pings == 1


@virtually("ping_seconds", 17.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.add_charge_point(registration=Registration.PENDING)
    transport = FakeTransport()
    async with harness.connected(transport=transport):
        await trio.sleep(16.9)
        assert transport.pings == 0
        await trio.sleep(0.2)
        assert transport.pings == 1
        await trio.sleep(17)
        assert transport.pings == 2


@virtually("ping_grace_seconds", 7.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.add_charge_point()
    async with harness.connected(transport=FakeTransport(answers_pings=False)) as charger:
        await boot(charger)
        assert await charger.sees_the_end() == (1001, "silent")
        assert trio.current_time() == pytest.approx(sessions.silence_seconds + 7)


@virtually("call_timeout_seconds", 11.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache(), seconds=3600)
        await charger.next_call("ClearCache")
        asked_at = trio.current_time()
        record = await outcome()
        assert (record.state, record.reason) == (CommandState.OUTCOME_UNKNOWN, "timeout")
        assert trio.current_time() - asked_at == pytest.approx(11)


@virtually("call_queue_limit", 2)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    async with ready(harness) as (_charger, asked):
        for _ in range(2):
            asked.ask(ClearCache())
            await wait_all_tasks_blocked()
        refused = await asked.ask(ClearCache())()
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.metadata) == (RefusalReason.QUEUE_FULL, {"limit": "2"})


@virtually("settle_delay_seconds", 9.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.add_charge_point()
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        await boot(charger)
        nursery.start_soon(ask_in_harness, harness)
        await charger.hears_nothing(8.9)
        with trio.fail_after(0.2):
            message_id, _, _ = await charger.next_call("ClearCache")
        await charger.answer(message_id, {"status": "Accepted"})


@virtually("ready_after_silence_seconds", 13.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        nursery.start_soon(ask_in_harness, harness)
        await charger.hears_nothing(12.9)
        with trio.fail_after(0.2):
            for _ in range(2):  # the command, and the question for its statuses
                message_id, _, _ = await charger.next_call()
                await charger.answer(message_id, {"status": "Accepted"})


@virtually("own_requests", False)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.boot_configuration = (DesiredKey("K", ("1",)),)
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(100)


@virtually("max_bad_messages", 3)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        for _ in range(2):
            await charger.send_raw("not json")
        await charger.call("Heartbeat", {})
        for _ in range(3):
            await charger.send_raw("not json")
        assert await charger.sees_the_end() == (1008, "protocol")


@virtually("end_seconds", 4.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    harness.add_charge_point()
    with capture_logs() as logs:
        async with harness.connected() as charger:
            await boot(charger)
            harness.journal.stall_seconds = 100
            lost_at = trio.current_time()
            await charger.lose_link()
        assert trio.current_time() - lost_at == pytest.approx(4)
    assert [line["recorded"] for line in logs if line["event"] == "session ended"] == [False]


# --- connections, in virtual time -----------------------------------------------------------------------------


@virtually("tls_handshake_seconds", 6.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    async with open_port(limits=connection_limits(sessions)) as port:
        start = trio.current_time()
        assert await (await port.raw()).receive_some() == b""
        assert trio.current_time() - start == pytest.approx(6, abs=0.01)
        assert port.seen() == [("tls", "deadline")]


@virtually("upgrade_seconds", 5.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    async with open_port(limits=connection_limits(sessions)) as port:
        client = RawClient(await port.raw())
        await client.send(head()[:1])
        start = trio.current_time()
        await wait_long_for(port.seen)
        assert trio.current_time() - start == pytest.approx(5, abs=0.1)
        assert port.seen() == [("http", "deadline")]


@virtually("admission_seconds", 4.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    async def never(_: UpgradeRequest) -> Accept:
        await trio.sleep_forever()

    async with open_port(admit=never, limits=connection_limits(sessions)) as port:
        client = RawClient(await port.raw())
        await client.send(head())
        start = trio.current_time()
        assert (await client.read_until(b"try again later\n")).startswith(b"HTTP/1.1 503 ")
        assert trio.current_time() - start == pytest.approx(4, abs=0.1)


@virtually("write_seconds", 8.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    connection, _, gate = await open_gated(connection_limits(sessions))
    gate.shut = True
    start = trio.current_time()
    with pytest.raises(ConnectionClosed):
        await connection.send(b"x")
    assert trio.current_time() - start == pytest.approx(8)


@virtually("close_seconds", 9.0)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    async with open_raw(connection_limits(sessions)) as (connection, _client):
        start = trio.current_time()
        await connection.aclose(1000)
        assert trio.current_time() - start == pytest.approx(9, abs=0.1)


@virtually("max_concurrent_handshakes", 8)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    """Of which one address, if it is alone, may have three quarters."""
    async with open_port(limits=connection_limits(sessions)) as port:
        for _ in range(20):
            await (await port.raw()).send_all(b"\x16")
        await wait_for(lambda: port.listener.opening >= 6)
        await trio.sleep(0.5)
        assert port.listener.opening == 6


@virtually("max_message_bytes", 4_096)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    async with open_raw(connection_limits(sessions)) as (connection, client), trio.open_nursery() as nursery:
        await client.send(frame(TEXT, b"x" * 4_096))
        assert len(await connection.receive()) == 4_096
        nursery.start_soon(client.send, frame(TEXT, b"x" * 4_097))
        with pytest.raises(ConnectionClosed) as caught:
            await connection.receive()
        assert caught.value.code == 1009


@virtually("message_burst", 3)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    """The last message of a burst is given out before its price is known, and so is the next one."""
    assert await free_messages(sessions, 6) == 4


@virtually("max_messages_per_second", 0.1)
async def _(harness: Harness, sessions: SessionSettings) -> None:
    sessions = attrs.evolve(sessions, message_burst=1)
    async with open_raw(connection_limits(sessions)) as (connection, client):
        for _ in range(3):
            await client.send(frame(TEXT, b"x"))
        await connection.receive()
        await connection.receive()
        start = trio.current_time()
        await connection.receive()
        assert trio.current_time() - start == pytest.approx(10)


async def free_messages(sessions: SessionSettings, sent: int) -> int:
    """The number of messages, of those sent, that are read without a pause."""
    async with open_raw(connection_limits(sessions)) as (connection, client):
        for _ in range(sent):
            await client.send(frame(TEXT, b"x"))
        start, free = trio.current_time(), 0
        for _ in range(sent):
            await connection.receive()
            free += trio.current_time() - start < 0.001
        return free


async def wait_long_for(condition: Callable[[], object]) -> None:
    with trio.fail_after(100):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await trio.sleep(0.01)


async def ask_in_harness(harness: Harness) -> None:
    deadline = trio.current_time() + 1000
    await harness.router.call("CP1", ClearCache(), request_id="r", deadline=deadline)


@pytest.mark.parametrize("name", VIRTUAL)
async def test_a_limit_acts(tmp_path: Path, autojump_clock: MockClock, name: str) -> None:
    """At its value, to the fraction of a virtual second."""
    value, check = VIRTUAL[name]
    sessions = SessionSettings(**{name.removeprefix("sessions."): value})
    assert value != getattr(SessionSettings(), name.removeprefix("sessions."))
    harness = Harness(tmp_path, limits=session_limits(sessions))
    try:
        await check(harness, sessions)
    finally:
        harness.store.close()


# --- a whole gateway ------------------------------------------------------------------------------------------


class Whole:
    """Everything a row needs to build a gateway with its setting."""

    def __init__(self, folder: Path, certificates: Path, name: str, value: Any) -> None:
        self.folder, self.certificates = folder, certificates
        self._path = name.split(".")
        self.value = value
        self.issued: Issued | None = None
        """The certificate that chargers present."""
        self.labels: Labels = NO_LABELS
        """Of the charge point."""

    def settings(self, **others: Any) -> Settings:
        """Settings with the row's value; ``others`` by names with ``__`` for dots."""
        made = settings(self.folder, self.certificates)
        made = _with(made, ["metrics", "address"], "off")
        for name, value in others.items():
            made = _with(made, name.split("__"), value)
        wanted: Settings = _with(made, self._path, self.value)
        return wanted

    def files(self, kind: str = "ecdsa") -> CertificateFiles:
        return CertificateFiles(self.certificates / f"server-{kind}.pem", self.certificates / f"server-{kind}.key")

    def client_tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        if self.issued is not None:
            self.issued.configure(context, self.folder)
        return context


def _with(settings: Any, path: list[str], value: Any) -> Any:
    first, *rest = path
    if rest:
        inner = getattr(settings, first)
        value = (_with(inner[0], rest, value),) if isinstance(inner, tuple) else _with(inner, rest, value)
    return attrs.evolve(settings, **{first: value})


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("settings") / "certs")


def known(serving: Running, identity: str = "CP2", labels: Labels = NO_LABELS) -> None:
    """A charge point with the key KEY."""
    credential = make_credential(KEY, CredentialKind.GENERATED, utc_now())
    created = CreateChargePoint(identity, Registration.ACCEPTED, (credential,), utc_now(), labels=labels)
    serving.disk.commit([created])


@asynccontextmanager
async def upgraded(
    whole: Whole, port: int, path: str = "/ocpp/CP2", key: bytes = KEY
) -> AsyncIterator[tuple[bytes, trio.SSLStream[trio.SocketStream]]]:
    """A connection of CP2, or of another charge point with its key, and the status line that answers its upgrade."""
    identity = path.rpartition("/")[2]
    tcp = await trio.open_tcp_stream("127.0.0.1", port)
    async with trio.SSLStream(tcp, whole.client_tls(), server_hostname="localhost", https_compatible=True) as stream:
        await stream.send_all(head(path, authorization(identity, key), ("Sec-WebSocket-Protocol", "ocpp1.6")))
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive_some()
        yield received.partition(b"\r\n")[0], stream


async def upgrade(whole: Whole, port: int, path: str = "/ocpp/CP2") -> tuple[bytes, x509.Certificate]:
    """The status line, and the server's certificate."""
    async with upgraded(whole, port, path) as (answer, stream):
        return answer, x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))


@really("sessions.heartbeat_interval", 77)
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        assert (await serving.connect().call("BootNotification", BOOT))["interval"] == 77


@really("sessions.vendor_data_seconds", 0.25)
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        charger = await serving.booted()
        async with aclosing(serving.gateway.vendors.serve({"v": frozenset()})) as stream:
            await anext(stream)  # its link
            await charger.send(2, "d", "DataTransfer", {"vendorId": "V", "data": "x"})
            asked = await anext(stream)
            assert isinstance(asked, Asked)
            assert asked.answer_by - asked.received_at == timedelta(seconds=0.25)
            assert (await charger.next_answer())[2]["status"] == "Rejected"


@really("sessions.max_sessions", 1)
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        known(serving)
        known(serving, "CP3")
        port = serving.gateway.endpoints.listeners[0].addresses[0][1]
        async with upgraded(whole, port) as (first, _stream):
            assert first.startswith(b"HTTP/1.1 101 ")
            assert (await upgrade(whole, port, "/ocpp/CP3"))[0].startswith(b"HTTP/1.1 503 ")


@really("sessions.shared_addresses", ("127.0.0.0/8",))
async def _(whole: Whole) -> None:
    """One address that is counted has three quarters of the places at most, and this one may have all."""
    async with running(whole.settings(sessions__max_concurrent_handshakes=4)) as serving:
        [listener] = serving.gateway.endpoints.listeners
        streams = [await trio.open_tcp_stream(*listener.addresses[0]) for _ in range(6)]
        for stream in streams:
            await stream.send_all(b"\x16")
        await until(lambda: listener.opening == 4)
        for stream in streams:
            await trio.aclose_forcefully(stream)


@really("sessions.kept_frames", 3)
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        charger = await serving.booted()
        for _ in range(5):
            await charger.call("Heartbeat", {})
        frames = serving.gateway.diagnostics.frames("CP1")
        assert frames is not None
        assert len(frames) == 3


async def reconnected(made: Settings) -> None:
    """A charger of the make that BOOT names reconnects without a word, and is asked something soon."""
    async with running(made) as serving:
        charger = serving.connect()
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"
        await charger.call("StatusNotification", STATUS)
        await charger.lose_link()
        again = serving.connect()
        with trio.fail_after(60):
            assert (await again.next_call())[1] == "TriggerMessage"


def quirky(whole: Whole, **quirk: Any) -> Settings:
    """Settings under which only the profile makes the gateway speak early."""
    quirks = (QuirkSettings(**{"vendor": "Acme", "ready_after_silence_seconds": 0.2, **quirk}),)
    return whole.settings(sessions__ready_after_silence_seconds=3000.0, quirks=quirks)


@really("quirks.vendor", "acm*")
async def _(whole: Whole) -> None:
    await reconnected(quirky(whole, vendor="x"))


@really("quirks.model", "One")
async def _(whole: Whole) -> None:
    await reconnected(quirky(whole, model="x"))


@really("quirks.firmware", "1.*")
async def _(whole: Whole) -> None:
    await reconnected(quirky(whole, firmware="x"))


@really("quirks.ready_after_silence_seconds", 0.1)
async def _(whole: Whole) -> None:
    await reconnected(quirky(whole, ready_after_silence_seconds=3000.0))


@really("quirks.plug_in_first", True)
async def _(whole: Whole) -> None:
    async with running(quirky(whole)) as serving:
        charger = serving.connect()
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"
        await charger.lose_link()
        again = serving.connect()
        await again.call("StatusNotification", {**STATUS, "status": "Available"})
        start = OperationRequest(OperationKind.START_CHARGING, ConnectorAddress(1, 1), "TAG")
        refused = await serving.gateway.router.operate("CP1", start, "r", 10.0)
        assert isinstance(refused, OperationRefused)
        assert refused.reason is OperationRefusal.NOT_PLUGGED_IN


def profiled(name: str, field: str, value: Any) -> None:
    """A row for a key of [[quirks]] that ends in the session's profile, which tests/session/test_quirks.py follows."""

    @really(f"quirks.{name}", value)
    async def _(whole: Whole) -> None:
        async with running(quirky(whole)) as serving:
            charger = serving.connect()
            await charger.call("BootNotification", BOOT)
            (session,) = serving.gateway.router.sessions()
            assert getattr(session._context.quirks, field) == value


profiled("settle_delay_seconds", "settle_delay", 7.0)
profiled("own_requests", "own_requests", False)
profiled("assume_subprotocol", "assume_subprotocol", True)
profiled("accept_hex_password", "accept_hex_password", True)
profiled("ping_seconds", "ping_interval", 8.0)
profiled("pong_expected", "pong_expected", False)
profiled("measurands", "measurands", ("Energy.Active.Import.Register",))
profiled("max_schedule_periods", "max_schedule_periods", 3)
profiled("max_stack_level", "max_stack_level", 4)
profiled("clock_offset_seconds", "clock_offset", 60.0)


@really("authorization.accept_hex_passwords", True)
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        known(serving)
        header = ("Authorization", "Basic " + base64.b64encode(b"CP2:" + KEY.hex().encode()).decode())
        (listener,) = serving.gateway.endpoints.listeners
        peer = Peer("192.0.2.1", 5000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
        request = UpgradeRequest("/ocpp/CP2", (header,), ("ocpp1.6",), peer, listener.name)
        assert isinstance(await serving.gateway.admission(request), Accept)


@really("authorization.unknown_tags", "Accepted")
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        charger = await serving.booted()
        assert (await charger.call("StartTransaction", START))["idTagInfo"]["status"] == "Accepted"


@really("boot_configuration.key", "OwnKey")
async def _(whole: Whole) -> None:
    made = whole.settings(boot_configuration=(BootConfigurationSetting("x", ("1",)),))
    async with running(made) as serving:
        charger = await serving.booted()
        _, _, payload = await charger.next_call("ChangeConfiguration")
        assert payload == {"key": "OwnKey", "value": "1"}


@really("boot_configuration.values", ("first", "second"))
async def _(whole: Whole) -> None:
    made = whole.settings(boot_configuration=(BootConfigurationSetting("x", ("1",)),))
    async with running(made) as serving:
        charger = await serving.booted()
        for value in ("first", "second"):
            message_id, _, payload = await charger.next_call("ChangeConfiguration")
            assert payload == {"key": "x", "value": value}
            await charger.answer(message_id, {"status": "Rejected"})


@really("listeners.certificates", "rsa")
async def _(whole: Whole) -> None:
    whole.value = (whole.files("rsa"),)
    await shows_rsa(whole, whole.settings())


@really("listeners.certificates.certificate", "rsa")
async def _(whole: Whole) -> None:
    whole.value = whole.files("rsa").certificate
    await shows_rsa(whole, whole.settings(listeners__certificates__key=whole.files("rsa").key))


@really("listeners.certificates.key", "rsa")
async def _(whole: Whole) -> None:
    whole.value = whole.files("rsa").key
    with pytest.raises(SettingsError, match=r"listeners\[0\].certificates\[0\]"):
        Gateway(whole.settings(), None)  # type: ignore[arg-type]  # it doesn't fit the certificate
    await shows_rsa(whole, whole.settings(listeners__certificates__certificate=whole.files("rsa").certificate))


async def shows_rsa(whole: Whole, made: Settings) -> None:
    async with running(made) as serving:
        known(serving)
        _, shown = await upgrade(whole, serving.gateway.endpoints.listeners[0].addresses[0][1])
    assert shown == x509.load_pem_x509_certificate(whole.files("rsa").certificate.read_bytes())


@really("listeners.name", "front")
async def _(whole: Whole) -> None:
    with capture_logs() as logs:
        async with running(whole.settings()) as serving:
            known(serving)
            port = serving.gateway.endpoints.listeners[0].addresses[0][1]
            assert (await upgrade(whole, port, "/elsewhere"))[0].startswith(b"HTTP/1.1 404 ")
            [refused] = serving.gateway.diagnostics.refused_connections()
    assert refused.listener == "front"
    assert [line["listener"] for line in logs if line["event"] == "listening for chargers"] == ["front"]


@really("listeners.host", "127.0.0.1")
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        assert [host for host, _ in serving.gateway.endpoints.listeners[0].addresses] == ["127.0.0.1"]


@really("listeners.port", "free")
async def _(whole: Whole) -> None:
    whole.value = free_port()
    async with running(whole.settings()) as serving:
        known(serving)
        assert (await upgrade(whole, whole.value))[0].startswith(b"HTTP/1.1 101 ")


@really("listeners.path_prefix", "/chargers/here/")
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        known(serving)
        port = serving.gateway.endpoints.listeners[0].addresses[0][1]
        assert (await upgrade(whole, port, "/ocpp/CP2"))[0].startswith(b"HTTP/1.1 404 ")
        assert (await upgrade(whole, port, "/chargers/here/CP2"))[0].startswith(b"HTTP/1.1 101 ")


@really("listeners.tls_policy", "strict")
async def _(whole: Whole) -> None:
    """With an ECDSA certificate there is one suite of the default policy that strict has not."""
    assert await granted(whole, "ECDHE-ECDSA-AES128-SHA") is None
    whole.value = "ELBSecurityPolicy-TLS-1-2-Ext-2018-06"
    assert await granted(whole, "ECDHE-ECDSA-AES128-SHA") == "ECDHE-ECDSA-AES128-SHA"


async def granted(whole: Whole, suite: str) -> str | None:
    """The suite of a handshake with a client that has no other, None if there was none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    async with running(whole.settings()) as serving:
        port = serving.gateway.endpoints.listeners[0].addresses[0][1]
        stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", port), context)
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError:
            return None
        finally:
            await trio.aclose_forcefully(stream)
        return str(stream.cipher()[0])


@really("listeners.proxies", ("127.0.0.0/8",))
async def _(whole: Whole) -> None:
    """A refused connection is listed with the address that the balancer names."""
    async with running(whole.settings()) as serving:
        stream = await trio.open_tcp_stream("127.0.0.1", serving.gateway.endpoints.listeners[0].addresses[0][1])
        await stream.send_all(proxy_header("192.0.2.77", 4000) + b"GET / HTTP/1.1\r\n\r\n")
        with trio.fail_after(60):
            while await stream.receive_some():
                pass
        await stream.aclose()
        await until(serving.gateway.diagnostics.refused_connections)
        [refused] = serving.gateway.diagnostics.refused_connections()
    assert (refused.address, refused.reason) == ("192.0.2.77", "http_request")


CHARGERS_CA = ClientAuthority()


async def is_let_in(whole: Whole, made: Settings, key: bytes = KEY) -> bool:
    """Return true if a charger with this key, and ``whole.issued``, is."""
    async with running(made) as serving:
        known(serving, labels=whole.labels)
        try:
            port = serving.gateway.endpoints.listeners[0].addresses[0][1]
            async with upgraded(whole, port, key=key) as (answer, _):
                pass
        except (trio.BrokenResourceError, ssl.SSLError):
            return False
        return answer.startswith(b"HTTP/1.1 101 ")


@really("listeners.client_authority", "ca")
async def _(whole: Whole) -> None:
    """Only with a certificate of that authority, and with the key too."""
    whole.value = whole.folder / "chargers.pem"
    whole.value.write_bytes(CHARGERS_CA.pem)
    assert not await is_let_in(whole, whole.settings())
    whole.issued = CHARGERS_CA.issue("CP2")
    assert await is_let_in(whole, whole.settings())
    whole.issued = ClientAuthority("Other").issue("CP2")
    assert not await is_let_in(whole, whole.settings())


def revoking(whole: Whole, *serials: int, end: timedelta = timedelta(days=7)) -> Path:
    """A list of revoked certificates, beside the authority's."""
    (whole.folder / "chargers.pem").write_bytes(CHARGERS_CA.pem)
    path = whole.folder / "crl.pem"
    path.write_bytes(CHARGERS_CA.revoke(*serials, end=end))
    return path


@really("listeners.client_crl", "ca")
async def _(whole: Whole) -> None:
    """One that is revoked while it is connected is closed within seconds, without a signal."""
    whole.issued = CHARGERS_CA.issue("CP2")
    whole.value = revoking(whole)
    async with running(whole.settings(listeners__client_authority=whole.folder / "chargers.pem")) as serving:
        known(serving)
        async with upgraded(whole, serving.gateway.endpoints.listeners[0].addresses[0][1]) as (answer, stream):
            assert answer.startswith(b"HTTP/1.1 101 ")
            revoking(whole, whole.issued.serial)
            said = b""
            with trio.fail_after(60):
                while part := await stream.receive_some():
                    said += part
            assert b"\x03\xf0client_certificate_revoked" in said  # a Close frame with 1008
    assert not await is_let_in(whole, whole.settings(listeners__client_authority=whole.folder / "chargers.pem"))


@really("listeners.security_profiles", (3,))
async def _(whole: Whole) -> None:
    """A certificate in the place of the password: a wrong one is not looked at."""
    assert await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2")), KEY[::-1])
    whole.value = (2,)
    assert not await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2")), KEY[::-1])
    assert await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2")))


def naming(whole: Whole, issued: Issued, **others: Any) -> Settings:
    """Settings of a listener that asks for certificates, and a charger with this one."""
    (whole.folder / "chargers.pem").write_bytes(CHARGERS_CA.pem)
    whole.issued = issued
    return whole.settings(listeners__client_authority=whole.folder / "chargers.pem", **others)


@really("listeners.client_identity", "alternative-name")
async def _(whole: Whole) -> None:
    named = CHARGERS_CA.issue("unit", alternative=[x509.DNSName("CP2")])
    assert await is_let_in(whole, naming(whole, named))
    assert not await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2")))
    whole.value = "common-name"
    assert await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2")))


@really("listeners.client_serial_label", "unit/serial")
async def _(whole: Whole) -> None:
    by_serial = {"listeners__client_identity": "serial"}
    whole.labels = {"unit/serial": "SN-4711"}
    assert await is_let_in(whole, naming(whole, CHARGERS_CA.issue("SN-4711"), **by_serial))
    assert not await is_let_in(whole, naming(whole, CHARGERS_CA.issue("SN-4712"), **by_serial))


@really("listeners.client_organization", "Acme Charging")
async def _(whole: Whole) -> None:
    assert await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2", organizations=["Acme Charging"])))
    assert not await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2", organizations=["Another"])))
    assert not await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2")))


@really("listeners.accept_stale_crl", True)
async def _(whole: Whole) -> None:
    whole.issued = CHARGERS_CA.issue("CP2")
    others = {
        "listeners__client_authority": whole.folder / "chargers.pem",
        "listeners__client_crl": revoking(whole, end=timedelta(seconds=-1)),
    }
    assert await is_let_in(whole, whole.settings(**others))
    whole.value = False
    assert not await is_let_in(whole, whole.settings(**others))


@really("listeners.client_ocsp", "http://…")
async def _(whole: Whole) -> None:
    """The responder at this URL decides; "certificate": the one that the certificate names, and here there is none."""
    responder = Responder(CHARGERS_CA)
    good, revoked = responder.issue("CP2"), responder.issue("CP2")
    responder.revoked.add(revoked.serial)
    with over_http(responder.answer) as whole.value:
        assert await is_let_in(whole, naming(whole, good))
        assert not await is_let_in(whole, naming(whole, revoked))
        whole.value = "certificate"
        assert not await is_let_in(whole, naming(whole, good))
    assert responder.asked == 2


@really("listeners.accept_without_ocsp", True)
async def _(whole: Whole) -> None:
    """Of a responder that is not there."""
    nowhere = {"listeners__client_ocsp": f"http://127.0.0.1:{free_port()}/"}
    assert await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2"), **nowhere))
    whole.value = False
    assert not await is_let_in(whole, naming(whole, CHARGERS_CA.issue("CP2"), **nowhere))


# --- chargers' certificates


@really("certificates.signing_hours", 5.0)
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        charger = await serving.booted()
        assert await charger.call("SignCertificate", {"csr": request("CP1")}) == {"status": "Accepted"}
        [asked] = serving.bodies("certificate.requested")
        body = decode(asked.type, asked.version, asked.body_json)
        assert isinstance(body, CertificateRequested)
        window = body.expires_at - asked.received_at
        assert abs(window - timedelta(hours=5)) < timedelta(minutes=1)


@really("certificates.warning_days", 40)
async def _(whole: Whole) -> None:
    """Five days before the default would. Looked at when the gateway starts, and every hour."""
    made = naming(whole, CHARGERS_CA.issue("CP2", end=timedelta(days=35)), listeners__security_profiles=(3,))
    async with running(made) as serving:
        known(serving)
        assert b"101" in (await upgrade(whole, serving.gateway.endpoints.listeners[0].addresses[0][1]))[0]
        await until(lambda: serving.bodies("charge_point.connected"))
        assert not serving.bodies("certificate.expiring")
    async with running(made) as serving:
        await until(lambda: serving.bodies("certificate.expiring"))


# --- the control interface


async def answers(channel: grpc.Channel) -> str:
    """The status of a question that the gateway can answer: NOT_FOUND if it was let in."""
    stub = command_pb2_grpc.CommandServiceStub(channel)

    def get() -> str:
        try:
            stub.GetCommand(command_pb2.GetCommandRequest(command_id="cmd_none"), timeout=60)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    return await trio.to_thread.run_sync(get)


@really("control.address", "free")
async def _(whole: Whole) -> None:
    whole.value = f"127.0.0.1:{free_port()}"
    async with running(whole.settings()):
        with grpc.insecure_channel(whole.value) as channel:
            assert await answers(channel) == "NOT_FOUND"


async def control_over_tls(whole: Whole, **others: Any) -> tuple[str, str]:
    """The answers to a client without a certificate, and to one with a certificate of the tests' CA."""
    address = f"127.0.0.1:{free_port()}"
    own = authority().issue_cert("service")
    roots = (whole.certificates / "ca.pem").read_bytes()
    alone = grpc.ssl_channel_credentials(roots)
    with_one = grpc.ssl_channel_credentials(roots, own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes())
    name = (("grpc.ssl_target_name_override", "localhost"),)
    async with running(whole.settings(control__address=address, **others)):
        with grpc.secure_channel(address, alone, name) as one, grpc.secure_channel(address, with_one, name) as two:
            return await answers(one), await answers(two)


@really("control.certificate", "ecdsa")
async def _(whole: Whole) -> None:
    whole.value = whole.files().certificate
    assert await control_over_tls(whole, control__key=whole.files().key) == ("NOT_FOUND", "NOT_FOUND")


@really("control.key", "ecdsa")
async def _(whole: Whole) -> None:
    whole.value = whole.files().key
    assert await control_over_tls(whole, control__certificate=whole.files().certificate) == ("NOT_FOUND", "NOT_FOUND")


@really("control.client_ca", "ca")
async def _(whole: Whole) -> None:
    whole.value = whole.folder / "clients.pem"
    authority().cert_pem.write_to_path(str(whole.value))
    files = whole.files()
    got_in = await control_over_tls(whole, control__certificate=files.certificate, control__key=files.key)
    assert got_in == ("UNAVAILABLE", "NOT_FOUND")


@really("control.allow_insecure", True)
async def _(whole: Whole) -> None:
    """Only built: nothing listens."""
    made = whole.settings(control__address="0.0.0.0:0")
    disk = Disk(whole.folder / "gateway.db", clock=utc_now)
    try:
        Gateway(made, disk)
        with pytest.raises(SettingsError):
            Gateway(_with(made, ["control", "allow_insecure"], False), disk)
    finally:
        disk.close()


@really("control.require_callers", True)
async def _(whole: Whole) -> None:
    """A client without a token is refused, and counted; by the default it is not."""
    address = f"127.0.0.1:{free_port()}"
    async with running(whole.settings(control__address=address)) as serving:
        with grpc.insecure_channel(address) as channel:
            assert await answers(channel) == "UNAUTHENTICATED"
        shown = generate_latest(serving.gateway.metrics.registry).decode()
        assert 'gateway_rpcs_refused_total{reason="CALLER_NOT_NAMED"} 1.0' in shown


def jwt_settings(whole: Whole) -> JwtSettings:
    """Of a provider whose keys are in a file."""
    path = whole.folder / "jwks.json"
    path.write_bytes(jwks(public(EC, kid="ES256")))
    return JwtSettings(
        jwks_file=path,
        issuer="https://idp.example/",
        audience="gateway",
        roles=(JwtRoleSettings("ops", "read"),),
        scope=(JwtScopeSettings("site", "gw_site"),),
    )


JWT_ROWS: dict[str, tuple[Any, dict[str, Any], tuple[str, str, str]]] = {
    "issuer": ("https://other.example/", {"iss": "https://other.example/"}, ("jwt:anna", "read", "site=north")),
    "audience": ("other", {"aud": "other"}, ("jwt:anna", "read", "site=north")),
    "algorithms": (("RS256",), {}, ("alg", "", "")),
    "caller_claim": ("azp", {"azp": "app"}, ("jwt:app", "read", "site=north")),
    "roles_claim": ("groups", {"groups": "ops", "roles": []}, ("jwt:anna", "read", "site=north")),
    "roles.value": ("staff", {"roles": "staff"}, ("jwt:anna", "read", "site=north")),
    "roles.role": ("operate", {}, ("jwt:anna", "operate", "site=north")),
    "scope.label": ("owner", {}, ("jwt:anna", "read", "owner=north")),
    "scope.claim": ("place", {"place": "south"}, ("jwt:anna", "read", "site=south")),
    "leeway_seconds": (400.0, {"exp": -300}, ("jwt:anna", "read", "site=north")),
}
"""Setting of control.jwt to a value, the claims that a token has besides the usual ones, and what it is taken for; what
the default makes of it is something else."""


def taken_for(section: ControlSettings, claims: dict[str, Any]) -> tuple[str, str, str]:
    """Name, role and scope of the caller that a token stands for, or the check that it fails."""
    made = control_settings(section)
    assert made.jwt is not None
    now = int(utc_now().timestamp())
    usual = {"exp": 300, "iss": "https://idp.example/", "aud": "gateway", "sub": "anna", "roles": ["ops"]}
    given = {**usual, "gw_site": "north", **claims}
    given["exp"] += now
    token = jwt.encode(given, EC, "ES256", headers={"kid": "ES256"})
    try:
        caller = JwtCallers(made.jwt, made.jwt_keys, utc_now).caller(token).caller
    except Failure as failure:
        return failure.metadata["check"], "", ""
    return caller.name, " ".join(caller.roles), ",".join(f"{key}={value}" for key, value in caller.scope.items())


def _jwt_row(name: str, claims: dict[str, Any], expected: tuple[str, str, str]) -> Callable[..., Awaitable[None]]:
    async def check(whole: Whole) -> None:
        base = jwt_settings(whole)
        assert taken_for(whole.settings(control__jwt=base).control, claims) == expected
        plain = evolve(settings(whole.folder, whole.certificates).control, jwt=base)
        assert taken_for(plain, claims) != expected, "the default does the same"

    return check


for _name, (_value, _claims, _expected) in JWT_ROWS.items():
    REAL[f"control.jwt.{_name}"] = (_value, _jwt_row(_name, _claims, _expected))


@really("control.jwt.jwks_file", Path("jwks.json"))
async def _(whole: Whole) -> None:
    """A caller with a token of the provider's is let in; without the file no such token is looked at. Another set of
    keys is taken when the file changes."""
    address = f"127.0.0.1:{free_port()}"
    given = {"control__address": address, "control__require_callers": True, "control__jwt": jwt_settings(whole)}
    whole.value = whole.folder / "jwks.json"
    soon = int(utc_now().timestamp()) + 300
    claims = {
        "exp": soon,
        "iss": "https://idp.example/",
        "aud": "gateway",
        "sub": "a",
        "roles": ["ops"],
        "gw_site": "*",
    }
    sent = (("authorization", f"Bearer {jwt.encode(claims, EC, 'ES256')}"),)
    async with running(whole.settings(**given)) as serving:
        with grpc.insecure_channel(address) as channel:
            stub = charge_point_pb2_grpc.ChargePointServiceStub(channel)

            def asked() -> str:
                try:
                    stub.ListChargePoints(charge_point_pb2.ListChargePointsRequest(), metadata=sent, timeout=60)
                except grpc.RpcError as error:
                    return str(error.code().name)
                return "OK"

            assert await trio.to_thread.run_sync(asked) == "OK"
            endpoints = serving.gateway.endpoints
            before = endpoints._jwt_keys.keys
            whole.value.write_bytes(jwks(public(OTHER_EC, kid="ES256")))
            endpoints.certificates.reload()
            await until(lambda: endpoints._jwt_keys.keys != before)
            assert await trio.to_thread.run_sync(asked) == "UNAUTHENTICATED"


@really("control.offline_grace_seconds", 0.0)
async def _(whole: Whole) -> None:
    """A charge point that has just gone: by the default its connector would still be as it was."""
    address = f"127.0.0.1:{free_port()}"
    async with running(whole.settings(control__address=address)) as serving:
        charger = await serving.booted()
        await charger.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"})
        await charger.lose_link()
        await until(lambda: not len(serving.gateway.router))
        with grpc.insecure_channel(address) as channel:
            stub = charge_point_pb2_grpc.ChargePointServiceStub(channel)
            request = charge_point_pb2.GetChargePointRequest(identity="CP1")
            answer = await trio.to_thread.run_sync(lambda: stub.GetChargePoint(request, timeout=60))
        [connector] = answer.charge_point.connectors
        assert connector.charging_state == reading_pb2.CHARGING_STATE_UNKNOWN


@really("control.default_timeout_seconds", 1.0)
async def _(whole: Whole) -> None:
    """Of a command whose charger says nothing for as long as it may: the default would outlast the test."""
    address = f"127.0.0.1:{free_port()}"
    async with running(whole.settings(control__address=address, sessions__call_timeout_seconds=600)) as serving:
        await serving.booted()
        with grpc.insecure_channel(address) as channel:
            stub = command_pb2_grpc.CommandServiceStub(channel)
            request = command_pb2.ClearCacheRequest(
                charge_point="CP1", request_id="3f0e4c1e-0000-4000-8000-000000000001"
            )
            _, reason, _ = await trio.to_thread.run_sync(failure, stub.ClearCache, request)
    assert reason == "OUTCOME_UNKNOWN"


# --- the store


@really("store.path", "elsewhere.db")
async def _(whole: Whole) -> None:
    whole.value = whole.folder / "elsewhere.db"
    with opened(whole.settings(), utc_now) as store:
        store.open()
        store.commit([CreateChargePoint("CP1", Registration.ACCEPTED, (), utc_now())])
    assert whole.value.stat().st_size > 0
    assert not (whole.folder / "gateway.db").exists()


NOWHERE = "postgresql://gateway@localhost:1/charging"
"""A database on a server that is not there."""


@really("store.url", NOWHERE)
async def _(whole: Whole) -> None:
    """The database is looked for on its server, and no file is made."""
    unreached = pytest.raises(StoreUnavailable, match="charging at localhost can't be reached")
    with opened(whole.settings(), utc_now) as store, unreached:
        store.open()
    assert not (whole.folder / "gateway.db").exists()


@really("store.password_file", "secret")
async def _(whole: Whole) -> None:
    whole.value = whole.folder / "secret"
    given = whole.settings(store__url=NOWHERE)
    with pytest.raises(SettingsError, match="secret: can't be read"), opened(given, utc_now):
        pass
    whole.value.write_text("s3cret\n", encoding="utf-8")
    assert password(given.store) == "s3cret"


class WithoutStandby:
    """A server that keeps what it is given, on one disk."""

    server_version = 150_000

    def one(self, sql: str) -> tuple[Any, ...]:
        return "on", "on", "on", "", "UTF8", False


@really("store.durability", "local")
async def _(whole: Whole) -> None:
    """By default a server without a standby is refused."""
    server: Any = WithoutStandby()
    assert problems(server, Durability(whole.settings().store.durability)) == []
    [why] = problems(server, Durability(settings_of(whole, durability="replicated").store.durability))
    assert why.startswith("synchronous_standby_names is empty")


@really("store.patience_seconds", 7.0)
async def _(whole: Whole) -> None:
    """The journal waits as long as the store does, and for its word. With a file it changes nothing."""
    given = whole.settings(store__url=NOWHERE)
    assert commit_deadline(given.store) == 7 + ANSWER_SECONDS
    assert commit_deadline(whole.settings().store) == whole.settings().store.commit_deadline_seconds
    with opened(given, utc_now) as store:
        assert isinstance(store, PostgresStore)
        assert store._patience.seconds == 7


@really("store.linger_milliseconds", 10.0)
async def _(whole: Whole) -> None:
    """The second of two transactions begins so much later than the first."""
    async with running(whole.settings()) as serving:
        await serving.gateway.journal.commit(RecordLastHeard(()))
        assert serving.gateway.journal._linger == 0.01


@really("cluster.node", 3)
async def _(whole: Whole) -> None:
    """Its slot; by default it is alone on its database, and there is no node."""
    given = whole.settings(store__url=NOWHERE, cluster__nats=("nats://127.0.0.1:1",))
    with opened(given, utc_now) as store:
        assert isinstance(store, PostgresStore)
        made = Gateway(given, store)
        assert made.node is not None
        assert made.node.node.number == store.node == 3
    alone = evolve(given, cluster=ClusterSettings())
    with opened(alone, utc_now) as store:
        assert Gateway(alone, store).node is None
    [(key, why)] = whole.settings(cluster__nats=("nats://127.0.0.1:1",)).problems()
    assert (key, why) == ("cluster.node", "needs store.url: nodes share a database on PostgreSQL")


@really("cluster.nats", ("nats://127.0.0.1:4222", "tls://nats.example:4222"))
async def _(whole: Whole) -> None:
    """All of them are tried; another kind of address is refused."""
    bus = new_bus(whole.settings(store__url=NOWHERE, cluster__node=1))
    assert isinstance(bus, NatsClient)
    assert bus._options()["servers"] == ["nats://127.0.0.1:4222", "tls://nats.example:4222"]
    said = {
        (1, ()): "nats: missing: without it commands reach only the chargers of the node that is asked",
        (1, ("http://127.0.0.1",)): 'nats: expected nats://host:port or tls://host:port, found "http://127.0.0.1"',
        (1, ("tls://127.0.0.1",)): "",
        (1, ("nats://user:secret@127.0.0.1",)): (
            "nats: expected no user, password or token in a server's URL: name a file in nats_token_file"
        ),
    }
    for given, why in said.items():
        assert ", ".join(": ".join(each) for each in ClusterSettings(*given).problems()) == why


@really("cluster.nats_token_file", "free")
async def _(whole: Whole) -> None:
    """A file that can't be read is named."""
    whole.value = whole.folder / "secret"
    given = whole.settings(store__url=NOWHERE, cluster__node=1, cluster__nats=("nats://127.0.0.1:1",))
    with pytest.raises(SettingsError, match="secret: can't be read"):
        new_bus(given)
    whole.value.write_text("s3cret\n", encoding="utf-8")
    bus = new_bus(given)
    assert isinstance(bus, NatsClient)
    assert bus._options()["token"] == "s3cret"


@really("cluster.nats_ca", "free")
async def _(whole: Whole) -> None:
    """The authority is the one that a server's certificate is held against."""
    whole.value = whole.certificates / "ca.pem"
    bus = new_bus(whole.settings(store__url=NOWHERE, cluster__node=1, cluster__nats=("tls://127.0.0.1:1",)))
    assert isinstance(bus, NatsClient)
    assert len(bus._options()["tls"].get_ca_certs()) == 1


@really("store.upgrade_copy", False)
async def _(whole: Whole) -> None:
    """By default the database is kept as it was before its schema is changed."""
    for given, kept in ((whole.settings(), 0), (settings_of(whole, upgrade_copy=True), 1)):
        with opened(given, utc_now) as store:
            store.open()
        earlier_schema(given.store.path)
        with opened(given, utc_now) as store, pytest.raises(StoreError):  # the last change is made a second time
            store.open()
        assert len(list(whole.folder.glob("*.db-schema-*"))) == kept


def settings_of(whole: Whole, **store: Any) -> Settings:
    """The settings with others of the store, on a database of their own."""
    of = whole.settings()
    return attrs.evolve(of, store=attrs.evolve(of.store, path=whole.folder / "other.db", **store))


def earlier_schema(path: Path) -> None:
    """Have a database say that it is of the schema before the present one."""
    cx = apsw.Connection(str(path))
    cx.pragma("user_version", len(scripts()) - 1)
    cx.close()


@really("store.commit_deadline_seconds", 0.3)
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        serving.disk.slow, serving.disk.gate = (RecordLastHeard,), threading.Event()
        try:
            with pytest.raises(StoreUnavailable, match=r"0\.3 s"):
                await serving.gateway.journal.commit(RecordLastHeard(()))
        finally:
            serving.disk.gate.set()


@really("store.retention.max_age_days", 2.0)
async def _(whole: Whole) -> None:
    """Of what was before the gateway began, what is three days old goes, and what is an hour old stays."""
    old = old_events(whole, timedelta(days=3), timedelta(hours=1))
    async with running(whole.settings()) as serving:
        await until(lambda: serving.disk.bounds().floor == old)


@really("store.retention.max_bytes", 1)
async def _(whole: Whole) -> None:
    old_events(whole, timedelta(hours=1))
    async with running(whole.settings()) as serving:
        await until(lambda: serving.disk.bounds().floor > 0)


def old_events(whole: Whole, *ages: timedelta) -> int:
    """Charge points that came into being so long ago; answers the sequence of the first one's last event."""
    disk = Disk(whole.folder / "gateway.db", clock=utc_now)
    body = ConnectorStatusChanged(ConnectorAddress(1, 1), "Available", "NoError")
    heads = []
    for number, age in enumerate(ages):
        at = utc_now() - age
        disk.commit([CreateChargePoint(f"OLD{number}", Registration.ACCEPTED, (), at)])
        disk.commit([Append(f"OLD{number}", None, (NewEvent(body, at),))])
        heads.append(disk.bounds().head)
    disk.close()
    return heads[0]


# --- logs, metrics, the end


def logged(whole: Whole) -> str:
    """The output of a gateway that can't start, since its metrics' port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = whole.folder / "gateway.toml"
        values = json.dumps(whole.value)
        config.write_text(
            f'[logging]\n{whole._path[-1]} = {values}\n[metrics]\naddress = "127.0.0.1:{taken.getsockname()[1]}"\n'
            f'[control]\naddress = "127.0.0.1:0"\n[[listeners]]\nhost = "127.0.0.1"\nport = 0\n'
            f'certificates = [{{ certificate = "{whole.files().certificate}", key = "{whole.files().key}" }}]\n'
        )
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "serve", "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.returncode != 0
    assert "metrics.address" in done.stderr
    return done.stderr


@really("logging.level", "error")
async def _(whole: Whole) -> None:
    written = await trio.to_thread.run_sync(logged, whole)
    assert "control interface listens" not in written
    whole.value = "info"
    assert "control interface listens" in await trio.to_thread.run_sync(logged, whole)


@really("logging.format", "console")
async def _(whole: Whole) -> None:
    line = await trio.to_thread.run_sync(a_line, whole)
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)
    whole.value = "json"
    assert json.loads(await trio.to_thread.run_sync(a_line, whole))["event"] == "control interface listens"


def a_line(whole: Whole) -> str:
    """Of the log, the one of the control interface."""
    [line] = [line for line in logged(whole).splitlines() if "control interface listens" in line]
    return line


@really("http.address", "free")
async def _(whole: Whole) -> None:
    whole.value = f"127.0.0.1:{free_port()}"

    def read() -> str:
        with urllib.request.urlopen(f"http://{whole.value}/v1/ServerService/GetServerInfo", timeout=60) as answer:
            return str(answer.read().decode())

    async with running(whole.settings()):
        assert "contractVersion" in await trio.to_thread.run_sync(read)


@really("metrics.address", "free")
async def _(whole: Whole) -> None:
    whole.value = f"127.0.0.1:{free_port()}"

    def read() -> str:
        with urllib.request.urlopen(f"http://{whole.value}/metrics", timeout=60) as answer:
            return str(answer.read().decode())

    async with running(whole.settings()):
        assert "gateway_store_healthy 1.0" in await trio.to_thread.run_sync(read)


@really("tracing.endpoint", "of a collector")
async def _(whole: Whole) -> None:
    with collecting() as collector:
        whole.value = collector.endpoint
        await one_is_traced(whole, collector)


@really("tracing.authority", "of a collector")
async def _(whole: Whole) -> None:
    """With another one nothing arrives: the collector's certificate is not from it."""
    with collecting(whole.certificates) as collector:
        whole.value = whole.certificates / "ca.pem"
        await one_is_traced(whole, collector, tracing__endpoint=collector.endpoint)


@really("tracing.sample_ratio", 0.0)
async def _(whole: Whole) -> None:
    with collecting() as collector, pytest.raises(AssertionError, match="nothing was traced"):
        await one_is_traced(whole, collector, tracing__endpoint=collector.endpoint)


async def one_is_traced(whole: Whole, collector: Collector, **others: Any) -> None:
    """The span of an RPC arrives."""
    address = f"127.0.0.1:{free_port()}"
    async with running(whole.settings(control__address=address, **others)) as serving:
        with grpc.insecure_channel(address) as channel:
            stub = charge_point_pb2_grpc.ChargePointServiceStub(channel)
            asked = charge_point_pb2.ListChargePointsRequest()
            await trio.to_thread.run_sync(lambda: stub.ListChargePoints(asked, timeout=60))
        await trio.to_thread.run_sync(serving.gateway.close)
    names = [span.name for span in collector.spans]
    assert names, "nothing was traced"
    assert names == ["gateway.api.v1.ChargePointService/ListChargePoints"]


@really("drain.deadline_seconds", 0.5)
async def _(whole: Whole) -> None:
    """The time that is left is shown from the beginning, and a command under way holds the end up no longer."""
    async with running(whole.settings()) as serving:
        charger = await serving.booted()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, serving)
            await charger.next_call("ClearCache")
            draining = serving.gateway.draining
            serving.terminate()
            await until(lambda: draining.stage is not DrainStage.SERVING)
            assert draining.progress.left <= 0.5
            with trio.fail_after(60):
                await serving.over.wait()


@really("drain.closes_per_second", 0.1)
async def _(whole: Whole) -> None:
    """So the second of two is closed ten seconds after the first, unless a second signal ends the wait."""
    async with running(whole.settings(drain__deadline_seconds=1000.0)) as serving:
        serving.disk.commit([CreateChargePoint("CP2", Registration.ACCEPTED, (), utc_now())])
        first = await serving.booted()
        second = serving.connect(Principal("CP2", "ocpp1.6", 2))
        await second.call("BootNotification", BOOT)
        serving.terminate()
        assert await first.sees_the_end() == (1001, "draining")
        assert second._transport.closed_with is None
        signal.raise_signal(signal.SIGTERM)
        with trio.fail_after(60):
            await serving.over.wait()


@really("drain.jitter", 0.25)
async def _(whole: Whole) -> None:
    async with running(whole.settings()) as serving:
        assert serving.gateway.draining.terms.jitter == 0.25  # tests/session/test_drain_order.py follows it


@pytest.mark.parametrize("name", REAL)
async def test_a_setting_acts(tmp_path: Path, certificates: Path, name: str) -> None:
    """On a gateway that is whole."""
    value, check = REAL[name]
    await check(Whole(tmp_path, certificates, name, value))


# --- none is left out -----------------------------------------------------------------------------------------


def all_settings(section: type = Settings, prefix: str = "") -> list[str]:
    """The full names of all settings."""
    found = []
    for name, type_ in get_type_hints(section).items():
        inner = next((each for each in (type_, *get_args(type_)) if attrs.has(each)), None)
        if inner is None:
            found.append(prefix + name)
        else:
            found += all_settings(inner, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("name", all_settings())
def test_every_setting_has_a_row(name: str) -> None:
    """A new setting without a row fails here."""
    assert (name in VIRTUAL) + (name in REAL) == 1


@pytest.mark.parametrize(("name", "values"), REFUSED_VALUES.items())
def test_a_setting_with_few_values_takes_no_other(tmp_path: Path, name: str, values: list[Any]) -> None:
    """So there is nothing to follow."""
    section, key = name.split(".")
    for value in values:
        path = tmp_path / "gateway.toml"
        path.write_text(f"[[{section}]]\n{key} = {json.dumps(value)}\ncertificates = [{{certificate='a', key='b'}}]\n")
        with pytest.raises(SettingsError, match=name.replace(".", r"\[0\].")):
            load(path)


@pytest.mark.parametrize("name", [name for name in REAL if REAL[name][0] not in ("free", "rsa", "ecdsa", "ca")])
def test_a_row_is_not_the_default(name: str) -> None:
    """Else it would show nothing."""
    made: Any = Settings(listeners=())
    fields, (value, _) = name.split("."), REAL[name]
    for each in fields[:-1]:
        made = getattr(made, each)
        if isinstance(made, tuple):
            return  # one without a default of its own
    assert getattr(made, fields[-1]) != value
