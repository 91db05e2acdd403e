"""Statuses of firmware updates and uploads find their command; the last one is kept, and so is the local list."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import (
    Command,
    GetDiagnostics,
    LocalListEntry,
    SendLocalList,
    UpdateFirmware,
    UpdateType,
)
from gateway.domain.events import DiagnosticsStatusReported, FirmwareStatusReported, LocalListChanged
from gateway.domain.progress import Work
from gateway.domain.records import Progress
from gateway.store.commits import DeleteChargePoint
from tests.session.commands.test_commands import Asked, ready
from tests.support.harness import Harness, boot, virtual_clock
from tests.support.wire import ScriptedCharger

UPDATE, UPLOAD = "FirmwareStatusNotification", "DiagnosticsStatusNotification"

Make = Callable[[], Command]


def update() -> Command:
    return UpdateFirmware("https://example.com/f.bin", virtual_clock())


def upload() -> Command:
    return GetDiagnostics("https://example.com/d")


async def sent(charger: ScriptedCharger, asked: Asked, make: Make, *, answer: bool = True) -> str:
    """A command that the charger got; its id."""
    outcome = asked.ask(make(), seconds=10)
    message_id, _, _ = await charger.next_call()
    if answer:
        await charger.answer(message_id, {})
    command_id: str = (await outcome()).command_id
    return command_id


def commands(harness: Harness) -> list[str]:
    """The commands of the statuses so far."""
    bodies = harness.bodies(FirmwareStatusReported.TYPE, DiagnosticsStatusReported.TYPE)
    return [each.command_id for each in bodies if isinstance(each, FirmwareStatusReported | DiagnosticsStatusReported)]


def progress(harness: Harness, work: Work) -> Progress:
    """The progress as the charge point's record shows it."""
    return dict(harness.charge_point().progress)[work]


@pytest.mark.parametrize(
    ("make", "action", "statuses", "work"),
    [
        (update, UPDATE, ("Downloading", "Downloaded", "Installing", "Installed"), Work.FIRMWARE),
        (upload, UPLOAD, ("Uploading", "Uploaded"), Work.DIAGNOSTICS),
    ],
)
async def test_each_status_finds_its_command(
    harness: Harness, make: Make, action: str, statuses: tuple[str, ...], work: Work, autojump_clock: MockClock
) -> None:
    """Until it has succeeded, and the success once more if it is repeated; another beginning is another's."""
    async with ready(harness) as (charger, asked):
        command_id = await sent(charger, asked, make)
        for status in (*statuses, statuses[-1]):
            await charger.call(action, {"status": status})
        shown = progress(harness, work)
        assert (shown.status, shown.command_id, shown.status_command_id) == (statuses[-1], command_id, command_id)
        await charger.call(action, {"status": statuses[0]})
    assert commands(harness) == [command_id] * (len(statuses) + 1) + [""]


async def test_a_success_after_the_reboot_is_the_commands(harness: Harness, autojump_clock: MockClock) -> None:
    """On another connection, after a Boot and an Idle that belongs to none (B8.3)."""
    async with ready(harness) as (charger, asked):
        command_id = await sent(charger, asked, update)
        await charger.call(UPDATE, {"status": "Installing"})
    await trio.sleep(600)
    async with harness.connected() as charger:
        await boot(charger)
        await charger.call(UPDATE, {"status": "Idle"})
        await charger.call(UPDATE, {"status": "Installed"})
    assert commands(harness) == [command_id, "", command_id]
    assert progress(harness, Work.FIRMWARE).succeeded


async def test_a_status_of_an_update_without_an_answer_is_its_own(harness: Harness, autojump_clock: MockClock) -> None:
    """The outcome of the command is not known, and what the charger reports shows it."""
    async with ready(harness) as (charger, asked):
        command_id = await sent(charger, asked, update, answer=False)
        await charger.call(UPDATE, {"status": "Downloading"})
    assert commands(harness) == [command_id]


async def test_a_failure_may_be_followed_by_another_try(harness: Harness, autojump_clock: MockClock) -> None:
    """As the command's retries say."""
    async with ready(harness) as (charger, asked):
        command_id = await sent(charger, asked, update)
        for status in ("DownloadFailed", "Downloading", "Installed"):
            await charger.call(UPDATE, {"status": status})
    assert commands(harness) == [command_id] * 3


async def test_the_newest_command_takes_the_statuses(harness: Harness, autojump_clock: MockClock) -> None:
    """Also after one that has succeeded; updates and uploads are apart."""
    async with ready(harness) as (charger, asked):
        await sent(charger, asked, update)
        await charger.call(UPDATE, {"status": "Installed"})
        second = await sent(charger, asked, update)
        uploading = await sent(charger, asked, upload)
        await charger.call(UPDATE, {"status": "Downloading"})
        await charger.call(UPLOAD, {"status": "Uploading"})
    assert commands(harness)[1:] == [second, uploading]


async def test_a_status_without_a_command_is_recorded(harness: Harness, autojump_clock: MockClock) -> None:
    """Of a charger that updates itself, or of another one that was here under the identity before."""
    async with ready(harness) as (charger, asked):
        await charger.call(UPDATE, {"status": "Installed"})
        assert progress(harness, Work.FIRMWARE).status == "Installed"
        await sent(charger, asked, update)
    harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])
    harness.add_charge_point()
    async with harness.connected() as charger:
        await charger.call(UPDATE, {"status": "Downloading"})
    assert commands(harness) == ["", ""]


def local_list(version: int, update_type: UpdateType = UpdateType.FULL) -> Command:
    return SendLocalList(version, update_type, (LocalListEntry("TAG", "Accepted"),))


async def test_the_last_list_that_was_accepted_is_shown_with_its_command(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """One that failed changes nothing; a deleted charge point has none."""
    async with ready(harness) as (charger, asked):
        ids = []
        for version, kind, status in (
            (7, UpdateType.FULL, "Accepted"),
            (8, UpdateType.DIFFERENTIAL, "Accepted"),
            (9, UpdateType.DIFFERENTIAL, "VersionMismatch"),
        ):
            outcome = asked.ask(local_list(version, kind))
            message_id, _, _ = await charger.next_call("SendLocalList")
            await charger.answer(message_id, {"status": status})
            ids.append((await outcome()).command_id)
            await trio.sleep(1)
    assert harness.bodies_of(LocalListChanged) == [
        LocalListChanged(7, UpdateType.FULL, 1),
        LocalListChanged(8, UpdateType.DIFFERENTIAL, 1),
    ]
    shown = harness.charge_point().local_list
    assert shown is not None
    assert (shown.version, shown.update_type, shown.command_id) == (8, UpdateType.DIFFERENTIAL, ids[1])
    assert harness.events("local_list.changed")[-1].cause == f"command:{ids[1]}"
    harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])
    harness.add_charge_point()
    assert harness.charge_point().local_list is None
