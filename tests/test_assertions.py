"""Assertions of the tests, by how they are written: one that can't fail, or that hides what it depends on, is none."""

import ast
from pathlib import Path

import pytest

FILES = sorted(path for path in Path(__file__).parent.rglob("*.py"))


def faults(source: str) -> list[str]:
    """The faults of a file's assertions, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert) and (why := _fault(node.test)):
            found.append(f"line {node.lineno}: {why}: {ast.unparse(node)[:100]}")
    return found


def _fault(test: ast.expr) -> str:
    match test:
        case ast.BoolOp(op=ast.Or(), values=[first, *_]):
            # An optional value is the one thing that may be absent. What else an assertion depends on is an `if`
            # or a parameter, where a reader sees that it may never hold.
            if isinstance(first, ast.Compare) and isinstance(first.ops[0], ast.Is):
                return "" if ast.unparse(first.comparators[0]) == "None" else "one of two things"
            return "one of two things"
        case ast.Tuple() | ast.List() | ast.Dict() | ast.Set() | ast.GeneratorExp() | ast.Lambda() | ast.JoinedStr():
            return "always true, or never"
        case ast.Constant(value=value) if value is not False:
            return "always true, or never"
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is() | ast.LtE() | ast.GtE()], comparators=[right]):
            same = ast.dump(left) == ast.dump(right)
            calls = any(isinstance(each, ast.Call | ast.Await) for each in ast.walk(left))
            return "a thing compared with itself" if same and not calls else ""
        case ast.IfExp(body=ast.Constant()) | ast.IfExp(orelse=ast.Constant()):
            return "always true in one case"
    return ""


def test_assertions_state_one_thing_that_may_be_false() -> None:
    """`assert a == b or c` passes wherever c holds, which may be always."""
    assert len(FILES) > 500
    assert {str(path): found for path in FILES if (found := faults(path.read_text("utf-8")))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "assert a == b or c",
        "assert not a or b",
        "assert (a, 'text')",
        "assert [a]",
        "assert 'text'",
        "assert True",
        "assert (a == b for b in c)",
        "assert a == a",
        "assert a.b >= a.b",
        "assert x if y else True",
        "assert lambda: a",
    ],
)
def test_an_assertion_that_hides_something_is_found(source: str) -> None:
    """In each of these forms."""
    assert len(faults(source)) == 1


@pytest.mark.parametrize(
    "source", ["assert a == b", "assert a is None or a > 1", "assert f() == f()", "assert False, 'unreachable'"]
)
def test_an_assertion_that_may_fail_is_left_alone(source: str) -> None:
    """An optional value may be absent; a call may answer something else the second time."""
    assert faults(source) == []
