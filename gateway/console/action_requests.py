"""Requests of the actions: each is made of an identity, a request id and a form. All raise ``FieldError``."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.api.v1 import command_pb2, common_pb2, operation_pb2, steering_pb2
from gateway.console.form_fields import (
    FieldError,
    address,
    decimal,
    moment_of,
    number,
    optional_text,
    text,
    when,
    whole,
    whole_or_one,
)

MAX_WHY: Final = 200
"""Characters of the words for those who read the history, as the gateway takes them."""

MAX_VALUE: Final = 500
"""Characters of a configuration key's value, as OCPP has it."""


def _limited(request: Any, form: Mapping[str, str]) -> Any:
    """The request with its connector and its end."""
    if form.get("connector", "").strip():
        request.connector.CopyFrom(address(form))
    until = when(form, "until")
    if until is not None:
        request.until_time.FromDatetime(until)
    return request


def start(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    request = operation_pb2.StartChargingRequest(
        charge_point=point, request_id=request_id, id_tag=text(form, "id_tag", 36), insist="insist" in form
    )
    if form.get("connector", "").strip():
        request.connector.CopyFrom(address(form))
    return request


def stop(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    request = operation_pb2.StopChargingRequest(charge_point=point, request_id=request_id)
    request.transaction_id = form.get("transaction_id", "").strip()
    if not request.transaction_id and form.get("connector", "").strip():
        request.connector.CopyFrom(address(form))
    return request


def limit(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    amperes = form.get("unit", "A") == "A"
    unit = common_pb2.CHARGING_RATE_UNIT_AMPERES if amperes else common_pb2.CHARGING_RATE_UNIT_WATTS
    limit = steering_pb2.RateLimit(value=number(form, "value", 0, 1_000_000), unit=unit)
    if form.get("phases", "").strip():
        limit.number_phases = whole(form, "phases", 1, 3)
    request = operation_pb2.LimitChargingRequest(charge_point=point, request_id=request_id, limit=limit)
    return _limited(request, form)


def pause(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    return _limited(operation_pb2.PauseChargingRequest(charge_point=point, request_id=request_id), form)


def resume(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    request = operation_pb2.ResumeChargingRequest(charge_point=point, request_id=request_id)
    if form.get("connector", "").strip():
        request.connector.CopyFrom(address(form))
    return request


def plan(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    """Lines of a time and amperes; the last one is the end."""
    lines = [line.split() for line in text(form, "steps", 20_000).splitlines() if line.strip()]
    plan = steering_pb2.Plan()
    for place, line in enumerate(lines, 1):
        try:
            at, *rest = line
            amperes = None if rest in ([], ["end"], ["none"]) else decimal(" ".join(rest))
            begins = moment_of(at)
        except ValueError:
            raise FieldError("steps", f"line {place} is not a time and a number of amperes") from None
        if place == len(lines):
            if amperes is not None:
                raise FieldError("steps", "the last line has to be the end of the plan: a time alone")
            plan.end_time.FromDatetime(begins)
            break
        step = plan.steps.add()
        step.start_time.FromDatetime(begins)
        if amperes is not None:
            step.limit.value, step.limit.unit = amperes, common_pb2.CHARGING_RATE_UNIT_AMPERES
    return steering_pb2.SetPlanRequest(
        charge_point=point,
        request_id=request_id,
        connector=address(form),
        plan=plan,
        why=optional_text(form, "why", MAX_WHY),
    )


def clear_plan(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    return steering_pb2.ClearPlanRequest(
        charge_point=point, request_id=request_id, connector=address(form), why=optional_text(form, "why", MAX_WHY)
    )


def reset(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    hard = form.get("type") == "hard"
    kind = command_pb2.RESET_TYPE_HARD if hard else command_pb2.RESET_TYPE_SOFT
    return command_pb2.ResetRequest(charge_point=point, request_id=request_id, type=kind)


def unlock(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    return command_pb2.UnlockConnectorRequest(charge_point=point, request_id=request_id, connector=address(form))


TRIGGERS: Final = tuple(
    (name, name.removeprefix("TRIGGERED_MESSAGE_").capitalize().replace("_", " "))
    for name in command_pb2.TriggeredMessage.keys()[1:]
)


def trigger(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    name = form.get("message", "")
    if name not in dict(TRIGGERS):
        raise FieldError("message", "is none that can be asked for")
    asked = command_pb2.TriggeredMessage.Value(name)
    request = command_pb2.TriggerMessageRequest(charge_point=point, request_id=request_id, requested_message=asked)
    if form.get("connector", "").strip():
        request.connector.CopyFrom(address(form))
    return request


def availability(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    out = form.get("type") == "out"
    kind = command_pb2.AVAILABILITY_TYPE_INOPERATIVE if out else command_pb2.AVAILABILITY_TYPE_OPERATIVE
    return command_pb2.ChangeAvailabilityRequest(
        charge_point=point, request_id=request_id, connector=whole_or_one(form), type=kind
    )


def configure(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    value = form.get("value", "")  # as it is: a charger may want its spaces
    if len(value) > MAX_VALUE:
        raise FieldError("value", f"has more than {MAX_VALUE} characters")
    return command_pb2.ChangeConfigurationRequest(
        charge_point=point, request_id=request_id, key=text(form, "key", 50), value=value
    )


def read_configuration(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    return command_pb2.GetConfigurationRequest(charge_point=point, request_id=request_id)


def firmware(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    return _fetched(
        operation_pb2.InstallFirmwareRequest(
            charge_point=point, request_id=request_id, location=text(form, "location", 512)
        ),
        form,
    )


def _fetched(request: Any, form: Mapping[str, str]) -> Any:
    """The request with the time from which on the firmware is fetched; without one that is at once, also where the form
    is sent again."""
    at = when(form, "at")
    if at is not None:
        request.retrieve_time.FromDatetime(at)
    return request


def signed_firmware(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    request = operation_pb2.InstallFirmwareRequest(
        charge_point=point,
        request_id=request_id,
        location=text(form, "location", 512),
        signing_certificate=text(form, "certificate", 5_500).replace("\r\n", "\n"),
        signature="".join(text(form, "signature", 2_000).split()),
    )
    _fetched(request, form)
    install = when(form, "install_at")
    if install is not None:
        request.install_time.FromDatetime(install)
    return request


def read_certificates(point: str, request_id: str, form: Mapping[str, str]) -> Any:
    manufacturer = form.get("use") == "firmware"
    return command_pb2.GetInstalledCertificateIdsRequest(
        charge_point=point,
        request_id=request_id,
        certificate_use=command_pb2.CERTIFICATE_USE_MANUFACTURER_ROOT_CERTIFICATE
        if manufacturer
        else command_pb2.CERTIFICATE_USE_CENTRAL_SYSTEM_ROOT_CERTIFICATE,
    )
