"""Named TLS policies: the TLS 1.2 suites that a listener grants, in the order of the server's preference.

All of them speak TLS 1.3 too, with OpenSSL's own suites, each of which has forward secrecy and is an AEAD; none of them
speaks TLS 1.0 or 1.1 (A7.14).
"""

from collections.abc import Mapping
from typing import Final

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


def cipher_string(policy: str) -> str:
    """Return a policy's suites for OpenSSL. Raises KeyError for a policy that there is not.

    Level 2 (RSA and DH of 2048 bits, EC of 224, no SHA-1 signatures) is what Debian's OpenSSL starts with; naming it
    makes a policy the same on a build that starts lower. It still grants all suites above (tests/transport/test_tls).
    """
    return ":".join(SUITES[policy]) + ":@SECLEVEL=2"
