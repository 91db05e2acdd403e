"""Messages without their secrets, for people to read (OCPP.md A7.9). Sans-I/O.

Secrets are the values of an AuthorizationKey, of whatever else is named like a password or a key, and what URLs carry
besides the place: passwords and queries (a signed URL's query is a password). What is JSON is read as such, texts
that hold JSON included, and written anew only where something had to go. What isn't is searched for what looks like a
secret's field. When in doubt, more goes than has to.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from attrs import field, frozen

from gateway.domain.commands import REDACTED, is_secret

MIN_ECHOED: Final = 8
"""Characters of a secret that is looked for in other messages too: a shorter one would be found everywhere. (An
AuthorizationKey has 32 at least.)"""

MAX_NESTED: Final = 3
"""Levels of JSON within texts of JSON that are read as JSON; below, they are searched like what is none."""

_NAMES: Final = (
    r"authori[sz]ation[ _.-]?key|auth[ _.-]?key|authorization(?![a-z])|pass(?:word|wd|phrase|code)"
    r"|pwd|secret|psk|credential|private[ _.-]?key|api[ _.-]?key|(?:access|auth|bearer|refresh)[ _.-]?token"
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)

_SUSPECT = re.compile(rf"{_NAMES}|\\u00[0-7]", re.IGNORECASE)
"""Names a secret, or hides what it names: nobody needs to escape a letter."""

_NAMES_A_KEY = re.compile(rb"authori[sz]ation.?key|\\u00[0-7]", re.IGNORECASE)

_BEFORE_VALUE: Final = r"""[\w .-]{0,40}[\\"']*\s{0,20}[:=]\s{0,20}"""
_A_VALUE: Final = r"""(?:\\*"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,}\]"'\\][^,}\]"']*)"""
_SECRET_FIELD = re.compile(rf"((?:value|{_NAMES}){_BEFORE_VALUE}){_A_VALUE}", re.IGNORECASE | re.DOTALL)
_VALUE_FIELD = re.compile(rf"(value{_BEFORE_VALUE}){_A_VALUE}", re.IGNORECASE | re.DOTALL)

_SCHEME_END = re.compile(r":(?:\\*/){2}")


@frozen
class Redacted:
    """A message without secrets, and the AuthorizationKeys that it held, to be looked for elsewhere."""

    text: str
    keys: frozenset[str] = field(default=frozenset(), repr=False)


def names_a_key(data: bytes) -> bool:
    """Whether the message might hold an AuthorizationKey. Cheap; for short messages."""
    return _NAMES_A_KEY.search(data) is not None


def redact(data: bytes, *, cut: bool = False) -> Redacted:
    """The message without secrets. ``cut``: its end is missing. Never raises; takes time linear in ``data``."""
    text = data.decode("utf-8", "ignore" if cut else "replace")
    if cut:
        return Redacted(_without_cut_value(_searched(text)))
    walk = _Walk()
    try:
        value = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_Object)
        redacted = walk.value(value, 0)
    except (ValueError, RecursionError):
        return Redacted(_searched(text))
    return Redacted(_written(redacted) if walk.changed else text, frozenset(walk.keys))


def without(text: str, keys: Iterable[str]) -> str:
    """The text without these keys, should the charger have repeated one, in hexadecimal of either case or decoded."""
    for key in keys:
        for spelling in _spellings(key):
            text = re.sub(re.escape(spelling), REDACTED, text, flags=re.IGNORECASE)
    return text


def _spellings(key: str) -> set[str]:
    found = {key, json.dumps(key)[1:-1]}
    try:
        found.add(bytes.fromhex(key).decode("ascii"))
    except ValueError:
        pass  # not hexadecimal, or not text
    return {each for each in found if len(each) >= MIN_ECHOED}


# --- what is JSON ---------------------------------------------------------------------------------------------


class _Object(list[tuple[str, Any]]):
    """A JSON object with all of its fields, those of the same name too."""


class _Walk:
    """One way through a message."""

    def __init__(self) -> None:
        self.changed = False
        self.keys: set[str] = set()

    def value(self, value: Any, nested: int) -> Any:
        """The value without secrets."""
        match value:
            case _Object():
                return self._object(value, nested)
            case list():
                return [self.value(each, nested) for each in value]
            case str():
                return self._text(value, nested)
            case _:
                return value

    def _object(self, pairs: _Object, nested: int) -> dict[str, Any]:
        """Fields named like a secret go, and so do those beside a ``key`` or ``name`` that names one."""
        named = [v for name, v in pairs if name.lower() in _NAMING and isinstance(v, str) and _SECRET_NAME.search(v)]
        made: dict[str, Any] = {}
        for name, value in pairs:
            beside = bool(named) and name.lower() not in _NAMING
            if (beside or _SECRET_NAME.search(name)) and not isinstance(value, bool) and value not in (None, ""):
                if isinstance(value, str) and len(value) >= MIN_ECHOED and any(map(is_secret, [*named, name])):
                    self.keys.add(value)
                made[name] = REDACTED
                self.changed = True
            else:
                made[self._text(name, nested)] = self.value(value, nested)
        return made

    def _text(self, text: str, nested: int) -> str:
        if nested < MAX_NESTED and text.lstrip()[:1] in ("{", "["):
            inner = _Walk()
            try:
                value = inner.value(json.loads(text, object_pairs_hook=_Object), nested + 1)
            except (ValueError, RecursionError):
                pass
            else:
                self.keys |= inner.keys
                self.changed = self.changed or inner.changed
                return _written(value) if inner.changed else text
        made = _searched(text)
        self.changed = self.changed or made != text
        return made


_NAMING: Final = frozenset({"key", "name", "variable", "parameter", "messageid"})
"""Fields whose value says what the other fields of their object are about."""


def _written(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate is no text


# --- what is not ----------------------------------------------------------------------------------------------


def _searched(text: str) -> str:
    if _SCHEME_END.search(text):
        text = re.sub(r'[^"]+', lambda found: _without_url_secrets(found[0]), text)
    if _SUSPECT.search(text):
        text = _SECRET_FIELD.sub(rf'\1"{REDACTED}"', text)
    return text


def _without_cut_value(text: str) -> str:
    """What is missing may have named the value of the last, incomplete object a secret."""
    begin = text.rfind("}") + 1
    return text[:begin] + _VALUE_FIELD.sub(rf'\1"{REDACTED}"', text[begin:])


def _without_url_secrets(text: str) -> str:
    """A text that may hold URLs: from the first one's user to the last one's host, and from the query on."""
    scheme = _SCHEME_END.search(text)
    if scheme is None:
        return text
    begin, end = scheme.end(), text.rfind("@")
    if end >= begin:
        user, colon, _ = text[begin:end].partition(":")
        text = f"{text[:begin]}{user + colon if colon else ''}{REDACTED}{text[end:]}"
    query = text.find("?", begin)
    return text if query < 0 else f"{text[: query + 1]}{REDACTED}"
