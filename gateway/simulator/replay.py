"""A recorded tap, played back: a charger that says what another one said, in its order, and answers as it answered.

A recording has one frame a line, as ``gateway tap --output`` writes it: an object with ``kind`` (``received``: of the
charge point; ``sent``: of the gateway; ``connected``, ``closed``) and ``text``. A transaction is named by the number
that this gateway has given it. Each CALL waits for the answer to the one before; the times between them are not kept.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from attrs import frozen

from gateway.simulator import rpc
from gateway.simulator.session import CallFailed, CallRefused, Reply

#: Frames of a recording: a day of a busy charger. More are refused, so that a wrong file fills no memory.
MAX_FRAMES = 100_000

RECEIVED, SENT = "received", "sent"
KINDS = frozenset({RECEIVED, SENT, "connected", "closed"})
TRANSACTION = "transactionId"


@frozen
class RecordedFrame:
    """A line of a recording."""

    kind: str
    text: str


@frozen
class Step:
    """A CALL of the recording, played back. `recorded`, `answered`: the payloads of the two answers; None: there was
    none, or it was refused (`was_refused` in the recording, `refused` now, which say why)."""

    action: str
    recorded: Mapping[str, Any] | None
    answered: Mapping[str, Any] | None
    refused: str = ""
    was_refused: str = ""

    @property
    def differs(self) -> bool:
        """True if the charger was answered another status than in the recording, or refused what it was not, or not
        what it was."""
        if self.was_refused:
            return self.answered is not None
        return self.recorded is not None and _status(self.recorded) != _status(self.answered)


def read_recording(lines: Iterable[str]) -> list[RecordedFrame]:
    """Read a recording; empty lines are skipped. Raises ValueError that names the line."""
    found: list[RecordedFrame] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if len(found) >= MAX_FRAMES:
            raise ValueError(f"line {number}: a recording has at most {MAX_FRAMES:,} frames")
        try:
            each = json.loads(line)
        except ValueError:
            raise ValueError(f"line {number}: not JSON") from None
        if not isinstance(each, dict) or each.get("kind") not in KINDS or not isinstance(each.get("text"), str):
            raise ValueError(f"line {number}: expected an object with kind ({', '.join(sorted(KINDS))}) and text")
        found.append(RecordedFrame(each["kind"], each["text"]))
    return found


class Replay:
    """One playback. `reply` answers the gateway's CALLs, `run` says what the charger said."""

    def __init__(self, frames: Iterable[RecordedFrame]) -> None:
        self._calls: list[rpc.Call] = []
        self._recorded: dict[int, Mapping[str, Any] | rpc.Refusal] = {}
        """By the number of the CALL: its id may be that of others, too."""
        self._replies: defaultdict[str, deque[rpc.Result | rpc.Refusal]] = defaultdict(deque)
        self._numbers: dict[int, int] = {}
        asked: dict[str, str] = {}
        waiting: dict[str, int] = {}
        for frame in frames:
            match frame.kind, rpc.decode(frame.text):
                case "received", rpc.Call() as call:
                    waiting[call.id] = len(self._calls)
                    self._calls.append(call)
                case "received", rpc.Result() | rpc.Refusal() as answer if answer.id in asked:
                    self._replies[asked.pop(answer.id)].append(answer)
                case "sent", rpc.Call() as call:
                    asked[call.id] = call.action
                case "sent", rpc.Result(payload=dict() as payload) as result if result.id in waiting:
                    self._recorded[waiting.pop(result.id)] = payload
                case "sent", rpc.Refusal() as refusal if refusal.id in waiting:
                    self._recorded[waiting.pop(refusal.id)] = refusal
                case _:
                    pass  # a connection's beginning or end, or what can't be read: it has no part in a dialogue

    def __len__(self) -> int:
        return len(self._calls)

    def reply(self, call: rpc.Call) -> Reply:
        """The answer that the charger gave to the next CALL of this action; NotSupported where it gave none."""
        replies = self._replies[call.action]
        answer = replies.popleft() if replies else None
        match answer:
            case rpc.Result(payload=dict() as payload):
                frame = rpc.result(call.id, payload)
            case rpc.Refusal(code=code, description=description):
                frame = rpc.error(call.id, code, description)
            case _:
                frame = rpc.error(call.id, "NotSupported", "not in the recording")
        return Reply(frame, lambda: None)

    async def run(
        self, call: Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]], played: Callable[[Step], None]
    ) -> None:
        """Send all CALLs, one after the other; `played` is called with each. Raises what `call` raises, but for
        CallFailed."""
        for number, each in enumerate(self._calls):
            found = self._recorded.get(number)
            was_refused = str(CallRefused(found.code, found.description)) if isinstance(found, rpc.Refusal) else ""
            recorded = None if isinstance(found, rpc.Refusal) else found
            payload = self._renumbered(each.payload if isinstance(each.payload, dict) else {})
            try:
                answered = await call(each.action, payload)
            except CallFailed as error:
                played(Step(each.action, recorded, None, str(error), was_refused))
                continue
            if recorded is not None and TRANSACTION in recorded and TRANSACTION in answered:
                self._numbers[recorded[TRANSACTION]] = answered[TRANSACTION]
            played(Step(each.action, recorded, answered, "", was_refused))

    def _renumbered(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        number = payload.get(TRANSACTION)
        known = self._numbers.get(number) if isinstance(number, int) else None
        return {**payload} if known is None else {**payload, TRANSACTION: known}


def _status(payload: Mapping[str, Any] | None) -> object:
    """The word that an answer decides with."""
    if payload is None:
        return None
    info = payload.get("idTagInfo")
    return payload.get("status") or (info.get("status") if isinstance(info, dict) else "")
