"""The labels that comments, docstrings and documents cite: rules, habits of chargers, cases and sources."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

_RULE = r"(?:[AB][1-9]\d?(?:\.\d{1,2})?|X[1-9]\d?|E[1-9]\d?b?)"
_RULES = re.compile(rf"(?<![\w.`/§#-]){_RULE}(?![\w`/=#-])(?!\.\d)")
_QUIRKS = re.compile(r"\b[Qq]uirks? (\d+(?:(?:, | and | to )\d+)*)")
_CASES = re.compile(r"\bTC_(\d{3}(?:_\d)?)\b")
_SOURCE = re.compile(
    r"(?<![\w/])(?:(S|J|SE|JE|WP|RFC) (?=§|\d)|(WP) (?=[A-Z]\d)|(mh|O2[45])(?=[# ]))",
)
_ISSUE = re.compile(r"(?<![\w/-])([\w.-]+(?:/[\w.-]+)?)#\d+")


@frozen
class Label:
    """A label as cited: its ``kind`` (rule, quirk, case, source) and the text that the page must have."""

    kind: str
    text: str


def labels_in(text: str) -> Iterator[Label]:
    """Every label that a text cites."""
    for found in _RULES.finditer(text):
        yield Label("rule", found[0])
    for found in _QUIRKS.finditer(text):
        yield from (Label("quirk", f"D{number}") for number in re.findall(r"\d+", found[1]))
    for found in _CASES.finditer(text):
        yield Label("case", found[1])
    for found in _SOURCE.finditer(text):
        yield Label("source", found[1] or found[2] or found[3])
    for found in _ISSUE.finditer(text):
        yield Label("source", found[1] if "/" not in found[1] else "owner/name")


def words_of(path: Path) -> str:
    """The text of a file for readers: of Python its comments and docstrings, of anything else all of it."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return source
    said = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                said.append(text)
    return "\n".join(said)
