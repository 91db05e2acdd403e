"""Values and depth, counted before anything is read, against a reader that counts what it has read."""

import itertools
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.json_scan import Scan
from gateway.ocpp.payload_bounds import MAX_DEPTH, MAX_NODES, MAX_RECORDED_NODES, PIECE_BYTES, nodes_at_most
from gateway.ocpp.rpc import Call, CallResult, Malformed, Unread, parse, reading
from tests.hostile import payloads

NASTY = st.text(st.sampled_from('[]{}",:\\/ \n\u00e9\U0001f600ab' + string.digits), max_size=12)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=30,
)


def counted(value: Any) -> tuple[int, int, int]:
    """Values, depth, and how many lists and objects are empty."""
    if not isinstance(value, list | dict):
        return 1, 0, 0
    inner = [counted(each) for each in (value.values() if isinstance(value, dict) else value)]
    return (
        1 + sum(nodes for nodes, _, _ in inner),
        1 + max((depth for _, depth, _ in inner), default=0),
        (not inner) + sum(empty for _, _, empty in inner),
    )


def scanned(data: bytes, cuts: list[int]) -> Scan:
    scan = Scan()
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(bounds):
        scan.add(data[begin:end])
    return scan


@given(VALUES, st.lists(st.integers(0, 500), max_size=5), st.booleans())
def test_values_and_depth_are_those_of_the_reader_however_the_bytes_are_cut(
    value: Any, cuts: list[int], ascii_only: bool
) -> None:
    """Text in strings counts for nothing, escapes and quotes in them included."""
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    nodes, depth, empty = counted(value)
    scan = scanned(data, cuts)
    assert (scan.deepest, scan.nodes, scan.closed) == (depth, nodes + empty, True)
    assert nodes_at_most(data) >= scan.nodes


@given(st.binary(max_size=200), st.lists(st.integers(0, 500), max_size=5))
def test_any_bytes_are_counted_the_same_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    """Also what is no JSON; and no more is found than there are bytes."""
    whole, pieces = scanned(data, []), scanned(data, cuts)
    assert (whole.nodes, whole.deepest, whole.depth) == (pieces.nodes, pieces.deepest, pieces.depth)
    assert whole.nodes <= nodes_at_most(data) <= 1 + len(data)


def recorded(action: str) -> bool:
    return action == "MeterValues"


def of_depth(depth: int, action: str, filler: int) -> bytes:
    """A CALL nested so deep, with so many bytes more."""
    lists = depth - 2
    return (f'[2,"x","{action}",{{"a":"{"x" * filler}","b":' + "[" * lists + "]" * lists + "}]").encode()


@pytest.mark.parametrize("filler", [0, 20_000, 200_000])
@pytest.mark.parametrize("action", ["MeterValues", "DataTransfer"])
def test_nesting_is_read_up_to_its_bound_in_small_and_large_messages(action: str, filler: int) -> None:
    """One level more is kept as text where it must be recorded, and malformed else."""
    assert isinstance(parse(of_depth(MAX_DEPTH, action, filler), recorded), Call)
    beyond = parse(of_depth(MAX_DEPTH + 1, action, filler), recorded)
    assert isinstance(beyond, Unread if action == "MeterValues" else Malformed)
    deepest = parse(of_depth(5000, action, filler), recorded)  # deeper than orjson goes
    assert isinstance(deepest, Unread if action == "MeterValues" else Malformed)


@pytest.mark.parametrize(("action", "most"), [("MeterValues", MAX_RECORDED_NODES), ("DataTransfer", MAX_NODES)])
def test_values_are_read_up_to_the_bound_of_their_message(action: str, most: int) -> None:
    """Two hundred and sixty thousand where they must be recorded, an eighth of that else."""

    def message(values: int) -> bytes:
        # The list, its three elements and the payload, its field, the numbers.
        return f'[2,"x","{action}",{{"a":[{",".join("1" * (values - 6))}]}}]'.encode()

    assert nodes_at_most(message(most)) == most
    assert isinstance(parse(message(most), recorded), Call)
    beyond = parse(message(most + 1), recorded)
    assert isinstance(beyond, Unread if action == "MeterValues" else Malformed)
    assert beyond.message_id == "x"
    if isinstance(beyond, Malformed):
        assert beyond.answerable


def test_an_answer_beyond_the_bound_fails_its_call() -> None:
    """It names the id, so that the caller needn't wait."""
    assert isinstance(parse(payloads.filled('[3,"x",[', "1", "]]", 2 * MAX_NODES - 100)), CallResult)
    frame = parse(payloads.filled('[3,"x",[', "1", "]]"))
    assert isinstance(frame, Malformed)
    assert (frame.kind, frame.message_id, frame.answerable) == (3, "x", False)


def test_honest_texts_of_brackets_are_no_values() -> None:
    """A megabyte of brackets, commas and quotes within one text is one value."""
    data = payloads.text_of_brackets()
    assert nodes_at_most(data) > MAX_RECORDED_NODES
    frame = parse(data)
    assert isinstance(frame, Call)
    assert frame.payload["data"].startswith('[{,"\\')


def test_what_is_beyond_the_bounds_is_counted_no_further() -> None:
    """However long the rest is: a megabyte of nested lists is given up in its first half, before any of it is read."""
    turns = sum(1 for _ in reading(payloads.nested_lists(4 * payloads.MEGABYTE)))
    assert turns <= 2 * MAX_RECORDED_NODES // PIECE_BYTES + 1


def test_a_stop_of_four_megabytes_is_read_in_turns() -> None:
    """One turn for each piece of it, and the reading of its JSON."""
    data = payloads.long_stop()
    turns, frame = 0, None
    steps = reading(data, lambda action: action == "StopTransaction")
    while True:
        try:
            next(steps)
        except StopIteration as done:
            frame = done.value
            break
        turns += 1
    assert isinstance(frame, Call)
    assert len(frame.payload["transactionData"]) > 4_000
    assert turns >= len(data) // PIECE_BYTES


READ = frozenset({"recorded-objects", "text-of-brackets", "large-exponents", "escapes", "wrong-samples", "many-times"})
"""Of what is dear, what is within the bounds."""


@pytest.mark.parametrize("name", payloads.DEAR)
def test_whatever_is_dear_becomes_a_frame(name: str) -> None:
    """A CALL to be answered, one to be recorded, or an answerable fault: never nothing, never an exception."""
    frame = parse(payloads.DEAR[name](), recorded)
    if name == "nested-meter-values":
        assert isinstance(frame, Unread)
    elif name in READ:
        assert isinstance(frame, Call)
    else:
        assert isinstance(frame, Malformed)
        assert (frame.answerable, frame.message_id) == (True, "x")
