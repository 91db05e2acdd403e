"""Rules for a charge point's identity: the last part of the URL that it connects to, and its user name.

One rule for those who connect and for those who are made known, so that none is provisioned that could never get in
(A1.3, A7.1). Identities are compared exactly, case included (A1.7).
"""

from typing import Final

from attrs import frozen

MAX_CHARACTERS: Final = 48
"""OCPP 1.6 sets no limit; 48 is OCPP 2.0.1's for the same identity, so that a charger keeps its own on an upgrade."""


@frozen
class IdentityFault:
    """Reason for which a text is no identity: ``reason`` for logs and counters, ``description`` for people, in words
    that follow the field's name. Neither shows what was given."""

    reason: str
    description: str


EMPTY: Final = IdentityFault("identity_missing", "must be set")
TOO_LONG: Final = IdentityFault("identity_too_long", f"must have 1 to {MAX_CHARACTERS} characters")
UNPRINTABLE: Final = IdentityFault("identity_characters", "must have printable characters only, and not just spaces")
DOTS: Final = IdentityFault("identity_characters", "must not be one dot or two: they would be a path")
SEPARATORS: Final = IdentityFault(
    "identity_characters",
    "must not contain a slash, which would end it in the URL, or a colon, which would end it as a user name",
)


def fault(identity: str) -> IdentityFault | None:
    """Return the fault of ``identity``, decoded; None if it can be one."""
    if not identity:
        return EMPTY
    if len(identity) > MAX_CHARACTERS:
        return TOO_LONG
    # False for control characters, NUL, line separators, bidirectional overrides, lone surrogates and the like.
    if not identity.isprintable() or identity.isspace():
        return UNPRINTABLE
    if identity in (".", ".."):
        return DOTS
    if "/" in identity or ":" in identity:  # RFC 7617 §2: a user-id with a colon is no user-id
        return SEPARATORS
    return None
