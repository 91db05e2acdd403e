"""Consequences of a charger's answer to a command, beyond the command's own end: recorded in the same commit."""

from datetime import datetime

from gateway.domain import reservations
from gateway.domain.commands import (
    Answer,
    CancelReservation,
    ChargerError,
    Command,
    ConfigurationAnswer,
    ReserveNow,
    StatusAnswer,
)
from gateway.domain.events import Body, ConfigurationReported
from gateway.domain.state import ChargePointState

ACCEPTED = StatusAnswer("Accepted")
REJECTED = StatusAnswer("Rejected")


def consequences(
    command: Command, answer: Answer | ChargerError, state: ChargePointState, now: datetime
) -> tuple[Body, ...]:
    """The events that follow ``command.answered``, late or not, in their order. Pure; an error has none."""
    match command, answer:
        case _, ConfigurationAnswer(keys, unknown_keys) if keys or unknown_keys:
            return (ConfigurationReported(keys, unknown_keys),)
        case ReserveNow(), StatusAnswer() if answer == ACCEPTED:
            return reservations.accepted(command, state, now)
        case CancelReservation(reservation_id), StatusAnswer() if answer == ACCEPTED:
            return reservations.cancelled(reservation_id, state)
        case CancelReservation(reservation_id), StatusAnswer() if answer == REJECTED:
            return reservations.unknown(reservation_id, state)
        case _:
            return ()
