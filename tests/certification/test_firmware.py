"""OCTT's cases of firmware and diagnostics."""

from datetime import timedelta

import pytest
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.commands import DiagnosticsAnswer, EmptyAnswer, GetDiagnostics, UpdateFirmware
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.secret_search import LOCATION, UPLOAD
from tests.support.station import Station, booted, time


async def update(station: Station) -> None:
    command = UpdateFirmware(LOCATION, virtual_clock() + timedelta(minutes=1), retries=3, retry_interval=60)
    sent = {"location": LOCATION, "retrieveDate": time(60), "retries": 3, "retryInterval": 60}
    assert await station.obeys(command, sent, {}) == EmptyAnswer()


async def firmware(station: Station, status: str) -> None:
    assert await station.says("FirmwareStatusNotification", status=status) == {}


def reported(harness: Harness) -> list[str]:
    bodies = harness.bodies(e.FirmwareStatusReported.TYPE, e.DiagnosticsStatusReported.TYPE)
    return [body.status for body in bodies if isinstance(body, e.FirmwareStatusReported | e.DiagnosticsStatusReported)]


async def test_tc_044_1_firmware_updated(harness: Harness, autojump_clock: MockClock) -> None:
    """Every step is confirmed and recorded; a boot in the middle of the installation is accepted as any."""
    async with booted(harness) as station:
        await update(station)
        for status in ("Downloading", "Downloaded"):
            await firmware(station, status)
        await station.status(1, "Unavailable")
        await firmware(station, "Installing")
        await station.disconnects(cleanly=True)
        await station.connects()
        answer = await station.says("BootNotification", **{**BOOT, "firmwareVersion": "2.0"})
        assert answer["status"] == "Accepted"
        await station.status(1, "Available")
        await firmware(station, "Installed")
        assert reported(harness) == ["Downloading", "Downloaded", "Installing", "Installed"]


@pytest.mark.parametrize(
    ("case", "statuses"),
    [
        ("044_2", ["Downloading", "DownloadFailed"]),
        ("044_3", ["Downloading", "Downloaded", "Installing", "InstallationFailed"]),
    ],
)
async def test_tc_044_firmware_failed(
    harness: Harness, autojump_clock: MockClock, case: str, statuses: list[str]
) -> None:
    """044_2, 044_3: a download or an installation that fails is confirmed and recorded as such."""
    async with booted(harness) as station:
        await update(station)
        for status in statuses:
            await firmware(station, status)
        assert reported(harness) == statuses, case


@pytest.mark.parametrize(("case", "last"), [("045_1", "Uploaded"), ("045_2", "UploadFailed")])
async def test_tc_045_diagnostics(harness: Harness, autojump_clock: MockClock, case: str, last: str) -> None:
    """045_1, 045_2: the name of the file is returned, and both ends of an upload are confirmed and recorded."""
    async with booted(harness) as station:
        command = GetDiagnostics(UPLOAD, retries=1, retry_interval=30, start_time=virtual_clock())
        sent = {"location": UPLOAD, "retries": 1, "retryInterval": 30, "startTime": time()}
        assert await station.obeys(command, sent, {"fileName": "log.zip"}) == DiagnosticsAnswer("log.zip")
        for status in ("Uploading", last):
            assert await station.says("DiagnosticsStatusNotification", status=status) == {}
        assert reported(harness) == ["Uploading", last], case


async def test_tc_045_nothing_to_upload(harness: Harness, autojump_clock: MockClock) -> None:
    """A charge point that has nothing to upload names no file, or an empty one."""
    async with booted(harness) as station:
        for answer in ({}, {"fileName": ""}):
            found = await station.obeys(GetDiagnostics(UPLOAD), {"location": UPLOAD}, answer)
            assert found == DiagnosticsAnswer(None)
