"""Handling vendors' data from a thread of one's own: a stream in both directions, as a loop."""

import queue
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.api.v1.vendor_data_pb2 import (
    HandleVendorDataRequest,
    HandleVendorDataResponse,
    VendorDataAnswer,
    VendorDataRegistration,
    VendorInterest,
)


class VendorDataHandling:
    """One registration; a context manager. Iterate over the messages of the gateway, and ``answer`` from any thread.

        with VendorDataHandling(gateway.vendor_data.handle_vendor_data, [VendorInterest(vendor_id="acme")]) as stream:
            for each in stream:
                if each.HasField("data"):
                    stream.answer(VendorDataAnswer(data_id=each.data.data_id, status=DATA_TRANSFER_STATUS_ACCEPTED))

    Iterating raises what the method does (GatewayError; a raw stub's ``grpc.RpcError``): UNAVAILABLE when the gateway
    stops or is gone, after which to register anew.
    """

    def __init__(self, rpc: Callable[..., Any], interests: Iterable[VendorInterest]) -> None:
        # Bounded by what the gateway has waiting for this service: it asks for each answer.
        self._requests: queue.SimpleQueue[HandleVendorDataRequest | None] = queue.SimpleQueue()
        registration = VendorDataRegistration(interests=interests)
        self._requests.put(HandleVendorDataRequest(registration=registration))
        self._call = rpc(iter(self._requests.get, None))

    def __enter__(self) -> "VendorDataHandling":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[HandleVendorDataResponse]:
        return iter(self._call)

    def answer(self, answer: VendorDataAnswer) -> None:
        """Send an answer for a charger. Never waits; its outcome is reported only where it was of no use."""
        self._requests.put(HandleVendorDataRequest(answer=answer))

    def leave(self) -> None:
        """Want no more: the iteration ends."""
        self._requests.put(None)

    def close(self) -> None:
        """End the stream now."""
        self._requests.put(None)
        self._call.cancel()
