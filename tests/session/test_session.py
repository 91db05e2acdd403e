"""A session: reads, decides, commits, replies; supervises; ends in the books."""

import json
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.times import format_time
from gateway.domain.values import Flag, Registration
from gateway.session.limits import SessionLimits
from gateway.store.sqlite import SqliteStore
from tests.support.harness import BOOT, EPOCH, Harness, boot
from tests.support.wire import FakeTransport, ScriptedCharger


async def test_a_boot_is_answered_with_status_time_and_the_heartbeat_interval(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B1.1."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        answer = await charger.call("BootNotification", BOOT)
    assert answer == {"status": "Accepted", "currentTime": answer["currentTime"], "interval": 300}
    assert answer["currentTime"].endswith("Z")
    (booted,) = harness.bodies(e.ChargePointBooted.TYPE)
    assert isinstance(booted, e.ChargePointBooted)
    assert booted.boot.vendor == "Acme"


@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
async def test_a_charger_that_is_not_accepted_gets_security_errors(
    harness: Harness, autojump_clock: MockClock, registration: Registration
) -> None:
    """B1.2, B1.5, X5: a positive interval, and every other CALL refused without a trace in the books."""
    harness.add_charge_point(registration=registration)
    async with harness.connected() as charger:
        answer = await charger.call("BootNotification", BOOT)
        assert answer["status"] == registration.value
        assert answer["interval"] > 0
        refused = await charger.call_frame("StatusNotification", STATUS)
    assert refused[:2] == [4, "SecurityError"]
    assert not harness.events(e.ConnectorStatusChanged.TYPE)


async def test_a_charger_accepted_earlier_is_served_without_a_boot(harness: Harness, autojump_clock: MockClock) -> None:
    """B1.10, A6.6: acceptance survives the connection."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
    async with harness.connected() as charger:
        assert await charger.call("StatusNotification", STATUS) == {}


async def test_what_its_operator_has_accepted_is_served_before_its_first_boot(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """J §5.4: a charger that moves here from another system reconnects without one, and must not be refused."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        assert "currentTime" in await charger.call("Heartbeat", {})
        assert await charger.call("MeterValues", {"transactionId": 815, **READINGS}) == {}
        stop = {"transactionId": 815, "meterStop": 9000, "timestamp": "2026-03-01T12:00:00Z"}
        assert await charger.call("StopTransaction", stop) == {}
    found = harness.events("transaction.foreign", "meter_values.reported", "transaction.orphaned")
    assert [each.type for each in found] == ["meter_values.reported", "transaction.foreign", "transaction.orphaned"]


@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED])
async def test_a_charger_that_is_not_accepted_is_not_served(
    harness: Harness, autojump_clock: MockClock, registration: Registration
) -> None:
    """X5."""
    harness.add_charge_point(registration=registration)
    async with harness.connected() as charger:
        assert (await charger.call_frame("Heartbeat", {}))[:2] == [4, "SecurityError"]


STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


async def test_an_unknown_action_is_not_implemented(harness: Harness, autojump_clock: MockClock) -> None:
    """A4, A3.5: action names are case-sensitive."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        assert (await charger.call_frame("heartbeat", {}))[:2] == [4, "NotImplemented"]


async def test_what_cannot_be_read_ends_the_session_only_past_its_budget(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A3.9: one bad frame is a bad day; fifty in a row are a broken peer."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        for _ in range(harness.limits.bad_messages - 1):
            await charger.send_raw("not json")
        assert "currentTime" in await charger.call("Heartbeat", {})
        for _ in range(harness.limits.bad_messages):
            await charger.send_raw("[]")
        assert await charger.sees_the_end() == (1008, "protocol")


async def test_unknown_message_types_are_ignored(harness: Harness, autojump_clock: MockClock) -> None:
    """A3.2, A3.10: nothing is answered, and the session goes on."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        await charger.send(1, "x")
        await charger.send(3, "no such call", {})
        await charger.send(4, "no such call", "GenericError", "", {})
        await charger.send(3, "too short")
        await charger.hears_nothing(20)
        assert "currentTime" in await charger.call("Heartbeat", {})


async def test_several_calls_without_waiting_are_answered_in_order(harness: Harness, autojump_clock: MockClock) -> None:
    """A5.4."""
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport) as charger:
        await boot(charger)
        for number in range(5):
            await charger.send(2, f"m{number}", "Heartbeat", {})
        for number in range(5):
            answer = json.loads(await transport._from_gateway.receive())
            assert answer[:2] == [3, f"m{number}"]


async def test_silence_is_pinged_and_a_pong_is_life(harness: Harness, autojump_clock: MockClock) -> None:
    """A6.3, A6.4: nothing but pongs keeps a session alive."""
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport) as charger:
        await boot(charger)
        await charger.hears_nothing(3 * harness.limits.silence)
        assert transport.pings >= 2
        assert "currentTime" in await charger.call("Heartbeat", {})


async def test_silence_after_a_ping_ends_the_session(harness: Harness, autojump_clock: MockClock) -> None:
    """A half-open link is found by its silence."""
    harness.add_charge_point()
    transport = FakeTransport(answers_pings=False)
    async with harness.connected(transport=transport) as charger:
        await boot(charger)
        start = trio.current_time()
        assert await charger.sees_the_end() == (1001, "silent")
        assert trio.current_time() - start == pytest.approx(harness.limits.silence + harness.limits.ping_grace)
    (gone,) = harness.bodies(e.ChargePointDisconnected.TYPE)
    assert isinstance(gone, e.ChargePointDisconnected)
    assert (gone.reason, gone.initiator) == ("silent", "local")


async def test_the_end_of_a_connection_is_in_the_books_with_its_initiator(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """With the side that ended it, and the close code."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        await charger.hang_up(1000, "bye")
    (gone,) = harness.bodies(e.ChargePointDisconnected.TYPE)
    assert gone == e.ChargePointDisconnected("closed", "peer", 1000, EPOCH)
    record = harness.store.charge_point("CP1")
    assert record is not None
    assert not record.connection.connected


async def test_when_a_charger_was_last_heard_is_known_when_it_has_gone(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Not when it connected, nor when the link was found dead, but its last frame."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await trio.sleep(10)
        await boot(charger)
        await trio.sleep(5)
        await charger.lose_link()
    record = harness.store.charge_point("CP1")
    assert record is not None
    assert record.connection.last_heard == EPOCH + timedelta(seconds=10)
    assert record.connection.since == EPOCH + timedelta(seconds=15)


async def test_nothing_is_acknowledged_that_the_store_could_not_keep(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A failing disk: no reply, 1011, and the charger keeps its message."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as charger:
        await boot(charger)
        harness.journal.failing = True
        await charger.send(2, "s1", "StartTransaction", START)
        assert await charger.sees_the_end() == (1011, "store-unavailable")
        assert not [frame for frame in charger._held if frame[1] == "s1"]
    harness.journal.failing = False
    assert not harness.events(e.TransactionStarted.TYPE)


START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T12:00:00Z"}


async def test_a_displaced_session_records_nothing_and_ends(harness: Harness, autojump_clock: MockClock) -> None:
    """A6.7, A6.8: the newest connection owns; what the old one does late is refused by its epoch."""
    harness.asks_nothing()
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as old:
        await boot(old)
        async with harness.connected() as new:
            assert await old.sees_the_end() == (1008, "replaced")
            await old.send(2, "late", "StartTransaction", START)
            await new.hears_nothing(5)
            assert not harness.events(e.TransactionStarted.TYPE)
            assert "currentTime" in await new.call("Heartbeat", {})
            assert harness.router.live("CP1") is not None
    reasons = [body.reason for body in harness.bodies(e.ChargePointDisconnected.TYPE)]  # type: ignore[union-attr]
    assert reasons == ["replaced", "closed"]


async def test_a_start_under_way_when_the_owner_changes_is_recorded_once(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The old socket's start is committed but not answered; its retry on the new one gets the same transaction."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as old:
        await boot(old)
        harness.journal.stall_seconds = 1.0
        await old.send(2, "s1", "StartTransaction", START)
        await trio.sleep(2.5)
        harness.journal.stall_seconds = 0.0
        async with harness.connected() as new:
            answer = await new.call("StartTransaction", START, "other id")
    (started,) = harness.bodies(e.TransactionStarted.TYPE)
    assert isinstance(started, e.TransactionStarted)
    assert answer["transactionId"] == started.number
    assert answer["idTagInfo"]["status"] == "Accepted"


async def test_a_ping_waits_no_longer_than_a_commit(harness: Harness, autojump_clock: MockClock) -> None:
    """The reader's only waits are the transport and the journal."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        harness.journal.stall_seconds = 3.0
        start = trio.current_time()
        await charger.call("StatusNotification", STATUS)
        assert trio.current_time() - start <= 3.0
        harness.journal.stall_seconds = 0.0


async def test_two_chargers_starting_with_one_exclusive_tag_are_not_both_accepted(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The guard: a fact that another charger changed meanwhile makes the decision anew."""
    harness.add_charge_point("CP1")
    harness.add_charge_point("CP2")
    harness.add_tag("TAG")
    statuses = []
    async with harness.connected("CP1") as one, harness.connected("CP2") as two, trio.open_nursery() as nursery:
        await boot(one)
        await boot(two)

        async def start(charger: ScriptedCharger) -> None:
            statuses.append((await charger.call("StartTransaction", START))["idTagInfo"]["status"])

        nursery.start_soon(start, one)
        nursery.start_soon(start, two)
    assert sorted(statuses) == ["Accepted", "ConcurrentTx"]


async def test_a_bug_in_a_handler_costs_its_message_only(
    harness: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """InternalError for one message; the session, and others, go on."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)

        class Broken:
            def __getattr__(self, name: str) -> object:
                return getattr(harness.protocol, name)

            def decide(self, state: object, request: object, *_: object) -> object:
                if request.action == "Authorize":  # type: ignore[attr-defined]
                    raise ZeroDivisionError
                return harness.protocol.decide(state, request, *_)  # type: ignore[arg-type]

        session = harness.router._sessions["CP1"]
        monkeypatch.setattr(session._context, "protocol", Broken())
        assert (await charger.call_frame("Authorize", {"idTag": "X"}))[:2] == [4, "InternalError"]
        assert "currentTime" in await charger.call("Heartbeat", {})


async def test_a_pending_charger_may_send_what_it_was_asked_for(harness: Harness, autojump_clock: MockClock) -> None:
    """B1.3: a triggered message of a Pending charger is answered normally."""
    harness.add_charge_point(registration=Registration.PENDING)
    from gateway.domain.commands import CommandRecord, TriggeredMessage, TriggerMessage

    async with harness.connected() as charger, trio.open_nursery() as nursery:
        await charger.call("BootNotification", BOOT)
        outcomes = []

        async def trigger() -> None:
            outcomes.append(
                await harness.router.call(
                    "CP1",
                    TriggerMessage(TriggeredMessage.STATUS_NOTIFICATION),
                    request_id="r1",
                    deadline=trio.current_time() + 30,
                )
            )

        nursery.start_soon(trigger)
        message_id, _, payload = await charger.next_call("TriggerMessage")
        assert payload == {"requestedMessage": "StatusNotification"}
        await charger.answer(message_id, {"status": "Accepted"})
        assert await charger.call("StatusNotification", STATUS) == {}
    assert isinstance(outcomes[0], CommandRecord)


@pytest.mark.parametrize("limits", [SessionLimits(settle_delay=5.0)])
async def test_provisioning_waits_for_the_charger_to_settle(
    harness: Harness, autojump_clock: MockClock, limits: SessionLimits
) -> None:
    """Quirk 7: nothing goes out before Boot.conf and the settle delay."""
    from gateway.session.commands.provisioning import DesiredKey

    harness.limits = limits
    harness.boot_configuration = (DesiredKey("MeterValueSampleInterval", ("60",)),)
    harness.add_charge_point()
    async with harness.connected() as charger:
        await trio.sleep(1)
        await boot(charger)
        await charger.hears_nothing(4.9)
        message_id, _, payload = await charger.next_call("ChangeConfiguration")
        assert payload == {"key": "MeterValueSampleInterval", "value": "60"}
        await charger.answer(message_id, {"status": "Accepted"})


READINGS = {
    "connectorId": 1,
    "meterValue": [{"timestamp": "2026-03-01T12:05:00Z", "sampledValue": [{"value": "150"}]}],
}


async def test_meter_values_whose_answer_was_lost_are_recorded_once(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B6.8: committed, not answered, sent again: on the same connection and on the next one."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        assert await charger.call("MeterValues", READINGS) == {}
        assert await charger.call("MeterValues", READINGS, "again") == {}
    async with harness.connected() as charger:
        assert await charger.call("MeterValues", READINGS) == {}
        later = {**READINGS, "meterValue": [{**READINGS["meterValue"][0], "timestamp": "2026-03-01T12:06:00Z"}]}  # type: ignore[index]
        assert await charger.call("MeterValues", later) == {}
    assert len(harness.events(e.MeterValuesReported.TYPE)) == 2


async def test_meter_values_are_recorded_once_though_much_was_recorded_in_between(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B6.8: nine connections that say nothing, and a gateway that starts anew on the same store."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        await charger.call("MeterValues", READINGS)
    for _ in range(9):
        async with harness.connected():
            pass
    harness.store.close()
    harness.store = harness.journal.store = SqliteStore(harness.path / "gateway.db")
    async with harness.connected() as charger:
        assert await charger.call("MeterValues", READINGS) == {}
    assert len(harness.events(e.MeterValuesReported.TYPE)) == 1


async def test_equal_readings_without_a_time_are_two(harness: Harness, autojump_clock: MockClock) -> None:
    """Nothing says that they are one message."""
    harness.add_charge_point()
    untimed = {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": "150"}]}]}
    async with harness.connected() as charger:
        await boot(charger)
        for _ in range(2):
            await charger.call("MeterValues", untimed)
    assert len(harness.events(e.MeterValuesReported.TYPE)) == 2


@pytest.mark.parametrize(("sampled", "doubted"), [([150, 900], False), ([150, 5_000], True), ([900, 150], True)])
@pytest.mark.parametrize("connections", [1, 2])
async def test_a_stop_is_held_against_the_samples_that_came_before_it(
    harness: Harness, autojump_clock: MockClock, sampled: list[int], doubted: bool, connections: int
) -> None:
    """Whichever connection they came by: a register that did not move with them is doubted."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    said: list[tuple[str, dict[str, object]]] = [
        ("StartTransaction", {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": at(0)})
    ]
    for minute, value in enumerate(sampled, 20):
        values = {"timestamp": at(minute), "sampledValue": [{"value": str(value)}]}
        said.append(("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": [values]}))
    said.append(("StopTransaction", {"transactionId": 1, "meterStop": 1_000, "timestamp": at(60)}))
    for part in (said,) if connections == 1 else (said[:-1], said[-1:]):
        async with harness.connected() as charger:
            await boot(charger)
            for action, payload in part:
                await charger.call(action, payload)
    (stopped,) = harness.events("transaction.stopped")
    assert (Flag.METER_IMPLAUSIBLE in stopped.flags) is doubted


async def test_readings_without_a_time_hide_no_repeat_of_those_with_one(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Two equal ones without may be two and are recorded as such; one with a time is recorded once, before and after a
    Boot."""
    harness.add_charge_point()
    untimed = {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": "1"}]}]}
    timed = {"connectorId": 1, "meterValue": [{"timestamp": at(0), "sampledValue": [{"value": "2"}]}]}
    for _ in range(2):
        async with harness.connected() as charger:
            await boot(charger)
            for payload in (untimed, timed, untimed, timed):
                await charger.call("MeterValues", payload)
    assert len(harness.events("meter_values.reported")) == 4 + 1


def at(minute: int) -> str:
    return format_time(EPOCH - timedelta(hours=2) + timedelta(minutes=minute))
