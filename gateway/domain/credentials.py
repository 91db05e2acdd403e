"""Passwords of chargers: making keys, keeping verifiers in their place, and checking what a charger presents.

Only salted verifiers are kept (WP A01.FR.08). How slow a check is follows from where the key came from:

* ``GENERATED``: 20 random letters and digits (116 bits). Guessing them is hopeless, so one HMAC-SHA-256 does, and
  thousands of chargers that reconnect at once cost nothing.
* ``IMPORTED``: given from outside, of unknown strength, so a stolen database must not give it away: scrypt, tens
  of milliseconds and 16 MiB each. Callers run ``find`` in a worker thread, a bounded number at a time, after
  ``Verifier.recall`` has not recognised the password from the time before.

A password is raw bytes and may hold anything, 0x00 and ``:`` included (J §6.2.2, A7.2).
"""

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

from gateway.domain.records import Credential, CredentialKind
from gateway.domain.values import new_id

GENERATED_KEY_BYTES = 20
"""The most that an AuthorizationKey may have (WP 7.2): 40 hexadecimal digits."""

KEY_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"
"""Letters and digits that are not taken for one another in print (no 0, O, 1, I, l, o). A charger's page asks for a
password, and its bytes are what is typed there: a key of arbitrary bytes could not be typed (J §6.2.2, X3)."""

MIN_KEY_BYTES, MAX_KEY_BYTES = 8, 40
"""What is taken as a key. The standard says 16 to 20 bytes (WP 7.2, A7.6), and what goes out by
ChangeConfiguration keeps to that. What is provisioned is what chargers in the field already have, and vendors have put
shorter passwords and the 40 characters of the hexadecimal form itself there: up to 40 is taken. Fewer than 8 could be
guessed over the network, one reconnect at a time."""

_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){%d,%d}" % (MIN_KEY_BYTES, MAX_KEY_BYTES))
"""A password that may be a key of any allowed length in hexadecimal digits."""

MAX_PASSWORD_BYTES = 255
"""A longer password is refused unread: no key is that long, and hashing it would be the peer's choice of work."""

MAX_KEYS = 8
"""Keys of one charge point at once: the one that it uses, and those of changes without an answer, of which each may be
the one that it has taken. A charger settles them by connecting; one that does not for so many is not sent another."""

_SALT_BYTES = 16
_LOG2_N, _R, _P = 14, 8, 1
"""scrypt's usual parameters for a log-in (RFC 7914 §2): 16 MiB and about 50 ms. They are stored with each verifier, so
that they can be raised later."""

_COUNTED = 1
"""The fourth byte of a verifier whose salt has the password's length behind it. scrypt begins with an HMAC, which takes
a key and the key with zeros behind it for the same; verifiers of before, which have no such byte, still do."""

_MAX_LOG2_N, _MAX_R, _MAX_P = 17, 8, 4
"""A stored verifier that asks for more is taken for damaged: checking it would be a denial of service."""

_DIGEST_BYTES = 32

REMEMBERED = 50_000
"""Passwords that a ``Verifier`` recognises again: more than one gateway holds chargers; about 10 MB."""


def generate_key() -> bytes:
    """A new AuthorizationKey: 20 random letters and digits in ASCII, which are its bytes and its text at once."""
    return "".join(secrets.choice(KEY_ALPHABET) for _ in range(GENERATED_KEY_BYTES)).encode("ascii")


def make_credential(key: bytes, kind: CredentialKind, now: datetime) -> Credential:
    """A verifier for ``key``, valid from ``now`` on. With ``IMPORTED`` it takes tens of milliseconds.

    Raises ValueError if the key is shorter or longer than is taken; the message doesn't show it.
    """
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(f"a key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes, not {len(key)}")
    salt = secrets.token_bytes(_SALT_BYTES)
    if kind is CredentialKind.GENERATED:
        verifier = _hmac(salt, key)
    else:
        verifier = bytes((_LOG2_N, _R, _P, _COUNTED)) + _scrypt(_counted(salt, key), key, _LOG2_N, _R, _P)
    return Credential(new_id("cred"), kind, salt, verifier, not_before=now)


def id_for_command(command_id: str) -> str:
    """The id of the credential that a command makes: with the record of a command that was never sent, the store takes
    away its key."""
    return f"cred_of_{command_id}"


def verify(credential: Credential, password: bytes, accept_hex: bool = False) -> bool:
    """Return whether ``password`` is the key behind ``credential``; compared in constant time. Never raises.

    ``accept_hex``: a charger may also present its key's hexadecimal form as text, a known misreading (X3).
    Validity in time is not looked at. Slow for ``IMPORTED``.
    """
    return any(_verify(credential, form) for form in _forms(password, accept_hex))


def find(credentials: Iterable[Credential], password: bytes, now: datetime, accept_hex: bool = False) -> str | None:
    """The id of the first credential that is valid now and matches, or None. Slow where one is ``IMPORTED``."""
    for credential in credentials:
        if valid_at(credential, now) and verify(credential, password, accept_hex):
            return credential.credential_id
    return None


def valid_at(credential: Credential, now: datetime) -> bool:
    """Return whether the credential may be used now.

    ``not_before`` is when it was made, by which the newer of two is known: it shuts no charger out, for a clock that is
    behind (or was ahead when the key was made) would refuse every charger until it is right.
    """
    return credential.not_after is None or now < credential.not_after


class Verifier:
    """Checks what can be checked at once, and recognises passwords that passed before.

    Memory of passed passwords is a digest under a key of this process's own, useless elsewhere; the least
    recently used are forgotten. Not for several threads.

        found = verifier.recall(credentials, password, now)
        if found is None and verifier.worth_a_thread(credentials):
            found = <in a worker thread> find(credentials, password, now)
            if found is not None:
                verifier.remember(<the found credential>, password)
    """

    def __init__(self, accept_hex: bool = False, capacity: int = REMEMBERED) -> None:
        self._accept_hex = accept_hex
        self._capacity = capacity
        self._secret = secrets.token_bytes(_DIGEST_BYTES)
        self._passed: OrderedDict[str, bytes] = OrderedDict()

    @property
    def accept_hex(self) -> bool:
        """Return whether a key's hexadecimal form is taken too; to be handed on to ``find``."""
        return self._accept_hex

    def recall(
        self, credentials: Iterable[Credential], password: bytes, now: datetime, accept_hex: bool | None = None
    ) -> str | None:
        """The id of the credential that matches, as far as microseconds can decide. ``accept_hex``: for this
        charge point; None: as for all."""
        if accept_hex is None:
            accept_hex = self._accept_hex
        for credential in credentials:
            if not valid_at(credential, now):
                continue
            if credential.kind is CredentialKind.GENERATED:
                if verify(credential, password, accept_hex):
                    return credential.credential_id
            elif self._passed_before(credential, password):
                return credential.credential_id
        return None

    def worth_a_thread(self, credentials: Iterable[Credential]) -> bool:
        """Return whether the slow check could still find a match that ``recall`` didn't."""
        return any(credential.kind is CredentialKind.IMPORTED for credential in credentials)

    def remember(self, credential: Credential, password: bytes) -> None:
        """``password`` has just passed for ``credential``."""
        self._passed[credential.credential_id] = self._digest(credential, password)
        self._passed.move_to_end(credential.credential_id)
        if len(self._passed) > self._capacity:
            self._passed.popitem(last=False)

    def _passed_before(self, credential: Credential, password: bytes) -> bool:
        known = self._passed.get(credential.credential_id)
        if known is None or not hmac.compare_digest(known, self._digest(credential, password)):
            return False
        self._passed.move_to_end(credential.credential_id)
        return True

    def _digest(self, credential: Credential, password: bytes) -> bytes:
        # The salt ties it to this very verifier: a key changed under the same id is not recognised.
        return _hmac(self._secret, credential.salt + password)


def _forms(password: bytes, accept_hex: bool) -> list[bytes]:
    """Return the keys that a password may stand for: itself and, where that is tolerated, the bytes that it spells."""
    if len(password) > MAX_PASSWORD_BYTES:
        return []
    if accept_hex and _HEX.fullmatch(password):
        return [password, bytes.fromhex(password.decode("ascii"))]
    return [password]


def _verify(credential: Credential, password: bytes) -> bool:
    if credential.kind is CredentialKind.GENERATED:
        return hmac.compare_digest(credential.verifier, _hmac(credential.salt, password))
    head, digest = credential.verifier[:-_DIGEST_BYTES], credential.verifier[-_DIGEST_BYTES:]
    if len(head) < 3 or head[3:] not in (b"", bytes((_COUNTED,))):
        return False
    log2_n, r, p = head[:3]
    if not (1 <= log2_n <= _MAX_LOG2_N and 1 <= r <= _MAX_R and 1 <= p <= _MAX_P):
        return False
    salt = _counted(credential.salt, password) if head[3:] else credential.salt
    try:
        return hmac.compare_digest(digest, _scrypt(salt, password, log2_n, r, p))
    except ValueError:
        return False  # parameters that don't go together: damaged, too


def _counted(salt: bytes, password: bytes) -> bytes:
    return salt + bytes((len(password),))


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _scrypt(salt: bytes, password: bytes, log2_n: int, r: int, p: int) -> bytes:
    n = 1 << log2_n
    memory = 128 * r * (n + p + 2)
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=memory + 1024, dklen=_DIGEST_BYTES)
