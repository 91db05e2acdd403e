"""The faults that can be made, and what is left alone."""

import ast
import textwrap

import pytest

from tests.mutants.operators import Mutant, apply, find


def made(source: str, operator: str | None = None) -> list[str]:
    """The code with each fault in turn (of one operator, or any)."""
    source = textwrap.dedent(source)
    found = find(source, "x.py")
    return [ast.unparse(apply(source, mutant)) for mutant in found if operator in (None, mutant.operator)]


@pytest.mark.parametrize(
    ("source", "operator", "becomes"),
    [
        ("x = a < b", "boundary", ["x = a <= b"]),
        ("x = a < b", "negate", ["x = a >= b"]),
        ("x = a is None", "negate", ["x = a is not None"]),
        ("x = a not in b", "negate", ["x = a in b"]),
        ("x = a < b <= c", "boundary", ["x = a <= b <= c", "x = a < b < c"]),
        ("x = a and b", "and-or", ["x = a or b"]),
        ("x = a and b", "operand", ["x = b", "x = a"]),
        ("x = not a", "unary", ["x = a"]),
        ("x = -a", "unary", ["x = a"]),
        ("x = 5", "constant", ["x = 6", "x = 4"]),
        ("x = True", "constant", ["x = False"]),
        ("x = 'word'", "constant", ["x = 'wordx'"]),
        ("x = 2.0", "constant", ["x = 5.0", "x = 1.0"]),
        ("x = a + b", "arithmetic", ["x = a - b"]),
        ("x += 1", "arithmetic", ["x -= 1"]),
        ("x += 1", "drop", ["pass"]),
        ("f(a)", "drop", ["pass"]),
        ("self.x = a", "drop", ["pass"]),
        ("raise ValueError", "drop", ["pass"]),
        ("f(a, b)", "swap", ["f(b, a)"]),
        ("f(a, 1)", "swap", []),
        ("f(a.b, 1)", "nothing", ["f(None, 1)"]),
        ("f(a, key=b)", "keyword", ["f(a)"]),
        ("x = min(a, b)", "opposite", ["x = max(a, b)"]),
        ("x = [a for a in b if c]", "loop", ["x = [a for a in b]"]),
        ("x = K.ONE; y = K.TWO", "sibling", ["x = K.TWO\ny = K.TWO", "x = K.ONE\ny = K.ONE"]),
        ("x = CLOSE_A; y = CLOSE_B", "sibling", ["x = CLOSE_B\ny = CLOSE_B", "x = CLOSE_A\ny = CLOSE_A"]),
        ("x = 'SELECT 1 WHERE a <= b AND c'", "sql", ["x = 'SELECT 1 WHERE a < b AND c'"]),
    ],
)
def test_an_operator_makes_its_fault(source: str, operator: str, becomes: list[str]) -> None:
    """Each at every place that there is."""
    found = made(source, operator)
    assert found[: len(becomes)] == becomes
    assert bool(found) is bool(becomes)


def test_conditions_are_turned_round_and_fixed() -> None:
    """A comparison is turned round by its own operator."""
    assert made("if a:\n    f()", "condition") == ["if not a:\n    f()", "if True:\n    f()", "if False:\n    f()"]
    assert made("while a > b:\n    f()", "condition") == ["while True:\n    f()", "while False:\n    f()"]


def test_blocks_lose_their_ends() -> None:
    """Statements in a finally, an except, a case or a with are dropped, too."""
    source = "try:\n    f()\nexcept E:\n    g()\nfinally:\n    h()"
    assert made(source, "finally") == ["try:\n    f()\nexcept E:\n    g()"]
    assert made(source, "except") == [
        "try:\n    f()\nexcept E:\n    pass\nfinally:\n    h()",
        "try:\n    f()\nexcept E:\n    raise\nfinally:\n    h()",
    ]
    assert made("try:\n    f()\nexcept E:\n    log.info('a line')", "except") == ["try:\n    f()\nexcept E:\n    raise"]
    assert made("with a:\n    f()", "with") == ["if True:\n    f()"]
    assert made("with a as b:\n    f()", "with") == []
    assert made("match a:\n    case 1:\n        f()", "case") == ["match a:\n    case 1 if False:\n        f()"]


def test_functions_lose_decorators_and_answers() -> None:
    """Defaults are constants like any other."""
    source = "@d\ndef f(a=1):\n    return a.b"
    assert made(source, "decorator") == ["def f(a=1):\n    return a.b"]
    assert made(source, "return") == ["@d\ndef f(a=1):\n    return None"]
    assert made(source, "constant")[0] == "@d\ndef f(a=2):\n    return a.b"


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "def f():\n    '''A docstring.'''",
        "log.info('a line', number=1)",
        "def f(a: 'int' = b) -> 'str':\n    pass",
        "assert a == 1, 'text'",
        "Name: TypeAlias = 'int | str'",
        "T = TypeVar('T')",
        "import a",
        "if __name__ == '__main__':\n    f(1)",
        "__slots__ = ('a', 'b')",
        "class P(Protocol):\n    def f(self):\n        return 1",
        "if TYPE_CHECKING:\n    a = 1",
        "x = zip(*a, strict=True)",
        "class C:\n    @abstractmethod\n    def f(self):\n        raise NotImplementedError(self.a)",
        "class C:\n    def __repr__(self):\n        return 'C' + 'D'",
    ],
)
def test_what_is_no_behaviour_is_left_alone(source: str) -> None:
    """Text for people, types, and what only the log shows."""
    assert made(source) == []


def test_the_texts_of_errors_are_left_alone_and_words_are_not() -> None:
    """A text with spaces is for people, but for SQL."""
    assert made("raise ValueError('it is wrong')", "constant") == []
    assert made("raise ValueError(f'{a} is wrong')", "constant") == []
    assert made("raise ValueError('reason')", "constant") == ["raise ValueError('reasonx')"]


SOURCE = '''
class C:
    """A class."""

    def f(self, a):
        def inner(b):
            return b + 1
        if a == 1:
            return inner(a)
        return a == 1
'''


def test_an_identity_names_one_fault_and_stays_when_lines_move() -> None:
    """It is what the list of known faults is kept by."""
    found = find(SOURCE, "x.py")
    identities = [mutant.identity for mutant in found]
    assert len(set(identities)) == len(identities)
    moved = find("# a comment\n\n\n" + SOURCE, "x.py")
    assert [mutant.identity for mutant in moved] == identities
    assert [mutant.lines[0] for mutant in moved] == [mutant.lines[0] + 3 for mutant in found]


def test_a_fault_knows_its_function_and_its_lines() -> None:
    """The outermost function is what is exchanged; its lines say which tests could notice."""

    def one(operator: str, change: str) -> Mutant:
        [mutant] = [each for each in find(SOURCE, "x.py") if (each.operator, each.change) == (operator, change)]
        return mutant

    plus = one("arithmetic", "b + 1 -> b - 1")
    assert (plus.qualname, plus.function, plus.first_line, plus.lines) == ("C.f.inner", "f", 5, (7, 7))
    at_import = find("LIMIT = 5\n", "x.py")[0]
    assert (at_import.qualname, at_import.function, at_import.lines) == ("", None, (1, 1))
