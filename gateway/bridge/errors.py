"""What a call across the bridge can end in besides its own result and its own exceptions."""

from gateway.errors import GatewayError


class BridgeError(GatewayError):
    """The bridge itself could not do what was asked."""


class Unavailable(BridgeError):
    """The other loop is not there, no longer there, or ended while it was at it."""


class Overloaded(BridgeError):
    """As many calls or streams as are allowed are under way; nothing was begun."""
