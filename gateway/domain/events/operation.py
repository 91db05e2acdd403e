"""Events of an operation: ``gateway.charging.operations`` says which follows which."""

from datetime import datetime
from typing import ClassVar, TypeAlias

from attrs import frozen

from gateway.domain.operations import End, OperationRequest, Stage


@frozen
class OperationAccepted:
    """An operation came into being: it is on disk, and nothing is sent yet."""

    TYPE: ClassVar[str] = "operation.accepted"
    VERSION: ClassVar[int] = 1
    operation_id: str
    request_id: str
    request: OperationRequest
    expires_at: datetime
    transaction_id: str | None = None
    """The transaction that a stop is about."""
    caller: str = ""
    """The caller of the control interface; empty: it had no name, as in older events."""
    firmware_version: str = ""
    """Of an installation of firmware: the version that the charger has named at its last boot; empty: none, as in older
    events."""


@frozen
class OperationAdvanced:
    """An operation reached a stage."""

    TYPE: ClassVar[str] = "operation.advanced"
    VERSION: ClassVar[int] = 1
    operation_id: str
    stage: Stage
    command_id: str = ""
    transaction_id: str | None = None


@frozen
class OperationEnded:
    """An operation is over; the last event of each. ``reason``: why it ended other than DONE."""

    TYPE: ClassVar[str] = "operation.ended"
    VERSION: ClassVar[int] = 1
    operation_id: str
    end: End
    reason: str = ""
    transaction_id: str | None = None


Body: TypeAlias = OperationAccepted | OperationAdvanced | OperationEnded
