"""`gateway top`, driven by textual's pilot against a gateway that speaks gRPC; and its picture in the docs."""

import os
import pty
import select
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from textual.widgets import DataTable

from gateway.api.v1 import common_pb2, fleet_pb2
from gateway.api.v1 import event_pb2 as api
from gateway.cli.resume import follow
from gateway.cli.top.feed import TYPES
from gateway.cli.top.screen import ChargePointPane
from gateway.domain.events import BODIES
from tests.cli.top.fleet import (
    ENDED,
    GONE,
    NOT_THERE,
    NOW,
    REFUSED,
    TOO_OLD,
    Fleet,
    drive,
    event,
    picture,
    shown,
    text_of,
    until,
    where,
)

PICTURE = Path(__file__).resolve().parents[3] / "docs" / "top.svg"


@pytest.fixture
def fleet(fake):
    """A fleet of four."""
    made = Fleet(fake)
    made.begin()
    return made


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Interruptions are followed up at once."""
    monkeypatch.setattr(follow, "__kwdefaults__", {**follow.__kwdefaults__, "pause": lambda seconds: None})


def lines_with(text, word):
    """The lines of a text that have a word."""
    return [line for line in text.splitlines() if word in line]


def row_order(top):
    """The charge points of the table, from above."""
    return [row.key.value for row in top.query_one(DataTable).ordered_rows]


def listed(top):
    """All of the fleet is there."""
    return len(top.view.chargers) == 4 and bool(top.view.commands)


def test_the_fleet_is_listed_with_power_energy_and_commands(fleet):
    """Those that charge come first; the totals count what is connected; the watch begins where the first page stood."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top) and bool(fleet.fake.asked("WatchMeterValues")))
        text = shown(top)
        assert "3 of 4 connected" in text
        assert "1 charging" in text
        assert "7.36 kW" in lines_with(text, "connected")[0]
        assert "1 faulted" in text
        assert row_order(top) == ["CP001", "HOME-9", "CP002", "CP003"]
        first = lines_with(text, "CP001")[0]
        for word in ("CP001", "Charging", "7.36 kW", "2.500 kWh", "TAG-7", "30 min ago", "Walbox W11", "1.4.2"):
            assert word in first
        assert "RemoteStartTransaction  answered Accepted  by billing" in text

    drive(fleet.fake, play)
    (watch,) = fleet.fake.asked("WatchEvents")
    assert watch.resume_token == b"first"
    (values,) = fleet.fake.asked("WatchMeterValues")
    assert values.latest_interval.seconds == 1
    assert list(values.measurands) == ["Power.Active.Import", "Energy.Active.Import.Register"]


def test_what_happens_is_shown_as_it_comes(fleet):
    """A start, a power, a command and its outcome, a charger that goes: rows, totals and both lists follow."""
    sample = common_pb2.MeterSample(charge_point="CP002", connector=where(), measurand="Power.Active.Import")
    sample.power_watts = 11_000.0
    register = common_pb2.MeterSample(
        charge_point="CP002", connector=where(), measurand="Energy.Active.Import.Register", transaction_id="tx_2"
    )
    register.energy.milliwatt_hours = 5_250_000

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        started = api.TransactionStarted(
            transaction_id="tx_2",
            connector=where(),
            id_tag="TAG-8",
            meter_start=common_pb2.Energy(milliwatt_hours=5_000_000),
        )
        queued = api.CommandQueued(command_id="cmd_2", operation="Reset", caller="ops")
        fleet.happen(
            event("transaction.started", "CP002", transaction_started=started),
            event("command.queued", "CP003", command_queued=queued),
            event("charge_point.disconnected", "CP001", charge_point_disconnected=api.ChargePointDisconnected()),
        )
        fleet.values.put(api.WatchMeterValuesResponse(samples=[sample, register]))
        await until(top, pilot, lambda: top.view.event_count == 3 and top.view.chargers["CP002"].power == 11_000.0)
        text = shown(top)
        assert row_order(top)[0] == "CP002"
        assert "2 of 4 connected" in text
        assert "1 command under way" in text
        assert "Reset  queued  by ops" in text
        (row,) = [line for line in lines_with(text, "CP002") if "kWh" in line and "Walbox" in line]
        assert "11.00 kW" in row
        assert "0.250 kWh" in row
        assert "TAG-8" in row
        answer = api.CommandAnswered(command_id="cmd_2", operation="Reset")
        answer.answer.status.status = "Rejected"
        fleet.happen(event("command.answered", "CP003", command_answered=answer))
        await until(top, pilot, lambda: top.view.event_count == 4)
        assert "Reset  answered Rejected  by ops" in shown(top)

    drive(fleet.fake, play)


def test_the_gateways_own_summary_is_shown_where_it_has_one(fleet):
    """Also after an interruption; a gateway that has none is shown without, one that fails otherwise is reported."""
    first, second = (fleet_pb2.WatchFleetSummaryResponse() for _ in range(2))
    first.summary.open_transaction_count = 1
    second.summary.open_transaction_count = 2
    second.summary.silent_count, second.summary.flapping_count, second.summary.power.stale_count = 3, 4, 5

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        assert "open transactions" not in shown(top)
        for each in (first, GONE, second):
            fleet.summaries.put(each)
        await until(top, pilot, lambda: "2 open transactions" in shown(top))
        assert "3 silent for an hour  4 flapping  5 with old readings" in shown(top)
        fleet.summaries.put(NOT_THERE)
        fleet.happen(event("charge_point.disconnected", "CP002"))
        await until(top, pilot, lambda: top.view.event_count == 1)
        assert top.error is None

    drive(fleet.fake, play)


def test_a_search_narrows_the_table_while_it_is_typed(fleet):
    """Each word has to be there, in the identity, status, tag, make or a label; escape shows all again."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        await pilot.press("slash", *"fau")
        assert row_order(top) == ["CP003"]
        assert "1 found" in shown(top)
        await pilot.press("enter", "escape")
        assert len(row_order(top)) == 4
        await pilot.press("slash", *"=no")
        assert row_order(top) == ["CP001"]
        await pilot.press("space", *"off")
        assert row_order(top) == []

    drive(fleet.fake, play)


def test_events_a_second_are_counted_over_some_seconds(fleet):
    """Five events in ten seconds."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        before = top.view.event_count
        fleet.happen(*[event("charge_point.connected", "CP002") for _ in range(5)])
        await until(top, pilot, lambda: top.view.event_count == before + 5)
        top.now = lambda: NOW + timedelta(seconds=10)
        top.refresh_view()
        assert "0.5 events/s" in shown(top)

    drive(fleet.fake, play)


def test_the_order_is_by_power_by_trouble_or_by_name(fleet):
    """o takes the next one; the cursor stays on its charge point."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        await pilot.press("down", "down", "o")
        assert "by trouble" in shown(top)
        assert row_order(top) == ["HOME-9", "CP003", "CP001", "CP002"]
        assert top.query_one(DataTable).cursor_row == 3
        await pilot.press("o")
        assert row_order(top) == ["CP001", "CP002", "CP003", "HOME-9"]
        await pilot.press("o")
        assert "by power" in shown(top)

    drive(fleet.fake, play)


def test_the_pane_of_a_charge_point_shows_it_alone(fleet):
    """Its connectors, transaction and commands, and its events from then on; escape goes back, deleted it says so."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        await pilot.press("enter")
        assert isinstance(top.screen, ChargePointPane)
        change = api.ConnectorStatusChanged(connector=where(), status="SuspendedEV", previous_status="Charging")
        fleet.happen(
            event("connector.status_changed", "CP001", connector_status_changed=change),
            event("connector.status_changed", "CP002", connector_status_changed=change),
        )
        await until(top, pilot, lambda: top.view.event_count == 2)
        text = shown(top)
        assert "connected since 2026-11-27 11:30:00 (30 min ago)   Walbox W11   1.4.2   site=north" in text
        assert "connector 1  SuspendedEV  charging  7.36 kW  transaction tx_1 of TAG-7  2.500 kWh" in text
        assert "RemoteStartTransaction  answered Accepted" in text
        assert "connector 1 SuspendedEV (was Charging)" in text
        assert "CP002" not in text
        fleet.happen(event("charge_point.deleted", "CP001", charge_point_deleted=api.ChargePointDeleted()))
        await until(top, pilot, lambda: top.view.event_count == 3)
        assert "is not there any more" in shown(top)
        await pilot.press("escape")
        await until(top, pilot, lambda: len(row_order(top)) == 3)
        await pilot.press("q")

    drive(fleet.fake, play)


def test_a_gateway_that_goes_away_is_waited_for(fleet):
    """The screen says so, and goes on after the last batch when it is back."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        fleet.happen(token=b"mine")
        fleet.events.put(GONE)
        await until(top, pilot, lambda: "the gateway is stopping; trying again" in shown(top))
        fleet.happen(event("charge_point.disconnected", "CP002"))
        await until(top, pilot, lambda: top.view.event_count == 1)
        assert "trying again" not in shown(top)

    drive(fleet.fake, play)
    assert [each.resume_token for each in fleet.fake.asked("WatchEvents")] == [b"first", b"mine"]


def test_a_watch_that_retention_passed_by_begins_with_the_lists_again(fleet):
    """The lists have all that was missed."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        fleet.events.put(TOO_OLD)
        fleet.values.put(TOO_OLD)
        asked = fleet.fake.asked
        await until(top, pilot, lambda: len(asked("WatchEvents")) == len(asked("WatchMeterValues")) == 2)
        await until(top, pilot, lambda: listed(top))

    drive(fleet.fake, play)
    assert len(fleet.fake.asked("ListCommands")) == 2


@pytest.mark.parametrize("method", ["ListChargePoints", "WatchEvents", "WatchMeterValues", "WatchFleetSummary"])
def test_what_is_refused_ends_the_screen_with_the_refusal(fleet, method):
    """A caller that may not list, or watch, reads why on a terminal that is itself again."""
    refusal = ENDED if method == "WatchFleetSummary" else REFUSED
    fleet.fake.answers[method] = refusal if method.startswith("List") else [[refusal]]

    async def play(top, pilot):
        await until(top, pilot, lambda: top.error is not None)

    assert drive(fleet.fake, play).error.code() is refusal.code


def test_control_characters_of_a_charger_are_made_visible(fleet):
    """A tag can't move the cursor, nor be read as markup."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        started = api.TransactionStarted(transaction_id="tx_3", connector=where(), id_tag="[red]\x1b[2J")
        fleet.happen(event("transaction.started", "CP002", transaction_started=started))
        await until(top, pilot, lambda: top.view.event_count == 1)
        assert top.view.chargers["CP002"].tags == "[red]\x1b[2J"
        assert "[red]\\x1b[2J" in shown(top)

    drive(fleet.fake, play)


def test_the_picture_in_the_docs_is_what_is_shown(fleet):
    """`TOP_PICTURE=write` with this test draws it anew."""

    async def play(top, pilot):
        await until(top, pilot, lambda: listed(top))
        queued = api.CommandQueued(command_id="cmd_2", operation="Reset", caller="ops")
        change = api.ConnectorStatusChanged(connector=where(), status="Preparing", previous_status="Available")
        fleet.happen(
            event("connector.status_changed", "CP002", connector_status_changed=change),
            event("command.queued", "CP003", command_queued=queued),
        )
        await until(top, pilot, lambda: top.view.event_count == 2)
        await pilot.press("down")
        drawn = picture(top)
        if os.environ.get("TOP_PICTURE") == "write":
            PICTURE.write_text(drawn + "\n", encoding="utf-8")
        assert text_of(PICTURE.read_text(encoding="utf-8")) == text_of(drawn)

    drive(fleet.fake, play)


def test_the_types_that_are_asked_for_are_there():
    """A misspelt one would be refused by every gateway."""
    assert set(TYPES) <= set(BODIES)


def test_without_a_terminal_it_says_what_needs_none(run):
    """A pipe gets one line."""
    result = run("top")
    assert result.exit_code == 1
    assert "gateway top needs a terminal; `gateway watch --lines`" in result.stderr


def on_a_terminal(fake, keys, wait_for):
    """Run `gateway top` on a terminal of its own; what it wrote and how it ended. The keys are pressed when it has
    shown ``wait_for``."""
    terminal, inner = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "GATEWAY_TARGET": fake.target}
    command = [sys.executable, "-m", "gateway", "top"]
    process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment)
    os.close(inner)
    seen, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], 1)
        try:
            seen += os.read(terminal, 65536) if ready else b""
        except OSError:  # it has ended
            break
        if keys and wait_for in seen:
            os.write(terminal, keys)
            keys = b""
    code = process.wait(60)
    os.close(terminal)
    return seen.decode(errors="replace"), code


def test_on_a_terminal_it_runs_until_q(fleet):
    """A program of its own on a real terminal, which it leaves as it was."""
    seen, code = on_a_terminal(fleet.fake, b"q", b"7.36")
    assert code == 0
    assert "\x1b[?1049h" in seen
    assert "\x1b[?1049l" in seen


def test_on_a_terminal_a_refusal_is_a_line_at_the_end(fleet):
    """After the screen is gone."""
    fleet.fake.answers["ListChargePoints"] = REFUSED
    seen, code = on_a_terminal(fleet.fake, b"", b"-")
    assert code == 1
    assert "the caller may not do this [PERMISSION_DENIED]" in seen.rpartition("\x1b[?1049l")[2]


def test_a_terminal_that_can_not_be_drawn_on_is_refused(run, monkeypatch):
    """TERM=dumb, as in an editor's shell."""
    terminal, inner = pty.openpty()
    monkeypatch.setenv("TERM", "dumb")
    with open(inner, "r+b", buffering=0) as file, open(terminal, "rb", buffering=0):
        monkeypatch.setattr(sys, "__stdin__", file)
        monkeypatch.setattr(sys, "__stderr__", file)
        result = run("top")
    assert result.exit_code == 1
    assert "TERM names none" in result.stderr
