"""Message ids that JSON can hold and few programs can: each is answered by the id that was sent, and kept.

J §4.1.4 says that an id is a text of 36 characters, and that the answer bears the same. A charger that finds another
one in it takes its message for unanswered, and sends it again for ever.
"""

import json
from typing import Any

import pytest
from trio.testing import MockClock

from gateway.domain.commands import ClearCache, CommandRecord, StatusAnswer
from gateway.domain.events import ConnectorStatusChanged
from tests.support.harness import Harness
from tests.support.station import ACCEPTED, Station, booted, time

IDS = {
    "half-of-a-pair": r'"\ud800"',
    "its-other-half-in-capitals": r'"\uDFFF"',
    "halves-in-the-wrong-order": r'"\udc00\ud800"',
    "half-between-letters": r'"a\ud83dé"',
    "half-beside-the-sign-for-it": r'"\ud800�"',
    "36-halves": '"' + r"\udABC" * 36 + '"',
    "escaped-backslash": r'"\\ud800"',
    "NUL": r'"a\u0000b"',
    "NUL-alone": r'"\u0000"',
    "controls": r'"\u0001\u0002\u001f\u007f"',
    "beyond-16-bits": '"\U0001f600\U0010ffff"',
    "beyond-16-bits-escaped": r'"\ud83d\ude00"',
    "ends-of-lines": '"\u2028\u2029\u0085"',
    "right-to-left": '"\u202e\u2066"',
    "no-character": '"\ufffe\uffff"',
    "the-sign-for-no-character": '"\ufffd"',
    "not-normalized": '"e\u0301"',
    "spaces": '"  "',
    "quotes": r'"\"\\\/"',
    "36-beyond-16-bits": '"' + "\U0001f600" * 36 + '"',
}
"""By what they are: the JSON of an id."""

BOUND = 255
"""Characters up to which an id that is too long is echoed."""


async def answered(station: Station, frame: str) -> tuple[bytes, list[Any]]:
    """The answer to a frame: its bytes, and what they mean."""
    await station.charger.send_raw(frame)
    answer = await station.charger._transport._from_gateway.receive()
    return answer, json.loads(answer)


def start(spelling: str, meter: int = 1000, seconds: float = 0) -> str:
    """A StartTransaction under an id."""
    payload = {"connectorId": 1, "idTag": "TAG", "meterStart": meter, "timestamp": time(seconds)}
    return f'[2,{spelling},"StartTransaction",{json.dumps(payload)}]'


@pytest.mark.parametrize("name", IDS)
async def test_an_answer_bears_the_id_that_was_sent(harness: Harness, autojump_clock: MockClock, name: str) -> None:
    """A confirmation, an error, and the error for a message that can't be read, small or large."""
    spelling = IDS[name]
    meant = json.loads(spelling)
    frames = {
        3: [
            f'[2,{spelling},"Heartbeat",{{}}]',
            f'[2, {spelling} ,"Heartbeat",{{"note":NaN}}]',
            f'[2,{spelling},"DataTransfer",{{"vendorId":"V","data":"{"x" * 30_000}"}}]',
            start(spelling),
        ],
        4: [
            f'[2,{spelling},"NoSuchAction",{{}}]',
            f"[2,{spelling}]",
            f'[2,{spelling},"Heartbeat",{{"cut',
            f'[2,{spelling},"Heartbeat",{"[" * 100}{"]" * 100}]',
            f'[2,{spelling},"DataTransfer",["{"x" * 100_000}',
        ],
    }
    async with booted(harness) as station:
        for kind, sent in frames.items():
            for frame in sent:
                answer, (what, message_id, *_) = await answered(station, frame)
                assert (what, message_id) == (kind, meant), frame[:80]
                if any("\ud800" <= each <= "\udfff" for each in meant):
                    assert answer.startswith(f"[{kind},{spelling},".encode())
        event = harness.events("transaction.started")[-1]
        assert event.cause == "message:" + meant.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("kind", ["StartTransaction", "MeterValues"])
async def test_what_has_to_be_recorded_is_under_such_an_id_too(
    harness: Harness, autojump_clock: MockClock, kind: str
) -> None:
    """Though it is too long for an id, or for being read."""
    values = ",".join(['{"timestamp":"x","sampledValue":[]}'] * 20)
    whole = {
        "StartTransaction": start(r'"' + r"\ud800" * BOUND + '"'),
        "MeterValues": f'[2,"{"x" * 36}\\udc00","MeterValues",{{"connectorId":1,"meterValue":[{values}],"x":NaN}}]',
    }[kind]
    deep = '"x":' + "[" * 100 + "]" * 100
    unread = f'[2,"\\ud800","{kind}",{{"connectorId":1,"idTag":"T","meterStart":1,"timestamp":"{time()}",{deep}}}]'
    async with booted(harness) as station:
        for frame in (whole, unread):
            answer, (what, message_id, *_) = await answered(station, frame)
            assert what == 3
            assert message_id == json.loads(frame.partition(",")[2].partition(',"' + kind)[0])
            assert answer.startswith(("[3," + frame.partition(",")[2].partition(',"' + kind)[0]).encode())


async def test_ids_that_differ_in_half_a_character_are_two(harness: Harness, autojump_clock: MockClock) -> None:
    """Starts of a clock that was never set differ by their ids alone."""
    async with booted(harness) as station:
        numbers = []
        for spelling in (r'"\ud800"', r'"\ud800"', r'"\ud801"'):
            frame = start(spelling).replace(time(), "1970-01-01T00:00:12Z")
            _, (_, _, confirmed) = await answered(station, frame)
            numbers.append(confirmed["transactionId"])
            await station.stops(numbers[-1])
        assert numbers[0] == numbers[1] != numbers[2]


async def test_an_id_of_the_gateways_own_is_a_chargers_too(harness: Harness, autojump_clock: MockClock) -> None:
    """Each side gives its own ids (J §4.1.4): a CALL under that of the command under way is confirmed, and the command
    goes on to wait for its answer."""
    async with booted(harness) as station:
        outcome = station.ask(ClearCache())
        message_id = await station.receives("ClearCache", {})
        _, (what, echoed, _) = await answered(station, f'[2,"{message_id}","Heartbeat",{{}}]')
        assert (what, echoed) == (3, message_id)
        await station.charger.answer(message_id, ACCEPTED)
        record = await outcome()
        assert isinstance(record, CommandRecord)
        assert record.answer == StatusAnswer("Accepted")


async def test_an_answer_under_half_a_character_answers_nothing(harness: Harness, autojump_clock: MockClock) -> None:
    """The gateway's ids have none."""
    async with booted(harness) as station:
        outcome = station.ask(ClearCache())
        message_id = await station.receives("ClearCache", {})
        await station.charger.send_raw(f'[3,"{message_id}\\ud800",{{"status":"Rejected"}}]')
        await station.charger.answer(message_id, ACCEPTED)
        record = await outcome()
        assert isinstance(record, CommandRecord)
        assert record.answer == StatusAnswer("Accepted")


async def test_half_a_character_in_a_value_is_recorded_as_the_sign_for_one(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """No UTF-8 has it; the rest of the text, whole pairs among it, is as it was sent."""
    async with booted(harness) as station:
        frame = (
            '[2,"1","StatusNotification",{"connectorId":1,"status":"Available","errorCode":"NoError",'
            r'"info":"a\ud83db\ude00\ud83d\ude00"}]'
        )
        _, (what, *_) = await answered(station, frame)
        assert what == 3
        body = harness.bodies_of(ConnectorStatusChanged)[-1]
        assert body.info == "a\ufffdb\ufffd\U0001f600"
