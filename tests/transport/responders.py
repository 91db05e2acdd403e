"""An OCSP responder of an authority of the tests, and one that answers over HTTP in a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TypeAlias

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.transport.authorities import DAY, NOW, ClientAuthority, Issued

HOUR = timedelta(hours=1)

Delegate: TypeAlias = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


@define
class Responder:
    """Answers about certificates of ``authority``; those in ``revoked`` are, those in ``unknown`` it does not know."""

    authority: ClientAuthority
    issued: dict[int, Issued] = field(factory=dict)
    revoked: set[int] = field(factory=set)
    unknown: set[int] = field(factory=set)
    begins: datetime = NOW - HOUR
    ends: datetime | None = NOW + DAY
    delegate: Delegate | None = None
    with_nonce: bool = True
    algorithm: hashes.HashAlgorithm = field(factory=hashes.SHA256)
    asked: int = 0

    def issue(self, name: str) -> Issued:
        """A certificate that it knows."""
        made = self.authority.issue(name)
        self.issued[made.serial] = made
        return made

    def answer(self, question: bytes) -> bytes:
        """The answer (DER) to a question (DER)."""
        self.asked += 1
        asked = ocsp.load_der_ocsp_request(question)
        serial = asked.serial_number
        status = ocsp.OCSPCertStatus.GOOD
        if serial in self.revoked:
            status = ocsp.OCSPCertStatus.REVOKED
        elif serial in self.unknown:
            status = ocsp.OCSPCertStatus.UNKNOWN
        made = ocsp.OCSPResponseBuilder().add_response(
            cert=self.issued[serial].certificate,
            issuer=self.authority.certificate,
            algorithm=hashes.SHA1(),
            cert_status=status,
            this_update=self.begins,
            next_update=self.ends,
            revocation_time=NOW - HOUR if status is ocsp.OCSPCertStatus.REVOKED else None,
            revocation_reason=None,
        )
        certificate, key = self.delegate or (self.authority.certificate, self.authority.key)
        made = made.responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
        if self.delegate is not None:
            made = made.certificates([certificate])
        if self.with_nonce:
            made = made.add_extension(asked.extensions.get_extension_for_class(x509.OCSPNonce).value, critical=False)
        return made.sign(key, self.algorithm).public_bytes(Encoding.DER)


def delegate(
    authority: ClientAuthority,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.OCSP_SIGNING,
    end: timedelta = DAY,
) -> Delegate:
    """A certificate and key that an authority gave to a responder."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(authority.name)
    made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(NOW - 2 * DAY).not_valid_after(NOW + end)
    if usage is not None:
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return made.sign(authority.key, hashes.SHA256()), key


@contextmanager
def over_http(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """The URL of a server on loopback that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/ocsp-response")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
