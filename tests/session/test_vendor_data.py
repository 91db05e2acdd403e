"""A session and the services that handle vendors' data: the charger gets their answer, other messages don't wait."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain import events as e
from gateway.domain.values import Registration
from gateway.domain.vendor_data import (
    UNKNOWN_MESSAGE,
    UNKNOWN_VENDOR,
    VendorAnswer,
    VendorData,
    VendorDataStatus,
)
from gateway.session.limits import SessionLimits
from gateway.session.lookups import Lookups, TableAuthorizer
from gateway.session.requests import MAX_ASIDE
from gateway.store.commits import CreateChargePoint
from tests.support.harness import EPOCH, Harness, boot, virtual_clock
from tests.support.wire import ScriptedCharger

DATA = {"vendorId": "com.example", "messageId": "hello", "data": '{"a":1}'}
THANKS = VendorAnswer(VendorDataStatus.ACCEPTED, "thanks")


@define
class FakeServices:
    """Knows one vendor, whose service answers what a test says, when it says so."""

    answer: VendorAnswer = THANKS
    seconds: float = 0.0
    asked: list[VendorData] = field(factory=list)
    waiting: int = 0
    on_answer: Callable[[], None] = lambda: None

    def at_once(self, vendor_id: str, message_id: str | None) -> VendorAnswer | None:
        if vendor_id != "com.example":
            return UNKNOWN_VENDOR
        return UNKNOWN_MESSAGE if message_id == "unknown" else None

    async def ask(self, data: VendorData) -> VendorAnswer:
        self.asked.append(data)
        self.waiting += 1
        try:
            await trio.sleep(self.seconds)
        finally:
            self.waiting -= 1
        self.on_answer()
        return self.answer


@pytest.fixture
def services() -> FakeServices:
    """The one service."""
    return FakeServices()


@pytest.fixture
def harness(tmp_path: Path, services: FakeServices) -> Iterator[Harness]:
    """One whose sessions know the service."""
    made = Harness(tmp_path, limits=SessionLimits(ready_after_silence=1e6))
    made.store.commit([CreateChargePoint("CP1", Registration.ACCEPTED, (), EPOCH)])
    authorizer = TableAuthorizer(made.reads, virtual_clock, "Invalid")
    made.lookups = Lookups(made.reads, authorizer, made._number, services)
    yield made
    made.store.close()


def kept(harness: Harness) -> list[e.Body]:
    return harness.bodies(e.VendorDataReceived.TYPE)


async def transfer(charger: ScriptedCharger, message_id: str) -> None:
    """Send DataTransfer and don't wait for its confirmation."""
    await charger.send_raw(json.dumps([2, message_id, "DataTransfer", DATA]))


async def answer_to(charger: ScriptedCharger, message_id: str) -> list[Any]:
    """The confirmation of what was sent before, whatever came before it."""
    while True:
        for index, frame in enumerate(charger._held):
            if frame[0] != 2 and frame[1] == message_id:
                return charger._held.pop(index)
        charger._held.append(await charger._next())


async def test_the_event_names_the_service_that_answered(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """By its name as a caller; where none is asked, none."""
    services.answer = VendorAnswer(VendorDataStatus.ACCEPTED, caller="kiosk")
    async with harness.connected() as charger:
        await boot(charger)
        await charger.call("DataTransfer", DATA)
        await charger.call("DataTransfer", {**DATA, "messageId": "unknown"})
    assert [getattr(body, "caller", None) for body in kept(harness)] == ["kiosk", ""]


async def test_a_charger_gets_the_services_answer(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """S §4.3: status and data; the event has the status."""
    async with harness.connected() as charger:
        await boot(charger)
        assert await charger.call("DataTransfer", DATA) == {"status": "Accepted", "data": "thanks"}
        services.answer = VendorAnswer(VendorDataStatus.REJECTED)
        assert await charger.call("DataTransfer", DATA) == {"status": "Rejected"}
    assert services.asked == [VendorData("CP1", "com.example", "hello", '{"a":1}')] * 2
    assert kept(harness) == [
        e.VendorDataReceived("com.example", "Accepted", "hello", '{"a":1}'),
        e.VendorDataReceived("com.example", "Rejected", "hello", '{"a":1}'),
    ]


@pytest.mark.parametrize(
    ("sent", "status"),
    [({"vendorId": "org.other"}, "UnknownVendorId"), (DATA | {"messageId": "unknown"}, "UnknownMessageId")],
)
async def test_what_no_service_handles_is_answered_at_once(
    harness: Harness, services: FakeServices, autojump_clock: MockClock, sent: dict[str, str], status: str
) -> None:
    """B8.1, X12: without data, and no service is asked."""
    async with harness.connected() as charger:
        await boot(charger)
        assert await charger.call("DataTransfer", sent) == {"status": status}
    assert not services.asked
    (body,) = kept(harness)
    assert isinstance(body, e.VendorDataReceived)
    assert body.status == status


async def test_the_reader_goes_on_while_a_service_thinks(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """A heartbeat that comes after the data is answered before it."""
    services.seconds = 4.0
    async with harness.connected() as charger:
        await boot(charger)
        await transfer(charger, "slow")
        begun = trio.current_time()
        await charger.call("Heartbeat", {})
        assert trio.current_time() - begun < 1.0
        frame = await answer_to(charger, "slow")
        assert frame[2] == {"status": "Accepted", "data": "thanks"}
        assert trio.current_time() - begun == pytest.approx(4.0)


async def test_the_event_is_on_disk_before_the_charger_is_answered_and_says_when_the_data_came(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """The event's time is that of receipt, not of the service's answer."""
    services.seconds = 4.0
    async with harness.connected() as charger:
        await boot(charger)
        came = virtual_clock()
        await transfer(charger, "m1")
        await trio.sleep(3.9)
        assert not kept(harness)
        harness.journal.stall_seconds = 2.0
        await trio.sleep(1.0)
        (stored,) = harness.events(e.VendorDataReceived.TYPE)
        assert (stored.received_at, stored.cause) == (came, "message:m1")
        await answer_to(charger, "m1")
        assert (virtual_clock() - came).total_seconds() == pytest.approx(6.0)


async def test_a_charger_that_does_not_wait_is_bounded(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """Beyond MAX_ASIDE it is answered Rejected at once; when the service has answered there is room again."""
    services.seconds = 4.0
    async with harness.connected() as charger:
        await boot(charger)
        for number in range(MAX_ASIDE + 2):
            await transfer(charger, f"m{number}")
        begun = trio.current_time()
        for number in (MAX_ASIDE, MAX_ASIDE + 1):
            assert (await answer_to(charger, f"m{number}"))[2] == {"status": "Rejected"}
        assert trio.current_time() == begun
        assert services.waiting == MAX_ASIDE
        for number in range(MAX_ASIDE):
            assert (await answer_to(charger, f"m{number}"))[2]["status"] == "Accepted"
        services.seconds = 0.0
        assert (await charger.call("DataTransfer", DATA))["status"] == "Accepted"
    assert len(kept(harness)) == MAX_ASIDE + 3


async def test_a_session_that_ends_waits_for_no_service(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """The charger was not answered, so nothing is kept; it will ask again."""
    services.seconds = 1000.0
    async with harness.connected() as charger:
        await boot(charger)
        await transfer(charger, "m1")
        await trio.sleep(1.0)
        assert services.waiting == 1
        await charger.lose_link()
    assert services.waiting == 0
    assert trio.current_time() < 100
    assert not kept(harness)


async def test_a_session_that_lost_its_charge_point_meanwhile_reports_nothing(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """The answer comes when a newer connection owns the charge point: no event, no reply."""
    services.seconds = 4.0
    async with harness.connected() as charger:
        await boot(charger)
        await transfer(charger, "m1")
        async with harness.connected():
            assert (await charger.sees_the_end())[1] == "replaced"
    assert not kept(harness)


async def test_a_service_that_answers_when_the_store_fails_acknowledges_nothing(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """No reply: the session ends."""

    def fail() -> None:
        harness.journal.failing = True

    services.on_answer = fail
    async with harness.connected() as charger:
        await boot(charger)
        await transfer(charger, "m1")
        assert (await charger.sees_the_end())[1] == "store-unavailable"


async def test_data_before_acceptance_is_no_services_business(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """X5: SecurityError, as for any other message."""
    harness.add_charge_point("CP2", Registration.PENDING)
    async with harness.connected("CP2") as charger:
        assert (await charger.call_frame("DataTransfer", DATA))[:2] == [4, "SecurityError"]
    assert not services.asked


async def test_data_that_is_an_object_reaches_the_service_as_it_is(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """B8.1."""
    async with harness.connected() as charger:
        await boot(charger)
        sent = {"vendorId": "com.example", "data": {"a": [1, None]}}
        assert (await charger.call("DataTransfer", sent))["status"] == "Accepted"
    assert services.asked == [VendorData("CP1", "com.example", None, {"a": [1, None]})]


async def test_a_hand_over_waits_for_each_of_several_services(
    harness: Harness, services: FakeServices, autojump_clock: MockClock
) -> None:
    """Of two that think for different times, also the slower one's answer goes out on the link that was asked by."""
    async with harness.connected() as older:
        await boot(older)
        for message_id, seconds in (("quick", 0.2), ("slow", 0.5)):
            services.seconds = seconds
            await transfer(older, message_id)
            await wait_all_tasks_blocked()
        async with harness.connected():
            assert trio.current_time() == 0.5
            for message_id in ("quick", "slow"):
                assert (await answer_to(older, message_id))[2]["status"] == "Accepted"
