"""Overlong fields of a start, a stop or meter values: kept, flagged and confirmed, never a CALLERROR (A4.2).

A charger that is answered with an error repeats the message for ever and holds back all that comes after it.
"""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.records import TransactionState
from gateway.domain.values import Flag
from gateway.ocpp.rpc import MAX_ECHOED_ID
from tests.support.harness import Harness
from tests.support.station import booted, time

TEXTS = ("context", "format", "measurand", "phase", "location", "unit")
"""The texts of a sample besides its value; each of them is an enumeration."""


def values(**sample: Any) -> dict[str, Any]:
    """One meter value with one sample."""
    return {"timestamp": time(), "sampledValue": [{"value": "1200", **sample}]}


def messages(number: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """Sound messages about a transaction, by their events' types."""
    start = {"connectorId": 2, "idTag": "TAG", "meterStart": 1, "timestamp": time()}
    metered = {"connectorId": 1, "transactionId": number, "meterValue": [values()]}
    stop = {"transactionId": number, "meterStop": 1500, "timestamp": time(), "transactionData": [values()]}
    return {
        "transaction.started": ("StartTransaction", start),
        "meter_values.reported": ("MeterValues", metered),
        "transaction.stopped": ("StopTransaction", stop),
    }


KINDS = ("transaction.started", "meter_values.reported", "transaction.stopped")


def with_values(payload: dict[str, Any], *wrong: dict[str, Any]) -> dict[str, Any]:
    """The message with other meter values, whichever field holds them."""
    field = "transactionData" if "transactionData" in payload else "meterValue"
    return {**payload, field: list(wrong)}


@pytest.mark.parametrize("length", [37, 45, MAX_ECHOED_ID])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_id_that_is_too_long_is_confirmed_and_kept(
    harness: Harness, autojump_clock: MockClock, kind: str, length: int
) -> None:
    """With the id that was sent; a repetition under it is the same message."""
    async with booted(harness) as station:
        number = await station.charges()
        action, payload = messages(number)[kind]
        first = await station.says(action, "i" * length, **payload)
        (event,) = harness.events(kind)[-1:]
        assert event.cause == "message:" + "i" * length
        assert Flag.DEVIATES in event.flags
        before = len(harness.events(kind))
        assert await station.says(action, "i" * length, **payload) == first
        assert len(harness.events(kind)) == before
        if kind == "transaction.stopped":
            assert station.transaction(number).state is TransactionState.STOPPED


@pytest.mark.parametrize("length", [21, 45, 255, 4000])
@pytest.mark.parametrize("kind", ["transaction.started", "transaction.stopped"])
async def test_a_tag_that_is_too_long_is_confirmed_and_kept(
    harness: Harness, autojump_clock: MockClock, kind: str, length: int
) -> None:
    """A start by it is refused in its answer, a stop by it ends its transaction."""
    async with booted(harness) as station:
        number = await station.charges()
        action, payload = messages(number)[kind]
        answer = await station.says(action, **{**payload, "idTag": "T" * length})
        (event,) = harness.events(kind)[-1:]
        assert Flag.DEVIATES in event.flags
        assert '"' + "T" * min(length, 255) + '"' in event.body_json.decode()
        if kind == "transaction.started":
            assert answer["idTagInfo"]["status"] == "Invalid"
        else:
            assert station.transaction(number).state is TransactionState.STOPPED
            assert station.transaction(number).meter_stop == 1500


@pytest.mark.parametrize("length", [45, 300, 4000])
@pytest.mark.parametrize("field", [*TEXTS, "value", "timestamp"])
@pytest.mark.parametrize("kind", ["meter_values.reported", "transaction.stopped"])
async def test_a_text_of_a_meter_value_that_is_too_long_spoils_nothing(
    harness: Harness, autojump_clock: MockClock, kind: str, field: str, length: int
) -> None:
    """The message is confirmed, and what is beside it is read."""
    async with booted(harness) as station:
        number = await station.charges()
        action, payload = messages(number)[kind]
        long = "x" * length
        wrong = {**values(), "timestamp": long} if field == "timestamp" else values(**{field: long})
        assert await station.says(action, **with_values(payload, wrong, values())) == {}
        (event,) = harness.events(kind)[-1:]
        assert (Flag.DEVIATES in event.flags) == (field in TEXTS)  # the schema bounds neither value nor time
        assert "1200" in event.body_json.decode()
        if kind == "transaction.stopped":
            assert station.transaction(number).state is TransactionState.STOPPED


@pytest.mark.parametrize("length", [45, 300, 4000])
@pytest.mark.parametrize(
    ("kind", "field", "flag"),
    [
        ("transaction.started", "timestamp", Flag.TIME_UNREADABLE),
        ("transaction.stopped", "timestamp", Flag.TIME_UNREADABLE),
        ("transaction.stopped", "reason", Flag.DEVIATES),
        *((kind, "unheardOf", Flag.DEVIATES) for kind in KINDS),
        *((kind, "n" * 300, Flag.DEVIATES) for kind in KINDS),
    ],
)
async def test_any_other_text_that_is_too_long_is_confirmed_and_flagged(
    harness: Harness, autojump_clock: MockClock, kind: str, field: str, flag: Flag, length: int
) -> None:
    """Fields that there are and fields that there are not, and names as long."""
    async with booted(harness) as station:
        number = await station.charges()
        action, payload = messages(number)[kind]
        await station.says(action, **{**payload, field: "x" * length})
        (event,) = harness.events(kind)[-1:]
        assert flag in event.flags
        if kind == "transaction.stopped":
            assert station.transaction(number).state is TransactionState.STOPPED


@pytest.mark.parametrize("digits", [11, 25, 400])
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("transaction.started", "connectorId"),
        ("transaction.started", "meterStart"),
        ("transaction.started", "reservationId"),
        ("meter_values.reported", "connectorId"),
        ("meter_values.reported", "transactionId"),
        ("transaction.stopped", "meterStop"),
    ],
)
async def test_a_number_that_is_too_long_is_confirmed(
    harness: Harness, autojump_clock: MockClock, kind: str, field: str, digits: int
) -> None:
    """As a number and as a text; nothing is refused."""
    async with booted(harness) as station:
        number = await station.charges()
        action, payload = messages(number)[kind]
        before = len(harness.events(kind))
        await station.says(action, **{**payload, field: "9" * digits})
        await trio.sleep(1)
        assert len(harness.events(kind)) == before + 1


async def test_any_other_call_with_such_an_id_is_refused_with_it(harness: Harness, autojump_clock: MockClock) -> None:
    """J §4.2.3: the specification's own example of a CALLERROR."""
    async with booted(harness) as station:
        answer = await station.charger.call_frame("Heartbeat", {}, "i" * 45)
        assert answer[:2] == [4, "FormationViolation"]
