"""The change in a charge point's state when a command is sent: what may come of it is expected from now on."""

from typing import Protocol

from attrs import evolve

from gateway.domain import events as e
from gateway.domain.events import NewEvent
from gateway.domain.progress import WORK, HasProgress, begun
from gateway.domain.remote_starts import HasPendingStarts


class Expects(HasPendingStarts, HasProgress, Protocol):
    """A charge point's state, as far as it is changed here."""


def sent(state: Expects, event: NewEvent, body: e.CommandSent, _: int) -> None:
    """A transaction may come of a remote start (some chargers start before they answer), statuses of an update."""
    pending = state.pending_starts.get(body.command_id)
    if pending is not None:
        state.pending_starts[body.command_id] = evolve(pending, sent_at=event.received_at)
    elif body.operation in WORK:
        work = WORK[body.operation]
        state.progress[work] = begun(state.progress.get(work), body.command_id, body.ocpp_request_id)
