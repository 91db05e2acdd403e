"""Stops without a transaction, as an operator's attribution reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import TransactionOrphaned
from gateway.domain.orphans import OrphanStop, stop_of


def orphan(payload: object, dialect: str = "ocpp1.6") -> TransactionOrphaned:
    return TransactionOrphaned(7, "unknown-number", payload, dialect)


@pytest.mark.parametrize(
    ("sent", "stop"),
    [
        ({"meterStop": 9}, OrphanStop(9, "Local", None, ())),
        ({"meterStop": " 9 ", "reason": "Remote", "idTag": "T"}, OrphanStop(9, "Remote", "T", ())),
        ({"meterStop": 9.0, "reason": "", "idTag": ""}, OrphanStop(9, "Local", None, ())),
        ({"meterStop": 9, "transactionData": [{"a": 1}]}, OrphanStop(9, "Local", None, ({"a": 1},))),
        ({"meterStop": 9, "transactionData": {"a": 1}}, OrphanStop(9, "Local", None, ({"a": 1},))),
        ({"meterStop": 9.5}, None),
        ({"meterStop": -1}, None),
        ({"meterStop": True}, None),
        ({"meterStop": "many"}, None),
        ({"meterStop": 10**15 + 1}, None),
        ({}, None),
        ("{cut", None),
        ([9], None),
    ],
)
def test_a_stop_is_read_as_far_as_it_was_sent(sent: object, stop: OrphanStop | None) -> None:
    """Leniently; without a register there is nothing that could end a bill."""
    assert stop_of(orphan(sent)) == stop


def test_another_versions_stop_is_not_read() -> None:
    """Its fields mean other things."""
    assert stop_of(orphan({"meterStop": 9}, "ocpp2.0.1")) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["meterStop", "reason", "idTag", "transactionData"]), JSON) | JSON)
def test_nothing_that_was_sent_makes_it_fail(sent: object) -> None:
    """A register is a number of Wh, or there is none."""
    stop = stop_of(orphan(sent))
    assert stop is None or 0 <= stop.meter_stop <= 10**15
