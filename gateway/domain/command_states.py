"""The states of a command as one table, the end of one that gets no answer, and the consequences of an answer.

    QUEUED ──▶ SENT ──▶ ANSWERED            the charger's confirmation or its CALLERROR
       │         └────▶ OUTCOME_UNKNOWN     no answer in time, or the connection ended; a late answer: ANSWERED
       └──────────────▶ NOT_SENT            deadline, disconnect or drain before anything went out

Every arrow is committed before a caller is answered by it. SENT is on disk before the first byte is on the wire, so
after a crash QUEUED means "not sent" and SENT "outcome unknown".

An unfinished command is settled by its session, and where that can't commit by the store (at the next opening, at a
deletion, at start), by ``app.housekeeping`` or, for a repeated request, by the router. All of them ask ``settled``.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from attrs import evolve

from gateway.domain import profiles, reservations
from gateway.domain.certificates import facts_of
from gateway.domain.commands import (
    INVALID_CONFIRMATION,
    Answer,
    CancelReservation,
    ChargerError,
    ClearChargingProfile,
    Command,
    CommandRecord,
    CommandState,
    ConfigurationAnswer,
    RemoteStartTransaction,
    ReserveNow,
    SendLocalList,
    SetChargingProfile,
    StatusAnswer,
)
from gateway.domain.events import (
    Body,
    CertificateInstalled,
    CertificateSigningEnded,
    ChargingProfileInstalled,
    ChargingProfileRemoved,
    CommandNotSent,
    CommandOutcomeUnknown,
    ConfigurationReported,
    LocalListChanged,
    NewEvent,
)
from gateway.domain.security_commands import CertificateSigned
from gateway.domain.signing import SigningEnd
from gateway.domain.state import ChargePointState
from gateway.domain.values import WHOLE_CHARGE_POINT

ACCEPTED = StatusAnswer("Accepted")
REJECTED = StatusAnswer("Rejected")
UNKNOWN = StatusAnswer("Unknown")


class CommandEvent(StrEnum):
    """Something that happens to a command. The value of those that end it unanswered is the record's ``reason``."""

    SENDING = "sending"
    """It is the next on the wire."""
    ANSWER = "answer"
    """The charger's confirmation or CALLERROR, in time or late."""
    DEADLINE = "deadline"
    TIMEOUT = "timeout"
    """The call time-out: no answer to what was sent."""
    TRANSACTION_ENDED = "transaction-ended"
    """The transaction that it names was over before its turn."""
    TRANSACTION_OPEN = "transaction-open"
    """It would end a transaction, and was to wait for there to be none; one was open at its turn."""
    TOO_MANY_KEYS = "too-many-keys"
    """It brings a key, and the charge point may use too many already."""
    DISCONNECTED = "disconnected"
    """The session ended, for any reason that is not one of the following; a takeover is such a reason."""
    DRAINING = "draining"
    """The gateway stops."""
    DELETED = "deleted"
    """The charge point was deleted."""
    STORE_UNAVAILABLE = "store-unavailable"
    """The session ended because the store could not keep what it decided."""
    RESTARTED = "gateway-restarted"
    """The process that carried it is gone, and recorded no end."""


_Q, _S, _A = CommandState.QUEUED, CommandState.SENT, CommandState.ANSWERED
_N, _U = CommandState.NOT_SENT, CommandState.OUTCOME_UNKNOWN

TRANSITIONS: Mapping[CommandState, Mapping[CommandEvent, CommandState]] = MappingProxyType(
    {
        _Q: {
            CommandEvent.SENDING: _S,
            CommandEvent.DEADLINE: _N,
            CommandEvent.TRANSACTION_ENDED: _N,
            CommandEvent.TRANSACTION_OPEN: _N,
            CommandEvent.TOO_MANY_KEYS: _N,
            CommandEvent.DISCONNECTED: _N,
            CommandEvent.DRAINING: _N,
            CommandEvent.DELETED: _N,
            CommandEvent.STORE_UNAVAILABLE: _N,
            CommandEvent.RESTARTED: _N,
        },
        _S: {
            CommandEvent.ANSWER: _A,
            CommandEvent.DEADLINE: _U,
            CommandEvent.TIMEOUT: _U,
            CommandEvent.TRANSACTION_OPEN: _U,
            CommandEvent.DISCONNECTED: _U,
            CommandEvent.DRAINING: _U,
            CommandEvent.DELETED: _U,
            CommandEvent.STORE_UNAVAILABLE: _U,
            CommandEvent.RESTARTED: _U,
        },
        _U: {CommandEvent.ANSWER: _A},
        _A: {},
        _N: {},
    }
)
"""The state after an event, for each state. An event that is not in a state's row does not happen to it, or changes
nothing: a second answer, a late end of the session."""

ENDINGS: Mapping[str, CommandEvent] = MappingProxyType(
    {each.value: each for each in (CommandEvent.STORE_UNAVAILABLE, CommandEvent.DRAINING, CommandEvent.DELETED)}
)
"""Reasons of a session's end that callers of its commands learn; for any other it is ``DISCONNECTED``."""


def ending_of(reason: str) -> CommandEvent:
    """The event that a session's end is for its commands. ``reason`` as in ``charge_point.disconnected``."""
    return ENDINGS.get(reason, CommandEvent.DISCONNECTED)


def settled(known: CommandState | None, furthest: CommandState | None, event: CommandEvent) -> CommandState | None:
    """The state in which ``event`` leaves a command that gets no answer now; None: there is no such command.

    ``known``: the state that the disk is known to have; None: the command may not be there. ``furthest``: the furthest
    one that it has or may come to have, because a commit was handed over whose end is not known; None: none was. Where
    it is not known whether there is a command, or whether it was sent, the outcome is unknown.
    """
    if furthest is None:
        return None
    if known is None:
        return CommandState.OUTCOME_UNKNOWN
    return TRANSITIONS[furthest].get(event, furthest)


def unanswered(command_id: str, operation: str, state: CommandState, event: CommandEvent, at: datetime) -> NewEvent:
    """The event that records ``state``, NOT_SENT or OUTCOME_UNKNOWN."""
    kind = CommandNotSent if state is CommandState.NOT_SENT else CommandOutcomeUnknown
    return NewEvent(kind(command_id, operation, event.value), at, cause=f"command:{command_id}")


def finished(
    record: CommandRecord, state: CommandState, event: CommandEvent, at: datetime | None = None
) -> CommandRecord:
    """The record with an end without an answer; ``at``: when that was recorded, None if it is not yet."""
    return evolve(record, state=state, reason=event.value, finished_at=at)


def consequences(
    command: Command, answer: Answer | ChargerError, state: ChargePointState, now: datetime
) -> tuple[Body, ...]:
    """The events that follow ``command.answered``, late or not, in their order: recorded in the same commit. Pure; an
    error has none but for a certificate."""
    match command, answer:
        case _, ConfigurationAnswer(keys, unknown_keys) if keys or unknown_keys:
            return (ConfigurationReported(keys, unknown_keys),)
        case ReserveNow(), StatusAnswer() if answer == ACCEPTED:
            return reservations.accepted(command, state, now)
        case SendLocalList(version, update_type, entries), StatusAnswer() if answer == ACCEPTED:
            return (LocalListChanged(version, update_type, len(entries)),)
        case CancelReservation(reservation_id), StatusAnswer() if answer == ACCEPTED:
            return reservations.cancelled(reservation_id, state)
        case CancelReservation(reservation_id), StatusAnswer() if answer == REJECTED:
            return reservations.unknown(reservation_id, state)
        case SetChargingProfile(connector, profile), StatusAnswer() if answer == ACCEPTED:
            over = profile.transaction_id is not None and profile.transaction_id not in state.open_transactions
            return () if over else (ChargingProfileInstalled(connector, profile),)
        case RemoteStartTransaction(connector=connector, charging_profile=profile), StatusAnswer() if (
            profile is not None and answer == ACCEPTED
        ):
            return (ChargingProfileInstalled(connector or WHOLE_CHARGE_POINT, profile),)
        case ClearChargingProfile(), StatusAnswer() if answer in (ACCEPTED, UNKNOWN):
            why = "cleared" if answer == ACCEPTED else "unknown"
            return tuple(
                ChargingProfileRemoved(each.connector, each.profile.profile_id, each.profile.purpose, why)
                for each in profiles.cleared(state.profiles, command)
            )
        case CertificateSigned(chain), _:
            return _certificate_answered(chain, answer, state)
        case _:
            return ()


def _certificate_answered(chain: str, answer: Answer | ChargerError, state: ChargePointState) -> tuple[Body, ...]:
    """The charger has taken its new certificate, or not, which ends the request that it answers. An answer that can't
    be read leaves that open."""
    signing = state.signing if state.signing is not None and state.signing.chain == chain else None
    own = "" if signing is None else signing.signing_id
    facts = facts_of(chain)
    if answer == ACCEPTED and facts is not None:
        installed = CertificateInstalled(facts.serial_number, facts.not_after, own)
        return (installed, CertificateSigningEnded(own, SigningEnd.INSTALLED)) if own else (installed,)
    said = answer.code if isinstance(answer, ChargerError) else getattr(answer, "status", "")
    if not own or said == INVALID_CONFIRMATION:
        return ()
    return (CertificateSigningEnded(own, SigningEnd.REJECTED, said),)
