"""docs/rules.md, D: chargers that connect, boot and talk in ways of their own.

Quirks 5, 63, 65 and 67 are below this layer: see ``docs/rules.md`` for their tests.
"""

import base64
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.chargers.admission import Admission, EntryTerms
from gateway.domain import events as e
from gateway.domain.commands import ClearCache, CommandRecord, CommandState, RemoteStartTransaction, StatusAnswer
from gateway.domain.credentials import Verifier, generate_key, make_credential
from gateway.domain.records import CredentialKind
from gateway.domain.values import Flag
from gateway.session.limits import SessionLimits
from gateway.session.ports import NoObserver
from gateway.store.commits import AddCredential, UpdateChargePoint
from gateway.transport.api import Accept, Peer, Rejection, UpgradeRequest
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.station import ACCEPTED, REJECTED, booted, time
from tests.support.wire import FakeTransport


class Door:
    """Upgrade requests of CP1, with its key, to an endpoint at the root."""

    def __init__(self, harness: Harness) -> None:
        harness.add_charge_point()
        key = generate_key()
        harness.store.commit([AddCredential("CP1", make_credential(key, CredentialKind.GENERATED, virtual_clock()))])
        self._authorization = "Basic " + base64.b64encode(b"CP1:" + key).decode()
        self._admission = Admission(
            reads=harness.reads,
            verifier=Verifier(),
            clock=virtual_clock,
            observer=NoObserver(),
            terms={"chargers": EntryTerms("/")},
            subprotocols=("ocpp1.6",),
            refusing=lambda: None,
        )

    async def knock(self, *offered: str, target: str = "/CP1") -> int | str | None:
        """A refusal's status, or the subprotocol that is echoed."""
        headers = (("Authorization", self._authorization),)
        peer = Peer("192.0.2.7", 40000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
        answer = await self._admission(UpgradeRequest(target, headers, offered, peer, "chargers"))
        assert isinstance(answer, Accept | Rejection)
        return answer.status if isinstance(answer, Rejection) else answer.subprotocol


async def test_quirk_1_no_subprotocol_is_served_by_the_operators_word_and_nothing_is_echoed(harness: Harness) -> None:
    """Grizzl-E: no Sec-WebSocket-Protocol. Refused, unless the charge point is switched to assume 1.6."""
    door = Door(harness)
    assert await door.knock() == 400
    harness.store.commit([UpdateChargePoint("CP1", virtual_clock(), quirks={"assume_subprotocol": True})])
    assert await door.knock() is None
    assert await door.knock(target="/") == 404  # GET / has no identity


async def test_quirk_3_a_malformed_connect_is_refused_and_its_retry_is_served(harness: Harness) -> None:
    """Ocular: now and then garbage. No charger is banned for it."""
    door = Door(harness)
    for _ in range(20):
        assert await door.knock("ocpp1.6", target="/CP%1") == 400
        assert await door.knock("ocpp1.6", target="/C\x00P1") == 400
        assert await door.knock("ocpp1.6") == "ocpp1.6"


async def test_quirk_3_a_corrupted_tag_is_refused_and_the_session_goes_on(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Control characters are an unknown tag; a text longer than a tag can be is no tag."""
    async with booted(harness) as station:
        assert await station.authorize("TAG\x00\x01\ufffd") == {"status": "Invalid"}
        answer = await station.charger.call_frame("Authorize", {"idTag": "TAG" * 20})
        assert answer == [4, "PropertyConstraintViolation", "idTag is too long", {}]
        assert await station.authorize() == ACCEPTED


async def test_quirk_7_nothing_is_asked_before_the_boot_is_answered_and_settled(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Wallbox: an early command makes it drop the link and boot again. Boot.conf, the delay, one command at a time."""
    harness.limits = SessionLimits(settle_delay=5.0)
    async with booted(harness) as station:
        harness.journal.stall_seconds = 1.0
        await station.charger.send(2, "boot", "BootNotification", {**BOOT, "firmwareVersion": "2.0"})
        outcomes = [station.ask(ClearCache()) for _ in range(2)]
        frame = await station.charger._next()
        assert frame[:2] == [3, "boot"]
        harness.journal.stall_seconds = 0.0
        await station.charger.hears_nothing(4.9)
        for outcome in outcomes:
            message_id = await station.receives("ClearCache", {})
            await station.charger.hears_nothing(1)
            await station.charger.answer(message_id, ACCEPTED)
            assert isinstance(await outcome(), CommandRecord)


async def test_quirk_41_further_calls_without_waiting_are_answered_in_order(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Several: CALLs are sent on without waiting for confirmations."""
    async with booted(harness) as station:
        await station.charger.send(2, "a", "Heartbeat", {})
        await station.charger.send(2, "b", "Authorize", {"idTag": "TAG"})
        await station.charger.send(2, "c", "Heartbeat", {})
        answers = [await station.charger._next() for _ in range(3)]
        assert [(kind, message_id) for kind, message_id, _ in answers] == [(3, "a"), (3, "b"), (3, "c")]
        assert answers[1][2] == {"idTagInfo": ACCEPTED}


async def test_quirk_43_a_boot_that_is_repeated_under_one_id_is_answered_every_time_and_recorded_once(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Metron Duo: Boot with the id 1000001 every ten seconds."""
    async with booted(harness) as station:
        for _ in range(10):
            answer = await station.says("BootNotification", "1000001", **BOOT)
            assert answer["status"] == "Accepted"
            await trio.sleep(10)
        assert len(harness.bodies(e.ChargePointBooted.TYPE)) == 1


async def test_quirk_57_a_heartbeat_a_minute_and_no_pings_keep_a_session(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Mennekes: the read deadline lies well above the heartbeat interval."""
    async with booted(harness) as station:
        for _ in range(30):
            await trio.sleep(60)
            assert await station.says("Heartbeat") == {"currentTime": time()}
        assert not station.recorded(e.ChargePointDisconnected.TYPE)


async def test_quirk_59_pings_that_are_never_answered_end_no_session_that_talks(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Various: any frame is life; only silence after a ping is an end."""
    harness.add_charge_point()
    transport = FakeTransport(answers_pings=False)
    async with harness.connected(transport=transport) as charger:
        await charger.call("BootNotification", BOOT)
        for _ in range(10):
            await trio.sleep(harness.limits.silence + 1)
            await charger.call("Heartbeat", {})
        assert transport.pings >= 10
        assert not harness.events(e.ChargePointDisconnected.TYPE)


async def test_quirk_59_a_charger_that_answers_no_call_is_heard_all_the_same(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Various: heartbeats go on while commands run out of time. Each has its outcome, and the link stays."""
    async with booted(harness) as station:
        for _ in range(3):
            outcome = station.ask(ClearCache())
            await station.receives("ClearCache", {})
            record = await outcome()
            assert isinstance(record, CommandRecord)
            assert (record.state, record.reason) == (CommandState.OUTCOME_UNKNOWN, "timeout")
            assert await station.says("Heartbeat") == {"currentTime": time()}


async def test_quirk_61_another_version_is_not_spoken_on_any_connection(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """FoxESS: ocpp2.0.1 is not upgraded to; its messages on a 1.6 connection are refused one by one."""
    async with booted(harness) as station:
        for action in ("NotifyReport", "TransactionEvent", "StatusNotificationRequest"):
            answer = await station.charger.call_frame(action, {})
            assert answer == [4, "NotImplemented", "this action is not handled", {}]
        status = {"timestamp": time(), "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
        answer = await station.charger.call_frame("StatusNotification", status)
        assert answer[:2] == [4, "ProtocolError"]
        await station.status(1, "Preparing")


async def test_quirk_61_an_offer_of_another_version_alone_is_refused(harness: Harness) -> None:
    """FoxESS: a short probe for 1.6 comes first, then 2.0.1 alone."""
    door = Door(harness)
    assert await door.knock("ocpp1.6") == "ocpp1.6"
    assert await door.knock("ocpp2.0.1") == 400
    assert await door.knock("ocpp2.0.1", "ocpp1.6") == "ocpp1.6"


async def test_quirk_61_a_gap_of_many_minutes_ends_no_transaction(harness: Harness, autojump_clock: MockClock) -> None:
    """FoxESS: 6 to 19 minutes without a link. The transaction is open on both sides of it."""
    async with booted(harness) as station:
        number = await station.charges()
        await station.disconnects()
        await trio.sleep(19 * 60)
        assert station.transaction(number).state.value == "OPEN"
        await station.connects()
        values = [{"timestamp": time(), "sampledValue": [{"value": "1200"}]}]
        assert await station.says("MeterValues", connectorId=1, transactionId=number, meterValue=values) == {}
        await station.is_asked_for_its_status()
        await station.stops(number)
        assert station.transaction(number).energy == 500


BAD_CALLS: list[tuple[Any, ...]] = [
    (2, "1", "Foo", {}),
    (2, "2", "heartbeat", {}),
    (2, "3", "Heartbeat", None),
    (2, "4", "Heartbeat", []),
    (2, "5", "Heartbeat"),
    (2, "6", "SignCertificate", {"csr": "x"}),
    (2, "7", "BootNotification", {}),
    (2, "8", "StatusNotification", {"connectorId": -1, "errorCode": "NoError", "status": "Available"}),
    (2, "9", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Gone"}),
    (2, "10", "DataTransfer", {"vendorId": 7}),
    (2, "11", "StartTransaction", {}),
    (2, "12", "StopTransaction", {}),
    (2, "13", "MeterValues", {}),
    (2, "14", 5, {}),
]


async def test_quirk_75_every_call_is_answered(harness: Harness, autojump_clock: MockClock) -> None:
    """Unnamed: one missing confirmation stops everything. Whatever has an id gets an answer, and it alone."""
    async with booted(harness) as station:
        for call in BAD_CALLS:
            await station.charger.send(*call)
            answer = await station.charger._next()
            assert answer[1] == call[1]
            assert (answer[0], len(answer)) in ((3, 3), (4, 5)), call
        await station.charger.send_raw('[2,"15","Heartbeat",{"a":')
        answer = await station.charger._next()
        assert answer[:3] == [4, "15", "GenericError"]


async def test_an_id_may_be_used_again_on_the_next_connection(harness: Harness, autojump_clock: MockClock) -> None:
    """Ids are the connection's: the same one again is another message (J §4.1.4)."""
    async with booted(harness) as station:
        first = await station.says("StartTransaction", "1", connectorId=1, idTag="TAG", meterStart=0, timestamp=time())
        await station.stops(first["transactionId"], 10)
        await station.disconnects()
        await trio.sleep(60)
        await station.connects()
        again = await station.says("StartTransaction", "1", connectorId=1, idTag="TAG", meterStart=0, timestamp=time())
        assert again["transactionId"] != first["transactionId"]
        await station.is_asked_for_its_status()


async def test_an_answer_to_a_call_of_long_ago_resolves_no_other(harness: Harness, autojump_clock: MockClock) -> None:
    """It mends its own command and leaves the one on the wire alone."""
    async with booted(harness) as station:
        first = station.ask(RemoteStartTransaction("TAG"))
        late = await station.receives("RemoteStartTransaction", {"idTag": "TAG"})
        reported = await first()
        assert isinstance(reported, CommandRecord)
        assert reported.state is CommandState.OUTCOME_UNKNOWN
        second = station.ask(ClearCache())
        message_id = await station.receives("ClearCache", {})
        await station.charger.answer(late, REJECTED)
        await station.charger.answer(message_id, ACCEPTED)
        record = await second()
        assert isinstance(record, CommandRecord)
        assert record.answer == StatusAnswer("Accepted")
        mended = harness.store.command(reported.command_id)
        assert mended is not None
        assert (mended.late, mended.answer) == (True, StatusAnswer("Rejected"))


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("charging", "Charging"),
        ("FINISHING", "Finishing"),
        ("Suspended_EV", "SuspendedEV"),
        (" Preparing ", "Preparing"),
    ],
)
async def test_a_status_in_the_wrong_case_is_read(
    harness: Harness, autojump_clock: MockClock, sent: str, meant: str
) -> None:
    """Kept as the specification spells it, and flagged as a deviation."""
    async with booted(harness) as station:
        await station.status(1, sent)
        event = harness.events(e.ConnectorStatusChanged.TYPE)[-1]
        assert event.flags == (Flag.DEVIATES,)
        (body,) = harness.bodies(e.ConnectorStatusChanged.TYPE)[-1:]
        assert isinstance(body, e.ConnectorStatusChanged)
        assert body.status == meant
