"""Names of secrets: one table of words, for events, commands, frames, logs and the database (WP A01.FR.08, 09).

A name is read by its words, split at changes of case, digits and punctuation, never by parts of words: ``WifiPSK``
and ``AdminPin`` name secrets, ``WebSocketPingInterval`` and ``GetConfigurationMaxKeys`` don't. Capitals before lower
case are read both ways: ``FTPpassword`` as FTP and password, ``PINCode`` as PIN and Code. Names that run together in
one case (``stationpassword``) are split where all of their parts are words of the vocabulary below. A name that ends
in a word like ``Length`` or ``Interval`` is about a secret and holds none.

Pure, and linear in what it is given.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, separated by spaces."""
    return frozenset(text.split())


SECRET_WORDS: Final = word_set("""
    password passwords passwd passphrase passphrases passcode passcodes pass pwd pw pin pins puk psk secret secrets
    passwort kennwort token tokens credential credentials apikey authkey privatekey authorizationkey authorisationkey
    passw passwrd pswd wachtwoord passe contrasena contrase senha heslo salasana otp totp jwt cookie cookies
""")
"""Words that name a secret on their own."""

SECRET_PAIRS: Final = frozenset(
    tuple(pair.split("-"))
    for pair in word_set("""
        authorization-key authorisation-key auth-key private-key api-key access-key shared-key secret-key master-key
        session-key encryption-key decryption-key signing-key signature-key hmac-key aes-key wep-key wpa-key wifi-key
        wlan-key network-key security-key account-key client-key server-key license-key licence-key pre-shared
        tls-key ssl-key vpn-key ssh-key wireguard-key guard-key hotspot-key ap-key device-key sign-key enc-key
        encrypt-key decrypt-key dec-key mac-key rfid-key mifare-key desfire-key fire-key card-key pairing-key
        unlock-key admin-key user-key service-key root-key crypto-key cipher-key symmetric-key app-key storage-key
        subscription-key activation-key meter-key ocpp-key csms-key backend-key mqtt-key http-key modem-key station-key
        charger-key bluetooth-key ble-key rsa-key ecdsa-key certificate-key cert-key login-key jwt-key ftp-key
        access-code unlock-code security-code installer-code service-code pairing-code
        snmp-community read-community write-community ro-community rw-community trap-community community-string
        connection-string proxy-authorization proxy-authorisation auth-bearer bearer-auth
        amz-signature goog-signature ms-signature oss-signature cos-signature access-signature hmac-signature
    """)
)
"""Words that name a secret where one follows the other; digits between them are passed over."""

SECRET_ENDINGS: Final = frozenset({("basic", "auth")})
"""Words that name a secret at the end of a name: ``HttpBasicAuth``, but not ``BasicAuthUser``."""

VERSIONS: Final = word_set("new old default value")
"""Last words that say which of a secret's values it is."""

WHOLE_NAMES: Final = frozenset({("authorization",), ("authorisation",), ("sig",), ("bearer",)})
"""Names that are secrets only as a whole: ``Authorization`` is a header, ``AuthorizationCacheEnabled`` a setting."""

READABLE_PAIRS: Final = frozenset({("id", "token"), ("id", "tokens"), ("pass", "through")})
"""Pairs with a secret's word that are none: an idToken is what OCPP 1.6 calls an idTag."""

ABOUT: Final = word_set("""
    enabled disabled enable disable length size min max minimum maximum count interval timeout expiry expires expiration
    lifetime age type kind policy attempts retries required supported status state mode format allowed visible
    username
""")
"""Last words of names that are about a secret and hold none: ``PasswordMinLength``, ``PinRequired``."""

_COMPANIONS: Final = word_set("""
    wifi wlan ap station admin user basic auth ftp sftp http https apn sim ocpp csms web ui root master installer
    service network net login db mqtt vpn proxy ssid wpa ppp my new old default client server key keys private public
    api access shared pre authorization authorisation encryption signing id tag through max min length enabled interval
    get set configuration change local remote charge point charger box evse central system url
    hotspot modem gsm gprs lte ssh smtp snmp screen display hmi support dealer gui softap technician operator owner
    guest factory code pairing unlock security device tls ssl rfid mifare desfire bluetooth ble cloud backend community
    hash string
""")
"""With the words above, the vocabulary by which a name without boundaries is split."""

_PLAIN: Final = frozenset({"pinpoint"})
"""Words that could be split into some of the vocabulary and are none of it."""

_VOCABULARY: Final = _COMPANIONS | SECRET_WORDS | _PLAIN
_LONGEST: Final = max(map(len, _VOCABULARY))

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""``WifiPSK`` is Wifi and PSK, ``PINCode`` PIN and Code, ``wpa2_key`` wpa and key."""

_CAPITALS_WHOLE: Final = re.compile(r"[A-Z]{2,}|[A-Z]?[a-z]+")
"""The other reading: ``FTPpassword`` is FTP and password, ``PINcode`` PIN and code."""

_AMBIGUOUS: Final = re.compile(r"[A-Z]{2}[a-z]")

_WIFI: Final = re.compile(r"(?<![A-Z])([Ww])iFi")
"""``WiFi`` is one word, however it goes on."""

MAX_NAME: Final = 128
"""Characters of a name that are read: no name is longer, and the end of a longer run is what names its value."""

MAX_RUN: Final = 64
"""Characters of a word that is looked into for words of the vocabulary."""


def words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case. Letters that are not ASCII belong to no word."""
    return _read(_WORDS, name)


def _read(pattern: re.Pattern[str], name: str) -> tuple[str, ...]:
    found: list[str] = []
    name = _WIFI.sub(lambda wifi: f"{wifi[1]}ifi", name[-MAX_NAME:])
    for word in pattern.findall(name):
        lowered = word.lower()
        if lowered == "fi" and found[-1:] == ["wi"]:
            found[-1] = "wifi"
        else:
            found.extend(_run_together(lowered) or (lowered,))
    return tuple(found)


def _run_together(word: str) -> tuple[str, ...] | None:
    """The words of the vocabulary that make up ``word``, the fewest of them; None if none do."""
    if word in _VOCABULARY or len(word) > MAX_RUN:
        return None
    best: list[tuple[str, ...] | None] = [()]
    for end in range(1, len(word) + 1):
        found: tuple[str, ...] | None = None
        for begin in range(max(0, end - _LONGEST), end):
            before, part = best[begin], word[begin:end]
            if before is not None and part in _VOCABULARY and (found is None or len(before) < len(found) - 1):
                found = (*before, part)
        best.append(found)
    return best[-1]


@lru_cache(maxsize=4096)
def _names_secret(name: str) -> bool:
    if _name_secret(words(name)):
        return True
    return _AMBIGUOUS.search(name) is not None and _name_secret(_read(_CAPITALS_WHOLE, name))


def _name_secret(parts: tuple[str, ...]) -> bool:
    if not parts or parts in WHOLE_NAMES:
        return bool(parts)
    whole = parts[:-1] if parts[-1] in VERSIONS else parts
    if whole[-2:] in SECRET_ENDINGS:
        return True
    if parts[-1] in ABOUT:
        return False
    pairs = list(pairwise(parts))
    if any(pair in SECRET_PAIRS for pair in pairs):
        return True
    readable = {index + offset for index, pair in enumerate(pairs) if pair in READABLE_PAIRS for offset in (0, 1)}
    return any(part in SECRET_WORDS for index, part in enumerate(parts) if index not in readable)


def names_secret(name: str) -> bool:
    """Return true if the value of ``name`` must not be shown."""
    return _names_secret(name[-MAX_NAME:])
