"""docs/rules.md, D: chargers that answer commands, and describe themselves, in ways of their own."""

from decimal import Decimal
from typing import Any

import pytest
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.charging import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    SchedulePeriod,
)
from gateway.domain.commands import (
    CommandRecord,
    ConfigurationAnswer,
    ConfigurationKey,
    GetConfiguration,
    RemoteStopTransaction,
    SetChargingProfile,
    StatusAnswer,
)
from gateway.domain.values import ConnectorAddress, Flag
from gateway.session.commands.provisioning import DesiredKey
from tests.support.harness import Harness
from tests.support.station import ACCEPTED, REJECTED, booted, time

ONE = ConnectorAddress(1, 1)


def limit(stack_level: int) -> tuple[SetChargingProfile, Any]:
    schedule = ChargingSchedule(ChargingRateUnit.AMPERE, (SchedulePeriod(0, Decimal(10)),))
    profile = ChargingProfile(1, stack_level, ProfilePurpose.TX_DEFAULT, ProfileKind.RELATIVE, schedule)
    on_wire = {
        "chargingProfileId": 1,
        "stackLevel": stack_level,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]},
    }
    return SetChargingProfile(ONE, profile), {"connectorId": 1, "csChargingProfiles": on_wire}


async def test_quirk_15_the_stack_level_is_the_operators_choice(harness: Harness, autojump_clock: MockClock) -> None:
    """ABB Terra AC: rejected unless the stack level is 0. Each level goes out as chosen, each answer is returned."""
    async with booted(harness) as station:
        assert await station.obeys(*limit(1), REJECTED) == StatusAnswer("Rejected")
        assert await station.obeys(*limit(0), ACCEPTED) == StatusAnswer("Accepted")


async def test_quirk_27_an_error_code_of_its_own_is_a_warning(harness: Harness, autojump_clock: MockClock) -> None:
    """Legrand: errorCode "Error". Confirmed, kept as said, flagged."""
    async with booted(harness) as station:
        await station.status(1, "Faulted", "Error")
        body = harness.bodies(e.ConnectorStatusChanged.TYPE)[-1]
        assert isinstance(body, e.ConnectorStatusChanged)
        assert (body.status, body.error_code) == ("Faulted", "Error")
        assert Flag.DEVIATES in harness.events(e.ConnectorStatusChanged.TYPE)[-1].flags


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"readonly": "true", "value": "1"}, (True, "1")),
        ({"readonly": 0, "value": 300}, (False, "300")),
        ({"readonly": "False", "value": True}, (False, "true")),
        ({"readonly": None, "value": ["W"]}, (False, "W")),
        ({"value": None}, (False, None)),
    ],
)
async def test_quirk_31_configuration_of_odd_types_is_coerced(
    harness: Harness, autojump_clock: MockClock, sent: dict[str, Any], read: tuple[bool, str | None]
) -> None:
    """Wall-E and others: readonly as text or number, values as integers and lists."""
    async with booted(harness) as station:
        answer = await station.obeys(GetConfiguration(), {}, {"configurationKey": [{"key": "K", **sent}]})
        assert answer == ConfigurationAnswer((ConfigurationKey("K", *read),))


async def test_quirk_31_the_unit_w_is_power(harness: Harness, autojump_clock: MockClock) -> None:
    """The list of allowed units says W instead of Power: a limit in amperes is refused before it is sent."""
    async with booted(harness) as station:
        key = {"key": "ChargingScheduleAllowedChargingRateUnit", "readonly": "true", "value": "W"}
        await station.obeys(GetConfiguration(), {}, {"configurationKey": [key]})
        refused = await station.is_spared(limit(0)[0])
        assert refused.violations[0].field == "charging_profile.schedule.rate_unit"


async def test_quirk_33_a_truncated_result_fails_its_command_at_once(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Grizzl-E: JSON that ends too early. Known by its head; the session goes on, and nothing is answered."""
    async with booted(harness) as station:
        outcome = station.ask(GetConfiguration())
        message_id = await station.receives("GetConfiguration", {})
        await station.charger.send_raw(f'[3,"{message_id}",{{"configurationKey":[]')
        record = await outcome()
        assert isinstance(record, CommandRecord)
        assert record.error is not None
        assert record.error.code == "InvalidConfirmation"
        assert await station.authorize() == ACCEPTED


async def test_quirk_77_a_charger_that_rejects_every_profile_is_not_pressed(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Schneider: Rejected is returned, once for each command, and nothing is sent again."""
    async with booted(harness) as station:
        for _ in range(3):
            assert await station.obeys(*limit(0), REJECTED) == StatusAnswer("Rejected")
            await station.charger.hears_nothing(600)


async def test_quirk_81_a_long_list_of_measurands_is_followed_by_a_shorter_one(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """EVBox: refuses long lists. The next choice goes out; the one it took is left alone."""
    long, short = "Energy.Active.Import.Register,Power.Active.Import,Voltage", "Energy.Active.Import.Register"
    harness.boot_configuration = (DesiredKey("MeterValuesSampledData", (long, short)),)
    async with booted(harness) as station:
        for value, answer in ((long, REJECTED), (short, ACCEPTED)):
            sent = {"key": "MeterValuesSampledData", "value": value}
            message_id = await station.receives("ChangeConfiguration", sent)
            await station.charger.answer(message_id, answer)
        await station.charger.hears_nothing(600)


async def test_quirk_81_a_stop_for_what_the_charger_has_ended_is_reported_as_it_answers(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """EVBox: it has ended the transaction, its stop is still on the way: Rejected comes back, then the stop ends it."""
    async with booted(harness) as station:
        number = await station.charges()
        command = RemoteStopTransaction(station.transaction(number).transaction_id)
        assert await station.obeys(command, {"transactionId": number}, REJECTED) == StatusAnswer("Rejected")
        assert await station.stops(number, timestamp=time(-5), reason="Other") == {}
        assert station.transaction(number).stop_reason == "Other"


async def test_a_result_for_another_message_is_not_taken(harness: Harness, autojump_clock: MockClock) -> None:
    """The request echoed as its confirmation fails its command (B9.19, mh#424)."""
    async with booted(harness) as station:
        command, payload = limit(0)
        outcome = station.ask(command)
        message_id = await station.receives("SetChargingProfile", payload)
        await station.charger.answer(message_id, payload)
        record = await outcome()
        assert isinstance(record, CommandRecord)
        assert record.error is not None
        assert record.error.code == "InvalidConfirmation"
