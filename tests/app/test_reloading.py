"""SIGHUP: new certificates are taken where chargers would take them; else the old ones stay, and the log says why."""

import shutil
import signal
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import generate_latest

from gateway.app import certificate_watch
from gateway.app.from_settings import control_tls
from gateway.app.preflight import check
from gateway.errors import SettingsError
from tests.app.running import Running, running, settings, until
from tests.app.test_serve import certificates  # noqa: F401 - a fixture
from tests.endtoend.gateway_process import free_port
from tests.transport.authorities import ClientAuthority

DAY = timedelta(days=1)


class Authority:
    """Issues certificates with any validity."""

    def __init__(self, name: str = "an authority", *, begin: timedelta = -DAY, end: timedelta = 300 * DAY) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), begin, end, authority=True)

    def issue(self, name: str, *, begin: timedelta = -DAY, end: timedelta = 300 * DAY) -> tuple[bytes, bytes]:
        """A server's certificate and key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), begin, end, authority=False)
        return _pem(certificate), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _sign(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        begin: timedelta,
        end: timedelta,
        *,
        authority: bool,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


GOOD = Authority()
Pair = tuple[bytes, bytes]


def chained(pair: Pair, *authorities: Authority) -> Pair:
    """The certificate followed by others in its file."""
    return b"".join((pair[0], *(_pem(each.certificate) for each in authorities))), pair[1]


REFUSED: dict[str, tuple[Callable[[], Pair], str]] = {
    "expired": (lambda: GOOD.issue("new", begin=-9 * DAY, end=-DAY), "expired on"),
    "expired a second ago": (lambda: GOOD.issue("new", end=-timedelta(seconds=1)), "expired on"),
    "not valid yet": (lambda: GOOD.issue("new", begin=DAY), "not valid before"),
    "another's key": (lambda: (GOOD.issue("new")[0], GOOD.issue("other")[1]), "does not belong to"),
    "another's issuer": (lambda: chained(GOOD.issue("new"), Authority("another")), "the chain is broken"),
    "another's issuer of the same name": (lambda: chained(GOOD.issue("new"), Authority()), "the chain is broken"),
    "the issuer first": (lambda: chained((_pem(GOOD.certificate), GOOD.issue("new")[1])), "does not belong to"),
    "an expired issuer": (lambda: _of_expired_issuer(), "the issuer's certificate in its chain is expired"),
    "a damaged chain": (lambda: (GOOD.issue("new")[0] + b"-----BEGIN CERTIFICATE-----\nAAAA\n", b""), "no private key"),
    "empty": (lambda: (b"", b""), "holds no certificate in PEM"),
}


def _of_expired_issuer() -> Pair:
    issuer = Authority("old", begin=-9 * DAY, end=-DAY)
    return chained(issuer.issue("new"), issuer)


async def common_name(serving: Running) -> str:
    """Of the certificate that the next connection is served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = serving.gateway.endpoints.listeners[0].addresses[0][1]
    stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", port), context, server_hostname="localhost")
    await stream.do_handshake()
    served = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
    await trio.aclose_forcefully(stream)
    (attribute,) = served.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)


async def serves(serving: Running, name: str) -> None:
    """Wait until a certificate of that name is served."""
    with trio.fail_after(60):
        while await common_name(serving) != name:  # noqa: ASYNC110 - what is waited for is at the other end of a socket
            await trio.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path, certificates: Path) -> Path:  # noqa: F811
    """Certificates that may be replaced."""
    return Path(shutil.copytree(certificates, tmp_path / "certs"))


def put(folder: Path, pair: Pair) -> None:
    (folder / "server-ecdsa.pem").write_bytes(pair[0])
    (folder / "server-ecdsa.key").write_bytes(pair[1])


@pytest.mark.parametrize("how", REFUSED)
async def test_a_certificate_that_chargers_would_refuse_is_not_taken_at_sighup(
    tmp_path: Path, folder: Path, how: str
) -> None:
    """The old one is served on, and the log names listener, file and reason."""
    make, reason = REFUSED[how]
    put(folder, GOOD.issue("old"))
    async with running(settings(tmp_path, folder)) as serving:
        assert await common_name(serving) == "old"
        put(folder, make())
        with structlog.testing.capture_logs() as logged:
            signal.raise_signal(signal.SIGHUP)
            await until(lambda: any("reloaded" in each["event"] for each in logged))
        assert await common_name(serving) == "old"
        [line] = [each for each in logged if "reloaded" in each["event"]]
        assert (line["event"], line["log_level"]) == ("certificates not reloaded, the old ones stay", "error")
        assert line["listener"] == "chargers"
        assert reason in line["error"]
        assert "server-ecdsa" in line["error"]
        # Put right, it is taken: a refusal is not remembered.
        put(folder, GOOD.issue("right"))
        signal.raise_signal(signal.SIGHUP)
        await serves(serving, "right")


@pytest.mark.parametrize("how", REFUSED)
def test_check_config_finds_what_a_reload_refuses(tmp_path: Path, folder: Path, how: str) -> None:
    """So that it can be asked before the signal is sent."""
    make, reason = REFUSED[how]
    put(folder, make())
    texts = [each.text for each in check(settings(tmp_path, folder)) if each.fatal]
    assert any(reason in text for text in texts), texts


CHARGERS = ClientAuthority()
CLIENT_FILES: dict[str, tuple[bytes, bytes, str, str]] = {
    "a stale list": (CHARGERS.pem, CHARGERS.revoke(end=-timedelta(seconds=1)), "client_crl", "is stale"),
    "another's list": (CHARGERS.pem, ClientAuthority("Other").revoke(), "client_crl", "is signed by none of"),
    "no list": (CHARGERS.pem, b"", "client_crl", "holds no list"),
    "no authority": (b"", CHARGERS.revoke(), "client_authority", "holds no certificate in PEM"),
    "an expired authority": (
        ClientAuthority("Old", end=-DAY).pem,
        b"",
        "client_authority",
        "all of its certificates are expired",
    ),
}


@pytest.mark.parametrize("how", CLIENT_FILES)
async def test_authorities_and_lists_that_are_none_are_not_taken(tmp_path: Path, folder: Path, how: str) -> None:
    """At SIGHUP, nor by check-config: chargers are let in by those that there were."""
    authority, crl, key, reason = CLIENT_FILES[how]
    paths: dict[str, Any] = {"client_authority": folder / "chargers.pem", "client_crl": folder / "crl.pem"}
    if not crl and key == "client_authority":
        del paths["client_crl"]
    (folder / "chargers.pem").write_bytes(CHARGERS.pem)
    (folder / "crl.pem").write_bytes(CHARGERS.revoke())
    whole = settings(tmp_path, folder, **paths)
    assert not [each for each in check(whole) if each.fatal]
    async with running(whole) as serving:
        (folder / "chargers.pem").write_bytes(authority)
        (folder / "crl.pem").write_bytes(crl)
        with structlog.testing.capture_logs() as logged:
            signal.raise_signal(signal.SIGHUP)
            await until(lambda: any("reloaded" in each["event"] for each in logged))
        [line] = [each for each in logged if "reloaded" in each["event"]]
        assert (line["event"], line["log_level"]) == ("certificates not reloaded, the old ones stay", "error")
        assert reason in line["error"]
        tls = serving.gateway.endpoints._tls["chargers"]
        assert tls.client_refusal(CHARGERS.issue("CP1").der) is None
    assert [reason in each.text for each in check(whole) if each.key == f"listeners[0].{key}"] == [True]


TAKEN: dict[str, Callable[[], Pair]] = {
    "with its issuer": lambda: chained(GOOD.issue("new"), GOOD),
    "that ends soon": lambda: GOOD.issue("new", end=timedelta(minutes=5)),
    "that has just begun": lambda: GOOD.issue("new", begin=timedelta(seconds=-1)),
}


@pytest.mark.parametrize("how", TAKEN)
async def test_a_sound_certificate_is_taken_at_sighup(tmp_path: Path, folder: Path, how: str) -> None:
    """For the next connection."""
    put(folder, GOOD.issue("old"))
    async with running(settings(tmp_path, folder)) as serving:
        assert await common_name(serving) == "old"
        put(folder, TAKEN[how]())
        signal.raise_signal(signal.SIGHUP)
        await serves(serving, "new")


async def test_a_start_with_an_expired_certificate_serves_and_says_so(tmp_path: Path, folder: Path) -> None:
    """There is no other one to keep, and chargers without a clock do not mind."""
    put(folder, GOOD.issue("old", begin=-9 * DAY, end=-DAY))
    with structlog.testing.capture_logs() as logged:
        async with running(settings(tmp_path, folder)) as serving:
            assert await common_name(serving) == "old"
    [line] = [each for each in logged if "will refuse it" in each["event"]]
    assert line["log_level"] == "error"
    assert "expired on" in line["error"]


async def control_name(serving: Running, address: str) -> str:
    """Of the certificate that the control interface presents to the next connection."""
    host, port = address.split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    stream = trio.SSLStream(await trio.open_tcp_stream(host, int(port)), context, server_hostname="localhost")
    await stream.do_handshake()
    served = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
    await trio.aclose_forcefully(stream)
    (attribute,) = served.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)


async def test_the_control_interface_takes_its_certificate_at_sighup_too(tmp_path: Path, folder: Path) -> None:
    """A sound one; one that check-config would refuse is not taken, and the log names it."""
    address = f"127.0.0.1:{free_port()}"
    paths = folder / "control.pem", folder / "control.key"

    def put_control(pair: Pair) -> None:
        for path, content in zip(paths, pair, strict=True):
            path.write_bytes(content)

    put_control(GOOD.issue("old"))
    whole = settings(tmp_path, folder)
    whole = evolve(whole, control=evolve(whole.control, address=address, certificate=paths[0], key=paths[1]))
    async with running(whole) as serving:
        assert await control_name(serving, address) == "old"
        for make, reason in REFUSED.values():
            put_control(make())
            with structlog.testing.capture_logs() as logged:
                serving.gateway.endpoints.certificates.reload()
                await until(lambda seen=logged: any(each.get("listener") == "control" for each in seen))
            [line] = [each for each in logged if each.get("listener") == "control"]
            assert (line["event"], line["log_level"]) == ("certificates not reloaded, the old ones stay", "error")
            assert reason in line["error"]
            assert await control_name(serving, address) == "old"
        put_control(GOOD.issue("new"))
        signal.raise_signal(signal.SIGHUP)
        with trio.fail_after(60):
            while await control_name(serving, address) != "new":  # noqa: ASYNC110 - at the other end of a socket
                await trio.sleep(0.01)


async def test_the_control_interface_takes_a_changed_file_without_a_signal(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As listeners do; and the ends of its certificate and its clients' CA are metrics."""
    monkeypatch.setattr(certificate_watch, "POLL_SECONDS", 0.05)
    address = f"127.0.0.1:{free_port()}"
    paths = folder / "control.pem", folder / "control.key"
    for path, content in zip(paths, GOOD.issue("old"), strict=True):
        path.write_bytes(content)
    whole = settings(tmp_path, folder)
    control = evolve(
        whole.control, address=address, certificate=paths[0], key=paths[1], client_ca=folder / "server-rsa.pem"
    )
    async with running(evolve(whole, control=control)) as serving:
        shown = generate_latest(serving.gateway.metrics.registry).decode()
        for kind in ("ECDSA", "client_ca"):
            assert f'gateway_certificate_expiry_timestamp_seconds{{kind="{kind}",listener="control"}}' in shown
        served = serving.gateway.endpoints._control_certificates
        before = served.tls
        for path, content in zip(paths, GOOD.issue("new"), strict=True):
            path.write_bytes(content)
        with trio.fail_after(60):
            await until(lambda: served.tls is not before)
        assert served.tls is not None
        assert served.tls.certificate == paths[0].read_bytes()


def test_a_clients_ca_that_is_none_is_found(tmp_path: Path, folder: Path) -> None:
    """By check-config, and when the settings' files are read."""
    files = folder / "server-ecdsa.pem", folder / "server-ecdsa.key"
    nothing = tmp_path / "clients.pem"
    whole = settings(tmp_path, folder)
    whole = evolve(whole, control=evolve(whole.control, certificate=files[0], key=files[1], client_ca=nothing))
    for content, reason in ((None, "No such file"), (b"none", "holds no certificates in PEM")):
        if content is not None:
            nothing.write_bytes(content)
        texts = [each.text for each in check(whole) if each.key == "control.client_ca"]
        assert [reason in each for each in texts] == [True]
        with pytest.raises(SettingsError, match=rf"{reason}"):
            control_tls(whole.control)
