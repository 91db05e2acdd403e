"""From settings to what the parts of the gateway are given: limits, TLS, the control interface."""

import ssl
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from gateway.app.settings import ControlSettings as ControlSection
from gateway.app.settings import ListenerSettings, QuirkSettings, SessionSettings
from gateway.chargers.admission import EntryTerms
from gateway.chargers.certificate_identity import CertificateRule
from gateway.control.server import ControlSettings
from gateway.control.tls import Tls
from gateway.domain.quirks import Quirk
from gateway.domain.values import Clock
from gateway.errors import SettingsError
from gateway.session.limits import SessionLimits
from gateway.transport.certificate_files import CertificateFiles, TlsConfigurationError, TlsFault, read_pair
from gateway.transport.limits import Limits
from gateway.transport.tls import TlsFiles, TlsProvider


def quirk(settings: QuirkSettings) -> Quirk:
    """Return a quirk profile of the settings."""
    return Quirk(
        settings.vendor,
        settings.model,
        settings.firmware,
        settings.ready_after_silence_seconds,
        settings.plug_in_first,
    )


def entry_terms(settings: ListenerSettings) -> EntryTerms:
    """Return what a listener asks of a charger."""
    rule = CertificateRule(settings.client_identity, settings.client_organization or "", settings.client_serial_label)
    [profile] = settings.security_profiles
    return EntryTerms(settings.path_prefix, profile, None if settings.client_authority is None else rule)


def session_limits(settings: SessionSettings) -> SessionLimits:
    """Return the session's part of the settings."""
    return SessionLimits(
        heartbeat_interval=settings.heartbeat_interval,
        retry_interval=settings.retry_interval,
        silence=settings.silence_seconds,
        ping_interval=settings.ping_seconds,
        ping_grace=settings.ping_grace_seconds,
        call_timeout=settings.call_timeout_seconds,
        call_queue=settings.call_queue_limit,
        settle_delay=settings.settle_delay_seconds,
        ready_after_silence=settings.ready_after_silence_seconds,
        own_requests=settings.own_requests,
        bad_messages=settings.max_bad_messages,
        end_deadline=settings.end_seconds,
    )


def connection_limits(settings: SessionSettings) -> Limits:
    """Return the transport's part of the settings."""
    return Limits(
        tls_handshake_seconds=settings.tls_handshake_seconds,
        upgrade_seconds=settings.upgrade_seconds,
        admission_seconds=settings.admission_seconds,
        write_seconds=settings.write_seconds,
        close_seconds=settings.close_seconds,
        max_message_bytes=settings.max_message_bytes,
        messages_per_second=settings.max_messages_per_second,
        message_burst=settings.message_burst,
        max_concurrent_handshakes=settings.max_concurrent_handshakes,
    )


def tls_files(settings: ListenerSettings) -> TlsFiles:
    """Return the files of a listener's TLS."""
    return TlsFiles(
        tuple(CertificateFiles(each.certificate, each.key) for each in settings.certificates),
        settings.tls_policy,
        settings.client_authority,
        settings.client_crl,
        settings.accept_stale_crl,
    )


def tls_provider(key: str, settings: ListenerSettings, clock: Clock) -> TlsProvider:
    """Return a listener's TLS. Raises ``SettingsError`` where its certificates can't be used, naming their settings;
    ``key`` is the listener's."""
    try:
        return TlsProvider(tls_files(settings), clock)
    except TlsConfigurationError as error:
        raise unusable(key, error.faults) from error


def unusable(key: str, faults: Sequence[TlsFault]) -> SettingsError:
    """Return the error of the files named below ``key``, a line for each."""
    return SettingsError("\n".join(f"{key}.{fault.place}: {fault.reason}" for fault in faults))


def authority_fault(path: Path) -> str | None:
    """Return why a file is of no use as a CA's certificates; None: it is."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=path)
    except ssl.SSLError:
        return f"{path}: holds no certificates in PEM"
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return None


def control_tls(section: ControlSection, now: datetime | None = None) -> Tls | None:
    """Return the control interface's TLS, its files read; None: it is off. With ``now`` a certificate that is not valid
    then is none. Raises ``SettingsError`` where `gateway check-config` would find the same."""
    if section.certificate is None or section.key is None:
        return None
    try:
        # gRPC would only say that it could not listen.
        pair = read_pair(CertificateFiles(section.certificate, section.key))
    except TlsConfigurationError as error:
        raise unusable("control", error.faults) from error
    faults = () if now is None else tuple(pair.validity(now))
    if faults:
        raise unusable("control", faults)
    try:
        client_ca = section.client_ca.read_bytes() if section.client_ca is not None else None
        tls = Tls(pair.certificate, pair.key, client_ca)
    except OSError as error:
        raise SettingsError(f"control: {error.filename}: {error.strerror}") from error
    fault = None if section.client_ca is None else authority_fault(section.client_ca)
    if fault is not None:
        raise SettingsError(f"control.client_ca: {fault}")
    return tls


def control_settings(section: ControlSection) -> ControlSettings:
    """Return the control interface's settings, its TLS files read. Raises ``SettingsError``."""
    host, port = section.host_and_port
    return ControlSettings(
        host=host,
        port=port,
        tls=control_tls(section),
        allow_insecure=section.allow_insecure,
        require_callers=section.require_callers,
        default_timeout=section.default_timeout_seconds,
        offline_grace=section.offline_grace_seconds,
    )
