"""TLS of the control interface: certificate, key and clients' CA, which may be replaced while it listens."""

import threading

import grpc
from attrs import field, frozen


@frozen
class Tls:
    """PEM. With ``client_ca`` only clients with a certificate from it are let in."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None


class ServerTls:
    """The certificate that the next client is presented. Clients that are connected go on as they began."""

    def __init__(self, tls: Tls) -> None:
        self._lock = threading.Lock()
        self._first = tls
        self._next: Tls | None = None

    def replace(self, tls: Tls) -> None:
        """Present another certificate from now on. Whether clients need one can't change. Never waits."""
        if (tls.client_ca is None) != (self._first.client_ca is None):
            raise ValueError("whether clients need a certificate is decided at the start")
        with self._lock:
            self._next = tls

    def credentials(self) -> grpc.ServerCredentials:
        """Return the credentials to open a port with."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._first),
            self._fetch,  # type: ignore[arg-type] # the stubs know no None, which gRPC's documentation does
            require_client_authentication=self._first.client_ca is not None,
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """The configuration that is new since the last client; None: nothing is. gRPC asks before each handshake, in a
        thread of its own."""
        with self._lock:
            fresh, self._next = self._next, None
        return None if fresh is None else _configuration(fresh)


def _configuration(tls: Tls) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.certificate)], tls.client_ca)
