"""OCTT's cases of the security extension."""

import base64

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from gateway.chargers.admission import Admission, EntryTerms, Principal
from gateway.domain import events as e
from gateway.domain.commands import ChangeConfiguration, GetConfiguration, RefusalReason, Reset, ResetType, StatusAnswer
from gateway.domain.credentials import Verifier, generate_key, make_credential
from gateway.domain.operations import SECURITY_PROFILE, OperationKind, OperationRecord, OperationRequest
from gateway.domain.records import CredentialKind
from gateway.domain.security_commands import (
    CertificateHash,
    CertificateUse,
    DeleteCertificate,
    GetInstalledCertificateIds,
    GetLog,
    HashAlgorithm,
    InstallCertificate,
    InstalledCertificatesAnswer,
    LogAnswer,
    LogType,
    SignedUpdateFirmware,
)
from gateway.session.ports import NoObserver
from gateway.store.commits import AddCredential
from gateway.transport.api import Accept, Peer, Rejection, UpgradeRequest
from tests.support.charger_certificates import SigningAuthority, pem
from tests.support.door import CERTIFICATE
from tests.support.door import Door as SharedDoor
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.secret_search import LOCATION, UPLOAD
from tests.support.station import ACCEPTED, Station, booted, time

PEER = Peer("192.0.2.7", 40000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
HASH = CertificateHash(HashAlgorithm.SHA256, "aa", "bb", "01")
LET_IN = Accept(Principal("CP1", "ocpp1.6", 2), "ocpp1.6")


class Door:
    """The gateway's admission of charge point CP1, as an upgrade request meets it."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.admission = Admission(
            reads=harness.reads,
            verifier=Verifier(),
            clock=virtual_clock,
            observer=NoObserver(),
            terms={"chargers": EntryTerms("/")},
            subprotocols=("ocpp1.6",),
            refusing=lambda: None,
        )

    def give_key(self) -> bytes:
        key = generate_key()
        credential = make_credential(key, CredentialKind.GENERATED, virtual_clock())
        self.harness.store.commit([AddCredential("CP1", credential)])
        return key

    async def knock(
        self, key: bytes | None, offered: tuple[str, ...] = ("ocpp1.6",), peer: Peer = PEER
    ) -> Accept | Rejection:
        headers: tuple[tuple[str, str], ...] = ()
        if key is not None:
            headers = (("Authorization", "Basic " + base64.b64encode(b"CP1:" + key).decode()),)
        return await self.admission(UpgradeRequest("/CP1", headers, offered, peer, "chargers"))


@pytest.fixture
def door(harness: Harness) -> Door:
    return Door(harness)


@pytest.mark.parametrize("key_bytes", [16, 20])
async def test_tc_073_new_basic_auth_password(harness: Harness, door: Door, key_bytes: int) -> None:
    """The key goes out as hexadecimal digits; once accepted its bytes are the password, and the old one's are not.

    In real time: the slow hash runs in a thread, which virtual time can't see.
    """
    new = bytes([0, 255, 58]) + generate_key()[: key_bytes - 3]
    async with trio.open_nursery() as nursery:
        harness.add_charge_point()
        station = Station(harness, nursery, "CP1", connectors=1)
        await station.connects()
        await station.says("BootNotification", chargePointVendor="Acme", chargePointModel="One")
        old = door.give_key()
        assert await door.knock(old) == LET_IN
        command = ChangeConfiguration("AuthorizationKey", new.hex())
        payload = {"key": "AuthorizationKey", "value": new.hex()}
        assert await station.obeys(command, payload, ACCEPTED) == StatusAnswer("Accepted")
        await station.disconnects(cleanly=True)
    assert await door.knock(new) == LET_IN
    refused = await door.knock(old)
    assert isinstance(refused, Rejection)
    assert refused.status == 401


async def test_tc_073_an_impossible_password_is_not_sent(harness: Harness, autojump_clock: MockClock) -> None:
    """A7.6: 16 to 20 bytes in hexadecimal, or nothing goes out."""
    async with booted(harness) as station:
        for value in ("00" * 15, "00" * 21, "0" * 33, "not hexadecimal, but forty characters..."):
            refused = await station.is_spared(ChangeConfiguration("AuthorizationKey", value))
            assert refused.reason is RefusalReason.INVALID_COMMAND


@pytest.mark.parametrize("use", list(CertificateUse))
async def test_tc_075_install_certificate(harness: Harness, autojump_clock: MockClock, use: CertificateUse) -> None:
    """075_1, 075_2: a root of either kind is installed, and found by the same kind."""
    root = pem(SigningAuthority(virtual_clock()).root)
    hashes = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}
    async with booted(harness) as station:
        sent = {"certificateType": use.value, "certificate": root}
        assert await station.obeys(InstallCertificate(use, root), sent, ACCEPTED) == StatusAnswer("Accepted")
        answer = {"status": "Accepted", "certificateHashData": [hashes]}
        found = await station.obeys(GetInstalledCertificateIds(use), {"certificateType": use.value}, answer)
        assert found == InstalledCertificatesAnswer("Accepted", (HASH,))


async def test_tc_076_delete_certificate(harness: Harness, autojump_clock: MockClock) -> None:
    """By the hashes that the charge point reported, in its algorithm."""
    use = CertificateUse.CENTRAL_SYSTEM_ROOT
    hashes = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}
    async with booted(harness) as station:
        answer = {"status": "Accepted", "certificateHashData": [hashes]}
        found = await station.obeys(GetInstalledCertificateIds(use), {"certificateType": use.value}, answer)
        assert isinstance(found, InstalledCertificatesAnswer)
        (only,) = found.certificates
        sent = {"certificateHashData": hashes}
        assert await station.obeys(DeleteCertificate(only), sent, ACCEPTED) == StatusAnswer("Accepted")
        answer = {"status": "NotFound"}
        found = await station.obeys(GetInstalledCertificateIds(use), {"certificateType": use.value}, answer)
        assert found == InstalledCertificatesAnswer("NotFound")


async def test_tc_078_invalid_central_system_certificate(harness: Harness, autojump_clock: MockClock) -> None:
    """A root that the charge point does not take: its word is the answer, its event is confirmed and recorded."""
    root = pem(SigningAuthority(virtual_clock()).root)
    use, kind = CertificateUse.CENTRAL_SYSTEM_ROOT, "InvalidCentralSystemCertificate"
    async with booted(harness) as station:
        sent = {"certificateType": use.value, "certificate": root}
        answer = await station.obeys(InstallCertificate(use, root), sent, {"status": "Rejected"})
        assert answer == StatusAnswer("Rejected")
        assert await station.says("SecurityEventNotification", type=kind, timestamp=time()) == {}
        assert harness.bodies(e.SecurityEventReported.TYPE) == [e.SecurityEventReported(kind)]


async def test_tc_079_security_log(harness: Harness, autojump_clock: MockClock) -> None:
    """GetLog with its number; what the charge point says of that number belongs to the command, and nothing else."""
    async with booted(harness) as station:
        command = GetLog(LogType.SECURITY, 12, UPLOAD, retries=1, retry_interval=30)
        sent = {
            "logType": "SecurityLog",
            "requestId": 12,
            "retries": 1,
            "retryInterval": 30,
            "log": {"remoteLocation": UPLOAD},
        }
        answer = {"status": "Accepted", "filename": "security.log"}
        assert await station.obeys(command, sent, answer) == LogAnswer("Accepted", "security.log")
        assert await station.says("LogStatusNotification", status="Uploading", requestId=12) == {}
        assert await station.says("LogStatusNotification", status="Uploading", requestId=11) == {}
        assert await station.says("LogStatusNotification", status="Uploaded", requestId=12) == {}
        (asked,) = harness.store.commands("CP1", None, 5)
        belongs = [getattr(body, "command_id", "") for body in harness.bodies(e.LogStatusReported.TYPE)]
        assert belongs == [asked.command_id, "", asked.command_id]
        record = harness.store.charge_point("CP1")
        assert record is not None
        assert dict(record.progress)["log"].succeeded


async def test_tc_079_security_log_is_uploaded(harness: Harness, autojump_clock: MockClock) -> None:
    """Uploading and Uploaded are confirmed and recorded, with the number of their request and without one."""
    async with booted(harness) as station:
        assert await station.says("LogStatusNotification", status="Uploading", requestId=1) == {}
        assert await station.says("LogStatusNotification", status="Uploaded", requestId=1) == {}
        assert await station.says("LogStatusNotification", status="Idle") == {}
        bodies = harness.bodies(e.LogStatusReported.TYPE)
        assert bodies == [
            e.LogStatusReported("Uploading", 1),
            e.LogStatusReported("Uploaded", 1),
            e.LogStatusReported("Idle"),
        ]


@pytest.mark.parametrize(
    "statuses",
    [
        ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"],
        ["InstallRebooting", "Installed", "Installing"],
        ["Downloading", "Downloaded", "InvalidSignature"],
    ],
    ids=["080", "080 out of order", "081"],
)
async def test_tc_080_signed_firmware_statuses(
    harness: Harness, autojump_clock: MockClock, statuses: list[str]
) -> None:
    """080, 081: the update with its certificate and signature; its statuses are confirmed and recorded as its own in
    any order, over a reboot, and with a signature that is not valid."""
    signer = pem(SigningAuthority(virtual_clock()).root)
    async with booted(harness) as station:
        command = SignedUpdateFirmware(5, LOCATION, virtual_clock(), signer, "c2ln")
        firmware = {
            "location": LOCATION,
            "retrieveDateTime": time(),
            "signingCertificate": signer,
            "signature": "c2ln",
        }
        sent = {"requestId": 5, "firmware": firmware}
        assert await station.obeys(command, sent, ACCEPTED) == StatusAnswer("Accepted")
        (asked,) = harness.store.commands("CP1", None, 5)
        for status in statuses:
            if status == "InstallRebooting":
                await station.disconnects(cleanly=True)
                await station.connects()
                await station.boots()
            assert await station.says("SignedFirmwareStatusNotification", status=status, requestId=5) == {}
        bodies = harness.bodies(e.FirmwareStatusReported.TYPE)
        until = statuses.index("Installed") if "Installed" in statuses else len(statuses)
        assert bodies == [
            e.FirmwareStatusReported(each, 5, signed=True, command_id=asked.command_id if number <= until else "")
            for number, each in enumerate(statuses)
        ]


async def test_security_events_are_confirmed(harness: Harness, autojump_clock: MockClock) -> None:
    """077, 078 end in one: of a known type or not, old ones too, and in a burst (B11.4)."""
    kinds = ["InvalidChargePointCertificate", "InvalidCentralSystemCertificate", "SomethingOfItsOwn"]
    async with booted(harness) as station:
        for kind in kinds:
            assert await station.says("SecurityEventNotification", type=kind, timestamp=time(-86_400)) == {}
        assert [getattr(body, "kind", "") for body in harness.bodies(e.SecurityEventReported.TYPE)] == kinds


async def test_tc_083_security_profile_only_rises(harness: Harness, autojump_clock: MockClock) -> None:
    """The key SecurityProfile and a hard reset go out; a profile below the one it has reported does not."""
    async with booted(harness) as station:
        answer = {"configurationKey": [{"key": "SecurityProfile", "readonly": False, "value": "2"}]}
        await station.obeys(GetConfiguration(("SecurityProfile",)), {"key": ["SecurityProfile"]}, answer)
        lower = await station.is_spared(ChangeConfiguration("SecurityProfile", "1"))
        assert lower.reason is RefusalReason.INVALID_COMMAND
        payload = {"key": "SecurityProfile", "value": "3"}
        command = ChangeConfiguration("SecurityProfile", "3")
        assert await station.obeys(command, payload, ACCEPTED) == StatusAnswer("Accepted")
        await station.obeys(Reset(ResetType.HARD), {"type": "Hard"}, ACCEPTED)
        await station.disconnects(cleanly=True)
        await station.connects()
        await station.boots()  # it falls back where the new profile is not to be had (A05.FR.08), and is served


async def test_tc_085_basic_authentication(harness: Harness, door: Door) -> None:
    """Without credentials no upgrade, with them one."""
    harness.add_charge_point()
    key = door.give_key()
    refused = await door.knock(None)
    assert isinstance(refused, Rejection)
    assert (refused.status, refused.headers) == (401, (("WWW-Authenticate", 'Basic realm="ocpp"'),))
    assert await door.knock(key) == LET_IN


async def test_tc_088_subprotocol(harness: Harness, door: Door) -> None:
    """Of ocpp0.1 alone no upgrade; of ocpp0.1 and ocpp1.6 the second is chosen."""
    harness.add_charge_point()
    key = door.give_key()
    refused = await door.knock(key, ("ocpp0.1",))
    assert isinstance(refused, Rejection)
    assert refused.status == 400
    assert await door.knock(key, ("ocpp0.1", "ocpp1.6")) == LET_IN


async def test_a_client_certificate_alone_does_not_admit(harness: Harness, door: Door) -> None:
    """A7.11: where a listener admits security profile 2, a charger that comes with another is refused."""
    harness.add_charge_point()
    key = door.give_key()
    peer = evolve(PEER, certificate=b"der")
    refused = await door.knock(None, peer=peer)
    assert isinstance(refused, Rejection)
    assert refused.status == 401
    assert await door.knock(key, peer=peer) == LET_IN


async def test_tc_073_the_gateway_changes_the_password(harness: Harness, autojump_clock: MockClock) -> None:
    """The same by RotateAuthorizationKey: 40 digits, Accepted, and the charge point comes back with the new
    password."""
    async with booted(harness) as station:
        old, door = generate_key(), SharedDoor(harness)
        door.give_key(old)
        rotation = OperationRequest(OperationKind.ROTATE_AUTHORIZATION_KEY)
        assert isinstance(await harness.router.operate("CP1", rotation, "tc073", 60.0), OperationRecord)
        message_id, _, payload = await station.charger.next_call("ChangeConfiguration")
        new = bytes.fromhex(payload["value"])
        assert payload == {"key": "AuthorizationKey", "value": new.hex().upper()}
        assert len(new) == 20
        await station.charger.answer(message_id, ACCEPTED)
        await trio.sleep(0.5)
        assert [await door.opens_to(key) for key in (old, new)] == [False, True]
        await station.disconnects(cleanly=True)
        async with door.connected(new) as charger:
            await charger.call("BootNotification", BOOT)


async def test_tc_083_the_gateway_upgrades_the_profile(harness: Harness, autojump_clock: MockClock) -> None:
    """SecurityProfile 3, a hard reset, a connection with it, and from then on the lower one is refused."""
    async with booted(harness) as station:
        key, door = generate_key(), SharedDoor(harness)
        door.give_key(key)
        upgrade = OperationRequest(OperationKind.UPGRADE_SECURITY_PROFILE, arguments={SECURITY_PROFILE: 3})
        assert isinstance(await harness.router.operate("CP1", upgrade, "tc083", 60.0), OperationRecord)
        payload = {"key": "SecurityProfile", "value": "3"}
        await station.charger.answer(await station.receives("ChangeConfiguration", payload), ACCEPTED)
        await station.charger.answer(await station.receives("Reset", {"type": "Hard"}), ACCEPTED)
        assert await door.opens_to(key)
        await station.disconnects(cleanly=True)
        async with door.connected(None, CERTIFICATE) as charger:
            await charger.call("BootNotification", BOOT)
        assert not await door.opens_to(key)
        assert await door.opens_to(None, CERTIFICATE)
