"""The settings of listeners for chargers: addresses, certificates, and who gets as far as the upgrade."""

from pathlib import Path
from typing import Literal

from attrs import field, frozen

from gateway.app.settings.expectations import (
    Expectation,
    Problems,
    about,
    filled,
    host,
    networks,
    one_of,
    path_prefix,
    subset_of,
    text,
    whole,
)
from gateway.chargers.admission import CERTIFICATE_PROFILE
from gateway.transport import tls_policies
from gateway.transport.ocsp_client import is_responder

NAMED_RESPONDER = "certificate"
"""In the place of a responder's URL: the one that each certificate names."""

RESPONDER = Expectation(
    f'a URL such as "http://ocsp.example.com/" (answers are signed: no https), or "{NAMED_RESPONDER}"',
    lambda value: value == NAMED_RESPONDER or is_responder(value),
)


@frozen
class CertificateFiles:
    """A server certificate."""

    certificate: Path = field(
        metadata=about("The certificate and its chain, in PEM, the server's own first.", example="certs/server.pem")
    )
    key: Path = field(metadata=about("Its private key, in PEM, not encrypted.", example="certs/server.key"))


@frozen
class ListenerSettings:
    """A listener for chargers (wss only; no plain ws listener exists). Repeat the table for more."""

    certificates: tuple[CertificateFiles, ...] = field(
        metadata=about(
            "Server certificates. Chargers may know only one kind of key, so give an ECDSA and an RSA certificate "
            "(WP A00.FR.317); the client's offer chooses. `gateway certs dev` makes a pair to try with.",
            filled("tables of certificate and key", 8),
            example=[
                {"certificate": "certs/server-ecdsa.pem", "key": "certs/server-ecdsa.key"},
                {"certificate": "certs/server-rsa.pem", "key": "certs/server-rsa.key"},
            ],
        )
    )
    name: str = field(default="chargers", metadata=about("Names the listener in logs and metrics.", text(40, "a name")))
    host: str = field(
        default="0.0.0.0",  # noqa: S104 - chargers come from the internet
        metadata=about("The interface to listen on; chargers come from the internet, so all of them.", host()),
    )
    port: int = field(
        default=9443,
        metadata=about("Above 1023, so that no privilege is needed; 0 lets the system choose.", whole(0, 65535)),
    )
    path_prefix: str = field(
        default="/ocpp/",
        metadata=about("What comes before the identity: wss://host:9443/ocpp/<identity> (J §3.1.1).", path_prefix()),
    )
    security_profiles: tuple[int, ...] = field(
        default=(2,),
        metadata=about(
            "The OCPP security profile that is admitted (WP A00): 2 is TLS with Basic auth, 3 TLS with a client "
            "certificate, which needs client_authority, and no password. One for each listener, as a charger has one; "
            "1, without TLS, never is.",
            subset_of(2, 3),
        ),
    )
    proxies: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "Addresses and networks of TCP load balancers in front of this listener that begin each connection with a "
            "PROXY header, version 2. Chargers' addresses, and all limits by address, are then those that it names; "
            "connections from elsewhere, or without a header, are closed. None: chargers connect directly.",
            networks(64),
        ),
    )
    tls_policy: Literal["ELBSecurityPolicy-TLS-1-2-Ext-2018-06", "strict", "ocpp"] = field(
        default="ELBSecurityPolicy-TLS-1-2-Ext-2018-06",
        metadata=about(
            "The suites of TLS 1.2 that are granted, in the server's order; TLS 1.3 comes with each, and nothing older "
            "than 1.2. The default has the 18 suites that chargers in the field expect. strict: forward secrecy and "
            "AEAD only, which some chargers don't know; ocpp: the whitepaper's four (WP A00.FR.317).",
            one_of(*tls_policies.SUITES),
        ),
    )
    client_authority: Path | None = field(
        default=None,
        metadata=about(
            "Certificates in PEM of the authorities that issue chargers' certificates, intermediate ones too. With it "
            "every charger needs one of its own (WP A00.FR.403): in security profile 3 in the place of its password, "
            "in profile 2 beside it.",
            example="certs/chargers-ca.pem",
        ),
    )
    client_crl: Path | None = field(
        default=None,
        metadata=about(
            "Lists of revoked certificates (CRLs) in PEM, one of each certificate in client_authority. A charger whose "
            "certificate is revoked is refused, and closed if it is connected.",
            example="certs/chargers-crl.pem",
        ),
    )
    accept_stale_crl: bool = field(
        default=False,
        metadata=about(
            "Whether a list that should have been renewed counts on. Off: its authority's chargers are refused until "
            "there is a newer one, for nothing says which are revoked since.",
        ),
    )

    client_ocsp: str | None = field(
        default=None,
        metadata=about(
            "Where chargers' certificates are asked about by OCSP, at each connect and while they are connected: the "
            'responder\'s URL (http://…), or "certificate" for the one that each certificate names. A charger of which '
            "no current answer is to be had is refused, and let in once there is one. None: OCSP is not asked.",
            RESPONDER,
            example="http://ocsp.example.com/",
        ),
    )
    accept_without_ocsp: bool = field(
        default=False,
        metadata=about(
            "Whether a charger gets in while the responder does not answer, or its answers are stale; not one that was "
            "revoked by the last answer.",
        ),
    )

    client_identity: Literal["common-name", "alternative-name", "serial"] = field(
        default="common-name",
        metadata=about(
            "Where a charger's certificate names the charger: its identity as the subject's common name, or as a "
            "subject alternative name (DNS name or URI); serial: the common name is the serial number that the charge "
            "point's label client_serial_label holds (WP A00.FR.405). Another charger's certificate is refused.",
            one_of("common-name", "alternative-name", "serial"),
        ),
    )
    client_serial_label: str = field(
        default="serial",
        metadata=about("The label of charge points that holds their serial number.", text(63, "a label's key")),
    )
    client_organization: str | None = field(
        default=None,
        metadata=about(
            "The organization that a charger's certificate has to name in its subject, letter by letter "
            "(WP A00.FR.404).",
            text(64, "an organization"),
            example="Example Charging",
        ),
    )

    def problems(self) -> Problems:
        """One profile for each listener; what is asked of certificates belongs to an authority."""
        if len(self.security_profiles) > 1:
            yield "security_profiles", "one for each listener: give the other one a listener of its own"
        if CERTIFICATE_PROFILE in self.security_profiles and self.client_authority is None:
            yield "client_authority", "needed for security profile 3"
        if self.client_organization is not None and self.client_authority is None:
            yield "client_organization", "needs client_authority, whose certificates it is about"
        if self.client_crl is not None and self.client_authority is None:
            yield "client_crl", "needs client_authority, whose certificates it revokes"
        if self.accept_stale_crl and self.client_crl is None:
            yield "accept_stale_crl", "needs client_crl"
        if self.client_ocsp is not None and self.client_authority is None:
            yield "client_ocsp", "needs client_authority, whose certificates it is about"
        if self.accept_without_ocsp and self.client_ocsp is None:
            yield "accept_without_ocsp", "needs client_ocsp"
