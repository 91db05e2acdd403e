"""Whatever happens between a charger and the gateway, the books end as if nothing had.

Chargers deliver what they have to say of their transactions: in any order that they can know the numbers for, each
message until it is confirmed, some of them again later, over links, disks and gateways that fail at any moment. To try
more than a few dozen of such lives: ``ANY_ORDER_EXAMPLES=5000``.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
import trio
from attrs import define, field, frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.records import TransactionRecord, TransactionState
from gateway.errors import StoreUnavailable
from gateway.store.filters import TransactionFilter
from tests.store.builders import of
from tests.support.harness import BOOT, EPOCH, Harness
from tests.support.wire import FakeTransport, ScriptedCharger

EXAMPLES = int(os.environ.get("ANY_ORDER_EXAMPLES", "60"))

BEGIN = EPOCH - timedelta(days=5)
"""Of the oldest transaction: the queues are days old."""


# --- what there is to say -------------------------------------------------------------------------------------


@frozen
class Charge:
    """A transaction as it was: the ``nth`` on its connector, an hour after the one before."""

    charge_point: str
    connector: int
    nth: int
    samples: int

    @property
    def tag(self) -> str:
        return "SHARED" if self.nth % 2 else f"TAG{self.connector}"

    @property
    def meter_start(self) -> int:
        return 1000 * self.connector + 500 * self.nth

    @property
    def energy(self) -> int:
        return 100 + 50 * self.samples

    def at(self, minutes: float) -> str:
        return f"{BEGIN + timedelta(hours=self.nth, minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def values(self) -> list[tuple[str, str]]:
        """(time, register) of the samples; the last one is taken after the stop (E24)."""
        minutes = [*range(5, 5 + self.samples - 1), 31] if self.samples else []
        return [(self.at(m), str(self.meter_start + 50 * n)) for n, m in enumerate(minutes, 1)]


@frozen
class Message:
    """``part``: "start", "stop", or the number of a sample."""

    charge: Charge
    part: str | int

    def call(self, number: int) -> tuple[str, dict[str, Any]]:
        """Action and payload, given the transaction's number."""
        charge = self.charge
        if self.part == "start":
            return "StartTransaction", {
                "connectorId": charge.connector,
                "idTag": charge.tag,
                "meterStart": charge.meter_start,
                "timestamp": charge.at(0),
            }
        if self.part == "stop":
            meter_stop = charge.meter_start + charge.energy
            return "StopTransaction", {"transactionId": number, "meterStop": meter_stop, "timestamp": charge.at(30)}
        assert isinstance(self.part, int)
        time, value = charge.values[self.part]
        sample = {"timestamp": time, "sampledValue": [{"value": value}]}
        return "MeterValues", {"connectorId": charge.connector, "transactionId": number, "meterValue": [sample]}


def messages(charge: Charge) -> list[Message]:
    return [Message(charge, part) for part in ("start", *range(charge.samples), "stop")]


# --- what may happen to a message -----------------------------------------------------------------------------

FAULTS = (
    "none",
    "link lost before it arrives",
    "link lost before it is confirmed",
    "sent twice at once",
    "taken over while under way",
    "disk fails",
    "disk keeps it and fails",
    "gateway killed before it arrives",
    "gateway killed while under way",
)


@frozen
class Delivery:
    message: Message
    fault: str = "none"


@st.composite
def lives(draw: st.DrawFn) -> list[Delivery]:
    """All messages of some transactions: each after its own start, in any other order, and some of them again."""
    connectors = draw(st.sampled_from([[("CP1", 1)], [("CP1", 1), ("CP1", 2)], [("CP1", 1), ("CP1", 2), ("CP2", 1)]]))
    charges = [
        Charge(charge_point, connector, nth, draw(st.integers(0, 3)))
        for charge_point, connector in connectors
        for nth in range(draw(st.integers(1, 3)))
    ]
    said = [message for charge in charges for message in messages(charge)]
    again = draw(st.lists(st.sampled_from(said), max_size=6))
    order = list(causal(draw(st.permutations([*said, *again]))))
    faults = draw(st.lists(st.sampled_from(FAULTS), min_size=len(order), max_size=len(order)))
    return [Delivery(message, fault) for message, fault in zip(order, faults, strict=True)]


def causal(order: Sequence[Message]) -> Iterator[Message]:
    """The same messages, those that name a transaction kept back until the charger knows its number."""
    started: set[Charge] = set()
    waiting: list[Message] = []
    for message in order:
        if message.part != "start" and message.charge not in started:
            waiting.append(message)
            continue
        yield message
        if message.charge not in started:
            started.add(message.charge)
            yield from [each for each in waiting if each.charge == message.charge]
            waiting = [each for each in waiting if each.charge != message.charge]


# --- the world ------------------------------------------------------------------------------------------------


@define(eq=False)
class Link:
    charger: ScriptedCharger
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    ended: trio.Event = field(factory=trio.Event)


class KeepsAndFails:
    """A store whose commits are kept, but reported as failed."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def commit(self, batch: Any) -> Any:
        self._store.commit(batch)
        raise StoreUnavailable("the disk failed after all")


class World:
    """Chargers CP1 and CP2, and one gateway after another on one database."""

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self._folder = folder
        self._nursery = nursery
        self._links: dict[str, Link] = {}
        self._all: list[Link] = []
        self.numbers: dict[Charge, int] = {}
        self.harness = Harness(folder, unknown_tags="Accepted")
        for identity in ("CP1", "CP2"):
            self.harness.add_charge_point(identity)

    async def boot(self) -> None:
        for identity in ("CP1", "CP2"):
            await (await self.link(identity)).charger.call("BootNotification", BOOT)

    async def link(self, identity: str) -> Link:
        """The charger's present link, or a new one."""
        return self._links.get(identity) or await self.link_anew(identity)

    async def link_anew(self, identity: str) -> Link:
        """A new one, whatever becomes of one that is there."""
        transport = FakeTransport()
        link = self._links[identity] = Link(ScriptedCharger(transport))
        self._all.append(link)

        async def serve(task_status: Any) -> None:
            with link.scope:
                await self.harness._serve(identity, transport, task_status)
            link.ended.set()

        await self._nursery.start(serve)
        return link

    async def lose_link(self, identity: str) -> None:
        await self._links.pop(identity).charger.lose_link()

    async def kill(self) -> None:
        """The gateway is gone without a word, and another one begins on what it left."""
        self.harness.journal.failing = True
        for link in self._all:
            link.scope.cancel()
            await link.ended.wait()
        self._all.clear()
        self._links.clear()
        self.harness.store.close()
        self.harness = Harness(self._folder, unknown_tags="Accepted")
        self.harness.store.settle(EPOCH + timedelta(seconds=trio.current_time()))

    # --- one message ---

    async def deliver(self, delivery: Delivery) -> None:
        """Send a message until it is confirmed."""
        message, identity = delivery.message, delivery.message.charge.charge_point
        journal = self.harness.journal
        link = await self.link(identity)
        match delivery.fault:
            case "link lost before it arrives":
                await self.lose_link(identity)
            case "link lost before it is confirmed":
                await self._send(link, message)
                await wait_all_tasks_blocked()
                await self.lose_link(identity)
            case "sent twice at once":
                await self._send(link, message)
            case "taken over while under way":
                journal.stall_seconds = 1.0
                await self._send(link, message)
                await wait_all_tasks_blocked()
                await self.link_anew(identity)
                journal.stall_seconds = 0.0
            case "disk fails":
                journal.failing = True
                await self._is_sent_away(link, message)
                journal.failing = False
            case "disk keeps it and fails":
                journal.store = KeepsAndFails(self.harness.store)  # type: ignore[assignment]
                await self._is_sent_away(link, message)
                journal.store = self.harness.store
            case "gateway killed before it arrives":
                await self.kill()
            case "gateway killed while under way":
                journal.stall_seconds = 1.0
                await self._send(link, message)
                await wait_all_tasks_blocked()
                await self.kill()
        await self._confirm(message)

    async def _send(self, link: Link, message: Message) -> None:
        """Without waiting for an answer."""
        action, payload = message.call(self.numbers.get(message.charge, 0))
        await link.charger.send(2, f"first-{trio.current_time()}", action, payload)

    async def _is_sent_away(self, link: Link, message: Message) -> None:
        """By a close and nothing else; unless there was nothing to keep, then it may be confirmed."""
        await self._send(link, message)
        await wait_all_tasks_blocked()
        transport = link.charger._transport
        if transport.closed_with is not None:
            assert transport.closed_with == (1011, "store-unavailable")
            await self.lose_link(message.charge.charge_point)
        else:
            assert self.numbers, "only what is recorded already is confirmed without the disk"

    async def _confirm(self, message: Message) -> None:
        link = await self.link(message.charge.charge_point)
        action, payload = message.call(self.numbers.get(message.charge, 0))
        answer = await link.charger.call(action, payload)
        if message.part == "start":
            number = answer["transactionId"]
            assert self.numbers.setdefault(message.charge, number) == number, "one start, two numbers"
        else:
            assert answer == {}

    # --- the end ---

    def lost(self) -> list[tuple[str, str]]:
        """(time of the start that was taken for lost, time of the start that showed it)."""
        starts: dict[str, str] = {}
        found, taken_for_lost = [], []
        for event in self.harness.events("transaction.lost", "transaction.started"):
            body = orjson.loads(event.body_json)
            if event.type == "transaction.lost":
                taken_for_lost.append(starts[body["transaction_id"]])
                continue
            assert event.reported_raw is not None
            starts[body["transaction_id"]] = event.reported_raw
            found += [(each, event.reported_raw) for each in taken_for_lost]
            taken_for_lost.clear()
        return found

    def transactions(self) -> list[TransactionRecord]:
        return self.harness.store.transactions(TransactionFilter(), None, 1000)

    def samples(self, transaction_id: str) -> set[tuple[str, str]]:
        """(time, register), each once."""
        found = set()
        for event in self.harness.store.readings(transaction_id, 0, 1000):
            if event.type == "meter_values.reported":
                for value in orjson.loads(event.body_json)["meter_value"]:
                    found.add((value["timestamp"], value["sampledValue"][0]["value"]))
        return found


def play(life: Sequence[Delivery]) -> None:
    """A life from its beginning to its end, and the books after it."""
    with TemporaryDirectory() as folder:
        trio.run(_play, Path(folder), life, clock=MockClock(autojump_threshold=0))


async def _play(folder: Path, life: Sequence[Delivery]) -> None:
    async with trio.open_nursery() as nursery:
        world = World(folder, nursery)
        await world.boot()
        for delivery in life:
            await world.deliver(delivery)
        check(world, {delivery.message.charge for delivery in life})
        await world.kill()
        check(world, {delivery.message.charge for delivery in life})
        world.harness.store.close()


def check(world: World, charges: set[Charge]) -> None:
    """Every transaction once, ended by its own stop, with its own energy and samples; nothing else."""
    found = world.transactions()
    assert Counter(t.number for t in found) == Counter(world.numbers[charge] for charge in charges)
    assert world.harness.store.find_orphans(of(), "", 10).records == []
    assert all(earlier < later for earlier, later in world.lost()), "a start ended one that began after it"
    by_number = {t.number: t for t in found}
    for charge in charges:
        record = by_number[world.numbers[charge]]
        assert record.state is TransactionState.STOPPED
        assert (record.charge_point, record.connector.evse, record.id_tag, record.meter_start, record.start_raw) == (
            charge.charge_point,
            charge.connector,
            charge.tag,
            charge.meter_start,
            charge.at(0),
        )
        assert (record.meter_stop, record.stop_raw, record.energy) == (
            charge.meter_start + charge.energy,
            charge.at(30),
            charge.energy,
        )
        assert world.samples(record.transaction_id) == set(charge.values)


FIRST, SECOND = Charge("CP1", 1, 0, 2), Charge("CP1", 1, 1, 2)


def in_order(*charges: Charge) -> list[Delivery]:
    return [Delivery(message) for charge in charges for message in messages(charge)]


def test_the_orderly_life_is_as_it_should_be() -> None:
    """The life that all others are compared with."""
    charges = [Charge(*place, nth, 3) for place in (("CP1", 1), ("CP1", 2), ("CP2", 1)) for nth in range(3)]
    play(in_order(*charges))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_life_in_which_one_thing_goes_wrong_all_the_time_ends_the_same(fault: str) -> None:
    """Each fault, at each message."""
    play([Delivery(each.message, fault) for each in in_order(FIRST, SECOND)])


@pytest.mark.parametrize("again", [*itertools.chain(messages(FIRST), messages(SECOND))], ids=str)
def test_anything_may_be_said_again_at_the_end(again: Message) -> None:
    """Days later, on a new link."""
    play([*in_order(FIRST, SECOND), Delivery(again, "link lost before it arrives")])


@given(lives())
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@example([Delivery(m) for m in (*messages(SECOND)[:1], *messages(FIRST), *messages(SECOND)[1:])])
@example([Delivery(m) for m in (*messages(FIRST)[:1], *messages(SECOND), *messages(FIRST)[1:])])
def test_any_life_ends_like_the_orderly_one(life: list[Delivery]) -> None:
    """Any interleaving of messages, retries, takeovers, failures and restarts: the same transactions and energy."""
    play(life)
