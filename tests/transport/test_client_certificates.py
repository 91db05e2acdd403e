"""Clients with certificates at a listener: full and resumed handshakes, and sessions, are held against the same."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import trio
from attrs import define, field
from structlog.testing import capture_logs
from trio_websocket import ConnectionClosed as ClientClosed
from trio_websocket import WebSocketConnection, wrap_client_stream

from gateway.chargers.certificate_identity import CertificateRule
from gateway.transport.api import Accept, Admit, Rejection, UpgradeRequest
from gateway.transport.tls import TlsFiles, TlsProvider
from tests.support.frames import head
from tests.transport.authorities import DAY, NOW, ClientAuthority, Issued
from tests.transport.ends import authority, certificates, client_context
from tests.transport.test_listener import Port, admit, authorization, open_port, wait_for

CA = ClientAuthority()
CHARGER = CA.issue("CP1")

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@define
class Door:
    """A listener that demands certificates, its files, and its clock."""

    folder: Path
    now: datetime = NOW
    provider: TlsProvider = field(init=False)
    port: Port = field(init=False)

    def write(self, crl: bytes | None, issuer: ClientAuthority = CA) -> None:
        (self.folder / "ca.pem").write_bytes(issuer.pem)
        if crl is not None:
            (self.folder / "crl.pem").write_bytes(crl)

    def reload(self, crl: bytes | None, issuer: ClientAuthority = CA) -> None:
        self.write(crl, issuer)
        self.provider.reload(self.now)

    def client(self, issued: Issued | None, version: ssl.TLSVersion) -> ssl.SSLContext:
        context = client_context()
        context.minimum_version = context.maximum_version = version
        if issued is not None:
            issued.configure(context, self.folder)
        return context


@asynccontextmanager
async def door(folder: Path, crl: bytes | None = None, admit: Admit = admit) -> AsyncIterator[Door]:
    made = Door(folder)
    made.write(crl)
    files = TlsFiles(
        certificates(), client_authority=folder / "ca.pem", client_crl=None if crl is None else folder / "crl.pem"
    )
    made.provider = TlsProvider(files, lambda: made.now)
    async with open_port(admit, tls=made.provider) as made.port:
        yield made


class Link:
    """A client whose steps the test takes one by one."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, session: ssl.SSLSession | None) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost", session=session)

    def advance(self) -> bool:
        """One step of the handshake; True once it is done. Nothing is sent yet."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def send(self) -> None:
        await self._stream.send_all(self._outgoing.read())

    async def hear(self) -> bool:
        """Take what the server says; False if it has ended."""
        data = await self._stream.receive_some()
        self._incoming.write(data)
        return bool(data)

    async def hello(self) -> None:
        """As far as the server's answer to the ClientHello."""
        self.advance()
        await self.send()
        await self.hear()

    async def ask(self, identity: str = "CP1") -> bytes:
        """Finish the handshake, ask for an upgrade, and return the answer; empty if there is none."""
        try:
            while not self.advance():
                await self.send()
                if not await self.hear():
                    return b""
            self.tls.write(head(f"/ocpp/{identity}", authorization(identity), ("Sec-WebSocket-Protocol", "ocpp1.6")))
            await self.send()
            answer = b""
            while b"\r\n\r\n" not in answer:
                try:
                    part = self.tls.read(65536)
                except ssl.SSLWantReadError:
                    if not await self.hear():
                        return answer
                else:
                    if not part:
                        return answer
                    answer += part
        except (ssl.SSLError, trio.BrokenResourceError):
            return b""
        return answer


async def link(at: Door, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Link:
    return Link(await at.port.raw(), context, session)


async def ended(at: Door, reason: str) -> None:
    await wait_for(lambda: ("tls", reason) in at.port.seen())


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_with_a_sound_certificate_gets_in_also_when_it_resumes(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """With a ticket of the first time."""
    async with door(tmp_path, CA.revoke(1)) as at:
        context = at.client(CHARGER, version)
        first = await link(at, context)
        assert (await first.ask()).startswith(b"HTTP/1.1 101 ")
        assert first.tls.session is not None
        second = await link(at, context, first.tls.session)
        assert (await second.ask()).startswith(b"HTTP/1.1 101 ")
        assert second.tls.session_reused


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_without_a_certificate_is_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """By OpenSSL, in the handshake."""
    async with door(tmp_path) as at:
        assert await (await link(at, at.client(None, version))).ask() == b""
        await ended(at, "peer_did_not_return_a_certificate")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """The authority of the server's certificates is none of them."""
    async with door(tmp_path) as at:
        context = at.client(None, version)
        authority().issue_cert("CP1").configure_cert(context)
        assert await (await link(at, context)).ask() == b""
        await ended(at, "certificate_verify_failed")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_revoked_certificate_is_refused_in_a_full_handshake(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Nothing of HTTP is answered."""
    async with door(tmp_path, CA.revoke(CHARGER.serial)) as at:
        assert await (await link(at, at.client(CHARGER, version))).ask() == b""
        await ended(at, "client_certificate_revoked")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_certificate_that_was_revoked_since_does_not_come_back_by_its_session(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """The ticket's keys are gone with the reload, and the certificate is looked at anew."""
    async with door(tmp_path, CA.revoke()) as at:
        context = at.client(CHARGER, version)
        first = await link(at, context)
        assert (await first.ask()).startswith(b"HTTP/1.1 101 ")
        at.reload(CA.revoke(CHARGER.serial))
        second = await link(at, context, first.tls.session)
        assert await second.ask() == b""
        assert not second.tls.session_reused
        await ended(at, "client_certificate_revoked")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_certificate_that_is_revoked_while_its_session_is_resumed_is_refused(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """The ticket was still good when the handshake began: what counts is the list when it ends."""
    async with door(tmp_path, CA.revoke()) as at:
        context = at.client(CHARGER, version)
        first = await link(at, context)
        assert (await first.ask()).startswith(b"HTTP/1.1 101 ")
        second = await link(at, context, first.tls.session)
        await second.hello()
        at.reload(CA.revoke(CHARGER.serial))
        assert await second.ask() == b""
        assert second.tls.session_reused
        await ended(at, "client_certificate_revoked")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_resumed_session_ends_with_its_certificate(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Time passes and nothing is reloaded: the ticket is good, the certificate has expired."""
    async with door(tmp_path, CA.revoke(end=200 * DAY)) as at:
        context = at.client(CHARGER, version)
        first = await link(at, context)
        assert (await first.ask()).startswith(b"HTTP/1.1 101 ")
        at.now = NOW + 100 * DAY
        second = await link(at, context, first.tls.session)
        assert await second.ask() == b""
        assert second.tls.session_reused
        await ended(at, "client_certificate_expired")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_stale_list_refuses_resumed_sessions_too(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """From its next update on."""
    async with door(tmp_path, CA.revoke(end=DAY)) as at:
        context = at.client(CHARGER, version)
        first = await link(at, context)
        assert (await first.ask()).startswith(b"HTTP/1.1 101 ")
        at.now = NOW + DAY + timedelta(seconds=1)
        second = await link(at, context, first.tls.session)
        assert await second.ask() == b""
        assert second.tls.session_reused
        await ended(at, "client_crl_stale")


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_authority_that_is_taken_away_takes_its_sessions_along(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """Its bundle is reloaded as certificates are; a resumption that is under way ends with it."""
    async with door(tmp_path) as at:
        context = at.client(CHARGER, version)
        first = await link(at, context)
        assert (await first.ask()).startswith(b"HTTP/1.1 101 ")
        second = await link(at, context, first.tls.session)
        await second.hello()
        at.reload(None, ClientAuthority("Next"))
        assert await second.ask() == b""
        await ended(at, "client_issuer_unknown")


async def by_name(request: UpgradeRequest) -> Accept | Rejection:
    """Admission by the name in the certificate."""
    identity = request.target.rpartition("/")[2]
    reason = CertificateRule().refusal(request.peer.certificate, identity, {})
    return Accept(identity, "ocpp1.6") if reason is None else Rejection(403, reason, identity)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_resumed_session_opens_the_url_of_its_own_charger_alone(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A resumed handshake presents the certificate of the first: with its ticket another charger's URL stays
    closed, and its own open."""
    async with door(tmp_path, CA.revoke(), admit=by_name) as at:
        context = at.client(CHARGER, version)
        first = await link(at, context)
        assert (await first.ask()).startswith(b"HTTP/1.1 101 ")
        session = first.tls.session
        another = await link(at, context, session)
        assert (await another.ask("CP2")).startswith(b"HTTP/1.1 403 ")
        assert another.tls.session_reused
        own = await link(at, context, session)
        assert (await own.ask("CP1")).startswith(b"HTTP/1.1 101 ")
        assert own.tls.session_reused
        assert ("admission", "certificate_of_another_charger") in at.port.seen()


async def test_a_connected_client_is_closed_once_its_certificate_is_revoked(tmp_path: Path) -> None:
    """And no other one; the log says why."""
    other = CA.issue("CP2")
    async with door(tmp_path, CA.revoke()) as at:
        revoked, stays = await connect(at, CHARGER), await connect(at, other)
        await at.port.listener.close_refused()
        at.reload(CA.revoke(CHARGER.serial))
        with capture_logs() as logged:
            await at.port.listener.close_refused()
        with pytest.raises(ClientClosed) as caught:
            await revoked.get_message()
        ending = caught.value.reason
        assert ending is not None
        assert (ending.code, ending.reason) == (1008, "client_certificate_revoked")
        [line] = [each for each in logged if each["event"] == "connection closed for its certificate"]
        assert line["reason"] == "client_certificate_revoked"
        await stays.send_message("still here")
        assert await stays.get_message() == "still here from CP1"


async def connect(at: Door, issued: Issued) -> WebSocketConnection:
    name, value = authorization("CP1")
    stream = trio.SSLStream(await at.port.raw(), at.client(issued, ssl.TLSVersion.TLSv1_3), server_hostname="localhost")
    return await wrap_client_stream(
        at.port.nursery,
        stream,
        "localhost",
        "/ocpp/CP1",
        subprotocols=["ocpp1.6"],
        extra_headers=[(name.encode(), value.encode())],
    )


def test_certificates_of_clients_need_a_clock(tmp_path: Path) -> None:
    """Else nothing would say whether they have expired."""
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    with pytest.raises(ValueError, match="clock"):
        TlsProvider(TlsFiles(certificates(), client_authority=tmp_path / "ca.pem"))
