"""The fleet as lists and watches of the control interface tell it; what `gateway top` shows. No input, no output."""

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum

from attrs import define, field, frozen
from google.protobuf.message import Message

from gateway.api.v1.charge_point_pb2 import ChargePoint, Connector, ListChargePointsResponse
from gateway.api.v1.command_pb2 import Command, ListCommandsResponse
from gateway.api.v1.common_pb2 import MeterSample
from gateway.api.v1.event_pb2 import CommandAnswered, Event, WatchEventsResponse, WatchMeterValuesResponse
from gateway.api.v1.fleet_pb2 import WatchFleetSummaryResponse
from gateway.api.v1.fleet_summary_pb2 import FleetSummary
from gateway.api.v1.transaction_pb2 import StreamOpenTransactionsResponse, Transaction
from gateway.cli import commands
from gateway.cli.connection import charging_state, connector_name, moment
from gateway.cli.event_text import event_line

MAX_KNOWN = 20_000
"""Charge points that are kept: more than one gateway serves. Those beyond are counted, and not shown."""

MAX_SHOWN = 500
"""Rows of the table: more than anyone scrolls through; a search finds the others."""

RECENT_EVENTS = 100
"""Events of the fleet that are kept, and those of the charge point that is looked at."""

RECENT_COMMANDS = 100
"""Commands that are kept, the newest of the fleet."""

POWER, REGISTER = "Power.Active.Import", "Energy.Active.Import.Register"

TROUBLE = ("Faulted", "Unavailable")
"""Statuses that put a charge point first in the order by trouble."""


class Order(Enum):
    """The order of the rows, each by its first key."""

    POWER = "power"
    TROUBLE = "trouble"
    NAME = "name"


@define
class Plug:
    """A connector as last heard of. ``power`` in W; ``register``, now and at the transaction's start, in mWh."""

    status: str = ""
    state: str = ""
    power: float | None = None
    transaction_id: str = ""
    tag: str = ""
    meter_start: int = 0
    register: int | None = None

    @property
    def energy(self) -> int | None:
        """The energy of the open transaction in mWh; None where there is none, or nothing is known of it."""
        known = self.register is not None and self.transaction_id
        return max(0, self.register - self.meter_start) if known and self.register is not None else None


@define
class Charger:
    """A charge point as last heard of. ``since``: when its connection began or ended."""

    identity: str
    connected: bool = False
    since: datetime | None = None
    make: str = ""
    firmware: str = ""
    labels: Mapping[str, str] = field(factory=dict)
    plugs: dict[str, Plug] = field(factory=dict)

    @property
    def power(self) -> float | None:
        """The import power of all connectors in W; None where none is known."""
        known = [plug.power for plug in self.plugs.values() if plug.power is not None]
        return sum(known) if known else None

    @property
    def energy(self) -> int | None:
        """The energy of the open transactions in mWh; None where there is none."""
        known = [plug.energy for plug in self.plugs.values() if plug.energy is not None]
        return sum(known) if known else None

    @property
    def statuses(self) -> list[str]:
        """The statuses of the connectors, in their order."""
        return [plug.status for _, plug in sorted(self.plugs.items()) if plug.status]

    @property
    def tags(self) -> str:
        """The idTags of the open transactions."""
        return " ".join(plug.tag for _, plug in sorted(self.plugs.items()) if plug.transaction_id)

    def has(self, words: Iterable[str]) -> bool:
        """Return true if each of the words, in lower case, is in one of the texts that describe it."""
        texts = [self.identity, self.make, self.firmware, self.tags, *self.statuses]
        texts += [plug.state for plug in self.plugs.values()]
        texts += [f"{name}={value}" for name, value in self.labels.items()]
        texts.append("online" if self.connected else "offline")
        text = "\n".join(texts).lower()
        return all(word in text for word in words)


@define
class CommandRow:
    """A command as last heard of. ``outcome``: the answer, or the reason why there is none."""

    charge_point: str
    operation: str
    state: str
    outcome: str = ""
    caller: str = ""
    time: datetime | None = None


@frozen
class Totals:
    """The fleet in a few figures. ``power`` in W: the last known powers of those that are connected."""

    known: int
    connected: int
    charging: int
    faulted: int
    power: float
    under_way: int


@define
class FleetView:
    """The fleet as far as it is known. A list begins it anew, watches keep it up."""

    chargers: dict[str, Charger] = field(factory=dict)
    commands: dict[str, CommandRow] = field(factory=dict)
    events: "deque[str]" = field(factory=lambda: deque(maxlen=RECENT_EVENTS))
    focus: str = ""
    focus_events: "deque[str]" = field(factory=lambda: deque(maxlen=RECENT_EVENTS))
    summary: FleetSummary | None = None
    """The gateway's own summary; None: it has given none (yet)."""
    event_count: int = 0
    unknown: int = 0

    def begin(self) -> None:
        """Forget everything: lists follow."""
        self.chargers.clear()
        self.commands.clear()
        self.unknown = 0

    def look_at(self, identity: str) -> None:
        """Keep the events of one charge point from now on; "": of none."""
        self.focus = identity
        self.focus_events.clear()

    def take(self, message: Message) -> None:
        """Apply a page of a list or a batch of a watch."""
        match message:
            case ListChargePointsResponse():
                for charge_point in message.charge_points:
                    self._list(charge_point)
            case StreamOpenTransactionsResponse():
                for transaction in message.transactions:
                    self._open(transaction)
            case ListCommandsResponse():
                for command in reversed(message.commands):
                    self._command(command.command_id, _row(command))
            case WatchEventsResponse():
                for event in message.events:
                    self._see(event)
            case WatchMeterValuesResponse():
                for sample in message.samples:
                    self._measure(sample)
            case WatchFleetSummaryResponse():
                self.summary = message.summary
            case _:
                raise TypeError(f"no message of the fleet: {type(message).__name__}")

    def rows(self, search: str, order: Order) -> tuple[list[Charger], int]:
        """The charge points that have each word of the search, in order, MAX_SHOWN at most; and how many there are."""
        words = search.lower().split()
        found = [each for each in self.chargers.values() if each.has(words)] if words else list(self.chargers.values())
        match order:
            case Order.POWER:
                found.sort(key=lambda each: (-(each.power or 0.0), not each.tags, each.identity))
            case Order.TROUBLE:
                found.sort(key=lambda each: (_peace(each), each.identity))
            case Order.NAME:
                found.sort(key=lambda each: each.identity)
        return found[:MAX_SHOWN], len(found)

    def totals(self) -> Totals:
        """Sum up the fleet."""
        there = [each for each in self.chargers.values() if each.connected]
        plugs = [plug for each in there for plug in each.plugs.values()]
        return Totals(
            known=len(self.chargers) + self.unknown,
            connected=len(there),
            charging=sum(plug.state == "charging" for plug in plugs),
            faulted=sum(plug.status == "Faulted" for plug in plugs),
            power=sum(plug.power or 0.0 for plug in plugs),
            under_way=sum(row.state in ("queued", "sent") for row in self.commands.values()),
        )

    def newest_commands(self, identity: str = "") -> list[CommandRow]:
        """The commands, the newest first; those of one charge point, or all."""
        rows = reversed(self.commands.values())
        return [row for row in rows if not identity or row.charge_point == identity]

    def _list(self, listed: ChargePoint) -> None:
        if listed.identity not in self.chargers and len(self.chargers) >= MAX_KNOWN:
            self.unknown += 1
            return
        charger = Charger(
            listed.identity,
            connected=listed.connection.connected,
            since=moment(listed.connection, "since_time"),
            make=f"{listed.boot.vendor} {listed.boot.model}".strip(),
            firmware=listed.boot.firmware_version,
            labels=dict(listed.labels),
        )
        self.chargers[listed.identity] = charger
        for connector in listed.connectors:
            if connector.connector.evse:
                charger.plugs[connector_name(connector.connector)] = _plug(connector)

    def _open(self, transaction: Transaction) -> None:
        plug = self._plug_of(transaction.charge_point, connector_name(transaction.connector))
        if plug is not None:
            plug.transaction_id, plug.tag = transaction.transaction_id, transaction.id_tag
            plug.meter_start = transaction.meter_start.milliwatt_hours

    def _command(self, command_id: str, row: CommandRow) -> None:
        self.commands[command_id] = row
        while len(self.commands) > RECENT_COMMANDS:
            del self.commands[next(iter(self.commands))]

    def _see(self, event: Event) -> None:
        self.event_count += 1
        line = event_line(event)
        self.events.append(line)
        if event.charge_point == self.focus:
            self.focus_events.append(line)
        kind = event.WhichOneof("body") or ""
        if kind.startswith("command_"):
            self._see_command(kind, event)
        elif kind == "charge_point_created" and len(self.chargers) < MAX_KNOWN:
            self.chargers.setdefault(event.charge_point, Charger(event.charge_point))
        elif kind == "charge_point_deleted":
            self.chargers.pop(event.charge_point, None)
        elif event.charge_point in self.chargers:
            self._see_charger(kind, event, self.chargers[event.charge_point])

    def _see_charger(self, kind: str, event: Event, charger: Charger) -> None:
        match kind:
            case "charge_point_connected" | "charge_point_disconnected":
                charger.connected = kind == "charge_point_connected"
                charger.since = moment(event, "receive_time")
            case "charge_point_booted":
                boot = event.charge_point_booted.boot
                charger.make, charger.firmware = f"{boot.vendor} {boot.model}".strip(), boot.firmware_version
            case "connector_status_changed" if event.connector_status_changed.connector.evse:
                change = event.connector_status_changed
                self._plug(charger, connector_name(change.connector)).status = change.status
            case "connector_charging_state_changed":
                new = event.connector_charging_state_changed
                self._plug(charger, connector_name(new.connector)).state = charging_state(new.state)
            case "transaction_started":
                started = event.transaction_started
                plug = self._plug(charger, connector_name(started.connector))
                plug.transaction_id, plug.tag = started.transaction_id, started.id_tag
                plug.meter_start = started.meter_start.milliwatt_hours
                # The values have a watch of their own, which may be ahead.
                plug.register = max(plug.register or 0, plug.meter_start)
            case "transaction_stopped":
                stopped = event.transaction_stopped
                plug = self._plug(charger, connector_name(stopped.connector))
                if plug.transaction_id in ("", stopped.transaction_id):
                    plug.transaction_id, plug.tag, plug.power = "", "", 0.0

    def _see_command(self, kind: str, event: Event) -> None:
        body = getattr(event, kind)
        row = self.commands.get(body.command_id)
        if row is None:
            row = CommandRow(event.charge_point, body.operation, "", time=moment(event, "receive_time"))
            self._command(body.command_id, row)
        row.state = kind.removeprefix("command_").replace("_", " ")
        match kind:
            case "command_queued":
                row.caller = body.caller
            case "command_answered":
                row.outcome = _answer(body)
            case "command_not_sent" | "command_outcome_unknown":
                row.outcome = body.reason

    def _measure(self, sample: MeterSample) -> None:
        if not sample.connector.evse or sample.phase:
            return
        plug = self._plug_of(sample.charge_point, connector_name(sample.connector))
        if plug is None:
            return
        if sample.measurand == POWER and sample.HasField("power_watts"):
            plug.power = sample.power_watts
        elif sample.measurand == REGISTER and sample.HasField("energy"):
            plug.register = sample.energy.milliwatt_hours

    def _plug_of(self, identity: str, connector: str) -> Plug | None:
        charger = self.chargers.get(identity)
        return None if charger is None else self._plug(charger, connector)

    @staticmethod
    def _plug(charger: Charger, connector: str) -> Plug:
        return charger.plugs.setdefault(connector, Plug())


def _plug(connector: Connector) -> Plug:
    latest = connector.latest
    return Plug(
        connector.status,
        charging_state(connector.charging_state),
        power=latest.power.value if latest.HasField("power") else None,
        register=latest.energy_register.energy.milliwatt_hours if latest.HasField("energy_register") else None,
    )


def _answer(answered: CommandAnswered) -> str:
    command = Command()
    if answered.WhichOneof("outcome") == "error":
        command.error.CopyFrom(answered.error)
    else:
        command.answer.CopyFrom(answered.answer)
    return commands.outcome(command)


def _row(command: Command) -> CommandRow:
    time = moment(command, "create_time")
    return CommandRow(
        command.charge_point,
        command.operation,
        commands.state(command),
        commands.outcome(command),
        command.caller,
        time,
    )


def _peace(charger: Charger) -> int:
    if not charger.connected:
        return 0
    return 1 if any(status in TROUBLE for status in charger.statuses) else 2
