"""`gateway watch`: events as they are recorded, live on a terminal, in lines or JSON otherwise."""

import base64
import binascii
import signal
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import grpc
import typer
from rich.live import Live

from gateway.api.v1.charge_point_pb2 import ListChargePointsRequest
from gateway.api.v1.event_pb2 import (
    WatchEventsRequest,
    WatchEventsResponse,
    WatchMeterValuesRequest,
    WatchMeterValuesResponse,
    WatchStart,
)
from gateway.api.v1.transaction_pb2 import ListTransactionsRequest, TransactionState
from gateway.cli.completion import OnlyChargePoints
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, as_dict, connect, pages
from gateway.cli.dashboard import MAX_KNOWN, Dashboard
from gateway.cli.event_text import event_line
from gateway.cli.list_options import LabelOption
from gateway.cli.output import JsonOption, note, out, print_json_line, say
from gateway.cli.resume import QUEUE_LIMIT, Absence, Streams, absent, follow
from gateway.client import GatewayClient

REFRESH_SECONDS = 0.25
"""How often the live view is drawn at most: fast enough for eyes."""

POWER_AND_REGISTER = ("Power.Active.Import", "Energy.Active.Import.Register")


def watch(
    charge_points: OnlyChargePoints = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Only events of this type, e.g. transaction.started; repeat it.")
    ] = None,
    callers: Annotated[
        list[str] | None,
        typer.Option("--caller", metavar="CALLER", help="Only events that name this caller; repeat it."),
    ] = None,
    label: LabelOption = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest event that is kept.")
    ] = False,
    after: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Go on after this resume token, and miss nothing.")
    ] = None,
    live: Annotated[
        bool | None, typer.Option("--live/--lines", help="A live view, or lines. Default: live on a terminal.")
    ] = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Watch what happens, until interrupted.

    Lines say on standard error how to go on; with --json each batch is followed by an object with its resume token.
    When the gateway restarts the watch goes on where it was.
    """
    if from_beginning and after is not None:
        raise typer.BadParameter("--from-beginning and --after exclude each other")
    if live and json:
        raise typer.BadParameter("--live and --json exclude each other")
    request = WatchEventsRequest(
        charge_points=charge_points or (), types=types or (), callers=callers or (), labels=dict(label or ())
    )
    if after is not None:
        request.resume_token = decode_token(after)
    else:
        at = WatchStart.WATCH_START_BEGINNING if from_beginning else WatchStart.WATCH_START_NOW
        request.start_at = at
    with connect(target) as gateway:
        as_lines = json or types or callers or from_beginning or after is not None or not sys.stdout.isatty()
        if live is False or (live is None and as_lines):
            _lines(gateway, request, json)
        else:
            watch_live(gateway, request)


def _lines(gateway: GatewayClient, request: WatchEventsRequest, json: bool) -> None:
    token = b""
    absence = Absence(note)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        for response in follow(gateway.events.WatchEvents, request, interrupted=absence.begins):
            absence.ends()
            token = response.resume_token
            _print_json(response) if json else _print_lines(response)
    finally:
        signal.signal(signal.SIGTERM, before)
        if token and not json:
            note(f"to go on: --after {encode_token(token)}")


def _print_lines(response: WatchEventsResponse) -> None:
    for event in response.events:
        say(event_line(event))


def _print_json(response: WatchEventsResponse) -> None:
    for event in response.events:
        print_json_line(as_dict(event))
    print_json_line({"resume_token": encode_token(response.resume_token)})


def _terminate(number: int, frame: object) -> NoReturn:
    """End as the signal would, and yet with a word on how to go on."""
    raise SystemExit(128 + number)


def watch_live(gateway: GatewayClient, request: WatchEventsRequest, until: Callable[[], bool] = lambda: False) -> None:
    """The live view, until interrupted or ``until`` says so."""
    dashboard = Dashboard()
    # Watch first, then list: what changes in between is seen twice rather than never.
    streams = Streams()
    samples = WatchMeterValuesRequest(
        charge_points=request.charge_points,
        labels=request.labels,
        measurands=POWER_AND_REGISTER,
        start_at=WatchStart.WATCH_START_NOW,
    )

    def interrupted(error: grpc.RpcError | None) -> None:
        dashboard.notice = absent(error)

    try:
        streams.add(follow(gateway.events.WatchEvents, request, interrupted=interrupted))
        streams.add(follow(gateway.events.WatchMeterValues, samples, interrupted=interrupted))
        _know(dashboard, gateway, request)
        with Live(console=out(), auto_refresh=False, screen=False) as view:
            while not until():
                wait = REFRESH_SECONDS
                for _ in range(QUEUE_LIMIT):  # then draw, however much more there is
                    response = streams.get(wait)
                    if response is None:
                        break
                    _take(dashboard, response)
                    wait = 0.0
                view.update(dashboard.render(), refresh=True)
    finally:
        streams.close()


def _know(dashboard: Dashboard, gateway: GatewayClient, request: WatchEventsRequest) -> None:
    """Read the state at the beginning: chargers and running transactions, all of them or those that are watched."""
    wanted = set(request.charge_points)
    chargers = ListChargePointsRequest(labels=request.labels)
    for each in pages(gateway.charge_points.ListChargePoints, chargers, lambda page: page.charge_points, MAX_KNOWN):
        if not wanted or each.identity in wanted:
            dashboard.know(each)
    running = ListTransactionsRequest(state=TransactionState.TRANSACTION_STATE_OPEN, labels=request.labels)
    for each in pages(gateway.transactions.ListTransactions, running, lambda page: page.transactions, MAX_KNOWN):
        if not wanted or each.charge_point in wanted:
            dashboard.know_transaction(each)


def _take(dashboard: Dashboard, response: WatchEventsResponse | WatchMeterValuesResponse) -> None:
    dashboard.notice = ""
    if isinstance(response, WatchMeterValuesResponse):
        for sample in response.samples:
            dashboard.measure(sample)
    else:
        for event in response.events:
            dashboard.see(event)


def encode_token(token: bytes) -> str:
    """A resume token as an argument can carry it."""
    return base64.urlsafe_b64encode(token).decode("ascii").rstrip("=")


def decode_token(text: str) -> bytes:
    """Back again. Raises BadParameter."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise typer.BadParameter("not a resume token", param_hint="--after") from None
