"""What the gateway asks of every charger by itself, once the charger is ready: the platform's configuration, and its
statuses where it reconnected without saying them.

Each key's outcome is recorded, and a key is asked again only where that can change something: another value, other
firmware, or no answer the last time (OCPP.md B1.8).
"""

from attrs import frozen

from gateway.domain.commands import (
    ChangeConfiguration,
    ChargerError,
    StatusAnswer,
    TriggeredMessage,
    TriggerMessage,
)
from gateway.domain.events import BootConfigurationApplied, NewEvent
from gateway.domain.secrets import shown_setting
from gateway.domain.state import ChargePointState
from gateway.session.commands import Commands
from gateway.session.core import Core
from gateway.session.readiness import Access, Readiness

TAKEN = frozenset({"Accepted", "RebootRequired"})
REFUSED = frozenset({"Rejected", "NotSupported"})
NO_ANSWER = "Error:NoAnswer"


@frozen
class DesiredKey:
    """A key of the platform's configuration and its values in order of preference."""

    key: str
    values: tuple[str, ...]


async def provision(
    core: Core, commands: Commands, readiness: Readiness, desired: tuple[DesiredKey, ...], *, ask_status: bool
) -> None:
    """Run on the session's nursery; ends when all is asked. Raises ConnectionClosed."""
    await readiness.wait(Access.FULL)
    if ask_status and not core.state.booted:
        # A reconnected charger need not repeat its statuses (J §5.4); ours may be older than the disconnect.
        await commands.ask(TriggerMessage(TriggeredMessage.STATUS_NOTIFICATION))
    for each in desired:
        await _apply(core, commands, each)


async def _apply(core: Core, commands: Commands, desired: DesiredKey) -> None:
    if _settled(core.state, desired):
        return
    for value in desired.values:
        # Chargers refuse a value with either word; only a refusal leads to the next choice. One that took it, or
        # did not answer, is left alone until its next boot.
        if await _ask(core, commands, desired.key, value) not in REFUSED:
            return


def _settled(state: ChargePointState, desired: DesiredKey) -> bool:
    """Whether asking again could change nothing: this firmware took one of the choices, or refused the last one."""
    done = state.boot_configuration.get(desired.key)
    firmware = state.boot.firmware_version if state.boot is not None else None
    values = [shown_setting(desired.key, each) for each in desired.values]  # as they are recorded
    if done is None or done.firmware_version != firmware or done.value not in values:
        return False
    return done.status in TAKEN or (done.status in REFUSED and done.value == values[-1])


async def _ask(core: Core, commands: Commands, key: str, value: str) -> str:
    answer = await commands.ask(ChangeConfiguration(key, value))
    match answer:
        case StatusAnswer(status):
            outcome = status
        case ChargerError(code):
            outcome = f"Error:{code}"
        case _:
            outcome = NO_ANSWER
    firmware = core.state.boot.firmware_version if core.state.boot is not None else None
    applied = BootConfigurationApplied(key, shown_setting(key, value), outcome, firmware)
    await core.commit((NewEvent(applied, core.clock()),))
    return outcome
