"""The full screen of `gateway top`, by textual.

What chargers sent is shown as plain text, never as markup: ``printable`` makes control characters visible, and
``Text`` is not parsed.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input, Static

from gateway.cli.output import age, counted, kilowatt_hours, kilowatts, local, printable, status, status_style
from gateway.cli.top.feed import Feed
from gateway.cli.top.fleet_view import Charger, CommandRow, FleetView, Order, Totals

REFRESH_SECONDS: Final = 0.5
"""How often what has come is taken and drawn."""

LINES: Final = 60
"""Lines of events or commands that are drawn: no pane is higher."""

COLUMNS: Final = ("charge point", "", "connectors", "power", "energy", "tag", "since", "make", "firmware")

RATE_SECONDS: Final = 5.0
"""The time over which events a second are counted."""


class ChargePointPane(Screen[None]):
    """One charge point: what it is, its connectors, its commands, its events from now on."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "back", "back")]

    def __init__(self, identity: str) -> None:
        super().__init__()
        self.identity = identity

    def compose(self) -> ComposeResult:
        """The parts of the pane, from above."""
        yield Static(id="charger")
        with Vertical(id="below"):
            with VerticalScroll(classes="pane") as events:
                events.border_title = "events"
                yield Static(id="charger-events", classes="lines")
            with VerticalScroll(classes="pane") as sent:
                sent.border_title = "commands"
                yield Static(id="charger-commands", classes="lines")
        yield Footer()

    def on_mount(self) -> None:
        """Draw it as it is."""
        self.draw()

    def draw(self) -> None:
        """Draw it anew."""
        top = self.app
        assert isinstance(top, Top)
        view = top.view
        charger = view.chargers.get(self.identity)
        about = Text(self.identity + "\n", style="bold")
        if charger is None:
            about.append("is not there any more", style="red")
        else:
            about.append_text(_about(charger, top.now()))
        self.query_one("#charger", Static).update(about)
        self.query_one("#charger-events", Static).update(_event_lines(view.focus_events))
        self.query_one("#charger-commands", Static).update(_command_lines(view.newest_commands(self.identity)))

    def action_back(self) -> None:
        """Back to the fleet."""
        top = self.app
        assert isinstance(top, Top)
        top.view.look_at("")
        self.dismiss()


class Top(App[None]):
    """The fleet: totals, the charge points, events and commands. ``error``: what ended it, for its caller to report."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search"),
        Binding("escape", "clear", "clear", show=False),
        Binding("o", "order", "order"),
        Binding("q,ctrl+c", "quit", "quit"),
    ]
    CSS = """
    #totals { height: 2; padding: 0 1; }
    #search { display: none; height: 3; }
    #search.wanted { display: block; }
    DataTable { height: 2fr; }
    #below { height: 1fr; min-height: 8; }
    .pane { border: round $primary; height: 1fr; }
    .lines { width: auto; }
    #charger { height: auto; padding: 1; }
    """

    def __init__(self, feed: Feed, target: str, now: Callable[[], datetime], *, live: bool = True) -> None:
        super().__init__()
        self.feed, self.target, self.now = feed, target, now
        self.view = FleetView()
        self.order = Order.POWER
        self.search = ""
        self.error: Exception | None = None
        self._live = live
        self._shown: list[str] = []
        self._counted: tuple[float, int] | None = None
        self._rate = 0.0

    def compose(self) -> ComposeResult:
        """The parts of the screen, from above."""
        yield Static(id="totals")
        yield Input(id="search", placeholder="identity, tag, status, make, firmware, label: each word has to be there")
        yield DataTable[Text](cursor_type="row", zebra_stripes=True)
        with Vertical(id="below"):
            with VerticalScroll(classes="pane") as events:
                events.border_title = "events"
                yield Static(id="events", classes="lines")
            with VerticalScroll(classes="pane") as sent:
                sent.border_title = "commands"
                yield Static(id="commands", classes="lines")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read and to draw."""
        table = self.query_one(DataTable)
        for name in COLUMNS:
            table.add_column(name, key=name or "link")
        table.focus()
        self.feed.start()
        if self._live:
            self.set_interval(REFRESH_SECONDS, self.refresh_view)
        self.draw()

    def refresh_view(self) -> bool:
        """Take what has come, and draw it; returns false if nothing had come. What the feed raises ends the screen."""
        try:
            taken = self.feed.take(self.view.take, self.view.begin)
        except Exception as error:  # reported by the caller, on a terminal that is itself again
            self.error = error
            self.exit()
            return False
        self._count()
        self.draw()
        return taken > 0

    def draw(self) -> None:
        """Draw what is known."""
        if isinstance(self.screen, ChargePointPane):
            self.screen.draw()
            return
        found, count = self.view.rows(self.search, self.order)
        self.query_one("#totals", Static).update(self._heading(self.view.totals(), len(found), count))
        self._fill(found)
        self.query_one("#events", Static).update(_event_lines(self.view.events))
        self.query_one("#commands", Static).update(_command_lines(self.view.newest_commands()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out of the pane of one charge point the keys that are for the table."""
        return not (action in ("search", "order", "clear") and isinstance(self.screen, ChargePointPane))

    def action_search(self) -> None:
        """Ask for words to search for."""
        box = self.query_one("#search", Input)
        box.add_class("wanted")
        box.focus()

    def action_clear(self) -> None:
        """Search for nothing any more."""
        box = self.query_one("#search", Input)
        box.value, self.search = "", ""
        box.remove_class("wanted")
        self.query_one(DataTable).focus()
        self.draw()

    def action_order(self) -> None:
        """Take the next order."""
        orders = list(Order)
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        self.draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while it is typed."""
        self.search = event.value
        self.draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to what was found."""
        self.query_one(DataTable).focus()

    def on_data_table_row_selected(self, event: "DataTable.RowSelected") -> None:
        """Open the pane of the charge point under the cursor."""
        identity = event.row_key.value
        if identity:
            self.view.look_at(identity)
            self.push_screen(ChargePointPane(identity), lambda _: self.draw())

    def _count(self) -> None:
        at, count = self.now().timestamp(), self.view.event_count
        if self._counted is None:
            self._counted = at, count
        elif at - self._counted[0] >= RATE_SECONDS:
            self._rate = (count - self._counted[1]) / (at - self._counted[0])
            self._counted = at, count

    def _heading(self, totals: Totals, shown: int, found: int) -> Text:
        parts = (
            (f"{totals.connected} of {totals.known} connected", ""),
            (f"{totals.charging} charging", "bold cyan" if totals.charging else ""),
            (kilowatts(totals.power), "bold"),
            (f"{totals.faulted} faulted", "red" if totals.faulted else ""),
            (f"{counted(totals.under_way, 'command')} under way", ""),
            (f"{self._rate:.1f} events/s", ""),
        )
        text = Text(f"gateway top  {printable(self.target)}  ", style="bold")
        for words, style in parts:
            text.append("  ").append(words, style=style or "not bold")
        text.append(f"\nby {self.order.value}; enter opens a charge point", style="not bold dim")
        if (summary := self.view.summary) is not None:
            text.append(f"  {counted(summary.open_transaction_count, 'open transaction')}", style="dim")
            for count, words in (
                (summary.silent_count, "silent for an hour"),
                (summary.flapping_count, "flapping"),
                (summary.power.stale_count, "with old readings"),
            ):
                text.append(f"  {count} {words}" if count else "", style="yellow")
        if self.search or found > shown:
            text.append(f"  {found} found" + (f", the first {shown} shown" if found > shown else ""), style="dim")
        if self.view.unknown:
            text.append(f"  {self.view.unknown} more are not kept here", style="yellow")
        notice = self.feed.notice or ("" if self.feed.listed else "reading the lists")
        return text.append(f"  {printable(notice)}", style="yellow")

    def _fill(self, found: list[Charger]) -> None:
        table = self.query_one(DataTable)
        now = self.now()
        wanted = [each.identity for each in found]
        if wanted == self._shown:
            for charger in found:
                for name, value in zip(COLUMNS, _cells(charger, now), strict=True):
                    if table.get_cell(charger.identity, name or "link") != value:
                        table.update_cell(charger.identity, name or "link", value, update_width=True)
            return
        under = self._shown[table.cursor_row] if table.cursor_row < len(self._shown) else ""
        table.clear()
        for charger in found:
            table.add_row(*_cells(charger, now), key=charger.identity)
        self._shown = wanted
        if under in wanted:
            table.move_cursor(row=wanted.index(under), animate=False)


def _cells(charger: Charger, now: datetime) -> tuple[Text, ...]:
    power, energy = charger.power, charger.energy
    link = Text("●", style="green") if charger.connected else Text("○", style="red")
    return (
        Text(printable(charger.identity)),
        link,
        Text(" ").join(status(each) for each in charger.statuses),
        Text("" if power is None else kilowatts(power), justify="right"),
        Text("" if energy is None else kilowatt_hours(energy), justify="right"),
        Text(printable(charger.tags)),
        Text(age(charger.since, now)),
        Text(printable(charger.make)),
        Text(printable(charger.firmware)),
    )


def _about(charger: Charger, now: datetime) -> Text:
    text = Text()
    link = "connected" if charger.connected else "not connected"
    text.append(link, style="green" if charger.connected else "red")
    if charger.since is not None:
        text.append(f" since {local(charger.since)} ({age(charger.since, now)})")
    for words in (charger.make, charger.firmware, *(f"{name}={value}" for name, value in charger.labels.items())):
        if words:
            text.append(f"   {printable(words)}")
    for name, plug in sorted(charger.plugs.items()):
        text.append(f"\nconnector {name}  ").append(printable(plug.status), style=status_style(plug.status))
        text.append(f"  {plug.state}" if plug.state else "")
        if plug.power is not None:
            text.append(f"  {kilowatts(plug.power)}", style="bold")
        if plug.transaction_id:
            text.append(f"  transaction {printable(plug.transaction_id)} of {printable(plug.tag)}")
            if plug.energy is not None:
                text.append(f"  {kilowatt_hours(plug.energy)}")
    return text


def _event_lines(lines: Iterable[str]) -> Text:
    newest = list(lines)[: -LINES - 1 : -1]
    return Text("\n".join(printable(line) for line in newest), no_wrap=True)


def _command_lines(rows: list[CommandRow]) -> Text:
    text = Text(no_wrap=True)
    for number, row in enumerate(rows[:LINES]):
        when = "" if row.time is None else row.time.astimezone().strftime("%H:%M:%S")
        text.append("\n" * bool(number) + f"{when}  {printable(row.charge_point):<12} {printable(row.operation)}  ")
        text.append(row.state)
        text.append(f" {printable(row.outcome)}" if row.outcome else "", style=status_style(row.outcome))
        text.append(f"  by {printable(row.caller)}" if row.caller else "", style="dim")
    return text
