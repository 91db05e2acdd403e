"""The lists and watches of the control interface that `gateway top` reads; a watch goes on where the lists stand."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc
from attrs import define, field
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from gateway.api.v1.charge_point_pb2 import ListChargePointsRequest
from gateway.api.v1.command_pb2 import ListCommandsRequest
from gateway.api.v1.event_pb2 import WatchEventsRequest, WatchMeterValuesRequest, WatchStart
from gateway.api.v1.fleet_pb2 import WatchFleetSummaryRequest
from gateway.api.v1.transaction_pb2 import StreamOpenTransactionsRequest
from gateway.cli.connection import PAGE_SIZE
from gateway.cli.resume import MOST_PAUSE, Streams, absent, follow
from gateway.cli.top.fleet_view import POWER, RECENT_COMMANDS, REGISTER
from gateway.client import GatewayClient, problem_of

POWER_SECONDS: Final = 1
"""The latest-value interval of the meter values: what is overtaken within a second would not be seen anyway."""

TAKEN_AT_ONCE: Final = 64
"""Messages that are taken before the screen is drawn again, however many more there are."""

LISTS_SECONDS: Final = 60.0
"""For the list of open transactions: that of ten thousand chargers takes a few."""

TYPES: Final = (
    "charge_point.created",
    "charge_point.updated",
    "charge_point.deleted",
    "charge_point.connected",
    "charge_point.disconnected",
    "charge_point.booted",
    "connector.status_changed",
    "connector.charging_state_changed",
    "id_tag.presented",
    "transaction.started",
    "transaction.stopped",
    "transaction.lost",
    "transaction.orphaned",
    "transaction.foreign",
    "firmware.status_reported",
    "diagnostics.status_reported",
    "security.event_reported",
    "command.queued",
    "command.sent",
    "command.answered",
    "command.not_sent",
    "command.outcome_unknown",
)
"""The events that are shown: all but meter values, which come as latest values, and reports that few look for."""


class Anew:
    """Stands before the first page of the lists: what was known before may be out of date."""


@define
class Feed:
    """Reads in threads; the screen takes what there is. ``notice``: why nothing comes at present, in a line."""

    gateway: GatewayClient
    _streams: Streams = field(factory=Streams)
    _pause: Callable[[float], None] = time.sleep
    notice: str = ""
    listed: bool = False

    def start(self) -> None:
        """Begin to read."""
        self._streams.add(self._fleet())

    def take(self, apply: Callable[[Message], None], begin: Callable[[], None]) -> int:
        """Hand over what has come, TAKEN_AT_ONCE messages at most; returns how many. ``begin`` is called where
        everything is listed anew.

        Raises grpc.RpcError for what a later attempt would not mend, and what a stream raised.
        """
        for count in range(TAKEN_AT_ONCE):
            message = self._streams.get(0.0)
            if message is None:
                return count
            if isinstance(message, Anew):
                begin()
            else:
                apply(message)
        return TAKEN_AT_ONCE

    def close(self) -> None:
        """Let the threads end with their next message, or with the channel."""
        self._streams.close()

    def _fleet(self) -> Iterator[Any]:
        """Lists, then events from where the first list stands on; from the beginning again where a watch was passed by
        retention."""
        while True:
            yield Anew()
            request = ListChargePointsRequest(page_size=PAGE_SIZE)
            token = b""
            for page in self.gateway.pages(self.gateway.charge_points.ListChargePoints, request):
                token = token or page.resume_token
                yield page
            open_ones = StreamOpenTransactionsRequest()
            yield from self.gateway.transactions.StreamOpenTransactions(open_ones, timeout=LISTS_SECONDS)
            newest = ListCommandsRequest(page_size=RECENT_COMMANDS)
            yield self.gateway.call(self.gateway.commands.ListCommands, newest)
            if not self.listed:
                self.listed = True
                self._streams.add(self._values())
                self._streams.add(self._summaries())
            request_of_events = WatchEventsRequest(types=TYPES, resume_token=token)
            try:
                yield from self._followed(self.gateway.events.WatchEvents, request_of_events)
            except grpc.RpcError as error:
                if not _passed_by(error):
                    raise

    def _values(self) -> Iterator[Any]:
        while True:
            request = WatchMeterValuesRequest(
                measurands=(POWER, REGISTER),
                latest_interval=Duration(seconds=POWER_SECONDS),
                start_at=WatchStart.WATCH_START_NOW,
            )
            try:
                yield from self._followed(self.gateway.events.WatchMeterValues, request)
            except grpc.RpcError as error:
                if not _passed_by(error):
                    raise

    def _summaries(self) -> Iterator[Any]:
        """The gateway's summaries, each a new one: nothing is missed by an interruption. None of a gateway that has
        none, or not for this caller."""
        while True:
            try:
                yield from self.gateway.fleet.WatchFleetSummary(WatchFleetSummaryRequest())
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED):
                    return
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL):
                    raise
            self._pause(MOST_PAUSE)

    def _followed(self, rpc: Callable[..., Any], request: Any) -> Iterator[Any]:
        for response in follow(rpc, request, interrupted=self._interrupted):
            self.notice = ""
            yield response

    def _interrupted(self, error: grpc.RpcError | None) -> None:
        self.notice = absent(error)


def _passed_by(error: grpc.RpcError) -> bool:
    """Return true if the history that the watch would go on with is not kept any more."""
    return problem_of(error).reason == "BELOW_RETENTION"
