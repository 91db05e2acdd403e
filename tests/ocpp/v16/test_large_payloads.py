"""The largest messages, wrong in every place: read within a bounded time, because all other chargers wait meanwhile."""

import json
import time
from decimal import Decimal

import pytest

from gateway.domain.commands import INVALID_CONFIRMATION, ChargerError, ConfigurationAnswer, GetConfiguration
from gateway.domain.decision import CallRefused, Request
from gateway.domain.readings import samples
from gateway.domain.registers import MAX_MOMENTS, MAX_SAMPLES, newest_registers, thinned
from gateway.domain.values import Flag
from gateway.ocpp.payload_bounds import MAX_NODES, MAX_RECORDED_NODES
from gateway.ocpp.rpc import MAX_LENIENT, Call, CallResult, Malformed, parse
from gateway.ocpp.v16.decode import decode_answer
from gateway.ocpp.v16.decode_calls import MAX_MENDED_NODES, decode_call
from gateway.ocpp.v16.repairs import NEVER_REFUSED
from tests.support.harness import EPOCH

MEGABYTE = 1024 * 1024

SECONDS = 1.5
"""For one message on a busy machine; each of these took between 0.4 and 10 s when nothing bounded it."""

T = "2024-05-01T10:00:00Z"


def filled(before: str, item: str, after: str, most: int = MEGABYTE) -> bytes:
    """A message of up to one megabyte with as many items as go into it, or as have so many values."""
    values = 1 + sum(map(item.count, "{[,"))
    count = min((MEGABYTE - 200) // (len(item) + 1), most // values)
    return (before + ",".join([item] * count) + after).encode()


def is_recorded(action: str) -> bool:
    return action in NEVER_REFUSED


METER_VALUES = '[2,"1","MeterValues",{"connectorId":1,"meterValue":['
ONE_TIME = METER_VALUES + f'{{"timestamp":"{T}","sampledValue":['
STOP = f'[2,"1","StopTransaction",{{"transactionId":1,"meterStop":5,"timestamp":"{T}","transactionData":['


WRONG = {
    "empty-objects": (METER_VALUES, "{}", "]}]"),
    "numbers": (METER_VALUES, "0", "]}]"),
    "nested": (METER_VALUES, '{"a":[{}]}', "]}]"),
    "number-values": (ONE_TIME, '{"value":1}', "]}]}]"),
    "empty-samples": (ONE_TIME, "{}", "]}]}]"),
    "spellings": (ONE_TIME, '{"value":"1","unit":"wh"}', "]}]}]"),
    "stop": (STOP, "{}", "]}]"),
}
"""Wrong in every place: what is before, the item, what is after."""


@pytest.mark.parametrize("data", [filled(*parts, MAX_RECORDED_NODES - 20) for parts in WRONG.values()], ids=WRONG)
def test_a_megabyte_of_wrong_meter_values_is_kept_as_sent_within_a_bounded_time(data):
    """Never refused (A4.2), and flagged; the values themselves stay as they came."""
    begin = time.process_time()
    frame = parse(data, is_recorded)
    assert isinstance(frame, Call)
    request = decode_call("1", frame.action, frame.payload)
    assert time.process_time() - begin < SECONDS
    assert isinstance(request, Request)
    assert request.flags == (Flag.DEVIATES,)
    assert "large-as-sent" in request.deviations
    assert request.raw == frame.payload
    sent = frame.payload.get("meterValue") or frame.payload.get("transactionData")
    assert (getattr(request.payload, "meter_value", None) or request.payload.transaction_data) == sent


def test_registers_are_looked_at_in_a_bounded_number_of_moments_and_samples():
    """The first and the last among them, however many a message has."""

    def moment(wh: int, samples: int = 1) -> dict[str, object]:
        return {"timestamp": T, "sampledValue": [{"value": str(wh)}] * samples}

    few = [moment(n) for n in range(MAX_MOMENTS)]
    assert list(thinned(few)) == few
    many = thinned([moment(n, 1000) for n in range(40_000)])
    assert len(many) <= MAX_MOMENTS + 1
    assert {len(each["sampledValue"]) for each in many} == {MAX_SAMPLES}
    assert [each["sampledValue"][0]["value"] for each in (many[0], many[-1])] == ["0", "39999"]
    assert newest_registers([moment(n) for n in range(40_000)]) == ((("Outlet", Decimal(39_999)),), False)


def test_what_stays_as_sent_is_still_read_sample_by_sample():
    """A long transaction's data from a charger that sends numbers for text (X14)."""
    values = [{"timestamp": T, "sampledValue": [{"value": n, "unit": "Wh"}]} for n in range(MAX_MENDED_NODES)]
    payload = {"transactionId": 1, "meterStop": "5", "timestamp": T, "transactionData": values, "vendor": 1}
    request = decode_call("1", "StopTransaction", payload)
    assert isinstance(request, Request)
    assert request.deviations == ("large-as-sent", "extra-property", "text-for-integer")
    assert request.payload.meter_stop == 5
    assert [int(each.value) for each in samples(request.payload.transaction_data, EPOCH)] == list(range(len(values)))


def test_a_large_message_without_a_fault_has_no_such_limit():
    """The fast lane takes it whole."""
    sample = {"value": "1", "measurand": "Energy.Active.Import.Register"}
    values = [{"timestamp": T, "sampledValue": [sample]}] * MAX_MENDED_NODES
    request = decode_call("1", "MeterValues", {"connectorId": 1, "meterValue": values})
    assert isinstance(request, Request)
    assert request.flags == ()


@pytest.mark.parametrize(
    ("action", "payload", "kept"),
    [
        ("Heartbeat", {}, True),
        ("DataTransfer", {"vendorId": "V", "data": [{}] * 300_000}, True),
        ("Authorize", {"idTag": [{}] * 300_000}, False),
        ("StatusNotification", {"connectorId": 1}, False),
    ],
)
def test_a_megabyte_of_extra_fields_is_dropped_within_a_bounded_time(action, payload, kept):
    """The rest is read, or refused by its name as ever."""
    extras = {f"k{n}": n for n in range(60_000)}
    begin = time.process_time()
    request = decode_call("1", action, payload | extras)
    assert time.process_time() - begin < SECONDS
    assert isinstance(request, Request if kept else CallRefused)


def test_a_large_confirmation_that_is_wrong_everywhere_is_not_mended():
    """Mending is bounded at the size of the largest real ones; beyond it a command fails rather than hold up others."""

    def answer(keys: int) -> object:
        entries = [{"key": f"k{n}", "readonly": "false", "value": "x"} for n in range(keys)]
        return decode_answer(GetConfiguration(), {"configurationKey": entries}).answer

    assert isinstance(answer(1000), ConfigurationAnswer)
    refused = answer(8000)
    assert isinstance(refused, ChargerError)
    assert refused.code == INVALID_CONFIRMATION


@pytest.mark.parametrize("item", ["[]", "{}", '{"a":0}', "1"])
def test_the_depth_of_a_wide_frame_is_found_within_a_bounded_time(item):
    """Wide is not deep."""
    data = filled('[3,"x",[', item, "]]", MAX_NODES - 20)
    begin = time.process_time()
    assert isinstance(parse(data), CallResult)
    assert time.process_time() - begin < SECONDS


@pytest.mark.parametrize("odd", ["NaN", "1e999", '"\\ud800"'])
def test_only_what_is_not_too_large_is_read_leniently(odd):
    """The lenient reader is slow, and chargers that need it send little."""

    def message(size: int) -> bytes:
        return json.dumps([2, "1", "DataTransfer", {"odd": 0, "data": "x" * size}]).replace(": 0", f": {odd}").encode()

    assert isinstance(parse(message(1000)), Call)
    assert isinstance(parse(message(MAX_LENIENT - 200)), Call)
    malformed = parse(message(MAX_LENIENT))
    assert isinstance(malformed, Malformed)
    assert malformed.answerable
