"""Labels of charge points: the operator's own words for what they belong to (a site, an owner, a tariff)."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

Labels: TypeAlias = Mapping[str, str]
"""Key to value."""

NO_LABELS: Final[Labels] = MappingProxyType({})

MAX_LABELS: Final = 32
"""Of one charge point: a page of a thousand must stay small, and labels are no place for records."""

MAX_KEY: Final = 63
"""Characters of a key; the field's usual bound for the keys of labels, that of a DNS label."""

MAX_VALUE: Final = 128
"""Characters of a value: enough for a UUID, an address line or a name."""

_KEY: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")

KEY_RULE: Final = (
    f"must have 1 to {MAX_KEY} of the characters A-Z, a-z, 0-9, dot, underscore, slash and hyphen, and begin and end "
    "with a letter or digit"
)
VALUE_RULE: Final = f"must have at most {MAX_VALUE} printable characters, without spaces at its ends"


def is_key(text: str) -> bool:
    """Return true if a text can be a label's key. Case matters."""
    return _KEY.fullmatch(text) is not None


def is_value(text: str) -> bool:
    """Return true if a text can be a label's value; an empty one can."""
    return len(text) <= MAX_VALUE and text.isprintable() and text == text.strip()


def faults(labels: Labels) -> Iterator[tuple[str, str]]:
    """Each fault as a key and a description in words that follow the field's name. The key is empty where the fault is
    not in a value; neither shows a value, nor a key that can't be one."""
    if len(labels) > MAX_LABELS:
        yield "", f"must be at most {MAX_LABELS:,}; there are {len(labels):,}"
        return
    if not all(map(is_key, labels)):
        yield "", f"have a key that can't be one: each {KEY_RULE}"
    for key, value in labels.items():
        if is_key(key) and not is_value(value):
            yield key, VALUE_RULE
