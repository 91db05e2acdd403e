"""Overlapping connections of one charge point: one owner at every moment, and the old one touches nothing of the new.

Links of home chargers break without a word, and the charger is back before the gateway knows (A6.7-A6.10).
"""

import json
import random
from typing import Any

import grpc
import pytest
import trio

from gateway.api.v1 import command_pb2 as commands
from tests.endtoend.asking import command, failure, in_thread, trigger
from tests.endtoend.charger import ANSWERS, SILENT, Charger, connect, now
from tests.endtoend.gateway_process import Gateway, eventually
from tests.endtoend.wire import PATIENCE, Closed, LinkLost, Refused, Wire

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 1000}


@pytest.fixture
def gateway(gateway: Gateway) -> Gateway:
    gateway.add_charge_point("CP1")
    gateway.add_tag("TAG")
    return gateway


def connections(gateway: Gateway) -> list[tuple[str, int]]:
    """The course of the connections by the events: ("connected", epoch) and (reason, epoch)."""
    seen = []
    for event in gateway.history("CP1"):
        if event.type == "charge_point.connected":
            seen.append(("connected", event.epoch))
        elif event.type == "charge_point.disconnected":
            seen.append((event.charge_point_disconnected.reason, event.epoch))
    return seen


async def test_the_newest_connection_wins_and_the_old_one_is_closed(gateway: Gateway) -> None:
    """Commands reach the new one; events tell connected, disconnected (replaced), connected."""
    async with trio.open_nursery() as nursery:
        old = await connect(nursery, gateway, "CP1")
        await old.boot()
        new = await connect(nursery, gateway, "CP1")
        assert (await old.sees_the_end()).args == (1008, "replaced")
        await new.boot()
        old.asked.clear()
        answer = await in_thread(trigger, gateway, "CP1")
        assert answer.status == commands.TRIGGER_MESSAGE_STATUS_ACCEPTED
        assert ("TriggerMessage", {"requestedMessage": "Heartbeat"}) in new.asked
        assert old.asked == []
        await new.wire.aclose()
    seen = connections(gateway)
    assert seen == [("connected", 1), ("replaced", 1), ("connected", 2), ("closed", 2)]


async def test_a_newcomer_that_is_refused_displaces_no_session(gateway: Gateway) -> None:
    """Otherwise anyone could kick a charger off (A6.9)."""
    async with trio.open_nursery() as nursery:
        charger = await connect(nursery, gateway, "CP1")
        await charger.boot()
        with pytest.raises(Refused):
            await Wire.open(gateway, "CP1", key=b"not the password")
        with pytest.raises(Refused):
            await Wire.open(gateway, "CP1", subprotocols=["ocpp2.0.1"])
        await charger.status("Available")
        await charger.wire.aclose()
    assert connections(gateway) == [("connected", 1), ("closed", 1)]


async def test_what_the_old_connection_sends_late_is_not_recorded(gateway: Gateway) -> None:
    """Nor is it answered, nor does its end mark the charger offline."""
    async with trio.open_nursery() as nursery:
        old = await Wire.open(gateway, "CP1")
        await old.send(json.dumps([2, "boot", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}]))
        await old.receive()
        new = await connect(nursery, gateway, "CP1")
        await new.status("Available")
        answered = []
        try:
            await old.send(json.dumps([2, "late1", "StartTransaction", START | {"timestamp": now()}]))
            await old.send(json.dumps([2, "late2", "StatusNotification", {**FAULT, "timestamp": now()}]))
            with trio.fail_after(PATIENCE):
                while True:
                    answered.append(json.loads(await old.receive()))
        except (Closed, LinkLost):
            pass
        await old.cut()
        assert [frame for frame in answered if frame[1] in ("late1", "late2")] == []

        point = gateway.charge_point("CP1")
        assert point.connection.connected
        assert [each.status for each in point.connectors] == ["Available"]
        assert gateway.transactions_of("CP1") == []
        assert (await in_thread(trigger, gateway, "CP1")).status == commands.TRIGGER_MESSAGE_STATUS_ACCEPTED
        await new.wire.aclose()
    history = gateway.history("CP1")
    assert "late1" not in {event.message_id for event in history}
    assert "late2" not in {event.message_id for event in history}


FAULT = {"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure"}


async def test_a_command_that_waits_on_the_old_connection_has_an_unknown_outcome(gateway: Gateway) -> None:
    """At once and not by time-out; an answer on either connection changes nothing of that (A5.6, A6.10)."""
    async with trio.open_nursery() as nursery:
        old = await connect(nursery, gateway, "CP1", answers={"TriggerMessage": asked_for_heartbeat})
        await old.boot()
        await old.status("Available")
        ended: list[tuple[grpc.StatusCode, str, dict[str, str]]] = []

        async def ask() -> None:
            ended.append(await in_thread(failure, trigger, gateway, "CP1"))

        async with trio.open_nursery() as asking:
            asking.start_soon(ask)
            await old.is_asked("TriggerMessage")
            with trio.fail_after(60):
                new = await connect(nursery, gateway, "CP1")
                await new.boot()
        [(status, reason, metadata)] = ended
        assert (status, reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")
        record = command(gateway, metadata["command_id"])
        assert record.state == commands.COMMAND_STATE_OUTCOME_UNKNOWN

        assert (await in_thread(trigger, gateway, "CP1")).status == commands.TRIGGER_MESSAGE_STATUS_ACCEPTED
        assert command(gateway, metadata["command_id"]) == record
        await new.wire.aclose()


def asked_for_heartbeat(payload: dict[str, Any]) -> object:
    """No answer to the test's command; the gateway's own question for statuses is answered."""
    return SILENT if payload["requestedMessage"] == "Heartbeat" else ANSWERS["TriggerMessage"]


async def test_a_start_that_is_under_way_at_the_takeover_makes_one_transaction(gateway: Gateway) -> None:
    """Committed before the newcomer or not: sent again, it is the same one (B4.6)."""
    numbers = []
    async with trio.open_nursery() as nursery:
        charger = await connect(nursery, gateway, "CP1")
        await charger.boot()
        for round_ in range(15):
            start = START | {"timestamp": now(), "meterStart": 1000 + round_}
            first: list[int] = []
            old = charger

            async def begin(charger: Charger = old, start: dict[str, Any] = start, first: list[int] = first) -> None:
                try:
                    first.append((await charger.call("StartTransaction", start))["transactionId"])
                except (Closed, LinkLost):
                    pass  # replaced before the answer

            async with trio.open_nursery() as racing:
                racing.start_soon(begin)
                await trio.sleep(random.uniform(0, 0.006))
                charger = await connect(nursery, gateway, "CP1")
            again = await charger.call("StartTransaction", start)
            assert again["idTagInfo"]["status"] == "Accepted"
            assert first in ([], [again["transactionId"]])
            await old.sees_the_end()
            stop = {"transactionId": again["transactionId"], "meterStop": 2000 + round_, "timestamp": now()}
            assert await charger.call("StopTransaction", stop) == {}
            numbers.append(again["transactionId"])
        await charger.wire.aclose()
    found = gateway.transactions_of("CP1")
    assert sorted(each.number for each in found) == sorted(numbers)
    assert {each.energy.watt_hours for each in found} == {"1000"}
    check_epochs(gateway)


@pytest.mark.parametrize("then", ["lives", "dies"])
async def test_a_stop_right_before_the_takeover_is_recorded_once(gateway: Gateway, then: str) -> None:
    """It is sent in the moment before the new connection's upgrade, and its tag has to be looked up. On a link that
    lives it is recorded and answered there; its repeat gets the same answer in any case."""
    stopped_on = []
    async with trio.open_nursery() as nursery:
        new = await connect(nursery, gateway, "CP1")
        await new.boot()
        for round_ in range(25):
            old = new
            start = START | {"timestamp": now(), "meterStart": round_}
            number = (await old.call("StartTransaction", start))["transactionId"]
            stop = {"transactionId": number, "idTag": "TAG", "meterStop": 1000 + round_, "timestamp": now()}
            answers: list[Any] = []

            async def speaks(
                old: Charger = old,
                stop: dict[str, Any] = stop,
                answers: list[Any] = answers,
                message_id: str = f"stop {round_}",
            ) -> None:
                answers.append(await old.says("StopTransaction", stop, message_id))
                if then == "dies":
                    await old.wire.cut()

            new = await connect(nursery, gateway, "CP1", before_upgrade=speaks)
            again = await new.call("StopTransaction", stop, f"again {round_}")
            assert again == {"idTagInfo": {"status": "Accepted"}}
            await old.sees_the_end()
            if then == "lives":
                assert answers == [[3, f"stop {round_}", again]]
            stopped_on += [event.message_id for event in gateway.history("CP1") if event.type == "transaction.stopped"][
                -1:
            ]
        await new.wire.aclose()
    if then == "lives":
        assert stopped_on == [f"stop {round_}" for round_ in range(25)]
        check_epochs(gateway)
    history = gateway.history("CP1")
    assert sum(event.type == "transaction.stopped" for event in history) == 25
    epochs = [event.epoch for event in history if event.type != "charge_point.created"]
    assert epochs == sorted(epochs)


async def test_of_ten_connections_at_once_exactly_one_stays(gateway: Gateway) -> None:
    """Whatever order they come in; each of the others is closed as replaced."""
    async with trio.open_nursery() as nursery:
        chargers: list[Charger] = []

        async def join() -> None:
            try:
                chargers.append(await connect(nursery, gateway, "CP1"))
            except LinkLost:
                pass  # replaced before its upgrade was answered

        async with trio.open_nursery() as joining:
            for _ in range(10):
                joining.start_soon(join)
        with trio.fail_after(PATIENCE):
            while sum(each.ended is None for each in chargers) > 1:  # noqa: ASYNC110 - any of ten ends
                await trio.sleep(0.01)
        [owner] = [each for each in chargers if each.ended is None]
        assert {each.ended and each.ended.args for each in chargers if each is not owner} <= {(1008, "replaced")}
        await owner.boot()
        assert (await in_thread(trigger, gateway, "CP1")).status == commands.TRIGGER_MESSAGE_STATUS_ACCEPTED
        assert ("TriggerMessage", {"requestedMessage": "Heartbeat"}) in owner.asked
        assert gateway.charge_point("CP1").connection.connected
        await owner.wire.aclose()
    eventually("the end", lambda: gateway.charge_point("CP1"), lambda point: not point.connection.connected)
    check_epochs(gateway)


def check_epochs(gateway: Gateway) -> None:
    """Connections follow one another: none begins before the one before it has ended, and nothing comes after that."""
    seen = connections(gateway)
    begun = [epoch for what, epoch in seen if what == "connected"]
    assert begun == sorted(set(begun))
    assert seen[::2] == [("connected", epoch) for epoch in begun]
    assert [epoch for _, epoch in seen[1::2]] == begun
    assert {what for what, _ in seen[1:-1:2]} == {"replaced"}
    epochs = [event.epoch for event in gateway.history("CP1") if event.type != "charge_point.created"]
    assert epochs == sorted(epochs)
