"""Callers that show a JWT (RFC 7519), signed with a key of a JWKS file (RFC 7517): name, roles and scope are claims.

The library verifies signature, issuer and audience; times are held against the gateway's clock here. An error says
which check failed, and nothing of the token.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import jwt
from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.control.errors import Failure, Status
from gateway.domain.callers import SCOPED_ROLES, Caller, Role
from gateway.domain.labels import faults as label_faults
from gateway.domain.values import Clock
from gateway.errors import SettingsError

Algorithm: TypeAlias = Literal["RS256", "ES256", "EdDSA"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = ("RS256", "ES256", "EdDSA")

_TYPES: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""Key type and curve to the one algorithm that a key of it may be used with."""

MAX_JWKS_BYTES: Final = 1024 * 1024
"""A set of a dozen keys has some 20 kB; one with certificate chains some more."""

MAX_KEYS: Final = 100
"""Issuers publish a few: the present one, the next, the last."""

MIN_RSA_BITS: Final = 2048
"""As for certificates (RFC 7518 §3.3 demands it, too)."""

MAX_JWT: Final = 8_192
"""Characters. gRPC takes 8 kB of metadata by default, and few tokens have more than two."""

MAX_SUBJECT: Final = 120
"""Characters of the claim that names the caller: it is part of records and lines of the log."""

MAX_ROLE_CLAIMS: Final = 1_000
"""Values of the roles' claim that are looked at: an account may be in some hundred groups."""

REMEMBERED: Final = 1_000
"""Verified tokens that are not verified again: more than there are callers. The least recently used go first."""

PREFIX: Final = "jwt:"
"""Of the names of such callers. No caller that is made known can have a colon in its name, so none can be mistaken for
another."""

ALL: Final = "*"
"""The value of a scope's claim that stands for all charge points."""


@frozen
class JwtRules:
    """The tokens that are taken, and what their claims mean.

    ``roles``: values of the claim ``roles_claim`` to roles; others give nothing. ``scope``: labels to claims, each of
    which has to be there. ``leeway``: seconds by which the issuer's clock may be off.
    """

    issuer: str
    audience: str
    roles: Mapping[str, Role]
    scope: Mapping[str, str] = MappingProxyType({})
    caller_claim: str = "sub"
    roles_claim: str = "roles"
    algorithms: tuple[str, ...] = ALGORITHMS
    leeway: float = 30.0


@frozen
class JwtKey:
    """A public key, by its id (empty: it has none), and the algorithm that it is for."""

    key_id: str
    algorithm: str
    key: Any = field(repr=False)


@frozen
class JwtCaller:
    """A caller by its token. ``expires_at``: the token's end, leeway included."""

    caller: Caller
    expires_at: datetime
    key: JwtKey


def refused(check: str, message: str) -> Failure:
    """The answer to a token that is not taken. ``check``: the part of it that did not hold."""
    return Failure(Status.UNAUTHENTICATED, "TOKEN_REFUSED", f"the token is refused: {message}", {"check": check})


def expired() -> Failure:
    """The answer to a token whose time is over."""
    return refused("exp", "it has expired")


# --- keys -----------------------------------------------------------------------------------------------------------


def parse_jwks(data: bytes) -> tuple[JwtKey, ...]:
    """The keys of a set that can sign tokens here; those for other uses and algorithms are left out. Raises
    ``SettingsError`` for what is no set, has no such key, or holds a private one; it shows nothing of a key."""
    if len(data) > MAX_JWKS_BYTES:
        raise SettingsError(f"it is larger than {MAX_JWKS_BYTES:,} bytes")
    try:
        listed = json.loads(data)["keys"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise SettingsError('it is no JSON Web Key Set: a JSON object with a list "keys"') from None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise SettingsError('it is no JSON Web Key Set: "keys" must be a list of objects')
    if len(listed) > MAX_KEYS:
        raise SettingsError(f"it has more than {MAX_KEYS} keys")
    if any({"d", "k"} & each.keys() for each in listed):
        raise SettingsError("it holds a private or a symmetric key: publish public keys alone, and replace that one")
    found = tuple(key for number, each in enumerate(listed) if (key := _key(number, each)) is not None)
    if not found:
        raise SettingsError(f"it has no key for {', '.join(ALGORITHMS)} with use sig")
    ids = [each.key_id for each in found]
    if len(set(ids)) != len(ids):
        raise SettingsError("two of its keys have the same kid, or none")
    return found


def _key(number: int, given: Mapping[str, Any]) -> JwtKey | None:
    kind, curve = given.get("kty"), given.get("crv")
    algorithm = _TYPES.get((kind, curve)) if isinstance(kind, str) and isinstance(curve, str | None) else None
    if algorithm is None or given.get("alg", algorithm) != algorithm or given.get("use", "sig") != "sig":
        return None
    key_id = given.get("kid", "")
    if not isinstance(key_id, str):
        raise SettingsError(f"keys[{number}].kid is no text")
    try:
        key = jwt.PyJWK(dict(given), algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, LookupError):
        raise SettingsError(f"keys[{number}] can't be read as a key") from None
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise SettingsError(f"keys[{number}] has {key.key_size} bits; at least {MIN_RSA_BITS} are needed")
    return JwtKey(key_id, algorithm, key)


# --- tokens ---------------------------------------------------------------------------------------------------------


class JwtCallers:
    """The callers by their JWTs. Not for several threads at once, but for ``replace``."""

    def __init__(self, rules: JwtRules, keys: tuple[JwtKey, ...], clock: Clock) -> None:
        self._rules = rules
        self._clock = clock
        self._keys = keys
        self._known: OrderedDict[bytes, JwtCaller] = OrderedDict()

    def replace(self, keys: tuple[JwtKey, ...]) -> None:
        """Take other keys from now on. May be called from any thread."""
        self._keys = keys

    def caller(self, token: str) -> JwtCaller:
        """The caller that shows a token. Raises ``Failure``."""
        if len(token) > MAX_JWT:
            raise refused("length", f"it has more than {MAX_JWT:,} characters")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._verified(token)
            self._known[digest] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(digest)
        over = self.why_over(known)
        if over is not None:
            del self._known[digest]
            raise over
        return known

    def remaining(self, shown: JwtCaller) -> float:
        """Seconds until a token ends, by the gateway's clock."""
        return (shown.expires_at - self._clock()).total_seconds()

    def why_over(self, shown: JwtCaller) -> Failure | None:
        """The reason for which a token that was taken is taken no more; None: it still is."""
        if self._clock() >= shown.expires_at:
            return expired()
        if shown.key not in self._keys:
            return refused("kid", "its key is not in the key set any more")
        return None

    def _verified(self, token: str) -> JwtCaller:
        key = self._key_of(token)
        claims = self._claims(token, key)
        expires_at = self._times(claims)
        return JwtCaller(caller_of(claims, self._rules, self._clock()), expires_at, key)

    def _key_of(self, token: str) -> JwtKey:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise refused("format", "it is no JWT that can be read") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self._rules.algorithms:
            raise refused("alg", f"its algorithm is none of {', '.join(self._rules.algorithms)}")
        fitting = [each for each in self._keys if each.algorithm == algorithm and key_id in (None, each.key_id)]
        if len(fitting) != 1:
            what = "it names no key, and several may be meant" if fitting else "the key set has no such key"
            raise refused("kid", what)
        return fitting[0]

    def _claims(self, token: str, key: JwtKey) -> dict[str, Any]:
        rules = self._rules
        options: Any = {
            "require": ["exp", "iss", "aud"],
            "verify_exp": False,  # the times are held against the gateway's clock
            "verify_nbf": False,
            "verify_iat": False,
            "verify_sub": False,
            "verify_jti": False,
        }
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key.key, [key.algorithm], options=options, audience=rules.audience, issuer=rules.issuer
            )
        except jwt.InvalidSignatureError:
            raise refused("signature", "its signature does not fit") from None
        except jwt.MissingRequiredClaimError as error:
            raise refused(error.claim, f"it has no {error.claim}") from None
        except jwt.InvalidAudienceError:
            raise refused("aud", "it is for another audience") from None
        except jwt.InvalidIssuerError:
            raise refused("iss", "it is of another issuer") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise refused("format", "it is no JWT that can be read") from None
        return claims

    def _times(self, claims: Mapping[str, Any]) -> datetime:
        """Hold the times against the clock; the token's end."""
        now, leeway = self._clock().timestamp(), self._rules.leeway
        for name in ("exp", "nbf", "iat"):
            value = claims.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
                raise refused(name, f"its {name} is no time")
        if now >= claims["exp"] + leeway:
            raise expired()
        if now + leeway < claims.get("nbf", 0):
            raise refused("nbf", "it is not valid yet")
        if now + leeway < claims.get("iat", 0):
            raise refused("iat", "it was issued in the future")
        return datetime.fromtimestamp(min(claims["exp"] + leeway, 2**37), UTC)


def caller_of(claims: Mapping[str, Any], rules: JwtRules, now: datetime) -> Caller:
    """The caller that verified claims stand for. Raises ``Failure``."""
    name = claims.get(rules.caller_claim)
    if not isinstance(name, str) or not 0 < len(name) <= MAX_SUBJECT or not name.isascii() or not name.isprintable():
        text = f"its claim {rules.caller_claim} is no text of 1 to {MAX_SUBJECT} printable ASCII characters"
        raise refused(rules.caller_claim, text)
    roles = _roles(claims.get(rules.roles_claim), rules)
    scope = {}
    for label, claim in rules.scope.items():
        value = claims.get(claim)
        if value == ALL:
            continue
        if not isinstance(value, str) or not value or any(label_faults({label: value})):
            raise refused(claim, f'its claim {claim} is no value of a label, nor "{ALL}"')
        scope[label] = value
    if scope and not SCOPED_ROLES.issuperset(roles):
        raise refused(rules.roles_claim, "it has a scope, which goes with the roles read and operate alone")
    return Caller(PREFIX + name, roles, now, scope=scope)


def _roles(claim: Any, rules: JwtRules) -> tuple[Role, ...]:
    """The roles of a claim: a text with words, or a list of texts, as issuers have them."""
    if claim is None:
        return ()
    words = claim.split() if isinstance(claim, str) else claim
    if not isinstance(words, list) or len(words) > MAX_ROLE_CLAIMS or not all(isinstance(each, str) for each in words):
        raise refused(rules.roles_claim, f"its claim {rules.roles_claim} is no list of texts")
    given = {rules.roles[each] for each in words if each in rules.roles}
    return tuple(role for role in Role if role in given)
