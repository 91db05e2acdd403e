"""Operations on charging, with chargers that obey, refuse, ignore, lag, lie, lose their link, reboot and forget."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from gateway.charging.operations import POWER_WAIT, STEERING_WAIT, STOP_WAIT
from gateway.charging.wishes import SetLimit, WantedRequest
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.commands import (
    ClearCache,
    Command,
    ConfigurationKey,
    RefusalReason,
    Refused,
    RemoteStartTransaction,
    Reset,
    ResetType,
    Unknown,
    UnlockConnector,
    UpdateFirmware,
)
from gateway.domain.events import (
    CommandSent,
    ConfigurationReported,
    NewEvent,
    OperationAccepted,
    OperationEnded,
    ReservationMade,
    SteeringChanged,
    WantedChanged,
)
from gateway.domain.operations import (
    MAX_OPEN,
    End,
    OperationKind,
    OperationRecord,
    OperationRefusal,
    OperationRefused,
    OperationRequest,
    steering_request_id,
)
from gateway.domain.remote_starts import DEFAULT_WINDOW, RECONNECTED, SLACK
from gateway.domain.steering import ChangedWanted, RateLimit, StandingLimit, Steering, SteeringState
from gateway.domain.times import format_time
from gateway.domain.values import ConnectorAddress
from gateway.session.wishes import WantedStates
from gateway.store.commits import DeleteChargePoint
from gateway.store.sqlite.store import SqliteStore
from tests.session.commands.test_commands import Asked
from tests.session.test_remote_starts import starts
from tests.store.builders import of
from tests.support.harness import EPOCH, Harness, boot, virtual_clock
from tests.support.wire import ScriptedCharger

ONE, TWO = ConnectorAddress(1, 1), ConnectorAddress(2, 1)
START = OperationRequest(OperationKind.START_CHARGING, ONE, "TAG")
STOP = OperationRequest(OperationKind.STOP_CHARGING, ONE)
NEVER = (DEFAULT_WINDOW + SLACK).total_seconds() + 5
EXPIRY = 60.0


@asynccontextmanager
async def ready(harness: Harness) -> AsyncIterator[ScriptedCharger]:
    """A booted charger that may be spoken to, and a tag that may charge."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as charger:
        await boot(charger)
        await trio.sleep(harness.limits.settle_delay)
        yield charger


async def begun(
    harness: Harness, request: OperationRequest = START, request_id: str = "r", seconds: float = EXPIRY
) -> OperationRecord:
    """An operation that was accepted."""
    found = await harness.router.operate("CP1", request, request_id, seconds)
    assert isinstance(found, OperationRecord), found
    return found


def now(harness: Harness, operation: OperationRecord) -> OperationRecord:
    """The operation as it is on disk."""
    found = harness.store.operation(operation.operation_id)
    assert found is not None
    return found


def course(harness: Harness, operation: OperationRecord) -> tuple[list[str], str, str]:
    """The stages on disk, the end and its reason; a stage's sequence is its event's."""
    record = now(harness, operation)
    assert len({each.sequence for each in record.stages}) == len(record.stages)
    return [each.stage.value for each in record.stages], record.end or "", record.reason


async def answers(charger: ScriptedCharger, action: str, status: str = "Accepted") -> None:
    """The charger is asked, and answers."""
    message_id, _, _ = await charger.next_call(action)
    await charger.answer(message_id, {"status": status})


async def meters(charger: ScriptedCharger, watts: float, number: int, connector: int = 1) -> None:
    """A report of power."""
    sampled = [{"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"}]
    values = [{"timestamp": format_time(virtual_clock()), "sampledValue": sampled}]
    await charger.call("MeterValues", {"connectorId": connector, "transactionId": number, "meterValue": values})


async def stops(charger: ScriptedCharger, number: int) -> None:
    """The transaction ends."""
    stop = {"transactionId": number, "meterStop": 900, "timestamp": format_time(virtual_clock())}
    await charger.call("StopTransaction", stop)


async def settled() -> None:
    """Let the session's tasks come to rest."""
    await trio.sleep(0.5)


def sendings(harness: Harness) -> int:
    """The number of commands that were sent."""
    return len(harness.bodies_of(CommandSent))


# --- starts ---------------------------------------------------------------------------------------------------


async def test_a_start_is_done_when_the_meter_says_so(harness: Harness, autojump_clock: MockClock) -> None:
    """Each stage as it is reached; the operation names its command and its transaction."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        assert course(harness, operation) == (["ACCEPTED"], "", "")
        await settled()
        assert course(harness, operation)[0] == ["ACCEPTED", "SENT"]
        await answers(charger, "RemoteStartTransaction")
        await settled()
        assert course(harness, operation)[0][-1] == "CHARGER_ACCEPTED"
        number = (await starts(charger))["transactionId"]
        await settled()
        assert course(harness, operation)[0][-1] == "TRANSACTION_STARTED"
        await trio.sleep(30)
        await meters(charger, 40, number)
        await settled()
        assert course(harness, operation)[1] == ""
        await trio.sleep(30)
        await meters(charger, 7000, number)
        await settled()
    stages = ["ACCEPTED", "SENT", "CHARGER_ACCEPTED", "TRANSACTION_STARTED", "POWER_RISEN"]
    assert course(harness, operation) == (stages, "DONE", "")
    record, transaction = now(harness, operation), harness.store.transaction_by_number(number)
    assert transaction is not None
    assert (record.command_id, record.transaction_id) == (transaction.start_command_id, transaction.transaction_id)
    assert harness.command(record.command_id).request_id == record.operation_id


async def test_a_refused_start_says_so(harness: Harness, autojump_clock: MockClock) -> None:
    """In the charger's words."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction", "Rejected")
        await settled()
    assert course(harness, operation) == (["ACCEPTED", "SENT"], "REFUSED", "Rejected")


async def test_an_answer_that_can_not_be_read_is_no_refusal(harness: Harness, autojump_clock: MockClock) -> None:
    """The charger believes that it has confirmed: a transaction may come of it."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction", "Nonsense")
        await trio.sleep(20)
        assert course(harness, operation) == (["ACCEPTED", "SENT"], "", "")
        await starts(charger)
        await settled()
    assert course(harness, operation)[0][-1] == "TRANSACTION_STARTED"


async def test_a_call_error_is_a_refusal(harness: Harness, autojump_clock: MockClock) -> None:
    """By its code."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        message_id, _, _ = await charger.next_call("RemoteStartTransaction")
        await charger.answer_error(message_id, "InternalError")
        await settled()
    assert course(harness, operation) == (["ACCEPTED", "SENT"], "REFUSED", "InternalError")


async def test_an_acceptance_of_which_nothing_comes_has_no_effect(harness: Harness, autojump_clock: MockClock) -> None:
    """The charger lied, or no cable was plugged in."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction")
        await trio.sleep(NEVER)
    assert course(harness, operation) == (["ACCEPTED", "SENT", "CHARGER_ACCEPTED"], "NO_EFFECT", "never-started")
    assert sendings(harness) == 1


async def test_a_charger_that_ignores_a_start_times_out(harness: Harness, autojump_clock: MockClock) -> None:
    """And is not asked a second time."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await charger.next_call("RemoteStartTransaction")
        await trio.sleep(NEVER)
        await charger.hears_nothing(10)
    assert course(harness, operation) == (["ACCEPTED", "SENT"], "TIMED_OUT", "never-started")
    assert sendings(harness) == 1


async def test_a_late_answer_still_counts(harness: Harness, autojump_clock: MockClock) -> None:
    """Beyond the call's time-out, by which the command's outcome was unknown."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        message_id, _, _ = await charger.next_call("RemoteStartTransaction")
        await trio.sleep(harness.limits.call_timeout + 5)
        await charger.answer(message_id, {"status": "Accepted"})
        await settled()
        await starts(charger)
        await settled()
    assert course(harness, operation)[0][-2:] == ["CHARGER_ACCEPTED", "TRANSACTION_STARTED"]


async def test_a_start_whose_vehicle_takes_nothing_has_no_effect(harness: Harness, autojump_clock: MockClock) -> None:
    """The transaction runs, and its power does not rise."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction")
        number = (await starts(charger))["transactionId"]
        await trio.sleep(60)
        await meters(charger, 0, number)
        await trio.sleep(POWER_WAIT.total_seconds())
    assert course(harness, operation)[1:] == ("NO_EFFECT", "no-power")


async def test_without_readings_it_is_not_known_whether_it_charges(harness: Harness, autojump_clock: MockClock) -> None:
    """A transaction alone is no proof."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction")
        await starts(charger)
        await trio.sleep(POWER_WAIT.total_seconds() + 5)
    assert course(harness, operation)[1:] == ("UNKNOWN", "no-readings")


async def test_a_transaction_that_stops_at_once_has_no_effect(harness: Harness, autojump_clock: MockClock) -> None:
    """As of a tag that the vehicle's side refuses."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction")
        number = (await starts(charger))["transactionId"]
        await settled()
        await stops(charger, number)
        await settled()
    assert course(harness, operation)[1:] == ("NO_EFFECT", "transaction-stopped")


async def test_a_start_that_waits_too_long_is_never_sent(harness: Harness, autojump_clock: MockClock) -> None:
    """Another command holds the wire until after its expiry."""
    async with ready(harness) as charger:
        first = await begun(harness, OperationRequest(OperationKind.START_CHARGING, TWO, "TAG"), "first")
        await charger.next_call("RemoteStartTransaction")
        operation = await begun(harness, seconds=10)
        await trio.sleep(20)
        assert course(harness, operation) == (["ACCEPTED"], "NOT_SENT", "deadline")
        await trio.sleep(NEVER)
        await charger.hears_nothing(10)
    assert sendings(harness) == 1
    assert course(harness, first)[1] == "TIMED_OUT"


# --- the link and the gateway ---------------------------------------------------------------------------------


async def test_a_charger_that_is_away_is_not_waited_for(harness: Harness, autojump_clock: MockClock) -> None:
    """Nothing comes into being."""
    harness.add_charge_point()
    assert isinstance(await harness.router.operate("CP1", START, "r", EXPIRY), Refused)
    assert harness.store.find_operations(of(), "", 10).records == []


async def test_a_link_lost_before_anything_was_sent_ends_it(harness: Harness, autojump_clock: MockClock) -> None:
    """It is not sent when the charger comes back."""
    async with ready(harness) as charger:
        await begun(harness, OperationRequest(OperationKind.START_CHARGING, TWO, "TAG"), "first")
        await charger.next_call("RemoteStartTransaction")
        operation = await begun(harness)
        await settled()
    assert course(harness, operation) == (["ACCEPTED"], "OFFLINE", "disconnected")
    async with harness.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(20)
    assert sendings(harness) == 1


async def test_a_link_lost_after_the_sending_leaves_it_open(harness: Harness, autojump_clock: MockClock) -> None:
    """The charger started meanwhile, and says so when it is back."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await charger.next_call("RemoteStartTransaction")
    assert course(harness, operation) == (["ACCEPTED", "SENT"], "", "")
    await trio.sleep(5)
    began = format_time(virtual_clock())
    await trio.sleep(600)
    async with harness.connected() as charger:
        number = (await starts(charger, at=began))["transactionId"]
        await meters(charger, 7000, number)
        await settled()
    assert course(harness, operation)[1] == "DONE"
    assert sendings(harness) == 1


async def test_a_charger_that_reboots_and_forgets_is_not_asked_again(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its acceptance came to nothing, which is known some time after it is back."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction")
        await settled()
    await trio.sleep(600)
    async with harness.connected() as charger:
        await boot(charger)
        await trio.sleep(RECONNECTED.total_seconds() + 5)
        await charger.hears_nothing(10)
    assert course(harness, operation)[1:] == ("NO_EFFECT", "never-started")
    assert sendings(harness) == 1


STAGES = ("accepted", "sent", "charger-accepted", "started", "risen")


@pytest.mark.parametrize("killed_at", STAGES)
async def test_a_gateway_killed_at_any_stage_sends_nothing_twice(
    harness: Harness, killed_at: str, autojump_clock: MockClock
) -> None:
    """The operation on disk is loaded with the charger's next connection, and goes on from there."""
    at, number, ended = STAGES.index(killed_at), 0, False
    async with ready(harness) as charger, trio.open_nursery() as nursery:
        if at == 0:  # its command waits behind another one
            first = OperationRequest(OperationKind.START_CHARGING, TWO, "TAG")
            await begun(harness, first, "first")
            await charger.next_call("RemoteStartTransaction")
        operation = await begun(harness)
        if at >= 1:
            message_id, _, _ = await charger.next_call("RemoteStartTransaction")
        if at >= 2:
            await charger.answer(message_id, {"status": "Accepted"})
        if at >= 3:
            number = (await starts(charger))["transactionId"]
        if at >= 4:
            await meters(charger, 7000, number)
        await settled()
        ended = now(harness, operation).end is not None
        harness.journal.failing = harness.journal.readable = True  # no end is recorded by the one that is killed
        nursery.cancel_scope.cancel()
    before = sendings(harness)
    harness.journal.failing = False
    harness.store.settle(virtual_clock())  # as at the start of the next
    async with harness.connected() as charger:
        if at in (1, 2):
            number = (await starts(charger))["transactionId"]
        if at in (1, 2, 3):
            await meters(charger, 7000, number)
        await trio.sleep(NEVER)
    assert sendings(harness) == before
    assert ended == (at == 4)
    expected = ("NOT_SENT", "gateway-restarted") if at == 0 else ("DONE", "")
    assert course(harness, operation)[1:] == expected


async def test_a_deleted_charge_point_ends_its_operations(harness: Harness, autojump_clock: MockClock) -> None:
    """Their outcome can't be known any more."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction")
        await settled()
    harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])
    assert course(harness, operation)[1:] == ("UNKNOWN", "deleted")


# --- stops ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def charging(harness: Harness) -> AsyncIterator[tuple[ScriptedCharger, int]]:
    """A charger with a transaction on connector 1, and the transaction's number."""
    async with ready(harness) as charger:
        number = (await starts(charger))["transactionId"]
        await meters(charger, 7000, number)
        yield charger, number


async def test_a_stop_is_done_when_the_transaction_has_stopped(harness: Harness, autojump_clock: MockClock) -> None:
    """By connector, by transaction, or the only one that is open."""
    async with charging(harness) as (charger, number):
        transaction = harness.store.transaction_by_number(number)
        assert transaction is not None
        operation = await begun(harness, STOP)
        assert operation.transaction_id == transaction.transaction_id
        await answers(charger, "RemoteStopTransaction")
        await settled()
        assert course(harness, operation)[0][-1] == "CHARGER_ACCEPTED"
        await stops(charger, number)
        await settled()
    stages = ["ACCEPTED", "SENT", "CHARGER_ACCEPTED", "TRANSACTION_STOPPED"]
    assert course(harness, operation) == (stages, "DONE", "")


async def test_a_stop_whose_transaction_ends_by_itself_is_done(harness: Harness, autojump_clock: MockClock) -> None:
    """Before the charger answers, or without an answer."""
    async with charging(harness) as (charger, number):
        operation = await begun(harness, OperationRequest(OperationKind.STOP_CHARGING))
        await charger.next_call("RemoteStopTransaction")
        await stops(charger, number)
        await settled()
    assert course(harness, operation) == (["ACCEPTED", "SENT", "TRANSACTION_STOPPED"], "DONE", "")


async def test_a_stop_that_only_shows_in_the_power_is_done(harness: Harness, autojump_clock: MockClock) -> None:
    """The StopTransaction got lost; the reason says so."""
    async with charging(harness) as (charger, number):
        operation = await begun(harness, STOP)
        await answers(charger, "RemoteStopTransaction")
        await trio.sleep(10)
        await meters(charger, 0, number)
        await settled()
        assert course(harness, operation)[0][-1] == "POWER_FALLEN"
        await trio.sleep(STOP_WAIT.total_seconds() + 5)
    assert course(harness, operation)[1:] == ("DONE", "no-stop")


@pytest.mark.parametrize(("answer", "end"), [(True, "NO_EFFECT"), (False, "TIMED_OUT")])
async def test_a_stop_that_is_ignored_has_no_effect(
    harness: Harness, answer: bool, end: str, autojump_clock: MockClock
) -> None:
    """After an acceptance, or without an answer."""
    async with charging(harness) as (charger, number):
        operation = await begun(harness, STOP)
        message_id, _, _ = await charger.next_call("RemoteStopTransaction")
        if answer:
            await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(10)
        await meters(charger, 7000, number)
        await trio.sleep(STOP_WAIT.total_seconds() + 5)
    assert course(harness, operation)[1:] == (end, "no-stop")


async def test_a_stop_goes_on_after_a_reconnect(harness: Harness, autojump_clock: MockClock) -> None:
    """It was accepted, the link went, and the charger reports the stop when it is back."""
    async with charging(harness) as (charger, number):
        operation = await begun(harness, STOP)
        await answers(charger, "RemoteStopTransaction")
        await settled()
    await trio.sleep(3600)
    async with harness.connected() as charger:
        await trio.sleep(5)
        assert course(harness, operation)[1] == ""
        await stops(charger, number)
        await settled()
    assert course(harness, operation)[1:] == ("DONE", "")


@pytest.mark.parametrize("killed_at", ["sent", "accepted"])
async def test_a_gateway_killed_in_a_stop_sends_nothing_twice(
    harness: Harness, killed_at: str, autojump_clock: MockClock
) -> None:
    """The stop that the charger then reports ends it."""
    async with charging(harness) as (charger, number):
        operation = await begun(harness, STOP)
        message_id, _, _ = await charger.next_call("RemoteStopTransaction")
        if killed_at == "accepted":
            await charger.answer(message_id, {"status": "Accepted"})
        await settled()
        harness.journal.failing = harness.journal.readable = True
    before = sendings(harness)
    harness.journal.failing = False
    harness.store.settle(virtual_clock())
    async with harness.connected() as charger:
        await stops(charger, number)
        await settled()
    assert course(harness, operation)[1:] == ("DONE", "")
    assert sendings(harness) == before


@pytest.mark.parametrize(
    "command",
    [
        RemoteStartTransaction("TAG", ONE),
        Reset(ResetType.SOFT),
        UnlockConnector(ONE),
        UpdateFirmware("https://example.com/f", EPOCH),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_what_must_not_be_repeated_is_not_after_an_unknown_outcome(
    harness: Harness, command: Command, autojump_clock: MockClock
) -> None:
    """Not on the same connection, nor on the next one, nor after a restart."""
    harness.asks_nothing()
    async with ready(harness) as charger, trio.open_nursery() as nursery:
        Asked(harness, nursery).ask(command)
        await charger.next_call(type(command).__name__)
        await charger.hears_nothing(harness.limits.call_timeout + 60)
    harness.store.settle(virtual_clock())
    async with harness.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(NEVER)
    assert sendings(harness) == 1


# --- what is refused beforehand -------------------------------------------------------------------------------


async def refused(harness: Harness, request: OperationRequest = START) -> OperationRefusal:
    found = await harness.router.operate("CP1", request, "refused", EXPIRY)
    assert isinstance(found, OperationRefused), found
    assert harness.store.operation_by_request("CP1", "refused") is None
    return found.reason


async def says(charger: ScriptedCharger, status: str, connector: int = 1) -> None:
    sent: dict[str, Any] = {"connectorId": connector, "status": status, "errorCode": "NoError"}
    await charger.call("StatusNotification", sent)


async def test_a_start_where_a_transaction_is_open_is_refused(harness: Harness, autojump_clock: MockClock) -> None:
    """Unless the caller insists; another connector is free."""
    async with charging(harness) as (charger, _):
        assert await refused(harness) is OperationRefusal.TRANSACTION_OPEN
        await begun(harness, OperationRequest(OperationKind.START_CHARGING, TWO, "OTHER"), "two")
        await answers(charger, "RemoteStartTransaction", "Rejected")
        insisting = OperationRequest(OperationKind.START_CHARGING, ONE, "TAG", insist=True)
        operation = await begun(harness, insisting, "insist")
        await answers(charger, "RemoteStartTransaction", "Rejected")
        await settled()
    assert course(harness, operation)[1] == "REFUSED"


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
async def test_a_start_on_a_connector_out_of_order_is_refused(
    harness: Harness, status: str, autojump_clock: MockClock
) -> None:
    """As its status says; so is one that leaves the choice, where there is no other."""
    async with ready(harness) as charger:
        await says(charger, status)
        assert await refused(harness) is OperationRefusal.CONNECTOR_UNAVAILABLE
        anywhere = OperationRequest(OperationKind.START_CHARGING, None, "TAG")
        assert await refused(harness, anywhere) is OperationRefusal.CONNECTOR_UNAVAILABLE
        await says(charger, "Available", 2)
        await begun(harness, anywhere)
        await answers(charger, "RemoteStartTransaction", "Rejected")


async def test_a_second_start_with_the_tag_is_refused_while_one_is_open(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A caller that asks twice under two ids wants one transaction."""
    async with ready(harness) as charger:
        await begun(harness)
        assert await refused(harness) is OperationRefusal.OPERATION_OPEN
        await answers(charger, "RemoteStartTransaction", "Rejected")
        await settled()
        await begun(harness, request_id="again")
        await answers(charger, "RemoteStartTransaction", "Rejected")


async def test_a_stop_without_a_transaction_is_refused(harness: Harness, autojump_clock: MockClock) -> None:
    """By connector, by another connector's transaction, by an unknown one; insisting changes nothing."""
    async with charging(harness) as (charger, number):
        transaction = harness.store.transaction_by_number(number)
        assert transaction is not None
        for request in (
            OperationRequest(OperationKind.STOP_CHARGING, TWO),
            OperationRequest(OperationKind.STOP_CHARGING, TWO, "", transaction.transaction_id),
            OperationRequest(OperationKind.STOP_CHARGING, None, "", "tx_unknown", insist=True),
        ):
            assert await refused(harness, request) is OperationRefusal.NO_TRANSACTION
        await starts(charger, 2, "OTHER")
        several = OperationRequest(OperationKind.STOP_CHARGING)
        assert await refused(harness, several) is OperationRefusal.SEVERAL_TRANSACTIONS


async def test_no_more_operations_are_open_than_the_bound(harness: Harness, autojump_clock: MockClock) -> None:
    """However the caller insists."""
    async with ready(harness):
        for number in range(MAX_OPEN):
            await begun(harness, OperationRequest(OperationKind.START_CHARGING, None, f"T{number}"), f"r{number}")
        insisting = OperationRequest(OperationKind.START_CHARGING, ONE, "TAG", insist=True)
        assert await refused(harness, insisting) is OperationRefusal.TOO_MANY_OPERATIONS


async def test_nothing_is_kept_of_an_operation_that_is_over(harness: Harness, autojump_clock: MockClock) -> None:
    """Of those of months on one connection; no collector is needed for it."""

    def kept() -> int:
        return sum(isinstance(each, RemoteStartTransaction) for each in gc.get_objects())

    gc.collect()
    before = kept()
    gc.disable()
    try:
        async with ready(harness) as charger:
            for number in range(3):
                operation = await begun(harness, request_id=f"r{number}")
                await answers(charger, "RemoteStartTransaction", "Rejected")
                await settled()
                assert course(harness, operation)[1] == "REFUSED"
            assert kept() == before
    finally:
        gc.enable()


async def test_a_request_id_makes_one_operation(harness: Harness, autojump_clock: MockClock) -> None:
    """The second is left to be looked up."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        insisting = OperationRequest(OperationKind.START_CHARGING, ONE, "TAG", insist=True)
        assert await harness.router.operate("CP1", insisting, "r", EXPIRY) is None
        assert harness.store.operation_by_request("CP1", "r") is not None
        await answers(charger, "RemoteStartTransaction")
        await charger.hears_nothing(10)
    assert [each.operation_id for each in harness.store.find_operations(of(charge_point="CP1"), "", 10).records] == [
        operation.operation_id
    ]


async def test_the_loaded_operation_is_the_one_that_the_events_make(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A store that is opened anew shows the same."""
    async with ready(harness) as charger:
        operation = await begun(harness)
        await answers(charger, "RemoteStartTransaction")
        await settled()
    before = now(harness, operation)
    harness.store.close()
    store = SqliteStore(harness.path / "gateway.db")
    try:
        assert store.operation(operation.operation_id) == before
        assert before.end is None or before.end is End.NO_EFFECT
    finally:
        store.close()


async def test_a_start_on_a_connector_that_the_charger_does_not_have_is_refused(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """By what it has reported; one that has sent a status is there all the same, and a caller may insist."""
    async with ready(harness) as charger:
        reported = ConfigurationReported((ConfigurationKey("NumberOfConnectors", True, "1"),))
        session = harness.router.session("CP1")
        assert session is not None
        await session._context.commit((NewEvent(reported, virtual_clock()),))
        there = OperationRequest(OperationKind.START_CHARGING, TWO, "TAG")
        assert await refused(harness, there) is OperationRefusal.UNKNOWN_CONNECTOR
        assert sendings(harness) == 0
        await begun(harness, evolve(there, insist=True), "insist")
        await answers(charger, "RemoteStartTransaction", "Rejected")
        await settled()
        await says(charger, "Available", 2)
        await begun(harness, there, "there")
        await answers(charger, "RemoteStartTransaction", "Rejected")


async def test_a_start_on_a_connector_that_is_reserved_for_another_tag_is_refused(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """For its own tag, in any case, it begins; so does one that leaves the choice among several."""
    async with ready(harness) as charger:
        await says(charger, "Reserved")
        session = harness.router.session("CP1")
        assert session is not None
        until = virtual_clock() + timedelta(minutes=10)
        await session._context.commit((NewEvent(ReservationMade(7, ONE, "OTHER", until), virtual_clock()),))
        assert await refused(harness) is OperationRefusal.CONNECTOR_RESERVED
        assert sendings(harness) == 0
        other = OperationRequest(OperationKind.START_CHARGING, ONE, "other")
        await begun(harness, other, "other")
        await answers(charger, "RemoteStartTransaction", "Rejected")
        await settled()
        await begun(harness, evolve(START, insist=True), "insist")
        await answers(charger, "RemoteStartTransaction", "Rejected")
        await settled()
        await says(charger, "Available", 2)
        await begun(harness, evolve(START, connector=None), "anywhere")
        await answers(charger, "RemoteStartTransaction", "Rejected")


# --- pauses and limits ----------------------------------------------------------------------------------------


PAUSE = OperationRequest(OperationKind.PAUSE_CHARGING, ONE)


def wishes(harness: Harness) -> WantedStates:
    """The way of changes of what is wanted."""
    return WantedStates(harness.router, harness.journal, harness.reads, virtual_clock, harness.protocol)


async def pausing(harness: Harness, request_id: str = "p", connected: bool = True) -> OperationRecord:
    """A pause that was begun, as the control interface does it; its record."""
    change = SetLimit(StandingLimit(RateLimit(Decimal(0), ChargingRateUnit.AMPERE)))
    at, operation_id = virtual_clock(), f"op_{request_id}"
    accepted = OperationAccepted(operation_id, request_id, PAUSE, at + STEERING_WAIT)
    also = [NewEvent(accepted, at)]
    if not connected:
        also.append(NewEvent(OperationEnded(operation_id, End.OFFLINE, "kept"), at))
    request = WantedRequest(steering_request_id(request_id), ONE, change)
    assert isinstance(await wishes(harness).change("CP1", request, tuple(also)), ChangedWanted)
    harness.router.operation_begun("CP1")
    await settled()
    found = harness.store.operation(operation_id)
    assert found is not None
    return found


async def steers(harness: Harness, state: SteeringState, revision: int = 1) -> None:
    """The steering of connector 1 has come so far."""
    progress = Steering(revision, state, virtual_clock(), "word", tries=(virtual_clock(),), command_id="cmd_9")
    session = harness.router.session("CP1")
    assert session is not None
    await session._context.commit((NewEvent(SteeringChanged(ONE, progress), virtual_clock()),))
    await settled()


@pytest.mark.parametrize("first", ["start", "pause"])
async def test_of_two_kinds_with_one_request_id_at_once_one_wins(
    harness: Harness, first: str, autojump_clock: MockClock
) -> None:
    """The other one changes nothing, and says so: nothing is sent for it, or nothing is wanted."""
    harness.asks_nothing()
    async with ready(harness) as charger:
        outcomes: dict[str, Any] = {}

        async def starting() -> None:
            outcomes["start"] = await harness.router.operate("CP1", START, "r", EXPIRY)

        async def wanting() -> None:
            at = virtual_clock()
            also = (NewEvent(OperationAccepted("op_r", "r", PAUSE, at + STEERING_WAIT), at),)
            change = SetLimit(StandingLimit(RateLimit(Decimal(0), ChargingRateUnit.AMPERE)))
            request = WantedRequest(steering_request_id("r"), ONE, change)
            outcomes["pause"] = await wishes(harness).change("CP1", request, also)

        harness.journal.stall_seconds = 5.0
        async with trio.open_nursery() as nursery:
            for each in (starting, wanting) if first == "start" else (wanting, starting):
                nursery.start_soon(each)
                await trio.testing.wait_all_tasks_blocked()  # the answer of the journal is on its way
        harness.journal.stall_seconds = 0.0
        [accepted] = harness.bodies_of(OperationAccepted)
        session = harness.router.session("CP1")
        assert session is not None
        if first == "start":
            assert accepted.request.kind is OperationKind.START_CHARGING
            assert isinstance(outcomes["start"], OperationRecord)
            assert outcomes["pause"].reason is RefusalReason.REQUEST_ID_REUSED
            assert "another operation" in outcomes["pause"].message
            assert session.steering.wanted == {}
            assert harness.bodies_of(WantedChanged) == []
            await answers(charger, "RemoteStartTransaction", "Rejected")
        else:
            assert accepted.request == PAUSE
            assert isinstance(outcomes["pause"], ChangedWanted)
            assert outcomes["start"] is None
            await settled()
            assert {each.operation for each in harness.bodies_of(CommandSent)} <= {"SetChargingProfile"}


async def test_a_pause_of_an_absent_charger_takes_no_request_id_of_another_operation(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The store commits it there, under the same guard."""
    async with ready(harness) as charger:
        await begun(harness, request_id="r")
        await answers(charger, "RemoteStartTransaction", "Rejected")
        await settled()
    also = (NewEvent(OperationAccepted("op_r", "r", PAUSE, virtual_clock() + STEERING_WAIT), virtual_clock()),)
    change = SetLimit(StandingLimit(RateLimit(Decimal(0), ChargingRateUnit.AMPERE)))
    found = await wishes(harness).change("CP1", WantedRequest(steering_request_id("r"), ONE, change), also)
    assert isinstance(found, Refused)
    assert found.reason is RefusalReason.REQUEST_ID_REUSED
    assert harness.bodies_of(WantedChanged) == []


async def test_a_pause_is_followed_to_its_verification(harness: Harness, autojump_clock: MockClock) -> None:
    """Its stages name the command that the steering has sent."""
    harness.asks_nothing()
    async with charging(harness):
        operation = await pausing(harness)
        assert course(harness, operation) == (["ACCEPTED"], "", "")
        await steers(harness, SteeringState.APPLIED)
        assert course(harness, operation)[0] == ["ACCEPTED", "SENT", "CHARGER_ACCEPTED"]
        await steers(harness, SteeringState.VERIFIED)
        assert course(harness, operation)[1:] == ("DONE", "")
        assert now(harness, operation).command_id == "cmd_9"


async def test_a_later_change_ends_a_pause(harness: Harness, autojump_clock: MockClock) -> None:
    """Also one that comes before the charger has answered."""
    harness.asks_nothing()
    async with charging(harness):
        operation = await pausing(harness)
        later = await pausing(harness, "q")
        assert course(harness, operation)[1:] == ("NO_EFFECT", "superseded")
        assert course(harness, later)[1] == ""


async def test_a_pause_goes_on_after_a_reconnect(harness: Harness, autojump_clock: MockClock) -> None:
    """With the revision that it has made, which is found on disk."""
    harness.asks_nothing()
    async with charging(harness):
        operation = await pausing(harness)
    assert course(harness, operation)[1] == ""
    async with harness.connected():
        await steers(harness, SteeringState.VERIFIED)
        assert course(harness, operation)[1:] == ("DONE", "")


@pytest.mark.parametrize("goes_on", ["a pause", "a rotation"])
async def test_what_goes_on_without_the_link_keeps_no_start_open_that_was_not_sent(
    harness: Harness, autojump_clock: MockClock, goes_on: str
) -> None:
    """It was begun before the start, and outlasts it."""
    harness.asks_nothing()
    async with charging(harness) as (charger, _), trio.open_nursery() as nursery:
        if goes_on == "a pause":
            first = await pausing(harness)
        else:
            first = await begun(harness, OperationRequest(OperationKind.ROTATE_AUTHORIZATION_KEY), "first")
            await charger.next_call("ChangeConfiguration")
        nursery.start_soon(Asked(harness, nursery).ask(ClearCache()))  # on the wire, or next
        await settled()
        start = await begun(harness, OperationRequest(OperationKind.START_CHARGING, TWO, "TAG"))
        await settled()
        await charger.lose_link()
    assert course(harness, start) == (["ACCEPTED"], "OFFLINE", "disconnected")
    assert course(harness, first)[1] == ""


async def test_a_pause_that_is_never_put_to_the_charger_ends(harness: Harness, autojump_clock: MockClock) -> None:
    """The limit stays wanted."""
    harness.asks_nothing()
    async with charging(harness):
        operation = await pausing(harness)
        session = harness.router.session("CP1")
        assert session is not None
        await steers(harness, SteeringState.PENDING)
        await trio.sleep(STEERING_WAIT.total_seconds() + 5)
        assert now(harness, operation).end is not None
        assert session.steering.wanted[ONE].standing is not None


async def test_a_pause_of_an_absent_charger_is_kept(harness: Harness, autojump_clock: MockClock) -> None:
    """The operation ends at once; what is wanted is there when it connects."""
    harness.add_charge_point()
    operation = await pausing(harness, connected=False)
    assert course(harness, operation) == (["ACCEPTED"], "OFFLINE", "kept")
    async with harness.connected():
        session = harness.router.session("CP1")
        assert session is not None
        assert session.steering.wanted[ONE].revision == 1


async def test_what_can_not_be_sent_at_all_is_not_begun(harness: Harness, autojump_clock: MockClock) -> None:
    """The field of the command says why; nothing is on disk."""
    async with ready(harness):
        found = await harness.router.operate("CP1", evolve(START, id_tag="T" * 21), "r", EXPIRY)
        assert isinstance(found, Refused)
        assert found.reason is RefusalReason.INVALID_COMMAND
        assert [each.field for each in found.violations] == ["id_tag"]
    assert harness.store.find_operations(of(), "", 10).records == []


@pytest.mark.parametrize("doubt", ["kept", "lost", ""])
async def test_an_operation_that_the_store_did_not_take_says_whether_it_may_be_begun(
    harness: Harness, autojump_clock: MockClock, doubt: str
) -> None:
    """In doubt it may; a store that refuses has kept nothing of it."""
    async with ready(harness):
        harness.journal.doubt, harness.journal.failing = doubt, not doubt
        found = await harness.router.operate("CP1", START, "r", EXPIRY)
        harness.journal.doubt, harness.journal.failing = "", False
    if doubt:
        assert found == Unknown("r", "store-unavailable", getattr(found, "message", ""))
    else:
        assert isinstance(found, Refused)
        assert found.reason is RefusalReason.STORE_UNAVAILABLE
    assert (harness.bodies_of(OperationAccepted) != []) == (doubt == "kept")
