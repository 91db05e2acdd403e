"""Where the control interface may listen: whoever reaches it controls the chargers."""

import ipaddress

from gateway.errors import SettingsError


def check_address(host: str, tls: bool, allow_insecure: bool) -> None:
    """Raises SettingsError for an address other than loopback without TLS, unless that is explicitly allowed."""
    if tls or allow_insecure or is_loopback(host):
        return
    raise SettingsError(
        f"control.address: {host} is not a loopback address, and there is no TLS: anybody who can reach it could "
        "control the chargers. Set control.certificate and control.key, listen on 127.0.0.1, or set "
        "control.allow_insecure if something else guards the port"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. Names other than localhost may resolve to anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listening_address(host: str, port: int) -> str:
    """As gRPC takes it: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
