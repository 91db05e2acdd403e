"""`gateway vendor-data`: handle vendors' data by hand, to see what chargers send and how they take an answer."""

from collections import defaultdict
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from gateway.api.v1.command_pb2 import DataTransferStatus
from gateway.api.v1.vendor_data_pb2 import (
    VendorDataAnswer,
    VendorDataAnswerRefusal,
    VendorDataRequest,
    VendorInterest,
)
from gateway.cli.connection import DEFAULT_TARGET, TargetOption, as_dict, connect, moment
from gateway.cli.output import JsonOption, local, note, out, print_json_line, printable, status
from gateway.client import VendorDataHandling

_REASONS = defaultdict(
    lambda: "it was refused",
    {
        VendorDataAnswerRefusal.VENDOR_DATA_ANSWER_REFUSAL_NOT_WAITING: "it came too late, or the charger is gone",
        VendorDataAnswerRefusal.VENDOR_DATA_ANSWER_REFUSAL_DATA_TOO_LONG: "it has too much data",
    },
)


class Answer(StrEnum):
    """Answers to chargers, as typed on the command line."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN_MESSAGE_ID = "unknown-message-id"

    @property
    def value_in_api(self) -> DataTransferStatus.ValueType:
        """The API's word for it."""
        return DataTransferStatus.Value(f"DATA_TRANSFER_STATUS_{self.name}")

    @property
    def word(self) -> str:
        """OCPP's word for it."""
        return self.name.title().replace("_", "")


def vendor_data(
    vendor: Annotated[
        list[str], typer.Argument(metavar="VENDOR", help="The vendors whose data is handled; case does not matter.")
    ],
    message: Annotated[
        list[str] | None, typer.Option(help="Only this message of theirs; may be repeated. Without it: all.")
    ] = None,
    answer: Annotated[Answer, typer.Option(help="The answer to every charger.")] = Answer.ACCEPTED,
    data: Annotated[str | None, typer.Option(help="Text that is returned with it.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Leave after so many.")] = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Handle vendors' data (DataTransfer): show what chargers send, and tell all of them the same, until interrupted.

    For trying chargers out. A service of its own registers over gRPC; while this runs it stands in for such a service.
    """
    interests = [VendorInterest(vendor_id=each, message_ids=message or ()) for each in vendor]
    count = 0
    with connect(target) as gateway, VendorDataHandling(gateway.vendor_data.HandleVendorData, interests) as handling:
        for each in handling:
            if each.HasField("registered"):
                note(f"registered; every charger is answered {answer.word}; Ctrl-C ends it")
            elif each.HasField("refused"):
                note(f"{each.refused.data_id}: the answer did not reach its charger: {_REASONS[each.refused.reason]}")
            elif each.HasField("data"):
                handling.answer(VendorDataAnswer(data_id=each.data.data_id, status=answer.value_in_api, data=data))
                _show(each.data, answer, json)
                count += 1
                if count == limit:
                    handling.leave()


def _show(received: VendorDataRequest, answer: Answer, json: bool) -> None:
    if json:
        print_json_line(as_dict(received) | {"answer": answer.word})
        return
    name = received.vendor_id + (f" {received.message_id}" if received.message_id else "")
    line = Text(f"{local(moment(received, 'receive_time'))}  ", style="dim")
    line.append(f"{printable(received.charge_point)}  ", style="bold")
    line.append(f"{printable(name)}  {printable(received.data_json)}  → ", style="not bold not dim")
    out().print(line + status(answer.word), soft_wrap=True)
