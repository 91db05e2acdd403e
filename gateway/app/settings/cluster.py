"""The settings of a node: several gateways on one PostgreSQL.

Fields, defaults and ``problems`` are as in ``gateway.app.settings.chargers``.
"""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from attrs import field, frozen

from gateway.app.settings.expectations import Problems, about, at_most, whole
from gateway.store.nodes import MAX_SLOT


@frozen
class ClusterSettings:
    """Several gateways on one PostgreSQL that work as one (docs/operations.md)."""

    node: int = field(
        default=0,
        metadata=about(
            "The slot of this gateway, another one for each; 0: it is the only one on its database.",
            whole(0, MAX_SLOT),
        ),
    )
    nats: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "NATS servers, by which nodes call each other: commands for a charger that another node has go through "
            "them, unencrypted but with tls://.",
            at_most("servers", 16),
            example=["tls://nats1:4222", "tls://nats2:4222"],
        ),
    )
    nats_token_file: Path | None = field(
        default=None, metadata=about("A file that holds the token for NATS, and nothing else.", example="secrets/nats")
    )
    nats_ca: Path | None = field(
        default=None,
        metadata=about(
            "CA of the NATS servers' certificates (PEM); without it the system's.", example="certs/nats.pem"
        ),
    )

    def unencrypted(self) -> tuple[str, ...]:
        """The servers to which commands would go in the clear over a network."""
        return tuple(each for each in self.nats if each.startswith("nats://") and not _is_loopback(each))

    def problems(self) -> Problems:
        """Settings of nodes need a node, and nodes need the bus."""
        if self.node and not self.nats:
            yield "nats", "missing: without it commands reach only the chargers of the node that is asked"
        for each in self.nats:
            scheme, found, rest = each.partition("://")
            if "@" in each:  # which would be shown with what can't be reached
                yield "nats", "expected no user, password or token in a server's URL: name a file in nats_token_file"
            elif not found or scheme not in ("nats", "tls") or not rest:
                yield "nats", f'expected nats://host:port or tls://host:port, found "{each}"'


def _is_loopback(url: str) -> bool:
    """Return true if a server is of this machine, by what is written: names are not looked up."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
