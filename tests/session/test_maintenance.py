"""Uploads of logs, installations of signed firmware and renewals of certificates, as operations: each stage an event,
over a charger that is away and a gateway that is restarted, ended by their time at the latest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from gateway.app.housekeeping import end_abandoned_operations
from gateway.control.signing import Declined, Signed, SigningDesk
from gateway.domain import events as e
from gateway.domain.operations import (
    End,
    OperationKind,
    OperationRecord,
    OperationRefusal,
    OperationRefused,
    OperationRequest,
    Stage,
)
from gateway.domain.security_commands import GetLog, LogType, SignedUpdateFirmware
from gateway.security.maintenance import FIRMWARE_WAIT, LOG_WAIT, RENEWAL_WAIT
from gateway.store.commits import Append
from tests.support.charger_certificates import SigningAuthority, pem, request
from tests.support.harness import Harness, virtual_clock
from tests.support.maintenance import BEGUN, accepts, begins, course, wanted
from tests.support.station import REJECTED, Station, booted

PLACE = "ftp://user:S3cret@files.example/logs"
CSR = request("CP1")


def log(number: int = 7) -> OperationRequest:
    return wanted(GetLog(LogType.SECURITY, number, PLACE))


def firmware(number: int = 7) -> OperationRequest:
    signer = pem(SigningAuthority(virtual_clock()).root)
    return wanted(SignedUpdateFirmware(number, "https://files.example/f", virtual_clock(), signer, "c2ln"))


RENEWAL = OperationRequest(OperationKind.RENEW_CERTIFICATE)


async def says(station: Station, action: str, *statuses: str, number: int = 7) -> None:
    for status in statuses:
        assert await station.says(action, status=status, requestId=number) == {}
        await trio.sleep(0.1)


async def test_a_log_is_followed_until_it_is_uploaded(harness: Harness, autojump_clock: MockClock) -> None:
    """Each stage an event; the password is in the CALL alone."""
    async with booted(harness) as station:
        begun = await begins(harness, log())
        sent = await accepts(station, "GetLog")
        assert sent["log"]["remoteLocation"] == PLACE
        await says(station, "LogStatusNotification", "Uploading", "Uploaded")
        assert course(harness, begun.operation_id) == ([*BEGUN, Stage.UPLOADING], End.DONE, "")
        stored = b"".join(each.body_json for each in harness.events())
        assert b"files.example" in stored
        assert b"S3cret" not in stored
        assert "S3cret" not in repr(harness.store.operation(begun.operation_id))
        assert "S3cret" not in repr(log())


@pytest.mark.parametrize("status", ["UploadFailure", "BadMessage", "PermissionDenied", "NotSupportedOperation"])
async def test_an_upload_that_fails_has_no_effect(harness: Harness, autojump_clock: MockClock, status: str) -> None:
    """In the charger's word; what it says of another request is another one's."""
    async with booted(harness) as station:
        begun = await begins(harness, log())
        await accepts(station, "GetLog")
        await says(station, "LogStatusNotification", "Uploaded", number=6)
        assert course(harness, begun.operation_id)[1] is None
        await says(station, "LogStatusNotification", "Uploading", status)
        assert course(harness, begun.operation_id)[1:] == (End.NO_EFFECT, status)


@pytest.mark.parametrize(
    ("statuses", "stages"),
    [
        (
            ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"],
            [Stage.DOWNLOADING, Stage.DOWNLOADED, Stage.SIGNATURE_VERIFIED, Stage.INSTALLING],
        ),
        (["InstallRebooting", "Downloading", "Installed"], [Stage.INSTALLING]),
        (["Installed"], []),
    ],
    ids=["in order", "out of order", "the end alone"],
)
async def test_firmware_is_followed_until_it_is_installed(
    harness: Harness, autojump_clock: MockClock, statuses: list[str], stages: list[Stage]
) -> None:
    """In any order, over a reboot (B11.8); no stage is gone back to."""
    async with booted(harness) as station:
        begun = await begins(harness, firmware())
        await accepts(station, "SignedUpdateFirmware")
        for status in statuses:
            if status == "Installed":
                await station.disconnects(cleanly=True)
                await station.connects()
                await station.boots()
            await says(station, "SignedFirmwareStatusNotification", status)
        assert course(harness, begun.operation_id) == ([*BEGUN, *stages], End.DONE, "")


@pytest.mark.parametrize("status", ["InvalidSignature", "DownloadFailed", "InstallVerificationFailed"])
async def test_firmware_that_is_not_installed_has_no_effect(
    harness: Harness, autojump_clock: MockClock, status: str
) -> None:
    """TC_081: in the charger's word."""
    async with booted(harness) as station:
        begun = await begins(harness, firmware())
        await accepts(station, "SignedUpdateFirmware")
        await says(station, "SignedFirmwareStatusNotification", "Downloading", status)
        assert course(harness, begun.operation_id)[1:] == (End.NO_EFFECT, status)


@pytest.mark.parametrize(
    ("answer", "reason"), [(REJECTED, "Rejected"), ({"status": "InvalidCertificate"}, "InvalidCertificate")]
)
async def test_a_charger_s_no_is_the_end(harness: Harness, autojump_clock: MockClock, answer: Any, reason: str) -> None:
    """Of an update."""
    async with booted(harness) as station:
        begun = await begins(harness, firmware())
        await accepts(station, "SignedUpdateFirmware", answer)
        assert course(harness, begun.operation_id) == ([Stage.ACCEPTED, Stage.SENT], End.REFUSED, reason)


async def test_a_later_upload_takes_the_place_of_the_first(harness: Harness, autojump_clock: MockClock) -> None:
    """AcceptedCanceled: the first has come to nothing, the second goes on."""
    async with booted(harness) as station:
        first = await begins(harness, log(1), "r1")
        await accepts(station, "GetLog")
        second = await begins(harness, log(2), "r2")
        await accepts(station, "GetLog", {"status": "AcceptedCanceled"})
        assert course(harness, first.operation_id)[1:] == (End.NO_EFFECT, "superseded")
        await says(station, "LogStatusNotification", "Uploading", "Uploaded", number=2)
        assert course(harness, second.operation_id) == ([*BEGUN, Stage.UPLOADING], End.DONE, "")


async def test_what_the_gateway_missed_is_seen_at_the_next_look(harness: Harness, autojump_clock: MockClock) -> None:
    """The report is on disk, the stage is not: the gateway was killed in between."""
    async with booted(harness) as station:
        begun = await begins(harness, log())
        await accepts(station, "GetLog")
        await station.disconnects()
        record = harness.charge_point()
        body = e.LogStatusReported("Uploading", 7, begun.operation_id)
        now = virtual_clock()
        reports = (e.NewEvent(body, now), e.NewEvent(evolve(body, status="Uploaded"), now))
        await harness.journal.commit(Append("CP1", record.connection.epoch, reports))
        await station.connects()
        await station.boots()
        assert course(harness, begun.operation_id) == ([*BEGUN, Stage.UPLOADING], End.DONE, "")


async def test_nothing_is_sent_to_a_charger_that_has_gone(harness: Harness, autojump_clock: MockClock) -> None:
    """Its connection ended before its turn: OFFLINE, and nothing is sent when it is back."""
    async with booted(harness) as station:
        await station.disconnects()
        assert not isinstance(await harness.router.operate("CP1", log(), "r1", 60.0), OperationRecord)
        await station.connects()
        begun = await begins(harness, log(), "r2")  # before its Boot: the command waits
        await station.disconnects()
        assert course(harness, begun.operation_id) == ([Stage.ACCEPTED], End.OFFLINE, "disconnected")
        await station.connects()
        await station.boots()


async def test_an_operation_ends_by_its_time(harness: Harness, autojump_clock: MockClock) -> None:
    """Of a charger that says nothing more, there or away; of one that gave no answer."""

    async def trusted() -> Any:
        return virtual_clock()

    async with trio.open_nursery() as nursery, booted(harness) as station:
        nursery.start_soon(end_abandoned_operations, harness.journal, harness.reads, trusted)
        asked = await begins(harness, firmware(1), "r0")
        assert asked.expires_at - virtual_clock() == FIRMWARE_WAIT
        await accepts(station, "SignedUpdateFirmware")
        begun = await begins(harness, log(), "r1")
        assert begun.expires_at - begun.created_at == LOG_WAIT
        await accepts(station, "GetLog")
        unanswered = await begins(harness, log(8), "r2")
        await station.charger.next_call("GetLog")
        for _ in range(int(LOG_WAIT / timedelta(seconds=60)) + 2):
            await station.says("Heartbeat")
            await trio.sleep(60)
        assert course(harness, begun.operation_id)[1:] == (End.UNKNOWN, "no-end")
        assert course(harness, unanswered.operation_id)[1:] == (End.TIMED_OUT, "no-answer")
        await station.disconnects()
        await trio.sleep(FIRMWARE_WAIT.total_seconds())
        assert course(harness, asked.operation_id)[1:] == (End.UNKNOWN, "away")
        nursery.cancel_scope.cancel()


# --- certificates ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def renewing(harness: Harness) -> AsyncIterator[tuple[Station, OperationRecord, SigningDesk]]:
    """A renewal whose trigger the charger has accepted."""
    desk = SigningDesk(harness.journal, harness.reads, harness.router.signing_changed, virtual_clock)
    async with booted(harness) as station:
        begun = await begins(harness, RENEWAL)
        assert begun.expires_at - begun.created_at == RENEWAL_WAIT
        sent = await accepts(station, "ExtendedTriggerMessage")
        assert sent == {"requestedMessage": "SignChargePointCertificate"}
        yield station, begun, desk


async def signs(harness: Harness, desk: SigningDesk, answer: Any = None) -> None:
    (waiting,) = harness.store.unsigned("", 10)
    answer = answer or Signed(SigningAuthority(virtual_clock()).issue(waiting.csr))
    assert await desk.take(waiting.signing_id, answer) is None
    await trio.sleep(0.1)


async def test_a_certificate_is_renewed(harness: Harness, autojump_clock: MockClock) -> None:
    """From the trigger to the charger's acceptance; a second renewal is refused meanwhile."""
    async with renewing(harness) as (station, begun, desk):
        again = await harness.router.operate("CP1", RENEWAL, "r2", 60.0)
        assert isinstance(again, OperationRefused)
        assert again.reason is OperationRefusal.OPERATION_OPEN
        await station.says("SignCertificate", csr=CSR)
        await signs(harness, desk)
        await accepts(station, "CertificateSigned")
        stages = [*BEGUN, Stage.CERTIFICATE_REQUESTED, Stage.CERTIFICATE_ISSUED]
        assert course(harness, begun.operation_id) == (stages, End.DONE, "")
        assert await begins(harness, RENEWAL, "r3")
        await accepts(station, "ExtendedTriggerMessage", REJECTED)


async def test_a_renewal_goes_on_over_an_absence(harness: Harness, autojump_clock: MockClock) -> None:
    """The charger is away while its certificate is signed."""
    async with renewing(harness) as (station, begun, desk):
        await station.says("SignCertificate", csr=CSR)
        await station.disconnects()
        await signs(harness, desk)
        await station.connects()
        await station.boots()
        await accepts(station, "CertificateSigned")
        assert course(harness, begun.operation_id)[1:] == (End.DONE, "")


async def test_a_renewal_that_comes_to_nothing_says_why(harness: Harness, autojump_clock: MockClock) -> None:
    """The service refuses."""
    async with renewing(harness) as (station, begun, desk):
        await station.says("SignCertificate", csr=CSR)
        await signs(harness, desk, Declined("not in stock"))
        assert course(harness, begun.operation_id)[1:] == (End.NO_EFFECT, "not in stock")


async def test_a_renewal_with_a_bad_request_says_why(harness: Harness, autojump_clock: MockClock) -> None:
    """The charger asks for another one's certificate."""
    async with renewing(harness) as (station, begun, _):
        await station.says("SignCertificate", csr=request("CP2"))
        await trio.sleep(0.1)
        assert course(harness, begun.operation_id)[1:] == (End.NO_EFFECT, "csr_of_another_charger")


async def test_a_charger_that_makes_another_key_is_followed_on(harness: Harness, autojump_clock: MockClock) -> None:
    """Its second request takes the place of the first, which ends nothing."""
    async with renewing(harness) as (station, begun, desk):
        await station.says("SignCertificate", csr=CSR)
        await trio.sleep(20)
        await station.says("SignCertificate", csr=request("CP1"))
        await signs(harness, desk)
        await accepts(station, "CertificateSigned", REJECTED)
        assert course(harness, begun.operation_id)[1:] == (End.NO_EFFECT, "Rejected")
