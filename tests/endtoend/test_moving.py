"""A fleet that moves here from another central system in mid-session, without a reboot (J §5.4)."""

import trio

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import common_pb2 as common
from gateway.api.v1.event_pb2 import Event
from tests.endtoend.asking import in_thread
from tests.endtoend.charger import Charger, chargers, now
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway, MakeGateway
from tests.endtoend.watching import Watcher

FLEET = 200
FOREIGN = 40_000
"""Their transactions' numbers under the other system begin here."""


async def charge_on(charger: Charger, number: int) -> None:
    """Go on with the transaction that the charger has: a status and two readings."""
    status = {"connectorId": 1, "status": "Charging", "errorCode": "NoError", "timestamp": now()}
    assert await charger.call("StatusNotification", status) == {}
    for register in ("1000", "1100"):
        value = [{"timestamp": now(), "sampledValue": [{"value": register}]}]
        readings = {"connectorId": 1, "transactionId": number, "meterValue": value}
        assert await charger.call("MeterValues", readings) == {}


async def stop(charger: Charger, number: int) -> None:
    """The end of the transaction."""
    stopped = {"transactionId": number, "meterStop": 1200, "timestamp": now(), "reason": "Remote"}
    assert await charger.call("StopTransaction", stopped) == {}


def stop_by_number(gateway: Gateway, identity: str, number: int) -> None:
    """RemoteStopTransaction of a transaction of another system; fails unless the charger accepts."""
    request = commands.RemoteStopTransactionRequest(charge_point=identity, request_id="r1", foreign_number=number)
    answer = gateway.commands.RemoteStopTransaction(request, timeout=60)
    assert answer.status == commands.REMOTE_STOP_TRANSACTION_STATUS_ACCEPTED
    assert '"foreign_number":' in answer.command.arguments_json.replace(" ", "")


async def test_a_fleet_moves_here_in_mid_session_without_a_reboot(make_gateway: MakeGateway) -> None:
    """Every transaction message is recorded and confirmed, and every charger is commanded within ten seconds."""
    gateway = make_gateway(sessions={"settle_delay_seconds": 2.0, "ready_after_silence_seconds": 2.0})
    gateway.start()
    identities = [f"CP{number:03}" for number in range(FLEET)]
    keys = [await in_thread(gateway.add_with_new_key, identity) for identity in identities]
    answers = {"TriggerMessage": {"status": "Rejected"}}
    async with chargers(gateway, *identities, keys=keys, boot=False, answers=answers) as fleet:
        async with trio.open_nursery() as nursery:
            for number, charger in enumerate(fleet):
                nursery.start_soon(charge_on, charger, FOREIGN + number)
        async with trio.open_nursery() as nursery:
            for number, identity in enumerate(identities):
                nursery.start_soon(in_thread, stop_by_number, gateway, identity, FOREIGN + number)
        async with trio.open_nursery() as nursery:
            for number, charger in enumerate(fleet):
                assert (await charger.is_asked("RemoteStopTransaction"))["transactionId"] == FOREIGN + number
                nursery.start_soon(stop, charger, FOREIGN + number)

        def whole(events: list[Event]) -> bool:
            return sum(each.type == "transaction.orphaned" for each in events) == FLEET

        with Watcher(gateway) as watcher:
            await in_thread(watcher.wait_for, "all stops", whole, 60)
            found = watcher.events
    for type_, each_of in {"meter_values.reported": 2, "transaction.foreign": 1, "transaction.orphaned": 1}.items():
        shown = sorted((e.charge_point, getattr(e, type_.replace(".", "_")).number) for e in found if e.type == type_)
        assert shown == sorted((identities[n], FOREIGN + n) for n in range(FLEET) for _ in range(each_of)), type_
    flagged = {common.QUALITY_FLAG_DEVIATES} & {flag for each in found for flag in each.flags}
    assert not flagged
    assert RPC_SECONDS > 10
