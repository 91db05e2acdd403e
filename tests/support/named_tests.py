"""Check that the tests that a page of docs/ names are there and assert something, as far as their source shows.

That they ran, and were not skipped, is seen where they run: ``tests.support.named_runs``.
"""

import ast
import io
import re
import socket
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

REPOSITORY = Path(__file__).parents[2]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

NAMED = re.compile(r"`(tests/[\w/]+\.py::\w+)`")
PAGES = ("docs/*.md", "README.md", "CONTRIBUTING.md")

ASSERTING = frozenset({"raises", "warns", "fail", "fail_after", "RaisesGroup", "Matcher", "deprecated_call"})
"""Names of pytest's and Trio's that make a test fail: an error that does not come, or time that is over."""

ENDING = frozenset({"skip", "exit", "importorskip", "xfail"})
"""Names of pytest's that end a test without a verdict; what stands behind them is not counted."""

RUNNING = frozenset({"start_soon", "start", "run", "run_sync", "partial", "in_thread", "raises", "submit", "map"})
"""Names of what calls a function that it is handed."""

SKIPPING = frozenset({"skip", "xfail"})
"""Marks under which a test shows nothing. A ``skipif`` may be right on another machine; the run says so."""


@cache
def named() -> frozenset[str]:
    """All tests that the documents name, as ``tests/folder/test_x.py::test_name``."""
    pages = [page for pattern in PAGES for page in REPOSITORY.glob(pattern)]
    return frozenset(test for page in pages for test in NAMED.findall(page.read_text(encoding="utf-8")))


@cache
def functions_in(path: str) -> dict[str, Function]:
    """The functions of a module; none if there is no such module."""
    file = REPOSITORY / path
    if not file.is_file():
        return {}
    return {node.name: node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, Function)}


def names_in(path: str) -> frozenset[str]:
    """Their names."""
    return frozenset(functions_in(path))


def unfit(tests: Iterable[str]) -> list[str]:
    """Those that show nothing, each with the reason: not there, skipped, or without an assertion."""
    return [f"{test}: {reason}" for test in tests if (reason := why_unfit(test)) is not None]


@cache
def why_unfit(test: str) -> str | None:
    """The reason why a named test shows nothing; None if it shows something."""
    path, _, name = test.partition("::")
    function = functions_in(path).get(name)
    return "is not there" if function is None else why_hollow(function)


def why_hollow(function: Function) -> str | None:
    """The reason why a test's source shows nothing: a mark, or no assertion that can be reached."""
    for mark in function.decorator_list:
        if _last(mark.func if isinstance(mark, ast.Call) else mark) in SKIPPING:
            return "is skipped, or expected to fail, by its mark"
    found = look(function)
    functions, methods = _asserting_helpers()
    if found.asserts or found.functions & functions or found.methods & methods:
        return None
    return "asserts nothing"


# --- assertions in source -----------------------------------------------------------------------------------------


@frozen
class Look:
    """The reachable part of a function: whether it asserts, and which functions and methods it calls, by name."""

    asserts: bool
    functions: frozenset[str]
    methods: frozenset[str]


def look(function: Function) -> Look:
    """Look through a function. Those within it count once they are used: called, or handed to a nursery."""
    local = {node.name: node for node in ast.walk(function) if isinstance(node, Function) and node is not function}
    pending, entered = [function], {function.name}
    asserting = False
    functions: set[str] = set()
    methods: set[str] = set()
    while pending:
        for node in _reached(pending.pop().body):
            asserting = asserting or _asserts_itself(node)
            match node:
                case ast.Call(func=func, args=arguments):
                    if isinstance(func, ast.Attribute):
                        methods.add(func.attr)
                    handed = arguments if _last(func) in RUNNING else []
                    functions.update(each.id for each in (func, *handed) if isinstance(each, ast.Name))
                case ast.Name(id=name):
                    if name in local and name not in entered:
                        entered.add(name)
                        pending.append(local[name])
    return Look(asserting, frozenset(functions), frozenset(methods))


def _asserts_itself(node: ast.AST) -> bool:
    match node:
        case ast.Assert(test=test):
            return not _always_true(test)
        case ast.Call(func=func):
            return _last(func) in ASSERTING
        case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError")) | ast.Name(id="AssertionError")):
            return True
    return False


def _always_true(test: ast.expr) -> bool:
    """A constant, a tuple that is not empty, `x == x`, or an `or` with one of these: an assertion that can't fail."""
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Tuple(elts=elements):
            return bool(elements)
        case ast.UnaryOp(op=ast.Not(), operand=ast.Constant(value=value)):
            return not value
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_always_true(each) for each in values)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_always_true(each) for each in values)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
            called = any(isinstance(each, ast.Call | ast.Await) for each in ast.walk(test))
            return not called and ast.dump(left) == ast.dump(right)
    return False


def _reached(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes of statements that can be reached; the insides of functions and classes are left out."""
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                continue
            case ast.ClassDef(body=inner):
                for each in inner:
                    if isinstance(each, Function):
                        yield from _reached(each.body)
                continue
            case ast.If(test=test, body=inner, orelse=other):
                yield from ast.walk(test)
                if not _never(test):
                    yield from _reached(inner)
                if not _always_true(test):
                    yield from _reached(other)
                continue
            case ast.While(test=test) | ast.For(iter=test) | ast.AsyncFor(iter=test) if _never(test):
                continue
        yield statement
        for _, value in ast.iter_fields(statement):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.stmt):
                    break  # blocks come below, in one piece
                if isinstance(each, ast.ExceptHandler | ast.match_case):
                    yield from _reached(each.body)
                elif isinstance(each, ast.AST):
                    yield from ast.walk(each)
            else:
                continue
            yield from _reached(value)
        if _ends(statement):
            return


def _never(test: ast.expr) -> bool:
    match test:
        case ast.Constant(value=value):
            return not value
        case ast.Tuple(elts=[]) | ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
    return False


def _ends(statement: ast.stmt) -> bool:
    match statement:
        case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="pytest"), attr=name))):
            return name in ENDING - {"importorskip"}
    return False


def _last(node: ast.AST) -> str:
    """The last part of a dotted name."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Call(func=func):
            return _last(func)
    return ""


@cache
def _asserting_helpers() -> tuple[frozenset[str], frozenset[str]]:
    """Functions, and methods, in tests/ that are no tests, and that assert or call others that do; by name.

    A method's name that the gateway or an everyday object has as well is none: whose it is can't be seen here.
    """
    shared = {each.name for each in _functions_below("gateway")} | BUILT_IN
    looks = [(each.name, look(each)) for each in _functions_below("tests") if not each.name.startswith("test_")]
    found: frozenset[str] = frozenset()
    while True:
        methods = found - shared
        more = {name for name, at in looks if at.asserts or at.functions & found or at.methods & methods}
        if more == found:
            return found, methods
        found = frozenset(more)


BUILT_IN = frozenset(name for kind in (str, bytes, dict, list, set, io.BytesIO, socket.socket) for name in dir(kind))
"""Methods of everyday objects."""


def _functions_below(folder: str) -> Iterator[Function]:
    """The functions of a folder's modules, one module after the other: all trees at once would fill the heap."""
    for file in sorted((REPOSITORY / folder).rglob("*.py")):
        yield from _functions_of(ast.parse(file.read_text(encoding="utf-8")))


def _functions_of(node: ast.AST) -> Iterator[Function]:
    """The functions in a tree, those within others too. Statements alone are looked at: no expression holds one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            if isinstance(child, Function):
                yield child
            yield from _functions_of(child)
