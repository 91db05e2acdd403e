"""The id of a CALL whose payload can't be read: recovered, so that the charger gets its answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ocpp.rpc import MAX_ECHOED_ID, Malformed, parse

BAD = '"Heartbeat",{"broken":'

SPELLINGS = {
    "plain": ('"19223201"', "19223201"),
    "escaped-quote": (r'"a\"b"', 'a"b'),
    "escaped-backslash": (r'"a\\"', "a\\"),
    "escaped-slash": (r'"a\/b"', "a/b"),
    "escaped-letter": (r'"\u0031\u0032"', "12"),
    "escaped-line-break": (r'"a\nb"', "a\nb"),
    "escaped-pair": (r'"\ud83d\ude00"', "\U0001f600"),
    "escaped-half-of-a-pair": (r'"\ud83d"', r"\ud83d"),
    "thirty-six-characters-of-two-bytes": (f'"{"é" * 36}"', "é" * 36),
    "thirty-six-characters-of-four-bytes": ('"' + "\U0001f600" * 36 + '"', "\U0001f600" * 36),
    "thirty-six-escaped": ('"' + r"\u00e9" * 36 + '"', "é" * 36),
    "thirty-seven-characters": (f'"{"x" * 37}"', "x" * 37),
    "as-long-as-is-echoed": (f'"{"x" * MAX_ECHOED_ID}"', "x" * MAX_ECHOED_ID),
    "as-long-as-is-echoed-all-escaped": ('"' + r"\ud83d\ude00" * MAX_ECHOED_ID + '"', "\U0001f600" * MAX_ECHOED_ID),
    "empty": ('""', ""),
}


@pytest.mark.parametrize("filler", ["", "x" * 100_000], ids=["small", "large"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_the_id_is_recovered_however_it_is_spelled(name: str, filler: str) -> None:
    """With a good payload it would be echoed, so it is with a bad one."""
    spelling, message_id = SPELLINGS[name]
    frame = parse(f'[2,{spelling},{BAD}"{filler}'.encode())
    assert frame == Malformed(frame.reason, message_id, True, 2, unread=True)  # type: ignore[union-attr]


@pytest.mark.parametrize("before", ["\ufeff", " \r\n\t", "\ufeff \n"])
def test_what_may_stand_before_a_frame_hides_no_id(before: str) -> None:
    """White space and a byte-order mark."""
    frame = parse(f'{before}[ 2 , "a\\"b" ,{BAD}'.encode())
    assert isinstance(frame, Malformed)
    assert (frame.message_id, frame.answerable) == ('a"b', True)


@pytest.mark.parametrize(
    "text",
    [
        f'[2,"{"x" * (MAX_ECHOED_ID + 1)}",{BAD}',
        f'[2,"{"x" * 100_000}",{BAD}',
        '[2,"x',
        r'[2,"x\u00',
        f"[2,7,{BAD}",
        f'[5,"x",{BAD}',
        '{"a":[2,"x",',
    ],
    ids=["longer-than-is-echoed", "of-a-megabyte", "unfinished", "unfinished-escape", "number", "other-kind", "object"],
)
def test_what_names_no_id_is_not_answered(text: str) -> None:
    """Nothing is made up."""
    frame = parse(text.encode())
    assert isinstance(frame, Malformed)
    assert not frame.answerable


@pytest.mark.parametrize("kind", [3, 4])
def test_a_broken_answer_fails_its_call_and_is_never_answered(kind: int) -> None:
    """Whatever its id is spelled like."""
    frame = parse(f'[{kind},"\\u0061b",{{"broken":'.encode())
    assert isinstance(frame, Malformed)
    assert (frame.message_id, frame.kind, frame.answerable) == ("ab", kind, False)


@given(st.text(max_size=60).filter(lambda text: text.isprintable()), st.booleans())
def test_a_recovered_id_is_the_one_that_a_good_frame_has(message_id: str, ascii_only: bool) -> None:
    """To the letter."""
    spelled = json.dumps(message_id, ensure_ascii=ascii_only)
    good: Any = parse(f'[2,{spelled},"Heartbeat",{{}}]'.encode())
    bad: Any = parse(f'[2,{spelled},"Heartbeat",{{]'.encode())
    assert bad.message_id == good.message_id == message_id
