"""The desk of a node: answers other nodes' calls for the charge points whose sessions it has."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

from gateway.cluster import wire
from gateway.domain.commands import CommandRecord, Refused, Unknown
from gateway.domain.operations import OperationRecord, OperationRefused
from gateway.session.router import Router

LONGEST_SECONDS: Final = 3600.0
"""A call's deadline at most, whatever the other node says."""

Looks = Callable[[wire.Look], Awaitable[wire.Seen]]

log = structlog.get_logger()


class CallDesk:
    """Belongs to the Trio loop. ``looks``: answers other nodes' looks at the power of this one's sessions."""

    def __init__(self, router: Router, looks: Looks) -> None:
        self._router = router
        self._looks = looks

    async def answer(self, message: bytes) -> bytes:
        """The reply to another node's request. Cancelling ends the waiting, not what was begun. Never raises."""
        try:
            request = wire.decode_request(message)
        except wire.Unreadable as error:
            log.error("a node's request can't be read", error=str(error))
            return wire.encode_unreadable(str(error))
        try:
            if isinstance(request, wire.Look):
                return wire.encode_seen(await self._looks(request))
            return wire.encode_reply(await self._answer(request))
        except Exception as error:
            log.exception("a node's request failed", request=type(request).__name__)
            return wire.encode_unreadable(type(error).__name__)

    async def _answer(self, request: wire.Call | wire.Operate) -> wire.Reply:
        session = self._router.session(request.identity)
        if session is None or session.epoch != request.epoch:
            return wire.NotHere()
        seconds = min(request.seconds, LONGEST_SECONDS)
        if isinstance(request, wire.Call):
            outcome = await self._router.call(
                request.identity,
                request.command,
                request_id=request.request_id,
                deadline=trio.current_time() + seconds,
                caller=request.caller,
            )
            return outcome if isinstance(outcome, Refused | Unknown) else _recorded(outcome)
        begun = await self._router.operate(
            request.identity, request.request, request.request_id, seconds, request.caller
        )
        match begun:
            case Refused() | Unknown() | OperationRefused():
                return begun
            case _:
                return _recorded(begun)


def _recorded(_: CommandRecord | OperationRecord | None) -> wire.Recorded:
    """A record is read where it was asked for: there is one of it."""
    return wire.Recorded()
