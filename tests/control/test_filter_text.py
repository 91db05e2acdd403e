"""Filters and orders as clients write them: read as they are meant, or refused with the place of the fault."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.errors import Failure
from gateway.control.filter_text import MAX_COMPARISONS, MAX_DEPTH, MAX_FILTER, Field, Kind, read_filter, read_order
from gateway.domain.conditions import AllOf, AnyOf, Comparison, Condition, Not, Operator, Order
from gateway.domain.labels import is_key

FIELDS = {
    "identity": Field(Kind.TEXT),
    "state": Field(Kind.WORD, {"OPEN": "open", "LOST": "lost"}),
    "connected": Field(Kind.FLAG),
    "create_time": Field(Kind.TIME),
    "labels": Field(Kind.LABEL),
}
A = Comparison("identity", Operator.EQUAL, "a")
B = Comparison("identity", Operator.EQUAL, "b")
C = Comparison("identity", Operator.EQUAL, "c")


def read(text: str) -> Condition | None:
    return read_filter(text, FIELDS)


def fault(text: str) -> str:
    with pytest.raises(Failure) as caught:
        read(text)
    assert caught.value.reason == "INVALID_REQUEST"
    (violation,) = caught.value.violations
    assert violation.field == "filter"
    return violation.description


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", None),
        ("   ", None),
        ("identity = a", A),
        ("identity=a", A),
        ("identity = 'a'", A),
        ('identity = "a"', A),
        (r'identity = "say \"a\" \\ b"', Comparison("identity", Operator.EQUAL, 'say "a" \\ b')),
        ("identity != a", Not(A)),
        ("identity >= a", Comparison("identity", Operator.GREATER_OR_EQUAL, "a")),
        ("NOT identity = a", Not(A)),
        ("-identity = a", Not(A)),
        ("identity = a AND identity = b", AllOf((A, B))),
        ("identity = a OR identity = b", AnyOf((A, B))),
        ("identity = a AND identity = b OR identity = c", AllOf((A, AnyOf((B, C))))),
        ("(identity = a AND identity = b) OR identity = c", AnyOf((AllOf((A, B)), C))),
        ("NOT (identity = a OR identity = b)", Not(AnyOf((A, B)))),
        ("state = OPEN", Comparison("state", Operator.EQUAL, "open")),
        ("connected = true", Comparison("connected", Operator.EQUAL, True)),
        ("connected != false", Not(Comparison("connected", Operator.EQUAL, False))),
        (
            'create_time < "2026-03-01T13:00:00+01:00"',
            Comparison("create_time", Operator.LESS, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ),
        ("labels.site = north", Comparison("labels", Operator.EQUAL, "north", "site")),
        ("labels.a.b/c-d = x", Comparison("labels", Operator.EQUAL, "x", "a.b/c-d")),
        ("labels.site != north", Not(Comparison("labels", Operator.EQUAL, "north", "site"))),
        ("labels.site = ''", Comparison("labels", Operator.EQUAL, "", "site")),
        ("labels:site", Comparison("labels", Operator.HAS, "", "site")),
        ("labels.site:*", Comparison("labels", Operator.HAS, "", "site")),
        ("labels.site:'*'", Comparison("labels", Operator.EQUAL, "*", "site")),
    ],
)
def test_a_filter_is_read_as_it_is_meant(text: str, condition: Condition | None) -> None:
    """OR binds closer than AND, as in AIP-160."""
    assert read(text) == condition


@pytest.mark.parametrize(
    ("text", "fault_"),
    [
        ("colour = red", "at character 1: there is no field colour; there are identity, state, connected, create_time, "
         "labels.KEY"),
        ("identity = a AND colour = red", "at character 18: there is no field colour"),
        ("identity.x = a", "at character 1: there is no field identity.x"),
        ("identity", "at character 9: identity: expected = != < <= > >= or :, and there is the end"),
        ("identity =", "at character 11: identity: expected a value, and there is the end"),
        ("identity = (", "at character 12: identity: expected a value, and there is ("),
        ("identity = a identity = b", "at character 14: expected AND, OR or the end, and there is identity"),
        ("(identity = a", "at character 14: expected ), and there is the end"),
        ("identity = a)", "at character 13: expected AND, OR or the end, and there is )"),
        ("= a", "at character 1: expected a field, and there is ="),
        ("identity = a AND", "at character 17: expected a field, and there is the end"),
        ("identity = 'a", "at character 12: a text that is not closed"),
        ("identity = %", "at character 12: unexpected '%'"),
        ("identity : a", "at character 10: identity can't be compared by :, which is for labels"),
        ("state = open", "at character 9: state is one of OPEN, LOST"),
        ("state < OPEN", "at character 7: state can be compared by = and != alone"),
        ("connected = yes", "at character 13: connected is true or false"),
        ("create_time > 2026-03-01T12", "at character 15: create_time is a time with a zone, in quotes"),
        ("create_time > '2026-03-01T12:00:00'", "at character 15: create_time is a time with a zone, in quotes"),
        ("create_time > '0001-01-01T00:00:00+01:00'", "at character 15: create_time is a time with a zone"),
        ("labels = x", "at character 1: labels needs the key of a label: labels.KEY, or labels:KEY"),
        ("labels.site < x", "at character 13: labels.site can be compared by = != and : alone"),
        ("labels:*", "at character 8: '*' can't be the key of a label"),
        ("labels:'a b'", "at character 8: 'a b' can't be the key of a label"),
        ("labels.-a = x", "at character 1: '-a' can't be the key of a label"),
        ("identity = /a", "at character 12: unexpected '/'"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place_and_its_field(text: str, fault_: str) -> None:
    """Characters are counted from 1; nothing is guessed."""
    assert fault(text).startswith(fault_)


def test_a_filter_has_bounds() -> None:
    """Its length, its comparisons and its depth: at each it is read, beyond it is not."""
    longest = "identity = " + "a" * (MAX_FILTER - len("identity = "))
    assert read(longest) is not None
    assert fault(longest + "a") == f"at character {MAX_FILTER + 1}: is too long; 2,000 characters are taken"
    many = " OR ".join(["identity = a"] * MAX_COMPARISONS)
    assert read(many) == AnyOf((A,) * MAX_COMPARISONS)
    assert "compares more than 50 times" in fault(f"{many} OR identity = a")
    deep = "(" * MAX_DEPTH + "identity = a" + ")" * MAX_DEPTH
    assert read(deep) == A
    assert "nests deeper than 10" in fault(f"({deep})")
    assert "nests deeper than 10" in fault(f"NOT {deep}")
    beside = " AND ".join([f"(NOT {'(' * 8}identity = a{')' * 8})"] * 3)
    assert isinstance(read(beside), AllOf)


PIECES = ["identity", "labels.a", "labels", "state", "OPEN", "=", "!=", "<", ":", "(", ")", "AND", "OR", "NOT", "-"]
TEXTS = st.text(max_size=200) | st.lists(st.sampled_from([*PIECES, "'x'", '"', " "]), max_size=30).map(" ".join)


@given(TEXTS)
def test_any_text_is_read_or_refused(text: str) -> None:
    """With the documented error, and no other."""
    refused = refusal(text)
    assert refused is None or re.match(r"at character [1-9]\d*: \S", refused)


def refusal(text: str) -> str | None:
    """The fault of a filter; None: it has none."""
    try:
        read(text)
    except Failure as failure:
        return failure.violations[0].description
    return None


KEYS = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,20}[A-Za-z0-9])?", fullmatch=True).filter(is_key)
LEAVES = st.one_of(
    st.builds(
        Comparison,
        st.just("identity"),
        st.sampled_from([each for each in Operator if each is not Operator.HAS]),
        st.text(max_size=20),
    ),
    st.builds(Comparison, st.just("connected"), st.just(Operator.EQUAL), st.booleans()),
    st.builds(Comparison, st.just("labels"), st.just(Operator.EQUAL), st.text(max_size=20), KEYS),
    st.builds(Comparison, st.just("labels"), st.just(Operator.HAS), st.just(""), KEYS),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def written(condition: Condition) -> str:
    """The condition as a client may write it."""
    match condition:
        case Comparison("labels", Operator.HAS, key=key):
            return f"labels.{key}:*"
        case Comparison(field, operator, value, key):
            name = f"{field}.{key}" if key else field
            shown = (
                str(value).lower()
                if isinstance(value, bool)
                else '"' + str(value).replace("\\", r"\\").replace('"', r"\"") + '"'
            )
            return f"{name} {operator.value} {shown}"  # fmt: skip
        case Not(part):
            return f"NOT ({written(part)})"
        case AllOf(parts):
            return " AND ".join(f"({written(part)})" for part in parts)
        case AnyOf(parts):
            return " OR ".join(f"({written(part)})" for part in parts)
    raise AssertionError(condition)


@given(CONDITIONS)
def test_what_is_written_is_what_is_read(condition: Condition) -> None:
    """Whatever stands in texts: quotes, backslashes, words of the grammar, line ends."""
    text = written(condition)
    refused = refusal(text)
    if refused is None:
        assert read(text) == condition
    else:
        assert re.search("nests deeper|too long", refused)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("", Order("identity")),
        ("create_time", Order("created")),
        ("create_time asc", Order("created")),
        ("  create_time   desc ", Order("created", descending=True)),
    ],
)
def test_an_order_is_read(text: str, order: Order) -> None:
    """A field, and a way."""
    assert read_order(text, {"create_time": "created", "identity": "identity"}, Order("identity")) == order


@pytest.mark.parametrize("text", ["size", "create_time down", "create_time, identity", "desc", "create_time desc asc"])
def test_an_order_that_there_is_not_is_refused(text: str) -> None:
    """With those that there are."""
    with pytest.raises(Failure) as caught:
        read_order(text, {"create_time": "created", "identity": "identity"}, Order("identity"))
    (violation,) = caught.value.violations
    assert violation.field == "order_by"
    assert violation.description == 'must be one of create_time, identity, alone or followed by "asc" or "desc"'
