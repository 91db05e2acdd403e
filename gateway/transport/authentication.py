"""Claims of an upgrade request: identity from the path, user and password from Basic authentication. Pure.

Nothing is looked up here; comparing the password and knowing the identity is admission's part. All that is malformed
is refused before any look-up, so that a stranger's bytes reach neither the store nor a log (A1.3).

What an identity may be is the domain's rule. Identities are compared exactly, case included (RFC 3986 §6.2.2.1;
A1.7): in the path, as the user name, and in the store.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

from gateway.domain.identity import fault
from gateway.transport.api import Rejection, UpgradeRequest

REALM = "ocpp"

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE_FORM = re.compile(r"(?i:https?|wss?)://[^/?]*")


@frozen
class Claim:
    """Claims of a request; none of them is proven.

    ``username`` and ``password`` are the raw decoded bytes. Both are None only where the request carries no
    Authorization but came with a client certificate that TLS has verified (security profile 3).
    """

    identity: str
    username: bytes | None
    password: bytes | None = field(repr=False)


def claim(request: UpgradeRequest, prefix: str) -> Claim | Rejection:
    """Read the claim of ``request`` under the endpoint path ``prefix`` ("/ocpp"; "/" for the root).

    404 outside the prefix or without an identity; 400 for what is malformed; 401 for what lacks fitting credentials.
    """
    identity = _identity(request.target, prefix)
    if isinstance(identity, Rejection):
        return identity
    values = [value for name, value in request.headers if name.lower() == "authorization"]
    if len(values) > 1:
        return Rejection(400, "several_authorization_headers", identity)
    if not values:
        if request.peer.certificate is not None:
            return Claim(identity, None, None)
        return unauthorized("authorization_missing", identity)
    return _basic(values[0], identity)


def unauthorized(reason: str, identity: str | None = None) -> Rejection:
    """The 401 that asks for Basic authentication (A7.4, X4)."""
    return Rejection(401, reason, identity, (("WWW-Authenticate", f'Basic realm="{REALM}"'),))


def select_subprotocol(
    offered: Sequence[str], supported: Sequence[str], assume: bool = False
) -> str | Rejection | None:
    """Choose the first offered subprotocol that is supported: the order is the client's (J §3.1.2, A2.4).

    Without a common one the upgrade is refused with 400 (X1). ``assume`` is the operator's switch for
    chargers that send no Sec-WebSocket-Protocol at all (X2): None then means "speak the default, echo nothing". It
    does not excuse an offer of something else. Names are compared exactly; an alias like ``ocpp1.6j`` is not known.
    """
    for name in offered:
        if name in supported:
            return name
    if offered:
        return Rejection(400, "subprotocol_unsupported")
    return None if assume else Rejection(400, "subprotocol_missing")


def _identity(target: str, prefix: str) -> str | Rejection:
    """The last path segment, percent-decoded once (A1.1-A1.4).

    An absolute-form target and a query string are tolerated, and so are doubled slashes before the identity
    (a configured URL that ends in one) and one slash behind it. An encoded slash is refused: a proxy that decodes it
    on the way would see another path.
    """
    path = _ABSOLUTE_FORM.sub("", target, count=1) if not target.startswith("/") else target
    path = path.partition("?")[0]
    base = prefix.rstrip("/") + "/"
    if not path.startswith(base):
        return Rejection(404, "outside_prefix")
    raw = path[len(base) :].lstrip("/").removesuffix("/")
    if not raw:
        return Rejection(404, "identity_missing")
    if "/" in raw:
        return Rejection(404, "outside_prefix")
    return _decoded(raw)


MAX_SHOWN_PATH = 100
"""Characters of a path that are shown: enough to see where it differs from the right one."""

_SECRET = re.compile(r"(?i)[0-9a-f]{16,}|[^/]*[:;=@][^/]*|[^/]{49,}")
"""What a path may hold of secrets: keys in hexadecimal, credentials and parameters, and whatever is longer than an
identity (``gateway.domain.identity``)."""


def shown_path(target: str) -> str:
    """A request's path for its operator to compare with the right one: without host and query, secrets masked, cut.

    It was sent by a stranger: characters that are not printable ASCII are left out, for whatever shows it.
    """
    path = _ABSOLUTE_FORM.sub("", target, count=1) if not target.startswith("/") else target
    path = re.split(r"[?#]", path, maxsplit=1)[0]
    path = "".join(each for each in path[: 10 * MAX_SHOWN_PATH] if each.isascii() and each.isprintable())
    shown = _SECRET.sub("(redacted)", path)
    return shown if len(shown) <= MAX_SHOWN_PATH else shown[: MAX_SHOWN_PATH - 1] + "~"


def _decoded(raw: str) -> str | Rejection:
    if _BAD_PERCENT.search(raw) or "#" in raw or not raw.isascii():
        return Rejection(400, "identity_encoding")
    try:
        identity = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return Rejection(400, "identity_encoding")
    wrong = fault(identity)
    if wrong is not None:
        return Rejection(400, wrong.reason)
    return identity


def _basic(value: str, identity: str) -> Claim | Rejection:
    """Basic authentication, RFC 7617, with a password of raw bytes (J §6.2.2, A7.1, A7.2, A7.5)."""
    scheme, _, token = value.strip(" \t").partition(" ")
    if scheme.lower() != "basic":
        return unauthorized("authorization_scheme", identity)
    try:
        decoded = base64.b64decode(token.strip(" \t").encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return Rejection(400, "authorization_malformed", identity)
    username, colon, password = decoded.partition(b":")  # the first colon: a password may hold more
    if not colon:
        return Rejection(400, "authorization_malformed", identity)
    if username != identity.encode("utf-8"):
        return unauthorized("username_is_not_identity", identity)
    return Claim(identity, username, password)
