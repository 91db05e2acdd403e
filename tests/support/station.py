"""A charge point and an operator at the two ends of the gateway, and the states that scenarios begin in.

Every frame is held against its schema: the confirmations that the charge point gets, the CALLs that an operator's
commands become. What a scenario does not expect on the wire fails it when it ends.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import trio

from gateway.domain.commands import CallOutcome, Command, CommandRecord, CommandState, Refused
from gateway.domain.events import ReservationEnded
from gateway.domain.records import TransactionRecord
from gateway.domain.times import format_time
from gateway.ocpp.v16.schemas import COMMANDS, REPLIES
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.wire import ScriptedCharger

ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}

AFTERMATH = 5.0
"""Virtual seconds after a scenario in which nothing more may be sent."""


def time(seconds: float = 0) -> str:
    """A time as chargers send it, so many seconds from now."""
    return format_time(virtual_clock() + timedelta(seconds=seconds))


class Station:
    """One charge point, over any number of connections, and the operator who commands it."""

    def __init__(self, harness: Harness, nursery: trio.Nursery, identity: str, connectors: int) -> None:
        self.harness = harness
        self.identity = identity
        self.connectors = connectors
        self.charger: ScriptedCharger
        self._nursery = nursery
        self._connection = AsyncExitStack()
        self._requests = 0

    # --- the connection ---------------------------------------------------------------------------------------

    async def connects(self) -> None:
        self.charger = await self._connection.enter_async_context(self.harness.connected(self.identity))

    async def disconnects(self, *, cleanly: bool = False) -> None:
        """Close the connection or, if not ``cleanly``, lose it; nothing unexpected has come over it before."""
        assert not self.charger._held, f"unexpected: {self.charger._held}"
        if cleanly:
            await self.charger.hang_up(1001)
        await self._connection.aclose()

    async def ends(self) -> None:
        """Nothing more is on the wire; disconnect."""
        if not self.charger.gone:
            await self.charger.hears_nothing(AFTERMATH)
        await self.disconnects()

    # --- the charge point's side ------------------------------------------------------------------------------

    async def says(self, action: str, message_id: str | None = None, **payload: Any) -> Any:
        """A CALL of the charge point; the payload of its confirmation."""
        confirmation = await self.charger.call(action, payload, message_id)
        assert REPLIES[action].is_valid(confirmation), confirmation
        return confirmation

    async def boots(self, **more: Any) -> None:
        """BootNotification is accepted, a status of every connector is taken, and the settle delay passes."""
        answer = await self.says("BootNotification", **BOOT | more)
        assert answer == {"status": "Accepted", "currentTime": time(), "interval": 300}
        for connector in range(self.connectors + 1):
            await self.status(connector, "Available")
        await trio.sleep(self.harness.limits.settle_delay)

    async def status(self, connector: int, status: str, error_code: str = "NoError", **more: Any) -> None:
        report = {"connectorId": connector, "status": status, "errorCode": error_code, "timestamp": time(), **more}
        assert await self.says("StatusNotification", **report) == {}

    async def authorize(self, id_tag: str = "TAG") -> Any:
        """The idTagInfo."""
        return (await self.says("Authorize", idTag=id_tag))["idTagInfo"]

    async def starts(self, connector: int = 1, id_tag: str = "TAG", meter: int = 1000, **more: Any) -> Any:
        """The confirmation of a StartTransaction."""
        start = {"connectorId": connector, "idTag": id_tag, "meterStart": meter, "timestamp": time(), **more}
        return await self.says("StartTransaction", **start)

    async def stops(self, number: int, meter: int = 1500, **more: Any) -> Any:
        """The confirmation of a StopTransaction."""
        return await self.says("StopTransaction", transactionId=number, meterStop=meter, **{"timestamp": time()} | more)

    async def charges(self, connector: int = 1, id_tag: str = "TAG") -> int:
        """The state Charging: authorized, prepared, started, charging. The transaction's number."""
        assert (await self.authorize(id_tag))["status"] == "Accepted"
        await self.status(connector, "Preparing")
        started = await self.starts(connector, id_tag)
        assert started["idTagInfo"]["status"] == "Accepted"
        await self.status(connector, "Charging")
        number: int = started["transactionId"]
        return number

    async def is_asked_for_its_status(self) -> None:
        """Answer the requests for each connector's status to a charge point that reconnects without a Boot."""
        for connector in range(1, self.connectors + 1):
            trigger = {"requestedMessage": "StatusNotification", "connectorId": connector}
            await self.charger.answer(await self.receives("TriggerMessage", trigger), ACCEPTED)

    async def receives(self, action: str, payload: Any) -> str:
        """The next CALL of the gateway, to the letter; its message id."""
        message_id, _, sent = await self.charger.next_call(action)
        assert sent == payload
        assert COMMANDS[action].is_valid(sent), list(COMMANDS[action].iter_errors(sent))
        return message_id

    # --- the operator's side ----------------------------------------------------------------------------------

    def ask(self, command: Command, seconds: float = 60.0) -> Callable[[], Awaitable[CallOutcome]]:
        """Give a command to the router in a task of its own; the result waits for its outcome."""
        self._requests += 1
        request_id = f"{self.identity}-{self._requests}"
        answered = trio.Event()
        outcomes: list[CallOutcome] = []

        async def carry() -> None:
            deadline = trio.current_time() + seconds
            outcomes.append(
                await self.harness.router.call(self.identity, command, request_id=request_id, deadline=deadline)
            )
            answered.set()

        async def outcome() -> CallOutcome:
            await answered.wait()
            return outcomes[0]

        self._nursery.start_soon(carry)
        return outcome

    async def obeys(self, command: Command, payload: Any, answer: Any) -> Any:
        """A command, the CALL that it becomes, and the charge point's confirmation: the answer that the caller gets."""
        outcome = self.ask(command)
        message_id = await self.receives(type(command).__name__, payload)
        await self.charger.answer(message_id, answer)
        record = await outcome()
        assert isinstance(record, CommandRecord)
        assert record.state is CommandState.ANSWERED
        assert record.error is None, record.error
        return record.answer

    async def is_spared(self, command: Command) -> Refused:
        """A command that the gateway refuses by itself: nothing is on the wire."""
        outcome = await self.ask(command)()
        assert isinstance(outcome, Refused)
        await self.charger.hears_nothing(AFTERMATH)
        return outcome

    # --- the books --------------------------------------------------------------------------------------------

    def transaction(self, number: int) -> TransactionRecord:
        found = self.harness.store.transaction_by_number(number)
        assert found is not None
        return found

    def reserved(self) -> list[int]:
        """The ids of the reservations that hold."""
        found = self.harness.store.charge_point(self.identity)
        assert found is not None
        return [each.reservation_id for each in found.reservations]

    def reservations_ended(self) -> list[tuple[int, str]]:
        """The ids of those that ended, and why, in their order."""
        bodies = self.harness.bodies("reservation.ended")
        return [(each.reservation_id, each.why) for each in bodies if isinstance(each, ReservationEnded)]

    def recorded(self, *types: str) -> list[str]:
        """The types of the events so far, those of this charge point, of the given types or of all."""
        return [each.type for each in self.harness.events(*types) if each.charge_point == self.identity]


@asynccontextmanager
async def booted(harness: Harness, identity: str = "CP1", connectors: int = 2) -> AsyncIterator[Station]:
    """The state Booted, on a gateway that knows the charge point and the tag TAG."""
    harness.add_charge_point(identity)
    if harness.store.id_tag("TAG") is None:
        harness.add_tag("TAG")
    async with trio.open_nursery() as nursery:
        station = Station(harness, nursery, identity, connectors)
        await station.connects()
        try:
            await station.boots()
            yield station
            await station.ends()
        finally:
            # In this order: a close that is cancelled would put its own exception in place of the scenario's.
            await station._connection.aclose()
            nursery.cancel_scope.cancel()
