"""From Python's values to protobuf's, and to JSON: for callers without protobuf's own type stubs."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(at: datetime) -> Timestamp:
    """A time with a zone as protobuf has it. Raises ValueError for one without: it could be any."""
    if at.tzinfo is None:
        raise ValueError("the time has no zone")
    stamp = Timestamp()
    stamp.FromDatetime(at.astimezone(UTC))
    return stamp


def moment(stamp: Timestamp) -> datetime:
    """A protobuf time as Python has it, in UTC, to the microsecond."""
    return stamp.ToDatetime(UTC)


def duration(length: timedelta) -> Duration:
    """A length of time as protobuf has it."""
    made = Duration()
    made.FromTimedelta(length)
    return made


def to_dict(message: Any) -> dict[str, Any]:
    """A message as JSON's values, with the fields' names as in the protos."""
    return MessageToDict(message, preserving_proto_field_name=True)


def to_json(message: Any) -> str:
    """A message as JSON on one line, with the fields' names as in the protos."""
    return MessageToJson(message, preserving_proto_field_name=True, indent=None)
