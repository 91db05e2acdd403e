"""The wire format of the load generator's chargers: WebSocket frames, OCPP 1.6J texts, times due.

Sans-I/O, and made to cost next to nothing, so that the server is what is measured. Chargers elsewhere in this project
(the simulator, the tests) speak through trio-websocket; as a load generator that was measured to cost more for a
message than the gateway does, so here frames are built by hand. They are masked with zeros, which RFC 6455 §5.3 lets a
client choose and which leaves the payload as it is. Only what a server may send is distinguished here.
"""

import base64
import json
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

MAX_FRAME = 1024 * 1024
"""No server has to say more to a charger at once; one that announces more is cut off."""

FIRST_ID = 10_000_000
"""Message ids count from here and keep eight digits for 90 million messages, so that an answer's id is at a known
place."""

ID = slice(4, 12)
"""Where the id is in ``[3,"10000001",`` as all servers here write it: without spaces."""

FIRST_READING = 1_000_000
"""Wh. Registers begin here and keep seven digits."""


class Unexpected(Exception):
    """The server said what it must not, or this reader does not know. Its text is a short stable reason."""


# --- frames ---------------------------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame of a client's: FIN set, masked with zeros."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size, 0, 0, 0, 0)) + payload
    if size < 65536:
        return struct.pack("!BBHI", 0x80 | opcode, 0xFE, size, 0) + payload
    return struct.pack("!BBQI", 0x80 | opcode, 0xFF, size, 0) + payload


HEADS = tuple(frame(TEXT, bytes(size))[: 6 if size < 126 else 8] for size in range(1024))
"""The heads of text frames by payload size: a lookup instead of a packing for each message."""


def text_frame(payload: bytes) -> bytes:
    """A text message in one frame."""
    size = len(payload)
    return HEADS[size] + payload if size < 1024 else frame(TEXT, payload)


def close_frame(code: int) -> bytes:
    return frame(CLOSE, struct.pack("!H", code))


def close_code(payload: bytes) -> int:
    """The code in a Close's payload; 1005 stands for none (RFC 6455 §7.4.1)."""
    return struct.unpack_from("!H", payload)[0] if len(payload) >= 2 else 1005


def frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames at the start of a server's bytes as (opcode, payload), and what is left, a part of a next one.

    Raises Unexpected for what a server must not send, and for fragments: no server needs them for so little.
    """
    found: list[tuple[int, bytes]] = []
    at, end = 0, len(data)
    while end - at >= 2:
        first, size = data[at], data[at + 1]
        start = at + 2
        if size == 126:
            if end - start < 2:
                break
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif size == 127:
            if end - start < 8:
                break
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        elif size > 127:
            raise Unexpected("masked frame")
        if size > MAX_FRAME:
            raise Unexpected("frame too large")
        if first & 0x70 or not first & 0x80 or first & 0x0F not in (TEXT, CLOSE, PING, PONG):
            raise Unexpected("unexpected frame")
        if end - start < size:
            break
        at = start + size
        found.append((first & 0x0F, data[start:at]))
    return found, data[at:]


# --- the upgrade ----------------------------------------------------------------------------------------------


def upgrade_request(path: str, identity: str, key: bytes, host: str = "localhost") -> bytes:
    """The HTTP head with which a charger asks for its WebSocket (J §3.1, WP A00)."""
    token = base64.b64encode(identity.encode() + b":" + key).decode()
    return (
        f"GET {path}/{identity} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: ocpp1.6\r\nAuthorization: Basic {token}\r\n\r\n"
    ).encode()


def upgrade_answer(data: bytes) -> tuple[int, bytes] | None:
    """The status of the HTTP answer and the bytes behind its head; None while the head isn't whole."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        if len(data) > 16 * 1024:
            raise Unexpected("HTTP head too large")
        return None
    parts = head.split(b" ", 2)
    if not parts[0].startswith(b"HTTP/1.") or len(parts) < 2 or not parts[1].isdigit():
        raise Unexpected("not HTTP")
    return int(parts[1]), rest


# --- a charger's messages -------------------------------------------------------------------------------------
# Each takes the message id, the time as bytes, the transaction's number and the register's reading.

_METER_VALUES = (
    b'[2,"%d","MeterValues",{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"%b","sampledValue":['
    b'{"value":"%d","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
    b'{"value":"7360.5","measurand":"Power.Active.Import","unit":"W"}]}]}]'
)
_METER_VALUES_IDLE = _METER_VALUES.replace(b'"transactionId":%d,', b"")
_BOOT = (
    b'[2,"%d","BootNotification",{"chargePointVendor":"Bench","chargePointModel":"Wallbox 11","firmwareVersion":"1.0",'
    b'"chargePointSerialNumber":"B-0001"}]'
)
_STATUS = b'[2,"%d","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"%b"}]'
_START = b'[2,"%d","StartTransaction",{"connectorId":1,"idTag":"BENCH","meterStart":%d,"timestamp":"%b"}]'
_STOP = b'[2,"%d","StopTransaction",{"transactionId":%d,"meterStop":%d,"timestamp":"%b","reason":"Local"}]'

Message = Callable[[int, bytes, int, int], bytes]


def meter_values(number: int, now: bytes, transaction: int, reading: int) -> bytes:
    """Two sampled values, as a wallbox in a transaction sends them; without a transaction where its number is 0."""
    if transaction:
        text = _METER_VALUES % (number, transaction, now, reading)
    else:
        text = _METER_VALUES_IDLE % (number, now, reading)
    return HEADS[len(text)] + text


def heartbeat(number: int, now: bytes, transaction: int, reading: int) -> bytes:
    return text_frame(b'[2,"%d","Heartbeat",{}]' % number)


def boot(number: int, now: bytes, transaction: int, reading: int) -> bytes:
    return text_frame(_BOOT % number)


def status(number: int, now: bytes, transaction: int, reading: int) -> bytes:
    return text_frame(_STATUS % (number, now))


def start(number: int, now: bytes, transaction: int, reading: int) -> bytes:
    return text_frame(_START % (number, reading, now))


def stop(number: int, now: bytes, transaction: int, reading: int) -> bytes:
    return text_frame(_STOP % (number, transaction, reading, now))


MESSAGES: dict[str, Message] = {
    "MeterValues": meter_values,
    "Heartbeat": heartbeat,
    "BootNotification": boot,
    "StatusNotification": status,
    "StartTransaction": start,
    "StopTransaction": stop,
}


# --- what the server asks -------------------------------------------------------------------------------------

_ACCEPTED = {"status": "Accepted"}
_CONFIGURATION = {
    "HeartbeatInterval": "300",
    "NumberOfConnectors": "1",
    "SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger",
    "ChargingScheduleAllowedChargingRateUnit": "Current",
    "ChargeProfileMaxStackLevel": "8",
    "ChargingScheduleMaxPeriods": "24",
    "MaxChargingProfilesInstalled": "10",
}
_CONFIRMATIONS: dict[str, Any] = {
    "GetConfiguration": {
        "configurationKey": [{"key": key, "readonly": True, "value": value} for key, value in _CONFIGURATION.items()]
    },
    "GetCompositeSchedule": {"status": "Rejected"},
    "GetLocalListVersion": {"listVersion": 0},
    "UnlockConnector": {"status": "Unlocked"},
    "GetDiagnostics": {"fileName": "diagnostics.log"},
    "UpdateFirmware": {},
    "GetLog": {"status": "Accepted", "filename": "security.log"},
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "SignedUpdateFirmware": _ACCEPTED,
}
"""What differs from ``Accepted``: the least that is valid."""


class Asked:
    """A CALL of the server's: ``reply`` is the whole frame that confirms it, ``then`` the action of a message that a
    charger sends after it (TriggerMessage), or None."""

    __slots__ = ("action", "reply", "then")

    def __init__(self, call: list[Any]) -> None:
        self.action: str = call[2]
        confirmation = _CONFIRMATIONS.get(self.action, _ACCEPTED)
        self.then: str | None = None
        if self.action in ("TriggerMessage", "ExtendedTriggerMessage"):
            wanted = call[3].get("requestedMessage")
            if wanted in ("BootNotification", "Heartbeat", "MeterValues", "StatusNotification"):
                self.then = wanted
            else:
                confirmation = {"status": "NotImplemented"}
        self.reply = text_frame(json.dumps([3, call[1], confirmation], separators=(",", ":")).encode())


def parse(text: bytes) -> list[Any]:
    """One OCPP-J message of the server's: [2, id, action, payload], [3, id, payload] or [4, id, code, ...].

    Raises Unexpected.
    """
    try:
        message = json.loads(text)
    except ValueError:
        raise Unexpected("not JSON") from None
    if not isinstance(message, list) or len(message) < 3 or not isinstance(message[1], str):
        raise Unexpected("not OCPP-J")
    if not (message[0] == 2 and len(message) == 4 and isinstance(message[3], dict)) and message[0] not in (3, 4):
        raise Unexpected("not OCPP-J")
    return message


# --- when messages are due ------------------------------------------------------------------------------------


class Schedule:
    """Messages spread evenly: each of ``members`` once in ``period`` seconds, one after the other, from ``begin`` on.

    ``offset`` (0 to 1) shifts them by a share of the distance between two, so that several processes interleave.
    """

    def __init__(self, begin: float, period: float, members: int, offset: float = 0.0) -> None:
        if period <= 0 or members <= 0:
            raise ValueError("expected a period and members above 0")
        self._distance = period / members
        self._members = members
        self._begin = begin + offset * self._distance
        self._taken = 0

    @property
    def next_due(self) -> float:
        """Return the time of the next one."""
        return self._begin + self._taken * self._distance

    def take(self, now: float) -> Iterator[tuple[int, float]]:
        """All that are due by now and were not taken before, as (member, when it was due)."""
        while (due := self._begin + self._taken * self._distance) <= now:
            self._taken += 1
            yield (self._taken - 1) % self._members, due
