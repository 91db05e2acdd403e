"""The 19 operations of the central system (S §5): each one's answer, and what the charger does afterwards.

`answer` changes the wallbox and returns an Answer, or raises OperationFault for a request that cannot be read. What
must wait until the answer is on the wire (a transaction that stops, a reboot) is a follow-up: a value, acted on by
the charger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen

from gateway.simulator.configuration import SECRET_KEY, Range
from gateway.simulator.connector import Reservation
from gateway.simulator.messages import wire_time
from gateway.simulator.profiles import TX, Profile, ProfileError, parse_profile, parse_time
from gateway.simulator.wallbox import Wallbox

#: The longest composite schedule that is computed, in seconds; a longer one asked for is cut to this.
LONGEST_SCHEDULE = 7 * 86_400

#: What TriggerMessage may ask for (S §5.17).
TRIGGERS = (
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StatusNotification",
)


class OperationFault(Exception):
    """A request that cannot be used: becomes a CALLERROR with `code` (J §4.2.3)."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


@frozen
class RemoteStart:
    connector: int
    id_tag: str
    profile: Profile | None


@frozen
class RemoteStop:
    connector: int
    reason: str


@frozen
class Reboot:
    hard: bool


@frozen
class Trigger:
    message: str
    connector: int | None


@frozen
class UpdateFirmware:
    location: str
    at: datetime


@frozen
class UploadDiagnostics:
    location: str


@frozen
class NewPassword:
    password: bytes = field(repr=False)


@frozen
class SettingChanged:
    key: str


@frozen
class LongTask:
    """Work that takes a while, done in a task beside the answers to CALLs."""

    begin: Callable[[], Awaitable[None]]


FollowUp = (
    RemoteStart
    | RemoteStop
    | Reboot
    | Trigger
    | UpdateFirmware
    | UploadDiagnostics
    | NewPassword
    | SettingChanged
    | LongTask
)


@frozen
class Answer:
    """The payload of the confirmation, and what to do once it is sent."""

    payload: dict[str, Any]
    then: FollowUp | None = None

    @property
    def status(self) -> str | None:
        """The status in the confirmation, where the operation has one."""
        status = self.payload.get("status")
        return status if isinstance(status, str) else None


@frozen
class Request:
    """A request's payload; its getters raise OperationFault naming the field."""

    payload: Mapping[str, Any]

    def has(self, name: str) -> bool:
        return self.payload.get(name) is not None

    def text(self, name: str, longest: int = 500) -> str:
        value = self._required(name)
        if not isinstance(value, str):
            raise OperationFault("TypeConstraintViolation", f"{name}: expected a string")
        if len(value) > longest:
            raise OperationFault("PropertyConstraintViolation", f"{name}: longer than {longest}")
        return value

    def whole(self, name: str) -> int:
        value = self._required(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise OperationFault("TypeConstraintViolation", f"{name}: expected an integer")
        return value

    def optional_whole(self, name: str) -> int | None:
        return self.whole(name) if self.has(name) else None

    def choice(self, name: str, *allowed: str) -> str:
        value = self.text(name)
        if value not in allowed:
            raise OperationFault("PropertyConstraintViolation", f"{name}: expected one of {', '.join(allowed)}")
        return value

    def time(self, name: str) -> datetime:
        try:
            return parse_time(self._required(name), name)
        except ProfileError as error:
            raise OperationFault("PropertyConstraintViolation", str(error)) from None

    def objects(self, name: str) -> list[Mapping[str, Any]]:
        value = self.payload.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise OperationFault("TypeConstraintViolation", f"{name}: expected a list of objects")
        return value

    def an_object(self, name: str) -> Mapping[str, Any]:
        value = self._required(name)
        if not isinstance(value, dict):
            raise OperationFault("TypeConstraintViolation", f"{name}: expected an object")
        return value

    def _required(self, name: str) -> Any:
        value = self.payload.get(name)
        if value is None:
            raise OperationFault("ProtocolError", f"{name}: missing")
        return value


class Operations:
    """Answers requests for one wallbox. `fixed_cable`: the cable has no lock to open."""

    def __init__(self, box: Wallbox, *, fixed_cable: bool) -> None:
        self._box = box
        self._fixed_cable = fixed_cable
        self._table: dict[str, Callable[[Request, datetime], Answer]] = {
            "CancelReservation": self._cancel_reservation,
            "ChangeAvailability": self._change_availability,
            "ChangeConfiguration": self._change_configuration,
            "ClearCache": self._clear_cache,
            "ClearChargingProfile": self._clear_charging_profile,
            "DataTransfer": self._data_transfer,
            "GetCompositeSchedule": self._get_composite_schedule,
            "GetConfiguration": self._get_configuration,
            "GetDiagnostics": self._get_diagnostics,
            "GetLocalListVersion": self._get_local_list_version,
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "ReserveNow": self._reserve_now,
            "Reset": self._reset,
            "SendLocalList": self._send_local_list,
            "SetChargingProfile": self._set_charging_profile,
            "TriggerMessage": self._trigger_message,
            "UnlockConnector": self._unlock_connector,
            "UpdateFirmware": self._update_firmware,
        }

    def add(self, operations: Mapping[str, Callable[[Request, datetime], Answer]]) -> None:
        """Answer these, too."""
        self._table |= operations

    def answer(self, action: str, payload: object, now: datetime, *, accepted: bool) -> Answer:
        """The answer to a request. `accepted`: the charger's registration; without it nothing is started or
        stopped from afar (S §4.2). Raises OperationFault."""
        operation = self._table.get(action)
        if operation is None:
            raise OperationFault("NotImplemented", f"{action[:50]}: not known")
        if payload is None:
            payload = {}
        if not isinstance(payload, dict):
            raise OperationFault("FormationViolation", "the payload is not an object")
        if not accepted and action in ("RemoteStartTransaction", "RemoteStopTransaction"):
            return Answer({"status": "Rejected"})
        self._box.advance(now)
        return operation(Request(payload), now)

    # --- Core ------------------------------------------------------------------------------------------------

    def _change_availability(self, request: Request, now: datetime) -> Answer:
        operative = request.choice("type", "Operative", "Inoperative") == "Operative"
        number = self._connector(request)
        return Answer({"status": self._box.change_availability(number, operative, now)})

    def _change_configuration(self, request: Request, now: datetime) -> Answer:
        key, value = request.text("key", 50), request.text("value")
        status = self._box.configuration.change(key, value)
        if status != "Accepted":
            return Answer({"status": status})
        if key == SECRET_KEY:
            return Answer({"status": status}, NewPassword(bytes.fromhex(value)))
        return Answer({"status": status}, SettingChanged(key))

    def _clear_cache(self, request: Request, now: datetime) -> Answer:
        self._box.tags.clear_cache()
        return Answer({"status": "Accepted"})

    def _data_transfer(self, request: Request, now: datetime) -> Answer:
        request.text("vendorId", 255)
        return Answer({"status": "UnknownVendorId"})

    def _get_configuration(self, request: Request, now: datetime) -> Answer:
        names = request.payload.get("key") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise OperationFault("TypeConstraintViolation", "key: expected a list of strings")
        if len(names) > self._box.configuration.whole("GetConfigurationMaxKeys"):
            raise OperationFault("OccurenceConstraintViolation", "key: more than GetConfigurationMaxKeys")
        entries, unknown = self._box.configuration.shown(names)
        answer: dict[str, Any] = {"configurationKey": entries}
        if unknown:
            answer["unknownKey"] = unknown
        return Answer(answer)

    def _remote_start(self, request: Request, now: datetime) -> Answer:
        id_tag = request.text("idTag", 20)
        connector = self._connector_to_start(request, id_tag)
        if connector is None:
            return Answer({"status": "Rejected"})
        profile = None
        if request.has("chargingProfile"):
            try:
                profile = parse_profile(request.payload["chargingProfile"], connector, now)
            except ProfileError as error:
                raise OperationFault("PropertyConstraintViolation", str(error)) from None
            if profile.purpose != TX or profile.transaction_id is not None:  # SE 3.41
                return Answer({"status": "Rejected"})
        return Answer({"status": "Accepted"}, RemoteStart(connector, id_tag, profile))

    def _connector_to_start(self, request: Request, id_tag: str) -> int | None:
        """The connector asked for, else the first free one, one with a cable in it first."""
        if request.has("connectorId"):
            wanted = request.whole("connectorId")
            chosen = [c for number, c in self._box.connectors.items() if number == wanted]
        else:
            chosen = sorted(self._box.connectors.values(), key=lambda c: c.vehicle is None)
        # A reservation may admit the tag by its group, which only Authorize shows: asked again when it begins.
        free = (c.number for c in chosen if c.reservation is not None or self._box.free_for(c, id_tag))
        return next(free, None)

    def _remote_stop(self, request: Request, now: datetime) -> Answer:
        transaction = self._box.transaction_with(request.whole("transactionId"))
        if transaction is None:
            return Answer({"status": "Rejected"})
        return Answer({"status": "Accepted"}, RemoteStop(transaction.connector, "Remote"))

    def _reset(self, request: Request, now: datetime) -> Answer:
        return Answer({"status": "Accepted"}, Reboot(request.choice("type", "Hard", "Soft") == "Hard"))

    def _unlock_connector(self, request: Request, now: datetime) -> Answer:
        number = request.whole("connectorId")
        if number not in self._box.connectors or self._fixed_cable:
            return Answer({"status": "NotSupported"})
        return Answer({"status": "Unlocked"}, RemoteStop(number, "UnlockCommand"))

    # --- Firmware management ---------------------------------------------------------------------------------

    def _get_diagnostics(self, request: Request, now: datetime) -> Answer:
        location = request.text("location", 2_000)
        return Answer({"fileName": f"diagnostics-{now:%Y%m%d%H%M%S}.log"}, UploadDiagnostics(location))

    def _update_firmware(self, request: Request, now: datetime) -> Answer:
        return Answer({}, UpdateFirmware(request.text("location", 2_000), request.time("retrieveDate")))

    # --- Local authorization list ----------------------------------------------------------------------------

    def _get_local_list_version(self, request: Request, now: datetime) -> Answer:
        return Answer({"listVersion": self._box.tags.version if len(self._box.tags) else 0})

    def _send_local_list(self, request: Request, now: datetime) -> Answer:
        differential = request.choice("updateType", "Full", "Differential") == "Differential"
        entries = request.objects("localAuthorizationList")
        return Answer({"status": self._box.tags.update(request.whole("listVersion"), differential, entries)})

    # --- Reservation -----------------------------------------------------------------------------------------

    def _reserve_now(self, request: Request, now: datetime) -> Answer:
        reservation = Reservation(
            request.whole("reservationId"),
            request.text("idTag", 20),
            request.time("expiryDate"),
            request.text("parentIdTag", 20) if request.has("parentIdTag") else None,
        )
        return Answer({"status": self._box.reserve(request.whole("connectorId"), reservation, now)})

    def _cancel_reservation(self, request: Request, now: datetime) -> Answer:
        return Answer({"status": self._box.cancel_reservation(request.whole("reservationId"), now)})

    # --- Smart charging --------------------------------------------------------------------------------------

    def _set_charging_profile(self, request: Request, now: datetime) -> Answer:
        number = self._connector(request)
        try:
            profile = parse_profile(request.payload.get("csChargingProfiles"), number, now)
        except ProfileError as error:
            raise OperationFault("PropertyConstraintViolation", str(error)) from None
        if len(profile.periods) > self._box.schedule_periods:
            return Answer({"status": "Rejected"})
        transaction = self._box.connectors[number].transaction if number else None
        installed = self._box.profiles.install(profile, transaction)
        return Answer({"status": "Accepted" if installed else "Rejected"})

    def _clear_charging_profile(self, request: Request, now: datetime) -> Answer:
        found = self._box.profiles.clear(
            request.optional_whole("id"),
            request.optional_whole("connectorId"),
            request.text("chargingProfilePurpose") if request.has("chargingProfilePurpose") else None,
            request.optional_whole("stackLevel"),
        )
        return Answer({"status": "Accepted" if found else "Unknown"})

    def _get_composite_schedule(self, request: Request, now: datetime) -> Answer:
        number, duration = request.whole("connectorId"), request.whole("duration")
        unit = request.choice("chargingRateUnit", "A", "W") if request.has("chargingRateUnit") else "A"
        if number not in (0, *self._box.connectors) or duration < 0:
            return Answer({"status": "Rejected"})
        duration = min(duration, LONGEST_SCHEDULE)
        steps = self._box.schedule(number, timedelta(seconds=duration))
        periods = [
            {
                "startPeriod": start,
                "limit": round(limit.amps if unit == "A" else limit.watts, 1),
                "numberPhases": limit.phases,
            }
            for start, limit in steps
        ]
        schedule = {"duration": duration, "chargingRateUnit": unit, "chargingSchedulePeriod": periods}
        start = wire_time(now)
        return Answer(
            {"status": "Accepted", "connectorId": number, "scheduleStart": start, "chargingSchedule": schedule}
        )

    # --- Remote trigger --------------------------------------------------------------------------------------

    def _trigger_message(self, request: Request, now: datetime) -> Answer:
        message = request.text("requestedMessage")
        if message not in TRIGGERS:
            return Answer({"status": "NotImplemented"})
        number = request.optional_whole("connectorId")
        least = 1 if message == "MeterValues" else 0
        if number is not None and not Range(least, len(self._box.connectors))(str(number)):
            return Answer({"status": "Rejected"})
        return Answer({"status": "Accepted"}, Trigger(message, number))

    def _connector(self, request: Request) -> int:
        number = request.whole("connectorId")
        if number not in (0, *self._box.connectors):
            raise OperationFault("PropertyConstraintViolation", f"connectorId: there is no connector {number}")
        return number
