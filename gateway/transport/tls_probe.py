"""Which groups a server agrees to, found out by handshakes in memory: with a ClientHello made by hand for each.

OpenSSL is configured for a whole process from outside (``gateway.openssl``), so whether that worked is not read off a
setting: it is tried before the first port is opened.
"""

import os
import ssl
import struct
from collections.abc import Sequence
from typing import Final

from gateway.errors import GatewayError

GROUPS: Final = {
    "X25519": 0x001D,
    "P-256": 0x0017,
    "P-384": 0x0018,
    "P-521": 0x0019,
    "X448": 0x001E,
    "secp256k1": 0x0016,
    "brainpoolP256r1": 0x001A,
    "brainpoolP384r1": 0x001B,
    "brainpoolP512r1": 0x001C,
    "brainpoolP256r1tls13": 0x001F,
    "brainpoolP384r1tls13": 0x0020,
    "brainpoolP512r1tls13": 0x0021,
    "ffdhe2048": 0x0100,
    "ffdhe3072": 0x0101,
    "ffdhe4096": 0x0102,
    "ffdhe6144": 0x0103,
    "ffdhe8192": 0x0104,
    "SecP256r1MLKEM768": 0x11EB,
    "X25519MLKEM768": 0x11EC,
    "SecP384r1MLKEM1024": 0x11ED,
    "MLKEM512": 0x0200,
    "MLKEM768": 0x0201,
    "MLKEM1024": 0x0202,
}
"""IANA's "TLS Supported Groups": all that some OpenSSL offers a server."""

ALLOWED: Final = frozenset({"X25519", "P-256", "P-384"})

_SIGNATURES: Final = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601)
"""ECDSA, RSA-PSS and RSA with SHA-256, -384 and -512: some fit any certificate that a listener may have."""

_TLS_1_2, _TLS_1_3 = 0x0303, 0x0304
_SUITES_1_3: Final = (0x1301, 0x1302, 0x1303)


class ExpensiveGroups(GatewayError):
    """A handshake over a group that costs too much would be accepted."""

    def __init__(self, groups: Sequence[str]) -> None:
        super().__init__(
            f"OpenSSL would accept handshakes over {', '.join(groups)}, and each could cost 0.1 s in which no charger "
            "is served; the gateway restricts OpenSSL to X25519, P-256 and P-384 by its configuration, which was not "
            "read. Put 'Groups = X25519:P-256:P-384' into the section that 'system_default' names in the file of "
            "OPENSSL_CONF, and see that the process has no privileges of its file (setuid, file capabilities), for "
            "OpenSSL then ignores that variable"
        )
        self.groups = tuple(groups)


def require_cheap_groups(context: ssl.SSLContext) -> None:
    """Try all groups on a server's context. Raises ExpensiveGroups. Takes a millisecond: nothing is computed for a
    group before the client has sent a share of it."""
    found = [name for name, number in GROUPS.items() if name not in ALLOWED and accepts(context, number)]
    if found:
        raise ExpensiveGroups(found)


def accepts(context: ssl.SSLContext, group: int) -> bool:
    """Return true if a TLS 1.3 client that knows only ``group`` would be asked for its share of it, or answered."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(client_hello([group]))
    try:
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return True
    except ssl.SSLError:
        return False
    return True


def client_hello(
    groups: Sequence[int],
    shares: Sequence[tuple[int, bytes]] = (),
    *,
    version: int = _TLS_1_3,
    suites: Sequence[int] = _SUITES_1_3,
) -> bytes:
    """A ClientHello in one record (RFC 8446 §4.1.2): what a client knows, and its key shares, of any bytes at all."""
    extensions = [
        (10, _list(b"".join(struct.pack("!H", group) for group in groups))),
        (11, b"\x01\x00"),  # uncompressed points
        (13, _list(b"".join(struct.pack("!H", each) for each in _SIGNATURES))),
    ]
    if version == _TLS_1_3:
        extensions.append((43, b"\x02" + struct.pack("!H", version)))
        extensions.append((51, _list(b"".join(struct.pack("!H", group) + _list(share) for group, share in shares))))
    known = b"".join(struct.pack("!H", kind) + _list(data) for kind, data in extensions)
    chosen = _list(b"".join(struct.pack("!H", suite) for suite in suites))
    body = struct.pack("!H", _TLS_1_2) + os.urandom(32) + b"\x00" + chosen + b"\x01\x00" + _list(known)
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + _list(handshake)


def _list(data: bytes) -> bytes:
    """With its length before it, in two bytes."""
    return struct.pack("!H", len(data)) + data
