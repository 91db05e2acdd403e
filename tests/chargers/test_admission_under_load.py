"""Admission under load: 503 before anything is looked up, flapping chargers kept out, and none shed that is in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.chargers.admission import Admission, EntryTerms
from gateway.chargers.connections import ChargerConnections
from gateway.chargers.load_budget import LATE_SECONDS, RETRY_AFTER_OVERLOAD, LoadBudget
from gateway.domain.credentials import Verifier
from gateway.domain.records import CredentialKind
from gateway.observability.metrics import Metrics
from gateway.observability.reconnects import LEAST_PAUSE, SLOWED_CONNECTS, Flapping
from gateway.session.limits import SessionLimits
from gateway.transport.api import Accept, Rejection
from tests.chargers.test_admission import add, request
from tests.support.harness import Harness, virtual_clock

KEY = bytes(range(20))


class Door:
    """Admission with a load budget, and the reads that it makes."""

    def __init__(self, harness: Harness) -> None:
        self.load = LoadBudget(trio.current_time, used=lambda: 0, most=0)
        self.flapping = Flapping(virtual_clock)
        self.lookups = 0
        reads, door = harness.reads, self
        looked_up = reads.admission

        class Counting:
            def admission(self, identity: str) -> object:
                door.lookups += 1
                return looked_up(identity)

        self.admit = Admission(
            reads=Counting(),  # type: ignore[arg-type] # the one read that it makes
            verifier=Verifier(),
            clock=virtual_clock,
            observer=Metrics(lambda: 0.0),
            terms={"chargers": EntryTerms("/ocpp/")},
            subprotocols=("ocpp1.6",),
            refusing=lambda: None,
            load=self.load,
            flapping=self.flapping,
        )


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
async def door(harness: Harness) -> Door:
    add(harness, KEY, kind=CredentialKind.GENERATED)
    return Door(harness)


async def refusal(door: Door, key: bytes = KEY) -> tuple[str, int, int] | None:
    """The reason of a refusal, with its status and Retry-After; None: it is let in."""
    answer = await door.admit(request(key=key))
    if isinstance(answer, Accept):
        return None
    assert isinstance(answer, Rejection)
    return answer.reason, answer.status, int(dict(answer.headers).get("Retry-After", "0"))


async def test_with_too_much_to_do_none_is_looked_up(door: Door, autojump_clock: MockClock) -> None:
    """Each comes again at another time; with less to do all are let in."""
    while not door.load.refusing:
        door.load.look(LATE_SECONDS * 2)
    refused = [await refusal(door) for _ in range(50)]
    assert {each and each[:2] for each in refused} == {("overloaded", 503)}
    times = {each[2] for each in refused if each}
    assert len(times) > 10
    assert RETRY_AFTER_OVERLOAD[0] <= min(times) < max(times) <= RETRY_AFTER_OVERLOAD[1]
    assert door.lookups == 0
    door.load.look(0.0)
    assert await refusal(door) is None


async def test_one_that_comes_and_goes_is_kept_out_unseen(door: Door, autojump_clock: MockClock) -> None:
    """After its thousandth connect, for ten seconds; then it is let in."""
    for _ in range(SLOWED_CONNECTS):
        assert await refusal(door) is None
    before = door.lookups
    assert await refusal(door) == ("flapping", 503, LEAST_PAUSE)
    assert door.lookups == before
    await trio.sleep(LEAST_PAUSE)
    assert await refusal(door) is None


async def test_strangers_make_no_charge_point_flap(door: Door, autojump_clock: MockClock) -> None:
    """Only what was let in counts: its name proves nothing."""
    for _ in range(3 * SLOWED_CONNECTS):
        assert await refusal(door, b"another key of 20 bytes") == ("wrong_password", 401, 0)
    assert await refusal(door) is None
    assert len(door.flapping) == 0


async def test_under_load_a_charger_is_accepted_with_an_interval_of_its_own(autojump_clock: MockClock) -> None:
    """And with as much more silence before it is given up; without load with those of all."""
    made = object.__new__(ChargerConnections)
    made._limits, made._load = SessionLimits(), LoadBudget(trio.current_time, used=lambda: 0, most=0)
    assert made._limits_now() is made._limits
    made._load.look(LATE_SECONDS * 2)
    found = [made._limits_now() for _ in range(100)]
    assert len({each.heartbeat_interval for each in found}) > 30
    for each in found:
        assert 300 <= each.heartbeat_interval <= 600
        assert each.silence - each.heartbeat_interval == made._limits.silence - made._limits.heartbeat_interval
