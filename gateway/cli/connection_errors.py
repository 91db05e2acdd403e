"""Reasons in words why no gateway answers at a target: gRPC's own are for its developers."""

NOT_THIS_PORT = "is not the control interface: look at control.address in its settings, not at a listener's port"

CAUSES = (
    ("WRONG_VERSION_NUMBER", "the gateway at {target} speaks no TLS: leave out --ca (GATEWAY_CA)"),
    ("CERTIFICATE_VERIFY_FAILED", "the certificate of the gateway at {target} is not from the CA given with --ca"),
    ("Hostname Verification", "the certificate of the gateway at {target} is for another host name"),
    ("Failed to create security handshaker", "--ca, --certificate or --key: no certificate or key in PEM"),
    ("Socket closed", "{target} hangs up: it wants TLS (give --ca), or " + NOT_THIS_PORT),
    ("reset by peer", "{target} hangs up: it wants TLS (give --ca), or " + NOT_THIS_PORT),
    ("ALPN", "{target} " + NOT_THIS_PORT),
    ("http1.x", "{target} " + NOT_THIS_PORT),
    ("errors resolving", "--target: there is no host of the name in {target}"),
    ("Connection refused", "no gateway answers at {target}: nothing listens there"),
    ("timed out", "no gateway answers at {target}: the connection timed out"),
    ("o route to host", "no gateway answers at {target}: there is no route to it"),
    ("unreachable", "no gateway answers at {target}: its network can't be reached"),
)
"""A part of gRPC's text, and what it means. The first that fits counts."""


def unreachable(target: str, details: str) -> str:
    """The line for a target that could not be reached. ``details``: as gRPC has it."""
    for part, meaning in CAUSES:
        if part in details:
            return meaning.format(target=target)
    return f"no gateway answers at {target}: {details}"
