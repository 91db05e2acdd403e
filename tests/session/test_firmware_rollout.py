"""A rollout of plain firmware over real sessions: chargers that report, are silent, are away, or know no such command,
over an end of the runner and of all connections."""

from datetime import timedelta

import trio
from trio.testing import MockClock

from gateway.control.fleet import FleetCalls, NewFleetJob
from gateway.control.fleet_runner import FleetRunner
from gateway.domain.commands import UpdateFirmware
from gateway.domain.fleet import FleetJob, Pace
from gateway.domain.operations import OperationKind, Stage
from gateway.security.maintenance import FIRMWARE_WAIT
from tests.support.harness import Harness, virtual_clock
from tests.support.station import Station, booted

UPDATE = UpdateFirmware("https://files.example/2.0.bin")


class Jobs:
    """The jobs of a gateway, which go on until it is stopped."""

    def __init__(self, harness: Harness, nursery: trio.Nursery) -> None:
        self.runner = FleetRunner(harness.journal, harness.reads, harness.router, virtual_clock)
        self.calls = FleetCalls(harness.journal, harness.reads, virtual_clock, self.runner.wake)
        self.scope = trio.CancelScope()
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        with self.scope:
            await self.runner.run()

    async def items(self, job: FleetJob) -> dict[str, tuple[str | None, str, Stage | None]]:
        found = await self.calls.items(job.job_id, "", "", 10)
        return {each.charge_point: (each.outcome, each.reason, each.stage) for each in found}


class Act:
    """A point that all chargers reach before the next one."""

    def __init__(self, chargers: int) -> None:
        self.missing = chargers
        self.reached = trio.Event()
        self.go_on = trio.Event()

    async def wait(self) -> None:
        """Of a charger: be there, and go on with all others."""
        self.missing -= 1
        if not self.missing:
            self.reached.set()
        await self.go_on.wait()


async def is_sent_the_update(station: Station) -> str:
    """The message id."""
    message_id, _, sent = await station.charger.next_call("UpdateFirmware")
    assert sent["location"] == UPDATE.location
    return message_id


async def is_there(station: Station, span: timedelta) -> None:
    """Without a word on its firmware."""
    end = virtual_clock() + span
    while virtual_clock() < end:
        await trio.sleep(240)
        await station.says("Heartbeat")


async def test_each_charger_is_sent_one_update_and_has_the_end_that_it_showed(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """None is sent a second one: not after the restart, nor for a request that is repeated."""
    new = NewFleetJob("r", OperationKind.INSTALL_FIRMWARE, None, {}, True, Pace(600.0, 10), firmware=UPDATE)
    registered, begun, lost, over = (Act(3) for _ in range(4))
    day = FIRMWARE_WAIT + timedelta(hours=1)

    async def one_that_shows_its_version() -> None:
        async with booted(harness, "CP1") as station:
            await registered.wait()
            await station.charger.answer(await is_sent_the_update(station), {})
            assert await station.says("FirmwareStatusNotification", status="Downloading") == {}
            await begun.wait()
            await station.disconnects()
            await lost.wait()
            await station.connects()
            await station.boots(firmwareVersion="2.0")
            await is_there(station, day)
            await over.wait()

    async def one_that_gives_no_answer() -> None:
        async with booted(harness, "CP2") as station:
            await registered.wait()
            await is_sent_the_update(station)
            await begun.wait()
            await station.disconnects()
            await lost.wait()
            await station.connects()
            await station.boots()
            await is_there(station, day)
            await over.wait()

    async def one_that_is_away_and_does_not_know_it() -> None:
        async with booted(harness, "CP3") as station:
            await station.disconnects(cleanly=True)
            await registered.wait()
            await begun.wait()
            await lost.wait()
            await station.connects()
            await station.boots()
            await station.charger.answer_error(await is_sent_the_update(station), "NotSupported")
            await is_there(station, day)
            await over.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_that_shows_its_version)
        nursery.start_soon(one_that_gives_no_answer)
        nursery.start_soon(one_that_is_away_and_does_not_know_it)
        await registered.reached.wait()
        before = Jobs(harness, nursery)
        job = await before.calls.create(new)
        registered.go_on.set()
        await begun.reached.wait()
        await trio.sleep(5)
        assert await before.items(job) == {
            "CP1": (None, "", Stage.DOWNLOADING),
            "CP2": (None, "", Stage.SENT),
            "CP3": (None, "", None),
        }
        before.scope.cancel()
        begun.go_on.set()
        await lost.reached.wait()
        after = Jobs(harness, nursery)
        assert (await after.calls.create(new)).job_id == job.job_id
        lost.go_on.set()
        await over.reached.wait()
        assert await after.items(job) == {
            "CP1": ("DONE", "new-version", Stage.INSTALLING),
            "CP2": ("TIMED_OUT", "no-answer", Stage.SENT),
            "CP3": ("REFUSED", "NotSupported", Stage.SENT),
        }
        found = await after.calls.get(job.job_id)
        assert (found.end, dict(found.counts)) == ("DONE", {"DONE": 1, "TIMED_OUT": 1, "REFUSED": 1})
        after.scope.cancel()
        over.go_on.set()
