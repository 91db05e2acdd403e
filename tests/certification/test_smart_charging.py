"""OCTT's cases of charging profiles."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from trio.testing import MockClock

from gateway.domain.charging import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    SchedulePeriod,
)
from gateway.domain.commands import (
    ClearChargingProfile,
    CompositeScheduleAnswer,
    GetCompositeSchedule,
    RemoteStartTransaction,
    SetChargingProfile,
    StatusAnswer,
)
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress
from tests.support.harness import Harness, virtual_clock
from tests.support.station import ACCEPTED, Station, booted, time

ONE = ConnectorAddress(1, 1)
DAY = 86_400


def profile(number: int, purpose: ProfilePurpose, transaction_id: str | None = None) -> ChargingProfile:
    """Absolute, for a day from now, 6 A."""
    now = virtual_clock()
    schedule = ChargingSchedule(
        ChargingRateUnit.AMPERE, (SchedulePeriod(0, Decimal("6.0")),), duration=DAY, start_schedule=now
    )
    return ChargingProfile(
        number, 0, purpose, ProfileKind.ABSOLUTE, schedule, transaction_id, None, now, now + timedelta(seconds=DAY)
    )


def sent(number: int, purpose: str, **more: Any) -> Any:
    """The same on the wire."""
    return {
        "chargingProfileId": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "validFrom": time(),
        "validTo": time(DAY),
        "chargingSchedule": {
            "duration": DAY,
            "startSchedule": time(),
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
        },
        **more,
    }


async def set_profile(station: Station, connector: ConnectorAddress, given: ChargingProfile, on_wire: Any) -> None:
    command = SetChargingProfile(connector, given)
    payload = {"connectorId": connector.evse, "csChargingProfiles": on_wire}
    assert await station.obeys(command, payload, ACCEPTED) == StatusAnswer("Accepted")


async def test_tc_056_default_profile(harness: Harness, autojump_clock: MockClock) -> None:
    """A TxDefaultProfile: absolute, with its validity and start, without transaction and recurrency."""
    async with booted(harness) as station:
        await set_profile(station, ONE, profile(1, ProfilePurpose.TX_DEFAULT), sent(1, "TxDefaultProfile"))


async def test_a_default_profile_for_all_connectors_is_set_on_connector_zero(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B10.3; what is not given (B10.8: numberPhases, which is 3 then) is left out."""
    async with booted(harness) as station:
        given = profile(1, ProfilePurpose.TX_DEFAULT)
        await set_profile(station, WHOLE_CHARGE_POINT, given, sent(1, "TxDefaultProfile"))


async def test_tc_057_transaction_profile(harness: Harness, autojump_clock: MockClock) -> None:
    """A TxProfile names the running transaction by the charge point's number."""
    async with booted(harness) as station:
        number = await station.charges()
        ours = station.transaction(number).transaction_id
        given = profile(2, ProfilePurpose.TX, ours)
        await set_profile(station, ONE, given, sent(2, "TxProfile", transactionId=number))


async def test_a_profile_for_a_transaction_that_is_over_is_not_sent(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B10.2: nor one for connector 0, nor one for another connector than the transaction's."""
    async with booted(harness) as station:
        number = await station.charges()
        given = profile(2, ProfilePurpose.TX, station.transaction(number).transaction_id)
        for connector in (WHOLE_CHARGE_POINT, ConnectorAddress(2, 1)):
            refused = await station.is_spared(SetChargingProfile(connector, given))
            assert refused.violations[0].field == "connector"
        await station.stops(number)
        refused = await station.is_spared(SetChargingProfile(ONE, given))
        assert refused.violations[0].field == "charging_profile.transaction_id"


async def test_tc_059_remote_start_with_a_profile(harness: Harness, autojump_clock: MockClock) -> None:
    """The TxProfile of a remote start has no transaction: there is none yet."""
    async with booted(harness) as station:
        await station.status(1, "Preparing")
        command = RemoteStartTransaction("TAG", ONE, profile(3, ProfilePurpose.TX))
        payload = {"connectorId": 1, "idTag": "TAG", "chargingProfile": sent(3, "TxProfile")}
        assert await station.obeys(command, payload, ACCEPTED) == StatusAnswer("Accepted")
        assert await station.authorize() == ACCEPTED
        assert (await station.starts())["idTagInfo"] == ACCEPTED
        await station.status(1, "Charging")


async def test_tc_066_composite_schedule(harness: Harness, autojump_clock: MockClock) -> None:
    """Connector, duration and unit are asked for; the schedule is returned as the gateway's values."""
    async with booted(harness) as station:
        command = GetCompositeSchedule(ONE, 300, ChargingRateUnit.WATT)
        payload = {"connectorId": 1, "duration": 300, "chargingRateUnit": "W"}
        schedule = {
            "duration": 300,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6000.0, "numberPhases": 3}],
        }
        answer = {"status": "Accepted", "connectorId": 1, "scheduleStart": time(), "chargingSchedule": schedule}
        periods = (SchedulePeriod(0, Decimal("6000.0"), 3),)
        expected = ChargingSchedule(ChargingRateUnit.WATT, periods, duration=300)
        now = virtual_clock().replace(microsecond=0)
        assert await station.obeys(command, payload, answer) == CompositeScheduleAnswer("Accepted", ONE, now, expected)


async def test_tc_067_clear_profile(harness: Harness, autojump_clock: MockClock) -> None:
    """Profiles are cleared by id alone, by criteria without an id, and all of them by an empty request."""
    async with booted(harness) as station:
        number = await station.charges()
        ours = station.transaction(number).transaction_id
        maximum = profile(1, ProfilePurpose.CHARGE_POINT_MAX)
        await set_profile(station, WHOLE_CHARGE_POINT, maximum, sent(1, "ChargePointMaxProfile"))
        await set_profile(station, ONE, profile(2, ProfilePurpose.TX_DEFAULT), sent(2, "TxDefaultProfile"))
        given = profile(3, ProfilePurpose.TX, ours)
        await set_profile(station, ONE, given, sent(3, "TxProfile", transactionId=number))

        by_id = ClearChargingProfile(profile_id=1)
        assert await station.obeys(by_id, {"id": 1}, ACCEPTED) == StatusAnswer("Accepted")
        by_criteria = ClearChargingProfile(connector=ONE, purpose=ProfilePurpose.TX_DEFAULT, stack_level=0)
        payload = {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}
        assert await station.obeys(by_criteria, payload, ACCEPTED) == StatusAnswer("Accepted")
        assert await station.obeys(ClearChargingProfile(), {}, {"status": "Unknown"}) == StatusAnswer("Unknown")
