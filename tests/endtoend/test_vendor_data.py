"""Vendors' data from a charger on the wire to a service over gRPC and back, and a service at the gateway's end."""

import json
import subprocess
import sys
import threading
from functools import partial

import grpc
import trio

from gateway.api.v1 import command_pb2
from gateway.api.v1 import vendor_data_pb2 as pb
from gateway.api.v1.vendor_data_pb2_grpc import VendorDataServiceStub
from gateway.client import VendorDataHandling
from tests.endtoend.asking import in_thread
from tests.endtoend.charger import chargers
from tests.endtoend.gateway_process import Gateway, MakeGateway

ACCEPTED = command_pb2.DATA_TRANSFER_STATUS_ACCEPTED
DATA = {"vendorId": "Acme", "messageId": "hi", "data": "text"}


class Service:
    """A service in a thread: answers all data with ``thanks``, until its stream ends; silent: answers none."""

    def __init__(self, gateway: Gateway, silent: bool = False) -> None:
        stub = VendorDataServiceStub(gateway.channel)
        self.handling = VendorDataHandling(stub.HandleVendorData, [pb.VendorInterest(vendor_id="acme")])
        self.silent = silent
        self.registered, self.asked = threading.Event(), threading.Event()
        self.received: list[pb.VendorDataRequest] = []
        self.error: grpc.RpcError | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.registered.wait(15)

    def _run(self) -> None:
        try:
            for each in self.handling:
                if each.HasField("registered"):
                    self.registered.set()
                elif each.HasField("data"):
                    self.received.append(each.data)
                    self.asked.set()
                    if not self.silent:
                        answer = pb.VendorDataAnswer(data_id=each.data.data_id, status=ACCEPTED, data="thanks")
                        self.handling.answer(answer)
        except grpc.RpcError as error:
            self.error = error

    def ends(self) -> None:
        self.handling.leave()
        self.thread.join(60)


async def test_a_service_answers_a_charger_and_all_of_it_is_on_record(gateway: Gateway) -> None:
    """Unknown before it registered and after it left; Accepted, with data, in between."""
    gateway.add_charge_point("CP1")
    async with chargers(gateway, "CP1") as (charger,):
        assert await charger.call("DataTransfer", DATA) == {"status": "UnknownVendorId"}
        service = await in_thread(Service, gateway)
        assert await charger.call("DataTransfer", DATA) == {"status": "Accepted", "data": "thanks"}
        await in_thread(service.ends)
        assert await charger.call("DataTransfer", DATA) == {"status": "UnknownVendorId"}
    assert service.error is None
    (data,) = service.received
    assert (data.charge_point, data.vendor_id, json.loads(data.data_json)) == ("CP1", "Acme", "text")
    reported = [each.vendor_data_received.status for each in await in_thread(gateway.history, "CP1")
            if each.type == "vendor_data.received"]  # fmt: skip
    assert reported == ["UnknownVendorId", "Accepted", "UnknownVendorId"]


async def test_a_silent_service_costs_its_own_charger_seconds_and_no_other(
    make_gateway: MakeGateway,
) -> None:
    """The charger's other messages and the operator's commands go on; then it is answered Rejected."""
    gateway = make_gateway(sessions={"vendor_data_seconds": 2.0})
    await in_thread(gateway.start)
    gateway.add_charge_point("CP1")
    service = await in_thread(lambda: Service(gateway, silent=True))
    async with chargers(gateway, "CP1") as (charger,), trio.open_nursery() as nursery:
        answers = []

        async def transfer() -> None:
            answers.append(await charger.call("DataTransfer", DATA))

        begun = trio.current_time()
        nursery.start_soon(transfer)
        assert await in_thread(service.asked.wait, 15)
        await charger.call("Heartbeat", {})
        assert not answers
        with trio.fail_after(60):
            while not answers:  # noqa: ASYNC110 - the charger fake has no event for it
                await trio.sleep(0.05)
        assert answers == [{"status": "Rejected"}]
        assert trio.current_time() - begun > 1.9
    await in_thread(service.ends)


async def test_a_service_is_answered_that_the_gateway_stops(gateway: Gateway) -> None:
    """UNAVAILABLE: it registers with the next one."""
    service = await in_thread(Service, gateway)
    assert await in_thread(gateway.stop) == 0
    await in_thread(service.thread.join, 15)
    assert service.error is not None
    assert service.error.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_operator_stands_in_for_a_service(gateway: Gateway) -> None:
    """`gateway vendor-data` shows what came, answers as its option says, and leaves."""
    gateway.add_charge_point("CP1")
    target = f"127.0.0.1:{gateway.control_port}"
    command = [sys.executable, "-m", "gateway", "vendor-data", "acme", "--message", "hi", "--answer", "rejected",
               "--data", "not today", "--limit", "1", "--target", target]  # fmt: skip
    start = partial(subprocess.Popen, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = await in_thread(start)
    try:
        assert process.stderr is not None
        assert "every charger is answered Rejected" in await in_thread(process.stderr.readline)
        async with chargers(gateway, "CP1") as (charger,):
            assert await charger.call("DataTransfer", DATA | {"messageId": "x"}) == {"status": "UnknownMessageId"}
            assert await charger.call("DataTransfer", DATA) == {"status": "Rejected", "data": "not today"}
        stdout, stderr = await in_thread(process.communicate, None, 20)
    finally:
        process.kill()
        process.wait(60)
    assert process.returncode == 0, stderr
    assert 'CP1  Acme hi  "text"  → Rejected' in stdout
