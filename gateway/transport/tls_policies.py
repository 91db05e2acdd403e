"""Named TLS policies: the TLS 1.2 suites that a listener grants, in the order of the server's preference, and a context
that keeps to one.

All of them speak TLS 1.3 too, with OpenSSL's own suites, each of which has forward secrecy and is an AEAD; none of them
speaks TLS 1.0 or 1.1 (A7.14).
"""

import ssl
from collections.abc import Mapping
from typing import Final

from gateway.openssl import GROUPS

DEFAULT: Final = "ELBSecurityPolicy-TLS-1-2-Ext-2018-06"

SUITES: Final[Mapping[str, tuple[str, ...]]] = {
    # What chargers of the field expect: exactly the suites of that policy, in its order. They include the static-RSA
    # suites that the OCPP security whitepaper requires (X11, A7.15) and that Python's own default list leaves out.
    DEFAULT: (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-RSA-AES128-SHA256",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-RSA-AES256-SHA384",
        "ECDHE-RSA-AES256-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES128-SHA256",
        "AES128-SHA",
        "AES256-GCM-SHA384",
        "AES256-SHA256",
        "AES256-SHA",
    ),
    # Forward secrecy and AEAD, as in TLS 1.3. Without the whitepaper's static-RSA suites, so not for every charger.
    "strict": (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    # The whitepaper's four and no more (A00.FR.317): two take an ECDSA certificate, two an RSA one.
    "ocpp": (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    ),
}
"""Policy → its TLS 1.2 suites in OpenSSL's names."""


TICKETS: Final = 1
"""Session tickets for a TLS 1.3 client. OpenSSL sends two, for clients that open several connections at once, and each
takes 15 µs. One saves a small charger that kept it the check of our certificate when it comes back."""


def bare_context(policy: str = DEFAULT) -> ssl.SSLContext:
    """Build a server context without certificates: TLS 1.2 and later, no compression, no renegotiation.

    Raises KeyError for a policy that there is not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # Level 2 (RSA and DH of 2048 bits, EC of 224, no SHA-1 signatures) is what Debian's OpenSSL starts with; naming it
    # makes a policy the same on a build that starts lower. It still grants all suites above (tests/transport/test_tls).
    context.set_ciphers(":".join(SUITES[policy]) + ":@SECLEVEL=2")
    context.num_tickets = TICKETS
    if hasattr(context, "set_groups"):  # from Python 3.15 on; before, OpenSSL's configuration does it (gateway.openssl)
        context.set_groups(GROUPS)
    return context
