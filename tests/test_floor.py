"""The lowest Python that the README names is one that the gateway runs on: what its patch releases do differently."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("gateway", "bench", "tests", "protos", "scripts")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def raised_in_groups(tree: ast.AST) -> list[int]:
    """Lines of `raise` inside an `except*`: before Python 3.11.4 what it raises comes wrapped in an ExceptionGroup."""
    found: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.TryStar):
            for handler in node.handlers:
                found += [each.lineno for each in _in_same_function(handler) if isinstance(each, ast.Raise)]
    return sorted(found)


def _in_same_function(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _in_same_function(child)


def test_nothing_is_raised_inside_a_handler_of_groups() -> None:
    """It would be one error on a new Python and a group of one on Debian 12's, which no other handler expects."""
    found = {
        path.relative_to(ROOT).as_posix(): lines
        for path in SOURCES
        if (lines := raised_in_groups(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {}
    assert len(SOURCES) > 300


@pytest.mark.parametrize("raising", ["raise ValueError from group", "raise", "if group:\n        raise ValueError"])
def test_a_raise_inside_a_handler_of_groups_is_found(raising: str) -> None:
    """The check above can fail."""
    source = f"try:\n    f()\nexcept* OSError as group:\n    {raising}\n"
    assert raised_in_groups(ast.parse(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    f()\nexcept OSError as error:\n    raise ValueError from error\n",
        "try:\n    f()\nexcept* OSError:\n    def later():\n        raise ValueError\n",
    ],
)
def test_other_raises_are_fine(source: str) -> None:
    """An ordinary handler's, and a function's that is only made there."""
    assert raised_in_groups(ast.parse(source)) == []


def test_the_floor_is_the_same_wherever_it_is_written() -> None:
    """The metadata, both tools' targets, the README and the Makefile."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["project"]["requires-python"] == ">=3.11"
    assert metadata["tool"]["ruff"]["target-version"] == "py311"
    assert metadata["tool"]["mypy"]["python_version"] == "3.11"
    assert "Python 3.11 or later" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "sys.version_info < (3, 11)" in (ROOT / "Makefile").read_text(encoding="utf-8")
