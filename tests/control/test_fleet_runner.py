"""Fleet jobs in virtual time: the pace is kept, nothing is begun twice, and each charge point has its outcome."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from gateway.control.fleet import FleetCalls, NewFleetJob
from gateway.control.fleet_runner import SLOW_LOOK_SECONDS, FleetRunner
from gateway.domain.commands import RefusalReason, Refused, UpdateFirmware
from gateway.domain.events import ChargePointConnected, NewEvent, OperationAccepted, OperationAdvanced, OperationEnded
from gateway.domain.firmware import FirmwareUpdate
from gateway.domain.fleet import SILENT, FleetJob, Pace
from gateway.domain.operations import (
    End,
    OperationKind,
    OperationRecord,
    OperationRefusal,
    OperationRefused,
    OperationRequest,
    Stage,
    accepted_record,
)
from gateway.domain.rotations import rotation_request
from gateway.domain.security_commands import SignedUpdateFirmware
from gateway.domain.values import new_id
from gateway.store.commits import Append, DeleteChargePoint, Opened, OpenSession
from tests.support.harness import EPOCH, Harness, virtual_clock

FIRMWARE = SignedUpdateFirmware(
    7, "https://firmware.example/2.bin", datetime(2026, 11, 27, tzinfo=UTC), "-----BEGIN", "c2lnbmF0dXJl", retries=3
)

KIND = OperationKind.ROTATE_AUTHORIZATION_KEY


class Fleet:
    """Charge points that are connected or not; operations that come into being as a session commits them, and end when
    the test says so."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.online: set[str] = set()
        self.begun: list[tuple[str, float]] = []
        self.requests: list[OperationRequest] = []
        self.refusals: dict[str, Refused | OperationRefused] = {}
        self.loses_answers = False

    def connect(self, *identities: str) -> None:
        for identity in identities:
            connected = ChargePointConnected("127.0.0.1:1", "ocpp1.6", 2)
            [opened] = self.harness.store.commit([OpenSession(identity, connected, virtual_clock())])
            assert isinstance(opened, Opened)
            self.online.add(identity)

    async def connected(self, identity: str) -> bool:
        return identity in self.online

    async def operate(
        self, identity: str, request: OperationRequest, request_id: str, seconds: float, caller: str = ""
    ) -> OperationRecord | OperationRefused | Refused | None:
        await trio.lowlevel.checkpoint()
        if identity in self.refusals:
            return self.refusals[identity]
        if self.harness.store.operation_by_request(identity, request_id) is not None:
            return None
        body = OperationAccepted(new_id("op"), request_id, request, virtual_clock() + timedelta(days=1))
        event = NewEvent(body, virtual_clock())
        self.harness.store.commit([Append(identity, None, (event,))])
        self.begun.append((identity, round(trio.current_time(), 3)))
        self.requests.append(request)
        if self.loses_answers:
            return Refused(RefusalReason.STORE_UNAVAILABLE, "and yet it was begun")
        return accepted_record(identity, event, body, 1)

    def ends(self, job: FleetJob, identity: str, end: End = End.DONE, reason: str = "") -> None:
        self._append(job, identity, lambda operation_id: OperationEnded(operation_id, end, reason))

    def reaches(self, job: FleetJob, identity: str, stage: Stage) -> None:
        self._append(job, identity, lambda operation_id: OperationAdvanced(operation_id, stage))

    def _append(self, job, identity, body) -> None:  # type: ignore[no-untyped-def]
        operation = self.harness.store.operation_by_request(identity, job.job_id)
        assert operation is not None
        event = NewEvent(body(operation.operation_id), virtual_clock())
        self.harness.store.commit([Append(identity, None, (event,))])


class Jobs:
    """The operator's side, and the runner behind it."""

    def __init__(self, harness: Harness, fleet: Fleet) -> None:
        self.harness = harness
        self.runner = FleetRunner(harness.journal, harness.reads, fleet, virtual_clock)  # type: ignore[arg-type]
        self.calls = FleetCalls(harness.journal, harness.reads, virtual_clock, self.runner.wake)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """The runner runs until the block is left."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.runner.run)
            yield
            nursery.cancel_scope.cancel()

    async def make(self, pace: Pace, request_id: str = "r", **more: object) -> FleetJob:
        asked = {"kind": KIND, "charge_points": None, "labels": {}, "every": True, **more}
        return await self.calls.create(NewFleetJob(request_id, pace=pace, **asked))  # type: ignore[arg-type]

    def counts(self, job: FleetJob) -> dict[str, int]:
        found = self.harness.store.fleet_job(job.job_id)
        assert found is not None
        return dict(found.counts)

    def end(self, job: FleetJob) -> str:
        found = self.harness.store.fleet_job(job.job_id)
        assert found is not None
        return found.end.value if found.end is not None else ""


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.store.close()


def fleet_of(harness: Harness, count: int, *, connected: bool = True) -> tuple[Fleet, list[str]]:
    fleet = Fleet(harness)
    identities = [f"CP{number}" for number in range(1, count + 1)]
    for identity in identities:
        harness.add_charge_point(identity)
    if connected:
        fleet.connect(*identities)
    return fleet, identities


async def test_a_rate_and_a_number_at_once_are_kept(harness: Harness, autojump_clock: MockClock) -> None:
    """Six a minute, and no more than two that have not ended."""
    fleet, identities = fleet_of(harness, 5)
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(6.0, 2))
        await trio.sleep(60)
        assert fleet.begun == [("CP1", 0.0), ("CP2", 10.0)]
        assert jobs.counts(job) == {"UNDER_WAY": 2, "WAITING": 3}
        fleet.ends(job, "CP1")
        await trio.sleep(5)
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP2", "CP3"]
        for identity in identities[1:]:
            await trio.sleep(30)
            fleet.ends(job, identity)
        await trio.sleep(5)
        times = [at for _, at in fleet.begun]
        assert min(later - earlier for earlier, later in pairwise(times)) >= 10.0
        assert jobs.counts(job) == {"DONE": 5}
        assert jobs.end(job) == "DONE"


async def test_the_end_is_told_by_outcome(harness: Harness, autojump_clock: MockClock) -> None:
    """Each operation's end, and what was refused, with the reason."""
    fleet, _ = fleet_of(harness, 4)
    fleet.refusals["CP3"] = Refused(RefusalReason.CHARGE_POINT_PENDING, "it is pending")
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 10))
        await trio.sleep(2)
        fleet.ends(job, "CP1")
        fleet.ends(job, "CP2", End.REFUSED, "Rejected")
        fleet.ends(job, "CP4", End.UNKNOWN, "no-answer")
        await trio.sleep(2)
    assert jobs.counts(job) == {"DONE": 1, "REFUSED": 1, "UNKNOWN": 1, "NOT_BEGUN": 1}
    assert jobs.end(job) == "DONE"
    items = {each.charge_point: (each.outcome, each.reason) for each in await jobs.calls.items(job.job_id, "", "", 10)}
    assert items["CP2"] == ("REFUSED", "Rejected")
    assert items["CP3"] == ("NOT_BEGUN", "CHARGE_POINT_PENDING")
    refused = await jobs.calls.items(job.job_id, "REFUSED", "", 10)
    assert [each.charge_point for each in refused] == ["CP2"]


async def test_firmware_is_rolled_out_at_its_pace_and_to_none_twice(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A runner of a gateway that was started anew sends the others the same, and none that gave no answer."""
    fleet, _ = fleet_of(harness, 3)
    before = Jobs(harness, fleet)
    async with before.run():
        job = await before.make(Pace(600.0, 2), kind=OperationKind.INSTALL_FIRMWARE, firmware=FIRMWARE)
        await trio.sleep(5)
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP2"]
        fleet.reaches(job, "CP1", Stage.SENT)
    fleet.ends(job, "CP1", End.TIMED_OUT, "no-answer")
    fleet.ends(job, "CP2", End.UNKNOWN, "no-end")
    after = Jobs(harness, fleet)
    async with after.run():
        await trio.sleep(60)
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP2", "CP3"]
        fleet.ends(job, "CP3")
        await trio.sleep(60)
    assert after.counts(job) == {"TIMED_OUT": 1, "UNKNOWN": 1, "DONE": 1}
    assert after.end(job) == "DONE"
    assert [each.own_command for each in fleet.requests] == [FIRMWARE] * 3
    assert {str(each.arguments["location"]) for each in fleet.requests} == {FIRMWARE.location}  # type: ignore[index, call-overload]
    assert len({each.fingerprint for each in fleet.requests} - {""}) == 1


@pytest.mark.parametrize(
    ("firmware", "silent_from"),
    [
        (UpdateFirmware("https://firmware.example/2.bin"), 0.0),
        (UpdateFirmware("https://firmware.example/2.bin", EPOCH + timedelta(hours=3)), 3 * 3600.0),
        (evolve(FIRMWARE, retrieve_date=EPOCH, install_date=EPOCH + timedelta(hours=3)), 3 * 3600.0),
    ],
    ids=["at once", "to be fetched later", "to be installed later"],
)
async def test_an_installation_of_which_nothing_is_heard_holds_no_place(
    harness: Harness, autojump_clock: MockClock, firmware: FirmwareUpdate, silent_from: float
) -> None:
    """Or chargers that report nothing would hold a fleet up, a day for each. One that goes on has its place again, and
    the end of each is seen."""
    fleet, identities = fleet_of(harness, 4)
    jobs = Jobs(harness, fleet)
    silence = SILENT.total_seconds()
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 1), kind=OperationKind.INSTALL_FIRMWARE, firmware=firmware)
        await trio.sleep(silent_from + silence - 60)
        assert [identity for identity, _ in fleet.begun] == ["CP1"]
        await trio.sleep(120)
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP2"]
        fleet.reaches(job, "CP1", Stage.DOWNLOADING)
        await trio.sleep(2 * SLOW_LOOK_SECONDS)
        fleet.ends(job, "CP2")
        await trio.sleep(60)
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP2"]
        await trio.sleep(silence)
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP2", "CP3"]
        for identity in identities:
            if identity != "CP2":
                await trio.sleep(60)
                fleet.ends(job, identity, End.UNKNOWN, "no-report")
        await trio.sleep(60)
    assert jobs.counts(job) == {"DONE": 1, "UNKNOWN": 3}
    assert jobs.end(job) == "DONE"


async def test_those_that_are_away_come_when_they_are_back(harness: Harness, autojump_clock: MockClock) -> None:
    """They hold no place; one that is deleted meanwhile has no turn."""
    fleet, _ = fleet_of(harness, 3, connected=False)
    fleet.connect("CP2")
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 1))
        await trio.sleep(5)
        assert [identity for identity, _ in fleet.begun] == ["CP2"]
        fleet.ends(job, "CP2")
        harness.store.commit([DeleteChargePoint("CP3", virtual_clock())])
        await trio.sleep(3600)
        assert jobs.counts(job) == {"DONE": 1, "WAITING": 1, "NOT_BEGUN": 1}
        fleet.connect("CP1")
        await trio.sleep(10)
        fleet.ends(job, "CP1")
        await trio.sleep(10)
    assert jobs.counts(job) == {"DONE": 2, "NOT_BEGUN": 1}
    assert jobs.end(job) == "DONE"


@pytest.mark.parametrize(("reset", "insist"), [(False, False), (True, False), (True, True)])
async def test_each_rotation_resets_its_charger_as_the_job_asks(
    harness: Harness, autojump_clock: MockClock, reset: bool, insist: bool
) -> None:
    """Its operation is what one charger's caller would have asked for; the job is read from disk for that."""
    fleet, _ = fleet_of(harness, 1)
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 1), reset=reset, insist=insist)
        await trio.sleep(1)
    begun = harness.store.operation_by_request("CP1", job.job_id)
    assert begun is not None
    assert begun.request == rotation_request(reset=reset, insist=insist)


@pytest.mark.parametrize("waiting", [Stage.REBOOT_REQUIRED, Stage.RESET_SENT, Stage.CERTIFICATE_REQUESTED])
async def test_what_waits_for_a_boot_or_a_return_holds_no_place(
    harness: Harness, autojump_clock: MockClock, waiting: Stage
) -> None:
    """The next one has its turn; and the end of the first one is seen when it comes."""
    fleet, _ = fleet_of(harness, 3)
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 1))
        await trio.sleep(1)
        fleet.reaches(job, "CP1", waiting)
        await trio.sleep(5)
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP2"]
        harness.store.settle(virtual_clock())  # the links of all are lost
        await trio.sleep(5)
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP2", "CP3"]
        for identity in ("CP1", "CP2", "CP3"):
            fleet.ends(job, identity)
        await trio.sleep(2 * SLOW_LOOK_SECONDS)
    assert jobs.counts(job) == {"DONE": 3}


@pytest.mark.parametrize("loses_answers", [False, True])
async def test_a_job_goes_on_after_a_restart_and_begins_nothing_twice(
    harness: Harness, autojump_clock: MockClock, loses_answers: bool
) -> None:
    """Also where the gateway was killed between an operation and the note of it, or its answer was lost."""
    fleet, identities = fleet_of(harness, 6)
    fleet.loses_answers = loses_answers
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(60.0, 10))
        await trio.sleep(2.5)
    assert len(fleet.begun) == 3
    fleet.loses_answers = False
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        await trio.sleep(30)
        assert jobs.counts(job) == {"UNDER_WAY": 6}
        for identity in identities:
            fleet.ends(job, identity)
        await trio.sleep(5)
    assert sorted(identity for identity, _ in fleet.begun) == identities
    assert jobs.end(job) == "DONE"


async def test_a_job_that_is_cancelled_ends_with_what_it_has_begun(harness: Harness, autojump_clock: MockClock) -> None:
    """The rest is not begun, and says so; cancelling twice is no more than once."""
    fleet, _ = fleet_of(harness, 3)
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 1))
        await trio.sleep(2)
        await jobs.calls.cancel(job.job_id)
        assert (await jobs.calls.cancel(job.job_id)).end is None
        await trio.sleep(100)
        assert jobs.counts(job) == {"UNDER_WAY": 1, "NOT_BEGUN": 2}
        fleet.ends(job, "CP1")
        await trio.sleep(5)
    assert jobs.end(job) == "CANCELLED"
    assert jobs.counts(job) == {"DONE": 1, "NOT_BEGUN": 2}
    assert {each.reason for each in await jobs.calls.items(job.job_id, "NOT_BEGUN", "", 10)} == {"cancelled"}


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_job_with_so_many_failures_begins_nothing_more(
    harness: Harness, autojump_clock: MockClock, restarted: bool
) -> None:
    """Those that were begun go on, and the rest is not begun and says why; failures before a restart count."""
    fleet, _ = fleet_of(harness, 9)
    fleet.refusals["CP2"] = Refused(RefusalReason.CHARGE_POINT_PENDING, "it is pending: nothing was done to it")
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 2), max_failures=3)
        await trio.sleep(2)
        for identity, end in (("CP1", End.REFUSED), ("CP3", End.DONE), ("CP4", End.ROLLED_BACK)):
            fleet.ends(job, identity, end, "why")
            await trio.sleep(2)
        assert jobs.end(job) == ""
        assert [identity for identity, _ in fleet.begun] == ["CP1", "CP3", "CP4", "CP5", "CP6"]
    if restarted:
        jobs = Jobs(harness, fleet)
    async with jobs.run():
        await trio.sleep(2)
        fleet.ends(job, "CP5", End.UNKNOWN, "no-answer")
        await trio.sleep(100)
        assert jobs.counts(job) == {
            "REFUSED": 1,
            "ROLLED_BACK": 1,
            "UNKNOWN": 1,
            "DONE": 1,
            "UNDER_WAY": 1,
            "NOT_BEGUN": 4,
        }
        assert jobs.end(job) == ""
        fleet.ends(job, "CP6")
        await trio.sleep(5)
    assert jobs.end(job) == "TOO_MANY_FAILURES"
    assert len(fleet.begun) == 5
    items = await jobs.calls.items(job.job_id, "NOT_BEGUN", "", 10)
    assert {each.charge_point: each.reason for each in items} == {
        "CP2": "CHARGE_POINT_PENDING",
        **dict.fromkeys(("CP7", "CP8", "CP9"), "too_many_failures"),
    }


async def test_a_job_without_a_limit_goes_on_however_many_fail(harness: Harness, autojump_clock: MockClock) -> None:
    """Each has its turn."""
    fleet, identities = fleet_of(harness, 4)
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 1))
        for identity in identities:
            await trio.sleep(5)
            fleet.ends(job, identity, End.REFUSED, "Rejected")
        await trio.sleep(5)
    assert (jobs.end(job), jobs.counts(job)) == ("DONE", {"REFUSED": 4})


async def test_a_job_whose_time_is_over_begins_nothing_more(harness: Harness, autojump_clock: MockClock) -> None:
    """Those that did not come back in time say so."""
    fleet, _ = fleet_of(harness, 2, connected=False)
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 1), limit=timedelta(hours=1))
        await trio.sleep(3700)
        fleet.connect("CP1", "CP2")
        await trio.sleep(60)
    assert fleet.begun == []
    assert jobs.end(job) == "EXPIRED"
    assert jobs.counts(job) == {"NOT_BEGUN": 2}


async def test_a_refusal_that_passes_is_tried_again(harness: Harness, autojump_clock: MockClock) -> None:
    """Another change of how the charge point is let in is under way."""
    fleet, _ = fleet_of(harness, 1)
    fleet.refusals["CP1"] = OperationRefused(OperationRefusal.OPERATION_OPEN, "another one")
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(600.0, 1))
        await trio.sleep(60)
        assert jobs.counts(job) == {"WAITING": 1}
        del fleet.refusals["CP1"]
        await trio.sleep(10)
        assert jobs.counts(job) == {"UNDER_WAY": 1}


async def test_a_store_that_fails_for_a_while_ends_no_job(harness: Harness, autojump_clock: MockClock) -> None:
    """It goes on where it was."""
    fleet, identities = fleet_of(harness, 3)
    jobs = Jobs(harness, fleet)
    async with jobs.run():
        job = await jobs.make(Pace(60.0, 10))
        await trio.sleep(0.5)
        harness.journal.failing = True
        await trio.sleep(100)
        harness.journal.failing = False
        await trio.sleep(100)
        for identity in identities:
            fleet.ends(job, identity)
        await trio.sleep(10)
    assert sorted(identity for identity, _ in fleet.begun) == identities
    assert jobs.end(job) == "DONE"


async def test_a_watch_shows_each_change_until_the_end(harness: Harness, autojump_clock: MockClock) -> None:
    """The last one has the end and the counts."""
    fleet, _ = fleet_of(harness, 2)
    jobs = Jobs(harness, fleet)
    seen: list[tuple[dict[str, int], str]] = []
    async with jobs.run(), trio.open_nursery() as nursery:
        job = await jobs.make(Pace(60.0, 1))

        async def watch() -> None:
            async for each in jobs.calls.watch(job.job_id):
                seen.append((dict(each.counts), each.end or ""))

        nursery.start_soon(watch)
        await trio.sleep(3)
        fleet.ends(job, "CP1")
        await trio.sleep(5)
        fleet.ends(job, "CP2", End.REFUSED)
    assert sum(seen[0][0].values()) == 2
    assert ({"UNDER_WAY": 1, "WAITING": 1}, "") in seen
    assert seen[-1] == ({"DONE": 1, "REFUSED": 1}, "DONE")
