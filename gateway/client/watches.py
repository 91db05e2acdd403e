"""Watches that go on: from where the last run ended, and over the gateway's restarts. What all loops share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc

from gateway.client.errors import GatewayError, Problem
from gateway.client.repeats import pause_before
from gateway.client.tokens import MemoryTokenStore, TokenStore

B = TypeVar("B")

GOES_ON = ("UNAVAILABLE", "INTERNAL")
"""Statuses after which a watch is begun anew with its last token, as the contract says (event.proto)."""

TOO_MANY = "TOO_MANY_CALLS"
"""The reason of another status after which it is, too."""

Break = Callable[[GatewayError, float], None]
"""Called with what broke a watch, and the seconds until it is begun anew."""


@dataclass(slots=True)
class Resumption(Generic[B]):
    """The place of a watch: the token of the last batch dealt with, and how often it broke off since then."""

    request: Any
    tokens: TokenStore
    on_break: Break | None = None
    dealing: B | None = None
    """The batch that the caller has, and has not asked beyond."""

    breaks: int = 0

    def begin(self, token: bytes | None) -> None:
        """Take up the token of an earlier run."""
        if token is not None:
            self.request.resume_token = token

    def arrived(self, batch: B) -> None:
        """Note a batch that the caller is given."""
        self.dealing = batch
        self.breaks = 0

    def dealt_with(self) -> bytes | None:
        """The token to save now that the caller is done with its batch; None: nothing new."""
        if self.dealing is None:
            return None
        batch: Any = self.dealing
        self.dealing = None
        token = bytes(batch.resume_token)
        self.request.resume_token = token
        return token

    def pause_after_end(self) -> float:
        """Seconds until a watch that the gateway ended without an error is begun anew."""
        return self.pause(Problem(grpc.StatusCode.UNAVAILABLE, "the gateway ended the watch"))

    def pause(self, problem: Problem) -> float:
        """Seconds until the watch is begun anew. Raises GatewayError where it can't go on."""
        if problem.code.name not in GOES_ON and problem.reason != TOO_MANY:
            raise GatewayError(problem)
        self.breaks += 1
        pause = pause_before(min(self.breaks, 10))  # by then it is the longest
        if self.on_break is not None:
            self.on_break(GatewayError(problem), pause)
        return pause


def resumption(request: Any, tokens: TokenStore | None, on_break: Break | None) -> Resumption[Any]:
    """A watch's state, from a copy of its request. Without ``tokens`` the place is kept while the program runs."""
    copy = type(request)()
    copy.CopyFrom(request)
    return Resumption(copy, MemoryTokenStore() if tokens is None else tokens, on_break)
