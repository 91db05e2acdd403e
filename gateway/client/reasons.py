"""Ways for a client to go on after an error: the advice of docs/errors.md, as a value."""

from collections.abc import Mapping
from enum import Enum

from gateway.client.reason_table import REPEATS


class Repeat(Enum):
    """A way in which a client asks again, or does not."""

    SAME = "the same request again, with the same request_id where it has one"
    NEW = "again, with a new request_id"
    READ = "read first, then decide"
    WAIT = "the same request again, once the reason is gone"
    NEVER = "never the same request again"


def repeat_of(status: str, reason: str, metadata: Mapping[str, str]) -> Repeat:
    """The way to go on after an error, by its status, reason and metadata. Of a reason with several ways that one which
    its metadata asks for."""
    if not reason:  # gRPC's own
        return Repeat.NEVER if status in ("UNIMPLEMENTED", "RESOURCE_EXHAUSTED") else Repeat.READ
    if reason not in REPEATS:
        if reason.upper() != reason:
            return Repeat.NEVER  # a charger's own word on a command that it has had
        return Repeat.SAME if status == "UNAVAILABLE" else Repeat.READ
    ways = [Repeat[name] for name in REPEATS[reason]]
    if len(ways) == 1:
        return ways[0]
    if Repeat.NEW in ways and metadata.get("command_id"):
        return Repeat.NEW  # its outcome is recorded under the request_id for ever
    ways = [way for way in ways if way is not Repeat.NEW]
    return ways[0] if metadata.get("request_id") else ways[-1]
