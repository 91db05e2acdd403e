"""Reasons for which an operation does not come into being."""

from enum import StrEnum

from attrs import field, frozen


class OperationRefusal(StrEnum):
    """Reason for which an operation did not come into being. Those of ``INSISTABLE`` give way to ``insist``."""

    UNKNOWN_CONNECTOR = "UNKNOWN_CONNECTOR"
    CONNECTOR_UNAVAILABLE = "CONNECTOR_UNAVAILABLE"
    CONNECTOR_RESERVED = "CONNECTOR_RESERVED"
    NOT_PLUGGED_IN = "NOT_PLUGGED_IN"
    TRANSACTION_OPEN = "TRANSACTION_OPEN"
    OPERATION_OPEN = "OPERATION_OPEN"
    NO_TRANSACTION = "NO_TRANSACTION"
    SEVERAL_TRANSACTIONS = "SEVERAL_TRANSACTIONS"
    TOO_MANY_OPERATIONS = "TOO_MANY_OPERATIONS"
    PREREQUISITE_MISSING = "PREREQUISITE_MISSING"
    PROFILE_NOT_HIGHER = "PROFILE_NOT_HIGHER"


@frozen
class OperationRefused:
    """No operation came into being; its request id is free."""

    reason: OperationRefusal
    message: str
    metadata: dict[str, str] = field(factory=dict)
