"""From settings to what the parts of the gateway are given: limits, TLS, the control interface."""

import ssl
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.app.settings import ControlSettings as ControlSection
from gateway.app.settings import HttpSettings as HttpSection
from gateway.app.settings import ListenerSettings, QuirkSettings, SessionSettings, Settings, TracingSettings
from gateway.app.settings.callers import JwtSettings
from gateway.app.settings.listeners import NAMED_RESPONDER
from gateway.chargers.admission import EntryTerms
from gateway.chargers.capacity import Descriptors, file_limit, room_for
from gateway.chargers.certificate_identity import CertificateRule
from gateway.chargers.certificate_status import CertificateStatuses
from gateway.chargers.signing_checks import SigningChecks
from gateway.control.http.server import MAX_CONNECTIONS, HttpSettings
from gateway.control.jwt_callers import MAX_JWKS_BYTES, JwtKey, JwtRules, parse_jwks
from gateway.control.server import ControlSettings
from gateway.control.tls import Tls
from gateway.domain.callers import Role
from gateway.domain.quirks import BUILT_IN, Origin, Quirk, QuirkBook, QuirkValues
from gateway.domain.values import Clock
from gateway.errors import SettingsError
from gateway.session.limits import SessionLimits, quirk_defaults
from gateway.store.reads import Reads
from gateway.transport.certificate_files import CertificateFiles, TlsConfigurationError, TlsFault, read_pair
from gateway.transport.limits import Limits
from gateway.transport.memory_file import path_of
from gateway.transport.tls import TlsFiles, TlsProvider

if TYPE_CHECKING:
    from gateway.traces.export import Tracing


def descriptors(settings: Settings) -> Descriptors:
    """Return what the limit of open files has room for. Raises ``SettingsError``."""
    handshakes = settings.sessions.max_concurrent_handshakes * len(settings.listeners)
    others = 0 if settings.http.host_and_port is None else MAX_CONNECTIONS
    return room_for(file_limit(), handshakes, settings.sessions.max_sessions, others)


def quirk_book(settings: Settings) -> QuirkBook:
    """Return the quirk profiles: the built-in ones, then those of the settings, over what the settings say for all."""
    hexadecimal = settings.authorization.accept_hex_passwords
    defaults = quirk_defaults(session_limits(settings.sessions), accept_hex_password=hexadecimal)
    profiles = [_quirk(index, each) for index, each in enumerate(settings.quirks)]
    return QuirkBook(defaults, (*BUILT_IN, *profiles))


def _quirk(index: int, settings: QuirkSettings) -> Quirk:
    values = QuirkValues(
        assume_subprotocol=settings.assume_subprotocol,
        accept_hex_password=settings.accept_hex_password,
        own_requests=settings.own_requests,
        settle_delay=settings.settle_delay_seconds,
        ready_after_silence=settings.ready_after_silence_seconds,
        plug_in_first=settings.plug_in_first,
        ping_interval=settings.ping_seconds,
        pong_expected=settings.pong_expected,
        measurands=settings.measurands,
        max_schedule_periods=settings.max_schedule_periods,
        max_stack_level=settings.max_stack_level,
        clock_offset=settings.clock_offset_seconds,
    )
    return Quirk(settings.vendor, settings.model, settings.firmware, values, Origin.SETTINGS, f"quirks[{index}]")


def tracing(settings: TracingSettings, version: str) -> "Tracing | None":
    """Return what traces RPCs and commands; None: nothing does, and nothing of it is imported. Raises SettingsError."""
    if settings.endpoint is None:
        return None
    try:
        from gateway.traces.export import Tracing

        return Tracing(settings.endpoint, settings.authority, settings.sample_ratio, version)
    except ImportError as error:
        raise SettingsError(f"tracing.endpoint: {error}: pip install 'gateway[traces]'") from error
    except OSError as error:
        raise SettingsError(f"tracing.authority: {settings.authority}: {error.strerror}") from error


def entry_terms(settings: ListenerSettings) -> EntryTerms:
    """Return what a listener asks of a charger."""
    rule = CertificateRule(settings.client_identity, settings.client_organization or "", settings.client_serial_label)
    [profile] = settings.security_profiles
    return EntryTerms(settings.path_prefix, profile, None if settings.client_authority is None else rule)


def certificate_statuses(
    settings: ListenerSettings, tls: TlsProvider, clock: Clock, count: Callable[[str, str], None]
) -> CertificateStatuses | None:
    """Return what OCSP responders say of the certificates of a listener's chargers; None: they are not asked."""
    if settings.client_ocsp is None:
        return None
    responder = "" if settings.client_ocsp == NAMED_RESPONDER else settings.client_ocsp
    return CertificateStatuses(tls, responder, accepts_missing=settings.accept_without_ocsp, clock=clock, count=count)


def signing_checks(settings: Settings, reads: Reads, clock: Clock) -> SigningChecks:
    """Return the look at chargers' signing requests, by the rules of the listeners that let in by certificate."""
    rules = [rule for each in settings.listeners if (rule := entry_terms(each).rule) is not None]
    return SigningChecks(reads, rules, timedelta(hours=settings.certificates.signing_hours), clock)


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


def jwt_rules(section: JwtSettings) -> JwtRules | None:
    """Return the rules by which a JWT's claims are read; None: no JWT is taken."""
    if section.jwks_file is None:
        return None
    return JwtRules(
        section.issuer,
        section.audience,
        {each.value: Role(each.role) for each in section.roles},
        {each.label: each.claim for each in section.scope},
        section.caller_claim,
        section.roles_claim,
        section.algorithms,
        section.leeway_seconds,
    )


def jwt_keys(section: JwtSettings) -> tuple[JwtKey, ...]:
    """Return the keys in the JWKS file; none where there is no such file in the settings. Raises ``SettingsError``."""
    if section.jwks_file is None:
        return ()
    try:
        with section.jwks_file.open("rb") as file:
            return parse_jwks(file.read(MAX_JWKS_BYTES + 1))
    except OSError as error:
        raise SettingsError(f"control.jwt.jwks_file: {section.jwks_file}: {error.strerror}") from error
    except SettingsError as error:
        raise SettingsError(f"control.jwt.jwks_file: {section.jwks_file}: {error}") from None


def http_context(tls: Tls) -> ssl.SSLContext:
    """Return Python's TLS for HTTP, as gRPC has it: TLS 1.2 and later, a client's certificate where there is a CA for
    it. No tickets: a client that comes back is looked at by the present CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    with path_of(tls.certificate) as certificate, path_of(tls.key) as key:
        context.load_cert_chain(certificate, key)
    if tls.client_ca is not None:
        context.load_verify_locations(cadata=tls.client_ca.decode("ascii", "ignore"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def http_settings(section: HttpSection, shares: bool = False) -> HttpSettings | None:
    """Return the settings of HTTP and JSON; None: they are off."""
    if section.host_and_port is None:
        return None
    host, port = section.host_and_port
    return HttpSettings(http_context, host, port, shares=shares)


def control_settings(section: ControlSection, http: HttpSection | None = None, shares: bool = False) -> ControlSettings:
    """Return the control interface's settings, its TLS files read; ``shares`` its ports with other processes. Raises
    ``SettingsError``."""
    host, port = section.host_and_port
    return ControlSettings(
        host=host,
        port=port,
        tls=control_tls(section),
        allow_insecure=section.allow_insecure,
        require_callers=section.require_callers,
        jwt=jwt_rules(section.jwt),
        jwt_keys=jwt_keys(section.jwt),
        default_timeout=section.default_timeout_seconds,
        offline_grace=section.offline_grace_seconds,
        http=None if http is None else http_settings(http, shares),
        shares=shares,
    )
