"""Exceptions are made where they are raised.

One that is made once and raised again and again keeps a reference to every frame that it ever went through, with all
that is in them: memory that grows with each refusal, and what callers sent.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

GATEWAY = Path(__file__).parents[1] / "gateway"
EXCEPTIONS = ("Failure", "Error", "Exception", "Closed", "Unavailable")
"""Ends of names of their classes."""


def kept(source: str) -> Iterator[str]:
    """Exceptions that a module makes when it is imported, and constants that are raised."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            name = ast.unparse(node.value.func)
            if name.endswith(EXCEPTIONS):
                yield f"line {node.lineno}: {name} is made once"
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Name) and inner.exc.id.isupper():
            yield f"line {inner.lineno}: {inner.exc.id} is raised"


def test_no_exception_is_raised_a_second_time() -> None:
    """By name of the constant, or of the class."""
    sources = {str(path.relative_to(GATEWAY)): path.read_text("utf-8") for path in GATEWAY.rglob("*.py")}
    assert len(sources) > 500
    assert {name: found for name, source in sources.items() if (found := list(kept(source)))} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("GONE = Failure(1)", ["line 1: Failure is made once"]),
        ("GONE: Final = errors.StoreError(1)", ["line 1: errors.StoreError is made once"]),
        ("def f():\n    raise GONE", ["line 2: GONE is raised"]),
        ("def f():\n    raise Failure(GONE)", []),
        ("def f():\n    raise Failure", []),
        ("MADE = other(1)", []),
    ],
)
def test_what_is_kept_is_found(source: str, found: list[str]) -> None:
    """The look itself."""
    assert list(kept(source)) == found
