"""Commands of an operation that sends several, and the request ids by which they are found."""

from attrs import frozen

from gateway.domain.commands import CommandState


@frozen
class OwnCommand:
    """A command that an operation of ``SECURITY`` has sent, or is about to send."""

    command_id: str
    operation: str
    state: CommandState
    said: str = ""
    """The charger's answer in its words: a status, or an error code."""
    reason: str = ""
    """Why it was not sent, or its outcome is unknown."""


def own_request_id(operation_id: str, number: int) -> str:
    """The request id of an operation's command, of which there may be several."""
    return f"{operation_id}/{number}"


def operation_in(request_id: str) -> str:
    """The operation that a command with such a request id is of, if it is of one."""
    return request_id.partition("/")[0]
