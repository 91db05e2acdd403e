"""OCTT's cases of triggered messages."""

from typing import Any

import pytest
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.commands import StatusAnswer, TriggeredMessage, TriggerMessage
from gateway.domain.values import ConnectorAddress
from tests.support.harness import Harness
from tests.support.station import ACCEPTED, REJECTED, booted, time

ONE = ConnectorAddress(1, 1)


async def test_tc_054_trigger_message(harness: Harness, autojump_clock: MockClock) -> None:
    """Five messages are triggered, each with the fields that concern it; each then comes and is confirmed."""
    async with booted(harness) as station:

        async def trigger(requested: TriggeredMessage, connector: ConnectorAddress | None, sent: Any) -> None:
            answer = await station.obeys(TriggerMessage(requested, connector), sent, ACCEPTED)
            assert answer == StatusAnswer("Accepted")

        sent: Any = {"requestedMessage": "MeterValues", "connectorId": 1}
        await trigger(TriggeredMessage.METER_VALUES, ONE, sent)
        sampled = [{"value": "1000", "context": "Trigger"}]
        values = [{"timestamp": time(), "sampledValue": sampled}]
        assert await station.says("MeterValues", connectorId=1, meterValue=values) == {}

        await trigger(TriggeredMessage.HEARTBEAT, None, {"requestedMessage": "Heartbeat"})
        assert await station.says("Heartbeat") == {"currentTime": time()}

        sent = {"requestedMessage": "StatusNotification", "connectorId": 1}
        await trigger(TriggeredMessage.STATUS_NOTIFICATION, ONE, sent)
        await station.status(1, "Available")

        sent = {"requestedMessage": "DiagnosticsStatusNotification"}
        await trigger(TriggeredMessage.DIAGNOSTICS_STATUS, None, sent)
        assert await station.says("DiagnosticsStatusNotification", status="Idle") == {}

        sent = {"requestedMessage": "FirmwareStatusNotification"}
        await trigger(TriggeredMessage.FIRMWARE_STATUS, None, sent)
        assert await station.says("FirmwareStatusNotification", status="Idle") == {}
        (kept,) = harness.bodies(e.MeterValuesReported.TYPE)
        assert kept == e.MeterValuesReported(ONE, tuple(values))


@pytest.mark.parametrize(("connector", "answer"), [(3, REJECTED), (1, {"status": "NotImplemented"})])
async def test_tc_055_trigger_rejected(
    harness: Harness, autojump_clock: MockClock, connector: int, answer: Any
) -> None:
    """A connector beyond the last one is asked for as the operator wishes; the charge point's word is returned."""
    async with booted(harness) as station:
        command = TriggerMessage(TriggeredMessage.STATUS_NOTIFICATION, ConnectorAddress(connector, 1))
        sent = {"requestedMessage": "StatusNotification", "connectorId": connector}
        assert await station.obeys(command, sent, answer) == StatusAnswer(answer["status"])
