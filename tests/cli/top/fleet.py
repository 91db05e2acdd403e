"""A fleet that a fake gateway lists and watches, and the screen of `gateway top` on it, driven by textual's pilot."""

import asyncio
import html
import queue
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
from attrs import define, field
from textual.pilot import Pilot

from gateway.api.v1 import charge_point_pb2, command_pb2, common_pb2, reading_pb2, transaction_pb2
from gateway.api.v1 import event_pb2 as api
from gateway.cli.top.feed import Feed
from gateway.cli.top.screen import Top
from gateway.client import GatewayClient
from tests.cli.fakes import Failure, FakeGateway, at

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)

SIZE = (150, 32)
"""Columns and lines of the terminal."""

CELL = 12.2
"""The width of a character in the picture."""

TRIES = 500
"""Looks at the screen before a test gives up; the fake answers within a few."""


def where(number: int = 1) -> common_pb2.ConnectorAddress:
    """A connector's address."""
    return common_pb2.ConnectorAddress(evse=number, connector=1)


def charge_point(
    identity: str,
    status: str,
    watts: float | None = None,
    *,
    connected: bool = True,
    since: str = "11:30:00",
    **more: Any,
) -> charge_point_pb2.ChargePoint:
    """A charge point with one connector."""
    connector = charge_point_pb2.Connector(
        connector=where(),
        status=status,
        charging_state=reading_pb2.CHARGING_STATE_CHARGING if watts else reading_pb2.CHARGING_STATE_AVAILABLE,
    )
    if watts is not None:
        connector.latest.power.value = watts
        connector.latest.energy_register.energy.milliwatt_hours = 12_500_000
    return charge_point_pb2.ChargePoint(
        identity=identity,
        connection=charge_point_pb2.Connection(connected=connected, since_time=at(f"2026-11-27T{since}Z")),
        boot=charge_point_pb2.BootInformation(vendor="Walbox", model="W11", firmware_version="1.4.2"),
        connectors=[charge_point_pb2.Connector(connector=common_pb2.ConnectorAddress(), status=status), connector],
        **more,
    )


def event(type_: str, identity: str, **body: Any) -> api.Event:
    """An event of a type, with its body."""
    return api.Event(charge_point=identity, type=type_, receive_time=at("2026-11-27T11:59:58Z"), **body)


@define
class Fleet:
    """The lists of the fake gateway; its watches wait for what is put into their queues."""

    fake: FakeGateway
    events: "queue.Queue[Any]" = field(factory=queue.Queue)
    values: "queue.Queue[Any]" = field(factory=queue.Queue)
    summaries: "queue.Queue[Any]" = field(factory=queue.Queue)

    def begin(self) -> None:
        """List the fleet."""
        charge_points = [
            charge_point("CP001", "Charging", 7360.0, labels={"site": "north"}),
            charge_point("CP002", "Available", since="11:58:30"),
            charge_point("CP003", "Faulted"),
            charge_point("HOME-9", "Charging", 3680.0, connected=False, since="11:59:00"),
        ]
        self.fake.answers["ListChargePoints"] = self._pages(charge_points)
        self.fake.answers["StreamOpenTransactions"] = [
            transaction_pb2.StreamOpenTransactionsResponse(
                transactions=[
                    transaction_pb2.Transaction(
                        transaction_id="tx_1",
                        charge_point="CP001",
                        connector=where(),
                        id_tag="TAG-7",
                        meter_start=common_pb2.Energy(milliwatt_hours=10_000_000),
                    )
                ]
            )
        ]
        self.fake.answers["ListCommands"] = command_pb2.ListCommandsResponse(
            commands=[
                command_pb2.Command(
                    command_id="cmd_1",
                    charge_point="CP001",
                    operation="RemoteStartTransaction",
                    state=command_pb2.COMMAND_STATE_ANSWERED,
                    answer=command_pb2.CommandAnswer(status=command_pb2.StatusAnswer(status="Accepted")),
                    create_time=at("2026-11-27T11:29:00Z"),
                    caller="billing",
                )
            ]
        )
        self.fake.answers["WatchEvents"] = self._live(self.events)
        self.fake.answers["WatchFleetSummary"] = self._live(self.summaries)
        self.fake.answers["WatchMeterValues"] = self._live(self.values)

    def happen(self, *events: api.Event, token: bytes = b"later") -> None:
        """Something is recorded."""
        self.events.put(api.WatchEventsResponse(events=events, resume_token=token))

    @staticmethod
    def _pages(charge_points: list[charge_point_pb2.ChargePoint]) -> Callable[..., Any]:
        def answer(request: Any, context: Any) -> Any:
            if not request.page_token:
                return charge_point_pb2.ListChargePointsResponse(
                    charge_points=charge_points[:2], next_page_token="2", resume_token=b"first"
                )
            return charge_point_pb2.ListChargePointsResponse(charge_points=charge_points[2:], resume_token=b"second")

        return answer

    @staticmethod
    def _live(source: "queue.Queue[Any]") -> Callable[..., Iterator[Any]]:
        def answer(request: Any, context: Any) -> Iterator[Any]:
            while context.is_active():
                try:
                    found = source.get(timeout=0.02)
                except queue.Empty:
                    continue
                yield found
                if isinstance(found, Failure):
                    return

        return answer


@contextmanager
def feed_of(target: str) -> Iterator[Feed]:
    """A feed on a channel."""
    with GatewayClient(target) as gateway:
        feed = Feed(gateway, pause=lambda seconds: None)
        try:
            yield feed
        finally:
            feed.close()


def drive(fake: FakeGateway, play: Callable[[Top, Pilot[None]], Coroutine[Any, Any, None]]) -> Top:
    """Run the screen without a terminal while ``play`` presses keys; returns it when both have ended."""
    return drive_at(fake.target, play)


def drive_at(target: str, play: Callable[[Top, Pilot[None]], Coroutine[Any, Any, None]]) -> Top:
    """The same on the gateway at an address."""

    async def run() -> Top:
        with feed_of(target) as feed:
            top = Top(feed, "127.0.0.1:50051", lambda: NOW, live=False)
            async with top.run_test(size=SIZE) as pilot:
                await play(top, pilot)
            return top

    return asyncio.run(run())


async def until(top: Top, pilot: Pilot[None], what: Callable[[], bool]) -> None:
    """Take what has come until ``what`` is true, or the screen has ended."""
    for _ in range(TRIES):
        top.refresh_view()
        await pilot.pause()
        if what() or top.error is not None:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it never came true; the screen shows:\n{shown(top)}")


def shown(top: Top) -> str:
    """The text on the screen, a line for each of its lines."""
    return text_of(picture(top))


def picture(top: Top) -> str:
    """The screen as an SVG that loads nothing from elsewhere."""
    svg = top.export_screenshot(title="gateway top")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def text_of(svg: str) -> str:
    """The text of a picture."""
    lines: dict[float, str] = {}
    for x, y, text in re.findall(r'<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        before = lines.get(float(y), "")
        lines[float(y)] = before.ljust(round(float(x) / CELL)) + html.unescape(text).replace("\xa0", " ")
    return "\n".join(line.rstrip() for _, line in sorted(lines.items()))


NOT_THERE = Failure(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
GONE = Failure(grpc.StatusCode.UNAVAILABLE, "the gateway is stopping; nothing was done", "DRAINING")
TOO_OLD = Failure(grpc.StatusCode.OUT_OF_RANGE, "below retention", "BELOW_RETENTION")
ENDED = Failure(grpc.StatusCode.UNAUTHENTICATED, "the caller was revoked", "CALLER_REVOKED")
REFUSED = Failure(grpc.StatusCode.PERMISSION_DENIED, "the caller may not do this", "PERMISSION_DENIED")
