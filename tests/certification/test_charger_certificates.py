"""OCTT's cases of chargers' own certificates: signed by a service, given to the charger, over restarts and absence."""

from datetime import timedelta
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from trio.testing import MockClock

from gateway.app.certificate_expiry import end_overdue_signings, report_expiring_certificates
from gateway.chargers.admission import Principal
from gateway.control.signing import Declined, Signed, SigningDesk, SigningNotice, SigningRefusal
from gateway.domain import events as e
from gateway.domain.certificates import facts_of
from gateway.domain.commands import ClearCache, GetConfiguration, StatusAnswer
from gateway.domain.security_commands import ExtendedTrigger, ExtendedTriggerMessage
from gateway.domain.signing import SigningEnd, SigningRecord
from gateway.store.commits import DeleteChargePoint
from tests.support.charger_certificates import DAY, SigningAuthority, new_key, request
from tests.support.door import Door
from tests.support.harness import Harness, virtual_clock
from tests.support.station import ACCEPTED, REJECTED, Station, booted, time
from tests.support.wire import FakeTransport, ScriptedCharger

KEY = new_key()
CSR = request("CP1", key=KEY)


def desk_of(harness: Harness) -> SigningDesk:
    return SigningDesk(harness.journal, harness.reads, harness.router.signing_changed, virtual_clock)


async def signs(harness: Harness, answer: Any = None) -> SigningNotice | None:
    """A signing service registers, gets the one request that waits, answers it, and leaves; why it was not taken."""
    desk = desk_of(harness)
    serving = desk.serve()
    try:
        await anext(serving)
        asked = await anext(serving)
        assert isinstance(asked, SigningRecord)
        assert asked.charge_point == "CP1"
        chain = SigningAuthority(virtual_clock()).issue(asked.csr)
        return await desk.take(asked.signing_id, answer or Signed(chain))
    finally:
        await serving.aclose()


def chain_of(harness: Harness) -> str:
    """The chain that was issued last."""
    return harness.bodies_of(e.CertificateIssued)[-1].chain


def ends(harness: Harness) -> list[tuple[SigningEnd, str]]:
    return [(each.end, each.reason) for each in harness.bodies_of(e.CertificateSigningEnded)]


async def asks(station: Station, csr: str = CSR) -> str:
    """The charge point asks for a certificate: the status of the answer."""
    status: str = (await station.says("SignCertificate", csr=csr))["status"]
    return status


async def test_tc_074_renew_charge_point_certificate(harness: Harness, autojump_clock: MockClock) -> None:
    """The trigger without a connector; SignCertificate is accepted at once; CertificateSigned has the signed key, and
    the charge point takes it."""
    async with booted(harness) as station:
        command = ExtendedTriggerMessage(ExtendedTrigger.SIGN_CERTIFICATE)
        sent = {"requestedMessage": "SignChargePointCertificate"}
        assert await station.obeys(command, sent, ACCEPTED) == StatusAnswer("Accepted")
        assert await asks(station) == "Accepted"
        assert await signs(harness) is None
        message_id = await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
        await station.charger.answer(message_id, ACCEPTED)
        await trio.sleep(1)
        assert ends(harness) == [(SigningEnd.INSTALLED, "")]
        (installed,) = harness.bodies_of(e.CertificateInstalled)
        (issued,) = harness.bodies_of(e.CertificateIssued)
        known = harness.charge_point().certificate
        assert known is not None
        assert installed.serial_number == issued.serial_number == known.serial_number
        assert abs(known.not_after - virtual_clock() - 365 * DAY) < timedelta(minutes=5)
        assert harness.store.unsigned("", 10) == []


async def test_tc_077_invalid_charge_point_certificate(harness: Harness, autojump_clock: MockClock) -> None:
    """The charge point rejects its new certificate: that ends the request, its event is confirmed, and the certificate
    that it had stays the known one."""
    kind = "InvalidChargePointCertificate"
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        await signs(harness)
        message_id = await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
        await station.charger.answer(message_id, REJECTED)
        assert await station.says("SecurityEventNotification", type=kind, timestamp=time()) == {}
        assert ends(harness) == [(SigningEnd.REJECTED, "Rejected")]
        assert harness.bodies(e.SecurityEventReported.TYPE) == [e.SecurityEventReported(kind)]
        assert harness.charge_point().certificate is None


@pytest.mark.parametrize(
    ("csr", "reason"),
    [
        (request("CP2"), "csr_of_another_charger"),
        ("gibberish", "csr_not_pem"),
        (CSR + " " * 6000, "csr_too_long"),
        (CSR + " " * 40_000, "csr_too_long"),
    ],
    ids=["another's", "no PEM", "too long", "far too long"],
)
async def test_a_request_that_is_not_to_be_signed_is_rejected(
    harness: Harness, autojump_clock: MockClock, csr: str, reason: str
) -> None:
    """B11.2: at once, with an event that has the reason; no service is asked."""
    async with booted(harness) as station:
        assert await asks(station, csr) == "Rejected"
        assert harness.bodies_of(e.CertificateRequestRefused) == [e.CertificateRequestRefused(reason)]
        assert harness.store.unsigned("", 10) == []


async def test_a_request_that_is_repeated_is_the_same_one(harness: Harness, autojump_clock: MockClock) -> None:
    """The charge point asks again because its answer was lost; with another key it is another request, but not at
    once."""
    async with booted(harness) as station:
        assert [await asks(station), await asks(station)] == ["Accepted", "Accepted"]
        other = request("CP1")
        assert await asks(station, other) == "Rejected"
        assert harness.bodies_of(e.CertificateRequestRefused) == [e.CertificateRequestRefused("csr_too_soon")]
        await trio.sleep(10)
        assert await asks(station, other) == "Accepted"
        assert ends(harness) == [(SigningEnd.SUPERSEDED, "")]
        (waiting,) = harness.store.unsigned("", 10)
        assert waiting.csr == other


async def test_an_absent_charger_gets_its_certificate_when_it_is_back(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Signed while it is away, also over a restart of the gateway, which knows it from the store alone."""
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        await station.disconnects()
        assert await signs(harness) is None
        await station.connects()
        await station.boots()
        message_id = await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
        await station.charger.answer(message_id, ACCEPTED)
        await trio.sleep(1)
        assert ends(harness) == [(SigningEnd.INSTALLED, "")]


async def test_a_certificate_whose_answer_was_lost_is_sent_again(harness: Harness, autojump_clock: MockClock) -> None:
    """Three times; then nothing more is sent."""
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        await signs(harness)
        for _ in range(3):
            await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
            await station.disconnects()
            await station.connects()
            await station.boots()
        await station.charger.hears_nothing(120)
        assert ends(harness) == [(SigningEnd.UNDELIVERED, "no answer")]
        requests = sorted(each.request_id.rpartition(".")[2] for each in harness.store.commands("CP1", None, 10))
        assert requests == ["1", "2", "3"]


async def test_a_certificate_that_the_charger_says_it_can_not_take_is_given_up_at_once(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It would be refused as often as it is sent; the reason names the length, the bound and its configuration key."""
    async with booted(harness) as station:
        key = "CertificateSignedMaxChainSize"
        told = {"configurationKey": [{"key": key, "readonly": True, "value": "100"}]}
        await station.obeys(GetConfiguration((key,)), {"key": [key]}, told)
        assert await asks(station) == "Accepted"
        await signs(harness)
        await trio.sleep(1)
        ((end, reason),) = ends(harness)
        assert end is SigningEnd.UNDELIVERED
        assert reason == f"has {len(chain_of(harness))} characters; this charge point takes 100 ({key})"
        await station.charger.hears_nothing(120)


async def test_a_certificate_for_which_there_is_no_room_is_sent_later(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Other commands fill the queue: that costs it no try, however often."""
    harness.limits = evolve(harness.limits, call_queue=1, own_requests=False)
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        for number in range(4):
            station.ask(ClearCache())
            other = await station.receives("ClearCache", {})
            if not number:
                await signs(harness)
            await trio.sleep(harness.limits.call_timeout - 5)
            assert ends(harness) == []
            await station.charger.answer(other, ACCEPTED)
            await trio.sleep(0.5)
        message_id = await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
        await station.charger.answer(message_id, ACCEPTED)
        await trio.sleep(1)
        assert ends(harness) == [(SigningEnd.INSTALLED, "")]


async def test_a_late_answer_counts(harness: Harness, autojump_clock: MockClock) -> None:
    """It comes after the call's time-out, and nothing is sent again."""
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        await signs(harness)
        message_id = await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
        await trio.sleep(harness.limits.call_timeout + 1)
        await station.charger.answer(message_id, ACCEPTED)
        await station.charger.hears_nothing(120)
        assert ends(harness) == [(SigningEnd.INSTALLED, "")]


async def test_a_service_that_refuses_ends_the_request(harness: Harness, autojump_clock: MockClock) -> None:
    """In its words, without a secret in them; the charge point hears nothing, and may ask again."""
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        assert await signs(harness, Declined("not in stock; password=S3cret")) is None
        ((end, reason),) = ends(harness)
        assert end is SigningEnd.REFUSED
        assert reason.startswith("not in stock")
        assert "S3cret" not in reason
        await station.charger.hears_nothing(60)
        assert await asks(station) == "Accepted"


async def test_an_answer_that_does_not_fit_is_not_taken(harness: Harness, autojump_clock: MockClock) -> None:
    """Of another key, of no request, of none at all; the request waits on, and the right one is taken after all."""
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        authority, desk = SigningAuthority(virtual_clock()), desk_of(harness)
        (waiting,) = harness.store.unsigned("", 10)
        for signing_id, answer, refusal in (
            (waiting.signing_id, Signed(authority.issue(request("CP1"))), SigningRefusal.BAD_CHAIN),
            (waiting.signing_id, None, SigningRefusal.BAD_ANSWER),
            ("sign_none", Signed(authority.issue(CSR)), SigningRefusal.NOT_WAITING),
        ):
            notice = await desk.take(signing_id, answer)
            assert notice is not None
            assert notice.reason is refusal
        assert await desk.take(waiting.signing_id, Signed(authority.issue(CSR))) is None
        again = await desk.take(waiting.signing_id, Signed(authority.issue(CSR)))
        assert again is not None
        assert again.reason is SigningRefusal.NOT_WAITING
        message_id = await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
        await station.charger.answer(message_id, ACCEPTED)


async def test_a_request_that_no_service_answers_ends_by_its_time(harness: Harness, autojump_clock: MockClock) -> None:
    """With an event, whether or not the charge point is there."""
    counted: list[tuple[str, str]] = []

    async def trusted() -> Any:
        return virtual_clock()

    async with trio.open_nursery() as nursery, booted(harness) as station:
        nursery.start_soon(
            end_overdue_signings,
            harness.journal,
            harness.reads,
            harness.router,
            trusted,
            lambda *one: counted.append(one),
        )
        assert await asks(station) == "Accepted"
        await trio.sleep(3_500)
        assert ends(harness) == []
        await trio.sleep(200)
        assert ends(harness) == [(SigningEnd.TIMED_OUT, "not-signed")]
        assert counted == [("signings", "TIMED_OUT")]
        assert await asks(station) == "Accepted"  # the session knows that it is over
        await signs(harness)
        await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
        await station.disconnects()
        await trio.sleep(4_000)
        assert ends(harness)[1:] == [(SigningEnd.TIMED_OUT, "not-delivered")]
        await station.connects()
        await station.boots()
        await station.charger.hears_nothing(60)
        await station.disconnects()
        nursery.cancel_scope.cancel()


async def test_the_end_of_a_certificate_is_reported(harness: Harness, autojump_clock: MockClock) -> None:
    """Once when it is near, once when it is past; another certificate begins anew."""

    async def trusted() -> Any:
        return virtual_clock()

    def reported() -> list[bool]:
        return [each.expired for each in harness.bodies_of(e.CertificateExpiring)]

    harness.add_charge_point("CP9")
    now = virtual_clock()
    connected = e.ChargePointConnected("127.0.0.1:1", "ocpp1.6", 3, "TLSv1.3", "ab", now + 40 * DAY)
    await harness.journal.commit(harness.router.opening("CP9", connected, now))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report_expiring_certificates, harness.journal, harness.reads, trusted, 30 * DAY)
        await trio.sleep(9 * 86_400)
        assert reported() == []
        await trio.sleep(2 * 86_400)
        assert reported() == [False]
        await trio.sleep(28 * 86_400)
        assert reported() == [False]
        await trio.sleep(2 * 86_400)
        assert reported() == [False, True]
        again = e.ChargePointConnected("127.0.0.1:1", "ocpp1.6", 3, "TLSv1.3", "cd", virtual_clock() + 20 * DAY)
        await harness.journal.commit(harness.router.opening("CP9", again, virtual_clock()))
        await trio.sleep(7_200)
        assert reported() == [False, True, False]
        nursery.cancel_scope.cancel()


async def test_a_deleted_charge_point_s_request_is_over(harness: Harness, autojump_clock: MockClock) -> None:
    """Its service is not asked any more."""
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        await station.disconnects()
        await harness.journal.commit(DeleteChargePoint("CP1", virtual_clock()))
        assert ends(harness) == [(SigningEnd.DELETED, "")]
        assert harness.store.unsigned("", 10) == []
        harness.add_charge_point()
        await station.connects()
        await station.boots()


async def test_the_newest_service_is_asked(harness: Harness, autojump_clock: MockClock) -> None:
    """The older one stands by, and gets what waits when the newer one has gone."""
    desk = desk_of(harness)
    older, newer = desk.serve(), desk.serve()
    async with booted(harness) as station:
        await anext(older)
        await anext(newer)
        assert desk.registered == 2
        assert await asks(station) == "Accepted"
        with trio.move_on_after(5):
            await anext(older)
            raise AssertionError("the older one was asked")
        assert isinstance(await anext(newer), SigningRecord)
        await newer.aclose()
        assert desk.registered <= 1
    assert station.recorded("certificate.requested") == ["certificate.requested"]


async def test_a_restarted_gateway_has_the_certificate_signed_and_sent(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It knows what was accepted from the database alone: before it was signed, and before it was sent."""
    async with booted(harness) as station:
        assert await asks(station) == "Accepted"
        await station.disconnects()
        for signed in (False, True):
            harness.store.close()
            again = Harness(harness.path)
            harness.store, harness.journal, harness.reads = again.store, again.journal, again.reads
            harness.router, harness.lookups = again.router, again.lookups
            if not signed:
                assert await signs(harness) is None
        await station.connects()
        await station.boots()
        message_id = await station.receives("CertificateSigned", {"certificateChain": chain_of(harness)})
        await station.charger.answer(message_id, ACCEPTED)
        await trio.sleep(1)
        assert ends(harness) == [(SigningEnd.INSTALLED, "")]


async def test_a_certificate_that_is_presented_is_known(harness: Harness, autojump_clock: MockClock) -> None:
    """It is the one that the charger has, whatever was sent to it; one that can't be read leaves what was known."""
    harness.add_charge_point()
    chain = SigningAuthority(virtual_clock()).issue(CSR)
    der = x509.load_pem_x509_certificate(chain.encode()).public_bytes(Encoding.DER)
    facts = facts_of(der)
    assert facts is not None
    for shown in (der, b"no certificate", None):
        transport = FakeTransport()
        transport.peer = evolve(transport.peer, certificate=shown)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Door(harness).connections, transport, Principal("CP1", "ocpp1.6", 3))
            await trio.testing.wait_all_tasks_blocked()
            await ScriptedCharger(transport).lose_link()
        assert harness.charge_point().certificate == facts
    connected = harness.bodies_of(e.ChargePointConnected)
    assert [each.certificate_serial for each in connected] == [facts.serial_number, "", ""]
