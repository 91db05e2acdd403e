"""SIGTERM: what is in flight finishes, every peer learns of it, nothing is lost, exit code 0."""

import signal
from typing import Any

import grpc
import pytest
import trio

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import transaction_pb2 as transactions
from tests.endtoend.asking import CONNECTOR, failure, in_thread, trigger
from tests.endtoend.charger import ANSWERS, SILENT, chargers, connect, now
from tests.endtoend.gateway_process import RPC_SECONDS, STOP_SECONDS, Gateway, MakeGateway, eventually
from tests.endtoend.watching import Watcher
from tests.endtoend.wire import LinkLost, Refused, Wire


def holds_back(payload: dict[str, Any]) -> object:
    """No answer to the test's command, until the test gives one itself."""
    return SILENT if payload["requestedMessage"] == "Heartbeat" else ANSWERS["TriggerMessage"]


@pytest.fixture
def gateway(gateway: Gateway) -> Gateway:
    for identity in ("CP1", "CP2", "CP3"):
        gateway.add_charge_point(identity)
    return gateway


async def test_a_command_in_flight_finishes_and_sessions_and_watchers_end_with_a_reason(gateway: Gateway) -> None:
    """The caller has its answer, chargers see 1001, watchers UNAVAILABLE, newcomers nothing; the exit code is 0."""
    answered = []
    with Watcher(gateway) as watcher:
        async with chargers(gateway, "CP1", "CP2", answers={"TriggerMessage": holds_back}) as (busy, idle):
            for charger in (busy, idle):
                await charger.status("Available")

            async def ask() -> None:
                answered.append(await in_thread(trigger, gateway, "CP1"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await busy.is_asked("TriggerMessage")
                gateway.signal(signal.SIGTERM)
                await is_draining(gateway)
                status, _, _ = await in_thread(failure, trigger, gateway, "CP2")
                assert status == grpc.StatusCode.UNAVAILABLE
                # A charger may go on talking while a command is in flight, and is answered.
                await busy.call("Heartbeat", {})
                await busy.answer_last("TriggerMessage", {"status": "Accepted"})
            assert (await busy.sees_the_end()).args == (1001, "draining")
            assert (await idle.sees_the_end()).args == (1001, "draining")
        assert await in_thread(watcher.wait_for_end) == grpc.StatusCode.UNAVAILABLE
    assert await in_thread(gateway.wait) == 0
    [answer] = answered
    assert answer.status == commands.TRIGGER_MESSAGE_STATUS_ACCEPTED
    assert answer.command.state == commands.COMMAND_STATE_ANSWERED

    gateway.start()
    history = gateway.history()
    ended = {e.charge_point: e.charge_point_disconnected for e in history if e.type == "charge_point.disconnected"}
    assert {identity: (e.reason, e.initiator, e.code) for identity, e in ended.items()} == {
        "CP1": ("draining", "local", 1001),
        "CP2": ("draining", "local", 1001),
    }
    [answered_event] = [e.command_answered for e in history if e.type == "command.answered"]
    assert answered_event.command_id == answer.command.command_id


async def is_draining(gateway: Gateway) -> None:
    """Wait until no newcomer is let in."""
    with trio.fail_after(60):
        while True:
            try:
                wire = await Wire.open(gateway, "CP3")
            except (LinkLost, Refused):
                return
            await wire.cut()


async def test_a_command_without_an_answer_does_not_hold_up_the_end(make_gateway: MakeGateway) -> None:
    """The drain has a deadline; then the outcome is unknown, as recorded, and the exit code 0 all the same."""
    gateway = make_gateway(drain={"deadline_seconds": 3}, sessions={"call_timeout_seconds": 50})
    gateway.start()
    gateway.add_charge_point("CP1")
    async with chargers(gateway, "CP1", answers={"TriggerMessage": holds_back}) as (charger,):
        await charger.status("Available")
        ended = []

        async def ask() -> None:
            ended.append(await in_thread(failure, trigger, gateway, "CP1"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await charger.is_asked("TriggerMessage")
            assert await in_thread(gateway.stop) == 0  # which waits for less than a command may take
        [(status, reason, metadata)] = ended
        assert (status, reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")
    gateway.start()
    record = gateway.commands.GetCommand(
        commands.GetCommandRequest(command_id=metadata["command_id"]), timeout=RPC_SECONDS
    ).command
    assert record.state == commands.COMMAND_STATE_OUTCOME_UNKNOWN


async def test_a_second_signal_ends_it_at_once_and_callers_still_get_the_true_outcome(
    make_gateway: MakeGateway,
) -> None:
    """UNAVAILABLE would say that nothing was sent."""
    gateway = make_gateway(drain={"deadline_seconds": 60})
    gateway.start()
    gateway.add_charge_point("CP1")
    async with chargers(gateway, "CP1", answers={"TriggerMessage": holds_back}) as (charger,):
        await charger.status("Available")
        ended = []

        async def ask() -> None:
            ended.append(await in_thread(failure, trigger, gateway, "CP1"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await charger.is_asked("TriggerMessage")
            gateway.signal(signal.SIGTERM)
            await trio.sleep(0.5)
            gateway.signal(signal.SIGTERM)
            assert await in_thread(gateway.wait) == 0  # which waits for less than the drain's deadline
        [(status, reason, _)] = ended
        assert (status, reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")


async def test_the_state_is_there_again_after_a_restart(gateway: Gateway) -> None:
    """No Boot is needed of a charger that was accepted before; its transaction goes on, its statuses are known."""
    gateway.add_tag("TAG")
    async with chargers(gateway, "CP1") as (charger,):
        await charger.status("Charging")
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": now()}
        number = (await charger.call("StartTransaction", start))["transactionId"]
        assert await in_thread(gateway.stop) == 0
    gateway.start()
    point = gateway.charge_point("CP1")
    assert point.ever_accepted
    assert not point.connection.connected
    assert [each.status for each in point.connectors] == ["Charging"]
    [running] = gateway.transactions_of("CP1")
    assert (running.number, running.state) == (number, transactions.TRANSACTION_STATE_OPEN)

    async with chargers(gateway, "CP1", boot=False) as (charger,):
        await charger.call("Heartbeat", {})
        stop = await in_thread(
            lambda: gateway.commands.RemoteStopTransaction(
                commands.RemoteStopTransactionRequest(
                    charge_point="CP1", request_id="stop", transaction_id=running.transaction_id
                ),
                timeout=RPC_SECONDS,
            )
        )
        assert stop.status == commands.REMOTE_STOP_TRANSACTION_STATUS_ACCEPTED
        assert await charger.is_asked("RemoteStopTransaction") == {"transactionId": number}
        await charger.call("StopTransaction", {"transactionId": number, "meterStop": 350, "timestamp": now()})
    [done] = gateway.transactions_of("CP1")
    assert (done.state, done.energy.watt_hours) == (transactions.TRANSACTION_STATE_STOPPED, "250")


async def test_a_kill_leaves_no_charger_connected_and_no_command_undecided(gateway: Gateway) -> None:
    """Everything that the crash left open is settled at the next start: gone, unknown, or never sent."""
    async with trio.open_nursery() as nursery:
        charger = await connect(nursery, gateway, "CP1", answers={"TriggerMessage": holds_back})
        await charger.boot()
        await charger.status("Available")

        async def ask(identity: str, seconds: float = RPC_SECONDS) -> None:
            status, _, _ = await in_thread(failure, trigger, gateway, identity, seconds)
            assert status == grpc.StatusCode.UNAVAILABLE

        async with trio.open_nursery() as asking:
            asking.start_soon(ask, "CP1")
            await charger.is_asked("TriggerMessage")
            asking.start_soon(ask, "CP1")  # waits behind the first
            await in_thread(
                eventually, "two commands", lambda: len(listed(gateway)), lambda how_many: how_many == 2, STOP_SECONDS
            )
            gateway.signal(signal.SIGKILL)  # the calls end by that, and not by their channel being closed
        await in_thread(gateway.wait)
        await charger.sees_the_end()
    gateway.start()
    assert not gateway.charge_point("CP1").connection.connected
    newer, older = listed(gateway)
    assert (older.state, older.reason) == (commands.COMMAND_STATE_OUTCOME_UNKNOWN, "gateway-restarted")
    assert (newer.state, newer.reason) == (commands.COMMAND_STATE_NOT_SENT, "gateway-restarted")
    last = [e for e in gateway.history("CP1") if e.type == "charge_point.disconnected"][-1]
    assert last.charge_point_disconnected.reason == "gateway-restarted"


def listed(gateway: Gateway) -> list[commands.Command]:
    return list(
        gateway.commands.ListCommands(commands.ListCommandsRequest(charge_point="CP1"), timeout=RPC_SECONDS).commands
    )


async def test_a_second_gateway_on_the_same_database_is_refused(gateway: Gateway, make_gateway: MakeGateway) -> None:
    """By name, with a code other than 0, and without harm to the first."""
    second = make_gateway(store={"path": str(gateway.database)})
    with pytest.raises(AssertionError, match=r"the gateway ended with [1-9]"):
        await in_thread(second.start)
    assert str(gateway.database) in second.tail()
    second.reap()
    async with chargers(gateway, "CP1") as (charger,):
        await charger.status("Available")


def test_a_repeated_request_gives_the_first_outcome_also_after_a_restart(gateway: Gateway) -> None:
    """A request id is used up for ever; its outcome is returned even if the charger is offline by then."""

    async def once() -> tuple[commands.UnlockConnectorResponse, int]:
        async with chargers(gateway, "CP1") as (charger,):
            await charger.status("Available")
            return await in_thread(unlock), len([1 for name, _ in charger.asked if name == "UnlockConnector"])

    def unlock() -> commands.UnlockConnectorResponse:
        return gateway.commands.UnlockConnector(
            commands.UnlockConnectorRequest(charge_point="CP1", request_id="one", connector=CONNECTOR),
            timeout=RPC_SECONDS,
        )

    first, times = trio.run(once)
    assert times == 1
    again, times = trio.run(once)
    assert (again, times) == (first, 0)
    assert gateway.stop() == 0
    gateway.start()
    assert unlock() == first
