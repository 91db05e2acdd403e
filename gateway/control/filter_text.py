"""Filters and orders of lists as clients write them: a subset of AIP-160 and AIP-132 (``docs/api.md``).

    filter     = [ all ]
    all        = any { "AND" any }
    any        = term { "OR" term }            OR binds closer than AND, as in AIP-160
    term       = [ "NOT" | "-" ] ( "(" all ")" | comparison )
    comparison = field operator value
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":"
    value      = word | '"' text '"' | "'" text "'"   with backslash before a quote or a backslash

A fault names its position, in characters from 1, and the field where it is about one.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from attrs import field, frozen

from gateway.control.errors import invalid
from gateway.domain.commands import FieldViolation
from gateway.domain.conditions import AllOf, AnyOf, Comparison, Condition, Not, Operator, Order, Value
from gateway.domain.labels import is_key

MAX_FILTER: Final = 2_000
"""Characters: room for a hundred identities, and nothing that takes long to read."""

MAX_COMPARISONS: Final = 50
"""Each is looked at for each record; SQLite takes a thousand."""

MAX_DEPTH: Final = 10
"""Of parentheses and NOT: a reader in recursion, and a query that nests as deep."""

TOKEN: Final = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<operator>!=|<=|>=|[=<>:])|(?P<paren>[()])"""
    r"""|(?P<minus>-)|(?P<word>[A-Za-z0-9_*][A-Za-z0-9_.*/@+-]*))""",
    re.DOTALL,
)

ANY: Final = "*"
"""The value of ``labels.site:*``, which is true where there is a label."""


class Kind(StrEnum):
    """Kinds of values."""

    TEXT = "text"
    WORD = "word"
    FLAG = "true or false"
    TIME = "time"
    LABEL = "label"


@frozen
class Field:
    """A field that a filter may name. ``words``: as clients write them, and as records have them."""

    kind: Kind
    words: Mapping[str, str] = field(factory=dict)


@frozen
class Token:
    """A piece of a filter. ``at``: from 1."""

    kind: str
    text: str
    at: int


class _Wrong(Exception):
    """A fault at a position."""

    def __init__(self, at: int, text: str) -> None:
        super().__init__(f"at character {at}: {text}")


def read_filter(text: str, fields: Mapping[str, Field], name: str = "filter") -> Condition | None:
    """The condition that a filter says; None: it is empty. Raises ``Failure``."""
    try:
        if len(text) > MAX_FILTER:
            raise _Wrong(MAX_FILTER + 1, f"is too long; {MAX_FILTER:,} characters are taken")
        tokens = _tokens(text)
        return _Reader(tokens, fields).read() if len(tokens) > 1 else None
    except _Wrong as wrong:
        raise invalid(FieldViolation(name, str(wrong))) from None


def read_order(text: str, fields: Mapping[str, str], default: Order, name: str = "order_by") -> Order:
    """The order that a text says: a field of ``fields``, and ``desc`` or ``asc``. Raises ``Failure``."""
    words = text.split()
    if not words:
        return default
    if len(words) > 2 or words[0] not in fields or (len(words) == 2 and words[1] not in ("asc", "desc")):
        known = ", ".join(fields)
        raise invalid(FieldViolation(name, f'must be one of {known}, alone or followed by "asc" or "desc"'))
    return Order(fields[words[0]], words[-1] == "desc")


def _tokens(text: str) -> list[Token]:
    found, at = list[Token](), 0
    end = len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            what = "a text that is not closed" if text[start] in "\"'" else f"unexpected {text[start]!r}"
            raise _Wrong(start + 1, what)
        kind = str(match.lastgroup)
        piece = match[kind]
        if kind == "word" and piece in ("AND", "OR", "NOT"):
            kind = piece
        found.append(Token(kind, piece, match.start(str(match.lastgroup)) + 1))
        at = match.end()
    return [*found, Token("end", "the end", len(text) + 1)]


class _Reader:
    """Reads the tokens of one filter, which end with an end."""

    def __init__(self, tokens: list[Token], fields: Mapping[str, Field]) -> None:
        self._tokens = tokens
        self._fields = fields
        self._next = 0
        self._comparisons = 0
        self._depth = 0

    def read(self) -> Condition:
        found = self._all()
        if self._peek.kind != "end":
            raise _Wrong(self._peek.at, f"expected AND, OR or the end, and there is {self._peek.text[:50]}")
        return found

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _all(self) -> Condition:
        parts = [self._any()]
        while self._peek.kind == "AND":
            self._take()
            parts.append(self._any())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _any(self) -> Condition:
        parts = [self._term()]
        while self._peek.kind == "OR":
            self._take()
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _term(self) -> Condition:
        token = self._peek
        if token.kind in ("NOT", "minus"):
            self._take()
            with_not = self._deeper(token)
            part = self._term()
            self._depth = with_not - 1
            return Not(part)
        if token.text == "(" and token.kind == "paren":
            self._take()
            within = self._deeper(token)
            found = self._all()
            closing = self._take()
            if closing.text != ")" or closing.kind != "paren":
                raise _Wrong(closing.at, f"expected ), and there is {closing.text[:50]}")
            self._depth = within - 1
            return found
        return self._comparison()

    def _deeper(self, token: Token) -> int:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Wrong(token.at, f"nests deeper than {MAX_DEPTH}")
        return self._depth

    def _comparison(self) -> Condition:
        name = self._take()
        if name.kind != "word":
            raise _Wrong(name.at, f"expected a field, and there is {name.text[:50]}")
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise _Wrong(name.at, f"compares more than {MAX_COMPARISONS} times")
        head, _, key = name.text.partition(".")
        known = self._fields.get(name.text) or (self._fields.get(head) if key or head == "labels" else None)
        if known is None or (known.kind is not Kind.LABEL and head != name.text and name.text not in self._fields):
            shown = ", ".join(f"{each}.KEY" if of.kind is Kind.LABEL else each for each, of in self._fields.items())
            raise _Wrong(name.at, f"there is no field {name.text[:100]}; there are {shown}")
        operator = self._take()
        if operator.kind != "operator":
            raise _Wrong(operator.at, f"{name.text}: expected = != < <= > >= or :, and there is {operator.text[:50]}")
        value = self._take()
        if value.kind not in ("word", "quoted"):
            raise _Wrong(value.at, f"{name.text}: expected a value, and there is {value.text[:50]}")
        if known.kind is Kind.LABEL:
            return _label(name, key, operator, value)
        return _compared(name, known, operator, value)


def _label(name: Token, key: str, operator: Token, value: Token) -> Condition:
    text, key = _text(value), _key(key, name.at) if key else ""
    if operator.text == ":":
        if key and value.kind == "word" and text == ANY:
            return Comparison("labels", Operator.HAS, "", key)
        if not key:
            return Comparison("labels", Operator.HAS, "", _key(text, value.at))
    if not key:
        raise _Wrong(name.at, f"{name.text} needs the key of a label: {name.text}.KEY, or {name.text}:KEY")
    equal = Comparison("labels", Operator.EQUAL, text, key)
    match operator.text:
        case "=" | ":":
            return equal
        case "!=":
            return Not(equal)
    raise _Wrong(operator.at, f"{name.text} can be compared by = != and : alone")


def _key(text: str, at: int) -> str:
    """The key of a label. One that no charge point can have would find none, and look like one that none has."""
    if not is_key(text):
        raise _Wrong(at, f"{text[:50]!r} can't be the key of a label")
    return text


def _compared(name: Token, known: Field, operator: Token, value: Token) -> Condition:
    found = _value(name, known, value)
    match operator.text:
        case "=":
            return Comparison(name.text, Operator.EQUAL, found)
        case "!=":
            return Not(Comparison(name.text, Operator.EQUAL, found))
        case ":":
            raise _Wrong(operator.at, f"{name.text} can't be compared by :, which is for labels")
    if known.kind in (Kind.FLAG, Kind.WORD):
        raise _Wrong(operator.at, f"{name.text} can be compared by = and != alone")
    return Comparison(name.text, Operator(operator.text), found)


def _value(name: Token, known: Field, value: Token) -> Value:
    text = _text(value)
    match known.kind:
        case Kind.WORD:
            if text not in known.words:
                raise _Wrong(value.at, f"{name.text} is one of {', '.join(known.words)}")
            return known.words[text]
        case Kind.FLAG:
            if text not in ("true", "false"):
                raise _Wrong(value.at, f"{name.text} is true or false")
            return text == "true"
        case Kind.TIME:
            return _time(name, value, text)
        case _:
            return text


def _time(name: Token, value: Token, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _Wrong(value.at, f'{name.text} is a time with a zone, in quotes: "2026-11-27T09:00:00Z"')


def _text(value: Token) -> str:
    return re.sub(r"\\(.)", r"\1", value.text[1:-1], flags=re.DOTALL) if value.kind == "quoted" else value.text
