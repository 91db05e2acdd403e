"""Whether the gateway could serve with its settings: files, certificates and folders, looked at without serving."""

import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.app.settings import ControlSettings, ListenerSettings, Settings
from gateway.transport.tls import CertificateFiles, TlsConfigurationError, build_context, pair_faults

EXPIRY_WARNING = timedelta(days=14)
"""Long enough before a certificate's end to replace it in working hours."""

_KINDS: dict[type, str] = {ec.EllipticCurvePublicKey: "ECDSA", rsa.RSAPublicKey: "RSA"}


@frozen
class Finding:
    """Something about a setting. ``fatal``: the gateway could not serve."""

    key: str
    text: str
    fatal: bool = True


def check(settings: Settings, now: datetime | None = None) -> list[Finding]:
    """All that is wrong, or soon will be, with what the settings point to. Reads files; changes nothing."""
    moment = now or datetime.now(UTC)
    findings: list[Finding] = []
    for index, listener in enumerate(settings.listeners):
        findings += _listener(f"listeners[{index}]", listener, moment)
    findings += _control(settings.control, moment)
    findings += _store(settings.store.path)
    return findings


def _listener(key: str, listener: ListenerSettings, now: datetime) -> Iterator[Finding]:
    files = [CertificateFiles(each.certificate, each.key) for each in listener.certificates]
    faulty: tuple[str, ...] = ()
    try:
        build_context(files)
    except TlsConfigurationError as error:
        for fault in error.faults:
            yield Finding(f"{key}.{fault.place}", fault.reason)
        faulty = tuple(fault.place for fault in error.faults)
    kinds = set()
    for index, each in enumerate(listener.certificates):
        place = f"certificates[{index}]"
        if any(fault.startswith(place) for fault in faulty):
            continue
        certificate = _leaf(each.certificate)
        kinds.add(_kind(certificate))
        yield from _expiry(f"{key}.{place}.certificate", each.certificate, certificate, now)
    for kind in () if faulty else sorted({"ECDSA", "RSA"} - kinds):
        yield Finding(
            f"{key}.certificates", f"no {kind} certificate: chargers that know no other kind can't connect", fatal=False
        )


def _control(control: ControlSettings, now: datetime) -> Iterator[Finding]:
    if control.certificate is None or control.key is None:
        return
    faults = tuple(pair_faults(CertificateFiles(control.certificate, control.key)))
    for fault in faults:
        yield Finding(f"control.{fault.place}", fault.reason)
    if not faults:
        yield from _expiry("control.certificate", control.certificate, _leaf(control.certificate), now)
    if control.client_ca is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=control.client_ca)
        except OSError as error:
            yield Finding("control.client_ca", f"{control.client_ca}: {_why(error)}")


def _store(path: Path) -> Iterator[Finding]:
    folder = path.parent
    if not folder.is_dir():
        yield Finding("store.path", f"{folder}: no such folder")
    elif path.is_dir():
        yield Finding("store.path", f"{path}: is a folder")
    elif not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.R_OK | os.W_OK)):
        yield Finding("store.path", f"{path}: this user can't write there")


def _expiry(key: str, path: Path, certificate: x509.Certificate, now: datetime) -> Iterator[Finding]:
    if certificate.not_valid_after_utc <= now:
        yield Finding(key, f"{path}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    elif certificate.not_valid_before_utc > now:
        yield Finding(key, f"{path}: not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")
    elif certificate.not_valid_after_utc <= now + EXPIRY_WARNING:
        yield Finding(key, f"{path}: expires on {certificate.not_valid_after_utc:%Y-%m-%d}", fatal=False)


def _leaf(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def _kind(certificate: x509.Certificate) -> str:
    public = certificate.public_key()
    return next((name for type_, name in _KINDS.items() if isinstance(public, type_)), type(public).__name__)


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "holds no certificates in PEM"
    return error.strerror or str(error)
