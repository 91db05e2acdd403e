"""Facts about a charge point: its clock as far as it can be trusted, its transactions, its refusals in words."""

from datetime import timedelta
from typing import Final

from gateway.domain.clock_offset import SAME, ClockOffset
from gateway.domain.commands import ChargerError, CommandRecord, Refused, StatusAnswer
from gateway.domain.records import TransactionRecord
from gateway.domain.state import ChargePointState
from gateway.domain.values import ConnectorAddress, Flag

MAX_OFFSET: Final = timedelta(days=7300)
"""Twenty years: a clock that was never set shows 1970, or the year 1, and is set before long."""

MIN_OFFSET: Final = timedelta(seconds=30)
"""Of a charger's clock that is reckoned with: a message's way, and the time at which its condition began, make as much
of a clock that is right."""

MIN_SAMPLES: Final = 2
"""Messages that an offset has to rest on, with delays that are the same."""


def trusted_offset(measured: ClockOffset) -> timedelta:
    """The offset of the charger's clock that its schedules are put by; zero where it is small, or rests on one message,
    which may have waited, or be an error of its own, or is that of a clock that was never set."""
    offset = measured.offset
    if offset is None or not MIN_OFFSET <= abs(offset) <= MAX_OFFSET:
        return timedelta(0)
    agreeing = [each for each in measured.samples if offset - each < SAME]
    return offset if len(agreeing) >= MIN_SAMPLES else timedelta(0)


def runs(transaction: TransactionRecord) -> bool:
    """Return whether a transaction is known to run: one whose start came late is probably over (B10.2, S §5.16.4)."""
    return transaction.stale_at is None and Flag.LATE not in transaction.flags


def running_on(state: ChargePointState, connector: ConnectorAddress) -> TransactionRecord | None:
    """The transaction that is known to run on a connector."""
    transaction = state.open_on(connector)
    return transaction if transaction is not None and runs(transaction) else None


def refusal_of(outcome: CommandRecord) -> str:
    """The charger's refusal, in words."""
    match outcome:
        case CommandRecord(error=ChargerError(code, description)):
            return f"the charger answered {code}: {description}".rstrip(": ")
        case CommandRecord(answer=StatusAnswer(status)):
            return f"the charger answered {status}"
        case _:
            return "the charger refused it"


def violations_of(refused: Refused) -> str:
    """A refusal by the gateway, in words."""
    return "; ".join(f"{each.field} {each.description}" for each in refused.violations) or refused.message
