"""The play of `gateway demo`: the main job, step by step, and every step checked by what the gateway has recorded."""

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
from attrs import define, field
from rich.table import Table
from rich.text import Text

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1.charge_point_pb2 import GetChargePointRequest
from gateway.api.v1.event_pb2 import Event, WatchEventsRequest, WatchStart
from gateway.api.v1.id_tag_pb2 import CreateIdTagRequest, IdTag, IdTagStatus
from gateway.api.v1.transaction_pb2 import (
    GetTransactionRequest,
    ListTransactionReadingsRequest,
    ReadingSource,
    Transaction,
    TransactionState,
)
from gateway.cli.commands_send import agreed, status_word
from gateway.cli.connection import READ_SECONDS, TlsFiles, connect, connector, describe, pages, request_id
from gateway.cli.demo.environment import (
    Audience,
    ConsoleProcess,
    DemoFailed,
    GatewayProcess,
    Household,
    free_ports,
    write_files,
)
from gateway.cli.limit import find_place, profile, schedule
from gateway.cli.output import err, kilowatt_hours, kilowatts, out, printable, say
from gateway.cli.simulate.command import provision, trust
from gateway.cli.watch import watch_live
from gateway.client import GatewayClient
from gateway.simulator import ChargerConfig

IDENTITIES = ["HOME-1", "HOME-2", "HOME-3"]
TAG = "FAMILY"

SPEED = 60.0
"""A minute of a charger's life passes in a second: the platform's sample interval of 60 gives a value each second."""

LIMIT_AMPS = 8.0
LIMIT_WATTS = LIMIT_AMPS * 230 * 3
TOLERANCE = 1.05
"""Of a meter against a limit."""

SAMPLES = 4
"""Meter values that are waited for before the limit, and that must keep to it after: each takes a second."""

PLAY_SECONDS = 75.0
"""For the whole play; then it has failed."""


@define
class Scenario:
    """The play, step by step."""

    gateway: GatewayClient
    process: GatewayProcess
    household: Household
    audience: Audience
    ends: float = field(factory=lambda: time.monotonic() + PLAY_SECONDS)

    def check(self) -> None:
        """Raises DemoFailed when the gateway or the chargers have failed, or the time is up."""
        self.process.check()
        self.household.check()
        if time.monotonic() > self.ends:
            raise DemoFailed(f"the demo took longer than {PLAY_SECONDS:g} seconds")

    def over(self) -> bool:
        """Never returns. Raises DemoFailed like ``check``."""
        self.check()
        return False

    def wait(self, happened: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        """Wait for something, for a bounded time."""
        self.audience.wait(happened, seconds, what, self.check)

    def wait_event(self, type_: str, identity: str, what: str, **fields: object) -> Event:
        """Wait for such an event (see ``event``)."""
        self.wait(lambda: self.event(type_, identity, **fields) is not None, what)
        found = self.event(type_, identity, **fields)
        assert found is not None
        return found

    def event(self, type_: str, identity: str, **fields: object) -> Event | None:
        """The first event of a charger of this type, with these fields in its body."""
        for event in self.audience.events:
            if event.type == type_ and event.charge_point == identity:
                body: Any = getattr(event, event.WhichOneof("body") or "", None)
                if all(getattr(body, name) == value for name, value in fields.items()):
                    return event
        return None

    def powers(self, identity: str) -> list[float]:
        """All power samples of a charger so far."""
        return self.audience.powers.get(identity, [])


def show(directory: Path, *, stays: bool) -> None:
    """Show it all, in this folder. Raises DemoFailed, after the gateway's last log lines were printed."""
    wss_port, control_port = free_ports(2)
    settings = write_files(directory, wss_port, control_port)
    began = time.monotonic()
    process = GatewayProcess.start(settings)
    household, audience = Household(), Audience()
    console: ConsoleProcess | None = None
    try:
        with connect(f"127.0.0.1:{control_port}", TlsFiles()) as gateway:
            try:
                process.wait_ready(gateway.channel)
                _done(f"gateway ready: wss on port {wss_port}, gRPC on port {control_port}", began)
                play = Scenario(gateway, process, household, audience)
                audience.begin(gateway)
                _switch_on(play, directory, f"wss://localhost:{wss_port}/ocpp")
                _perform(play)
                say(f"all of it within {time.monotonic() - began:.0f} seconds", "bold green")
                console = ConsoleProcess.start(control_port)
                if stays:
                    say(f"the operator's console, for as long as this runs: {console.address}", "bold")
                    _stay(play)
                else:
                    _look_at(console)
            finally:
                if console is not None:
                    console.stop()
                audience.streams.close()
                household.stop()
        code = process.stop()
        if code != 0:
            raise DemoFailed(f"the gateway was asked to stop and ended with exit code {code}, not 0")
        _done("gateway drained and stopped with exit code 0")
    except (DemoFailed, grpc.RpcError) as error:
        _show_log(process)
        raise DemoFailed(describe(error) if isinstance(error, grpc.RpcError) else str(error)) from error
    finally:
        household.stop()
        process.stop()


def _switch_on(play: Scenario, directory: Path, url: str) -> None:
    """Three chargers are made known and switched on; a tag is added."""
    _step("three chargers are made known to the gateway, each with a key of its own, and switched on")
    keys = dict(provision(play.gateway, IDENTITIES))
    # Two cars of one family charge at once: without allow_concurrent the second would be answered ConcurrentTx.
    tag = IdTag(id_tag=TAG, status=IdTagStatus.ID_TAG_STATUS_ACCEPTED, allow_concurrent=True)
    play.gateway.id_tags.CreateIdTag(CreateIdTagRequest(id_tag=tag), timeout=READ_SECONDS)
    began = time.monotonic()
    configs = [ChargerConfig(url, identity, key, speed=SPEED, id_tag=TAG) for identity, key in keys.items()]
    play.household.start(configs, trust(directory / "certs" / "ca.pem"))
    for identity in IDENTITIES:
        play.wait_event("charge_point.booted", identity, f"{identity}'s boot")
    _done("all three connected over TLS with their keys, booted and were accepted", began)
    for identity in IDENTITIES:
        for key in ("MeterValuesSampledData", "MeterValueSampleInterval"):
            play.wait_event("configuration.applied", identity, f"{identity} to take {key}", key=key, status="Accepted")
    asked = play.gateway.charge_points.GetChargePoint(
        GetChargePointRequest(identity=IDENTITIES[0]), timeout=READ_SECONDS
    ).charge_point.boot_configuration
    for each in asked:
        _detail(f"{each.key} = {each.value}: {each.status}")
    _done("each was asked for the platform's configuration, and took it", began)


def _perform(play: Scenario) -> None:
    first, second, _ = play.household.chargers
    _step("a car is plugged in at each of them; at HOME-2 a driver holds a tag to the reader")
    for charger in play.household.chargers:
        play.household.do(charger.plug_in)
    if not play.household.do_async(second.present_id_tag):
        raise DemoFailed("HOME-2 refused the tag")
    play.wait_event("transaction.started", "HOME-2", "HOME-2's transaction", id_tag=TAG)
    _done("HOME-2 charges: the tag was authorized, the transaction is recorded")

    _step("HOME-1 is started remotely")
    began = time.monotonic()
    start = api.RemoteStartTransactionRequest(
        charge_point="HOME-1", request_id=request_id(), id_tag=TAG, connector=connector(1)
    )
    _accepted(play.gateway.commands.RemoteStartTransaction(start, timeout=READ_SECONDS), "the remote start")
    started = play.wait_event("transaction.started", "HOME-1", "HOME-1's transaction", id_tag=TAG)
    transaction_id = started.transaction_started.transaction_id
    _done(f"transaction {transaction_id} is running", began)
    play.wait(lambda: len(play.powers("HOME-1")) >= SAMPLES, f"{SAMPLES} meter values of HOME-1")
    play.wait(lambda: play.powers("HOME-1")[-1] > LIMIT_WATTS * TOLERANCE, "HOME-1 to draw more than the limit to come")
    before = play.powers("HOME-1")[-1]
    _bar("before the limit", before)

    _limit(play, before)
    _stop(play, transaction_id)
    _read_back(play, transaction_id, play.household.stopped.get(first.identity))


def _limit(play: Scenario, before: float) -> None:
    _step(f"HOME-1 is limited to {LIMIT_AMPS:g} A on each phase ({kilowatts(LIMIT_WATTS)})")
    began = time.monotonic()
    place = find_place(play.gateway, "HOME-1", None, None)
    request = api.SetChargingProfileRequest(
        charge_point="HOME-1",
        request_id=request_id(),
        connector=place.connector,
        charging_profile=profile(place, schedule(Decimal(str(LIMIT_AMPS)), "A", None, None), 0),
    )
    _accepted(play.gateway.commands.SetChargingProfile(request, timeout=READ_SECONDS), "the limit")
    # The charger's word is not taken for it: its meter is. Several values in a row, so that no single one decides.
    seen = len(play.powers("HOME-1"))

    def obeyed() -> bool:
        last = play.powers("HOME-1")[seen:][-SAMPLES:]
        return len(last) == SAMPLES and all(0 < power <= LIMIT_WATTS * TOLERANCE for power in last)

    play.wait(obeyed, f"HOME-1's meter to show {kilowatts(LIMIT_WATTS)} or less")
    after = play.powers("HOME-1")[-1]
    if after >= before:
        raise DemoFailed(f"the limit did not lower the power: {kilowatts(before)} before, {kilowatts(after)} after")
    _bar("after the limit", after)
    _done(f"its meter shows {kilowatts(after)}, {kilowatts(before - after)} less", began)


def _stop(play: Scenario, transaction_id: str) -> None:
    _step("HOME-1 is stopped remotely")
    began = time.monotonic()
    request = api.RemoteStopTransactionRequest(
        charge_point="HOME-1", request_id=request_id(), transaction_id=transaction_id
    )
    _accepted(play.gateway.commands.RemoteStopTransaction(request, timeout=READ_SECONDS), "the remote stop")
    play.wait_event("transaction.stopped", "HOME-1", "HOME-1's stop", transaction_id=transaction_id)
    _done("the stop is recorded", began)


def _read_back(play: Scenario, transaction_id: str, metered: float | None) -> None:
    """The transaction as it was recorded, held against what the charger's own meter counted."""
    _step("the transaction is read back")
    found = play.gateway.transactions.GetTransaction(
        GetTransactionRequest(transaction_id=transaction_id), timeout=READ_SECONDS
    ).transaction
    request = ListTransactionReadingsRequest(transaction_id=transaction_id)
    readings = list(pages(play.gateway.transactions.ListTransactionReadings, request, lambda page: page.readings))
    sources = [each.source for each in readings]
    values = sources.count(ReadingSource.READING_SOURCE_METER_VALUES)
    _must(found.state == TransactionState.TRANSACTION_STATE_STOPPED, "the transaction is not recorded as stopped")
    _must(found.stop_reason == "Remote", f"its reason is {found.stop_reason!r}, not 'Remote'")
    _must(found.HasField("energy") and found.energy.milliwatt_hours > 0, "no energy is recorded")
    difference = found.meter_stop.milliwatt_hours - found.meter_start.milliwatt_hours
    _must(found.energy.milliwatt_hours == difference, "the energy is not the difference of its registers")
    _must(metered is not None, "the charger never counted its energy")
    assert metered is not None
    # Start and stop are whole watt-hours on the wire (S §6.45, §6.49): each may be half of one off.
    _must(abs(difference / 1000 - metered) <= 1.001, f"the charger's meter counted {metered:.1f} Wh")
    _must(sources[:1] == [ReadingSource.READING_SOURCE_START], "its readings don't begin with the start")
    _must(sources[-1:] == [ReadingSource.READING_SOURCE_STOP], "its readings don't end with the stop")
    _must(values >= 2 * SAMPLES, f"only {values} meter values are recorded")
    out().print(_summary(found, values))
    _done(f"{kilowatt_hours(found.energy.milliwatt_hours)} recorded, as the charger's own meter counted")


def _look_at(console: ConsoleProcess) -> None:
    """The operator's console, looked at once as a browser does."""
    page = console.fetch()
    for identity in IDENTITIES:
        _must(identity in page, f"the console does not show {identity}")
    _done(f"the operator's console shows them: {console.address} was fetched once ({len(page)} characters)")


def _stay(play: Scenario) -> None:
    """Everyday life, on the screen, until Ctrl-C."""
    say("live from here; Ctrl-C ends", "dim")
    play.ends = float("inf")
    play.household.live_on()
    try:
        watch_live(play.gateway, WatchEventsRequest(start_at=WatchStart.WATCH_START_NOW), until=play.over)
    except KeyboardInterrupt:
        say("")


# --- telling --------------------------------------------------------------------------------------------------


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoFailed(otherwise)


def _accepted(response: Any, what: str) -> None:
    _must(agreed(response), f"the charger refused {what}: {status_word(response)}")


def _step(text: str) -> None:
    say(f"▶ {text}", "bold")


def _detail(text: str) -> None:
    say(f"    {text}", "dim")


def _done(text: str, began: float | None = None) -> None:
    took = f" ({time.monotonic() - began:.1f} s)" if began is not None else ""
    say(f"  ✔ {text}{took}", "green")


def _bar(label: str, watts: float) -> None:
    line = (
        Text(f"    {label:<17}").append("█" * max(1, round(watts / 250)), style="cyan").append(f" {kilowatts(watts)}")
    )
    out().print(line)


def _summary(found: Transaction, values: int) -> Table:
    made = Table(show_header=False, box=None, padding=(0, 2, 0, 4))
    for name, value in (
        ("transaction", found.transaction_id),
        ("tag", found.id_tag),
        ("meter at start", kilowatt_hours(found.meter_start.milliwatt_hours)),
        ("meter at stop", kilowatt_hours(found.meter_stop.milliwatt_hours)),
        ("ended by", found.stop_reason),
        ("meter values", str(values)),
    ):
        made.add_row(Text(name, style="dim"), Text(printable(value)))
    return made


def _show_log(process: GatewayProcess) -> None:
    console = err()
    console.print(Text(f"the last lines of the gateway's log ({process.log}):", style="bold red"))
    for line in process.tail():
        console.print(Text(f"  {printable(line)}", style="dim"), soft_wrap=True)
