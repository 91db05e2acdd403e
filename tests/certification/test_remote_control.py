"""OCTT's cases of the core profile in which the operator acts: starts, stops, resets, locks, configuration."""

import pytest
import trio
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.commands import (
    AvailabilityType,
    ChangeAvailability,
    ChangeConfiguration,
    ConfigurationAnswer,
    ConfigurationKey,
    GetConfiguration,
    RefusalReason,
    RemoteStartTransaction,
    RemoteStopTransaction,
    Reset,
    ResetType,
    StatusAnswer,
    UnlockConnector,
)
from gateway.domain.records import TransactionState
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress
from tests.support.harness import Harness
from tests.support.station import ACCEPTED, REJECTED, booted

ONE = ConnectorAddress(1, 1)
START = RemoteStartTransaction("TAG", ONE)
STARTED = {"connectorId": 1, "idTag": "TAG"}


async def test_tc_010_remote_start_cable_first(harness: Harness, autojump_clock: MockClock) -> None:
    """A remote start names connector and tag; the charge point authorizes it, starts and is accepted."""
    async with booted(harness) as station:
        await station.status(1, "Preparing")
        assert await station.obeys(START, STARTED, ACCEPTED) == StatusAnswer("Accepted")
        assert not station.recorded("transaction.started")  # B9.3: accepted is not started
        assert await station.authorize() == ACCEPTED
        assert (await station.starts())["idTagInfo"] == ACCEPTED
        await station.status(1, "Charging")


async def test_tc_011_1_remote_start_first(harness: Harness, autojump_clock: MockClock) -> None:
    """The cable comes after the remote start: the same."""
    async with booted(harness) as station:
        await station.obeys(START, STARTED, ACCEPTED)
        assert await station.authorize() == ACCEPTED
        await station.status(1, "Preparing")
        await trio.sleep(30)
        assert (await station.starts())["idTagInfo"] == ACCEPTED
        await station.status(1, "Charging")


async def test_tc_011_2_remote_start_timeout(harness: Harness, autojump_clock: MockClock) -> None:
    """No cable comes: the statuses are confirmed, the command stays accepted, and there is no session."""
    async with booted(harness) as station:
        assert await station.obeys(START, STARTED, ACCEPTED) == StatusAnswer("Accepted")
        assert await station.authorize() == ACCEPTED
        await station.status(1, "Preparing")
        await trio.sleep(60)
        await station.status(1, "Available")
        assert not station.recorded("transaction.started")


async def test_tc_012_remote_stop(harness: Harness, autojump_clock: MockClock) -> None:
    """A remote stop names the transaction by the charge point's number; only its StopTransaction ends it."""
    async with booted(harness) as station:
        number = await station.charges()
        stop = RemoteStopTransaction(station.transaction(number).transaction_id)
        assert await station.obeys(stop, {"transactionId": number}, ACCEPTED) == StatusAnswer("Accepted")
        assert station.transaction(number).state is TransactionState.OPEN  # B9.4: accepted is not stopped
        assert await station.stops(number, reason="Remote") == {}
        await station.status(1, "Finishing")
        await station.status(1, "Available")
        assert station.transaction(number).stop_reason == "Remote"


async def test_tc_013_hard_reset(harness: Harness, autojump_clock: MockClock) -> None:
    """Reset Hard; the charge point goes, comes back and boots."""
    async with booted(harness) as station:
        assert await station.obeys(Reset(ResetType.HARD), {"type": "Hard"}, ACCEPTED) == StatusAnswer("Accepted")
        await station.disconnects(cleanly=True)
        await station.connects()
        await station.boots()


async def test_tc_014_soft_reset(harness: Harness, autojump_clock: MockClock) -> None:
    """Reset Soft lets the transaction be stopped before the charge point boots."""
    async with booted(harness) as station:
        number = await station.charges()
        assert await station.obeys(Reset(ResetType.SOFT), {"type": "Soft"}, ACCEPTED) == StatusAnswer("Accepted")
        assert await station.stops(number, reason="SoftReset") == {}
        await station.disconnects(cleanly=True)
        await station.connects()
        await station.boots()
        assert station.transaction(number).stop_reason == "SoftReset"


@pytest.mark.parametrize(
    ("case", "status"), [("017_1", "Unlocked"), ("017_2", "NotSupported"), ("030", "UnlockFailed")]
)
async def test_tc_017_unlock_without_a_session(
    harness: Harness, autojump_clock: MockClock, case: str, status: str
) -> None:
    """017_1, 017_2, 030: the charge point's word on the lock is returned as it is."""
    async with booted(harness) as station:
        answer = await station.obeys(UnlockConnector(ONE), {"connectorId": 1}, {"status": status})
        assert answer == StatusAnswer(status), case


async def test_tc_018_1_unlock_with_a_session(harness: Harness, autojump_clock: MockClock) -> None:
    """The unlocked connector's transaction ends by its StopTransaction, which is confirmed."""
    async with booted(harness) as station:
        number = await station.charges()
        answer = await station.obeys(UnlockConnector(ONE), {"connectorId": 1}, {"status": "Unlocked"})
        assert answer == StatusAnswer("Unlocked")
        assert await station.stops(number, reason="UnlockCommand") == {}
        await station.status(1, "Finishing")
        await station.status(1, "Available")
        assert station.transaction(number).stop_reason == "UnlockCommand"


async def test_tc_031_unlock_an_unknown_connector(harness: Harness, autojump_clock: MockClock) -> None:
    """The request goes out with the connector that was asked for; NotSupported is returned."""
    async with booted(harness) as station:
        command = UnlockConnector(ConnectorAddress(3, 1))
        answer = await station.obeys(command, {"connectorId": 3}, {"status": "NotSupported"})
        assert answer == StatusAnswer("NotSupported")


async def test_tc_019_1_all_configuration_keys(harness: Harness, autojump_clock: MockClock) -> None:
    """No key is named: all of them are returned and kept."""
    reported = [
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
        {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
    ]
    async with booted(harness) as station:
        answer = await station.obeys(GetConfiguration(), {}, {"configurationKey": reported})
        keys = (ConfigurationKey("HeartbeatInterval", False, "300"), ConfigurationKey("NumberOfConnectors", True, "2"))
        assert answer == ConfigurationAnswer(keys)
        (kept,) = harness.bodies(e.ConfigurationReported.TYPE)
        assert kept == e.ConfigurationReported(keys)


async def test_tc_019_2_one_configuration_key(harness: Harness, autojump_clock: MockClock) -> None:
    """One key is named, and returned."""
    key = {"key": "SupportedFeatureProfiles", "readonly": True, "value": "Core,FirmwareManagement"}
    async with booted(harness) as station:
        command = GetConfiguration(("SupportedFeatureProfiles",))
        answer = await station.obeys(command, {"key": ["SupportedFeatureProfiles"]}, {"configurationKey": [key]})
        expected = ConfigurationKey("SupportedFeatureProfiles", True, "Core,FirmwareManagement")
        assert answer == ConfigurationAnswer((expected,))
        answer = await station.obeys(GetConfiguration(("Nope",)), {"key": ["Nope"]}, {"unknownKey": ["Nope"]})
        assert answer == ConfigurationAnswer((), ("Nope",))


async def test_tc_021_change_configuration(harness: Harness, autojump_clock: MockClock) -> None:
    """A key and its value, both texts."""
    async with booted(harness) as station:
        command = ChangeConfiguration("MeterValueSampleInterval", "60")
        payload = {"key": "MeterValueSampleInterval", "value": "60"}
        assert await station.obeys(command, payload, ACCEPTED) == StatusAnswer("Accepted")


@pytest.mark.parametrize(("case", "value", "status"), [("040_1", "60", "NotSupported"), ("040_2", "-1", "Rejected")])
async def test_tc_040_configuration_refused(
    harness: Harness, autojump_clock: MockClock, case: str, value: str, status: str
) -> None:
    """040_1, 040_2: a key that is not known and a value that is not taken get different answers."""
    async with booted(harness) as station:
        command = ChangeConfiguration("MeterValueSampleInterval", value)
        payload = {"key": "MeterValueSampleInterval", "value": value}
        assert await station.obeys(command, payload, {"status": status}) == StatusAnswer(status), case


async def test_tc_026_remote_start_rejected(harness: Harness, autojump_clock: MockClock) -> None:
    """The charge point's refusal is returned, and the session goes on."""
    async with booted(harness) as station:
        assert await station.obeys(START, STARTED, REJECTED) == StatusAnswer("Rejected")
        assert not station.recorded("transaction.started")
        assert await station.authorize() == ACCEPTED


async def test_tc_028_remote_stop_rejected(harness: Harness, autojump_clock: MockClock) -> None:
    """The charge point's refusal is returned and the transaction goes on; an unknown transaction is refused here."""
    async with booted(harness) as station:
        number = await station.charges()
        stop = RemoteStopTransaction(station.transaction(number).transaction_id)
        assert await station.obeys(stop, {"transactionId": number}, REJECTED) == StatusAnswer("Rejected")
        assert station.transaction(number).state is TransactionState.OPEN
        refused = await station.is_spared(RemoteStopTransaction("tx_nobodys"))
        assert refused.reason is RefusalReason.UNKNOWN_TRANSACTION


@pytest.mark.parametrize("connector", [WHOLE_CHARGE_POINT, ONE])
@pytest.mark.parametrize("status", ["Accepted", "Scheduled", "Rejected"])
async def test_availability_changes_at_once_or_later_or_not(
    harness: Harness, autojump_clock: MockClock, connector: ConnectorAddress, status: str
) -> None:
    """B9.7: each is returned by its own word; connector 0 is all of them."""
    async with booted(harness) as station:
        command = ChangeAvailability(connector, AvailabilityType.INOPERATIVE)
        sent = {"connectorId": connector.evse, "type": "Inoperative"}
        assert await station.obeys(command, sent, {"status": status}) == StatusAnswer(status)
