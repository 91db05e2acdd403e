"""The cookie of a person who has signed in: encrypted, so that neither the browser nor a proxy reads the credential.

The key lives as long as the process: a restart of the console signs everybody out.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from typing import Final

from attrs import evolve, field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NAME: Final = "gateway_console"

MAX_TOKEN: Final = 2_600
"""Characters of a credential: encrypted and in base64 it has to fit into the 4,096 bytes of a browser's cookie."""

RENEWED_AFTER: Final = 60.0
"""Seconds after which a request renews the cookie's last use; not each one, for they come several at once."""


@frozen
class SignedIn:
    """A person's session: ``token`` empty where the gateway lets in everybody. Times in seconds since 1970."""

    token: str = field(repr=False)
    nonce: str
    since: float
    used: float


class Cookies:
    """Makes and reads cookies."""

    def __init__(self, idle: float, absolute: float, clock: Callable[[], float]) -> None:
        self._idle = idle
        self._absolute = absolute
        self._clock = clock
        self._cipher = AESGCM(AESGCM.generate_key(bit_length=256))
        self._csrf_key = os.urandom(32)

    def new(self, token: str) -> SignedIn:
        """Begin a session."""
        now = self._clock()
        return SignedIn(token, secrets.token_urlsafe(16), now, now)

    def write(self, person: SignedIn) -> str:
        """Return the cookie's value."""
        nonce = os.urandom(12)
        text = json.dumps([person.token, person.nonce, person.since, person.used])
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), NAME.encode())).decode()

    def read(self, value: str) -> SignedIn | None:
        """Return the session; None: there is none, it is over, or the value is not ours."""
        try:
            data = base64.urlsafe_b64decode(value.encode("ascii"))
            token, nonce, since, used = json.loads(self._cipher.decrypt(data[:12], data[12:], NAME.encode()))
        except (ValueError, InvalidTag):
            return None
        person = SignedIn(token, nonce, since, used)
        return person if self._clock() < self.end_of(person) else None

    def end_of(self, person: SignedIn) -> float:
        """Return when a session ends if it is not used any more."""
        return min(person.used + self._idle, person.since + self._absolute)

    def renewed(self, person: SignedIn) -> SignedIn | None:
        """Return the session as used now; None: it was a moment ago."""
        now = self._clock()
        return evolve(person, used=now) if now - person.used >= RENEWED_AFTER else None

    def left(self, person: SignedIn) -> float:
        """Return the seconds until a session ends if it is not used any more."""
        return self.end_of(person) - self._clock()

    def form_token(self, person: SignedIn) -> str:
        """Return what a form of this session has to carry, and no other site can know."""
        return hmac.new(self._csrf_key, person.nonce.encode(), hashlib.sha256).hexdigest()

    def is_form_of(self, person: SignedIn, token: str) -> bool:
        """Return true if a form was served to this session."""
        return hmac.compare_digest(self.form_token(person).encode(), token.encode("utf-8", "replace"))
