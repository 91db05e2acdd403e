"""Whether the tests that a page of docs/ names are there."""

import ast
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the test functions of a module; none if there is no such module."""
    file = REPOSITORY / path
    if not file.is_file():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.parse(file.read_text()).body if isinstance(node, functions))


def missing(tests: tuple[str, ...]) -> list[str]:
    """Those that aren't there."""
    return [test for test in tests if test.partition("::")[2] not in names_in(test.partition("::")[0])]
