"""Whatever happens between a charger and the gateway, the bills end as if nothing had.

The lives of ``test_any_order``, with the energy settled now and then on the way, on disks that fail at any moment.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.control.energy import TransactionEnergies
from gateway.control.settlement import Settlement
from gateway.domain.codec import body_of
from gateway.domain.events import TransactionEnergyChanged
from gateway.domain.metering import Edge, Metering, RegisterSample
from gateway.energy.intervals import energy_by_interval
from gateway.energy.session import SessionEnergy, session_energy
from gateway.energy.settlement import digest_of
from gateway.errors import StoreUnavailable
from tests.session.test_any_order import EXAMPLES, FAULTS, FIRST, SECOND, Charge, Delivery, World, in_order, lives
from tests.session.test_any_order import KeepsAndFails as Keeps
from tests.support.harness import virtual_clock

SETTLE = ("", "", "", "settle", "disk fails", "disk keeps it and fails")
"""What is done about the energy that is due after a message; mostly nothing."""


def ahead() -> datetime:
    """A clock by which all that is due has been quiet for long enough."""
    return virtual_clock() + timedelta(hours=1)


def orderly(charge: Charge) -> SessionEnergy:
    """The energy of a charge, made of its own numbers."""

    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text).astimezone(UTC)

    return session_energy(
        Metering(
            Edge(moment(charge.at(0)), charge.meter_start * 1000),
            Edge(moment(charge.at(30)), (charge.meter_start + charge.energy) * 1000),
            tuple(RegisterSample(int(value) * 1000, moment(at)) for at, value in charge.values),
        )
    )


async def settle(world: World, way: str) -> None:
    """Settle what is due; on a disk that fails it is tried once, and stays due."""
    harness, journal = world.harness, world.harness.journal
    energies = TransactionEnergies(harness.reads, ahead)
    settlement = Settlement(journal, harness.reads, energies, ahead)
    journal.failing, journal.readable = way == "disk fails", True
    journal.store = Keeps(harness.store) if way == "disk keeps it and fails" else harness.store  # type: ignore[assignment]
    try:
        await settlement.settle_due()
    except StoreUnavailable:
        assert way != "settle"
    finally:
        journal.failing = journal.readable = False
        journal.store = harness.store


async def check_bills(world: World, charges: set[Charge]) -> list[int]:
    """Each transaction's recorded energy is the orderly one, and its revisions follow on one another; how many each
    has."""
    energies = TransactionEnergies(world.harness.reads, ahead)
    changes: dict[str, list[TransactionEnergyChanged]] = {}
    for event in world.harness.events("transaction.energy_changed"):
        body = body_of(event)
        assert isinstance(body, TransactionEnergyChanged)
        changes.setdefault(body.transaction_id, []).append(body)
    by_number = {record.number: record for record in world.transactions()}
    for charge in charges:
        record, expected = by_number[world.numbers[charge]], orderly(charge)
        chain = changes[record.transaction_id]
        assert [each.revision for each in chain] == list(range(1, len(chain) + 1))
        assert chain[0].previous_mwh is None
        assert all(after.previous_mwh == before.mwh for before, after in pairwise(chain))
        assert (chain[-1].mwh, chain[-1].digest) == (expected.total_mwh, digest_of(expected))
        assert (record.settlement.revision, record.settlement.mwh) == (len(chain), charge.energy * 1000)
        assert not record.settlement.due
        found = await energies.worked_out(record.transaction_id)
        assert (found.energy.total_mwh, found.energy.points) == (expected.total_mwh, expected.points)
        for seconds in (60, 900, 86_400):
            assert sum(each.mwh for each in energy_by_interval(found.energy, UTC, seconds)) == expected.total_mwh
    return [len(chain) for chain in changes.values()]


async def _play(folder: Path, life: Sequence[tuple[Delivery, str]]) -> list[int]:
    charges = {delivery.message.charge for delivery, _ in life}
    async with trio.open_nursery() as nursery:
        world = World(folder, nursery)
        await world.boot()
        for delivery, way in life:
            await world.deliver(delivery)
            if way:
                await settle(world, way)
        await settle(world, "settle")
        await check_bills(world, charges)
        await world.kill()
        await settle(world, "settle")
        revisions = await check_bills(world, charges)
        world.harness.store.close()
    return revisions


def play(life: Sequence[tuple[Delivery, str]]) -> None:
    """A life from its beginning to its end, and the bills after it."""
    with TemporaryDirectory() as folder:
        trio.run(_play, Path(folder), life, clock=MockClock(autojump_threshold=0))


@st.composite
def settled_lives(draw: st.DrawFn) -> list[tuple[Delivery, str]]:
    life = draw(lives())
    ways = draw(st.lists(st.sampled_from(SETTLE), min_size=len(life), max_size=len(life)))
    return list(zip(life, ways, strict=True))


def test_the_orderly_life_has_one_revision_each() -> None:
    """Settled once, at its end; the sample after the stop changes no curve."""
    play([(delivery, "") for delivery in in_order(FIRST, SECOND)])


def test_samples_after_the_stop_are_revisions() -> None:
    """Each that says when the energy flowed; the last one has the orderly bill."""
    ordered = in_order(FIRST, SECOND)
    late = sorted(ordered, key=lambda each: (each.message.part != "start", each.message.part != "stop"))
    with TemporaryDirectory() as folder:
        changes = trio.run(
            _play, Path(folder), [(each, "settle") for each in late], clock=MockClock(autojump_threshold=0)
        )
    assert min(changes) > 1


def test_settled_after_each_message_with_each_fault_it_ends_the_same() -> None:
    """Each fault, at each message; what the disk keeps and reports as failed is not recorded twice."""
    for fault in FAULTS:
        play([(Delivery(each.message, fault), "disk keeps it and fails") for each in in_order(FIRST, SECOND)])


@given(settled_lives())
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_life_ends_with_the_bills_of_the_orderly_one(life: list[tuple[Delivery, str]]) -> None:
    """Any interleaving of messages, retries, failures and restarts: the same energy to the last digit at any time of
    the day, intervals that sum to it, and an unbroken chain of revisions."""
    play(life)
