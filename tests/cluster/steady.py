"""A fleet that stays: each charger charges on and on, over whichever connection, and keeps account of the answers.

Its pace is that of a real fleet, not the fastest there is, so that thousands of them fit into one process.
"""

from __future__ import annotations

import random
import uuid
from typing import Any

import grpc
import trio
from attrs import define, field

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import event_pb2 as events
from tests.cluster.checks import Faults, Outcomes, kept_once, owners
from tests.cluster.load import NOTHING_SENT
from tests.endtoend.asking import in_thread, reason_of
from tests.endtoend.charger import ANSWERS, Charger, now
from tests.endtoend.gateway_process import Gateway
from tests.endtoend.wire import Closed, LinkLost, Refused, Wire

MESSAGES_PER_SECOND = 150.0
"""Of all chargers together."""

RECONNECTS_PER_SECOND = 120.0
"""Of all chargers together: each waits for a random time before it comes again, as chargers do
(RetryBackOffRandomRange). Half of what two cores take that carry chargers and gateways."""

CONNECTING_AT_ONCE = 100
"""Chargers between their connect and the answer to their boot; others wait. Without that, thousands on a slow machine
give up half-way, again and again, and hardly one comes through."""

MAKING_AT_ONCE = 8
"""Charge points that are made known at the same time."""

CALL_SECONDS = 15.0

AGAIN_SECONDS = 0.2
"""Until a caller repeats a command at another node, or at the one that comes back."""


@define(eq=False)
class Fleet:
    """Chargers on ``nodes``, and callers of commands. ``serving``: the nodes that a balancer sends connections to."""

    nodes: list[Gateway]
    serving: list[Gateway] = field(init=False)
    chargers: list[SteadyCharger] = field(factory=list)
    outcomes: Outcomes = field(factory=Outcomes)
    connecting: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(CONNECTING_AT_ONCE))
    refused: int = 0
    """Connects that found no one listening."""
    turned_away: int = 0
    """Upgrades that were answered with 503."""
    repeated: int = 0
    """Commands that were said again with their request id, since the first answer was none."""
    unknown: list[str] = field(factory=list)
    """What was said of commands whose outcome is unknown."""

    def __attrs_post_init__(self) -> None:
        self.serving = list(self.nodes)

    @property
    def connected(self) -> int:
        """Chargers that are connected and booted."""
        return sum(charger.up for charger in self.chargers)

    @property
    def acknowledged(self) -> int:
        """Samples that the gateway has acknowledged."""
        return sum(len(charger.acknowledged) for charger in self.chargers)

    @property
    def pause(self) -> float:
        """Seconds between two samples of one charger."""
        return len(self.chargers) / MESSAGES_PER_SECOND

    @property
    def spread(self) -> float:
        """Seconds over which chargers come again that were closed together."""
        return len(self.chargers) / RECONNECTS_PER_SECOND

    async def make(self, count: int) -> None:
        """Make charge points known, with keys of the gateway's."""
        limit = trio.CapacityLimiter(MAKING_AT_ONCE)

        async def one(number: int) -> None:
            identity = f"CP{number:05}"
            key = await trio.to_thread.run_sync(self.nodes[0].add_with_new_key, identity, limiter=limit)
            self.chargers.append(SteadyCharger(self, identity, key))

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(one, number)

    async def until_connected(self, seconds: float) -> None:
        """Return when all are connected."""
        until = trio.current_time() + seconds
        while self.connected < len(self.chargers):
            assert trio.current_time() < until, f"{self.connected} of {len(self.chargers)} are connected"
            await trio.sleep(0.1)

    async def more_samples(self, count: int, seconds: float = 120.0) -> None:
        """Return when so many more samples are acknowledged."""
        before, until = self.acknowledged, trio.current_time() + seconds
        while self.acknowledged < before + count:
            assert trio.current_time() < until, f"{self.acknowledged - before} samples in {seconds} s"
            await trio.sleep(0.1)

    # --- callers ----------------------------------------------------------------------------------------------

    async def call(self, enough: trio.Event) -> None:
        """Ask one charger after the other, at any node; each command until its outcome is known."""
        while not enough.is_set():
            request_id = uuid.uuid4().hex
            identity = random.choice(self.chargers).identity
            while (answer := await in_thread(self._answer, identity, request_id)) == "again":
                self.repeated += 1
                await trio.sleep(AGAIN_SECONDS)
            self.outcomes.answered[request_id] = answer
            await trio.sleep(0.05)

    def _answer(self, identity: str, request_id: str) -> str:
        request = commands.DataTransferRequest(
            charge_point=identity, request_id=request_id, vendor_id="test", message_id=request_id
        )
        try:
            random.choice(self.serving or self.nodes).commands.DataTransfer(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            reason, _ = reason_of(error)
            if reason in NOTHING_SENT:
                return "nothing"
            if not reason:  # no answer of the gateway: it ended, or is not there yet
                return "again"
            self.unknown.append(f"{identity} {request_id}: {error.details()}")
            return "unknown"
        except (AssertionError, ValueError):  # the node does not run
            return "again"
        return "done"

    def transferred(self, payload: Any) -> Any:
        """A charger was asked: its answer."""
        request_id = payload["messageId"]
        self.outcomes.asked[request_id] = self.outcomes.asked.get(request_id, 0) + 1
        return {"status": "Accepted"}

    # --- the account --------------------------------------------------------------------------------------------

    def faults(self, history: list[events.Event]) -> list[str]:
        """Compare what chargers and callers were answered with what is recorded; empty: nothing is lost or false."""
        faults = Faults()
        started: dict[str, list[int]] = {}
        for event in history:
            if event.HasField("transaction_started"):
                started.setdefault(event.charge_point, []).append(event.transaction_started.number)
        for charger in self.chargers:
            there = started.get(charger.identity, [])
            faults.check(there == [charger.transaction], charger.identity, "has", there, "not", charger.transaction)
        values = [value for charger in self.chargers for value in charger.acknowledged]
        said = list(self.outcomes.answered.values())
        faults.check("unknown" not in said, said.count("unknown"), "outcomes are unknown:", *self.unknown)
        return faults.found + owners(history) + kept_once(history, values) + self.outcomes.faults()


@define(eq=False)
class SteadyCharger:
    """One charger in one transaction, that says each message until it is acknowledged."""

    fleet: Fleet
    identity: str
    key: bytes
    up: bool = False
    connections: int = 0
    transaction: int | None = None
    acknowledged: list[str] = field(factory=list)
    _message: tuple[str, dict[str, Any], str] | None = None

    async def run(self, enough: trio.Event) -> None:
        """Charge until it is enough and the message under way is acknowledged."""
        fleet = self.fleet
        async with trio.open_nursery() as links:
            while not (enough.is_set() and self._message is None):
                await trio.sleep(random.uniform(0, fleet.spread))
                try:
                    async with fleet.connecting:
                        charger = await self._connect(links)
                        await charger.boot()
                    self.up = True
                    await self._charge(charger, enough)
                except (LinkLost, Closed):
                    pass
                finally:
                    self.up = False
            links.cancel_scope.cancel()

    async def _connect(self, links: trio.Nursery) -> Charger:
        try:
            node = random.choice(self.fleet.serving or self.fleet.nodes)
            wire = await Wire.open(node, self.identity, key=self.key)
        except Refused as refused:
            if refused.status != 503:
                raise
            self.fleet.turned_away += 1
            raise LinkLost from refused
        except trio.TooSlowError as slow:  # it waits in the backlog of one that is to come, or of a slow machine
            raise LinkLost from slow
        except LinkLost as lost:
            self.fleet.refused += _nobody_listened(lost)
            raise
        self.connections += 1
        charger = Charger(wire, ANSWERS | {"DataTransfer": self.fleet.transferred})
        links.start_soon(charger.read)
        return charger

    async def _charge(self, charger: Charger, enough: trio.Event) -> None:
        while True:
            if self._message is None:
                self._message = self._next()
            action, payload, value = self._message
            answer = await charger.call(action, payload)
            if action == "StartTransaction":
                self.transaction = answer["transactionId"]
            else:
                self.acknowledged.append(value)
            self._message = None
            charger.asked.clear()
            if enough.is_set():
                await charger.wire.aclose()
                return
            pause = self.fleet.pause
            with trio.move_on_after(random.uniform(0.5 * pause, 1.5 * pause)):
                await charger.until(lambda: charger.ended is not None)
            if charger.ended is not None:
                raise charger.ended

    def _next(self) -> tuple[str, dict[str, Any], str]:
        time = now()
        if self.transaction is None:
            return "StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": time}, ""
        value = str(random.randrange(10**12))
        sampled = {"value": value, "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        reading = {"timestamp": time, "sampledValue": [sampled]}
        return "MeterValues", {"connectorId": 1, "transactionId": self.transaction, "meterValue": [reading]}, value


def _nobody_listened(error: BaseException | None) -> bool:
    """True if a connect was refused: by the error, or by one that brought it about."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        if isinstance(error, BaseExceptionGroup) and any(map(_nobody_listened, error.exceptions)):
            return True
        error = error.__cause__ or error.__context__
    return False
