"""TLS of a listener: the files that it is made of, and the context that each accept asks for.

Both an ECDSA and an RSA certificate belong into one context: the four suites that OCPP demands name both kinds
(A7.15), and old wallboxes know one of them only.
"""

import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from attrs import frozen
from cryptography import x509

from gateway.domain.values import Clock
from gateway.transport import tls_policies
from gateway.transport.certificate_files import (
    CertificateFiles,
    CertificatePair,
    FileStates,
    TlsConfigurationError,
    TlsFault,
    Unusable,
    read_pair,
    states_of,
)
from gateway.transport.client_authority import ClientAuthority, read_authority


@frozen
class TlsFiles:
    """All that a listener's TLS is made of.

    ``policy`` is one of ``tls_policies``. ``client_authority`` is a PEM bundle; with it, every client must present a
    certificate that it issued (security profile 3). ``client_crl`` has the lists of what each of them has revoked;
    ``accepts_stale_crl``: also where they are out of date (``ClientAuthority``).
    """

    certificates: tuple[CertificateFiles, ...]
    policy: str = tls_policies.DEFAULT
    client_authority: Path | None = None
    client_crl: Path | None = None
    accepts_stale_crl: bool = False

    def states(self) -> FileStates:
        """Return what shows that any of the files was changed."""
        paths = [path for each in self.certificates for path in (each.certificate, each.key)]
        return states_of(*paths, self.client_authority, self.client_crl)


@frozen(eq=False)
class TlsMaterial:
    """The contents of ``files`` at one moment: any number of contexts can be built of them, whatever has become of the
    files since."""

    files: TlsFiles
    pairs: tuple[CertificatePair, ...]
    clients: ClientAuthority | None

    def context(self) -> ssl.SSLContext:
        """Build a context, whose ticket keys no other has. Without SNI, or with an unknown name, the same certificates
        are served (A7.19). Raises TlsConfigurationError."""
        context = tls_policies.bare_context(self.files.policy)
        place = ""
        try:
            for index, pair in enumerate(self.pairs):
                place = f"certificates[{index}]"
                pair.load_into(context)
            if self.clients is not None:
                place = "client_authority"
                self.clients.trust_in(context)
        except Unusable as exc:
            raise TlsConfigurationError([TlsFault(place, str(exc))]) from exc
        return context

    def validity(self, now: datetime) -> Iterator[TlsFault]:
        """Return the reasons why the other side would refuse the server's certificates, or the gateway every client's:
        ``CertificatePair.validity``, ``ClientAuthority.validity``."""
        for index, pair in enumerate(self.pairs):
            for fault in pair.validity(now):
                yield TlsFault(f"certificates[{index}].{fault.place}", fault.reason)
        if self.clients is not None:
            yield from self.clients.validity(now)

    def expiries(self) -> Iterator[tuple[str, Path, datetime]]:
        """Return the time at which each of them ends: ``RSA``, ``ECDSA`` or the name of the setting, the file, the
        time."""
        for pair in self.pairs:
            yield pair.kind, pair.files.certificate, pair.expires
        if self.clients is not None:
            yield from self.clients.expiries()


def read_material(files: TlsFiles) -> TlsMaterial:
    """Read all files of a listener. Raises TlsConfigurationError with all faults of all of them."""
    faults: list[TlsFault] = []
    pairs: list[CertificatePair] = []
    kinds: dict[str, Path] = {}
    if not files.certificates:
        faults.append(TlsFault("certificates", "no certificate is configured"))
    for index, each in enumerate(files.certificates):
        try:
            pair = read_pair(each)
            _note_kind(pair, kinds)
        except TlsConfigurationError as error:
            faults += [TlsFault(f"certificates[{index}].{fault.place}", fault.reason) for fault in error.faults]
        else:
            pairs.append(pair)
    clients = None
    if files.client_authority is not None:
        try:
            clients = read_authority(files.client_authority, files.client_crl, accepts_stale=files.accepts_stale_crl)
        except TlsConfigurationError as error:
            faults += error.faults
    if faults:
        raise TlsConfigurationError(faults)
    return TlsMaterial(files, tuple(pairs), clients)


def _note_kind(pair: CertificatePair, kinds: dict[str, Path]) -> None:
    """Note the certificate among the ``kinds`` of key there are. Raises TlsConfigurationError for a second one."""
    path = pair.files.certificate
    try:
        kind = pair.kind
        pair.expires  # noqa: B018 - raises ValueError where the chain is damaged
    except Unusable as exc:
        raise TlsConfigurationError([TlsFault("certificate", str(exc))]) from exc
    except ValueError as exc:
        raise TlsConfigurationError([TlsFault("certificate", f"{path}: its chain is damaged")]) from exc
    if kind in kinds:  # OpenSSL keeps one certificate per key type and would drop the first without a word
        reason = f"{path}: {kinds[kind]} already is the {kind} certificate"
        raise TlsConfigurationError([TlsFault("certificate", reason)])
    kinds[kind] = path


def build_context(
    certificates: Sequence[CertificateFiles],
    *,
    policy: str = tls_policies.DEFAULT,
    client_authority: Path | None = None,
) -> ssl.SSLContext:
    """Build a server context of these files (``TlsFiles``). Raises TlsConfigurationError."""
    return read_material(TlsFiles(tuple(certificates), policy, client_authority)).context()


class TlsProvider:
    """Holds the context that the next accepted connection uses.

    Certificates live for days (A7.22): ``reload`` swaps them without touching a running session. ``reload`` and
    ``renew`` may be called in a thread, one at a time.
    """

    def __init__(self, files: TlsFiles, clock: Clock | None = None) -> None:
        """Raises TlsConfigurationError. ``clock``: the wall clock, for the certificates of clients."""
        if files.client_authority is not None and clock is None:
            raise ValueError("certificates of clients can't be checked without a clock")
        self._files = files
        self._clock = clock
        self.looked_at = files.states()
        """The states of the files just before they were last read, whether or not they were taken."""
        self._material = read_material(files)
        self._context = self._material.context()

    @property
    def context(self) -> ssl.SSLContext:
        """The context of the next connection."""
        return self._context

    @property
    def demands_certificates(self) -> bool:
        """True where clients need a certificate."""
        return self._files.client_authority is not None

    def client_refusal(self, certificate: bytes | None) -> str | None:
        """Return why a client with this certificate (DER) may not come in, or stay, by what was last read; None: it
        may. To be asked after each handshake: OpenSSL looks at no certificate again where a session is resumed."""
        clients = self._material.clients
        if clients is None:
            return None
        assert self._clock is not None
        return clients.refusal(certificate, self._clock())

    def issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """Return the authority of clients, as last read, that issued this certificate; None: there is none."""
        clients = self._material.clients
        return None if clients is None else clients.issuer_of(certificate)

    def states(self) -> FileStates:
        """Return the states of the files now."""
        return self._files.states()

    def reload(self, now: datetime) -> None:
        """Read the files again. Raises TlsConfigurationError, and then keeps serving what it has.

        What is taken is held against ``now`` too: an expired certificate would turn away every charger that checks it.
        """
        self.looked_at = self._files.states()
        material = read_material(self._files)
        faults = tuple(material.validity(now))
        if faults:
            raise TlsConfigurationError(faults)
        self._context, self._material = material.context(), material

    def renew(self) -> None:
        """Build another context of what was last taken: its ticket keys are new, so that those which a thief may have
        found open nothing any more that is said later. Each client does one full handshake more."""
        self._context = self._material.context()

    def validity(self, now: datetime) -> Iterator[TlsFault]:
        """Return the reasons why what is served would be refused, as ``TlsMaterial.validity``."""
        return self._material.validity(now)

    def expiries(self) -> Iterator[tuple[str, Path, datetime]]:
        """Return the ends of what is served, as ``TlsMaterial.expiries``."""
        return self._material.expiries()
