"""Puts a fault into code that is loaded already, or into a file when it is imported."""

import ast
import gc
import importlib.machinery
from collections import defaultdict
from pathlib import Path
from types import CodeType, FunctionType
from typing import TypeAlias

from tests.mutants.operators import Mutant, apply

Place: TypeAlias = tuple[str, str, int]
"""File, qualified name and first line of a function's code."""

Functions: TypeAlias = dict[Place, list[FunctionType]]


class CannotBeExchanged(Exception):
    """The function's code doesn't fit the loaded function (it closes over other variables), or isn't loaded."""


def loaded_functions(files: frozenset[str]) -> Functions:
    """All functions of ``files`` that are loaded, by where they come from."""
    found: Functions = defaultdict(list)
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename in files:
            found[_place(each.__code__)].append(each)
    return found


def _place(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def compiled(path: Path, source: str, mutant: Mutant) -> CodeType:
    """The file's code with the fault. Raises SyntaxError for a fault that no compiler takes."""
    code: CodeType = compile(apply(source, mutant), str(path), "exec", dont_inherit=True)
    return code


def exchange(path: Path, source: str, mutant: Mutant, functions: Functions) -> None:
    """Give the loaded functions that hold the fault's place the faulty code. Raises CannotBeExchanged."""
    outermost = _outermost(compiled(path, source, mutant), mutant)
    exchanged = 0
    for code in _with_nested(outermost):
        for function in functions.get(_place(code), ()):
            if len(code.co_freevars) != len(function.__code__.co_freevars):
                raise CannotBeExchanged(mutant.identity)
            function.__code__ = code
            exchanged += 1
    if not exchanged:
        raise CannotBeExchanged(mutant.identity)


def _outermost(code: CodeType, mutant: Mutant) -> CodeType:
    for each in _with_nested(code):
        if each.co_name == mutant.function and each.co_firstlineno == mutant.first_line:
            return each
    raise CannotBeExchanged(mutant.identity)


def _with_nested(code: CodeType) -> list[CodeType]:
    found = [code]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += _with_nested(constant)
    return found


def import_with(path: Path, mutant: Mutant) -> None:
    """Have the file's code be the faulty one when it is imported in this process."""
    original = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, fullname: str) -> CodeType | None:
        if Path(self.get_filename(fullname)) == path:
            return compiled(path, path.read_text(), mutant)
        return original(self, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def names_set_at(source: str, mutant: Mutant) -> tuple[set[str], str | None]:
    """The names that a statement run at import gives a value to, and the class that it is in."""
    tree = ast.parse(source)
    names: set[str] = set()
    inside: str | None = None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.lineno <= mutant.lines[0] <= (node.end_lineno or 0):
            inside = node.name
        first = min([getattr(node, "lineno", 0), *(each.lineno for each in getattr(node, "decorator_list", ()))])
        if not isinstance(node, ast.stmt) or not first <= mutant.lines[0] <= (node.end_lineno or 0):
            continue
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                names |= {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return names, inside
