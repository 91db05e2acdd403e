"""Rotations of a charger's key as their callers ask for them."""

from typing import Final

from gateway.domain.operations import OperationKind, OperationRequest

RESET: Final = "reset"
"""Name of the argument by which the charger is reset where its new key counts from a boot on."""


def rotation_request(*, reset: bool = False, insist: bool = False) -> OperationRequest:
    """A rotation. ``reset``: with the charger's reset, where it needs one and when it is idle; ``insist``: or amid a
    transaction."""
    return OperationRequest(
        OperationKind.ROTATE_AUTHORIZATION_KEY, insist=insist, arguments={RESET: True} if reset else None
    )


def asks_reset(request: OperationRequest) -> bool:
    """Return true if the charger is to be reset where it needs that."""
    return isinstance(request.arguments, dict) and request.arguments.get(RESET) is True
