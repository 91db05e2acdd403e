"""Frames without their secrets, for people to read (A7.9). ``gateway.domain.secrets`` says what a secret is.

What is JSON is read as such and written anew only where something had to go. What isn't is searched for what looks
like a secret's field. Sans-I/O.
"""

import json
import re
from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from gateway.domain.secret_names import words
from gateway.domain.secrets import REDACTED, JsonFields, Redaction, searched, written

MIN_ECHOED: Final = 8
"""Characters of a secret that is looked for in other messages too: a shorter one would be found everywhere. (An
AuthorizationKey has 32 at least.)"""

_LAST_VALUE: Final = re.compile(
    r"""(?P<name>[\w .-]{0,40}value[\w .-]{0,40})([\\"']{0,8}\s{0,20}[:=]\s{0,20})"""
    r"""(?:\\*"(?:[^"\\]|\\.)*"?|[^\s,}\]"]+)""",
    re.IGNORECASE | re.DOTALL,
)


@frozen
class Redacted:
    """A message without secrets, and the secrets that it held, to be looked for elsewhere."""

    text: str
    keys: frozenset[str] = field(default=frozenset(), repr=False)


def redact(data: bytes, *, cut: bool = False) -> Redacted:
    """The message without secrets. ``cut``: its end is missing. Never raises; takes time linear in ``data``."""
    text = data.decode("utf-8", "ignore" if cut else "replace")
    if cut:
        return Redacted(_without_cut_value(searched(text)))
    keys: set[str] = set()

    def found(_: str, value: str) -> None:
        if len(value) >= MIN_ECHOED:
            keys.add(value)

    way = Redaction(found)
    try:
        value = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=JsonFields)
        redacted = way.value(value)
    except (ValueError, RecursionError):
        return Redacted(searched(text))
    return Redacted(written(redacted) if way.changed else text, frozenset(keys))


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


def _without_cut_value(text: str) -> str:
    """Hide the value of the last, incomplete object: what is missing may have named it a secret."""
    begin = text.rfind("}") + 1

    def hidden(found: re.Match[str]) -> str:
        if words(found["name"])[-1:] != ("value",):
            return found[0]
        return f'{found["name"]}{found[2]}"{REDACTED}"'

    return text[:begin] + _LAST_VALUE.sub(hidden, text[begin:])
