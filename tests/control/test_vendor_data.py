"""HandleVendorData over a real server and client; a charger's data is put in as a session does."""

from collections.abc import Callable

import grpc
import pytest
import trio
from attrs import define

from gateway.api.v1 import command_pb2
from gateway.api.v1 import vendor_data_pb2 as pb
from gateway.client import VendorDataHandling, problem_of
from gateway.control.convert import vendor_data as messages
from gateway.control.vendor_data import MAX_SERVICES
from gateway.domain.vendor_data import (
    REJECTED,
    UNKNOWN_MESSAGE,
    UNKNOWN_VENDOR,
    VendorAnswer,
    VendorData,
    VendorDataStatus,
)
from tests.control.fakes import control

ACCEPTED = command_pb2.DATA_TRANSFER_STATUS_ACCEPTED
DATA = VendorData("CP1", "Acme", "hi", '{"a":1}')


def interest(vendor="acme", *messages):
    return pb.VendorInterest(vendor_id=vendor, message_ids=messages)


def handling(gateway, *interests):
    return VendorDataHandling(gateway.client.vendor_data.HandleVendorData, interests)


async def following(reported):
    """The next response."""
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(next, reported)


async def registered(service):
    """The responses, once the registration counts."""
    reported = iter(service)
    assert (await following(reported)).HasField("registered")
    return reported


async def ended(reported):
    """The end of the stream: None or the problem."""

    def drain():
        try:
            for _ in reported:
                pass
        except grpc.RpcError as error:
            return problem_of(error)
        return None

    with trio.fail_after(60):
        return await trio.to_thread.run_sync(drain)


@define
class Asking:
    """A question of a session's, in a task of its own."""

    answer: VendorAnswer | None = None

    async def ask(self, gateway, data=DATA):
        self.answer = await gateway.vendors.ask(data)


async def until(condition: Callable[[], bool]):
    """Real threads are at work: look again and again."""
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - no event tells it
            await trio.sleep(0.01)


async def test_a_service_gets_a_chargers_data_and_answers_it(gateway):
    """From the session to the service and back."""
    with handling(gateway, interest()) as service:
        reported = await registered(service)
        asking = Asking()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking.ask, gateway)
            data = (await following(reported)).data
            assert (data.charge_point, data.vendor_id, data.message_id) == ("CP1", "Acme", "hi")
            assert data.data_json == '"{\\"a\\":1}"'
            assert data.answer_deadline_time.ToDatetime() > data.receive_time.ToDatetime()
            service.answer(pb.VendorDataAnswer(data_id=data.data_id, status=ACCEPTED, data="thanks"))
        assert asking.answer == VendorAnswer(VendorDataStatus.ACCEPTED, "thanks")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("REJECTED", VendorDataStatus.REJECTED),
        ("UNKNOWN_MESSAGE_ID", VendorDataStatus.UNKNOWN_MESSAGE_ID),
        ("UNKNOWN_VENDOR_ID", VendorDataStatus.UNKNOWN_VENDOR_ID),
    ],
)
async def test_every_status_can_be_answered_and_no_data_is_no_data(gateway, word, status):
    """An empty text is one; none is none."""
    with handling(gateway, interest()) as service:
        reported = await registered(service)
        for text in ({}, {"data": ""}):
            asking = Asking()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(asking.ask, gateway, VendorData("CP1", "acme", None, None))
                data = (await following(reported)).data
                assert (data.message_id, data.data_json) == ("", "")
                number = command_pb2.DataTransferStatus.Value(f"DATA_TRANSFER_STATUS_{word}")
                service.answer(pb.VendorDataAnswer(data_id=data.data_id, status=number, **text))
            assert asking.answer == VendorAnswer(status, text.get("data"))


async def test_a_wrong_answer_is_reported_and_a_right_one_may_follow(gateway):
    """The stream goes on, for other chargers too."""
    with handling(gateway, interest()) as service:
        reported = await registered(service)
        asking = Asking()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking.ask, gateway)
            data_id = (await following(reported)).data.data_id
            wrong = [
                (pb.VendorDataAnswer(data_id=data_id), pb.VENDOR_DATA_ANSWER_REFUSAL_BAD_STATUS),
                (pb.VendorDataAnswer(data_id=data_id, status=77), pb.VENDOR_DATA_ANSWER_REFUSAL_BAD_STATUS),
                (
                    pb.VendorDataAnswer(data_id=data_id, status=ACCEPTED, data="x" * (messages.MAX_DATA + 1)),
                    pb.VENDOR_DATA_ANSWER_REFUSAL_DATA_TOO_LONG,
                ),
                (pb.VendorDataAnswer(data_id="other", status=ACCEPTED), pb.VENDOR_DATA_ANSWER_REFUSAL_NOT_WAITING),
            ]
            for answer, reason in wrong:
                service.answer(answer)
                refused = (await following(reported)).refused
                assert (refused.data_id, refused.reason) == (answer.data_id, reason)
            service.answer(pb.VendorDataAnswer(data_id=data_id, status=ACCEPTED, data="x" * messages.MAX_DATA))
        assert asking.answer is not None
        assert asking.answer.status is VendorDataStatus.ACCEPTED


async def test_a_service_that_answers_late_gets_that_reported(gateway):
    """The charger was answered Rejected meanwhile."""
    with handling(gateway, interest()) as service:
        reported = await registered(service)
        assert await gateway.vendors.ask(DATA) == REJECTED
        data_id = (await following(reported)).data.data_id
        service.answer(pb.VendorDataAnswer(data_id=data_id, status=ACCEPTED))
        assert (await following(reported)).refused.reason == pb.VENDOR_DATA_ANSWER_REFUSAL_NOT_WAITING


@pytest.mark.parametrize("how", ["leave", "close"])
async def test_a_service_that_goes_is_asked_no_more(tmp_path, how):
    """By ending its side, or by being gone; a charger that waited is answered Rejected, long before the deadline."""
    async with control(tmp_path, vendor_seconds=600.0) as gateway:
        service = handling(gateway, interest("acme", "hi"))
        reported = await registered(service)
        assert gateway.vendors.at_once("acme", "other") == UNKNOWN_MESSAGE
        asking = Asking()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking.ask, gateway)
            await following(reported)
            getattr(service, how)()
            await until(lambda: asking.answer is not None)
        assert asking.answer == REJECTED
        assert gateway.vendors.at_once("acme", "hi") == UNKNOWN_VENDOR
        problem = await ended(reported)
        assert problem is None or (how == "close" and problem.code is grpc.StatusCode.CANCELLED)
        await until(lambda: gateway.bridge.streams == 0)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.HandleVendorDataRequest(), "part"),
        (pb.HandleVendorDataRequest(answer=pb.VendorDataAnswer()), "part"),
        ([], "registration.interests"),
        ([interest()] * 101, "registration.interests"),
        ([interest("")], "registration.interests[0].vendor_id"),
        ([interest("x" * 256)], "registration.interests[0].vendor_id"),
        ([interest("acme"), interest("ACME")], "registration.interests[1].vendor_id"),
        ([interest("acme", *map(str, range(101)))], "registration.interests[0].message_ids"),
        ([interest("acme", "x" * 51)], "registration.interests[0].message_ids"),
    ],
)  # fmt: skip
async def test_a_registration_that_can_not_be_is_refused_by_its_field(gateway, request_, field):
    """INVALID_ARGUMENT, and no service is registered."""
    if isinstance(request_, list):
        request_ = pb.HandleVendorDataRequest(registration=pb.VendorDataRegistration(interests=request_))
    problem = await ended(gateway.client.vendor_data.HandleVendorData(iter([request_])))
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in [name for name, _ in problem.violations]
    assert gateway.vendors.registered == 0


async def test_a_second_registration_on_one_stream_ends_it(gateway):
    """It is no answer: the service has a bug, and gets an error."""
    with handling(gateway, interest()) as service:
        reported = await registered(service)
        service._requests.put(pb.HandleVendorDataRequest(registration=pb.VendorDataRegistration()))
        problem = await ended(reported)
        assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
        assert [name for name, _ in problem.violations] == ["part"]
        assert gateway.vendors.registered == 0


async def test_a_drain_ends_the_streams(gateway):
    """UNAVAILABLE, at once: register with the next gateway."""
    with handling(gateway, interest()) as service:
        reported = await registered(service)
        gateway.server.drain(5.0)
        problem = await ended(reported)
        assert problem.code is grpc.StatusCode.UNAVAILABLE


async def test_services_have_their_number(gateway):
    """RESOURCE_EXHAUSTED beyond it, for that one only."""
    services = [handling(gateway, interest(f"vendor{number}")) for number in range(MAX_SERVICES)]
    for service in services:
        await registered(service)
    with handling(gateway, interest()) as late:
        problem = await ended(iter(late))
        assert (problem.code, problem.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_SERVICES")
    assert gateway.vendors.registered == MAX_SERVICES
    for service in services:
        service.close()
    await until(lambda: gateway.vendors.registered == 0)


async def test_a_service_that_does_not_read_harms_no_other(tmp_path):
    """Another service answers as ever; the vendor's own data is rejected when the deaf service goes, or its time is
    over."""
    async with control(tmp_path, vendor_seconds=600.0) as gateway:
        with handling(gateway, interest("deaf")) as deaf, handling(gateway, interest("quick")) as quick:
            await registered(deaf)
            reported = await registered(quick)
            large = [Asking() for _ in range(60)]
            async with trio.open_nursery() as nursery:
                for each in large:
                    nursery.start_soon(each.ask, gateway, VendorData("CP1", "deaf", None, "x" * 1_000_000))
                await trio.sleep(0.2)
                asking = Asking()
                nursery.start_soon(asking.ask, gateway, VendorData("CP2", "quick", None, None))
                data_id = (await following(reported)).data.data_id
                quick.answer(pb.VendorDataAnswer(data_id=data_id, status=ACCEPTED))
                await until(lambda: asking.answer is not None)
                deaf.close()
            assert asking.answer == VendorAnswer(VendorDataStatus.ACCEPTED)
            assert {each.answer for each in large} == {REJECTED}
