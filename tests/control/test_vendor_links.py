"""Vendors' data between sessions and services, in virtual time: who is asked, how long, and how much at once."""

from contextlib import aclosing, asynccontextmanager

import pytest
import trio
import trio.testing

from gateway.control import vendor_data
from gateway.control.errors import Failure, Status
from gateway.control.vendor_data import AnswerRefusal, AnswerRefused, VendorServiceRegistry, fold
from gateway.domain.vendor_data import (
    REJECTED,
    UNKNOWN_MESSAGE,
    UNKNOWN_VENDOR,
    VendorAnswer,
    VendorData,
    VendorDataStatus,
)
from tests.control.fakes import NOW

THANKS = VendorAnswer(VendorDataStatus.ACCEPTED, "thanks")


class Counted:
    """Services, and what they counted."""

    def __init__(self):
        self.counts = []
        self.services = VendorServiceRegistry(lambda: NOW, 5.0, lambda what, label: self.counts.append(label))

    def at_once(self, vendor="acme", message=None):
        return self.services.at_once(vendor, message)

    async def ask(self, vendor="acme", message=None, data="text", charge_point="CP1"):
        return await self.services.ask(VendorData(charge_point, vendor, message, data))

    @asynccontextmanager
    async def registered(self, **interests):
        """A service for vendors' messages; yields its link and an iterator of what it receives."""
        wanted = {fold(vendor): frozenset(messages) for vendor, messages in interests.items()}
        async with aclosing(self.services.serve(wanted)) as found:
            yield await anext(found), found


@pytest.fixture
def counted():
    """No service yet."""
    return Counted()


class Asking:
    """A question in a task of its own."""

    def __init__(self, nursery, counted, **data):
        self.answer = None
        self.seconds = None
        nursery.start_soon(self._ask, counted, data)

    async def _ask(self, counted, data):
        begun = trio.current_time()
        self.answer = await counted.ask(**data)
        self.seconds = trio.current_time() - begun


async def test_a_service_gets_all_and_its_answer_is_the_chargers(counted, autojump_clock):
    """Ids as the charger spelled them, the data in JSON, until when an answer counts."""
    async with counted.registered(acme=()) as (link, found), trio.open_nursery() as nursery:
        asking = Asking(nursery, counted, vendor="Acme", message="Hi", data={"a": [1]})
        asked = await anext(found)
        assert (asked.charge_point, asked.vendor_id, asked.message_id, asked.json) == (
            "CP1",
            "Acme",
            "Hi",
            b'{"a":[1]}',
        )
        assert asked.received_at == NOW
        assert (asked.answer_by - NOW).total_seconds() == 5.0
        await link.answer(asked.data_id, THANKS)
        await trio.testing.wait_all_tasks_blocked()
        assert asking.answer == THANKS
    assert counted.counts == ["answered"]


async def test_vendors_and_messages_are_found_in_any_case(counted):
    """CiString; a vendor of whose messages some are handled is known, and a message that is not handled isn't."""
    assert counted.at_once() == UNKNOWN_VENDOR
    async with counted.registered(acme=("hi", ""), straße=()):
        assert counted.at_once("ACME", "HI") is None
        assert counted.at_once("acme", None) is None
        assert counted.at_once("acme", "other") == UNKNOWN_MESSAGE
        assert counted.at_once("STRASSE", "any") is None
        assert counted.at_once("other", "hi") == UNKNOWN_VENDOR
        assert await counted.ask("acme", "other") == UNKNOWN_MESSAGE
    assert counted.at_once("acme", "hi") == UNKNOWN_VENDOR
    assert not counted.counts


async def test_a_message_id_is_wanted_only_by_those_who_want_all_or_that(counted):
    """Data without a message id needs a service that wants all, or an empty one."""
    async with counted.registered(acme=("hi",)):
        assert counted.at_once("acme", None) == UNKNOWN_MESSAGE


async def test_no_answer_in_time_is_rejected(counted, autojump_clock):
    """Taken by the service or not; and its late answer is reported as of no use."""
    async with counted.registered(acme=()) as (link, found), trio.open_nursery() as nursery:
        taken, untaken = Asking(nursery, counted), Asking(nursery, counted)
        asked = await anext(found)
        await trio.sleep(6.0)
        assert (taken.answer, untaken.answer) == (REJECTED, REJECTED)
        assert (taken.seconds, untaken.seconds) == (5.0, 5.0)
        await link.answer(asked.data_id, THANKS)
        assert await anext(found) == AnswerRefused(asked.data_id, AnswerRefusal.NOT_WAITING)
    assert counted.counts == ["timed-out"] * 2


async def test_an_answer_counts_once(counted, autojump_clock):
    """The second is reported as of no use, also where the charger has not had the first yet."""
    async with counted.registered(acme=()) as (link, found), trio.open_nursery() as nursery:
        asking = Asking(nursery, counted)
        asked = await anext(found)
        await link.answer(asked.data_id, THANKS)
        await link.answer(asked.data_id, REJECTED)
        assert await anext(found) == AnswerRefused(asked.data_id, AnswerRefusal.NOT_WAITING)
        await trio.testing.wait_all_tasks_blocked()
        assert asking.answer == THANKS


async def test_a_wrong_answer_leaves_the_charger_waiting_for_a_right_one(counted, autojump_clock):
    """The service gets the error, and may answer anew."""
    async with counted.registered(acme=()) as (link, found), trio.open_nursery() as nursery:
        asking = Asking(nursery, counted)
        asked = await anext(found)
        await link.answer(asked.data_id, AnswerRefusal.DATA_TOO_LONG)
        assert await anext(found) == AnswerRefused(asked.data_id, AnswerRefusal.DATA_TOO_LONG)
        await link.answer(asked.data_id, THANKS)
        await trio.testing.wait_all_tasks_blocked()
        assert asking.answer == THANKS


@pytest.mark.parametrize("how", ["leaves", "is cut off"])
async def test_a_service_that_goes_leaves_no_session_waiting(counted, autojump_clock, how):
    """Rejected at once, for what it has taken and for what it has not."""
    async with trio.open_nursery() as nursery:
        async with counted.registered(acme=()) as (link, found):
            taken, untaken = Asking(nursery, counted), Asking(nursery, counted)
            await anext(found)
            await trio.sleep(1.0)
            if how == "leaves":
                await link.leave()
                with pytest.raises(StopAsyncIteration):
                    await anext(found)
        await trio.testing.wait_all_tasks_blocked()
        assert (taken.answer, untaken.answer) == (REJECTED, REJECTED)
        assert taken.seconds == 1.0
    assert counted.counts == ["service-gone"] * 2
    assert counted.at_once() == UNKNOWN_VENDOR


async def test_the_newest_service_is_asked_and_the_others_stand_by(counted, autojump_clock):
    """A successor takes over at once, and its predecessor again when the successor goes."""

    async def one_answer(link, found):
        asked = await anext(found)
        await link.answer(asked.data_id, THANKS)

    async with counted.registered(acme=()) as old, trio.open_nursery() as nursery:
        async with counted.registered(acme=("hi",)) as new:
            nursery.start_soon(one_answer, *new)
            assert await counted.ask("acme", "hi") == THANKS
            nursery.start_soon(one_answer, *old)
            assert await counted.ask("acme", "other") == THANKS
        nursery.start_soon(one_answer, *old)
        assert await counted.ask("acme", "hi") == THANKS


async def test_a_slow_service_delays_no_other(counted, autojump_clock):
    """Not even when it is full."""
    async with (
        counted.registered(slow=()),
        counted.registered(quick=()) as (link, found),
        trio.open_nursery() as nursery,
    ):
        for _ in range(vendor_data.MAX_WAITING):
            Asking(nursery, counted, vendor="slow")
        await trio.testing.wait_all_tasks_blocked()
        overfull = Asking(nursery, counted, vendor="slow")
        asking = Asking(nursery, counted, vendor="quick")
        asked = await anext(found)
        await link.answer(asked.data_id, THANKS)
        await trio.testing.wait_all_tasks_blocked()
        assert (asking.answer, asking.seconds) == (THANKS, 0.0)
        assert (overfull.answer, overfull.seconds) == (REJECTED, 0.0)
    assert counted.counts.count("timed-out") == vendor_data.MAX_WAITING
    assert counted.counts.count("overloaded") == 1


async def test_data_that_is_not_taken_is_bounded_in_bytes(counted, autojump_clock, monkeypatch):
    """Data that was taken, or has waited its time, makes room."""
    monkeypatch.setattr(vendor_data, "MAX_OUTBOX_BYTES", 100)
    async with counted.registered(acme=()) as (_, found), trio.open_nursery() as nursery:
        first = Asking(nursery, counted, data="x" * 60)
        await trio.testing.wait_all_tasks_blocked()
        second = Asking(nursery, counted, data="x" * 60)
        await trio.testing.wait_all_tasks_blocked()
        assert (first.answer, second.answer) == (None, REJECTED)
        await anext(found)
        third = Asking(nursery, counted, data="x" * 60)
        await trio.sleep(4.0)
        assert third.answer is None
        await trio.sleep(2.0)
        fourth = Asking(nursery, counted, data="x" * 60)
        await trio.testing.wait_all_tasks_blocked()
        assert fourth.answer is None


async def test_a_question_that_is_given_up_leaves_nothing(counted, autojump_clock):
    """Its session has ended: what the service has not taken it never gets."""
    async with counted.registered(acme=()) as (link, found):
        with trio.move_on_after(1.0):
            await counted.ask()
        assert not link._outbox
        assert not link._waiting
        with trio.move_on_after(10.0) as waited:
            await anext(found)
        assert waited.cancelled_caught


async def test_refused_answers_are_reported_within_bounds(counted):
    """A service that answers what was never asked makes no pile."""
    async with counted.registered(acme=()) as (link, found):
        for number in range(vendor_data.MAX_NOTICES * 2):
            await link.answer(f"d{number}", THANKS)
        for number in range(vendor_data.MAX_NOTICES):
            assert await anext(found) == AnswerRefused(f"d{number}", AnswerRefusal.NOT_WAITING)
        assert not link._notices


async def test_there_are_so_many_services_at_most(counted):
    """RESOURCE_EXHAUSTED; one that goes makes room."""
    async with trio.open_nursery() as nursery:

        async def stay():
            async with counted.registered(acme=()):
                await trio.sleep_forever()

        for _ in range(vendor_data.MAX_SERVICES):
            nursery.start_soon(stay)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Failure) as caught:
            async with counted.registered(acme=()):
                pass
        assert caught.value.status is Status.RESOURCE_EXHAUSTED
        nursery.cancel_scope.cancel()
    assert counted.services.registered == 0
    async with counted.registered(acme=()):
        assert counted.services.registered == 1
