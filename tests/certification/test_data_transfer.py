"""OCTT's case of vendors' data."""

from typing import Any

import pytest
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.commands import DataTransfer, DataTransferAnswer
from tests.support.harness import Harness
from tests.support.station import booted


@pytest.mark.parametrize("data", [None, "", '{"a":1}', "x" * 100_000, {"a": [1]}])
async def test_tc_064_data_transfer_to_the_central_system(
    harness: Harness, autojump_clock: MockClock, data: Any
) -> None:
    """Data for an unknown vendor is answered so, without data, whatever was sent, and is kept."""
    async with booted(harness) as station:
        sent = {"vendorId": "com.example", "messageId": "hello"} | ({} if data is None else {"data": data})
        assert await station.says("DataTransfer", **sent) == {"status": "UnknownVendorId"}
        (kept,) = harness.bodies(e.VendorDataReceived.TYPE)
        assert kept == e.VendorDataReceived("com.example", "UnknownVendorId", "hello", data)


async def test_data_transfer_to_the_charge_point(harness: Harness, autojump_clock: MockClock) -> None:
    """The other way: an operator's data goes out as given, and each of the four answers is returned."""
    async with booted(harness) as station:
        for status in ("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"):
            command = DataTransfer("com.example", "hello", '{"a":1}')
            payload = {"vendorId": "com.example", "messageId": "hello", "data": '{"a":1}'}
            answer = await station.obeys(command, payload, {"status": status, "data": "world"})
            assert answer == DataTransferAnswer(status, "world")
