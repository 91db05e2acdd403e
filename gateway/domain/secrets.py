"""Redaction: one rule of what is hidden, for events, commands, frames, logs and the database (WP A01.FR.08, 09).

Hidden are the values of names of secrets (``secret_names``), wherever they stand: beside a field whose text is such a
name, after it in a list, as a field of JSON, in texts that hold JSON, in ``name=value`` and its like, between XML's
tags; and what URLs carry besides the place: passwords, queries (a signed URL's query is a password), fragments, and
parameters with such names. When in doubt, more is hidden than has to be.

Pure, and linear in what it is given; callers bound that.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from gateway.domain.secret_names import MAX_NAME, names_secret, word_set, words

REDACTED: Final = "(redacted)"

# --- values ---------------------------------------------------------------------------------------------------

MIN_REPEATED: Final = 4
"""Characters of a secret that is looked for where a charger may repeat it: a shorter one would be found everywhere."""

MAX_NESTED: Final = 3
"""Levels of JSON within texts of JSON that are read as JSON; below, they are searched like what is none."""

NAMING: Final = frozenset({"key", "name", "variable", "parameter", "messageid"})
"""Fields whose value says what the other fields of their object are about, whatever it looks like."""

NAMING_WORDS: Final = word_set("""
    key name variable parameter param setting field k n id item option property attribute config configuration entry
    label title path identifier
""")
"""Last words of fields that stay readable where their text names a secret: ``keyName``, ``configKey``, ``id``."""

NOT_NAMING: Final = word_set("""
    value val v content data text info techinfo status errorcode vendorerrorcode errordescription reason idtag idtoken
    parentidtag vendorid firmwareversion
""")
"""Fields whose text is no name of what stands beside it: values, words for people, and the standard's own fields."""

_NAME_SHAPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.\-/]{1,63}")

MAX_DIGITS: Final = 2
"""Digits of a text that may be a name, as in ``WPA2Key1``: random identifiers have more, and any words in them."""

Found = Callable[[str, str], None]
"""Called with the name and the value of each text that is hidden."""


class JsonFields(list[tuple[str, Any]]):
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
    if at < begin and "%" in location[max(begin - 24, 0) : begin]:
        at = max((found.start() for found in _USER_END.finditer(location, begin)), default=-1)
    user, colon, password = _user_and_password(location[begin : max(at, begin)])
    rest = _QUERY_OR_FRAGMENT.split(location[begin:], maxsplit=1)
    values = [value for name, value in _PARAMETER.findall(rest[0]) if names_secret(name)]
    return tuple(each for each in (password if colon else user, *rest[1:], *values) if len(each) >= MIN_REPEATED)


def _is_secrets_name(value: Any) -> bool:
    """Return whether a value is a text that looks like a name and names a secret."""
    return (
        isinstance(value, str)
        and _NAME_SHAPE.fullmatch(value) is not None
        and sum(map(str.isdigit, value)) <= MAX_DIGITS
        and names_secret(value)
    )


def _is_kept(value: Any) -> bool:
    """Return whether a value gives nothing away, whatever names it."""
    return isinstance(value, bool) or value in (None, "")


class Redaction:
    """One way through a value. ``changed``: something was hidden. ``found`` is called for what was."""

    def __init__(self, found: Found = lambda name, value: None) -> None:
        self.changed = False
        self._found = found

    def value(self, value: Any, nested: int = 0) -> Any:
        """The value without secrets. Objects are dicts or ``JsonFields``; the result has dicts."""
        match value:
            case JsonFields():
                return self._object(value, nested)
            case dict():
                return self._object(JsonFields(value.items()), nested)
            case list() | tuple():
                return self._list(value, nested)
            case str():
                return self.text(value, nested)
            case _:
                return value

    def _list(self, values: list[Any] | tuple[Any, ...], nested: int) -> list[Any]:
        """Hide what follows a secret's name: ``["AdminPin", "1234"]``. Not in a message, which begins with its type."""
        made: list[Any] = []
        is_message = bool(values) and values[0] in (2, 3, 4)
        name = None
        for value in values:
            if name is not None and not _is_kept(value):
                self._hide((name,), value)
                made.append(REDACTED)
                name = None
                continue
            name = value if not is_message and _is_secrets_name(value) else None
            made.append(self.value(value, nested))
        return made

    def _object(self, pairs: JsonFields, nested: int) -> dict[str, Any]:
        """Fields named like a secret go, and so do those beside a field whose text names one."""
        certain = [v for name, v in pairs if name.lower() in NAMING and isinstance(v, str) and names_secret(v)]
        named = certain or [v for name, v in pairs if name.lower() not in NOT_NAMING and _is_secrets_name(v)]
        made: dict[str, Any] = {}
        for name, value in pairs:
            shown = name.lower() in NAMING or (
                not certain and words(name)[-1:] and words(name)[-1] in NAMING_WORDS and _is_secrets_name(value)
            )
            beside = bool(named) and not shown
            if (beside or (names_secret(name) and not shown)) and not _is_kept(value):
                self._hide((name, *named), value)
                made[name] = REDACTED
            elif words(name)[-1:] in (("key",), ("keys",)) and isinstance(value, list):
                made[self.text(name, nested)] = [self.value(each, nested) for each in value]  # names, no values
            else:
                made[self.text(name, nested)] = self.value(value, nested)
        return made

    def _hide(self, names: tuple[str, ...], value: Any) -> None:
        self.changed = True
        for each in names if isinstance(value, str) else ():
            self._found(each, value)

    def text(self, text: str, nested: int = 0) -> str:
        """The text without secrets."""
        if nested < MAX_NESTED and len(text) <= MAX_READ and text.lstrip()[:1] in ("{", "["):
            inner = Redaction(self._found)
            try:
                value = inner.value(json.loads(text, object_pairs_hook=JsonFields), nested + 1)
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

_STEMS: Final = (
    *word_set("""
        pass kenn pwd pw psk pin puk secret token credential key authorisation authorization sig pswd wachtwoord
        contrase senha heslo salasana otp jwt cookie bearer basic community string access unlock security installer
        service pairing shared
    """),
    "\\u00",
)
"""One of these is in every text that names a secret, or hides what it names (letters need no escapes): a filter."""

MAX_ASSIGNED: Final = 2_000
"""Values in one text that are looked at, 5 µs each: a megabyte has room for a hundred thousand. What follows them is
hidden as a whole, for it has not been looked at."""

MAX_RUNS: Final = 4_000
"""Names in one text that are looked at to see whether one is a secret's; where there are more, one is."""

MAX_READ: Final = 64 * 1024
"""Characters of a text that is read as JSON, if it is some; a longer one is searched."""

_ESCAPED_LETTER: Final = re.compile(r"\\u00[0-7]", re.IGNORECASE)
_NAME_RUN: Final = re.compile(r"[\w .-]+")
_NAME_BEFORE: Final = re.compile(r"[\w .-]*$")

_A_VALUE: Final = re.compile(r"""(?:\\*"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,}\]"'\\][^,}\]"']*)""", re.DOTALL)
_BETWEEN_TAGS: Final = re.compile(r"(?:(?!</).)+", re.DOTALL)
_SEPARATOR: Final = re.compile(r"""[\\"']{0,8}\s{0,20}([:=>;|,]|%(?:25){0,3}3[AaDd])\s{0,20}""")
_ASSIGNMENT: Final = re.compile(r"""[\\"']{0,8}\s{0,20}([:=]|%(?:25){0,3}3[AaDd])\s{0,20}""")
_WEAK: Final = ">;|,"
"""Separators that are looked at only where a secret is named at all: MAX_RUNS of them, as of names."""

_FIELD_FOLLOWS: Final = re.compile(
    r"""\\*"[^"\\]{0,128}\\*"\s{0,20}[:=]|'[^']{0,128}'\s{0,20}[:=]|[\w .-]{0,40}value\s{0,20}[:=]""", re.IGNORECASE
)
"""What follows a name and a comma is the next field, not its value."""

_TAG: Final = re.compile(r"<([\w.:-]{1,128})\s[^<>]{0,256}$")
"""The start of an XML tag with attributes, up to its end."""

_SPACED: Final = re.compile(r"(?<![\w.-])[A-Za-z][\w.-]{2,127}(?=\s{1,20}[^\s,;}\]\"':=|<>])")
_AFTER_SPACE: Final = re.compile(r"\s{1,20}([^\s,;}\]\"':=|<>(][^\s,;}\]\"':=|<>]*+)(?!\s{0,20}[:=])")
"""A name with a space behind it, and what stands there, if that is no name itself."""

_SCHEME_OF_AUTHORIZATION: Final = re.compile(
    r"(?<![A-Za-z])((?:[Bb]earer|BEARER|[Bb]asic|BASIC)\s{1,20})(?=[^\s\"',]*(?:\d|=|[a-z][A-Z]))[^\s\"',]{6,}"
)
"""RFC 7235: what follows is a token or a password; with a digit, padding or mixed case, for prose has none."""

_PARAMETER: Final = re.compile(r";([^;=/]*)=([^;/]*)")
"""RFC 3986 §3.3."""

_SCHEME_END: Final = re.compile(r"(?::|%(?:25){0,3}3[Aa])(?:\\*/|%(?:25){0,3}2[Ff]){2}")
"""Percent-encoded too, as in a URL that is part of another."""

_QUERY_OR_FRAGMENT: Final = re.compile(r"[?#]|%(?:25){0,3}(?:3[Ff]|23)")
_USER_END: Final = re.compile(r"@|%(?:25){0,3}40")
_USER_COLON: Final = re.compile(r":|%(?:25){0,3}3[Aa]")


def searched(text: str) -> str:
    """A text that is no JSON, or broken JSON, without what looks like a secret's value and without URLs' secrets."""
    if _SCHEME_END.search(text):
        text = re.sub(r'[^"]+', lambda found: _without_url_secrets(found[0]), text)
    if _may_name(text):
        text = _SCHEME_OF_AUTHORIZATION.sub(rf"\1{REDACTED}", text)
        suspect = hides_names(text)
        text = _without_assigned(text, suspect=suspect)
        text = _without_spaced(text) if suspect else text
    return text


def hides_names(text: str) -> bool:
    """Return whether somewhere in a text a secret is named, or letters are escaped, for which there is no need. Some
    microseconds for each name in it."""
    return _may_name(text) and (
        _ESCAPED_LETTER.search(text) is not None
        or any(number == MAX_RUNS or names_secret(run) for number, run in enumerate(_runs(text)))
    )


def _may_name(text: str) -> bool:
    """Return whether a secret may be named at all. A millisecond or two for a megabyte."""
    return any(map(text.lower().__contains__, _STEMS))


def _runs(text: str) -> Iterator[str]:
    """Runs of characters that a name may have, in pieces that overlap by a name's length."""
    for found in _NAME_RUN.finditer(text):
        run = found[0]
        for begin in range(0, len(run), MAX_NAME // 2):
            yield run[begin : begin + MAX_NAME]


def _without_assigned(text: str, *, suspect: bool) -> str:
    """Without the values of names of secrets; where one is named anywhere (``suspect``), also without those of
    ``value`` and those behind weaker separators."""
    parts: list[str] = []
    done = at = looked_at = weak = 0
    separator = _SEPARATOR if suspect else _ASSIGNMENT
    while (found := separator.search(text, at)) is not None:
        at = found.end()  # a value may hold further names
        if found[1] in _WEAK:
            weak += 1
        else:
            looked_at += 1
        if looked_at > MAX_ASSIGNED or weak > MAX_RUNS:
            return "".join((*parts, text[done : found.start()], REDACTED))
        value = _value_of(text, found, done, suspect=suspect)
        if value is not None:
            parts += text[done : value.start()], f'"{REDACTED}"'
            done = at = value.end()
    return "".join((*parts, text[done:]))


def _value_of(text: str, separator: re.Match[str], done: int, *, suspect: bool) -> re.Match[str] | None:
    """Return the value that the separator assigns to the name before it, if that is a secret's."""
    begin, end = separator.span()
    before = _NAME_BEFORE.search(text, max(done, begin - MAX_NAME), begin)
    name = before[0] if before is not None else ""
    if before is not None and text[before.start() - 1 : before.start()] == "%":
        name = name[2:]
    match separator[1]:
        case ">":
            tag = _TAG.search(text, max(0, begin - 2 * MAX_NAME), begin)
            names = [name] if tag is None else [name, tag[1]]
            hidden = any(map(names_secret, names)) or (suspect and words(names[-1])[-1:] == ("value",))
            return _BETWEEN_TAGS.match(text, end) if hidden else None
        case ";" | "|" | ",":
            hidden = _is_secrets_name(name.strip()) and _FIELD_FOLLOWS.match(text, end) is None
        case _:
            hidden = names_secret(name) or (suspect and words(name)[-1:] == ("value",))
    return _A_VALUE.match(text, end) if hidden else None


def _without_spaced(text: str) -> str:
    """Without what follows a secret's name of several words after a space: ``StationPassword hunter2``. A single word
    (``PIN entered``) is prose."""
    parts: list[str] = []
    done = 0
    for number, found in enumerate(_SPACED.finditer(text)):
        if number == MAX_RUNS:
            return "".join((*parts, text[done : found.start()], REDACTED))
        if found.start() < done or len(words(found[0])) < 2 or not names_secret(found[0]):
            continue
        value = _AFTER_SPACE.match(text, found.end())
        if value is not None:
            parts += text[done : value.start(1)], REDACTED
            done = value.end()
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
    if end < begin and "%" in text[max(begin - 24, 0) : begin]:
        end = max((found.start() for found in _USER_END.finditer(text, begin)), default=-1)
    if end >= begin:
        user, colon, _ = _user_and_password(text[begin:end])
        text = f"{text[:begin]}{user + colon if colon else ''}{REDACTED}{text[end:]}"
    found = _QUERY_OR_FRAGMENT.search(text, begin)
    if found is not None and found.end() < len(text):
        text = f"{text[: found.end()]}{REDACTED}"
    return text


def _user_and_password(text: str) -> tuple[str, str, str]:
    """A URL's user, the colon if there is one, and the password."""
    colon = _USER_COLON.search(text) if ":" not in text else re.search(":", text)
    return (text, "", "") if colon is None else (text[: colon.start()], colon[0], text[colon.end() :])
