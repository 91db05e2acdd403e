"""Limits in real time are guards against hanging, a minute at least: a shorter one measures the machine that runs it.

A test of a time uses Trio's virtual clock, or a setting at which what is not to happen would take longer than that.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LEAST_SECONDS = 60.0

VIRTUAL = ("autojump_clock", "mock_clock")
"""Fixtures whose tests have a clock of their own."""

OTHERS = ("soak", "bench", "mutants", "cluster")
"""Folders whose times are what is measured, or that of long runs outside the suite."""

ALLOWED = {
    "transport/test_listener.py: test_a_bug_around_a_connection_keeps_no_other_out: 2": "its end is swallowed: a pause",
}


def short_limits(source: str) -> Iterator[str]:
    """Functions in real time with ``fail_after``, ``Process.wait`` and ``Thread.join`` of less than a minute: each with
    its seconds."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    yield from _in(tree, "", constants)


def _in(node: ast.AST, name: str, constants: Mapping[str, object]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inside = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = " ".join(map(ast.unparse, child.decorator_list))
            virtual = any(each.arg in VIRTUAL for each in (*child.args.args, *child.args.kwonlyargs))
            if virtual or decorators.startswith("virtually(") or any(each in decorators for each in VIRTUAL):
                continue
            inside = child.name
        if isinstance(child, ast.Call) and (seconds := _limit(child, constants)) is not None:
            yield f"{inside}: {seconds:g}"
        yield from _in(child, inside, constants)


def _limit(call: ast.Call, constants: Mapping[str, object]) -> float | None:
    """The seconds of a limit that is too short; None: it is no limit, or long enough."""
    name = ast.unparse(call.func)
    if not name.endswith(("fail_after", "process.wait", "thread.join", "process.communicate")):
        return None
    given = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "timeout")]
    for each in given:
        value = constants.get(each.id) if isinstance(each, ast.Name) else getattr(each, "value", None)
        least = 0.0 if name.endswith("fail_after") else 1.0  # below, a wait is a pause
        if isinstance(value, int | float) and least <= value < LEAST_SECONDS:
            return float(value)
    return None


def test_limits_in_real_time_are_guards_against_hanging() -> None:
    """Each that is shorter is listed above with its reason; no reason is left over."""
    found = {
        f"{path.relative_to(TESTS)}: {each}"
        for path in sorted(TESTS.rglob("*.py"))
        if path.relative_to(TESTS).parts[0] not in OTHERS
        for each in short_limits(path.read_text("utf-8"))
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("async def f():\n    with trio.fail_after(5): pass", ["f: 5"]),
        ("SECONDS = 20.0\ndef f():\n    process.wait(timeout=SECONDS)", ["f: 20"]),
        ("class A:\n    def f(self):\n        self._thread.join(10)", ["f: 10"]),
        ("async def f(autojump_clock):\n    with trio.fail_after(5): pass", []),
        ("@virtually('x', 1)\nasync def f():\n    with trio.fail_after(5): pass", []),
        ("def f():\n    with trio.fail_after(60): pass", []),
        ("def f():\n    ','.join(5)", []),
    ],
)
def test_a_short_limit_is_found(source: str, found: list[str]) -> None:
    """By its number or its constant, in whatever stands around it."""
    assert list(short_limits(source)) == found
