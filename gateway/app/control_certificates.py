"""Certificates of the control interface, read again under a running fleet as those of listeners are."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509

from gateway.app.from_settings import control_tls
from gateway.app.settings import ControlSettings
from gateway.control.tls import Tls
from gateway.transport.certificate_files import (
    CertificateFiles,
    CertificatePair,
    FileStates,
    TlsFault,
    states_of,
)


class ControlCertificates:
    """The certificate, the key and the clients' CA that the control interface presents.

    ``present`` is called with what was read anew. As ``TlsProvider``, ``reload`` may be called in a thread.
    """

    def __init__(self, settings: ControlSettings, present: Callable[[Tls], None]) -> None:
        """Raises ``SettingsError``."""
        self._settings = settings
        self._present = present
        self.looked_at = self.states()
        self.tls: Tls | None = control_tls(settings)
        """What was last taken; None: TLS is off."""

    def states(self) -> FileStates:
        """Return the states of the files now."""
        settings = self._settings
        return states_of(settings.certificate, settings.key, settings.client_ca)

    def reload(self, now: datetime) -> None:
        """Read the files again, and present what is there. Raises ``SettingsError``; then all stays as it is."""
        self.looked_at = self.states()
        tls = control_tls(self._settings, now)
        if tls is not None:
            self._present(tls)
            self.tls = tls

    def renew(self) -> None:
        """Nothing: the keys of tickets are gRPC's."""

    def validity(self, now: datetime) -> Iterator[TlsFault]:
        """Return the reasons why a client would refuse the certificate."""
        pair = self._pair
        if pair is not None:
            yield from pair.validity(now)

    def expiries(self) -> Iterator[tuple[str, Path, datetime]]:
        """Return the ends of the certificate and of the first of the clients' CAs: kind, file, time."""
        pair = self._pair
        if pair is not None:
            yield pair.kind, pair.files.certificate, pair.expires
        if self.tls is not None and self.tls.client_ca is not None and self._settings.client_ca is not None:
            authorities = x509.load_pem_x509_certificates(self.tls.client_ca)
            yield "client_ca", self._settings.client_ca, min(each.not_valid_after_utc for each in authorities)

    @property
    def _pair(self) -> CertificatePair | None:
        certificate, key = self._settings.certificate, self._settings.key
        if self.tls is None or certificate is None or key is None:
            return None
        return CertificatePair(CertificateFiles(certificate, key), self.tls.certificate, self.tls.key)
