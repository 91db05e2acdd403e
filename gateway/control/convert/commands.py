"""Command records and answers as messages, and the typed result of each operation."""

from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from gateway.api.v1 import command_pb2 as pb
from gateway.control.convert.common import connector, int64, schedule, timestamp
from gateway.control.convert.enums import COMMAND_STATE, HASH_ALGORITHM, Words
from gateway.domain import commands as c
from gateway.domain import security_commands as s

M = TypeVar("M")


def command(record: c.CommandRecord) -> pb.Command:
    """A command and what became of it."""
    return pb.Command(
        command_id=record.command_id,
        charge_point=record.charge_point,
        request_id=record.request_id,
        operation=record.operation,
        state=COMMAND_STATE.number(record.state),
        create_time=timestamp(record.created_at),
        send_time=timestamp(record.sent_at),
        finish_time=timestamp(record.finished_at),
        late=record.late,
        reason=record.reason,
        arguments_json=orjson.dumps(record.arguments).decode(),
        answer=None if record.answer is None else answer(record.answer),
        error=None if record.error is None else error(record.error),
        caller=record.caller,
    )


def basic_command(record: c.CommandRecord) -> pb.Command:
    """A command without its arguments and its outcome."""
    shown = command(record)
    for name in ("arguments_json", "answer", "error"):
        shown.ClearField(name)
    return shown


def error(value: c.ChargerError) -> pb.CommandError:
    """A charger's error."""
    return pb.CommandError(code=value.code, description=value.description, details_json=value.details)


def answer(value: c.Answer) -> pb.CommandAnswer:
    """A charger's confirmation."""
    match value:
        case c.StatusAnswer():
            return pb.CommandAnswer(status=pb.StatusAnswer(status=value.status))
        case c.EmptyAnswer():
            return pb.CommandAnswer(empty=pb.EmptyAnswer())
        case c.DataTransferAnswer():
            return pb.CommandAnswer(data_transfer=pb.DataTransferAnswer(status=value.status, data=value.data))
        case c.CompositeScheduleAnswer():
            return pb.CommandAnswer(
                composite_schedule=pb.CompositeScheduleAnswer(
                    status=value.status,
                    connector=connector(value.connector),
                    schedule_start_time=timestamp(value.schedule_start),
                    schedule=schedule(value.schedule),
                )
            )
        case c.ConfigurationAnswer():
            return pb.CommandAnswer(
                configuration=pb.ConfigurationAnswer(
                    keys=configuration_keys(value.keys), unknown_keys=value.unknown_keys
                )
            )
        case c.DiagnosticsAnswer():
            return pb.CommandAnswer(diagnostics=pb.DiagnosticsAnswer(file_name=value.file_name))
        case c.LocalListVersionAnswer():
            return pb.CommandAnswer(
                local_list_version=pb.LocalListVersionAnswer(list_version=int64(value.list_version))
            )
        case s.InstalledCertificatesAnswer():
            return pb.CommandAnswer(
                installed_certificates=pb.InstalledCertificatesAnswer(
                    status=value.status, certificates=map(_certificate, value.certificates)
                )
            )
        case s.LogAnswer():
            return pb.CommandAnswer(log=pb.LogAnswer(status=value.status, file_name=value.file_name))


def configuration_keys(keys: tuple[c.ConfigurationKey, ...]) -> list[pb.ConfigurationKey]:
    """Configuration keys as reported."""
    return [pb.ConfigurationKey(key=each.key, readonly=each.readonly, value=each.value) for each in keys]


def _certificate(value: s.CertificateHash) -> pb.CertificateHash:
    return pb.CertificateHash(
        hash_algorithm=HASH_ALGORITHM.number(value.algorithm),
        issuer_name_hash=value.issuer_name_hash,
        issuer_key_hash=value.issuer_key_hash,
        serial_number=value.serial_number,
    )


# --- results of the operations ----------------------------------------------------------------------------------

Result = Callable[[c.CommandRecord], M]
"""A finished command as its operation's response."""


def status_result(response: Callable[..., M], enum: Any, words: str) -> Result[M]:
    """For confirmations that are a status; ``words`` are OCPP's for it."""
    statuses = Words(enum, words.split())

    def result(record: c.CommandRecord) -> M:
        answered = record.answer
        status = answered.status if isinstance(answered, c.StatusAnswer) else None
        return response(command=command(record), status=statuses.number(status))

    return result


def empty_result(response: Callable[..., M]) -> Result[M]:
    """For confirmations without fields."""
    return lambda record: response(command=command(record))


_DATA_TRANSFER = Words(pb.DataTransferStatus, ["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"])
_COMPOSITE_SCHEDULE = Words(pb.GetCompositeScheduleStatus, ["Accepted", "Rejected"])


def data_transfer(record: c.CommandRecord) -> pb.DataTransferResponse:
    """Return the data of a DataTransfer's confirmation."""
    response = pb.DataTransferResponse(command=command(record))
    if isinstance(record.answer, c.DataTransferAnswer):
        response.status = _DATA_TRANSFER.number(record.answer.status)
        if record.answer.data is not None:
            response.data = record.answer.data
    return response


def composite_schedule(record: c.CommandRecord) -> pb.GetCompositeScheduleResponse:
    """The schedule, if the charger gave one."""
    given = record.answer
    if not isinstance(given, c.CompositeScheduleAnswer):
        return pb.GetCompositeScheduleResponse(command=command(record))
    return pb.GetCompositeScheduleResponse(
        command=command(record),
        status=_COMPOSITE_SCHEDULE.number(given.status),
        connector=connector(given.connector),
        schedule_start_time=timestamp(given.schedule_start),
        schedule=schedule(given.schedule),
    )


def configuration(record: c.CommandRecord) -> pb.GetConfigurationResponse:
    """The keys that the charger reported."""
    given = record.answer if isinstance(record.answer, c.ConfigurationAnswer) else c.ConfigurationAnswer()
    return pb.GetConfigurationResponse(
        command=command(record), keys=configuration_keys(given.keys), unknown_keys=given.unknown_keys
    )


def diagnostics(record: c.CommandRecord) -> pb.GetDiagnosticsResponse:
    """The file that will be uploaded."""
    given = record.answer if isinstance(record.answer, c.DiagnosticsAnswer) else c.DiagnosticsAnswer()
    return pb.GetDiagnosticsResponse(command=command(record), file_name=given.file_name)


def local_list_version(record: c.CommandRecord) -> pb.GetLocalListVersionResponse:
    """The list's version."""
    given = record.answer if isinstance(record.answer, c.LocalListVersionAnswer) else c.LocalListVersionAnswer(0)
    return pb.GetLocalListVersionResponse(command=command(record), list_version=int64(given.list_version))


_INSTALLED = Words(pb.GetInstalledCertificateIdsStatus, ["Accepted", "NotFound"])
_LOG = Words(pb.GetLogStatus, ["Accepted", "Rejected", "AcceptedCanceled"])


def installed_certificates(record: c.CommandRecord) -> pb.GetInstalledCertificateIdsResponse:
    """The certificates that the charger reported."""
    given = record.answer if isinstance(record.answer, s.InstalledCertificatesAnswer) else None
    return pb.GetInstalledCertificateIdsResponse(
        command=command(record),
        status=_INSTALLED.number(None if given is None else given.status),
        certificates=() if given is None else map(_certificate, given.certificates),
    )


def log(record: c.CommandRecord) -> pb.GetLogResponse:
    """The file that will be uploaded."""
    given = record.answer if isinstance(record.answer, s.LogAnswer) else s.LogAnswer("")
    return pb.GetLogResponse(command=command(record), status=_LOG.number(given.status), file_name=given.file_name)
