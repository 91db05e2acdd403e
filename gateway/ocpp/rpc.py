"""OCPP-J frames: bytes to CALL, CALLRESULT and CALLERROR, and back (J §4). Sans-I/O, no version of OCPP in it.

``parse`` never raises: whatever a charger sends becomes one of five values. What the specification leaves open
(A3.13) is decided here:

* Strict JSON is read by orjson. What it refuses is read once more by a lenient reader that takes a byte-order mark,
  ``NaN`` and ``Infinity`` and numbers beyond a double (they become strings of the same spelling, so that a reader of
  measurements refuses just them), and lone surrogates (replaced by U+FFFD; an id with one is answered as it was
  spelled: ``SpelledId``). It is slow, so only for frames of up to ``MAX_LENIENT`` bytes.
* Of duplicate keys the last one counts.
* Integers are exact within 64 bits (a transactionId of 2^63 − 1 is read as such, mh#617); larger ones become floats.
* Nesting and the number of values are bounded (``gateway.ocpp.payload_bounds``) before anything reads them. A CALL
  that has to be recorded is then handed on as it is (``Unread``); all else beyond the bounds is malformed.
"""

import json
import re
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import orjson
from attrs import evolve, field, frozen

from gateway.domain.json_scan import Scan
from gateway.domain.values import JSON
from gateway.ocpp.payload_bounds import MAX_DEPTH, MAX_NODES, MAX_RECORDED_NODES, PIECE_BYTES, SMALL_BYTES
from gateway.quick_frozen import quick_frozen

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4

MAX_MESSAGE_ID = 36
"""J §4.1.4: long enough for a UUID in text."""

MAX_ECHOED_ID = 255
"""Ids that are too long are echoed up to here; a longer one is not worth sending back (J §4.2.3, A4.3). A CALL
that has to be recorded is taken with such an id: a CALLERROR would make the charger repeat it for ever (A4.2)."""

MAX_DESCRIPTION = 255
"""J §4.2.3: errorDescription."""

MAX_LENIENT = 64 * 1024
"""Bytes. A whole message of 1 MiB would take the lenient reader 0.4 s, in which no other charger is served; this is
ten times what a message of today's chargers has."""

MAX_HEAD = 4096
"""Bytes in which the id and the action of a frame must end for a frame that can't be read to be known by them: an id of
``MAX_ECHOED_ID`` characters, each of them escaped as two surrogates, and more."""

_HEAD = re.compile(rb'(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*([234])[ \t\r\n]*,[ \t\r\n]*(?=")')
_NEXT_TEXT = re.compile(r'[ \t\r\n]*,[ \t\r\n]*(?=")')
_JSON = json.JSONDecoder()
"""The beginning of a frame that can't be read as a whole: enough to know what it concerns (quirk 33)."""

_REPLACED = "\ufffd"


class SpelledId(str):
    """A message id with a lone surrogate, which no text holds that is stored or sent as UTF-8.

    As a text it has the surrogates escaped, so that two such ids stay two. An answer has to bear the id that was sent,
    and bears its ``spelling``: the JSON as it came. ``length``: of the id, in characters.
    """

    __slots__ = ("length", "spelling")

    spelling: bytes
    length: int

    def __new__(cls, message_id: str, spelling: str) -> "SpelledId":
        """``message_id`` with its surrogates."""
        made = super().__new__(cls, message_id.encode("utf-8", "backslashreplace").decode())
        made.spelling = spelling.encode()
        made.length = len(message_id)
        return made


@quick_frozen
class Call:
    """``payload`` as sent, ``{}`` for null (J §4.2). It may be anything JSON can hold: not yet validated."""

    message_id: str
    action: str
    payload: JSON


@frozen
class CallResult:
    message_id: str
    payload: JSON


@frozen
class CallError:
    """An error as the charger sent it, made whole: missing or odd parts become empty (A3.12).

    ``details`` may be any JSON, whatever the specification says.
    """

    message_id: str
    code: str
    description: str
    details: JSON


@frozen
class Ignored:
    """A message type other than 2, 3 and 4: to be ignored (J §4.1.3). ``message_type`` is its JSON, cut short."""

    message_type: str


@frozen
class Malformed:
    """No frame. ``reason`` is for logs and carries nothing of the content.

    ``kind``: CALL, CALL_RESULT or CALL_ERROR where that is known, else 0. ``answerable``: it was a CALL whose id is
    known, to be answered by a CALLERROR; ``unread``: one that could not be read as JSON within the bounds. A malformed
    result or error is never answered; it fails the pending call with its ``message_id``, if there is one (J §4.2,
    A3.10).
    """

    reason: str
    message_id: str | None = None
    answerable: bool = False
    kind: int = 0
    unread: bool = False


@frozen
class Unread:
    """A CALL that has to be recorded, and is beyond the bounds or the lenient reader: its payload was not read.

    ``data`` is the whole message as sent; ``reason`` carries nothing of the content.
    """

    message_id: str
    action: str
    data: bytes = field(repr=False)
    reason: str


Frame: TypeAlias = Call | CallResult | CallError | Ignored | Malformed | Unread

IsRecorded: TypeAlias = Callable[[str], bool]
"""Whether a CALL of this action has to be recorded, whatever it holds."""


@frozen
class _Head:
    """Beginning of a frame. ``action``: its third element where that is a text."""

    kind: int
    message_id: str
    action: str = ""


def _nothing(_: str) -> bool:
    return False


def parse(data: bytes, is_recorded: IsRecorded = _nothing) -> Frame:
    """One text message to a frame. Never raises; the cost is bounded by the length of ``data``."""
    if len(data) > SMALL_BYTES:
        turns = reading(data, is_recorded)
        while True:
            try:
                next(turns)
            except StopIteration as done:
                frame: Frame = done.value
                return frame
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        value = _read_leniently(data)
        if value is None:
            return _beyond(data, f"not JSON: {error.msg}", is_recorded if _nests_too_deep(data) else _nothing)
        return _with_id_as_sent(_frame(value, is_recorded), data)
    # Brackets bound the depth from above, and counting them costs next to nothing.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _too_deep(value, MAX_DEPTH):
        return _beyond(data, f"nested deeper than {MAX_DEPTH}", is_recorded)
    return _frame(value, is_recorded)


def reading(data: bytes, is_recorded: IsRecorded = _nothing) -> Generator[Scan, None, Frame]:
    """As ``parse``, in turns: yields wherever something else may be done, each time after a millisecond or two, except
    that reading the JSON itself is one turn (some 30 ms for the largest message that is read). What it yields is the
    count so far."""
    scan = Scan()
    for at in range(0, len(data), PIECE_BYTES):
        scan.add(data[at : at + PIECE_BYTES])
        if scan.deepest > MAX_DEPTH:
            return _beyond(data, f"nested deeper than {MAX_DEPTH}", is_recorded)
        if scan.nodes > MAX_RECORDED_NODES:
            return _beyond(data, f"more than {MAX_RECORDED_NODES} values", is_recorded)
        yield scan
    if scan.nodes > MAX_NODES and not _has_to_be_recorded(_head(data), is_recorded):
        return _beyond(data, f"more than {MAX_NODES} values", is_recorded)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        yield scan
        value = _read_leniently(data)
        if value is None:
            reason = f"not JSON: {error.msg}"
            # What only the lenient reader takes is whole; what is cut off or garbled, the charger may send better.
            return _beyond(data, reason, is_recorded if scan.closed and len(data) > MAX_LENIENT else _nothing)
        return _with_id_as_sent(_frame(value, is_recorded), data)
    yield scan
    return _frame(value, is_recorded)


def _nests_too_deep(data: bytes) -> bool:
    """Return whether nesting may be why a message could not be read, and not that it is cut off."""
    scan = Scan()
    scan.add(data)
    return scan.deepest > MAX_DEPTH and scan.closed


def _frame(frame: JSON, is_recorded: IsRecorded) -> Frame:
    """JSON within the bounds to a frame."""
    if type(frame) is not list or not frame:
        return Malformed("not a JSON array" if type(frame) is not list else "an empty array")
    kind = frame[0]
    if type(kind) is not int or kind not in (CALL, CALL_RESULT, CALL_ERROR):
        return Ignored(_shortened(kind))
    if len(frame) < 2 or type(frame[1]) is not str:
        return Malformed("the message id is not a string", kind=kind)
    if kind == CALL:
        return _call(frame, is_recorded)
    if kind == CALL_RESULT:
        return _call_result(frame)
    return _call_error(frame)


def encode_call(message_id: str, action: str, payload: JSON) -> bytes:
    """A CALL on the wire."""
    return orjson.dumps((CALL, message_id, action, payload))


def encode_call_result(message_id: str, payload: JSON) -> bytes:
    """A CALLRESULT on the wire."""
    if type(message_id) is SpelledId:
        return b"[%d,%b,%b]" % (CALL_RESULT, message_id.spelling, orjson.dumps(payload))
    return orjson.dumps((CALL_RESULT, message_id, payload))


def encode_call_error(message_id: str, code: str, description: str = "") -> bytes:
    """A CALLERROR on the wire: the description cut to its limit, the details always ``{}`` (J §4.2.3)."""
    description = description[:MAX_DESCRIPTION]
    if type(message_id) is SpelledId:
        error = orjson.dumps(code), orjson.dumps(description)
        return b"[%d,%b,%b,%b,{}]" % (CALL_ERROR, message_id.spelling, *error)
    return orjson.dumps((CALL_ERROR, message_id, code, description, {}))


def _call(frame: list[Any], is_recorded: IsRecorded) -> Call | Malformed:
    message_id = frame[1]
    answerable = len(message_id) <= MAX_ECHOED_ID
    if not 0 < len(message_id) <= MAX_MESSAGE_ID and not (
        message_id and answerable and len(frame) > 2 and type(frame[2]) is str and is_recorded(frame[2])
    ):
        reason = f"the message id has {len(message_id)} characters, 1 to {MAX_MESSAGE_ID} are allowed"
    elif len(frame) != 4:
        reason = f"a CALL of {len(frame)} elements, 4 are needed"
    elif type(frame[2]) is not str:
        reason = "the action is not a string"
    else:
        return Call(message_id, frame[2], {} if frame[3] is None else frame[3])
    return Malformed(reason, message_id if answerable else None, answerable, CALL)


def _call_result(frame: list[Any]) -> CallResult | Malformed:
    if len(frame) != 3:
        return Malformed(f"a CALLRESULT of {len(frame)} elements, 3 are needed", frame[1], kind=CALL_RESULT)
    return CallResult(frame[1], {} if frame[2] is None else frame[2])


def _call_error(frame: list[Any]) -> CallError | Malformed:
    if len(frame) < 3 or type(frame[2]) is not str:
        return Malformed("a CALLERROR without an error code", frame[1], kind=CALL_ERROR)
    description = frame[3] if len(frame) > 3 else ""
    details = frame[4] if len(frame) > 4 else {}
    return CallError(
        frame[1],
        frame[2],
        description if type(description) is str else "" if description is None else _shortened(description),
        {} if details is None else details,
    )


def _head(data: bytes) -> _Head | None:
    """Return the beginning of a frame that can't be read as a whole; None if it begins like no frame."""
    begin = _HEAD.match(data)
    if begin is None:
        return None
    text = data[begin.end() : begin.end() + MAX_HEAD].decode("utf-8", "replace")
    try:
        sent, at = _JSON.raw_decode(text)
    except ValueError:
        return None
    kind, message_id = int(begin[1]), sent
    if _without_surrogates(sent) != sent:
        message_id = SpelledId(sent, text[:at])
    following = _NEXT_TEXT.match(text, at)
    try:
        action = "" if following is None else _JSON.raw_decode(text, following.end())[0]
    except ValueError:
        action = ""
    return _Head(kind, message_id, action)


def _length(message_id: str) -> int:
    return message_id.length if type(message_id) is SpelledId else len(message_id)


def _with_id_as_sent(frame: Frame, data: bytes) -> Frame:
    """Return a frame that was read leniently, with the id to answer it by where surrogates have been replaced in it."""
    if isinstance(frame, Ignored) or frame.message_id is None or _REPLACED not in frame.message_id:
        return frame
    head = _head(data)
    return frame if head is None else evolve(frame, message_id=head.message_id)


def _has_to_be_recorded(head: _Head | None, is_recorded: IsRecorded) -> bool:
    return (
        head is not None
        and head.kind == CALL
        and 0 < _length(head.message_id) <= MAX_ECHOED_ID
        and is_recorded(head.action)
    )


def _beyond(data: bytes, reason: str, is_recorded: IsRecorded) -> Unread | Malformed:
    """Return what becomes of a message that is not read: kept as it is if it has to be recorded; else what can be saved
    of it, its kind and id, if it begins like a frame."""
    head = _head(data)
    if head is None:
        return Malformed(reason)
    if _has_to_be_recorded(head, is_recorded):
        return Unread(head.message_id, head.action, data, reason)
    if _length(head.message_id) > MAX_ECHOED_ID:
        return Malformed(reason, kind=head.kind)
    return Malformed(reason, head.message_id, head.kind == CALL, head.kind, unread=True)


def _shortened(value: JSON) -> str:
    return str(value)[:40] if isinstance(value, (str, int, float)) or value is None else type(value).__name__


def _too_deep(value: JSON, allowed: int) -> bool:
    """Level by level, which takes a fraction of what recursion would."""
    level: list[Any] = [value] if type(value) is list or type(value) is dict else []
    for _ in range(allowed):
        level = [
            inner
            for outer in level
            for inner in (outer if type(outer) is list else outer.values())
            if type(inner) is list or type(inner) is dict
        ]
        if not level:
            return False
    return bool(level)


def _read_leniently(data: bytes) -> JSON:
    """Read what orjson refuses but can be read all the same; None if it can't."""
    if len(data) > MAX_LENIENT:
        return None
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, parse_constant=str, parse_float=_finite, parse_int=_within_64_bits)
    except (ValueError, RecursionError):
        return None
    if _too_deep(value, MAX_DEPTH):
        return None
    return _without_surrogates(value)


def _finite(spelling: str) -> float | str:
    number = float(spelling)
    return spelling if number in (float("inf"), float("-inf")) else number


def _within_64_bits(spelling: str) -> int | float | str:
    # 20 characters hold every 64-bit number; int() of a long one would cost quadratic time.
    number = int(spelling) if len(spelling) <= 20 else None
    return number if number is not None and -(2**63) <= number < 2**64 else _finite(spelling)


def _without_surrogates(value: JSON) -> JSON:
    if type(value) is str:
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if type(value) is list:
        return [_without_surrogates(each) for each in value]
    if type(value) is dict:
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    return value
