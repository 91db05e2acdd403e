"""The simulated charger's security extension: certificates, logs and signed firmware, as a central system sees them."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from gateway.cli.certificates import Certificate, charger_certificate
from tests.simulator.conftest import Home
from tests.support.charger_certificates import DAY, YEAR_2024, SigningAuthority, pem, request

ACCEPTED = {"status": "Accepted"}


def said(home: Home, action: str) -> list[dict[str, Any]]:
    """The payloads that the charger has sent of an action."""
    return [payload for name, payload in home.central.requests if name == action]


async def test_it_asks_for_a_certificate_and_takes_its_own(autojump_clock: MockClock, home: Home) -> None:
    """Triggered; another key's is rejected, with its security event."""
    home.central.replies["SignCertificate"] = lambda _: ACCEPTED
    await home.charger(identity="HOME-1")
    authority = SigningAuthority()
    trigger = {"requestedMessage": "SignChargePointCertificate"}
    assert await home.central.call("ExtendedTriggerMessage", trigger) == ACCEPTED
    await trio.sleep(1)
    ((csr),) = [each["csr"] for each in said(home, "SignCertificate")]
    other = authority.issue(request("HOME-1"))
    assert await home.central.call("CertificateSigned", {"certificateChain": other}) == {"status": "Rejected"}
    await trio.sleep(1)
    assert [each["type"] for each in said(home, "SecurityEventNotification")] == ["InvalidChargePointCertificate"]
    development = Certificate(authority.issuer, authority.key)
    chain = charger_certificate(csr, development, YEAR_2024, 30 * DAY)
    assert await home.central.call("CertificateSigned", {"certificateChain": chain}) == ACCEPTED


async def test_roots_are_installed_listed_and_deleted(autojump_clock: MockClock, home: Home) -> None:
    """Each kind on its own; what is no certificate is rejected."""
    await home.charger()
    kind, other = "CentralSystemRootCertificate", "ManufacturerRootCertificate"
    root = pem(SigningAuthority().root)
    call = home.central.call
    assert await call("InstallCertificate", {"certificateType": kind, "certificate": root}) == ACCEPTED
    assert await call("InstallCertificate", {"certificateType": kind, "certificate": "x"}) == {"status": "Rejected"}
    assert await call("GetInstalledCertificateIds", {"certificateType": other}) == {"status": "NotFound"}
    found = await call("GetInstalledCertificateIds", {"certificateType": kind})
    (only,) = found["certificateHashData"]
    assert await call("DeleteCertificate", {"certificateHashData": only}) == ACCEPTED
    assert await call("DeleteCertificate", {"certificateHashData": only}) == {"status": "NotFound"}


async def test_logs_are_uploaded_and_firmware_is_installed(autojump_clock: MockClock, home: Home) -> None:
    """With the number of the request in each status."""
    await home.charger()
    for number, place in ((1, "https://files.example/"), (2, "nowhere")):
        log = {"logType": "SecurityLog", "requestId": number, "log": {"remoteLocation": place}}
        assert (await home.central.call("GetLog", log))["status"] == "Accepted"
        await trio.sleep(60)
    statuses = [(each["requestId"], each["status"]) for each in said(home, "LogStatusNotification")]
    assert statuses == [(1, "Uploading"), (1, "Uploaded"), (2, "Uploading"), (2, "UploadFailure")]
    firmware = {
        "location": "https://files.example/2.0.bin",
        "retrieveDateTime": "2026-03-01T12:00:00Z",
        "signingCertificate": pem(SigningAuthority().root),
        "signature": "c2ln",
    }
    assert await home.central.call("SignedUpdateFirmware", {"requestId": 3, "firmware": firmware}) == ACCEPTED
    await trio.sleep(600)
    reported = [each["status"] for each in said(home, "SignedFirmwareStatusNotification")]
    assert reported == ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"]
    bad = {"requestId": 4, "firmware": firmware | {"signingCertificate": "x"}}
    assert await home.central.call("SignedUpdateFirmware", bad) == {"status": "InvalidCertificate"}


async def test_the_extension_triggers_other_messages_too(autojump_clock: MockClock, home: Home) -> None:
    """And says what it does not know."""
    await home.charger()
    for message in ("Heartbeat", "LogStatusNotification", "FirmwareStatusNotification"):
        assert await home.central.call("ExtendedTriggerMessage", {"requestedMessage": message}) == ACCEPTED
    unknown = await home.central.call("ExtendedTriggerMessage", {"requestedMessage": "Else"})
    assert unknown == {"status": "NotImplemented"}
    await trio.sleep(1)
    assert "Heartbeat" in home.central.actions()
    assert said(home, "LogStatusNotification") == [{"status": "Idle"}]
    assert said(home, "SignedFirmwareStatusNotification") == [{"status": "Idle"}]
