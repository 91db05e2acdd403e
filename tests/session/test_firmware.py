"""Installations of firmware that is not signed (UpdateFirmware), as operations: chargers that report all of it, some of
it or nothing, boot with the new version or the old one, are away, or are sent another update meanwhile."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.app.housekeeping import AWAY, end_abandoned_operations
from gateway.domain.commands import UpdateFirmware
from gateway.domain.operations import End, OperationRecord, OperationRequest, Stage
from gateway.domain.security_commands import GetLog, LogType, SignedUpdateFirmware
from gateway.domain.times import format_time
from gateway.security.maintenance import BOOT_WAIT, FIRMWARE_WAIT, RETRY_WAIT
from tests.support.charger_certificates import SigningAuthority, pem
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.maintenance import BEGUN, accepts, begins, course, wanted
from tests.support.station import Station, booted

PLACE = "ftp://user:S3cret@files.example/2.0.bin?token=T0ken"
OLD, NEW = {"firmwareVersion": "1.0"}, {"firmwareVersion": "2.0"}
NO_VERSION = {"firmwareVersion": ""}
assert BOOT["firmwareVersion"] == "1.0"


def plain(retries: int | None = None, interval: int | None = None) -> OperationRequest:
    return wanted(UpdateFirmware(PLACE, None, retries, interval))


def signed() -> OperationRequest:
    signer = pem(SigningAuthority(virtual_clock()).root)
    return wanted(SignedUpdateFirmware(7, "https://files.example/f", None, signer, "c2ln"))


async def says(station: Station, *statuses: str) -> None:
    for status in statuses:
        assert await station.says("FirmwareStatusNotification", status=status) == {}
        await trio.sleep(0.1)


async def reboots(station: Station, version: dict[str, str]) -> None:
    await station.disconnects(cleanly=True)
    await station.connects()
    await station.boots(**version)


async def passes(station: Station, span: timedelta) -> None:
    """The charger is there and says nothing of its firmware."""
    until = virtual_clock() + span
    while virtual_clock() < until:
        await trio.sleep(min(240.0, (until - virtual_clock()).total_seconds()))
        await station.says("Heartbeat")
    await trio.sleep(0.1)


async def installing(harness: Harness, station: Station, request_id: str = "r1") -> OperationRecord:
    """An installation that the charger has confirmed."""
    begun = await begins(harness, plain(), request_id)
    await accepts(station, "UpdateFirmware", {})
    return begun


@pytest.mark.parametrize(
    ("statuses", "stages"),
    [
        (
            ["Downloading", "Downloaded", "Installing", "Installed"],
            [Stage.DOWNLOADING, Stage.DOWNLOADED, Stage.INSTALLING],
        ),
        (["Installing", "Downloading", "Installed"], [Stage.INSTALLING]),
        (["Installed"], []),
    ],
    ids=["in order", "out of order", "the end alone"],
)
async def test_plain_firmware_is_followed_until_it_is_installed(
    harness: Harness, autojump_clock: MockClock, statuses: list[str], stages: list[Stage]
) -> None:
    """TC_044_1: over a reboot before its last report. What is fetched at once is fetched from when it is sent on; the
    secrets in its address are in the CALL alone."""
    async with booted(harness) as station:
        begun = await begins(harness, plain(3, 60))
        sent_at = format_time(virtual_clock())
        sent = await accepts(station, "UpdateFirmware", {})
        assert sent == {"location": PLACE, "retrieveDate": sent_at, "retries": 3, "retryInterval": 60}
        for status in statuses:
            if status == "Installed":
                await reboots(station, OLD)
            await says(station, status)
        assert course(harness, begun.operation_id) == ([*BEGUN, *stages], End.DONE, "")
        kept = (
            b"".join(each.body_json for each in harness.events())
            + repr(harness.store.operation(begun.operation_id)).encode()
        )
        assert b"files.example" in kept
        assert b"S3cret" not in kept
        assert b"T0ken" not in kept


@pytest.mark.parametrize("status", ["DownloadFailed", "InstallationFailed"])
async def test_plain_firmware_that_fails_has_no_effect(
    harness: Harness, autojump_clock: MockClock, status: str
) -> None:
    """TC_044_2 and TC_044_3: in the charger's word."""
    async with booted(harness) as station:
        begun = await installing(harness, station)
        await says(station, "Downloading", status)
        assert course(harness, begun.operation_id) == ([*BEGUN, Stage.DOWNLOADING], End.NO_EFFECT, status)


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported", "InternalError"])
@pytest.mark.parametrize("request_", [plain, signed], ids=["plain", "signed"])
async def test_an_error_is_a_refusal_in_the_charger_s_word(
    harness: Harness, autojump_clock: MockClock, code: str, request_: Any
) -> None:
    """A charger that knows only the other kind of update gets no other in its place."""
    async with booted(harness) as station:
        begun = await begins(harness, request_())
        message_id, _, _ = await station.charger.next_call()
        await station.charger.answer_error(message_id, code)
        await trio.sleep(0.1)
        assert course(harness, begun.operation_id) == ([Stage.ACCEPTED, Stage.SENT], End.REFUSED, code)


@pytest.mark.parametrize("statuses", [(), ("Downloading",), ("Downloading", "Downloaded", "Installing", "Idle")])
@pytest.mark.parametrize("lost", [False, True], ids=["there", "back from an absence"])
async def test_a_boot_with_another_version_is_an_installation(
    harness: Harness, autojump_clock: MockClock, statuses: Sequence[str], lost: bool
) -> None:
    """Of a charger that never reports Installed; after a while, in which it may still say otherwise. That it has booted
    so is known from the records, too."""
    async with booted(harness) as station:
        begun = await installing(harness, station)
        await says(station, *statuses)
        await reboots(station, NEW)
        stages, end, _ = course(harness, begun.operation_id)
        assert (stages[-1], end) == (Stage.INSTALLING, None)
        if lost:
            await station.disconnects()
            await station.connects()
            await station.is_asked_for_its_status()
        await passes(station, BOOT_WAIT)
        assert course(harness, begun.operation_id)[1:] == (End.DONE, "new-version")


async def test_signed_firmware_may_show_by_its_version_alone(harness: Harness, autojump_clock: MockClock) -> None:
    async with booted(harness) as station:
        begun = await begins(harness, signed())
        sent_at = format_time(virtual_clock())
        sent = await accepts(station, "SignedUpdateFirmware")
        assert sent["firmware"]["retrieveDateTime"] == sent_at
        await reboots(station, NEW)
        await passes(station, BOOT_WAIT)
        assert course(harness, begun.operation_id)[1:] == (End.DONE, "new-version")


async def test_a_failure_after_the_boot_counts(harness: Harness, autojump_clock: MockClock) -> None:
    """The new version ran, and the charger says that it is not installed."""
    async with booted(harness) as station:
        begun = await installing(harness, station)
        await reboots(station, NEW)
        await says(station, "InstallationFailed")
        assert course(harness, begun.operation_id)[1:] == (End.NO_EFFECT, "InstallationFailed")


@pytest.mark.parametrize(
    ("before", "boots", "reason"),
    [
        (OLD, [OLD], "no-report"),
        (OLD, [NO_VERSION], "no-report"),
        (NO_VERSION, [NEW], "no-report"),
        (OLD, [NEW, OLD], "no-end"),
    ],
    ids=["the same", "none any more", "none before", "it fell back"],
)
async def test_a_version_that_proves_nothing_ends_unknown(
    harness: Harness,
    autojump_clock: MockClock,
    before: dict[str, str],
    boots: list[dict[str, str]],
    reason: str,
) -> None:
    """The end comes with the end of its time."""
    async with booted(harness) as station:
        await reboots(station, before)
        begun = await installing(harness, station)
        for version in boots:
            await reboots(station, version)
        await passes(station, BOOT_WAIT)
        assert course(harness, begun.operation_id)[1] is None
        await passes(station, FIRMWARE_WAIT)
        assert course(harness, begun.operation_id)[1:] == (End.UNKNOWN, reason)


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        ((), "no-report"),
        (("Idle",), "no-report"),
        (("Downloading", "Downloaded"), "no-end"),
        (("Downloading", "Downloaded", "Idle"), "idle"),
        (("Downloading", "Idle", "Downloaded"), "no-end"),
        (("Downloading", "Idle", "Installing", "Idle"), "idle"),
    ],
)
async def test_what_was_never_reported_ends_unknown_with_its_reason(
    harness: Harness, autojump_clock: MockClock, statuses: Sequence[str], reason: str
) -> None:
    """After a day; its last word counts. Of one that was sent tomorrow's time the day begins then."""
    async with booted(harness) as station:
        begun = await installing(harness, station)
        await says(station, *statuses)
        await passes(station, FIRMWARE_WAIT - timedelta(hours=1))
        assert course(harness, begun.operation_id)[1] is None
        await passes(station, timedelta(hours=1))
        assert course(harness, begun.operation_id)[1:] == (End.UNKNOWN, reason)


async def test_the_day_begins_with_the_time_to_fetch_it(harness: Harness, autojump_clock: MockClock) -> None:
    async with booted(harness) as station:
        tomorrow = virtual_clock() + timedelta(days=1)
        begun = await begins(harness, wanted(UpdateFirmware("https://files.example/f", tomorrow)))
        assert begun.expires_at == tomorrow + FIRMWARE_WAIT
        assert (await accepts(station, "UpdateFirmware", {}))["retrieveDate"] == format_time(tomorrow)


@pytest.mark.parametrize(
    ("statuses", "end"),
    [((), (End.TIMED_OUT, "no-answer")), (("Downloading", "Installed"), (End.DONE, ""))],
)
async def test_one_that_is_not_answered_is_followed(
    harness: Harness, autojump_clock: MockClock, statuses: Sequence[str], end: Any
) -> None:
    """It may be carried out all the same, and is never sent a second time."""
    async with booted(harness) as station:
        begun = await begins(harness, plain())
        await station.charger.next_call("UpdateFirmware")
        await passes(station, timedelta(minutes=10))
        await reboots(station, OLD)
        await says(station, *statuses)
        await passes(station, FIRMWARE_WAIT)
        assert course(harness, begun.operation_id)[1:] == end


@pytest.mark.parametrize("second", [plain, signed], ids=["plain", "signed"])
async def test_a_later_update_takes_the_reports(harness: Harness, autojump_clock: MockClock, second: Any) -> None:
    """Of the first one it can't be known any more what became; the second goes its way."""
    async with booted(harness) as station:
        first = await installing(harness, station)
        await says(station, "Downloading")
        later = await begins(harness, second(), "r2")
        message_id, action, _ = await station.charger.next_call()
        await station.charger.answer(message_id, {} if action == "UpdateFirmware" else {"status": "Accepted"})
        await trio.sleep(0.1)
        assert course(harness, first.operation_id)[1:] == (End.UNKNOWN, "superseded")
        await says(station, "Downloading", "Installed")
        assert course(harness, later.operation_id)[1:] == (End.DONE, "")


async def test_a_command_by_hand_takes_the_reports_too(harness: Harness, autojump_clock: MockClock) -> None:
    async with booted(harness) as station:
        begun = await installing(harness, station)
        outcome = station.ask(UpdateFirmware("https://files.example/other", virtual_clock()))
        await accepts(station, "UpdateFirmware", {})
        await outcome()
        assert course(harness, begun.operation_id)[1:] == (End.UNKNOWN, "superseded")


async def test_an_update_of_before_takes_nothing(harness: Harness, autojump_clock: MockClock) -> None:
    """Nor do reports that came before it was sent."""
    async with booted(harness) as station:
        outcome = station.ask(UpdateFirmware("https://files.example/other", virtual_clock()))
        await accepts(station, "UpdateFirmware", {})
        await outcome()
        begun = await begins(harness, plain())
        message_id, _, _ = await station.charger.next_call("UpdateFirmware")
        await station.charger.answer(message_id, {})
        await trio.sleep(0.1)
        assert course(harness, begun.operation_id) == (BEGUN, None, "")
        await says(station, "Installed")
        assert course(harness, begun.operation_id)[1:] == (End.DONE, "")


RETRIED = [
    (UpdateFirmware("https://files.example/f", None, 2, 60), "UpdateFirmware", {}, "FirmwareStatusNotification"),
    (
        GetLog(LogType.SECURITY, 7, "https://files.example/", 2, 60),
        "GetLog",
        {"status": "Accepted"},
        "LogStatusNotification",
    ),
]
FAILED = {"UpdateFirmware": "DownloadFailed", "GetLog": "UploadFailure"}
DONE = {"UpdateFirmware": "Installed", "GetLog": "Uploaded"}


@pytest.mark.parametrize(("command", "action", "answer", "report"), RETRIED, ids=["firmware", "log"])
@pytest.mark.parametrize("works", [True, False], ids=["at last", "never"])
async def test_a_try_that_failed_is_not_the_end_while_others_were_asked_for(
    harness: Harness, autojump_clock: MockClock, command: Any, action: str, answer: Any, report: str, works: bool
) -> None:
    """B9.16: the charger tries again; the end is the first failure that nothing follows."""
    more: dict[str, Any] = {"requestId": 7} if action == "GetLog" else {}
    begins_with = "Uploading" if action == "GetLog" else "Downloading"
    patience = timedelta(seconds=60) + RETRY_WAIT

    async def reports(*statuses: str) -> None:
        for status in statuses:
            await station.says(report, status=status, **more)
            await trio.sleep(0.1)

    async with booted(harness) as station:
        begun = await begins(harness, wanted(command))
        await accepts(station, action, answer)
        await reports(begins_with, FAILED[action])
        await passes(station, patience - timedelta(minutes=1))
        assert course(harness, begun.operation_id)[1] is None
        await reports(begins_with)
        await passes(station, patience)
        assert course(harness, begun.operation_id)[1] is None
        await reports(*([DONE[action]] if works else [FAILED[action]]))
        if works:
            assert course(harness, begun.operation_id)[1:] == (End.DONE, "")
            return
        assert course(harness, begun.operation_id)[1] is None
        await passes(station, patience)
        assert course(harness, begun.operation_id)[1:] == (End.NO_EFFECT, FAILED[action])


async def test_what_a_charger_showed_before_it_went_away_counts(harness: Harness, autojump_clock: MockClock) -> None:
    """It booted with the new version, and was switched off before that was taken for its installation."""

    async def trusted() -> datetime:
        return virtual_clock()

    async with trio.open_nursery() as nursery, booted(harness) as station:
        nursery.start_soon(end_abandoned_operations, harness.journal, harness.reads, trusted)
        begun = await installing(harness, station)
        await reboots(station, NEW)
        await station.disconnects()
        await trio.sleep((FIRMWARE_WAIT + AWAY).total_seconds() + 120)
        assert course(harness, begun.operation_id)[1:] == (End.DONE, "new-version")
        nursery.cancel_scope.cancel()


async def test_one_that_comes_back_after_its_time_is_heard_first(harness: Harness, autojump_clock: MockClock) -> None:
    """It was away over the end of the day, and boots with the new version."""
    async with booted(harness) as station:
        begun = await installing(harness, station)
        await station.disconnects()
        await trio.sleep(FIRMWARE_WAIT.total_seconds() + 60)
        await station.connects()
        await station.boots(**NEW)
        assert course(harness, begun.operation_id)[1] is None
        await trio.sleep(60)
        assert course(harness, begun.operation_id)[1:] == (End.DONE, "new-version")


async def test_one_that_charges_is_followed_and_loses_no_session(harness: Harness, autojump_clock: MockClock) -> None:
    """The charger waits for its driver, as it is made; the gateway ends nothing."""
    async with booted(harness) as station:
        number = await station.charges()
        begun = await installing(harness, station)
        await says(station, "Downloading", "Downloaded")
        await passes(station, timedelta(hours=3))
        assert course(harness, begun.operation_id)[1] is None
        await station.stops(number)
        await says(station, "Installing", "Installed")
        assert course(harness, begun.operation_id)[1:] == (End.DONE, "")
