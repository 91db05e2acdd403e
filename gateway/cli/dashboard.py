"""The display of `gateway watch` on a terminal: every charger's state, and the last events."""

from collections import deque
from datetime import datetime

from attrs import define, field
from rich.console import Group, RenderableType
from rich.text import Text

from gateway.api.v1.charge_point_pb2 import ChargePoint
from gateway.api.v1.common_pb2 import MeterSample
from gateway.api.v1.event_pb2 import Event
from gateway.api.v1.transaction_pb2 import Transaction
from gateway.cli.connection import connector_name, moment
from gateway.cli.event_text import event_line
from gateway.cli.output import kilowatt_hours, kilowatts, local, printable, status, table

MAX_ROWS = 40
"""Connectors that are shown: a screenful. The others are counted."""

MAX_KNOWN = 20_000
"""Connectors that are remembered; more chargers than one gateway serves would forget the oldest."""

RECENT = 12
"""Events below the table."""


@define
class Outlet:
    """A connector's last known state."""

    status: str = ""
    power: float | None = None
    transaction_id: str = ""
    tag: str = ""
    meter_start: int | None = None
    energy: int | None = None
    changed: datetime | None = None


@define
class Dashboard:
    """The state of all chargers as the streams tell it."""

    online: dict[str, bool] = field(factory=dict)
    outlets: dict[tuple[str, str], Outlet] = field(factory=dict)
    recent: "deque[str]" = field(factory=lambda: deque(maxlen=RECENT))
    notice: str = ""

    def know(self, charge_point: ChargePoint) -> None:
        """Begin with what is known of a charger."""
        self.online[charge_point.identity] = charge_point.connection.connected
        for each in charge_point.connectors:
            if each.connector.evse:
                outlet = self.outlet(charge_point.identity, connector_name(each.connector))
                outlet.status, outlet.changed = each.status, moment(each, "status_time")

    def know_transaction(self, transaction: Transaction) -> None:
        """And with the transactions that are running."""
        outlet = self.outlet(transaction.charge_point, connector_name(transaction.connector))
        if not outlet.transaction_id:
            outlet.transaction_id, outlet.tag = transaction.transaction_id, transaction.id_tag
            outlet.meter_start = transaction.meter_start.milliwatt_hours

    def see(self, event: Event) -> None:
        """Something happened."""
        if event.type != "meter_values.reported":
            self.recent.append(printable(event_line(event)))
        match event.WhichOneof("body"):
            case "charge_point_connected":
                self.online[event.charge_point] = True
            case "charge_point_disconnected":
                self.online[event.charge_point] = False
            case "charge_point_deleted":
                self.online.pop(event.charge_point, None)
                for key in [key for key in self.outlets if key[0] == event.charge_point]:
                    del self.outlets[key]
            case "connector_status_changed" if event.connector_status_changed.connector.evse:
                change = event.connector_status_changed
                outlet = self.outlet(event.charge_point, connector_name(change.connector))
                outlet.status, outlet.changed = change.status, moment(event, "receive_time")
            case "transaction_started":
                started = event.transaction_started
                outlet = self.outlet(event.charge_point, connector_name(started.connector))
                outlet.transaction_id, outlet.tag = started.transaction_id, started.id_tag
                outlet.meter_start, outlet.energy = started.meter_start.milliwatt_hours, 0
            case "transaction_stopped":
                stopped = event.transaction_stopped
                outlet = self.outlet(event.charge_point, connector_name(stopped.connector))
                outlet.transaction_id, outlet.power = "", 0.0
                if stopped.HasField("energy"):
                    outlet.energy = stopped.energy.milliwatt_hours

    def measure(self, sample: MeterSample) -> None:
        """Something was measured: the power over all phases, or the register during a transaction."""
        if not sample.connector.evse or sample.phase or not sample.charge_point:
            return
        outlet = self.outlet(sample.charge_point, connector_name(sample.connector))
        if sample.measurand == "Power.Active.Import" and sample.HasField("power_watts"):
            outlet.power = sample.power_watts
        elif sample.measurand == "Energy.Active.Import.Register" and sample.HasField("energy"):
            known = outlet.transaction_id and outlet.transaction_id == sample.transaction_id
            if known and outlet.meter_start is not None:
                outlet.energy = max(0, sample.energy.milliwatt_hours - outlet.meter_start)

    def outlet(self, identity: str, connector: str) -> Outlet:
        """A connector's state, remembered from now on."""
        key = (identity, connector)
        if key not in self.outlets:
            while len(self.outlets) >= MAX_KNOWN:
                del self.outlets[next(iter(self.outlets))]
            self.outlets[key] = Outlet()
        return self.outlets[key]

    def render(self) -> RenderableType:
        """Return the display as of now."""
        rows = sorted(self.outlets.items(), key=lambda item: (not item[1].transaction_id, item[0]))
        made = table(
            "charger",
            "",
            "connector",
            "status",
            ">power",
            ">energy",
            "-tag",
            "-since",
            rows=[self._row(identity, connector, outlet) for (identity, connector), outlet in rows[:MAX_ROWS]],
            empty="no connectors have been reported",
        )
        silent = [identity for identity in self.online if not any(key[0] == identity for key in self.outlets)]
        parts: list[RenderableType] = [made]
        if len(rows) > MAX_ROWS:
            parts.append(Text(f"... and {len(rows) - MAX_ROWS} more connectors", style="dim"))
        if silent:
            have = "charger has" if len(silent) == 1 else "chargers have"
            parts.append(Text(f"{len(silent)} {have} not reported a connector", style="dim"))
        parts += [Text(), *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self.recent)]
        if self.notice:
            parts.append(Text(printable(self.notice), style="yellow"))
        return Group(*parts)

    def _row(self, identity: str, connector: str, outlet: Outlet) -> tuple[object, ...]:
        online = self.online.get(identity)
        return (
            identity,
            Text("●", style="green") if online else Text("○", style="red" if online is False else "dim"),
            connector,
            status(outlet.status),
            "" if outlet.power is None else kilowatts(outlet.power),
            "" if outlet.energy is None else kilowatt_hours(outlet.energy),
            outlet.tag if outlet.transaction_id else "",
            local(outlet.changed),
        )
