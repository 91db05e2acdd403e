"""Signing chargers' certificates from a thread of one's own: a stream in both directions, as a loop."""

import queue
from collections.abc import Callable, Iterator
from typing import Any

from gateway.api.v1.signing_pb2 import (
    SignCertificatesRequest,
    SignCertificatesResponse,
    SigningAnswer,
    SigningRegistration,
)


class CertificateSigning:
    """One registration; a context manager. Iterate over the messages of the gateway, and ``answer`` from any thread.

        with CertificateSigning(gateway.signing.sign_certificates) as stream:
            for each in stream:
                if each.HasField("request"):
                    stream.answer(SigningAnswer(signing_id=each.request.signing_id, certificate_chain=...))

    Iterating raises what the method does (GatewayError; a raw stub's ``grpc.RpcError``): UNAVAILABLE when the gateway
    stops or is gone, after which to register anew.
    """

    def __init__(self, rpc: Callable[..., Any]) -> None:
        # Bounded by what the gateway has waiting for this service: it asks for each answer.
        self._requests: queue.SimpleQueue[SignCertificatesRequest | None] = queue.SimpleQueue()
        self._requests.put(SignCertificatesRequest(registration=SigningRegistration()))
        self._call = rpc(iter(self._requests.get, None))

    def __enter__(self) -> "CertificateSigning":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[SignCertificatesResponse]:
        return iter(self._call)

    def answer(self, answer: SigningAnswer) -> None:
        """Send an answer. Never waits; reported only where it is not taken."""
        self._requests.put(SignCertificatesRequest(answer=answer))

    def leave(self) -> None:
        """Want no more: the iteration ends."""
        self._requests.put(None)

    def close(self) -> None:
        """End the stream now."""
        self._requests.put(None)
        self._call.cancel()
