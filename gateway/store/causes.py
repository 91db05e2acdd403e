"""Reasons why the owner of a charge point is gone, for what it left."""

from attrs import frozen

from gateway.domain.command_states import CommandEvent


@frozen
class Cause:
    """Reason why an owner is gone: that of ``charge_point.disconnected``, and what that is for its commands."""

    disconnected: str
    commands: CommandEvent


RESTARTED = Cause("gateway-restarted", CommandEvent.RESTARTED)
NODE_LOST = Cause("node-lost", CommandEvent.RESTARTED)
DELETED = Cause("deleted", CommandEvent.DELETED)
