"""A charger whose link is refused, breaks, or is away: nothing acknowledged twice, nothing lost."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.simulator.messages import Message
from gateway.simulator.outbox import Outbox
from tests.simulator.central import NOW, Central, boot
from tests.simulator.conftest import Home


async def test_it_reconnects_without_a_boot_and_reports_only_what_changed(
    autojump_clock: MockClock, home: Home
) -> None:
    """J §5.4: no BootNotification after a mere break of the link."""
    charger = await home.charger()
    charger.drop_link()
    await charger.wait_for(lambda each: not each.connected)
    charger.plug_in()
    await charger.wait_for(lambda each: each.connected)
    await home.central.heard("StatusNotification", connectorId=1, status="Preparing")
    assert home.central.actions() == ["BootNotification", *["StatusNotification"] * 3]


async def test_a_transaction_made_offline_is_delivered_with_its_times_and_its_late_id(
    autojump_clock: MockClock, home: Home
) -> None:
    """039: start, readings and stop in order, original timestamps, the id of a start confirmed only afterwards."""
    charger = await home.charger()
    charger.go_offline(1000)
    await charger.wait_for(lambda each: not each.connected)
    away_from = trio.current_time()
    charger.plug_in()
    assert await charger.present_id_tag("UNKNOWN")
    await trio.sleep(150)
    await charger.present_id_tag("UNKNOWN")
    charger.unplug()
    stop = await home.central.heard("StopTransaction")
    assert trio.current_time() - away_from >= 999
    assert [a for a in home.central.actions() if a in ("StartTransaction", "MeterValues", "StopTransaction")] == [
        "StartTransaction",
        "MeterValues",
        "MeterValues",
        "StopTransaction",
    ]
    identifier = home.central.next_transaction
    assert stop["transactionId"] == identifier
    assert [p["transactionId"] for p in home.central.having("MeterValues")] == [identifier] * 2
    assert home.central.having("StartTransaction")[0]["timestamp"].startswith("2026-03-02T12:00:00")
    assert stop["timestamp"].startswith("2026-03-02T12:02:30")
    assert len(home.central.having("BootNotification")) == 1
    # Of the statuses in between only the newest is news (S §4.9).
    await home.central.heard("StatusNotification", times=2, connectorId=1)
    statuses = [p["status"] for p in home.central.having("StatusNotification", connectorId=1)]
    assert statuses == ["Available", "Available"]


async def test_a_message_without_an_answer_is_sent_again_and_the_others_wait(
    autojump_clock: MockClock, home: Home
) -> None:
    """S §3.7.1: TransactionMessageRetryInterval times the failures, then it is given up; the stop has id -1."""
    charger = await home.charger()
    at: list[float] = []

    def refuse(_: dict[str, Any]) -> tuple[str, str]:
        at.append(trio.current_time())
        return ("InternalError", "")

    home.central.replies["StartTransaction"] = refuse
    charger.plug_in()
    await charger.present_id_tag()
    charger.unplug()
    stop = await home.central.heard("StopTransaction")
    assert [round(later - earlier) for earlier, later in pairwise(at)] == [60, 120]
    assert stop["transactionId"] == -1
    assert [event["action"] for event in home.reported("dropped")] == ["StartTransaction"]


async def test_a_silent_central_system_costs_an_attempt(autojump_clock: MockClock, home: Home) -> None:
    """No answer within the call's time is a failure like a CALLERROR; the next attempt succeeds."""
    charger = await home.charger()
    answers = iter([None])
    home.central.replies["StartTransaction"] = lambda _: next(answers, home.central.started())
    charger.plug_in()
    await charger.present_id_tag()
    before = trio.current_time()
    await charger.wait_for(lambda each: each.transaction_id() is not None)
    assert trio.current_time() - before == pytest.approx(90, abs=1)
    starts = home.central.having("StartTransaction")
    assert len(starts) == 2
    assert starts[0] == starts[1]


async def test_a_link_that_breaks_before_the_answer_costs_no_attempt(autojump_clock: MockClock, home: Home) -> None:
    """The unanswered start stays first in the outbox and is sent on the next link."""
    charger = await home.charger()
    answers = iter([None, None, None, None, None])
    home.central.replies["StartTransaction"] = lambda _: next(answers, home.central.started())
    charger.plug_in()
    await charger.present_id_tag()
    for times in range(1, 6):
        await home.central.heard("StartTransaction", times=times)
        charger.drop_link()
    await charger.wait_for(lambda each: each.transaction_id() is not None)
    assert not home.reported("dropped")


async def test_refusals_are_reported_and_retried_with_growing_pauses(autojump_clock: MockClock, home: Home) -> None:
    """JE 3.3: exponential back-off with jitter; Retry-After is honoured."""
    home.central.refusals.extend([(401, []), (404, []), "close", (503, [(b"Retry-After", b"300")]), (401, [])])
    await home.charger()
    failures = home.reported("link_failed")
    assert [str(failure["reason"]) for failure in failures] == [
        "refused with HTTP 401",
        "refused with HTTP 404",
        "the connection ended before the upgrade was answered",
        "refused with HTTP 503",
        "refused with HTTP 401",
    ]
    pauses = [float(failure["retry_in"]) for failure in failures]
    assert 0.5 <= pauses[0] <= 1.5
    assert 2 <= pauses[2] <= 6
    assert pauses[3] == 300
    assert 8 <= pauses[4] <= 24


async def test_a_central_system_without_the_subprotocol_is_left(autojump_clock: MockClock, home: Home) -> None:
    """A2.1: 101 without ocpp1.6 is no OCPP link."""
    home.central.subprotocol = None
    charger = await home.charger(online=False)
    await charger.wait_for(lambda _: len(home.reported("link_failed")) >= 2)
    assert "ocpp1.6" in str(home.reported("link_failed")[0]["reason"])
    assert not home.central.requests


async def test_a_close_by_the_central_system_is_survived(autojump_clock: MockClock, home: Home) -> None:
    """1011 and the like: the charger comes back by itself."""
    charger = await home.charger()
    await home.central.close(1011, "store failed")
    await charger.wait_for(lambda _: bool(home.reported("link_lost")))
    assert "1011" in str(home.reported("link_lost")[0]["reason"])
    await charger.wait_for(lambda each: each.connected)
    assert len(home.central.having("BootNotification")) == 1


async def test_a_ping_after_the_charger_closed_does_not_end_it(autojump_clock: MockClock, home: Home) -> None:
    """trio-websocket's reader task may crash then; the charger's own loop takes it."""
    charger = await home.charger()
    connection = home.central.connection
    assert connection is not None

    async def ping() -> None:
        for number in range(50):
            try:
                await connection.ping(bytes([number]))
            except Exception:  # the connection is going down, which is the point
                return

    home.nursery.start_soon(ping)
    await home.central.call("Reset", {"type": "Hard"})
    await home.central.heard("BootNotification", times=2)
    await charger.wait_for(lambda each: each.registration == "Accepted")


async def test_pings_by_configuration_find_a_dead_link(autojump_clock: MockClock, home: Home) -> None:
    """WebSocketPingInterval: a pong that does not come ends the link."""
    charger = await home.charger()
    await home.central.call("ChangeConfiguration", {"key": "WebSocketPingInterval", "value": "20"})
    await trio.sleep(200)
    assert charger.connected
    assert not home.reported("link_lost")
    home.central.wires[0].dead = True
    await charger.wait_for(lambda _: bool(home.reported("link_lost")))
    await charger.wait_for(lambda each: each.connected)
    assert len(home.central.wires) == 2


async def test_charging_goes_on_without_the_central_system(autojump_clock: MockClock, home: Home) -> None:
    """An outage stops no transaction, and a limit stays in force (B10.10)."""
    charger = await home.charger()
    charger.plug_in()
    await charger.present_id_tag()
    await charger.wait_for(lambda each: each.transaction_id() is not None)
    body = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "ChargePointMaxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6000}],
        },
    }
    await home.central.call("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": body})
    charger.go_offline(3600)
    before = charger.register()
    await trio.sleep(3600)
    assert charger.register() - before == pytest.approx(6000, abs=5)
    assert charger.charging()


def test_a_full_outbox_drops_readings_first_and_never_starts_or_stops() -> None:
    """Bounded: a long outage costs the oldest readings; new transactions are refused before stops could be lost."""
    from gateway.simulator.messages import Transaction
    from gateway.simulator.outbox import TRANSACTION_MESSAGES

    dropped: list[str] = []
    outbox = Outbox(lambda message, _: dropped.append(message.action))
    kept = 0
    transaction = Transaction(1, "A", NOW, 0)
    while outbox.room_for_transaction():
        for action in ("StartTransaction", "StopTransaction"):
            outbox.put(Message(action, {}, transaction), online=False)
            kept += 1
    for number in range(2 * TRANSACTION_MESSAGES):
        outbox.put(Message("MeterValues", {"n": number}, transaction), online=False)
    for number in range(1000):
        outbox.put(Message("Heartbeat", {"n": number}, triggered=True), online=False)
    assert set(dropped) == {"MeterValues", "Heartbeat"}
    assert outbox.undelivered_transactions == TRANSACTION_MESSAGES
    assert len(outbox) < TRANSACTION_MESSAGES + 100
    delivered = []
    while (entry := outbox.next(0.0, accepted=True)) is not None:
        delivered.append(entry.message)
        outbox.delivered(entry)
    readings = [m.payload["n"] for m in delivered if m.action == "MeterValues"]
    assert readings[-1] == 2 * TRANSACTION_MESSAGES - 1
    assert readings == sorted(readings)
    assert sum(1 for m in delivered if m.action in ("StartTransaction", "StopTransaction")) == kept


def has_links(central: Central, links: int) -> bool:
    """A condition: there have been so many connections."""
    return len(central.headers) == links


async def test_being_thrown_out_before_acceptance_is_met_with_back_off(autojump_clock: MockClock, home: Home) -> None:
    """A central system may close on a charger that it rejects (S §4.2): no tight loop of connections."""
    home.central.replies["BootNotification"] = lambda _: boot("Rejected", 600)
    charger = await home.charger(online=False)
    for times in range(1, 7):
        await home.central.until(partial(has_links, links=times))
        await charger.wait_for(lambda each: each.connected)
        await trio.sleep(0.1)
        await home.central.close(1000, "")
    pauses = [float(lost["retry_in"]) for lost in home.reported("link_lost")]
    assert pauses[4] > 7
    assert len(home.central.having("BootNotification")) == 1
