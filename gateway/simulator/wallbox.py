"""The wallbox itself: connectors, transactions, meters, limits. Sans-I/O; the time is a parameter of every act.

Every act first lets the time pass up to `now` (energy flows, deadlines expire), then changes the facts, then lets
follow what follows: a transaction starts when a cable is in and a tag is authorized, a status that changed is
reported. What there is to say to the central system collects in `take_messages`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from gateway.simulator.configuration import MEASURANDS, Configuration
from gateway.simulator.connector import NO_ERROR, Authorization, Connector, Reservation
from gateway.simulator.idtags import KnownTags, TagInfo
from gateway.simulator.messages import Message, Transaction, wire_time
from gateway.simulator.profiles import MAX_PERIODS, Limit, Profile, Session, bound_to, composite, composite_schedule
from gateway.simulator.profilestore import ProfileStore
from gateway.simulator.vehicle import Vehicle

#: Energy is integrated in steps of this many seconds at most: fine enough for the taper and for schedule periods.
INTEGRATION_STEP = 5.0
#: But in no more steps than this, however long ago the last look was.
MOST_STEPS = 2_000
#: While a transaction runs, the box looks at its limit and at the vehicle this often (seconds).
LOOK_INTERVAL = 10.0


class Wallbox:
    """See the module. Connectors are numbered from 1; 0 is the box as a whole.

    `speed` divides every interval of the box (samples, time-outs); energy and timestamps stay true to `now`.
    """

    def __init__(
        self,
        now: datetime,
        *,
        connectors: int = 1,
        phases: int = 3,
        max_amps: float = 32.0,
        measurands: Iterable[str] = MEASURANDS,
        speed: float = 1.0,
        register_wh: float = 0.0,
        schedule_periods: int = MAX_PERIODS,
        obeys_limits: bool = True,
    ) -> None:
        self.configuration = Configuration(connectors, measurands, schedule_periods)
        self.schedule_periods = schedule_periods
        self._obeys_limits = obeys_limits
        self.tags = KnownTags()
        self.profiles = ProfileStore()
        self.connectors = {n: Connector(n, register_wh) for n in range(1, connectors + 1)}
        self.hardware = Limit(max_amps, phases)
        self._whole = Connector(0)
        self._speed = speed
        self._now = now
        self._messages: list[Message] = []

    # --- looking ---------------------------------------------------------------------------------------------

    def connector(self, number: int) -> Connector:
        """The connector with this number, 0 for the whole box. Raises ValueError for one that is not there."""
        if number == 0:
            return self._whole
        if number not in self.connectors:
            raise ValueError(f"connector: there is no connector {number}")
        return self.connectors[number]

    def offer(self, connector: Connector, at: datetime | None = None) -> Limit:
        """Return the limit of the connector at a moment (default: now), by hardware and charging profiles."""
        hardware, session = self._session(connector)
        return composite(self.profiles if self._obeys_limits else (), hardware, session, at or self._now)

    def schedule(self, number: int, duration: timedelta) -> tuple[tuple[int, Limit], ...]:
        """The limit of a connector over the time to come (GetCompositeSchedule)."""
        hardware, session = self._session(self.connector(number))
        return composite_schedule(self.profiles, hardware, session, self._now, duration)

    def status(self, number: int) -> str:
        """The status of a connector as StatusNotification would report it now."""
        connector = self.connector(number)
        if number == 0:
            return connector.status_of_whole()
        return connector.status(self.offer(connector))

    def power(self, number: int) -> float:
        """The power flowing over a connector now, in W; over all of them for 0."""
        chosen = self.connectors.values() if number == 0 else (self.connector(number),)
        return sum(connector.power(self.offer(connector)) for connector in chosen)

    def transaction_with(self, transaction_id: int) -> Transaction | None:
        """The running transaction with the central system's number."""
        running = (connector.transaction for connector in self.connectors.values())
        return next((tx for tx in running if tx is not None and tx.id == transaction_id), None)

    def take_messages(self) -> list[Message]:
        """Return the messages since the last call, in order."""
        messages, self._messages = self._messages, []
        return messages

    def next_look(self) -> float | None:
        """In how many seconds `advance` has something to do; None: only after another act."""
        moments = []
        for connector in self.connectors.values():
            if connector.transaction is not None:
                moments.append(self._now + self._pace(LOOK_INTERVAL))
                if connector.next_sample_at is not None:
                    moments.append(connector.next_sample_at)
            elif connector.authorization is not None:
                moments.append(connector.authorization.until)
            if connector.reservation is not None:
                moments.append(connector.reservation.expires)
        return max((min(moments) - self._now).total_seconds(), 0.0) if moments else None

    # --- the passing of time ---------------------------------------------------------------------------------

    def advance(self, now: datetime) -> None:
        """Let time pass: energy flows, samples are taken, what waited too long is given up."""
        self._flow(now)
        for connector in self.connectors.values():
            if connector.authorization is not None and now >= connector.authorization.until:
                connector.authorization = None
            if connector.reservation is not None and now >= connector.reservation.expires:
                connector.reservation = None
            if connector.next_sample_at is not None and now >= connector.next_sample_at:
                self.sample(connector.number, "Sample.Periodic")
                self._plan_sample(connector)
        self._follow()

    def _flow(self, now: datetime) -> None:
        elapsed = (now - self._now).total_seconds()
        if elapsed <= 0:  # the wall clock was set back; registers never run backwards
            self._now = now
            return
        charging = [c for c in self.connectors.values() if c.transaction is not None]
        steps = min(int(elapsed // INTEGRATION_STEP) + 1, MOST_STEPS) if charging else 1
        start, step = self._now, elapsed / steps
        for number in range(steps if charging else 0):
            at = start + timedelta(seconds=number * step)
            for connector in charging:
                energy = connector.power(self.offer(connector, at)) * step / 3600
                connector.register_wh += energy
                if connector.vehicle is not None:
                    connector.vehicle.take(energy)
        self._now = now

    def _follow(self) -> None:
        """Let follow from the facts what follows: transactions that can start, statuses that changed."""
        for connector in self.connectors.values():
            self._start_if_ready(connector)
        for number in (0, *self.connectors):
            self._report(number)

    def _report(self, number: int, *, changed_only: bool = True, triggered: bool = False) -> None:
        connector = self.connector(number)
        news = (self.status(number), connector.fault)
        if changed_only and news == connector.reported:
            return
        connector.reported = news
        payload = {
            "connectorId": number,
            "errorCode": connector.fault,
            "status": news[0],
            "timestamp": wire_time(self._now),
        }
        self._messages.append(Message("StatusNotification", payload, triggered=triggered))

    # --- the person in front of the box ----------------------------------------------------------------------

    def plug_in(self, number: int, vehicle: Vehicle, now: datetime) -> None:
        """A cable goes in. Raises ValueError when there is one already."""
        self.advance(now)
        connector = self._outlet(number)
        if connector.vehicle is not None:
            raise ValueError(f"connector {number}: a vehicle is plugged in already")
        connector.vehicle = vehicle
        self._follow()

    def unplug(self, number: int, now: datetime) -> None:
        """The cable is pulled at the vehicle's side; a running transaction ends by it."""
        self.advance(now)
        connector = self._outlet(number)
        if connector.transaction is not None:
            self._stop(connector, "EVDisconnected")
            self._follow()  # Finishing is seen before Available (TC_005_1)
        connector.vehicle = None
        connector.finished = False
        self._follow()

    def authorize(self, number: int, id_tag: str, info: TagInfo, now: datetime, profile: Profile | None = None) -> bool:
        """Authorize a tag here; charging begins now or when the cable comes. False: the connector is not free."""
        self.advance(now)
        connector = self._outlet(number)
        if not self.free_for(connector, id_tag, info.parent_id_tag):
            return False
        until = now + self._pace(self.configuration.whole("ConnectionTimeOut"))
        connector.authorization = Authorization(id_tag, until, info.parent_id_tag, profile)
        self._follow()
        return True

    def free_for(self, connector: Connector, id_tag: str, parent_id_tag: str | None = None) -> bool:
        """Return true if a transaction of this tag could begin on the connector."""
        if connector.transaction is not None or connector.fault != NO_ERROR or not connector.operative:
            return False
        return connector.reservation is None or connector.reservation.admits(id_tag, parent_id_tag)

    def set_fault(self, number: int, error_code: str, now: datetime) -> None:
        """A fault appears, or with NoError goes. A fault ends the transaction and the reservation; one of 0, all."""
        self.advance(now)
        affected = [self.connector(number)]
        if number == 0:
            affected += self.connectors.values()
        for connector in affected:
            connector.fault = error_code
            if error_code != NO_ERROR:
                self._stop(connector, "Other")
                connector.authorization = connector.reservation = None
        self._follow()

    # --- transactions ----------------------------------------------------------------------------------------

    def stop(self, number: int, reason: str, now: datetime, id_tag: str | None = None) -> None:
        """End the transaction of a connector, if there is one, and whatever waited to become one."""
        self.advance(now)
        connector = self._outlet(number)
        connector.authorization = None
        self._stop(connector, reason, id_tag)
        self._follow()

    def stop_all(self, reason: str, now: datetime) -> None:
        """End every transaction: a reset, or the power went."""
        for number in self.connectors:
            self.stop(number, reason, now)

    def confirm_start(self, transaction: Transaction, transaction_id: int, info: TagInfo, now: datetime) -> None:
        """StartTransaction.conf arrived, perhaps after the transaction ended. A refused tag ends it (S §4.8)."""
        self.advance(now)
        transaction.id = transaction_id
        transaction.parent_id_tag = info.parent_id_tag or transaction.parent_id_tag
        if not info.usable(now) and transaction.stopped_at is None:
            transaction.accepted = False
            if self.configuration.enabled("StopTransactionOnInvalidId"):
                self._stop(self.connectors[transaction.connector], "DeAuthorized")
        self._follow()

    def sample(self, number: int, context: str, *, triggered: bool = False) -> None:
        """Take a MeterValues sample of a connector."""
        connector = self._outlet(number)
        names = self.configuration.names("MeterValuesSampledData")
        value = connector.meter_value(names, self.offer(connector), context, self._now)
        if not value["sampledValue"]:
            return
        payload = {"connectorId": number, "meterValue": [value]}
        self._messages.append(Message("MeterValues", payload, connector.transaction, triggered=triggered))

    def _start_if_ready(self, connector: Connector) -> None:
        granted = connector.authorization
        if granted is None or connector.vehicle is None:
            return
        if not self.free_for(connector, granted.id_tag, granted.parent_id_tag):
            return
        connector.authorization, connector.finished = None, False
        reservation, connector.reservation = connector.reservation, None
        transaction = Transaction(
            connector.number,
            granted.id_tag,
            self._now,
            connector.register,
            reservation_id=None if reservation is None else reservation.id,
            parent_id_tag=granted.parent_id_tag,
        )
        connector.transaction = transaction
        if granted.profile is not None:
            self.profiles.install(bound_to(granted.profile, connector.number), transaction)
        self._plan_sample(connector)
        payload: dict[str, Any] = {
            "connectorId": connector.number,
            "idTag": granted.id_tag,
            "meterStart": transaction.meter_start_wh,
            "timestamp": wire_time(self._now),
        }
        if transaction.reservation_id is not None:
            payload["reservationId"] = transaction.reservation_id
        self._messages.append(Message("StartTransaction", payload, transaction))

    def _stop(self, connector: Connector, reason: str, id_tag: str | None = None) -> None:
        transaction = connector.transaction
        if transaction is None:
            return
        transaction.stopped_at, transaction.meter_stop_wh = self._now, connector.register
        payload: dict[str, Any] = {
            "meterStop": connector.register,
            "timestamp": wire_time(self._now),
            "reason": reason,
        }
        if id_tag is not None:
            payload["idTag"] = id_tag
        names = self.configuration.names("StopTxnSampledData")
        if names:
            offer = self.offer(connector)
            payload["transactionData"] = [connector.meter_value(names, offer, "Transaction.End", self._now)]
        self._messages.append(Message("StopTransaction", payload, transaction))
        connector.transaction = connector.next_sample_at = None
        connector.finished = connector.vehicle is not None
        self.profiles.end_of_transaction(connector.number)
        if connector.scheduled_operative is not None:
            connector.operative, connector.scheduled_operative = connector.scheduled_operative, None

    def _plan_sample(self, connector: Connector) -> None:
        interval = self.configuration.whole("MeterValueSampleInterval")
        connector.next_sample_at = self._now + self._pace(interval) if interval > 0 else None

    def replan_samples(self) -> None:
        """MeterValueSampleInterval was changed: the next sample follows the new interval."""
        for connector in self.connectors.values():
            if connector.transaction is not None:
                self._plan_sample(connector)

    # --- what the central system arranges --------------------------------------------------------------------

    def change_availability(self, number: int, operative: bool, now: datetime) -> str:
        """ChangeAvailability; 0 means all. Where a transaction runs it is Scheduled (S §5.2)."""
        self.advance(now)
        affected = list(self.connectors.values()) if number == 0 else [self._outlet(number)]
        if number == 0:
            self._whole.operative = operative
        scheduled = False
        for connector in affected:
            if connector.transaction is not None and not operative:
                connector.scheduled_operative = operative
                scheduled = True
                continue
            connector.operative, connector.scheduled_operative = operative, None
            if not operative:
                connector.reservation = connector.authorization = None
        self._follow()
        return "Scheduled" if scheduled else "Accepted"

    def reserve(self, number: int, reservation: Reservation, now: datetime) -> str:
        """ReserveNow; the same reservation id replaces (S §5.13). Answers its status."""
        self.advance(now)
        if number not in self.connectors or reservation.expires <= now:
            return "Rejected"  # connector 0: ReserveConnectorZeroSupported is false
        connector = self.connectors[number]
        if connector.fault != NO_ERROR:
            return "Faulted"
        if not connector.operative:
            return "Unavailable"
        other = connector.reservation is not None and connector.reservation.id != reservation.id
        if other or connector.vehicle is not None or connector.authorization is not None:
            return "Occupied"
        self._drop_reservation(reservation.id)
        connector.reservation = reservation
        self._follow()
        return "Accepted"

    def cancel_reservation(self, reservation_id: int, now: datetime) -> str:
        """CancelReservation; answers its status."""
        self.advance(now)
        found = self._drop_reservation(reservation_id)
        self._follow()
        return "Accepted" if found else "Rejected"

    def _drop_reservation(self, reservation_id: int) -> bool:
        for connector in self.connectors.values():
            if connector.reservation is not None and connector.reservation.id == reservation_id:
                connector.reservation = None
                return True
        return False

    def report_status(self, number: int | None = None, *, triggered: bool = False) -> None:
        """Report a connector's status, or that of all (with 0), whether it changed or not."""
        for each in (0, *self.connectors) if number is None else (number,):
            self._report(each, changed_only=False, triggered=triggered)

    # --- helpers ---------------------------------------------------------------------------------------------

    def _session(self, connector: Connector) -> tuple[Limit, Session]:
        hardware = self.hardware
        if connector.vehicle is not None:  # W becomes A over the phases that are in use
            hardware = evolve(hardware, phases=min(hardware.phases, connector.vehicle.config.phases))
        active = sum(1 for other in self.connectors.values() if other.transaction is not None)
        since = None if connector.transaction is None else connector.transaction.started_at
        sharing = max(active, 1) if connector.number else 1
        return hardware, Session(connector.number, since, sharing)

    def _outlet(self, number: int) -> Connector:
        if number == 0:
            raise ValueError("connector: 0 is the whole box, not an outlet")
        return self.connector(number)

    def _pace(self, seconds: float) -> timedelta:
        return timedelta(seconds=seconds / self._speed)
