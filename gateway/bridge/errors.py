"""What a call across the bridge can end in besides its own result and its own exceptions."""

from gateway.errors import GatewayError


class BridgeError(GatewayError):
    """The bridge itself could not do what was asked."""


class Unavailable(BridgeError):
    """The other loop is not there, or no longer: nothing was begun, unless it is an ``Interrupted``."""


class Interrupted(Unavailable):
    """The other loop ended while it was at it, or the call was ended from outside: what it did is not known."""


class Overloaded(BridgeError):
    """As many calls or streams as are allowed are under way; nothing was begun."""
