"""The language rule of CONTRIBUTING, in comments, docstrings, documents and texts for users."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.named_tests import REPOSITORY

DIALECT = re.compile(
    r"\b(told|whoever|whomever|nobody|somebody|anybody|of ours|on the books)\b",
    re.IGNORECASE,
)
"""Words of no standard, for which the field has its own: reported, caller, peer, none, any client, recorded."""

RIDDLE = re.compile(r"(What|Who|Whose|How|Whether|Where|When|Why|Nobody|Somebody|Whoever)\b")
"""First words of a line that can only be understood by reading on."""

PLAIN = (
    "protos",
    "bench",
    "scripts",
    "gateway",
    "tests",
)
"""Folders in which all files keep the rule."""

FILES = sorted(
    path
    for folder in PLAIN
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in {".py", ".proto"} and "gateway/api" not in path.as_posix()
)

PRODUCT = sorted(path for path in (REPOSITORY / "gateway").rglob("*.py") if "gateway/api" not in path.as_posix())
"""Files whose strings are read by users: errors, lines of the log, the command line, metrics' help."""

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "docs").glob("*.toml")]
)
"""Texts for readers. The generated example of the settings is among them, and with it each setting's description."""

ALL = [*FILES, *DOCUMENTS]

QUOTED = re.compile(r"\"\w+(?: \w+)?\"")
"""A word, or two, that a document names instead of using them, as CONTRIBUTING does."""


def faults_in_python(source: str) -> Iterator[str]:
    """Words of the dialect in comments and docstrings, and docstrings whose first line begins with a question."""
    # Most files have none of the words, and to find their comments would take most of the time.
    for token in tokenize.generate_tokens(io.StringIO(source if DIALECT.search(source) else "").readline):
        if token.type == tokenize.COMMENT:
            yield from (f"line {token.start[0]}: {word}" for word in DIALECT.findall(token.string))
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield from (f"line {node.lineno}: {word}" for word in DIALECT.findall(text))
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                first = ast.get_docstring(node)
                if first is not None and (found := RIDDLE.match(first)):
                    line = 1 if isinstance(node, ast.Module) else node.lineno
                    yield f"line {line}: begins with {found[0]}"


def faults_in_strings(source: str) -> Iterator[str]:
    """Words of the dialect in strings of several words; a single one may be a name."""
    nodes = list(ast.walk(ast.parse(source)))
    documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if " " in text and id(node) not in documentation:
                yield from (f"line {node.lineno}: {word}" for word in DIALECT.findall(text))


def faults_in_text(text: str) -> Iterator[str]:
    """Words of the dialect anywhere in a text."""
    for number, line in enumerate(text.splitlines(), 1):
        yield from (f"line {number}: {word}" for word in DIALECT.findall(QUOTED.sub("", line)))


def faults_of(path: Path) -> list[str]:
    """All faults of a file."""
    text = path.read_text(encoding="utf-8")
    return list(faults_in_python(text) if path.suffix == ".py" else faults_in_text(text))


def name_of(path: Path) -> str:
    """The file, as seen from the repository."""
    return path.relative_to(REPOSITORY).as_posix()


def test_every_file_is_written_in_plain_words() -> None:
    """In comments, docstrings, protos and documents."""
    assert len(ALL) > 1_000
    assert {name_of(path): faults for path in ALL if (faults := faults_of(path))} == {}


def test_every_file_speaks_to_users_in_plain_words() -> None:
    """Also where its comments don't keep the rule yet."""
    assert len(PRODUCT) > 500
    assert {
        name_of(path): faults for path in PRODUCT if (faults := list(faults_in_strings(path.read_text("utf-8"))))
    } == {}


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ('"""What is told."""', ["line 1: begins with What", "line 1: told"]),
        ("x = 1  # nobody's\n", ["line 1: nobody"]),
        ('class A:\n    """Whoever asks."""\n', ["line 1: begins with Whoever", "line 2: Whoever"]),
        ('X = 1\n"""A number of ours."""\n', ["line 2: of ours"]),
        ("x = 'told'\n", []),
        ('def f():\n    """Return the address."""\n', []),
    ],
)
def test_a_fault_is_found(source: str, faults: list[str]) -> None:
    """The check can fail."""
    assert sorted(faults_in_python(source)) == faults


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("It is told\nto nobody.", ["line 1: told", "line 2: nobody"]),
        ('Words like "told" and "of ours" are out of use.', []),
        ('"a charger is told so"', ["line 1: told"]),
        ("`what_is_told`", []),
    ],
)
def test_a_fault_of_a_document_is_found(text: str, faults: list[str]) -> None:
    """But for words that it only names."""
    assert list(faults_in_text(text)) == faults


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("raise E('nobody is served')", ["line 1: nobody"]),
        ("x = f'{a} was told so'", ["line 1: told"]),
        ("def f():\n    'Told so.'\n    return 'told'", []),
    ],
)
def test_a_fault_of_a_string_is_found(source: str, faults: list[str]) -> None:
    """Docstrings are looked at by another check."""
    assert list(faults_in_strings(source)) == faults
