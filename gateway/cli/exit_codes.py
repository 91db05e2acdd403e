"""Exit codes of the `gateway` command: one for each thing that a script does differently.

`docs/cli.md` has the same table for people. Numbers are a contract: they are never given another meaning.
"""

from enum import IntEnum
from typing import Final

import grpc

from gateway.client import Problem


class ExitCode(IntEnum):
    """Exit codes of commands."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    NOT_SENT = 5
    OUTCOME_UNKNOWN = 6
    UNREACHABLE = 7
    INTERRUPTED = 130


NOT_SENT_REASONS: Final = frozenset(
    {
        "NOT_SENT",
        "CHARGE_POINT_OFFLINE",
        "CHARGE_POINT_PENDING",
        "CHARGE_POINT_REJECTED",
        "QUEUE_FULL",
        "ID_TAG_NOT_ACCEPTED",
        "UNKNOWN_CONNECTOR",
        "CONNECTOR_UNAVAILABLE",
        "CONNECTOR_RESERVED",
        "NOT_PLUGGED_IN",
        "TRANSACTION_OPEN",
        "OPERATION_OPEN",
        "TOO_MANY_KEYS",
        "TOO_MANY_OPERATIONS",
    }
)
"""Reasons by which the gateway says that a command never went out, or an operation did not come into being, and that
something on the charger's side, or the tag, must change before it can."""

_BY_STATUS: Final = {
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNREACHABLE,
}


def exit_code(problem: Problem) -> ExitCode:
    """The exit code for an error of the control interface.

    A charger's CALLERROR comes with its code in the metadata: ``REFUSED``, as its "Rejected" is.
    """
    if problem.reason == "OUTCOME_UNKNOWN":
        return ExitCode.OUTCOME_UNKNOWN
    if problem.reason == "SEVERAL_TRANSACTIONS":  # one of them has to be named
        return ExitCode.USAGE
    if problem.reason == "TOO_MANY_CALLS":  # there is no room at the moment
        return ExitCode.UNREACHABLE
    if problem.reason in NOT_SENT_REASONS and problem.code is not grpc.StatusCode.UNAVAILABLE:
        return ExitCode.NOT_SENT
    if "code" in problem.metadata and "command_id" in problem.metadata:
        return ExitCode.REFUSED
    return _BY_STATUS.get(problem.code, ExitCode.FAILED)
