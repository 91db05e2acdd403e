"""A charger as far as a test needs one: calls, answers what it is asked, remembers what it was asked."""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any

import trio
from attrs import define, field

from tests.endtoend.gateway_process import KEY, Gateway
from tests.endtoend.wire import PATIENCE, Closed, LinkLost, Wire

SILENT = object()
"""As an answer: none."""

ANSWERS: dict[str, Any] = {
    "ChangeConfiguration": {"status": "Accepted"},
    "TriggerMessage": {"status": "Accepted"},
    "RemoteStartTransaction": {"status": "Accepted"},
    "RemoteStopTransaction": {"status": "Accepted"},
    "SetChargingProfile": {"status": "Accepted"},
    "UnlockConnector": {"status": "Unlocked"},
}

BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model", "firmwareVersion": "1.0"}

_ids = itertools.count(1)


@define
class ErrorAnswer:
    """As an answer: a CALLERROR."""

    code: str
    description: str = ""
    details: Any = field(factory=dict)


class CallError(Exception):
    """The gateway answered CALLERROR."""


def now() -> str:
    """The time, as chargers write it."""
    return as_sent(datetime.now(UTC))


def as_sent(time: datetime) -> str:
    """A time as chargers write it, to the millisecond."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@define(eq=False)
class Charger:
    """One connection of a charger. ``answers``: by action, a payload, SILENT, or what makes either of the request."""

    wire: Wire
    answers: dict[str, Any]
    asked: list[tuple[str, Any]] = field(factory=list)
    unanswered: list[tuple[str, str]] = field(factory=list)
    ended: Closed | LinkLost | None = None
    _waiting: dict[str, list[Any]] = field(factory=dict)
    _news: trio.Event = field(factory=trio.Event)

    async def call(self, action: str, payload: Any, message_id: str | None = None) -> Any:
        """Send a CALL and return its confirmation. Raises CallError, and Closed or LinkLost if none comes."""
        message_id = message_id or f"m{next(_ids)}"
        answer: list[Any] = []
        self._waiting[message_id] = answer
        await self.wire.send(json.dumps([2, message_id, action, payload]))
        await self.until(lambda: bool(answer) or self.ended is not None)
        if not answer:
            assert self.ended is not None
            raise self.ended
        kind, _, *rest = answer
        if kind == 4:
            raise CallError(rest)
        return rest[0]

    async def says(self, action: str, payload: Any, message_id: str) -> list[Any]:
        """Send a CALL; the frame that answers it is in the list by the time that it is read."""
        answer = self._waiting[message_id] = []
        await self.wire.send(json.dumps([2, message_id, action, payload]))
        return answer

    async def boot(self, **changes: str) -> Any:
        """BootNotification; its confirmation."""
        return await self.call("BootNotification", BOOT | changes)

    async def status(self, status: str, connector: int = 1) -> Any:
        """StatusNotification."""
        payload = {"connectorId": connector, "status": status, "errorCode": "NoError", "timestamp": now()}
        return await self.call("StatusNotification", payload)

    async def is_asked(self, action: str, seconds: float = PATIENCE) -> Any:
        """Wait for a CALL of the gateway with this action, and take it: its payload."""
        with trio.fail_after(seconds):
            await self.until(lambda: self.ended is not None or any(name == action for name, _ in self.asked))
        for index, (name, payload) in enumerate(self.asked):
            if name == action:
                del self.asked[index]
                return payload
        raise AssertionError(f"the connection ended before {action} was asked: {self.ended!r}")

    async def answer_last(self, action: str, payload: Any) -> None:
        """Answer at last what was left without an answer."""
        [message_id] = [each for name, each in self.unanswered if name == action]
        await self.wire.send(json.dumps([3, message_id, payload]))

    async def sees_the_end(self, seconds: float = PATIENCE) -> Closed | LinkLost:
        """Wait for the end of the connection."""
        with trio.fail_after(seconds):
            await self.until(lambda: self.ended is not None)
        assert self.ended is not None
        return self.ended

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that was read makes the condition true."""
        while not condition():
            await self._news.wait()

    async def read(self) -> None:
        """Read until the connection ends."""
        try:
            while True:
                await self._take(json.loads(await self.wire.receive()))
                self._tell()
        except (Closed, LinkLost) as end:
            self.ended = end
        finally:
            self._tell()
            await self.wire.cut()

    async def _take(self, frame: list[Any]) -> None:
        if frame[0] != 2:
            self._waiting.pop(frame[1], []).extend(frame)
            return
        _, message_id, action, payload = frame
        answer = self.answers.get(action)
        if callable(answer):
            answer = answer(payload)
        self.asked.append((action, payload))
        if answer is SILENT:
            self.unanswered.append((action, message_id))
            return
        if isinstance(answer, ErrorAnswer):
            reply = [4, message_id, answer.code, answer.description, answer.details]
        else:
            reply = [4, message_id, "NotImplemented", "", {}] if answer is None else [3, message_id, answer]
        await self.wire.send(json.dumps(reply))

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


async def connect(
    nursery: trio.Nursery, gateway: Gateway, identity: str, *, answers: dict[str, Any] | None = None, **options: Any
) -> Charger:
    """Connect a charger that reads in ``nursery``. Raises Refused and LinkLost."""
    charger = Charger(await Wire.open(gateway, identity, **options), ANSWERS | (answers or {}))
    nursery.start_soon(charger.read)
    return charger


@asynccontextmanager
async def chargers(
    gateway: Gateway, *identities: str, keys: Sequence[bytes] = (), boot: bool = True, **options: Any
) -> AsyncIterator[Sequence[Charger]]:
    """Chargers that are connected and, by default, booted; they hang up at the end."""
    async with trio.open_nursery() as nursery:
        connected = [
            await connect(nursery, gateway, identity, key=key, **options)
            for identity, key in zip(identities, chain(keys, repeat(KEY)), strict=False)
        ]
        if boot:
            for charger in connected:
                assert (await charger.boot())["status"] == "Accepted"
        yield connected
        for charger in connected:
            await charger.wire.aclose()
        nursery.cancel_scope.cancel()
