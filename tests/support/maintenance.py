"""Operations whose work goes on for long after the charger's answer, as tests begin them and look at them."""

from typing import Any

import trio

from gateway.domain.codec import encode_command, fingerprint
from gateway.domain.operations import End, OperationKind, OperationRecord, OperationRequest, Stage
from gateway.domain.security_commands import GetLog
from tests.support.harness import Harness
from tests.support.station import ACCEPTED, Station

BEGUN = [Stage.ACCEPTED, Stage.SENT, Stage.CHARGER_ACCEPTED]
"""The stages up to the charger's answer."""


def wanted(command: Any) -> OperationRequest:
    """The request of a command, as the control interface makes it."""
    return OperationRequest(
        OperationKind.UPLOAD_LOG if isinstance(command, GetLog) else OperationKind.INSTALL_FIRMWARE,
        arguments=encode_command(command),
        fingerprint=fingerprint("store", command),
        own_command=command,
    )


async def begins(harness: Harness, request: OperationRequest, request_id: str = "r1") -> OperationRecord:
    found = await harness.router.operate("CP1", request, request_id, 60.0)
    assert isinstance(found, OperationRecord), found
    return found


async def accepts(station: Station, action: str, answer: Any = ACCEPTED) -> Any:
    """The charger answers the command of the operation: the payload that it was sent."""
    message_id, _, sent = await station.charger.next_call(action)
    await station.charger.answer(message_id, answer)
    await trio.sleep(0.1)
    return sent


def course(harness: Harness, operation_id: str) -> tuple[list[Stage], End | None, str]:
    """The stages of an operation, its end and the reason."""
    record = harness.store.operation(operation_id)
    assert record is not None
    return [each.stage for each in record.stages], record.end, record.reason
