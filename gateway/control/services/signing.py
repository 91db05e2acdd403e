"""SigningService: one stream for each service that signs certificates, in both directions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVarTuple

from gateway.api.v1 import signing_pb2 as pb
from gateway.api.v1.signing_pb2_grpc import SigningServiceServicer
from gateway.bridge import Bridge, Overloaded
from gateway.control.convert.signing import read_answer, read_registration, response
from gateway.control.services.request_stream import RequestStream
from gateway.control.services.rpc import Context, Service, streaming
from gateway.control.services.vendor_data import OVERLOAD_SECONDS
from gateway.control.signing import SigningDesk, SigningStream

Ts = TypeVarTuple("Ts")


class SigningRpcs(Service, SigningServiceServicer):
    """Signing chargers' certificates, by a service outside."""

    def __init__(self, bridge: Bridge, default_timeout: float, desk: SigningDesk) -> None:
        super().__init__(bridge, default_timeout)
        self._desk = desk

    @streaming
    async def SignCertificates(
        self, requests: AsyncIterator[pb.SignCertificatesRequest], context: Context
    ) -> AsyncIterator[pb.SignCertificatesResponse]:
        incoming = RequestStream(requests, self.stopped)
        read_registration(await incoming.next())
        answers: asyncio.Task[None] | None = None
        try:
            async with self.stream(self._desk.serve) as items:
                async for item in items:
                    if isinstance(item, SigningStream):
                        answers = asyncio.create_task(self._take_answers(incoming, item))
                    yield response(item)
            if answers is not None:
                await answers  # it made the service leave, and raises what was wrong, if anything was
        finally:
            if answers is not None:
                answers.cancel()

    async def _take_answers(self, incoming: RequestStream[pb.SignCertificatesRequest], stream: SigningStream) -> None:
        """Hand over answers, one after the other, until the service ends its side or sends what is none; then it
        leaves, which ends the stream."""
        try:
            async for request in incoming.rest():
                await self._in_trio(stream.answer, *read_answer(request))
        except Exception:
            await self._in_trio(stream.leave)
            raise
        await self._in_trio(stream.leave)

    async def _in_trio(self, fn: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Wait for a place on the bridge if need be: it is others who fill it."""
        while True:
            try:
                return await self._bridge.call(fn, *args)
            except Overloaded:
                await asyncio.sleep(OVERLOAD_SECONDS)
