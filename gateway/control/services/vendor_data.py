"""VendorDataService: one stream for each service that handles vendors' data, in both directions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVarTuple

from gateway.api.v1 import vendor_data_pb2 as pb
from gateway.api.v1.vendor_data_pb2_grpc import VendorDataServiceServicer
from gateway.bridge import Bridge, Overloaded
from gateway.control.convert.vendor_data import read_answer, read_registration, response
from gateway.control.services.request_stream import RequestStream
from gateway.control.services.rpc import CALLER, Context, Service, streaming
from gateway.control.vendor_data import ServiceStream, VendorServiceRegistry

Ts = TypeVarTuple("Ts")

OVERLOAD_SECONDS = 0.05
"""Pause before an answer is handed over again while the bridge is full of calls."""


class VendorDataRpcs(Service, VendorDataServiceServicer):
    """Vendors' data for services outside."""

    def __init__(self, bridge: Bridge, default_timeout: float, vendors: VendorServiceRegistry) -> None:
        super().__init__(bridge, default_timeout)
        self._vendors = vendors

    @streaming
    async def HandleVendorData(
        self, requests: AsyncIterator[pb.HandleVendorDataRequest], context: Context
    ) -> AsyncIterator[pb.HandleVendorDataResponse]:
        incoming = RequestStream(requests, self.stopped)
        interests = read_registration(await incoming.next())
        answers: asyncio.Task[None] | None = None
        try:
            async with self.stream(self._vendors.serve, interests, CALLER.get()) as items:
                async for item in items:
                    if isinstance(item, ServiceStream):
                        answers = asyncio.create_task(self._take_answers(incoming, item))
                    yield response(item)
            if answers is not None:
                await answers  # it made the service leave, and raises what was wrong, if anything was
        finally:
            if answers is not None:
                answers.cancel()

    async def _take_answers(self, incoming: RequestStream[pb.HandleVendorDataRequest], link: ServiceStream) -> None:
        """Hand over answers, one after the other, until the service ends its side or sends what is none; then it
        leaves, which ends the stream."""
        try:
            async for request in incoming.rest():
                await self._in_trio(link.answer, *read_answer(request))
        except Exception:
            await self._in_trio(link.leave)
            raise
        await self._in_trio(link.leave)

    async def _in_trio(self, fn: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Wait for a place on the bridge if need be: it is others who fill it."""
        while True:
            try:
                return await self._bridge.call(fn, *args)
            except Overloaded:
                await asyncio.sleep(OVERLOAD_SECONDS)
