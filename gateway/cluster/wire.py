"""Messages between nodes: JSON with a version. One of a later version is answered ``{"v": 1, "unreadable": ...}``."""

from typing import Any, Final, TypeAlias

import orjson
from attrs import astuple, evolve, frozen

from gateway.domain import fleet_summary
from gateway.domain.codec import UnreadableBody, decode_value, encode_value
from gateway.domain.commands import COMMANDS, Command, Refused, Unknown, UpdateFirmware, operation_of
from gateway.domain.fleet_summary import NO_POWER, PowerSum
from gateway.domain.operations import OperationRefused, OperationRequest

VERSION: Final = 1

PLAIN_FIRMWARE: Final = "install"
"""Name of a request to install firmware that is not signed, in the place of ``operate``. An older node could send the
command, and would take its empty confirmation for a refusal: it does not know the name, so nothing is begun there."""

UNREADABLE: Final = (UnreadableBody, LookupError, TypeError, ValueError, AttributeError)
"""What reading a message of another form raises."""


class Unreadable(Exception):
    """The message is none of this version's. The text says why, for the other node's log."""


@frozen
class Call:
    """A command for a charge point, ``epoch`` being that of its session; it is not sent later than in ``seconds``."""

    identity: str
    epoch: int
    request_id: str
    seconds: float
    caller: str
    command: Command


@frozen
class Operate:
    """An operation to be begun, otherwise as ``Call``."""

    identity: str
    epoch: int
    request_id: str
    seconds: float
    caller: str
    request: OperationRequest


@frozen
class Look:
    """A look at the power of the node's sessions, by identity from ``after`` on."""

    after: str = ""


@frozen
class Recorded:
    """Its record is in the store, under its request id."""


@frozen
class NotHere:
    """The session is not at this node, or not any more."""


@frozen
class Seen:
    """Sessions, by identity. ``more``: there are more after the last of them."""

    rows: tuple[tuple[str, fleet_summary.Seen], ...]
    more: bool


Request: TypeAlias = Call | Operate | Look
Reply: TypeAlias = Recorded | NotHere | Refused | OperationRefused | Unknown


def encode_request(request: Request) -> bytes:
    """A request, secrets of its command included: never to be logged."""
    if isinstance(request, Look):
        return orjson.dumps({"v": VERSION, "look": request.after})
    fields: dict[str, Any] = {
        "v": VERSION,
        "identity": request.identity,
        "epoch": request.epoch,
        "request_id": request.request_id,
        "seconds": request.seconds,
        "caller": request.caller,
    }
    if isinstance(request, Call):
        fields["call"] = _command(request.command)
    else:
        plain = isinstance(request.request.own_command, UpdateFirmware)
        fields[PLAIN_FIRMWARE if plain else "operate"] = orjson.Fragment(encode_value(request.request))
        if request.request.own_command is not None:
            fields["own"] = _command(request.request.own_command)
    return orjson.dumps(fields)


def decode_request(data: bytes) -> Request:
    """The request in a message. Raises ``Unreadable``."""
    fields = _fields(data)
    try:
        if "look" in fields:
            return Look(str(fields["look"]))
        head = (
            str(fields["identity"]),
            int(fields["epoch"]),
            str(fields["request_id"]),
            float(fields["seconds"]),
            str(fields["caller"]),
        )
        if "call" in fields:
            return Call(*head, _read_command(fields["call"]))
        name = PLAIN_FIRMWARE if PLAIN_FIRMWARE in fields else "operate"
        request = decode_value(orjson.dumps(fields[name]), OperationRequest)
        own = fields.get("own")
        return Operate(*head, request if own is None else evolve(request, own_command=_read_command(own)))
    except UNREADABLE as error:
        raise Unreadable(f"no request of this version: {type(error).__name__}") from error


_REPLIES: Final[dict[str, type[Any]]] = {
    "recorded": Recorded,
    "not_here": NotHere,
    "refused": Refused,
    "operation_refused": OperationRefused,
    "unknown": Unknown,
}
_NAMES: Final = {cls: name for name, cls in _REPLIES.items()}


def encode_reply(reply: Reply) -> bytes:
    return orjson.dumps({"v": VERSION, _NAMES[type(reply)]: orjson.Fragment(encode_value(reply))})


def decode_reply(data: bytes) -> Reply:
    """The reply in a message. Raises ``Unreadable``."""
    fields = _fields(data)
    for name, cls in _REPLIES.items():
        if name in fields:
            try:
                reply: Reply = decode_value(orjson.dumps(fields[name]), cls)
            except UNREADABLE as error:
                raise Unreadable(f"no reply of this version: {type(error).__name__}") from error
            return reply
    raise Unreadable(f"the other node could not read the request: {fields.get('unreadable', '')!s:.200}")


def encode_seen(seen: Seen) -> bytes:
    """The reply to a look: of a session without power its epoch alone, some 30 bytes."""
    rows = [
        (identity, each.epoch) if each.power == NO_POWER else (identity, each.epoch, *astuple(each.power))
        for identity, each in seen.rows
    ]
    return orjson.dumps({"v": VERSION, "seen": rows, "more": seen.more})


def decode_seen(data: bytes) -> Seen:
    """The reply to a look. Raises ``Unreadable``, also where the other node could not read the request."""
    fields = _fields(data)
    if "seen" not in fields:
        raise Unreadable(f"the other node could not read the request: {fields.get('unreadable', '')!s:.200}")
    try:
        return Seen(tuple(map(_seen, fields["seen"])), bool(fields["more"]))
    except UNREADABLE as error:
        raise Unreadable(f"no reply of this version: {type(error).__name__}") from error


def _seen(row: list[Any]) -> tuple[str, fleet_summary.Seen]:
    identity, epoch, *power = row
    if not power:
        return str(identity), fleet_summary.Seen(int(epoch), NO_POWER)
    watts, readings, stale_watts, stale, without = power
    summed = PowerSum(float(watts), int(readings), float(stale_watts), int(stale), int(without))
    return str(identity), fleet_summary.Seen(int(epoch), summed)


def encode_unreadable(why: str) -> bytes:
    """The reply to a message that can't be read."""
    return orjson.dumps({"v": VERSION, "unreadable": why})


def _fields(data: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Unreadable("no JSON") from error
    if not isinstance(fields, dict) or fields.get("v") != VERSION:
        raise Unreadable("a message of another version")
    return fields


def _command(command: Command) -> list[Any]:
    return [operation_of(command), orjson.Fragment(encode_value(command))]


def _read_command(said: Any) -> Command:
    operation, arguments = said
    command: Command = decode_value(orjson.dumps(arguments), COMMANDS[operation])
    return command
