"""OCTT's cases of the security extension, as far as security profile 2 goes.

Of 079, 080 and 081 the charge point's part: the commands that begin them (GetLog, SignedUpdateFirmware) are not served
yet, and chargers send these messages unasked as well.
"""

import base64

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from gateway.chargers.admission import Admission, EntryTerms, Principal
from gateway.domain import events as e
from gateway.domain.commands import ChangeConfiguration, GetConfiguration, RefusalReason, Reset, ResetType, StatusAnswer
from gateway.domain.credentials import Verifier, generate_key, make_credential
from gateway.domain.records import CredentialKind
from gateway.session.ports import NoObserver
from gateway.store.commits import AddCredential
from gateway.transport.api import Accept, Peer, Rejection, UpgradeRequest
from tests.support.harness import Harness, virtual_clock
from tests.support.station import ACCEPTED, Station, booted, time

PEER = Peer("192.0.2.7", 40000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
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
    """080, 081: confirmed and recorded in any order, over a reboot, and with a signature that is not valid."""
    async with booted(harness) as station:
        for status in statuses:
            if status == "InstallRebooting":
                await station.disconnects(cleanly=True)
                await station.connects()
                await station.boots()
            assert await station.says("SignedFirmwareStatusNotification", status=status, requestId=5) == {}
        bodies = harness.bodies(e.FirmwareStatusReported.TYPE)
        assert bodies == [e.FirmwareStatusReported(status, 5, signed=True) for status in statuses]


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
