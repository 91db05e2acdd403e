"""Chargers and callers that go to any node, and come again wherever they are let in."""

import random
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import grpc
import trio
from attrs import define, field

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import event_pb2 as events
from tests.cluster import checks
from tests.cluster.checks import Outcomes
from tests.endtoend.asking import in_thread, reason_of
from tests.endtoend.charger import ANSWERS, Charger, now
from tests.endtoend.gateway_process import Gateway
from tests.endtoend.test_crash import LoadedCharger, Message
from tests.endtoend.watching import Watcher
from tests.endtoend.wire import Closed, Door, LinkLost, Refused, Wire

NOTHING_SENT = {
    "NOT_SENT",
    "CHARGE_POINT_OFFLINE",
    "NODE_UNREACHABLE",
    "STORE_UNAVAILABLE",
    "DRAINING",
    "QUEUE_FULL",
    "DEADLINE",
    "TOO_MANY_CALLS",
}
"""Reasons with which nothing was sent, whatever else."""


CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 6.0
"""For which a charger waits for a node that may be stopped; an idle machine takes milliseconds."""


PAUSE = 0.05
"""Seconds between two looks at a count."""

Count: TypeAlias = Callable[[], int]


@define
class Balancer:
    """Sends each connection to one of the nodes, without regard to which of them live. ``door``: what chargers connect
    to in the place of any node. ``answer_seconds``: for which they wait for an answer before they go elsewhere."""

    nodes: list[Gateway]
    outcomes: Outcomes = field(factory=Outcomes)
    door: Door | None = None
    answer_seconds: float = ANSWER_SECONDS
    flows: trio.Event = field(factory=trio.Event)
    """Chargers send nothing new until it is set."""

    def __attrs_post_init__(self) -> None:
        self.flows.set()

    def any(self) -> Gateway:
        return random.choice(self.nodes)

    def way(self) -> Door:
        """A way in for a charger."""
        return self.door or self.any()

    def answers(self) -> dict[str, Any]:
        """A charger's answers: each data transfer is counted by its message id, which is its request's."""

        def transferred(payload: Any) -> Any:
            request_id = payload["messageId"]
            self.outcomes.asked[request_id] = self.outcomes.asked.get(request_id, 0) + 1
            return {"status": "Accepted"}

        return {"DataTransfer": transferred}


@define(eq=False)
class Impatient(Charger):
    """A charger that gives a connection up on which nothing is answered, and goes elsewhere."""

    seconds: float = ANSWER_SECONDS

    async def call(self, action: str, payload: Any, message_id: str | None = None) -> Any:
        with trio.move_on_after(self.seconds):
            return await super().call(action, payload, message_id)
        await self.wire.cut()
        raise LinkLost


async def connected(
    links: trio.Nursery, balancer: Balancer, identity: str, key: bytes, answers: dict[str, Any]
) -> Impatient:
    """Connect to any node. Raises LinkLost where it does not let the charger in now."""
    wire: Wire | None = None
    with trio.move_on_after(CONNECT_SECONDS):
        try:
            wire = await Wire.open(balancer.way(), identity, key=key)
        except Refused as refused:
            if refused.status != 503:
                raise
            raise LinkLost from refused
    if wire is None:
        raise LinkLost
    charger = Impatient(wire, ANSWERS | answers, seconds=balancer.answer_seconds)
    links.start_soon(charger.read)
    return charger


@define
class RoamingCharger(LoadedCharger):
    """A charger that charges without a pause, connected to any node."""

    balancer: Balancer | None = None
    confirmed: int = 0
    longest: float = 0.0
    """Seconds that a message took to be confirmed, at most."""

    async def _deliver(self, links: trio.Nursery, message: Message) -> Any:
        assert self.balancer is not None
        await self.balancer.flows.wait()
        began = trio.current_time()
        answer = await super()._deliver(links, message)
        self.longest = max(self.longest, trio.current_time() - began)
        self.confirmed += 1
        return answer

    async def _connected(self, links: trio.Nursery) -> Charger:
        if self._charger is None:
            assert self.balancer is not None
            charger = await connected(links, self.balancer, self.identity, self.key, self.balancer.answers())
            self.connections += 1
            if not self._accepted:
                self._accepted = (await charger.boot())["status"] == "Accepted"
            self._charger = charger
        return self._charger


@define
class Contender:
    """Sends samples as fast as it can, and comes again when it is replaced: by another unit with its identity, say."""

    balancer: Balancer
    identity: str
    key: bytes
    acknowledged: list[str] = field(factory=list)
    pause: float = 0.0
    """Seconds between two samples, about."""

    async def run(self, enough: trio.Event) -> None:
        async with trio.open_nursery() as links:
            while not enough.is_set():
                try:
                    charger = await connected(links, self.balancer, self.identity, self.key, {})
                    while not enough.is_set():
                        await self.balancer.flows.wait()
                        await self._sample(charger)
                        await trio.sleep(random.uniform(0, 2 * self.pause))
                except (Closed, LinkLost):
                    await trio.sleep(0.01)
            links.cancel_scope.cancel()

    async def _sample(self, charger: Charger) -> None:
        value = str(random.randrange(10**12))
        sampled = {"value": value, "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        payload = {"connectorId": 1, "meterValue": [{"timestamp": now(), "sampledValue": [sampled]}]}
        await charger.call("MeterValues", payload)
        self.acknowledged.append(value)


async def call(balancer: Balancer, node: Gateway, identity: str, seconds: float) -> str:
    """Have a charger asked something, at a node; notes what the caller was answered."""
    request_id = uuid.uuid4().hex
    answer = await in_thread(_answer, node, identity, request_id, seconds)
    balancer.outcomes.answered[request_id] = answer
    return answer


def _answer(node: Gateway, identity: str, request_id: str, seconds: float) -> str:
    request = commands.DataTransferRequest(
        charge_point=identity, request_id=request_id, vendor_id="test", message_id=request_id
    )
    try:
        node.commands.DataTransfer(request, timeout=seconds)
    except grpc.RpcError as error:
        return "nothing" if reason_of(error)[0] in NOTHING_SENT else "unknown"
    except (AssertionError, ValueError):  # the node does not run
        return "unknown"
    return "done"


async def calls(balancer: Balancer, identities: list[str], enough: trio.Event) -> None:
    """One caller, that asks any charger at any node."""
    while not enough.is_set():
        await call(balancer, balancer.any(), random.choice(identities), random.uniform(0.5, 4.0))
        await trio.sleep(0.02)


# --- waiting ------------------------------------------------------------------------------------------------------


def acknowledged(contenders: Sequence[Contender]) -> int:
    """The samples that were acknowledged."""
    return sum(len(each.acknowledged) for each in contenders)


def confirmed(chargers: Sequence[RoamingCharger]) -> int:
    """The messages that were confirmed."""
    return sum(each.confirmed for each in chargers)


async def counted(read: Count, more: int, seconds: float = 60.0) -> None:
    """Wait until a count has grown by so many."""
    before = read()
    for _ in range(int(seconds / PAUSE)):
        if read() >= before + more:
            return
        await trio.sleep(PAUSE)
    raise AssertionError(f"not {more} more within {seconds} s, but {read() - before}")


async def missed(watchers: Sequence[Watcher], history: Sequence[events.Event], seconds: float) -> list[str]:
    """Check the watchers, which have so long to come to the end of the history."""
    last, faults = history[-1].event_id, list[str]()
    for watcher in watchers:
        for _ in range(int(seconds / PAUSE)):
            if any(each.event_id == last for each in watcher.events[-500:]):
                break
            await trio.sleep(PAUSE)
        faults += checks.watched(watcher.events, history)
    return faults
