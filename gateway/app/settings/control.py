"""The settings of the control interface: gRPC, and the same contract over HTTP.

Fields, defaults and ``problems`` are as in ``gateway.app.settings.chargers``.
"""

from pathlib import Path

from attrs import field, frozen

from gateway.app.settings.callers import JwtSettings
from gateway.app.settings.expectations import OFF, Problems, about, address, is_loopback, number, parse_address


@frozen
class ControlSettings:
    """The gRPC interface for internal services."""

    address: str = field(
        default="127.0.0.1:50051",
        metadata=about("Loopback by default: any program that reaches it controls the chargers.", address()),
    )
    certificate: Path | None = field(
        default=None, metadata=about("Certificate chain in PEM: turns on TLS, with key.", example="certs/control.pem")
    )
    key: Path | None = field(
        default=None, metadata=about("The certificate's private key in PEM.", example="certs/control.key")
    )
    client_ca: Path | None = field(
        default=None,
        metadata=about(
            "Only clients with a certificate from this CA (PEM) are let in; without it clients need no certificate.",
            example="certs/clients.pem",
        ),
    )
    allow_insecure: bool = field(
        default=False,
        metadata=about(
            "Allow an address other than loopback without TLS, or without client_ca and require_callers. True only "
            "where something else guards the port: a sidecar, or a container whose port is published on loopback."
        ),
    )
    require_callers: bool = field(
        default=False,
        metadata=about(
            "Let in only callers that were made known (gateway callers add), each to what its roles allow. False: "
            "all programs that reach the address may do everything, and tokens are not looked at."
        ),
    )
    default_timeout_seconds: float = field(
        default=60.0,
        metadata=about(
            "The deadline of a command whose caller gave none. More than sessions.call_timeout_seconds: another "
            "command may be before it in the charger's queue.",
            number(1, 3600, "seconds"),
        ),
    )

    offline_grace_seconds: float = field(
        default=300.0,
        metadata=about(
            "A charge point may be offline for so long before the charging states of its connectors are shown as "
            "unknown: links drop and come back.",
            number(0, 86_400, "seconds"),
        ),
    )

    jwt: JwtSettings = field(factory=JwtSettings)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address's parts."""
        return parse_address(self.address)

    def openness(self, where: str, host: str) -> str | None:
        """The reason why an address, written ``where``, may not be listened on as clients are let in; None: it may."""
        if self.allow_insecure or is_loopback(host):
            return None
        if self.certificate is None:
            return (
                f'"{where}" is not loopback and there is no TLS: set certificate and key (and client_ca), or '
                "allow_insecure = true where something else guards the port"
            )
        if self.client_ca is None and not self.require_callers:
            return (
                f'"{where}" is not loopback and its clients need not show who they are: set client_ca or '
                "require_callers = true, or allow_insecure = true where something else guards the port"
            )
        return None

    def problems(self) -> Problems:
        """TLS settings come together, and what is not loopback needs them."""
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            yield missing, "missing: certificate and key turn on TLS together"
        if self.client_ca is not None and self.certificate is None:
            yield "client_ca", "needs TLS: set certificate and key too"
        if self.jwt.jwks_file is not None and not self.require_callers:
            yield "jwt.jwks_file", "needs require_callers = true: otherwise no token is looked at"
        reason = self.openness(self.address, self.host_and_port[0])
        if reason is not None:
            yield "address", reason


@frozen
class HttpSettings:
    """The same contract over HTTP and JSON, for those without gRPC (docs/http.md). TLS, callers and tokens are those of
    [control]."""

    address: str = field(
        default=OFF,
        metadata=about(
            '"off" for none. An address other than loopback needs what control.address needs: certificate and key, '
            "and client_ca or require_callers, or allow_insecure.",
            address(may_be_off=True),
            example="127.0.0.1:50052",
        ),
    )

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """The address's parts, None: off."""
        return None if self.address == OFF else parse_address(self.address)
