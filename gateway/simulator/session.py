"""Requests and answers over one link: one outgoing CALL at a time, every incoming CALL answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import trio
from attrs import define, field, frozen

from gateway.simulator import rpc
from gateway.simulator.link import LinkClosed, WebSocketLink

#: How long the charger waits for an answer, in real seconds (J §4.1.1 leaves it to the implementation).
CALL_TIMEOUT = 30.0


class CallFailed(Exception):
    """A CALL was not confirmed: `CallRefused` by a CALLERROR, or no answer came in time."""


class CallRefused(CallFailed):
    """The central system answered with a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code


@frozen
class Reply:
    """The frame that answers a CALL, and what is to be done once it is sent."""

    frame: str
    then: Callable[[], None]


@define(eq=False)
class _Pending:
    id: str
    answered: trio.Event = field(factory=trio.Event)
    answer: rpc.Result | rpc.Refusal | None = None


class Session:
    """The RPC layer over a link. `run` must run for `call` to be answered."""

    def __init__(self, link: WebSocketLink, answer: Callable[[rpc.Call], Reply]) -> None:
        self._link = link
        self._answer = answer
        self._one_at_a_time = trio.Lock()
        self._ids = count(1)
        self._pending: _Pending | None = None
        self._ended: LinkClosed | None = None

    async def run(self) -> None:
        """Read until the link ends, then raise LinkClosed. Answers are sent before the next frame is read."""
        try:
            while True:
                match rpc.decode(await self._link.receive()):
                    case rpc.Call() as call:
                        reply = self._answer(call)
                        await self._link.send(reply.frame)
                        reply.then()
                    case rpc.Result() | rpc.Refusal() as answer:
                        self._resolve(answer)
                    case rpc.Unreadable():
                        pass  # ignored, as J §4.1.3 wants; nothing could be answered
        except LinkClosed as error:
            self._ended = error
            raise
        finally:
            self._ended = self._ended or LinkClosed()
            if self._pending is not None:
                self._pending.answered.set()

    def _resolve(self, answer: rpc.Result | rpc.Refusal) -> None:
        pending = self._pending
        if pending is not None and pending.id == answer.id:  # else it is late, and no task waits for it
            pending.answer = answer
            pending.answered.set()

    async def call(self, action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Send a CALL and return the payload of its confirmation.

        Waits until earlier CALLs are answered (J §4.1.1). Raises CallRefused, CallFailed (no answer in time, or
        one that is no object) or LinkClosed. Cancelling frees the slot; a late answer is dropped.
        """
        async with self._one_at_a_time:
            if self._ended is not None:
                raise self._ended
            pending = self._pending = _Pending(str(next(self._ids)))
            try:
                with trio.fail_after(CALL_TIMEOUT):
                    await self._link.send(rpc.call(pending.id, action, payload))
                    await pending.answered.wait()
            except trio.TooSlowError:
                raise CallFailed(f"{action}: no answer in {CALL_TIMEOUT:.0f} s") from None
            finally:
                self._pending = None
        match pending.answer:
            case rpc.Refusal(code=code, description=description):
                raise CallRefused(code, description)
            case rpc.Result(payload=dict() as confirmation):
                return confirmation
            case rpc.Result():
                raise CallFailed(f"{action}: the confirmation is not an object")
        raise self._ended or LinkClosed()
