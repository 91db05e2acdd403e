"""Addresses that the control interface may listen on (its clients control the chargers), and why one can't be bound."""

import errno
import ipaddress
import socket

from gateway.errors import SettingsError


def check_address(
    host: str, tls: bool, authenticated: bool, allow_insecure: bool, setting: str = "control.address"
) -> None:
    """Raises SettingsError for an address other than loopback without TLS, or whose clients need not show who they are,
    unless that is explicitly allowed. ``setting``: the one that has the address."""
    if (tls and authenticated) or allow_insecure or is_loopback(host):
        return
    if tls:
        raise SettingsError(
            f"{setting}: {host} is not a loopback address, and its clients need not show who they are: any "
            "program that can reach it could control the chargers. Set control.client_ca or control.require_callers, "
            "listen on 127.0.0.1, or set control.allow_insecure if something else guards the port"
        )
    raise SettingsError(
        f"{setting}: {host} is not a loopback address, and there is no TLS: any program that can reach it "
        "could control the chargers. Set control.certificate and control.key, listen on 127.0.0.1, or set "
        "control.allow_insecure if something else guards the port"
    )


def is_loopback(host: str) -> bool:
    """Return true if only this machine can reach the address. Names other than localhost may resolve to anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listening_address(host: str, port: int) -> str:
    """As gRPC takes it: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def why_not(error: Exception) -> str:
    """Return the reason why an address can't be bound, in words and without an error number."""
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.EADDRINUSE:
        return "the address is in use"
    return error.strerror or str(error)


def why_not_listening(host: str, port: int) -> str | None:
    """Return the system's reason why the address can't be bound now; None if it can. gRPC itself gives no reason.

    May wait for the name to be resolved.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return why_not(error)
    reasons = []
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                # As a server does: what the last run's connections left behind is no obstacle.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
        except OSError as error:
            reasons.append(error)
    # A name may stand for addresses of a family that this machine doesn't have: those are not the reason.
    reasons.sort(key=lambda error: error.errno != errno.EADDRINUSE)
    return why_not(reasons[0]) if reasons else None
