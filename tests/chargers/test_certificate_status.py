"""Standings of chargers' certificates: asked once for a while, and refused where there is no answer that counts."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.chargers import certificate_status
from gateway.chargers.admission import Principal
from gateway.chargers.certificate_status import (
    ASK_SECONDS,
    AT_ONCE,
    PAUSE_SECONDS,
    RECHECK_SECONDS,
    CertificateStatuses,
)
from gateway.transport.api import Accept, Rejection, UpgradeRequest
from gateway.transport.client_authority import ClientAuthority as Issuers
from gateway.transport.ocsp import MAX_AGE
from gateway.transport.ocsp_client import NoAnswer
from tests.chargers.test_admission import PEER
from tests.transport.authorities import NOW, ClientAuthority, Issued
from tests.transport.responders import Responder

CA = ClientAuthority()
URL = "http://ocsp.example/"


@attrs.define
class Asking:
    """Statuses whose responder is ``responder``, or what ``instead`` raises; ``urls`` that were asked."""

    responder: Responder = attrs.field(factory=lambda: Responder(CA))
    accepts_missing: bool = False
    url: str = URL
    now: datetime = NOW
    instead: Callable[[], None] | None = None
    seconds: float = 0.0
    urls: list[str] = attrs.field(factory=list)
    counts: list[tuple[str, str]] = attrs.field(factory=list)
    under_way: int = 0
    most: int = 0
    statuses: CertificateStatuses = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.statuses = CertificateStatuses(
            Issuers(Path("ca.pem"), (CA.certificate,)),
            self.url,
            accepts_missing=self.accepts_missing,
            clock=lambda: self.now,
            count=lambda what, label: self.counts.append((what, label)),
            ask=self.ask,
        )

    async def ask(self, url: str, question: bytes) -> bytes:
        self.urls.append(url)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await trio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        if self.instead is not None:
            self.instead()
        return self.responder.answer(question)

    async def refusal(self, issued: Issued) -> str | None:
        return await self.statuses.refusal(issued.der)


def fail() -> None:
    raise NoAnswer("unreachable")


async def test_a_good_certificate_is_let_in_and_asked_about_once_an_hour(autojump_clock: MockClock) -> None:
    """For as long as its answer counts."""
    asking = Asking()
    charger = asking.responder.issue("CP1")
    assert await asking.refusal(charger) is None
    asking.now += MAX_AGE - timedelta(seconds=1)
    assert await asking.refusal(charger) is None
    assert asking.urls == [URL]
    asking.now += timedelta(seconds=1)
    asking.responder.revoked.add(charger.serial)
    assert await asking.refusal(charger) == "client_certificate_revoked"
    assert asking.urls == [URL, URL]
    assert asking.counts == [("ocsp_answers", "good"), ("ocsp_answers", "revoked")]


async def test_one_that_the_responder_does_not_know_is_refused_also_where_missing_answers_are_accepted(
    autojump_clock: MockClock,
) -> None:
    """It was not issued, whatever its signature."""
    for accepts in (False, True):
        asking = Asking(accepts_missing=accepts)
        charger = asking.responder.issue("CP1")
        asking.responder.unknown.add(charger.serial)
        assert await asking.refusal(charger) == "client_certificate_unknown"


async def test_without_an_answer_a_charger_is_refused_unless_that_is_accepted(autojump_clock: MockClock) -> None:
    """Not reached, stale, no responder named, after the deadline."""

    def unreachable(asking: Asking) -> None:
        asking.instead = fail

    def stale(asking: Asking) -> None:
        asking.responder.ends = NOW

    def slow(asking: Asking) -> None:
        asking.seconds = ASK_SECONDS + 1

    for prepare, result in ((unreachable, "unreachable"), (stale, "stale"), (slow, "deadline")):
        for accepts, outcome in ((False, "client_ocsp_unavailable"), (True, None)):
            asking = Asking(accepts_missing=accepts)
            prepare(asking)
            began = trio.current_time()
            assert await asking.refusal(asking.responder.issue("CP1")) == outcome
            assert asking.counts == [("ocsp_answers", result)]
            assert trio.current_time() - began <= ASK_SECONDS
    asking = Asking(url="")
    assert await asking.refusal(asking.responder.issue("CP1")) == "client_ocsp_unavailable"
    assert asking.counts == [("ocsp_answers", "no_responder")]
    assert asking.urls == []


async def test_a_revoked_certificate_does_not_become_good_by_silence(autojump_clock: MockClock) -> None:
    """The last answer counts on, also where missing answers are accepted."""
    asking = Asking(accepts_missing=True)
    charger = asking.responder.issue("CP1")
    asking.responder.revoked.add(charger.serial)
    assert await asking.refusal(charger) == "client_certificate_revoked"
    asking.now += 2 * MAX_AGE
    asking.instead = fail
    assert await asking.refusal(charger) == "client_certificate_revoked"
    assert len(asking.urls) == 2


async def test_a_responder_that_fails_is_left_alone_for_a_while(autojump_clock: MockClock) -> None:
    """A fleet that comes back does not wait for it one by one; then it is tried again."""
    asking = Asking(instead=fail)
    chargers = [asking.responder.issue(f"CP{number}") for number in range(3)]
    with capture_logs() as logged:
        for each in chargers:
            assert await asking.refusal(each) == "client_ocsp_unavailable"
    assert asking.urls == [URL]
    assert asking.counts[1:] == 2 * [("ocsp_answers", "paused")]
    assert [line["reason"] for line in logged] == ["unreachable"]
    asking.instead = None
    await trio.sleep(PAUSE_SECONDS)
    assert await asking.refusal(chargers[0]) is None


async def test_only_so_many_are_asked_about_at_once(autojump_clock: MockClock) -> None:
    """The others wait for their turn."""
    asking = Asking(seconds=1.0)
    async with trio.open_nursery() as nursery:
        for number in range(2 * AT_ONCE + 1):
            nursery.start_soon(asking.refusal, asking.responder.issue(f"CP{number}"))
    assert asking.most == AT_ONCE
    assert len(asking.urls) == 2 * AT_ONCE + 1


async def test_answers_are_kept_in_bounds(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was not needed for longest goes."""
    monkeypatch.setattr(certificate_status, "MAX_KEPT", 2)
    asking = Asking()
    first, second, third = (asking.responder.issue(name) for name in ("CP1", "CP2", "CP3"))
    for each in (first, second, first, third, first):
        assert await asking.refusal(each) is None
    assert asking.responder.asked == 3
    await asking.refusal(second)
    assert asking.responder.asked == 4


async def test_an_answer_that_was_renewed_is_kept_like_a_new_one(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was needed last, though it came first once."""
    monkeypatch.setattr(certificate_status, "MAX_KEPT", 2)
    asking = Asking()
    first, second, third = (asking.responder.issue(name) for name in ("CP1", "CP2", "CP3"))
    await asking.refusal(first)
    asking.now += MAX_AGE / 2
    await asking.refusal(second)
    asking.now += MAX_AGE / 2
    for each in (first, third, first):
        assert await asking.refusal(each) is None
    assert asking.responder.asked == 4, "the second's, which was not renewed, went for the third's"
    assert await asking.refusal(second) is None
    assert asking.responder.asked == 5


async def test_a_responder_that_failed_last_is_remembered_longest(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of too many, the one whose pause is nearest to its end is asked again."""
    monkeypatch.setattr(certificate_status, "MAX_RESPONDERS", 2)
    named = [""]
    monkeypatch.setattr(certificate_status, "responders", lambda certificate: (named[0],))
    asking = Asking(url="", instead=fail)

    async def fails(*names: str) -> None:
        for named[0] in names:
            await asking.refusal(asking.responder.issue("CP1"))

    await fails("http://a/")
    await trio.sleep(PAUSE_SECONDS / 2)
    await fails("http://b/")
    await trio.sleep(PAUSE_SECONDS / 2)
    await fails("http://a/", "http://c/", "http://a/")
    assert asking.urls == ["http://a/", "http://b/", "http://a/", "http://c/"]
    await fails("http://b/")
    assert asking.urls[4:] == ["http://b/"]


async def test_failures_are_remembered_of_so_many_responders(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more, and the first is asked again."""
    names = iter(["http://a/", "http://b/", "http://a/"])
    monkeypatch.setattr(certificate_status, "MAX_RESPONDERS", 1)
    monkeypatch.setattr(certificate_status, "responders", lambda certificate: (next(names),))
    asking = Asking(url="", instead=fail)
    for _ in range(3):
        await asking.refusal(asking.responder.issue("CP1"))
    assert asking.urls == ["http://a/", "http://b/", "http://a/"]


@pytest.mark.parametrize("certificate", [None, b"", b"no certificate", ClientAuthority().issue("CP1").der])
async def test_what_can_not_be_asked_about_is_refused(autojump_clock: MockClock, certificate: bytes | None) -> None:
    """No certificate, a damaged one, one of an authority that was taken away."""
    asking = Asking()
    assert await asking.statuses.refusal(certificate) == "client_ocsp_unavailable"
    assert asking.urls == []


ADMITTED = Accept(Principal("CP1", "ocpp1.6", 3), "ocpp1.6")


def upgrade(issued: Issued) -> UpgradeRequest:
    return UpgradeRequest("/ocpp/CP1", (), ("ocpp1.6",), attrs.evolve(PEER, certificate=issued.der), "chargers")


async def test_those_that_are_let_in_are_asked_about_and_no_others(autojump_clock: MockClock) -> None:
    """A revoked one gets 403, one without an answer is to come again; each refusal has its identity."""

    async def admit(request: UpgradeRequest) -> Accept | Rejection:
        return answer

    asking = Asking()
    charger = asking.responder.issue("CP1")
    guarded = asking.statuses.guarding(admit)
    answer: Accept | Rejection = Rejection(404, "unknown_identity", "CP1")
    assert await guarded(upgrade(charger)) == answer
    assert asking.urls == []
    answer = ADMITTED
    assert await guarded(upgrade(charger)) == ADMITTED
    asking.now += MAX_AGE
    asking.responder.revoked.add(charger.serial)
    assert await guarded(upgrade(charger)) == Rejection(403, "client_certificate_revoked", "CP1")
    asking.instead = fail
    refused = await guarded(upgrade(asking.responder.issue("CP1")))
    assert refused == Rejection(503, "client_ocsp_unavailable", "CP1", (("Retry-After", "30"),))
    assert ("refused_upgrades", "client_certificate_revoked") in asking.counts


class Connections:
    """Connections with these certificates; those that were closed, and why."""

    def __init__(self, *issued: Issued) -> None:
        self.open = {each.serial: each for each in issued}
        self.closed: list[tuple[int, str]] = []

    async def close_refused(self, refusal: Callable[[bytes | None], Awaitable[str | None]]) -> None:
        for serial, each in tuple(self.open.items()):
            if (reason := await refusal(each.der)) is not None:
                self.closed.append((serial, reason))
                del self.open[serial]


async def test_those_that_are_connected_are_asked_about_again(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Once their answers count no longer: a revoked one is closed, within a minute then; where no answer comes they
    stay."""
    asking = Asking()
    first, second = asking.responder.issue("CP1"), asking.responder.issue("CP2")
    connections = Connections(first, second)
    nursery.start_soon(asking.statuses.watch, connections)
    await trio.sleep(3 * RECHECK_SECONDS + 1)
    assert asking.responder.asked == 2
    asking.responder.revoked.add(first.serial)
    asking.now += MAX_AGE
    asking.instead = fail
    await trio.sleep(RECHECK_SECONDS)
    assert connections.closed == []
    asking.instead = None
    await trio.sleep(RECHECK_SECONDS)
    assert connections.closed == [(first.serial, "client_certificate_revoked")]
    await wait_all_tasks_blocked()


ROOT_URL = "http://ocsp.root.example/"


@pytest.mark.parametrize("accepts", [False, True])
@pytest.mark.parametrize(
    ("word", "refusal"),
    [
        ("good", None),
        ("revoked", "client_certificate_revoked"),
        ("unknown", "client_certificate_unknown"),
        ("silent", "client_ocsp_unavailable"),
    ],
)
async def test_an_intermediate_that_names_a_responder_is_asked_about_there(
    autojump_clock: MockClock, word: str, refusal: str | None, accepts: bool
) -> None:
    """Once for all of its chargers; the settings' responder is for chargers alone, and a root is not asked about."""
    root = ClientAuthority("Root")
    middle = ClientAuthority("Middle", above=root, responder=ROOT_URL)
    chargers, above = Responder(middle), Responder(root)
    serial = middle.certificate.serial_number
    above.issued[serial] = Issued(middle.certificate, middle.key)
    {"revoked": above.revoked, "unknown": above.unknown}.get(word, set()).add(serial)
    asked: list[str] = []

    async def ask(url: str, question: bytes) -> bytes:
        asked.append(url)
        await trio.lowlevel.checkpoint()
        if url == ROOT_URL and word == "silent":
            fail()
        return (above if url == ROOT_URL else chargers).answer(question)

    issuers = Issuers(Path("ca.pem"), (middle.certificate, root.certificate))
    statuses = CertificateStatuses(
        issuers, URL, accepts_missing=accepts, clock=lambda: NOW, count=lambda *_: None, ask=ask
    )
    for name in ("CP1", "CP2"):
        expected = None if accepts and word == "silent" else refusal
        assert await statuses.refusal(chargers.issue(name).der) == expected
    assert asked == [URL, ROOT_URL, URL]
