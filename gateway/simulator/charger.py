"""The simulated charger: a wallbox with its connection, and the person in front of it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import trio

from gateway.simulator import operations, rpc
from gateway.simulator.authorizer import Authorizer
from gateway.simulator.config import ChargerConfig, Clock, Observer, utc_now
from gateway.simulator.connection import Connection, Notifier
from gateway.simulator.connector import NO_ERROR
from gateway.simulator.event_log import EventLog
from gateway.simulator.idtags import TagInfo, parse_tag_info
from gateway.simulator.link import Dial, TlsDial
from gateway.simulator.maintenance import Maintenance
from gateway.simulator.messages import Message
from gateway.simulator.operations import OperationFault, Operations
from gateway.simulator.outbox import Outbox
from gateway.simulator.power_switch import PowerSwitch
from gateway.simulator.profiles import Limit, Profile
from gateway.simulator.session import Reply
from gateway.simulator.vehicle import Vehicle, VehicleConfig
from gateway.simulator.wallbox import Wallbox


class SimulatedCharger:
    """One home wallbox, live on the wire while `run` runs.

    All methods belong to the Trio loop of `run`. Those that act for the person in front of the box raise ValueError
    when the act makes no sense there (a second cable, a connector that does not exist).

    `on_event(name, details)` hears what happens: connecting, link_up, link_failed, link_lost, link_closed,
    registered, boot_failed, command, limit, status, transaction_started, transaction_confirmed, transaction_stopped,
    meter_values, delivered, delivery_failed, dropped, firmware, diagnostics, refused. No event carries a secret.
    """

    def __init__(
        self,
        config: ChargerConfig,
        ssl_context: ssl.SSLContext | None = None,
        *,
        clock: Clock = utc_now,
        on_event: Observer | None = None,
        dial: Dial | None = None,
    ) -> None:
        """`ssl_context` verifies the server (default: the system's CAs); `dial` replaces TCP and TLS in tests."""
        if dial is None:
            dial = TlsDial(ssl_context or ssl.create_default_context())
        self.config = config
        self._clock = clock
        self._on_event = on_event
        self._box = Wallbox(
            clock(),
            connectors=config.connectors,
            phases=config.phases,
            max_amps=config.max_current_amps,
            measurands=config.measurands,
            speed=config.speed,
            register_wh=config.register_wh,
            schedule_periods=config.schedule_periods,
            obeys_limits=config.obeys_limits,
        )
        self._operations = Operations(self._box, fixed_cable=config.fixed_cable)
        self._outbox = Outbox(self._message_dropped)
        self._connection = Connection(
            config,
            self._box.configuration,
            self._outbox,
            dial,
            reply=self._reply,
            confirmed=self._confirmed,
            registered=self._report_all,
            emit=self._emit,
            boot_payload=self._boot_payload,
        )
        self._authorizer = Authorizer(self._box.configuration, self._box.tags, self._connection, clock)
        self._narrator = EventLog(self._box, self._emit)
        self._power = PowerSwitch(
            config, clock, self._box, self._outbox, self._connection, self._settle, self._wait_until
        )
        present = self._connection.present
        self._maintenance = Maintenance(config, clock, self._box, self._say, self._power.restart, self._emit, present)
        self._operations.add(self._maintenance.extension.operations)
        self._nursery: trio.Nursery | None = None
        self._starting, self._world, self._news = set[int](), Notifier(), Notifier()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live until cancelled: connect, and connect again whatever happens to the link. Started at once, before
        there is a link. Cancelling cuts the connection as pulling the mains plug would."""
        if self._nursery is not None:
            raise RuntimeError("the charger is running already")
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._live)
                nursery.start_soon(self._connection.run)
                task_status.started()
        finally:
            self._nursery = None

    # --- looking ---------------------------------------------------------------------------------------------

    @property
    def identity(self) -> str:
        """The charge point identity."""
        return self.config.identity

    @property
    def connected(self) -> bool:
        """True while the link is up."""
        return self._connection.online

    @property
    def registration(self) -> str | None:
        """Accepted, Pending, Rejected, or None before the first BootNotification.conf."""
        return self._connection.registration

    @property
    def firmware(self) -> str:
        """The firmware version that BootNotification reports."""
        return self._maintenance.firmware

    @property
    def undelivered(self) -> int:
        """Number of transaction messages that wait for their confirmation."""
        return self._outbox.undelivered_transactions

    def status(self, connector: int = 1) -> str:
        """The status of a connector (0: the box)."""
        self._advance()
        return self._box.status(connector)

    def power(self, connector: int = 1) -> float:
        """The power flowing, in W (0: over all connectors)."""
        self._advance()
        return self._box.power(connector)

    def limit(self, connector: int = 1) -> Limit:
        """The limit that the connector may offer now."""
        self._advance()
        return self._box.offer(self._box.connector(connector))

    def register(self, connector: int = 1) -> float:
        """The lifetime register of a connector, in Wh."""
        self._advance()
        return self._box.connector(connector).register_wh

    def transaction_id(self, connector: int = 1) -> int | None:
        """The central system's number of the running transaction, None without one or before it is known."""
        transaction = self._box.connector(connector).transaction
        return None if transaction is None else transaction.id

    def charging(self, connector: int = 1) -> bool:
        """True while a transaction runs."""
        return self._box.connector(connector).transaction is not None

    def vehicle(self, connector: int = 1) -> Vehicle | None:
        """The vehicle at the cable."""
        self._advance()
        return self._box.connector(connector).vehicle

    async def wait_for(self, condition: Callable[[SimulatedCharger], bool]) -> None:
        """Wait until a condition on this charger holds; looked at after every event. Cancelling is safe."""
        await self._wait_until(lambda: condition(self))

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._news.wait()

    # --- the person in front of it ---------------------------------------------------------------------------

    def plug_in(self, connector: int = 1, vehicle: VehicleConfig | None = None) -> None:
        """Plug a vehicle in (default: the configured one, as it arrives)."""
        arriving = Vehicle.arriving(vehicle or self.config.vehicle, self.config.speed)
        self._box.plug_in(connector, arriving, self._clock())
        self._settle()

    def unplug(self, connector: int = 1) -> None:
        """Pull the cable; a running transaction ends with EVDisconnected."""
        self._box.unplug(connector, self._clock())
        self._settle()

    async def present_id_tag(self, id_tag: str | None = None, connector: int = 1) -> bool:
        """Hold a tag to the reader (default: the configured one): starts a transaction, or stops the running one if
        the tag is its own or of its group. False: it was refused."""
        tag = id_tag or self.config.id_tag
        running = self._box.connector(connector).transaction
        if running is not None and running.id_tag.casefold() == tag.casefold():
            self._stop(connector, "Local", tag)
            return True
        info = await self._authorizer.authorize(tag)
        if not info.usable(self._clock()):
            self._emit("refused", id_tag=tag, reason=info.status)
            return False
        if running is None:
            return self._begin(connector, tag, info)
        # The transaction may have ended while the central system thought about the tag.
        same_group = info.parent_id_tag is not None and info.parent_id_tag == running.parent_id_tag
        if not same_group or self._box.connector(connector).transaction is not running:
            self._emit("refused", id_tag=tag, reason="another transaction is running")
            return False
        self._stop(connector, "Local", tag)
        return True

    def fault(self, connector: int, error_code: str = "OtherError") -> None:
        """Something breaks (0: the whole box); a transaction there ends."""
        self._box.set_fault(connector, error_code, self._clock())
        self._settle()

    def clear_fault(self, connector: int) -> None:
        """It is repaired."""
        self.fault(connector, NO_ERROR)

    def drop_link(self) -> None:
        """The connection breaks without a word; the charger notices and reconnects with back-off."""
        self._connection.hang_up(graceful=False)

    def go_offline(self, seconds: float) -> None:
        """The internet is away for so many seconds of the charger's life; charging goes on."""
        self._connection.hang_up(graceful=False, dark_for=self.config.pace(seconds))

    def forget_profiles(self) -> None:
        """All charging profiles are lost, as where a box keeps them badly."""
        self._box.profiles.clear()
        self._settle()

    def power_cycle(self) -> None:
        """The mains fails and returns: transactions end with PowerLoss, the box boots."""
        self._power.cut()

    # --- the passing of time ---------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            self._advance()
            look = self._box.next_look()
            with trio.move_on_after(float("inf") if look is None else look):
                await self._world.wait()

    def _advance(self) -> None:
        self._box.advance(self._clock())
        self._hand_over()

    def _settle(self) -> None:
        """After every act: let follow what follows, hand over what there is to say, look when to look again."""
        self._advance()
        self._world.ring()
        self._news.ring()

    def _hand_over(self) -> None:
        messages = self._box.take_messages()
        for message in messages:
            self._outbox.put(message, online=self._connection.online)
        if messages:
            self._connection.wake()
        for message in messages:  # only now: an observer may act on the charger, and what follows comes after these
            self._narrator.message(message)

    def _say(self, action: str, payload: Mapping[str, Any], *, triggered: bool = False) -> None:
        self._outbox.put(Message(action, payload, triggered=triggered), online=self._connection.online)
        self._connection.wake()

    # --- transactions ----------------------------------------------------------------------------------------

    def _begin(self, connector: int, id_tag: str, info: TagInfo, profile: Profile | None = None) -> bool:
        begun = self._outbox.room_for_transaction()
        if begun:
            begun = self._box.authorize(connector, id_tag, info, self._clock(), profile)
        if not begun:
            self._emit("refused", id_tag=id_tag, reason="the connector is not free, or the memory is full")
        self._settle()
        return begun

    def _stop(self, connector: int, reason: str, id_tag: str | None = None) -> None:
        self._box.stop(connector, reason, self._clock(), id_tag)
        self._settle()

    def _confirmed(self, message: Message, confirmation: Mapping[str, Any]) -> None:
        transaction = message.transaction
        if message.action != "StartTransaction" or transaction is None:
            return
        number = confirmation.get("transactionId")
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError("StartTransaction.conf: transactionId: expected an integer")
        info = parse_tag_info(confirmation.get("idTagInfo"))
        self._box.tags.remember(transaction.id_tag, info)
        self._emit(
            "transaction_confirmed",
            connector=transaction.connector,
            transaction_id=number,
            status=info.status,
        )
        self._box.confirm_start(transaction, number, info, self._clock())
        self._settle()

    # --- the central system's requests -----------------------------------------------------------------------

    def _reply(self, call: rpc.Call) -> Reply:
        try:
            answer = self._operations.answer(
                call.action, call.payload, self._clock(), accepted=self._connection.accepted
            )
        except OperationFault as fault:
            self._emit("command", action=call.action, error=fault.code, reason=fault.description)
            return Reply(rpc.error(call.id, fault.code, fault.description), self._settle)
        self._emit("command", action=call.action, status=answer.status)
        return Reply(rpc.result(call.id, answer.payload), partial(self._after_reply, answer.then))

    def _after_reply(self, follow_up: operations.FollowUp | None) -> None:
        match follow_up:
            case operations.RemoteStart() as start:
                self._in_background(self._remote_start, start)
            case operations.RemoteStop(connector, reason):
                self._box.stop(connector, reason, self._clock())
            case operations.Reboot(hard):
                self._in_background(self._power.reset, hard)
            case operations.Trigger(message, connector):
                self._trigger(message, connector)
            case operations.UpdateFirmware(location, at):
                self._in_background(self._maintenance.update_firmware, location, at)
            case operations.UploadDiagnostics(location):
                self._in_background(self._maintenance.upload_diagnostics, location)
            case operations.LongTask(begin):
                self._in_background(begin)
            case operations.NewPassword(password):
                self._connection.password = password
                self._connection.hang_up(graceful=True)  # and connect with the new one (WP A01.FR.03)
            case operations.SettingChanged(key):
                if key == "MeterValueSampleInterval":
                    self._box.replan_samples()
                self._connection.settings_changed()
        self._settle()
        self._narrator.limits()

    def _in_background(self, task: Callable[..., Any], *arguments: object) -> None:
        assert self._nursery is not None, "requests arrive only while run() runs"
        self._nursery.start_soon(task, *arguments)

    async def _remote_start(self, start: operations.RemoteStart) -> None:
        if start.connector in self._starting:
            return  # one at a time for a connector, however often it is asked
        self._starting.add(start.connector)
        try:
            info = TagInfo("Accepted")
            if self._box.configuration.enabled("AuthorizeRemoteTxRequests"):
                info = await self._authorizer.authorize(start.id_tag)
            if info.usable(self._clock()):
                self._begin(start.connector, start.id_tag, info, start.profile)
            else:
                self._emit("refused", id_tag=start.id_tag, reason=info.status)
        finally:
            self._starting.discard(start.connector)

    def _trigger(self, message: str, connector: int | None) -> None:
        match message:
            case "BootNotification":
                self._connection.boot_again()
            case "Heartbeat":
                self._say("Heartbeat", {}, triggered=True)
            case "StatusNotification":
                self._box.report_status(connector, triggered=True)
            case "MeterValues":
                for number in self._box.connectors if connector is None else (connector,):
                    self._box.sample(number, "Trigger", triggered=True)
            case _:
                self._say(message, {"status": self._maintenance.current(message)}, triggered=True)

    # --- registering -----------------------------------------------------------------------------------------

    def _boot_payload(self) -> dict[str, Any]:
        payload = {
            "chargePointVendor": self.config.vendor,
            "chargePointModel": self.config.model,
            "firmwareVersion": self.firmware,
        }
        if self.config.serial:
            payload["chargePointSerialNumber"] = self.config.serial
        return payload

    def _report_all(self) -> None:
        """After acceptance: the status of the box and of every connector (SE 3.22), each once."""
        self._advance()
        self._outbox.forget_statuses()
        self._box.report_status()
        self._settle()

    # --- telling ---------------------------------------------------------------------------------------------

    def _emit(self, name: str, **details: object) -> None:
        if self._on_event is not None:
            self._on_event(name, details)
        self._news.ring()

    def _message_dropped(self, message: Message, reason: str) -> None:
        self._emit("dropped", action=message.action, reason=reason)
