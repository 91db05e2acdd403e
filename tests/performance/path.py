"""The way of one MeterValues through everything pure: from the frame that came to the frame that goes out.

What a session does with it beside this is the journal's (a row, a commit), Trio's and OpenSSL's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.domain.decision import Authorization, Context, Decision, Facts, Request
from gateway.domain.repeats import MAX_READINGS
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import Registration
from gateway.framing.events import Event, Message
from gateway.framing.websocket import WebSocket
from gateway.ocpp import rpc
from gateway.ocpp.v16.profiles.routing import protocol
from tests.support.frames import TEXT, frame, opened

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CONTEXT = Context(NOW, 300, 300, "tx_1")
FACTS = Facts(authorization=Authorization("Accepted"), number=7)
START = {"connectorId": 1, "idTag": "04A3B2C1", "meterStart": 1000, "timestamp": "2026-03-01T12:00:00Z"}


def meter_values(minute: int) -> bytes:
    """The message that a wallbox sends once a minute while it charges."""
    values = [
        {"value": "1234.5", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "7360.0", "measurand": "Power.Active.Import", "unit": "W"},
        {"value": "32.0", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
        {"value": "230.1", "measurand": "Voltage", "unit": "V", "phase": "L1"},
    ]
    reading = {"timestamp": f"2026-03-01T12:{minute:02}:00Z", "sampledValue": values}
    return orjson.dumps([2, "4711", "MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": [reading]}])


class Path:
    """One charger's session with a transaction under way, without a store, a socket or a clock."""

    def __init__(self) -> None:
        self.websocket: WebSocket = opened()
        self.protocol = protocol()
        self.state = ChargePointState("CP1", 1, Registration.ACCEPTED)
        self.text = meter_values(1)
        # One of the last messages once more would be one whose answer was lost, and make no event.
        self._frames = itertools.cycle([frame(TEXT, meter_values(1 + n)) for n in range(MAX_READINGS + 1)])
        self._sequence = 0
        reply = self._decided(rpc.Call("1", "StartTransaction", START)).reply
        assert reply["transactionId"] == 7

    def _decided(self, call: rpc.Call) -> Decision:
        request = self.protocol.decode_call(call.message_id, call.action, call.payload)
        assert isinstance(request, Request)
        self.protocol.query(self.state, request)
        decision = self.protocol.decide(self.state, request, FACTS, CONTEXT)
        self.evolve(decision)
        return decision

    # The steps, in their order.

    def receive(self) -> list[Event]:
        return self.websocket.receive(next(self._frames))

    def parse(self, events: list[Event]) -> rpc.Call:
        [event] = events
        assert isinstance(event, Message)
        call = rpc.parse(event.data)
        assert isinstance(call, rpc.Call)
        return call

    def decode(self, call: rpc.Call) -> Request[Any]:
        request = self.protocol.decode_call(call.message_id, call.action, call.payload)
        assert isinstance(request, Request)
        return request

    def decide(self, request: Request[Any]) -> Decision:
        query = self.protocol.query(self.state, request)
        return self.protocol.decide(self.state, request, Facts() if query is None else FACTS, CONTEXT)

    def evolve(self, decision: Decision) -> Decision:
        for event in decision.events:
            self._sequence += 1
            evolve(self.state, event, self._sequence)
        return decision

    def encode(self, decision: Decision) -> bytes:
        return rpc.encode_call_result("4711", decision.reply)

    def send(self, data: bytes) -> bytes:
        return self.websocket.text_to_send(data)

    @property
    def steps(self) -> tuple[Callable[..., Any], ...]:
        """Each takes what the one before it returns."""
        return self.receive, self.parse, self.decode, self.decide, self.evolve, self.encode, self.send

    def run(self) -> bytes:
        """One message, all the way; what goes out."""
        decision = self.decide(self.decode(self.parse(self.receive())))
        assert decision.events
        return self.send(self.encode(self.evolve(decision)))

    def yardstick(self) -> bytes:
        """Reading and writing the same message as JSON: what no server can do without."""
        return orjson.dumps(orjson.loads(self.text))
