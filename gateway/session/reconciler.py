"""The reconciler of one connected charge point: brings what is wanted of its connectors onto the charger.

One task of the session. It asks ``charging.reconciliation`` for the next thing to do, does it, records what came of it,
and sleeps until the next thing is due or something happens that bears on it (``notice``). Nothing runs for a charge
point of which nothing is wanted.

What is sent goes through the command queue and has a record as any command has; its request id names the connector, the
revision and the connection. Before a profile is sent it is on disk that the charger may have it: after a crash the
charger is looked at, or sent the same profile again, under the same number.
"""

import math
from datetime import datetime, timedelta
from typing import Final

import trio

from gateway.charging import outcomes, plans
from gateway.charging.answers import of_clearing, of_sending, was_sent
from gateway.charging.facts import running_on, trusted_offset
from gateway.charging.outcomes import Send
from gateway.charging.reconciliation import (
    AskAbilities,
    Clear,
    Found,
    Gone,
    Look,
    LookFor,
    Record,
    Situation,
    Step,
    Wait,
    next_step,
)
from gateway.charging.verification import LOOK_AHEAD, Measured, look_ahead, look_shows, look_shows_gone
from gateway.domain import events as e
from gateway.domain.codec import fingerprint
from gateway.domain.commands import (
    CallOutcome,
    ClearChargingProfile,
    Command,
    ConfigurationAnswer,
    GetCompositeSchedule,
    SetChargingProfile,
)
from gateway.domain.events import NewEvent
from gateway.domain.steering import Steering, SteeringState
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag
from gateway.ocpp.protocol import Access
from gateway.session.commands.queue import CommandQueue
from gateway.session.context import SessionContext
from gateway.session.phase_counts import PhaseCounts
from gateway.session.readiness import Readiness
from gateway.session.steering_pace import SteeringPace

MAX_SLEEP: Final = 60.0
"""Seconds between two looks at the wall clock while what is wanted has times: a clock that is set forward or back makes
no step late by more."""

LEAST_SLEEP: Final = 0.1
"""Seconds between two rounds of which the second one is due at once."""

SEND_SECONDS: Final = 120.0
"""For a command to have its turn and its answer: several call time-outs of others, and its own."""

HOLD: Final = timedelta(seconds=30)
"""Until the next try, where nothing could be sent."""

MAX_STEPS: Final = 16
"""For one connector at once; more would be a decision that goes round in circles, and is held up."""

_ALIVE: Final = (SteeringState.APPLIED, SteeringState.VERIFIED)

_WAKING: Final = frozenset(
    {
        e.TransactionStarted,
        e.TransactionStopped,
        e.TransactionLost,
        e.TransactionClosed,
        e.WantedChanged,
        e.ChargingProfileInstalled,
        e.ChargingProfileRemoved,
        e.ConfigurationReported,
    }
)
"""Events that bear on what is to be done."""


class Reconciler:
    """The reconciler of one session. ``run`` is called once."""

    __slots__ = (
        "_agrees",
        "_asked",
        "_commands",
        "_confirmed",
        "_context",
        "_gone",
        "_held",
        "_pace",
        "_paced",
        "_phases",
        "_powers",
        "_readiness",
        "_sent",
        "_touched",
        "_woken",
    )

    def __init__(
        self,
        context: SessionContext,
        commands: CommandQueue,
        readiness: Readiness,
        pace: SteeringPace,
    ) -> None:
        self._context = context
        self._commands = commands
        self._readiness = readiness
        self._pace = pace
        self._woken = trio.Event()
        self._sent = 0
        self._paced: dict[ConnectorAddress, int] = {}
        """Revisions of before the connection, or the boot: they take their turn with those of other charge points."""
        self._confirmed: set[ConnectorAddress] = set()
        """Connectors whose profile the charger has accepted on this connection, since its last boot."""
        self._touched: set[ConnectorAddress] = set()
        """Connectors for which something was sent in that time."""
        self._agrees: dict[ConnectorAddress, tuple[int, bool]] = {}
        """Looks at composite schedules since the last sending, each with the revision that it was about."""
        self._gone: dict[int, bool] = {}
        """Looks for profiles since each was last to be cleared: whether they showed that it is gone."""
        self._held: dict[ConnectorAddress, datetime] = {}
        """Connectors for which nothing could be sent, and until when nothing is tried."""
        self._powers: dict[ConnectorAddress, Measured] = {}
        self._phases = PhaseCounts()
        self._asked = False

    def notice(self, events: tuple[NewEvent, ...]) -> None:
        """Take note of what was committed. Cheap: the session's messages wait for it."""
        for event in events:
            kind = event.body.__class__
            if kind is e.MeterValuesReported:
                self._measured(event)
            elif kind in _WAKING:
                if kind is e.ChargingProfileInstalled:
                    self._installed(event)
                self._woken.set()

    def _measured(self, event: NewEvent) -> None:
        power = event.power
        if power is None or Flag.LATE in event.flags:
            return
        assert isinstance(event.body, e.MeterValuesReported)
        connector = event.body.connector
        self._powers[connector] = Measured(power[0], event.received_at)
        state = self._context.state
        if any(
            steering.state in _ALIVE and steering.profile_id is not None and place in (connector, WHOLE_CHARGE_POINT)
            for place, steering in state.steering.items()
        ):
            self._woken.set()

    def _installed(self, event: NewEvent) -> None:
        """The charger has accepted a profile, maybe late."""
        assert isinstance(event.body, e.ChargingProfileInstalled)
        number = event.body.profile.profile_id
        self._confirmed.update(
            connector for connector, steering in self._context.state.steering.items() if steering.profile_id == number
        )

    def booted(self) -> None:
        """The charger has booted: it may have lost its profiles, and may run other firmware."""
        self._confirmed.clear()
        self._touched.clear()
        self._agrees.clear()
        self._gone.clear()
        self._held.clear()
        self._powers.clear()
        self._asked = False
        self.take_turns()
        self._woken.set()

    # --- the task ---------------------------------------------------------------------------------------------

    def take_turns(self) -> None:
        """Let all that is wanted now take its turn with that of other charge points: no caller waits for it."""
        self._paced = {connector: wanted.revision for connector, wanted in self._context.state.wanted.items()}

    async def _turn(self, connector: ConnectorAddress) -> None:
        if self._paced.pop(connector, 0) == self._context.state.wanted[connector].revision:
            await self._pace.turn()

    async def run(self) -> None:
        """Reconcile until the session ends. Raises ConnectionClosed and SessionOver; cancelled at the session's end."""
        while True:
            await self._readiness.wait(Access.FULL)
            self._woken = trio.Event()
            due = [await self._reconcile(connector) for connector in tuple(self._context.state.wanted)]
            await self._sleep(min((at for at in due if at is not None), default=None))

    async def _sleep(self, until: datetime | None) -> None:
        """Until then by the wall clock, or until something happens."""
        # A decision that is due at once, again and again, must not keep the loop from all other charge points.
        await trio.lowlevel.checkpoint()
        if until is not None and until <= self._context.clock():
            await trio.sleep(LEAST_SLEEP)
        timed = until is not None or any(map(plans.is_timed, self._context.state.wanted.values()))
        before = self._context.clock()
        while not self._woken.is_set():
            now = self._context.clock()
            seconds = math.inf if until is None else (until - now).total_seconds()
            if seconds <= 0 or now < before:  # it was set back: what was over may be to come
                return
            before = now
            with trio.move_on_after(min(seconds, MAX_SLEEP) if timed else math.inf):
                await self._woken.wait()

    async def _reconcile(self, connector: ConnectorAddress) -> datetime | None:
        """Do for a connector what is to be done now; when there is more, None: not before something happens."""
        for _ in range(MAX_STEPS):
            now = self._context.clock()
            held = self._held.get(connector)
            if held is not None and now < held <= now + HOLD:
                return held
            situation = self._situation(connector, now)
            step = next_step(situation)
            if isinstance(step, Wait):
                change = plans.next_change(situation.wanted, now)
                return min((at for at in (step.until, change) if at is not None), default=None)
            await self._do(connector, step)
        held = self._held[connector] = self._context.clock() + HOLD
        return held

    def _situation(self, connector: ConnectorAddress, now: datetime) -> Situation:
        state = self._context.state
        quirks, reported = self._context.quirks, self._context.protocol.charging_abilities(state.configuration)
        abilities = reported.within(quirks.max_schedule_periods, quirks.max_stack_level)
        running, wanted = running_on(state, connector), state.wanted[connector]
        revision, agrees = self._agrees.get(connector, (0, False))
        return Situation(
            wanted=wanted,
            steering=state.steering[connector],
            abilities=abilities,
            now=now,
            transaction_id=None if running is None else running.transaction_id,
            installed=state.profiles,
            confirmed=connector in self._confirmed,
            fresh=connector not in self._touched,
            asked=self._asked,
            may_look=self._context.limits.own_requests,
            agrees=agrees if revision == wanted.revision else None,
            gone=self._gone,
            power=self._power(connector),
            offset=trusted_offset(state.clock),
            doubted=frozenset(number for each in state.steering.values() for number in each.doubts),
            phases=self._phases.of(state, running, abilities, now),
        )

    def _power(self, connector: ConnectorAddress) -> Measured | None:
        """The power of a connector; of the whole charge point its own meter's, else the sum over its connectors."""
        found = self._powers.get(connector)
        if found is not None or connector != WHOLE_CHARGE_POINT or not self._powers:
            return found
        running = {each.connector for each in self._context.state.open_transactions.values()}
        if not running <= self._powers.keys():
            return None
        return (
            Measured(sum(each.watts for each in self._powers.values()), min(self._powers[each].at for each in running))
            if running
            else None
        )

    # --- the steps --------------------------------------------------------------------------------------------

    async def _do(self, connector: ConnectorAddress, step: Step) -> None:
        match step:
            case AskAbilities():
                await self._ask_abilities()
            case Look():
                await self._look(connector)
            case Found(send):
                assert send.installation.profile is not None
                installed = e.ChargingProfileInstalled(send.installation.connector, send.installation.profile)
                now = self._context.clock()
                steering = outcomes.found(self._context.state.steering[connector], send, now)
                await self._context.commit((NewEvent(installed, now), self._changed(connector, steering)))
            case Record(steering):
                await self._record(connector, steering)
            case Send():
                await self._send(connector, step)
            case Clear(number):
                await self._clear(connector, number)
            case LookFor(number):
                await self._look_for(connector, number)
            case Gone(number):
                await self._note_gone(connector, number)
            case Wait():
                raise AssertionError("there is nothing to be done")

    async def _ask_abilities(self) -> None:
        self._asked = True
        if not self._context.limits.own_requests:
            return
        context = self._context
        for command in context.protocol.own_requests.charging_abilities(context.state.configuration):
            answer = await self._commands.ask(command)
            if isinstance(answer, ConfigurationAnswer) and (answer.keys or answer.unknown_keys):
                reported = e.ConfigurationReported(answer.keys, answer.unknown_keys)
                await context.commit((NewEvent(reported, context.clock()),))

    async def _look(self, connector: ConnectorAddress) -> None:
        """Note whether the charger's composite schedule agrees; it does not where that is not to be had."""
        await self._turn(connector)
        s = self._situation(connector, self._context.clock())
        ahead = look_ahead(s.steering, s.now)
        answer = await self._commands.ask(GetCompositeSchedule(connector, int(ahead.total_seconds())))
        self._agrees[connector] = s.wanted.revision, look_shows(s.wanted, answer, s.now, s.offset, s.phases)

    async def _send(self, connector: ConnectorAddress, step: Send) -> None:
        context, installation = self._context, step.installation
        assert installation.profile is not None
        await self._turn(connector)
        steering = context.state.steering[connector]
        revision = steering.revision
        await self._record(connector, outcomes.sending(steering, step))
        if context.state.steering[connector].revision != revision:
            return
        self._touched.add(connector)
        self._agrees.pop(connector, None)
        outcome = await self._submit(
            connector, revision, SetChargingProfile(installation.connector, installation.profile)
        )
        if not was_sent(outcome):
            self._held[connector] = context.clock() + HOLD
        present = context.state.steering[connector]
        if present.revision == revision:
            await self._record(connector, of_sending(present, steering, step, outcome, context.clock()))

    async def _clear(self, connector: ConnectorAddress, number: int) -> None:
        context = self._context
        await self._turn(connector)
        steering = context.state.steering[connector]
        if number not in context.state.profiles and number not in steering.doubts:
            return  # it is gone meanwhile
        revision = steering.revision
        await self._record(connector, outcomes.clearing(steering, number))
        if context.state.steering[connector].revision != revision:
            return
        self._touched.add(connector)
        self._gone.pop(number, None)
        outcome = await self._submit(connector, revision, ClearChargingProfile(number))
        if not was_sent(outcome):
            self._held[connector] = context.clock() + HOLD
        present = context.state.steering[connector]
        if present.revision == revision:
            await self._record(connector, of_clearing(present, steering, number, outcome, context.clock()))

    async def _look_for(self, connector: ConnectorAddress, number: int) -> None:
        """Note whether the charger's composite schedule shows that it does not have a profile."""
        await self._turn(connector)
        s = self._situation(connector, self._context.clock())
        known = s.installed.get(number)
        if known is None:
            return  # it is gone meanwhile
        answer = await self._commands.ask(GetCompositeSchedule(known.connector, int(LOOK_AHEAD.total_seconds())))
        self._gone[number] = look_shows_gone(known.profile, answer, s.now, s.offset)

    async def _note_gone(self, connector: ConnectorAddress, number: int) -> None:
        context = self._context
        known, now = context.state.profiles[number], context.clock()
        removed = e.ChargingProfileRemoved(known.connector, number, known.profile.purpose, "looked")
        after = outcomes.cleared(context.state.steering[connector], number, "")
        await context.commit((NewEvent(removed, now), self._changed(connector, after)))

    async def _submit(self, connector: ConnectorAddress, revision: int, command: Command) -> CallOutcome:
        context = self._context
        self._sent += 1
        place = f"{connector.evse}.{connector.connector}"
        deadline = trio.current_time() + SEND_SECONDS
        return await self._commands.submit(
            command,
            request_id=f"steering-{place}-r{revision}-e{context.state.epoch}-{self._sent}",
            fingerprint=fingerprint(context.reads.store_id, command),
            deadline=deadline,
            answer_by=deadline + context.limits.call_timeout,
        )

    async def _record(self, connector: ConnectorAddress, steering: Steering) -> None:
        if steering != self._context.state.steering[connector]:
            await self._context.commit((self._changed(connector, steering),))

    def _changed(self, connector: ConnectorAddress, steering: Steering) -> NewEvent:
        cause = f"command:{steering.command_id}" if steering.command_id else ""
        return NewEvent(e.SteeringChanged(connector, steering), self._context.clock(), cause=cause)
