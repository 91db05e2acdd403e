"""A message that must be recorded and is beyond the bounds: its plain fields are read, the rest is its text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.decision import Request
from gateway.domain.values import Flag
from gateway.ocpp.rpc import Unread, parse
from gateway.ocpp.v16.decode_calls import decode_unread
from gateway.ocpp.v16.outline import REGION_BYTES, outline
from gateway.ocpp.v16.repairs import NEVER_REFUSED
from tests.hostile import payloads

T = "2026-01-01T00:00:00Z"
HUGE = json.loads("[" * 27 + "]" * 27)


def unread(text: str) -> Request:
    """Decode a message that is taken without being parsed as a whole."""
    frame = parse(text.encode(), lambda action: action in NEVER_REFUSED)
    assert isinstance(frame, Unread)
    return decode_unread(frame.message_id, frame.action, frame.data)


def stop(before: str, after: str, values: str = "[" + "[]," * 300_000 + "1]") -> str:
    return f'[2,"x","StopTransaction",{{{before}"transactionData":{values}{after}}}]'


FIELDS = f'"transactionId":7,"meterStop":1500,"timestamp":"{T}","idTag":"A]{{","reason":"EVDisconnected"'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FIELDS + ",", ""),
        ("", "," + FIELDS),
        ('"transactionId":7,"idTag":"A]{",', f',"meterStop":1500,"timestamp":"{T}","reason":"EVDisconnected"'),
    ],
    ids=["before-the-values", "behind-them", "on-both-sides"],
)
@pytest.mark.parametrize("values", ["wide", "deep"])
def test_the_fields_beside_the_values_are_read(before: str, after: str, values: str) -> None:
    """A real stop with a register, a time and a tag ends its transaction, however odd its samples are."""
    text = stop(before, after) if values == "wide" else stop(before, after, "[" * 50 + "]" * 50)
    request = unread(text)
    payload: Any = request.payload
    assert (payload.transaction_id, payload.meter_stop, payload.timestamp) == (7, 1500, T)
    assert (payload.id_tag, payload.reason) == ("A]{", "EVDisconnected")
    assert request.flags == (Flag.DEVIATES, Flag.UNREAD)
    assert request.deviations == ("unread",)
    assert request.text == text.removeprefix('[2,"x","StopTransaction",').removesuffix("]")


def test_fields_are_mended_as_in_any_message() -> None:
    """A register in text, a number that is missing: as the repair lane has it."""
    request = unread(stop(f'"meterStop":"1500","timestamp":"{T}",', ""))
    payload: Any = request.payload
    assert (payload.meter_stop, payload.transaction_id) == (1500, 0)
    assert set(request.deviations) == {"unread", "text-for-integer", "missing-number"}


@pytest.mark.parametrize("action", sorted(NEVER_REFUSED))
@pytest.mark.parametrize("odd", ["[" * 300_000, "{" * 300_000, '"' + "[" * 40 + "]" * 40, "[[]," * 300_000])
def test_what_makes_no_sense_at_all_is_recorded_too(action: str, odd: str) -> None:
    """Never an exception, never a refusal (A4.2)."""
    frame = parse(f'[2,"x","{action}",{odd}'.encode(), lambda name: name in NEVER_REFUSED)
    if isinstance(frame, Unread):
        request = decode_unread(frame.message_id, frame.action, frame.data)
        assert Flag.UNREAD in request.flags
        assert request.text == odd
    else:
        assert odd.startswith('"')  # one unfinished text: cut off, and not beyond a bound


@pytest.mark.parametrize("odd", ["NaN", "1e999", '"\\ud800"', "9" * 5000])
def test_what_only_the_lenient_reader_takes_and_is_too_large_for_it_is_recorded(odd: str) -> None:
    """A charger would send it again for ever; one that is cut off it may send better."""
    text = f'[2,"x","MeterValues",{{"connectorId":2,"meterValue":[{{"a":{odd},"b":"{"x" * 100_000}"}}]}}]'
    request = unread(text)
    assert request.payload.connector_id == 2  # type: ignore[attr-defined]
    cut = parse(text[:-3].encode(), lambda name: name in NEVER_REFUSED)
    assert not isinstance(cut, Unread)


SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8)
FIELD_NAMES = st.text(st.characters(codec="utf-8"), max_size=6)
INNER = st.lists(st.text('[]{}",:\\ab', max_size=5) | st.integers(0, 9), max_size=4) | st.dictionaries(
    st.text('[]{}",:\\ab', max_size=4), st.text('[]{}",:\\ab', max_size=5) | st.none(), max_size=3
)


@given(
    st.dictionaries(FIELD_NAMES, SCALARS, max_size=4),
    st.dictionaries(FIELD_NAMES, INNER, min_size=1, max_size=3),
    st.dictionaries(FIELD_NAMES, SCALARS, max_size=4),
    st.sampled_from([None, 1]),
)
def test_plain_fields_before_and_behind_are_those_of_the_reader(
    before: dict[str, Any], inner: dict[str, Any], after: dict[str, Any], indent: int | None
) -> None:
    """Whatever brackets and quotes stand in texts between: every field that is found is right, and none is missed."""
    parts = [json.dumps(each, indent=indent, ensure_ascii=False)[1:-1].strip() for each in (before, inner, after)]
    data = ("{" + ",".join(part for part in parts if part) + "}").encode()
    assert outline(data) == before | after


@given(st.binary(max_size=300) | st.text('[]{}",:\\ 1a', max_size=300).map(str.encode))
def test_any_bytes_have_an_outline(data: bytes) -> None:
    """Or none."""
    assert isinstance(outline(b"{" + data), dict)


def test_an_outline_looks_at_both_ends_only() -> None:
    """However many fields there are, and however many brackets."""
    many = ",".join(f'"k{n}":{n}' for n in range(50_000))
    assert len(outline(f"{{{many}}}".encode())) <= 64
    assert outline(b"{" + b"]" * (2 * REGION_BYTES) + b"}") == {}
    assert outline(payloads.long_stop()[25:-1])["meterStop"] == 5
