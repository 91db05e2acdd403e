"""The faults that can be made in a file: one operator, one place, one change.

What is left alone, since a change there is none of behaviour: docstrings, annotations and type aliases, what is
imported for them alone, ``assert`` and ``zip(strict=True)`` (they state an invariant to the reader and to mypy),
abstract methods (there is another in each class of which objects are made), lines that only write to the log, the texts
of errors, what is shown for debugging (``__repr__``), ``__slots__`` and ``__all__``.
"""

import ast
import copy
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Change: TypeAlias = tuple[str, str, Callable[[], ast.AST]]
"""Operator, what tells this change from others of the operator at the same place, and what stands there instead."""

_COMPARISONS: dict[type[ast.cmpop], tuple[tuple[str, type[ast.cmpop]], ...]] = {
    ast.Lt: (("boundary", ast.LtE), ("negate", ast.GtE)),
    ast.LtE: (("boundary", ast.Lt), ("negate", ast.Gt)),
    ast.Gt: (("boundary", ast.GtE), ("negate", ast.LtE)),
    ast.GtE: (("boundary", ast.Gt), ("negate", ast.Lt)),
    ast.Eq: (("negate", ast.NotEq),),
    ast.NotEq: (("negate", ast.Eq),),
    ast.Is: (("negate", ast.IsNot),),
    ast.IsNot: (("negate", ast.Is),),
    ast.In: (("negate", ast.NotIn),),
    ast.NotIn: (("negate", ast.In),),
}

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}

_OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any", "append": "appendleft", "popleft": "pop"}

_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|VALUES|SET|ORDER BY|LIMIT|PRAGMA)\b")
_SQL_CHANGES = (
    (r"<=", "<"),
    (r">=", ">"),
    (r"(?<![<>!])<(?![=>])", "<="),
    (r"(?<![<>!])>(?![=])", ">="),
    (r"\bAND\b", "OR"),
    (r"\bOR\b(?! (REPLACE|IGNORE))", "AND"),
    (r"\bDESC\b", "ASC"),
    (r"\bMAX\b", "MIN"),
    (r"\bMIN\b", "MAX"),
    (r"\bIS NOT NULL\b", "IS NULL"),
    (r"\bIS NULL\b", "IS NOT NULL"),
    (r"\bNOT EXISTS\b", "EXISTS"),
    (r"(?<=[ (])0\b", "1"),
    (r"(?<=[ (])1\b", "0"),
    (r" \+ ", " - "),
    (r" - ", " + "),
)

_LOGGERS = ("log", "logger", "_log")
_UNSEEN = ("__repr__", "__str__")


@dataclass(frozen=True)
class Mutant:
    """One fault. ``identity`` stays the same when lines move."""

    file: str
    qualname: str
    operator: str
    statement: str
    change: str
    nth: int
    node: int = field(compare=False)
    variant: int = field(compare=False)
    lines: tuple[int, int] = field(compare=False)
    function: str | None = field(compare=False)
    """The outermost function that holds it, to be exchanged in loaded code; None: it acts when the file is imported."""
    first_line: int = field(compare=False)

    @property
    def identity(self) -> str:
        nth = f" #{self.nth}" if self.nth else ""
        return f"{self.file}::{self.qualname}::{self.operator}::{self.statement}::{self.change}{nth}"


def find(source: str, file: str) -> list[Mutant]:
    """All faults that can be made in ``source``, in the order of its lines."""
    tree = _numbered(source)
    places = _Places(file, _siblings(tree))
    places.walk(tree)
    return places.found


def apply(source: str, mutant: Mutant) -> ast.Module:
    """The tree of ``source`` with the fault in it, its lines where they were."""
    tree = _numbered(source)
    siblings = _siblings(tree)
    for node in ast.walk(tree):
        if getattr(node, "number", None) == mutant.node:
            changes = list(_changes(node, siblings))
            replacement = changes[mutant.variant][2]()
            _replace(tree, node, replacement)
            break
    else:
        raise LookupError(mutant.identity)
    return ast.fix_missing_locations(tree)


# --- places ---------------------------------------------------------------------------------------------------


def _numbered(source: str) -> ast.Module:
    tree = ast.parse(source)
    for number, node in enumerate(ast.walk(tree)):
        node.number = number  # type: ignore[attr-defined]
    return tree


def _is_prose(text: str) -> bool:
    """Said to people: an error's or a reason's text. What a program reads has no spaces, or is SQL."""
    return " " in text.strip() and _SQL.search(text) is None


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    if not hasattr(new, "lineno") and hasattr(old, "lineno"):
        ast.copy_location(new, old)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
                return
            if isinstance(value, list):
                for at, each in enumerate(value):
                    if each is old:
                        value[at] = new
                        return
    raise LookupError("the node is not in the tree")


Siblings: TypeAlias = dict[str, list[str]]


def _siblings(tree: ast.Module) -> Siblings:
    """Names that could be mistaken for one another: members that the file uses of one class, and constants of one
    kind (``CLOSE_GOING_AWAY``, ``CLOSE_POLICY``)."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr.isupper() and node.value.id[:1].isupper():
                found[node.value.id].add(node.attr)
        elif isinstance(node, ast.Name) and node.id.isupper() and "_" in node.id.strip("_"):
            found[node.id.split("_")[0] + "_"].add(node.id)
    return {name: sorted(members) for name, members in found.items() if len(members) > 1}


@dataclass
class _Places:
    file: str
    siblings: Siblings
    found: list[Mutant] = field(default_factory=list)
    seen: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    outermost: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    statement: ast.stmt | None = None

    def walk(self, node: ast.AST) -> None:
        if _left_alone(node):
            return
        before = self.statement
        if isinstance(node, ast.stmt):
            self.statement = node
        self._note(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._walk_definition(node)
        else:
            for child in _children(node):
                self.walk(child)
        self.statement = before

    def _walk_definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.names.append(node.name)
        if isinstance(node, ast.ClassDef):
            for child in (*node.decorator_list, *node.keywords, *node.body):
                self.walk(child)
        else:
            for default in (*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)):
                self.walk(default)
            outer = self.outermost
            self.outermost = self.outermost or node
            for child in node.body:
                self.walk(child)
            self.outermost = outer
        self.names.pop()

    def _note(self, node: ast.AST) -> None:
        statement = self.statement
        if statement is None:
            return
        text = _header(statement)
        qualname = ".".join(self.names)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            qualname = ".".join((*self.names, node.name))
        for variant, (operator, change, _) in enumerate(_changes(node, self.siblings)):
            key = (qualname, operator, text, change)
            at = self.outermost
            self.found.append(
                Mutant(
                    file=self.file,
                    qualname=qualname,
                    operator=operator,
                    statement=text,
                    change=change,
                    nth=self.seen[key],
                    node=node.number,  # type: ignore[attr-defined]
                    variant=variant,
                    lines=_lines(node, statement, operator),
                    function=None if at is None or operator == "decorator" else at.name,
                    first_line=0 if at is None else min([at.lineno, *(each.lineno for each in at.decorator_list)]),
                )
            )
            self.seen[key] += 1


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment", "type_params"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST) and not isinstance(each, ast.expr_context | ast.operator | ast.cmpop):
                yield each


def _left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))) if name in _LOGGERS:
            return True
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Global() | ast.Nonlocal() | ast.Pass():
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")) | ast.AnnAssign(value=None):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]) if name in ("__slots__", "__all__", *_LOGGERS):
            return True
        case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True  # run as a process of its own, in whose tests nothing works without it
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.keyword(arg="strict", value=ast.Constant(value=True)):
            return True
        case ast.FunctionDef(decorator_list=[*_, ast.Name(id="abstractmethod")]):
            return True
        case ast.FunctionDef(name=name) if name in _UNSEEN:
            return True
        case ast.FunctionDef(decorator_list=[ast.Name(id="overload"), *_]):
            return True
        case ast.ClassDef(bases=[*bases]) if any(_name(base) == "Protocol" for base in bases):
            return True  # only signatures
        case ast.Call(func=ast.Name(id="cast")):
            return True
        case ast.JoinedStr(values=values):
            texts = [each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            return any(map(_is_prose, texts))
    return False


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _header(statement: ast.stmt) -> str:
    """The statement in one line, without what is inside of it if it is a compound one."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return f"def {statement.name}" if not isinstance(statement, ast.ClassDef) else f"class {statement.name}"
    if hasattr(statement, "body") or isinstance(statement, ast.Match):
        return ast.unparse(statement).split("\n")[0]
    return " ".join(ast.unparse(statement).split())


def _lines(node: ast.AST, statement: ast.stmt, operator: str) -> tuple[int, int]:
    """The lines that are run when the fault could act."""
    if operator == "finally" and isinstance(node, ast.Try | ast.TryStar):
        return node.finalbody[0].lineno, node.finalbody[-1].end_lineno or 0
    if isinstance(node, ast.ExceptHandler | ast.match_case):
        return node.body[0].lineno, node.body[-1].end_lineno or 0
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.lineno, node.end_lineno or node.lineno
    if isinstance(node, ast.With | ast.AsyncWith):
        return node.lineno, node.body[0].lineno
    compound = hasattr(statement, "body") or isinstance(statement, ast.Match)
    place = node if compound and hasattr(node, "lineno") and node is not statement else statement
    first: int = place.lineno  # type: ignore[attr-defined]
    last: int = first if place is statement and compound else place.end_lineno or first  # type: ignore[attr-defined]
    return first, last


# --- changes --------------------------------------------------------------------------------------------------


def _changes(node: ast.AST, siblings: Siblings) -> Iterator[Change]:
    for operator in _OPERATORS:
        yield from operator(node, siblings)


def _copied(node: ast.AST, **changed: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in changed.items():
        setattr(new, name, value)
    return new


def _short(node: ast.AST | Sequence[ast.AST]) -> str:
    text = ast.unparse(node) if isinstance(node, ast.AST) else "; ".join(map(ast.unparse, node))
    return " ".join(text.split())[:120]


def _comparison(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        for at, op in enumerate(node.ops):
            for operator, other in _COMPARISONS.get(type(op), ()):
                ops = [*node.ops[:at], other(), *node.ops[at + 1 :]]
                new = _copied(node, ops=ops)
                yield operator, f"{_short(node)} -> {_short(new)}", lambda new=new: new


def _condition(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        test = node.test
        if isinstance(test, ast.Constant):
            return
        if not (isinstance(test, ast.Compare) and len(test.ops) == 1) and not (
            isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        ):
            negated = ast.copy_location(ast.UnaryOp(ast.Not(), test), test)
            yield "condition", f"not ({_short(test)})", lambda: _copied(node, test=negated)
        for value in (True, False):
            constant = ast.copy_location(ast.Constant(value), test)
            yield (
                "condition",
                f"{_short(test)} -> {value}",
                lambda constant=constant: _copied(node, test=constant),
            )


def _boolean(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        new = _copied(node, op=other)
        yield "and-or", f"{_short(node)} -> {_short(new)}", lambda: new
        for at in range(len(node.values)):
            left = [*node.values[:at], *node.values[at + 1 :]]
            fewer = left[0] if len(left) == 1 else _copied(node, values=left)
            yield "operand", f"{_short(node)} -> {_short(fewer)}", lambda fewer=fewer: fewer
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield "unary", f"{_short(node)} -> {_short(node.operand)}", lambda: node.operand


def _constant(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if not isinstance(node, ast.Constant):
        return
    others: list[object] = []
    match node.value:
        case bool():
            others = [not node.value]
        case int():
            others = [node.value + 1, node.value - 1]
        case float():
            others = [node.value * 2 + 1, node.value / 2]
        case str():
            if _SQL.search(node.value):
                for change, other in _sql(node.value):
                    yield "sql", change, lambda other=other: ast.Constant(other)
                return
            if _is_prose(node.value):
                return
            others = [node.value + "x"]
        case bytes():
            others = [node.value + b"x"]
    for other in others:
        if other != node.value:  # half of 0.0
            yield "constant", f"{_short(node)} -> {other!r}", lambda other=other: ast.Constant(other)


def _sql(text: str) -> Iterator[tuple[str, str]]:
    for pattern, other in _SQL_CHANGES:
        for found in re.finditer(pattern, text):
            changed = text[: found.start()] + other + text[found.end() :]
            around = " ".join(text[max(0, found.start() - 25) : found.end() + 25].split())
            yield f"...{around}...: {found.group().strip()} -> {other.strip()}", changed


def _arithmetic(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
            return
        new = _copied(node, op=_ARITHMETIC[type(node.op)]())
        yield "arithmetic", f"{_short(node)} -> {_short(new)}", lambda: new


def _drop(node: ast.AST, _: Siblings) -> Iterator[Change]:
    match node:
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            return
        case ast.Expr() | ast.Raise() | ast.Delete() | ast.AugAssign():
            pass
        case ast.Assign(targets=targets) if any(isinstance(each, ast.Attribute | ast.Subscript) for each in targets):
            pass
        case ast.AnnAssign(target=ast.Attribute()):
            pass
        case _:
            return
    yield "drop", f"- {_short(node)}", lambda: ast.Pass()


def _return(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if isinstance(node, ast.Return) and node.value is not None:
        value = node.value
        if not (isinstance(value, ast.Constant) and (value.value is None or value.value is False)):  # no is no
            yield "return", f"{_short(node)} -> return None", lambda: ast.Return(ast.Constant(None))
        if isinstance(value, ast.Compare | ast.BoolOp | ast.Call) and not isinstance(value, ast.Constant):
            negated = ast.Return(ast.UnaryOp(ast.Not(), value))
            if isinstance(value, ast.Compare | ast.BoolOp):
                yield "return", f"{_short(node)} -> {_short(negated)}", lambda: negated


def _loop(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if isinstance(node, ast.Break):
        yield "loop", "break -> continue", lambda: ast.Continue()
    elif isinstance(node, ast.Continue):
        yield "loop", "continue -> break", lambda: ast.Break()
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield "loop", f"- if {_short(node.ifs)}", lambda: _copied(node, ifs=[])


def _call(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if not isinstance(node, ast.Call):
        return
    for at in range(len(node.args) - 1):
        one, two = node.args[at], node.args[at + 1]
        if _may_be_swapped(one, two) and _name(node.func) not in ("min", "max"):  # of these it is all one
            args = [*node.args[:at], two, one, *node.args[at + 2 :]]
            new = _copied(node, args=args)
            yield "swap", f"{_short(node)} -> {_short(new)}", lambda new=new: new
    for at, argument in enumerate(node.args):
        if isinstance(argument, ast.Attribute):
            args = [*node.args[:at], ast.copy_location(ast.Constant(None), argument), *node.args[at + 1 :]]
            new = _copied(node, args=args)
            yield "nothing", f"{_short(node)} -> {_short(new)}", lambda new=new: new
    for at, keyword in enumerate(node.keywords):
        unseen = _left_alone(keyword) or (keyword.arg == "name" and _name(node.func) == "Thread")
        if keyword.arg is not None and not unseen:
            fewer = _copied(node, keywords=[*node.keywords[:at], *node.keywords[at + 1 :]])
            yield "keyword", f"{_name(node.func)}(- {_short(keyword)})", lambda fewer=fewer: fewer
    if _name(node.func) in _OPPOSITES:
        other = _OPPOSITES[_name(node.func)]
        named = _copied(node.func, **{"id" if isinstance(node.func, ast.Name) else "attr": other})
        new = _copied(node, func=named)
        yield "opposite", f"{_short(node)} -> {_short(new)}", lambda: new


def _may_be_swapped(one: ast.AST, two: ast.AST) -> bool:
    named = ast.Name | ast.Attribute | ast.Subscript
    if isinstance(one, ast.Constant) and isinstance(two, ast.Constant):
        return type(one.value) is type(two.value) and one.value != two.value
    return isinstance(one, named) and isinstance(two, named) and ast.dump(one) != ast.dump(two)


def _sibling(node: ast.AST, siblings: Siblings) -> Iterator[Change]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
        members = siblings.get(node.value.id, [])
        if node.attr in members:
            other = members[(members.index(node.attr) + 1) % len(members)]
            new = _copied(node, attr=other)
            yield "sibling", f"{_short(node)} -> {_short(new)}", lambda: new
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id.isupper():
        members = siblings.get(node.id.split("_")[0] + "_", [])
        if node.id in members:
            other = members[(members.index(node.id) + 1) % len(members)]
            yield "sibling", f"{node.id} -> {other}", lambda: _copied(node, id=other)


def _structure(node: ast.AST, _: Siblings) -> Iterator[Change]:
    if isinstance(node, ast.Try | ast.TryStar):
        if node.finalbody:
            if node.handlers:
                yield "finally", f"- {_short(node.finalbody)}", lambda: _copied(node, finalbody=[])
            else:
                passing = ast.copy_location(ast.Pass(), node.finalbody[0])
                yield "finally", f"- {_short(node.finalbody)}", lambda: _copied(node, finalbody=[passing])
        if node.orelse:
            yield "else", f"- {_short(node.orelse)}", lambda: _copied(node, orelse=[])
    elif isinstance(node, ast.ExceptHandler):
        if not all(isinstance(each, ast.Pass) or _left_alone(each) for each in node.body):
            passing = ast.copy_location(ast.Pass(), node.body[0])
            yield "except", f"{_caught(node)}: pass", lambda: _copied(node, body=[passing])
        if not (len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and node.body[0].exc is None):
            raising = ast.copy_location(ast.Raise(), node.body[0])
            yield "except", f"{_caught(node)}: raise", lambda: _copied(node, body=[raising])
    elif isinstance(node, ast.match_case):
        if not (isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None and node.guard is None):
            never = ast.Constant(False)
            yield "case", f"- case {_short(node.pattern)}", lambda: _copied(node, guard=never)
        if node.guard is not None:
            yield "case", f"{_short(node.pattern)} - if {_short(node.guard)}", lambda: _copied(node, guard=None)
    elif isinstance(node, ast.With | ast.AsyncWith):
        if all(item.optional_vars is None for item in node.items):
            always = ast.copy_location(ast.If(ast.Constant(True), node.body, []), node)
            yield "with", f"- with {', '.join(_short(item) for item in node.items)}", lambda: always
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for at, decorator in enumerate(node.decorator_list):
            fewer = [*node.decorator_list[:at], *node.decorator_list[at + 1 :]]
            yield (
                "decorator",
                f"- @{_short(decorator)}",
                lambda fewer=fewer: _copied(node, decorator_list=fewer),
            )


def _caught(node: ast.ExceptHandler) -> str:
    return "except" if node.type is None else f"except {_short(node.type)}"


_OPERATORS: tuple[Callable[[ast.AST, Siblings], Iterator[Change]], ...] = (
    _comparison,
    _condition,
    _boolean,
    _constant,
    _arithmetic,
    _drop,
    _return,
    _loop,
    _call,
    _sibling,
    _structure,
)
