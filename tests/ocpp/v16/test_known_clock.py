"""Times of a clock that is known to be wrong, put right in the message."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.decision import Request
from gateway.ocpp.v16.known_clock import corrected
from gateway.ocpp.v16.profiles.routing import protocol

HOUR = timedelta(hours=1)


def test_times_are_put_right_wherever_a_message_has_them() -> None:
    """Its own, and those of its meter values; what was sent stays as it is."""
    payload = {
        "timestamp": "2026-03-01T13:00:00Z",
        "meterStop": 5,
        "transactionData": [{"timestamp": "2026-03-01T12:30:00.250Z", "sampledValue": []}, "odd"],
        "meterValue": [{"timestamp": "2026-03-01T15:00:00+02:00"}],
    }
    sent = {**payload}
    assert corrected(payload, HOUR) == {
        "timestamp": "2026-03-01T12:00:00Z",
        "meterStop": 5,
        "transactionData": [{"timestamp": "2026-03-01T11:30:00.250000Z", "sampledValue": []}, "odd"],
        "meterValue": [{"timestamp": "2026-03-01T12:00:00Z"}],
    }
    assert payload == sent


@pytest.mark.parametrize("raw", ["", "soon", "1970-01-01T00:00:00Z", 17, None, "0001-01-01T00:00:00Z"])
def test_a_time_that_says_nothing_stays_as_it_was_sent(raw: object) -> None:
    """It can't be read, or is of a clock that was never set."""
    payload: Any = {"timestamp": raw}
    assert corrected(payload, HOUR) == payload


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=25)
    | st.just("2026-03-01T13:00:00Z")
    | st.just("9999-12-31T23:59:59Z"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["timestamp", "meterValue", "transactionData", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON_VALUES, st.sampled_from([HOUR, -HOUR, timedelta(days=1), timedelta(days=-1)]))
def test_whatever_is_sent_is_corrected_without_an_exception(payload: Any, ahead: timedelta) -> None:
    """And has the shape that it had."""
    found = corrected(payload, ahead)
    assert type(found) is type(payload)
    if isinstance(payload, dict):
        assert found.keys() == payload.keys()


def test_the_version_with_an_offset_reads_as_the_other_does() -> None:
    """But for the times."""
    plain = protocol()
    shifted = plain.with_clock_offset(3600)
    payload: Any = {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": "Available",
        "timestamp": "2026-03-01T13:00:00Z",
    }
    as_sent, as_meant = (each.decode_call("1", "StatusNotification", payload) for each in (plain, shifted))
    assert isinstance(as_sent, Request)
    assert isinstance(as_meant, Request)
    assert (as_sent.payload.timestamp, as_meant.payload.timestamp) == ("2026-03-01T13:00:00Z", "2026-03-01T12:00:00Z")
    assert shifted.subprotocol == plain.subprotocol
