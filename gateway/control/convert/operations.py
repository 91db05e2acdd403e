"""Operations on charging as messages."""

from gateway.api.v1 import event_pb2, operation_pb2
from gateway.control.convert.common import connector, json_text, timestamp
from gateway.control.convert.enums import OPERATION_END, OPERATION_KIND, OPERATION_STAGE
from gateway.control.convert.steering import rate_limit
from gateway.domain import events as e
from gateway.domain.operations import OperationRecord, StageReached


def operation(record: OperationRecord) -> operation_pb2.Operation:
    """An operation."""
    request = record.request
    return operation_pb2.Operation(
        operation_id=record.operation_id,
        charge_point=record.charge_point,
        request_id=record.request_id,
        kind=OPERATION_KIND.number(request.kind),
        connector=connector(request.connector),
        id_tag=request.id_tag,
        transaction_id=record.transaction_id,
        command_id=record.command_id,
        insist=request.insist,
        create_time=timestamp(record.created_at),
        expire_time=timestamp(record.expires_at),
        stages=map(_stage, record.stages),
        end=OPERATION_END.number(record.end),
        reason=record.reason,
        end_time=timestamp(record.ended_at),
        sequence=record.sequence,
        caller=record.caller,
        limit=rate_limit(request.limit),
        until_time=timestamp(request.until),
        arguments_json="" if request.arguments is None else json_text(request.arguments),
    )


def _stage(reached: StageReached) -> operation_pb2.OperationStageReached:
    return operation_pb2.OperationStageReached(
        stage=OPERATION_STAGE.number(reached.stage), reach_time=timestamp(reached.at), sequence=reached.sequence
    )


def accepted(body: e.OperationAccepted) -> event_pb2.OperationAccepted:
    """The event of an acceptance."""
    request = body.request
    return event_pb2.OperationAccepted(
        operation_id=body.operation_id,
        request_id=body.request_id,
        kind=OPERATION_KIND.number(request.kind),
        connector=connector(request.connector),
        id_tag=request.id_tag,
        transaction_id=body.transaction_id or "",
        insist=request.insist,
        expire_time=timestamp(body.expires_at),
        limit=rate_limit(request.limit),
        until_time=timestamp(request.until),
        caller=body.caller,
    )


def advanced(body: e.OperationAdvanced) -> event_pb2.OperationAdvanced:
    """The event of a stage."""
    return event_pb2.OperationAdvanced(
        operation_id=body.operation_id,
        stage=OPERATION_STAGE.number(body.stage),
        command_id=body.command_id,
        transaction_id=body.transaction_id or "",
    )


def ended(body: e.OperationEnded) -> event_pb2.OperationEnded:
    """The event of an end."""
    return event_pb2.OperationEnded(
        operation_id=body.operation_id,
        end=OPERATION_END.number(body.end),
        reason=body.reason,
        transaction_id=body.transaction_id or "",
    )
