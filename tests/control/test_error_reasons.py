"""The table of reasons is the code's: none is raised that it lacks, none is in it that nothing raises."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.api.v1 import error_pb2
from gateway.control.access import NEEDS
from gateway.control.commands import REFUSALS
from gateway.control.error_reasons import REASONS, RECIPES, Repeat, recipes_of
from gateway.control.operations import _STATUSES
from gateway.control.outcomes import ALL, Then
from gateway.domain.callers import Role
from gateway.domain.operations import OperationRefusal
from tests.support.errors_page import CLIENT, PAGE, PROTO, client_table, page, proto

GATEWAY = Path(__file__).parents[2] / "gateway"
BY_NAME = {each.name: each for each in REASONS}

COMPUTED = {"NOT_SENT": ("UNAVAILABLE", "FAILED_PRECONDITION")}
"""Statuses of failures that are made with one or another."""

Raised = tuple[str, str, frozenset[str]]
"""A reason, its status, and the keys of its metadata that stand there as text."""


def raised() -> Iterator[Raised]:
    """Every reason that the control interface names, where it makes a failure."""
    for function, known in functions("control"):
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                yield from _made(ast.unparse(node.func), node, known)
    for reason, status in REFUSALS.items():
        yield reason.value, status.value, frozenset({"charge_point", "request_id"})
    for refusal in OperationRefusal:
        status = _STATUSES.get(refusal)
        yield refusal.value, "FAILED_PRECONDITION" if status is None else status.value, frozenset({"charge_point"})


Known = dict[str, frozenset[str]]
"""Names of a function's values, with the keys of those that are dictionaries."""


def functions(*packages: str) -> Iterator[tuple[ast.AST, Known]]:
    """Every function of the packages, with the dictionaries that it puts together."""
    for package in packages:
        for path in sorted((GATEWAY / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    known: Known = {}
                    for each in ast.walk(node):
                        for target, value in _assigned(each):
                            known[target] = known.get(target, frozenset()) | keys_of(value, known)
                    yield node, known


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names and the values that a statement gives them."""
    if not isinstance(node, ast.Assign):
        return
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target.id, node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = zip(target.elts, node.value.elts, strict=True)
            yield from ((each.id, value) for each, value in pairs if isinstance(each, ast.Name))


def keys_of(value: ast.expr | None, known: Known) -> frozenset[str]:
    """The keys of a dictionary, as far as they stand there as text."""
    match value:
        case ast.Dict(keys, values):
            found = [
                keys_of(each, known) if key is None else frozenset({str(key.value)})
                for key, each in zip(keys, values, strict=True)
                if key is None or isinstance(key, ast.Constant)
            ]
            return frozenset().union(*found)
        case ast.Name(id):
            return known.get(id, frozenset())
        case ast.IfExp(body=one, orelse=other):
            return keys_of(one, known) | keys_of(other, known)
    return frozenset()


def _made(function: str, call: ast.Call, known: Known) -> Iterator[Raised]:
    text = [each.value if isinstance(each, ast.Constant) else None for each in call.args]
    keys = frozenset[str]().union(*(keys_of(each, known) for each in call.args))
    match function, call.args:
        case "self.change", [ast.Name("context"), about, *_]:
            yield "OUTCOME_UNKNOWN", "UNKNOWN", keys_of(about, known) | {"cause"}
        case "outcome_unknown", _:
            yield "OUTCOME_UNKNOWN", "UNKNOWN", keys | {"cause"}
        case "Failure", [ast.Attribute(attr=status), ast.Constant(value=str(reason)), *_]:
            yield reason, status, keys
        case "Failure", [ast.Name(), ast.Constant(value=str(reason)), *_]:
            yield from ((reason, status, keys) for status in COMPUTED[reason])
        case "invalid", _:
            for each in call.keywords:
                if each.arg == "reason" and isinstance(each.value, ast.Constant):
                    yield str(each.value.value), "INVALID_ARGUMENT", keys
        case "not_found", [ast.Constant(value=str(what)), *_]:
            yield f"UNKNOWN_{what.replace(' ', '_').upper()}", "NOT_FOUND", frozenset({what.replace(" ", "_")})
        case "already_exists", _:
            key = str(text[0]).replace(" ", "_")
            yield f"{key.upper()}_EXISTS", "ALREADY_EXISTS", frozenset({key})
        case "stale", _ if text[0] is not None:
            yield "ETAG_MISMATCH", "ABORTED", frozenset({str(text[0]).replace(" ", "_")})


def test_what_is_raised_is_what_the_table_has() -> None:
    """Each reason, with its statuses, and with no key of metadata that the table lacks."""
    statuses, keys = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for reason, status, metadata in (*raised(), ("INVALID_REQUEST", "INVALID_ARGUMENT", frozenset[str]())):
        statuses[reason].add(status)
        keys[reason] |= metadata
    assert {name: set(each.statuses) for name, each in BY_NAME.items()} == statuses
    assert {name: sorted(found - set(BY_NAME[name].metadata)) for name, found in keys.items()} == {
        name: [] for name in BY_NAME
    }


def test_no_key_of_the_table_is_never_there() -> None:
    """Each is in the metadata of a failure somewhere: of those above, of a refusal of the sessions', or by an outcome
    that is walked."""
    found = defaultdict[str, set[str]](set)
    for reason, _, metadata in raised():
        found[reason] |= metadata
    for row in ALL:
        found[row.reason] |= set(row.metadata)
    for function, known in functions("session", "charging", "control", "domain"):
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            given = {each.arg: each.value for each in node.keywords}
            match ast.unparse(node.func), node.args:
                case "evolve", [ast.Name("refusal"), *_]:  # of a charge point that is not connected
                    found["CHARGE_POINT_OFFLINE"] |= keys_of(given.get("metadata"), known)
                case "Failure", [_, ast.Attribute(ast.Attribute(attr=reason), "value"), *more]:
                    found[reason] |= frozenset[str]().union(*(keys_of(each, known) for each in more))
                case "_taken", [ast.Constant(value=str(key)), *_]:
                    found["CALLER_EXISTS"].add(key)
                case "Refused" | "OperationRefused" | "_refused", [ast.Attribute(attr=reason), _, *more]:
                    metadata = given.get("metadata", more[-1] if more else None)
                    found[reason] |= keys_of(metadata, known)
    assert {name: sorted(set(each.metadata) - found[name]) for name, each in BY_NAME.items()} == {
        name: [] for name in BY_NAME
    }


def test_a_reason_that_is_computed_is_not_overlooked() -> None:
    """The search above sees text alone: a failure whose reason is none is one of these."""
    computed = []
    for path in sorted((GATEWAY / "control").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="Failure"), args=[_, reason, *_]):
                    if not isinstance(reason, ast.Constant):
                        computed.append(f"{path.stem}: {ast.unparse(reason)}")
    assert sorted(computed) == [
        "commands: reason",  # a charger's own code
        "commands: refusal.reason.value",
        "errors: f'UNKNOWN_{key.upper()}'",
        "errors: f'{key.upper()}_EXISTS'",
        "errors: reason",
        "operations: RefusalReason.REQUEST_ID_REUSED.value",
        "operations: outcome.reason.value",
        "operations: refusal.reason.value",
        "steering: outcome.reason.value",
    ]


def test_every_way_to_end_has_its_reason_in_the_table() -> None:
    """With that status and, where several ways share a reason, with an advice that covers each of them."""
    advice = {
        Then.SAME_ID: Repeat.SAME,
        Then.REPEAT: Repeat.SAME,
        Then.NEW_ID: Repeat.NEW,
        Then.READ: Repeat.READ,
        Then.READ_AND_CHANGE: Repeat.READ,
        Then.WAIT: Repeat.WAIT,
        Then.INSIST: Repeat.WAIT,
        Then.MEND: Repeat.NEVER,
    }
    for row in ALL:
        if row.reason and row.reason.isupper():
            reason = BY_NAME[row.reason]
            assert row.status in reason.statuses, row.name
            assert advice[row.then] in reason.repeats, row.name
            assert set(row.metadata) <= set(reason.metadata), row.name


def test_the_enum_is_the_table() -> None:
    """A client finds the value by the reason's name. No number was given to another reason."""
    enum = error_pb2.ErrorReason.DESCRIPTOR
    assert {each.name: each.number for each in enum.values} == {
        "ERROR_REASON_UNSPECIFIED": 0,
        **{each.name: number for number, each in enumerate(REASONS, 1)},
    }
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{2,62}", each.name) for each in REASONS)


def test_proto_and_page_are_made_from_the_table() -> None:
    """None drifts from it, nor the client's table; ``python -m tests.support.errors_page`` writes all."""
    assert CLIENT.read_text(encoding="utf-8") == client_table()
    assert PROTO.read_text(encoding="utf-8") == proto()
    assert PAGE.read_text(encoding="utf-8") == page()


def test_each_rpc_that_changes_something_has_a_recipe() -> None:
    """For OUTCOME_UNKNOWN; those of CommandService have one together."""
    # The last two answer what the gateway asks of them, on a stream that they begin anew.
    readers = re.compile(r"(Get|Tap|List|Watch|Check|Count|Stream|Compute|Estimate|HandleVendor|SignCertificates)")
    changing = {
        name
        for service, methods in NEEDS.items()
        if service.startswith("gateway.") and service != "gateway.api.v1.CommandService"
        for name, need in methods.items()
        if isinstance(need, Role) and not readers.match(name)
    }
    assert recipes_of(changing).keys() == changing
    assert {name for names, _ in RECIPES[1:] for name in names.split()} == changing


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_what_may_be_repeated_blindly_says_that_nothing_was_done(reason: object) -> None:
    """UNAVAILABLE is repeated by generic layers, ABORTED by some: with both, nothing was done."""
    each = BY_NAME[reason.name]  # type: ignore[attr-defined]
    if "UNAVAILABLE" in each.statuses:
        assert each.repeats[0] is Repeat.SAME
    if each.statuses == ("UNKNOWN",):
        assert each.name == "OUTCOME_UNKNOWN"
