"""The settings of listeners for chargers: addresses, certificates, and who gets as far as the upgrade."""

from pathlib import Path
from typing import Literal

from attrs import field, frozen

from gateway.app.settings.expectations import (
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
from gateway.transport import tls_policies


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
            "OCPP security profiles that are admitted. 2 is TLS with Basic auth (WP A00); 1, without TLS, never is.",
            subset_of(2),
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
            "every charger needs one, beside its password: security profile 3's part of TLS (WP A00.FR.403).",
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

    def problems(self) -> Problems:
        """Lists of revoked certificates belong to an authority."""
        if self.client_crl is not None and self.client_authority is None:
            yield "client_crl", "needs client_authority, whose certificates it revokes"
        if self.accept_stale_crl and self.client_crl is None:
            yield "accept_stale_crl", "needs client_crl"
