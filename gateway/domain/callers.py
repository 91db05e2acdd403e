"""Callers of the control interface: their names, what they may do, and how they show who they are."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import field, frozen

from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.labels import faults as label_faults

MAX_CALLERS: Final = 1_000
"""Internal services and people, counted in tens. All of them are held in memory."""

MAX_NAME: Final = 63
"""Characters of a name: it is part of log lines and records."""

MAX_CERTIFICATE_NAME: Final = 255
"""Characters of a certificate's name: a DNS name has no more (RFC 1035 §2.3.4), a SPIFFE id seldom."""

TOKEN_PREFIX: Final = "ocpgw_"  # noqa: S105 - of all of them
"""Of every token: tools that search files for secrets find them by it."""

TOKEN_BYTES: Final = 32
"""Random bytes of a token. 256 bits can't be guessed, so that one SHA-256 of them is verifier enough."""

MAX_TOKEN: Final = 200
"""Characters. A longer text is no token, and is not hashed."""

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@/-]{0,61}[A-Za-z0-9])?")


class Role(StrEnum):
    """A kind of RPCs that a caller may call."""

    READ = "read"
    """Getting, listing and watching."""
    OPERATE = "operate"
    """Charging, and what else is done from day to day; reading, too."""
    ADMINISTER = "administer"
    """Provisioning, firmware, configuration, callers; operating and reading, too."""
    VENDOR_DATA = "vendor_data"
    """Answering chargers' DataTransfer for a vendor. No other role has it."""
    SIGNING = "signing"
    """Signing chargers' certificates. Kept for that: no RPC needs it yet."""


IMPLIED: Final[Mapping[Role, frozenset[Role]]] = {
    Role.READ: frozenset({Role.READ}),
    Role.OPERATE: frozenset({Role.OPERATE, Role.READ}),
    Role.ADMINISTER: frozenset({Role.ADMINISTER, Role.OPERATE, Role.READ}),
    Role.VENDOR_DATA: frozenset({Role.VENDOR_DATA}),
    Role.SIGNING: frozenset({Role.SIGNING}),
}
"""What a role may do, by the roles that it stands for."""


SCOPED_ROLES: Final = frozenset({Role.READ, Role.OPERATE})
"""Roles that can be held to some charge points. An administrator could give itself others, by their labels."""


@frozen
class Caller:
    """A caller as an administrator made it known. It shows itself by a token or by a certificate, one of the two."""

    name: str
    roles: tuple[Role, ...]
    created_at: datetime
    token_digest: bytes = field(default=b"", repr=False)
    """SHA-256 of its token; empty: it has none."""
    certificate_name: str = ""
    """The name in its client certificate; empty: it shows none."""
    scope: Labels = field(factory=dict)
    """The labels that a charge point has to have for it; empty: all charge points."""

    def may(self, role: Role) -> bool:
        """Return true if it may call what needs this role."""
        return any(role in IMPLIED[each] for each in self.roles)

    def all_roles(self) -> tuple[Role, ...]:
        """Its roles, and those that they stand for, in the order of the roles."""
        return tuple(role for role in Role if self.may(role))


def new_token() -> str:
    """A token, to be shown once."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_digest(token: str) -> bytes | None:
    """The digest that a token is found by; None: the text is none."""
    if not token.startswith(TOKEN_PREFIX) or len(token) > MAX_TOKEN:
        return None
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def faults(name: str, roles: Iterable[Role], certificate_name: str, scope: Labels = NO_LABELS) -> list[tuple[str, str]]:
    """The faults of a caller to be made, each as a field and a description in words that follow its name."""
    found = []
    roles = tuple(roles)
    if _NAME.fullmatch(name) is None:
        rule = (
            f"must have 1 to {MAX_NAME} of the characters A-Z, a-z, 0-9, dot, underscore, at sign, slash and hyphen, "
            "and begin and end with a letter or digit"
        )
        found.append(("name", rule))
    if not roles:
        found.append(("roles", "must name at least one"))
    if len(certificate_name) > MAX_CERTIFICATE_NAME or not certificate_name.isprintable():
        found.append(("certificate_name", f"must have at most {MAX_CERTIFICATE_NAME} printable characters"))
    found += [(f"scope[{key}]" if key else "scope", description) for key, description in label_faults(scope)]
    if scope and not SCOPED_ROLES.issuperset(roles):
        found.append(("scope", "goes with the roles read and operate alone"))
    return found
