"""The gateway's own requests to a charger that is ready: a Boot if it has never booted here, its statuses
where it reconnected without sending them, and the platform's configuration.

A charger may take any of these badly, and drop the link at each. So an attempt counts before it is sent, and after a
few it is given up, whichever way they failed:

* Configuration is counted per key and firmware, on disk: each attempt is an event, and shown with the charge point. A
  key is asked again only where that can change something: another value, other firmware (B1.8). Where it is not known
  what became of an earlier attempt, the next one begins with a look: a value that is there already is not set again.
* Triggers are counted per charge point, in memory; an answer sets the count back.

All of it can be turned off, for one charge point and for all.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator

import structlog
from attrs import define, field, frozen

from gateway.domain.codec import setting_fingerprint
from gateway.domain.commands import ChargerError, Command, StatusAnswer
from gateway.domain.events import BootConfigurationApplied, NewEvent
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.secrets import shown_setting
from gateway.domain.state import ChargePointState
from gateway.domain.values import ConnectorAddress
from gateway.ocpp.protocol import Access, OwnRequests
from gateway.session.commands.queue import CommandQueue
from gateway.session.context import SessionContext
from gateway.session.readiness import Readiness
from gateway.session.task_group import TaskGroup

ERROR = "Error:"
NO_ANSWER = f"{ERROR}NoAnswer"
ASKED = "Asked"
"""The status of a key from before it is sent until the charger has answered: what a lost link leaves behind."""

FOUND = "Found"
"""The status of a key whose value was there already when it was looked at after an attempt of unknown outcome."""

MAX_ATTEMPTS = 4
"""For a key and a firmware, or for triggers: enough for a bad link or two, too few to keep a charger from its work."""

MAX_CONNECTORS_ASKED = 32
"""Triggers for single connectors after a reconnect: the largest posts have a dozen."""

MAX_COUNTED = 100_000
"""Charge points whose failed triggers are counted; the least recently asked are forgotten."""

log = structlog.get_logger()


@frozen
class DesiredKey:
    """A key of the platform's configuration and its values in order of preference."""

    key: str
    values: tuple[str, ...]


@define(eq=False)
class Triggers:
    """Counts of the gateway's own triggers that charge points left without an answer. One for all sessions."""

    _failed: OrderedDict[str, int] = field(factory=OrderedDict)

    def begin(self, identity: str) -> bool:
        """Count one that is about to be sent; False: too many have failed, and it must not be."""
        failed = self._failed.pop(identity, 0)
        self._failed[identity] = min(failed + 1, MAX_ATTEMPTS)
        if len(self._failed) > MAX_COUNTED:
            self._failed.popitem(last=False)
        return failed < MAX_ATTEMPTS

    def answered(self, identity: str) -> None:
        """The charge point has answered one, whatever it said."""
        self._failed.pop(identity, None)


class Provisioning:
    """One session's own requests."""

    def __init__(
        self,
        context: SessionContext,
        tasks: TaskGroup,
        commands: CommandQueue,
        readiness: Readiness,
        triggers: Triggers,
        desired: tuple[DesiredKey, ...],
    ) -> None:
        self._context = context
        self._tasks = tasks
        self._commands = commands
        self._readiness = readiness
        self._triggers = triggers
        self._desired = desired
        self._started = False
        self.reported: set[ConnectorAddress] = set()
        """Connectors whose status the charger has reported on this connection."""

    def start(self) -> None:
        """Start asking, once a connection: a charger that boots again and again is not asked again and again (B1.8)."""
        if self._context.limits.own_requests and not self._started:
            self._started = True
            self._tasks.start(self._run)

    def start_boot(self) -> None:
        """Start asking a charger that was accepted just now for a BootNotification. Until that is answered the gate
        stays as Pending left it."""
        if self._context.limits.own_requests:
            self._tasks.start(self._ask_to_boot)

    async def _run(self) -> None:
        """Ask all there is to be asked, on the session's nursery. Raises ConnectionClosed."""
        await self._readiness.wait(Access.FULL)
        state = self._context.state
        if state.boot is None and not state.booted:
            await self._ask_to_boot()
            await self._readiness.wait(Access.FULL)
        if not state.booted:
            # A reconnected charger need not repeat its statuses (J §5.4); those known may be older than the disconnect.
            for trigger in self._status_triggers():
                if not await self._trigger(trigger):
                    break
        for each in self._desired:
            await self._apply(self._for_make(each))

    async def _ask_to_boot(self) -> None:
        """Ask for a BootNotification, unless such requests have failed too often. Raises ConnectionClosed."""
        await self._trigger(self._context.protocol.own_requests.boot())

    async def _trigger(self, trigger: Command | None) -> bool:
        """Ask for a message, unless that has failed too often, or the version has no such request (None). True: the
        charger will send it."""
        if trigger is None:
            return False
        identity = self._context.identity
        if not self._triggers.begin(identity):
            request = self._context.protocol.solicits(trigger)
            log.warning("own request given up", charge_point=identity, request=request)
            return False
        answer = await self._commands.ask(trigger)
        if answer is not None:
            self._triggers.answered(identity)
        return isinstance(answer, StatusAnswer) and answer.status == "Accepted"

    def _status_triggers(self) -> Iterator[Command | None]:
        """For each connector that has not just reported its status: a trigger without a connector brings many
        chargers to report connector 0 alone."""
        requests = self._context.protocol.own_requests
        known = sorted((each for each in self._connectors() if each.evse > 0), key=lambda c: (c.evse, c.connector))
        if not known and not self.reported:
            yield requests.status(None)
        for each in known[:MAX_CONNECTORS_ASKED]:
            if each not in self.reported:
                yield requests.status(each)

    def _connectors(self) -> set[ConnectorAddress]:
        state = self._context.state
        reported = self._context.protocol.own_requests.connectors(state.configuration, MAX_CONNECTORS_ASKED)
        return {*state.connectors, *reported}

    def _for_make(self, desired: DesiredKey) -> DesiredKey:
        """The key with the values that the charge point's make takes."""
        measurands = self._context.quirks.measurands
        if measurands and desired.key == self._context.protocol.own_requests.measurands:
            return DesiredKey(desired.key, measurands)
        return desired

    async def _apply(self, desired: DesiredKey) -> None:
        requests = self._context.protocol.own_requests
        for value in desired.values:
            setting = requests.setting(desired.key, value)
            if setting is None:
                return  # this version has no such command
            attempts = attempts_so_far(self._context.state, desired, self._context.reads.store_id, requests)
            if attempts is None:
                return
            if attempts >= MAX_ATTEMPTS:
                log.warning(
                    "own request given up", charge_point=self._context.identity, request=desired.key, attempts=attempts
                )
                return
            # Chargers refuse a value with either word; only a refusal leads to the next choice. One that took it, or
            # did not answer, is left alone until its next boot.
            if await self._ask(setting, desired.key, value, attempts + 1) not in requests.refused:
                return

    async def _ask(self, setting: Command, key: str, value: str, attempt: int) -> str:
        async def about_to_be_sent() -> None:
            await self._record(key, value, ASKED, attempt)

        first: Callable[[], Awaitable[None]] | None = about_to_be_sent
        requests = self._context.protocol.own_requests
        look = requests.look(key) if self._is_unknown(key, value) else None
        if look is not None:
            found = await self._commands.ask(look, about_to_be_sent)  # a charger may take the look badly, too
            seen = NO_ANSWER if found is None else FOUND if requests.shows(found, key, value) else ""
            if seen:
                await self._record(key, value, seen, attempt)
                return seen
            first = None
        answer = await self._commands.ask(setting, first)
        match answer:
            case StatusAnswer(status):
                outcome = status
            case ChargerError(code):
                outcome = f"{ERROR}{code}"
            case _:
                outcome = NO_ANSWER
        await self._record(key, value, outcome, attempt)
        return outcome

    def _is_unknown(self, key: str, value: str) -> bool:
        """Return true if the charger may hold this value by an earlier attempt, and would show it."""
        shown, mark = _recorded(self._context.reads.store_id, key, value)
        done = self._context.state.boot_configuration.get(key)
        if done is None or mark or done.value != shown or done.firmware_version != _firmware(self._context.state):
            return False
        word = done.status.removeprefix(ERROR)
        return self._context.protocol.own_requests.answer_in(word) is KeyAnswer.UNKNOWN

    async def _record(self, key: str, value: str, status: str, attempt: int) -> None:
        context = self._context
        shown, mark = _recorded(context.reads.store_id, key, value)
        applied = BootConfigurationApplied(key, shown, status, _firmware(context.state), attempt, mark)
        await context.commit((NewEvent(applied, context.clock()),))


def attempts_so_far(state: ChargePointState, desired: DesiredKey, store_id: str, requests: OwnRequests) -> int | None:
    """Return how often this firmware was asked for the key. None: asking again could change nothing, for it took one of
    the choices, or refused the last one."""
    done = state.boot_configuration.get(desired.key)
    if done is None or done.firmware_version != _firmware(state):
        return 0
    values = [_recorded(store_id, desired.key, each) for each in desired.values]
    value = (done.value, done.fingerprint)  # a secret without a fingerprint, of an older version, is asked once more
    if value not in values:
        return 0
    settled = (
        done.status in requests.taken
        or done.status == FOUND
        or (done.status in requests.refused and value == values[-1])
    )
    return None if settled else done.attempts


def _recorded(store_id: str, key: str, value: str) -> tuple[str, str]:
    """A value as it is recorded: as it is shown and, where that hides something, its fingerprint."""
    shown = shown_setting(key, value)
    return shown, "" if shown == value else setting_fingerprint(store_id, key, value)


def _firmware(state: ChargePointState) -> str | None:
    return state.boot.firmware_version if state.boot is not None else None
