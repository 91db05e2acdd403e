"""What must not be shown: one table of names, for events, commands, frames, logs and the database (WP A01.FR.08, 09).

A name is read by its words, split at changes of case, digits and punctuation, never by parts of words: ``WifiPSK``
and ``AdminPin`` name secrets, ``WebSocketPingInterval`` and ``GetConfigurationMaxKeys`` don't. Names that run together
in one case (``stationpassword``) are split where all of their parts are words of the vocabulary below. A name that
ends in a word like ``Length`` or ``Interval`` is about a secret and holds none.

Hidden are the values of such names, wherever they stand: beside a ``key`` or ``name`` that says it, as a field of JSON,
in texts that hold JSON, in ``name=value``; and what URLs carry besides the place: passwords, queries (a signed URL's
query is a password), fragments, and parameters with such names. When in doubt, more is hidden than has to be.

Pure, and linear in what it is given; callers bound that.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

REDACTED: Final = "(redacted)"

# --- names ----------------------------------------------------------------------------------------------------


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


SECRET_WORDS: Final = _set("""
    password passwords passwd passphrase passphrases passcode passcodes pass pwd pw pin pins puk psk secret secrets
    passwort kennwort token tokens credential credentials apikey authkey privatekey authorizationkey authorisationkey
""")
"""Words that name a secret on their own."""

SECRET_PAIRS: Final = frozenset(
    tuple(pair.split("-"))
    for pair in _set("""
        authorization-key authorisation-key auth-key private-key api-key access-key shared-key secret-key master-key
        session-key encryption-key decryption-key signing-key signature-key hmac-key aes-key wep-key wpa-key wifi-key
        wlan-key network-key security-key account-key client-key server-key license-key licence-key pre-shared
        proxy-authorization amz-signature
    """)
)
"""Words that name a secret where one follows the other; digits between them are passed over."""

WHOLE_NAMES: Final = frozenset({("authorization",), ("authorisation",), ("sig",)})
"""Names that are secrets only as a whole: ``Authorization`` is a header, ``AuthorizationCacheEnabled`` a setting."""

READABLE_PAIRS: Final = frozenset({("id", "token"), ("id", "tokens"), ("pass", "through")})
"""Pairs with a secret's word that are none: an idToken is what OCPP 1.6 calls an idTag."""

ABOUT: Final = _set("""
    enabled disabled enable disable length size min max minimum maximum count interval timeout expiry expires expiration
    lifetime age type kind policy attempts retries required supported status state mode format allowed visible
""")
"""Last words of names that are about a secret and hold none: ``PasswordMinLength``, ``PinRequired``."""

_COMPANIONS: Final = _set("""
    wifi wlan ap station admin user basic auth ftp sftp http https apn sim ocpp csms web ui root master installer
    service network net login db mqtt vpn proxy ssid wpa ppp my new old default client server key keys private public
    api access shared pre authorization authorisation encryption signing id tag through max min length enabled interval
    get set configuration change local remote charge point charger box evse central system url
""")
"""With the words above, the vocabulary by which a name without boundaries is split."""

_VOCABULARY: Final = _COMPANIONS | SECRET_WORDS
_LONGEST: Final = max(map(len, _VOCABULARY))

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""``WifiPSK`` is Wifi and PSK, ``PINCode`` PIN and Code, ``wpa2_key`` wpa and key."""

MAX_NAME: Final = 128
"""Characters of a name that are read: no name is longer, and the end of a longer run is what names its value."""

MAX_RUN: Final = 64
"""Characters of a word that is looked into for words of the vocabulary."""


def words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case. Letters that are not ASCII belong to no word."""
    found: list[str] = []
    for word in _WORDS.findall(name[-MAX_NAME:]):
        lowered = word.lower()
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
    parts = words(name)
    if not parts or parts in WHOLE_NAMES:
        return bool(parts)
    if parts[-1] in ABOUT:
        return False
    pairs = list(pairwise(parts))
    if any(pair in SECRET_PAIRS for pair in pairs):
        return True
    readable = {index + offset for index, pair in enumerate(pairs) if pair in READABLE_PAIRS for offset in (0, 1)}
    return any(part in SECRET_WORDS for index, part in enumerate(parts) if index not in readable)


def names_secret(name: str) -> bool:
    """Whether what ``name`` names must not be shown."""
    return _names_secret(name[-MAX_NAME:])


def is_authorization_key(name: str) -> bool:
    """Whether a configuration key is the one whose value a charger authenticates with (S §9: without regard to case).

    Rotating it admits the new key; that hangs on this name alone, whatever else is hidden.
    """
    return name.strip().casefold() == "authorizationkey"


# --- values ---------------------------------------------------------------------------------------------------

MIN_REPEATED: Final = 4
"""Characters of a secret that is looked for where a charger may repeat it: a shorter one would be found everywhere."""

MAX_NESTED: Final = 3
"""Levels of JSON within texts of JSON that are read as JSON; below, they are searched like what is none."""

NAMING: Final = frozenset({"key", "name", "variable", "parameter", "messageid"})
"""Fields whose value says what the other fields of their object are about."""

Found = Callable[[str, str], None]
"""Called with the name and the value of each text that is hidden."""


class Fields(list[tuple[str, Any]]):
    """A JSON object with all of its fields, those of the same name too."""


def shown_setting(key: str, value: str) -> str:
    """A configuration key's value for showing and keeping: hidden where its name says so, else as ``shown_text``."""
    return REDACTED if value and names_secret(key) else shown_text(value)


def shown_data(value: Any, named: str = "") -> Any:
    """A JSON value for showing and keeping. ``named``: what else says what it is about (a messageId); if that names a
    secret, all of it is hidden."""
    if value in (None, "") or isinstance(value, bool):
        return value
    if named and names_secret(named):
        return REDACTED
    return Redaction().value(value)


def shown_text(text: str) -> str:
    """A text for showing and keeping: JSON is read as such, anything else is searched."""
    return Redaction().text(text)


def shown_location(location: str) -> str:
    """A URL, or what stands in the place of one, for showing and keeping: the place, and the name of a user."""
    if _SCHEME_END.search(location) is None:
        location = _without_url_secrets(location, 0)
    return searched(location)


def secrets_in_location(location: str) -> tuple[str, ...]:
    """The parts of a URL that ``shown_location`` hides, each as it may be repeated elsewhere."""
    scheme = _SCHEME_END.search(location)
    begin = scheme.end() if scheme is not None else 0
    at = location.rfind("@")
    user, colon, password = location[begin : max(at, begin)].partition(":")
    rest = re.split(r"[?#]", location[begin:], maxsplit=1)
    values = [value for name, value in _PARAMETER.findall(rest[0]) if names_secret(name)]
    return tuple(each for each in (password if colon else user, *rest[1:], *values) if len(each) >= MIN_REPEATED)


class Redaction:
    """One way through a value. ``changed``: something was hidden. ``found`` is called for what was."""

    def __init__(self, found: Found = lambda name, value: None) -> None:
        self.changed = False
        self._found = found

    def value(self, value: Any, nested: int = 0) -> Any:
        """The value without secrets. Objects are dicts or ``Fields``; the result has dicts."""
        match value:
            case Fields():
                return self._object(value, nested)
            case dict():
                return self._object(Fields(value.items()), nested)
            case list() | tuple():
                return [self.value(each, nested) for each in value]
            case str():
                return self.text(value, nested)
            case _:
                return value

    def _object(self, pairs: Fields, nested: int) -> dict[str, Any]:
        """Fields named like a secret go, and so do those beside a ``key`` or ``name`` that names one."""
        named = [v for name, v in pairs if name.lower() in NAMING and isinstance(v, str) and names_secret(v)]
        made: dict[str, Any] = {}
        for name, value in pairs:
            beside = bool(named) and name.lower() not in NAMING
            if (beside or names_secret(name)) and not isinstance(value, bool) and value not in (None, ""):
                for each in (name, *named) if isinstance(value, str) else ():
                    self._found(each, value)
                made[name] = REDACTED
                self.changed = True
            else:
                made[self.text(name, nested)] = self.value(value, nested)
        return made

    def text(self, text: str, nested: int = 0) -> str:
        """The text without secrets."""
        if nested < MAX_NESTED and len(text) <= MAX_READ and text.lstrip()[:1] in ("{", "["):
            inner = Redaction(self._found)
            try:
                value = inner.value(json.loads(text, object_pairs_hook=Fields), nested + 1)
            except (ValueError, RecursionError):
                pass
            else:
                self.changed = self.changed or inner.changed
                return written(value) if inner.changed else text
        made = searched(text)
        self.changed = self.changed or made != text
        return made


def written(value: Any) -> str:
    """A value as JSON text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate is no text


# --- texts that are no JSON -----------------------------------------------------------------------------------

_STEMS: Final = tuple(
    "pass kenn pwd pw psk pin puk secret token credential key authorisation authorization sig \\u00".split()  # noqa: SIM905
)
"""One of these is in every text that names a secret, or hides what it names (letters need no escapes): a filter."""

MAX_ASSIGNED: Final = 2_000
"""Values in one text that are looked at, 5 µs each: a megabyte has room for a hundred thousand. What follows them is
hidden as a whole, for nobody has looked at it."""

MAX_RUNS: Final = 4_000
"""Names in one text that are looked at to see whether one is a secret's; where there are more, one is."""

MAX_READ: Final = 64 * 1024
"""Characters of a text that is read as JSON, if it is some; a longer one is searched."""

_ESCAPED_LETTER: Final = re.compile(r"\\u00[0-7]", re.IGNORECASE)
_NAME_RUN: Final = re.compile(r"[\w .-]+")
_NAME_BEFORE: Final = re.compile(r"[\w .-]*$")

_A_VALUE: Final = r"""(?:\\*"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,}\]"'\\][^,}\]"']*)"""
_ASSIGNED: Final = re.compile(rf"""([\\"']{{0,8}}\s{{0,20}}[:=]\s{{0,20}})({_A_VALUE})""", re.DOTALL)

_PARAMETER: Final = re.compile(r";([^;=/]*)=([^;/]*)")
"""RFC 3986 §3.3."""

_SCHEME_END: Final = re.compile(r":(?:\\*/){2}")


def searched(text: str) -> str:
    """A text that is no JSON, or broken JSON, without what looks like a secret's value and without URLs' secrets."""
    if _SCHEME_END.search(text):
        text = re.sub(r'[^"]+', lambda found: _without_url_secrets(found[0]), text)
    if _may_name(text):
        text = _without_assigned(text)
    return text


def hides_names(text: str) -> bool:
    """Whether somewhere in a text a secret is named, or letters are escaped, which nobody needs to do."""
    return _may_name(text) and (
        _ESCAPED_LETTER.search(text) is not None
        or any(number == MAX_RUNS or names_secret(run) for number, run in enumerate(_runs(text)))
    )


def _may_name(text: str) -> bool:
    """Whether a secret may be named at all. A millisecond or two for a megabyte."""
    lowered = text.lower()
    return any(stem in lowered for stem in _STEMS)


def _runs(text: str) -> Iterator[str]:
    """Runs of characters that a name may have, in pieces that overlap by a name's length."""
    for found in _NAME_RUN.finditer(text):
        run = found[0]
        for begin in range(0, len(run), MAX_NAME // 2):
            yield run[begin : begin + MAX_NAME]


def _without_assigned(text: str) -> str:
    """Without the values of names of secrets; where one is named anywhere, also without those of ``value``."""
    suspect = hides_names(text)
    parts: list[str] = []
    done = at = looked_at = 0
    while (found := _ASSIGNED.search(text, at)) is not None:
        looked_at += 1
        if looked_at > MAX_ASSIGNED:
            return "".join((*parts, text[done : found.start()], REDACTED))
        before = _NAME_BEFORE.search(text, max(done, found.start() - MAX_NAME), found.start())
        name = before[0] if before is not None else ""
        if names_secret(name) or (suspect and words(name)[-1:] == ("value",)):
            parts += text[done : found.end(1)], f'"{REDACTED}"'
            done = at = found.end()
        else:
            at = found.end(1)  # its value may hold further names
    return "".join((*parts, text[done:]))


def _without_url_secrets(text: str, begin: int | None = None) -> str:
    """A text that may hold URLs: without what is from the first one's user to the last one's host, from the query or
    fragment on, and the values of parameters (``;name=value``) that name a secret."""
    if begin is None:
        scheme = _SCHEME_END.search(text)
        if scheme is None:
            return text
        begin = scheme.end()
    end = text.rfind("@")
    if end >= begin:
        user, colon, _ = text[begin:end].partition(":")
        text = f"{text[:begin]}{user + colon if colon else ''}{REDACTED}{text[end:]}"
    for mark in "?#":
        at = text.find(mark, begin)
        if 0 <= at < len(text) - 1:
            text = f"{text[: at + 1]}{REDACTED}"
    return text
