"""Settings of one console, as the command line gives them."""

import ipaddress
from pathlib import Path
from typing import Final

from attrs import frozen

from gateway.api.v1.energy_pb2 import PriceSchedule
from gateway.client import Tls

IDLE_SECONDS: Final = 30 * 60
"""Without a request for so long a person is signed out: a screen that was left alone."""

ABSOLUTE_SECONDS: Final = 12 * 3600
"""A person signs in anew after so long in any case: a shift."""


@frozen
class ConsoleSettings:
    """``target``: the gateway's control interface; ``tls``: towards it, None: without. ``host``, ``port``: where pages
    are served; 0 lets the system choose. ``certificate``, ``key``: PEM files for HTTPS. ``prices``: None: no costs are
    shown. Times in seconds."""

    target: str
    tls: Tls | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None
    prices: PriceSchedule | None = None
    idle: float = IDLE_SECONDS
    absolute: float = ABSOLUTE_SECONDS

    @property
    def secure(self) -> bool:
        """True if pages are served over TLS."""
        return self.certificate is not None

    def fault(self) -> str | None:
        """Return why nothing may be served so, naming the option; None: it may."""
        if (self.certificate is None) != (self.key is None):
            return "--https-certificate and --https-key go together"
        if not self.secure and not is_loopback(self.host):
            return f"--listen: {self.host} is not loopback, and needs --https-certificate and --https-key"
        return None


def is_loopback(host: str) -> bool:
    """Return true for an address or a name that this machine alone reaches."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
