"""The charger on the wire: registration, charging, commands. Virtual time, both ends real."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.simulator import VehicleConfig
from tests.simulator.central import NOW, boot, reading
from tests.simulator.conftest import Home

BOTH = "Energy.Active.Import.Register,Power.Active.Import"


def profile(purpose: str, limit: float, unit: str = "A", **more: Any) -> dict[str, Any]:
    """A simple absolute profile."""
    schedule = {"chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **more,
    }


async def test_it_boots_then_reports_the_box_and_every_connector(autojump_clock: MockClock, home: Home) -> None:
    """Boot, StatusNotification 0..n after acceptance (SE 3.22)."""
    await home.charger(connectors=2, serial="SN-7", speed=1)
    assert home.central.actions() == ["BootNotification", *["StatusNotification"] * 3]
    boot_request = home.central.requests[0][1]
    assert boot_request["chargePointSerialNumber"] == "SN-7"
    assert [payload["connectorId"] for _, payload in home.central.requests[1:]] == [0, 1, 2]


async def test_it_authenticates_with_the_raw_bytes_of_its_password(autojump_clock: MockClock, home: Home) -> None:
    """The vector of J §6.2.2; the identity is percent-encoded in the path (J §3.1.1)."""
    key = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
    await home.charger(identity="AL1000", password=key)
    assert home.central.headers[0][b"authorization"] == b"Basic QUwxMDAwOgABAgMEBQYH////////////////"
    await home.charger(identity="RDAM 1/23")
    assert home.central.targets[1].resource == "/ocpp/RDAM%201%2F23"
    assert "kkkk" not in repr(home.central.targets[1])


async def test_pending_and_rejected_are_waited_out(autojump_clock: MockClock, home: Home) -> None:
    """Only the Boot is repeated, after the interval given; nothing else is said (S §4.2)."""
    answers = iter([boot("Pending", 40), boot("Rejected", 90), boot("Accepted", 200)])
    at = []

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        at.append(trio.current_time())
        return next(answers)

    home.central.replies["BootNotification"] = answer
    charger = await home.charger()
    assert [round(later - earlier) for earlier, later in pairwise(at)] == [40, 90]
    assert home.central.actions()[:3] == ["BootNotification"] * 3
    assert charger.registration == "Accepted"


async def test_a_pending_charger_answers_triggers_but_no_remote_start(autojump_clock: MockClock, home: Home) -> None:
    """S §4.2: triggered messages are sent, RemoteStart is refused."""
    home.central.replies["BootNotification"] = lambda _: boot("Pending", 3000)
    await home.charger(online=False)
    await home.central.heard("BootNotification")
    await trio.sleep(1)
    assert await home.central.call("RemoteStartTransaction", {"idTag": "A"}) == {"status": "Rejected"}
    await home.central.call("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
    await home.central.heard("StatusNotification", connectorId=1)
    home.central.replies["BootNotification"] = lambda _: boot("Accepted", 300)
    await home.central.call("TriggerMessage", {"requestedMessage": "BootNotification"})
    await home.central.heard("BootNotification", times=2)


async def test_heartbeats_follow_the_interval_of_the_boot_and_of_the_configuration(
    autojump_clock: MockClock, home: Home
) -> None:
    """B2.3: the interval changes by BootNotification.conf and by ChangeConfiguration."""
    await home.charger()
    await home.central.heard("Heartbeat", times=1)
    before = trio.current_time()
    await home.central.heard("Heartbeat", times=2)
    assert trio.current_time() - before == pytest.approx(300, abs=1)
    changed = await home.central.call("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "10"})
    assert changed == {"status": "Accepted"}
    before = trio.current_time()
    await home.central.heard("Heartbeat", times=4)
    assert trio.current_time() - before < 21


async def test_a_security_error_makes_it_register_again_and_loses_nothing(
    autojump_clock: MockClock, home: Home
) -> None:
    """JE 3.8: a central system that does not know it refuses its messages; they are sent again after the Boot."""
    charger = await home.charger()
    refusals = iter([("SecurityError", "who are you")])
    home.central.replies["StartTransaction"] = lambda _: next(refusals, None) or home.central.started()
    charger.plug_in()
    assert await charger.present_id_tag()
    await home.central.heard("StartTransaction", times=2)
    assert len(home.central.having("BootNotification")) == 2
    await charger.wait_for(lambda each: each.transaction_id() is not None)


async def test_a_session_from_plug_in_to_unplug(autojump_clock: MockClock, home: Home) -> None:
    """Preparing, Authorize, StartTransaction, Charging, MeterValues, stop by tag, Finishing, Available."""
    charger = await home.charger()
    await home.central.call("ChangeConfiguration", {"key": "MeterValuesSampledData", "value": BOTH})
    charger.plug_in()
    assert await charger.present_id_tag()
    start = await home.central.heard("StartTransaction")
    first = await home.central.heard("MeterValues", times=1)
    second = await home.central.heard("MeterValues", times=2)
    await charger.present_id_tag()
    stop = await home.central.heard("StopTransaction")
    charger.unplug()
    await home.central.heard("StatusNotification", times=2, connectorId=1, status="Available")

    statuses = [p["status"] for p in home.central.having("StatusNotification", connectorId=1)]
    assert statuses == ["Available", "Preparing", "Charging", "Finishing", "Available"]
    assert reading(first, "Power.Active.Import") == 11_000
    gained = reading(second, "Energy.Active.Import.Register") - reading(first, "Energy.Active.Import.Register")
    assert gained == pytest.approx(11_000 / 60, abs=0.2)
    assert first["transactionId"] == stop["transactionId"] == home.central.next_transaction
    assert (stop["reason"], stop["idTag"]) == ("Local", "HOME-TAG")
    assert stop["meterStop"] - start["meterStart"] == pytest.approx(11_000 * 120 / 3600, abs=1)
    assert home.reported("transaction_stopped")[0]["energy_wh"] == stop["meterStop"] - start["meterStart"]


async def test_unplugging_ends_the_transaction(autojump_clock: MockClock, home: Home) -> None:
    """005_1: reason EVDisconnected, Finishing before Available."""
    charger = await home.charger()
    charger.plug_in()
    await charger.present_id_tag()
    charger.unplug()
    assert (await home.central.heard("StopTransaction"))["reason"] == "EVDisconnected"
    await home.central.heard("StatusNotification", times=2, connectorId=1, status="Available")
    assert charger.status() == "Available"


async def test_a_refused_tag_starts_nothing(autojump_clock: MockClock, home: Home) -> None:
    """Authorize answered Blocked."""
    home.central.replies["Authorize"] = lambda _: {"idTagInfo": {"status": "Blocked"}}
    charger = await home.charger()
    charger.plug_in()
    assert not await charger.present_id_tag("STRANGER")
    assert charger.status() == "Preparing"
    assert not home.central.having("StartTransaction")


async def test_a_tag_refused_at_the_start_is_stopped_as_deauthorized(autojump_clock: MockClock, home: Home) -> None:
    """S §4.8 with StopTransactionOnInvalidId true (037_3)."""
    home.central.replies["StartTransaction"] = lambda _: home.central.started("Invalid")
    charger = await home.charger()
    charger.plug_in()
    await charger.present_id_tag()
    stop = await home.central.heard("StopTransaction")
    assert (stop["reason"], stop["transactionId"]) == ("DeAuthorized", home.central.next_transaction)


async def test_a_member_of_the_group_may_stop(autojump_clock: MockClock, home: Home) -> None:
    """B3.4: parent is compared to parent."""
    parents = {"HOME-TAG": "FAMILY", "PARTNER": "FAMILY", "GUEST": "OTHERS"}
    home.central.replies["Authorize"] = lambda p: {
        "idTagInfo": {"status": "Accepted", "parentIdTag": parents[p["idTag"]]}
    }
    charger = await home.charger()
    charger.plug_in()
    await charger.present_id_tag()
    assert not await charger.present_id_tag("GUEST")
    assert await charger.present_id_tag("PARTNER")
    assert (await home.central.heard("StopTransaction"))["idTag"] == "PARTNER"


async def test_a_remote_start_authorizes_starts_and_a_remote_stop_stops(autojump_clock: MockClock, home: Home) -> None:
    """010 and 012, the stop by the central system's number."""
    charger = await home.charger()
    charger.plug_in()
    started = await home.central.call("RemoteStartTransaction", {"idTag": "APP", "connectorId": 1})
    assert started == {"status": "Accepted"}
    await home.central.heard("Authorize", idTag="APP")
    await home.central.heard("StartTransaction", idTag="APP")
    await charger.wait_for(lambda each: each.transaction_id() is not None)
    assert await home.central.call("RemoteStopTransaction", {"transactionId": 1}) == {"status": "Rejected"}
    running = {"transactionId": charger.transaction_id()}
    assert await home.central.call("RemoteStopTransaction", running) == {"status": "Accepted"}
    assert (await home.central.heard("StopTransaction"))["reason"] == "Remote"


async def test_a_remote_start_waits_for_the_cable_and_gives_up(autojump_clock: MockClock, home: Home) -> None:
    """011_2: Preparing, then Available after ConnectionTimeOut, no transaction."""
    charger = await home.charger()
    await home.central.call("RemoteStartTransaction", {"idTag": "APP"})
    await home.central.heard("StatusNotification", connectorId=1, status="Preparing")
    before = trio.current_time()
    await home.central.heard("StatusNotification", times=2, connectorId=1, status="Available")
    assert trio.current_time() - before == pytest.approx(120, abs=1)
    charger.plug_in()
    await trio.sleep(10)
    assert not home.central.having("StartTransaction")


async def test_a_limit_shows_in_the_next_meter_values_and_zero_suspends(autojump_clock: MockClock, home: Home) -> None:
    """SetChargingProfile lowers the power, 0 is SuspendedEVSE, ClearChargingProfile gives it back."""
    charger = await home.charger()
    await home.central.call("ChangeConfiguration", {"key": "MeterValuesSampledData", "value": BOTH})
    charger.plug_in()
    await charger.present_id_tag()
    await charger.wait_for(lambda each: each.transaction_id() is not None)

    async def limit(amps: float) -> str:
        body = profile("TxProfile", amps, transactionId=charger.transaction_id())
        confirmation = await home.central.call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": body})
        return str(confirmation["status"])

    async def next_power() -> float:
        times = len(home.central.having("MeterValues")) + 1
        return reading(await home.central.heard("MeterValues", times=times), "Power.Active.Import")

    assert await next_power() == 11_000
    assert await limit(6) == "Accepted"
    assert home.reported("limit")[-1]["amps"] == 6
    assert await next_power() == 6 * 230 * 3
    assert await limit(0) == "Accepted"
    await home.central.heard("StatusNotification", connectorId=1, status="SuspendedEVSE")
    assert await next_power() == 0
    register = charger.register()
    await trio.sleep(600)
    assert charger.register() == register
    assert await home.central.call("ClearChargingProfile", {"id": 1}) == {"status": "Accepted"}
    assert await home.central.call("ClearChargingProfile", {"id": 1}) == {"status": "Unknown"}
    assert await next_power() == 11_000
    assert charger.status() == "Charging"


async def test_profiles_that_may_not_be_installed_are_rejected(autojump_clock: MockClock, home: Home) -> None:
    """B10.1, B10.2; an unreadable one is a CALLERROR naming the field."""
    await home.charger()

    async def install(connector: int, body: dict[str, Any]) -> str:
        confirmation = await home.central.call(
            "SetChargingProfile", {"connectorId": connector, "csChargingProfiles": body}
        )
        return str(confirmation["status"])

    assert await install(1, profile("ChargePointMaxProfile", 16)) == "Rejected"
    assert await install(1, profile("TxProfile", 16, transactionId=5)) == "Rejected"
    assert await install(0, profile("ChargePointMaxProfile", 16)) == "Accepted"
    bad = profile("TxDefaultProfile", 16, stackLevel=99)
    frame = await home.central.raw_call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": bad})
    assert frame[0] == 4
    assert frame[2] == "PropertyConstraintViolation"
    assert "stackLevel" in frame[3]


async def test_chargers_of_less_ability_take_one_limit_obey_none_or_lose_theirs(
    autojump_clock: MockClock, home: Home
) -> None:
    """Each as its configuration says; what it accepted it gives back as accepted."""
    charger = await home.charger(schedule_periods=1, obeys_limits=False)
    answer = await home.central.call("GetConfiguration", {"key": ["ChargingScheduleMaxPeriods"]})
    assert answer["configurationKey"][0]["value"] == "1"
    body = profile("TxDefaultProfile", 6)
    two = profile("TxDefaultProfile", 6)
    two["chargingSchedule"]["chargingSchedulePeriod"].append({"startPeriod": 600, "limit": 10})
    install = partial(home.central.call, "SetChargingProfile")
    assert await install({"connectorId": 1, "csChargingProfiles": two}) == {"status": "Rejected"}
    assert await install({"connectorId": 1, "csChargingProfiles": body}) == {"status": "Accepted"}
    assert charger.limit().amps == 32
    charger.forget_profiles()
    assert await home.central.call("ClearChargingProfile", {"id": 1}) == {"status": "Unknown"}


async def test_the_composite_schedule_comes_from_the_same_rules(autojump_clock: MockClock, home: Home) -> None:
    """GetCompositeSchedule answers the minimum over purposes, changes included."""
    await home.charger()
    top = profile("ChargePointMaxProfile", 20)
    default = profile("TxDefaultProfile", 25, chargingProfileId=2)
    default["chargingSchedule"]["chargingSchedulePeriod"].append({"startPeriod": 600, "limit": 10})
    for connector, body in ((0, top), (1, default)):
        await home.central.call("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": body})
    answer = await home.central.call("GetCompositeSchedule", {"connectorId": 1, "duration": 3600})
    periods = answer["chargingSchedule"]["chargingSchedulePeriod"]
    assert [period["limit"] for period in periods] == [20, 10]
    watts = await home.central.call("GetCompositeSchedule", {"connectorId": 0, "duration": 60, "chargingRateUnit": "W"})
    assert watts["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 20 * 230 * 3
    assert await home.central.call("GetCompositeSchedule", {"connectorId": 9, "duration": 60}) == {"status": "Rejected"}


async def test_a_full_vehicle_suspends_and_the_transaction_stays(autojump_clock: MockClock, home: Home) -> None:
    """SuspendedEV when the battery is full."""
    small = VehicleConfig(capacity_wh=2_000, arrival_soc=0.9)
    charger = await home.charger(vehicle=small)
    charger.plug_in()
    await charger.present_id_tag()
    await home.central.heard("StatusNotification", connectorId=1, status="SuspendedEV")
    assert charger.power() == 0
    assert charger.charging()


async def test_configuration_is_read_and_written_with_the_right_statuses(autojump_clock: MockClock, home: Home) -> None:
    """B9.5, B9.6: unknown keys, read-only keys, bad values; the credential is never shown."""
    await home.charger(measurands=("Energy.Active.Import.Register", "Current.Import", "Voltage"))

    async def change(key: str, value: str) -> str:
        return str((await home.central.call("ChangeConfiguration", {"key": key, "value": value}))["status"])

    assert await change("MeterValueSampleInterval", "60") == "Accepted"
    assert await change("MeterValueSampleInterval", "-1") == "Rejected"
    assert await change("NumberOfConnectors", "2") == "Rejected"
    assert await change("Nonsense", "2") == "NotSupported"
    assert await change("MeterValuesSampledData", BOTH) == "Rejected"
    assert await change("MeterValuesSampledData", "Energy.Active.Import.Register,Current.Import,Voltage") == "Accepted"
    everything = await home.central.call("GetConfiguration")
    shown = {entry["key"]: entry for entry in everything["configurationKey"]}
    assert shown["MeterValueSampleInterval"]["value"] == "60"
    assert shown["NumberOfConnectors"]["readonly"] is True
    assert "value" not in shown["AuthorizationKey"]
    one = await home.central.call("GetConfiguration", {"key": ["HeartbeatInterval", "Foo"]})
    assert (len(one["configurationKey"]), one["unknownKey"]) == (1, ["Foo"])


async def test_a_new_authorization_key_is_used_after_a_reconnect(autojump_clock: MockClock, home: Home) -> None:
    """073: Accepted, reconnect with the new bytes, no Boot; the key appears in no event."""
    charger = await home.charger()
    assert await home.central.call("ChangeConfiguration", {"key": "AuthorizationKey", "value": "zz"}) == {
        "status": "Rejected"
    }
    key = "DEADBEEF" * 4
    await home.central.call("ChangeConfiguration", {"key": "AuthorizationKey", "value": key})
    await home.central.until(lambda central: len(central.headers) == 2)
    assert home.central.targets[1].password == bytes.fromhex(key)
    await charger.wait_for(lambda each: each.connected)
    await trio.sleep(30)
    assert len(home.central.having("BootNotification")) == 1
    assert key.lower() not in repr(home.events).lower()


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
async def test_a_reset_stops_the_transaction_and_boots(
    autojump_clock: MockClock, home: Home, kind: str, reason: str
) -> None:
    """013, 014: the stop with its reason, then a Boot on a new connection."""
    charger = await home.charger()
    charger.plug_in()
    await charger.present_id_tag()
    await home.central.heard("StartTransaction")
    assert await home.central.call("Reset", {"type": kind}) == {"status": "Accepted"}
    await home.central.heard("BootNotification", times=2)
    stop = await home.central.heard("StopTransaction")
    assert stop["reason"] == reason
    assert stop["transactionId"] == home.central.next_transaction
    await charger.wait_for(lambda each: each.registration == "Accepted")
    assert charger.status() == "Finishing"


async def test_a_power_cut_ends_the_transaction_with_power_loss(autojump_clock: MockClock, home: Home) -> None:
    """032_1: Boot, Finishing, StopTransaction PowerLoss with the time of the loss."""
    charger = await home.charger()
    charger.plug_in()
    await charger.present_id_tag()
    await home.central.heard("StartTransaction")
    await trio.sleep(100)
    cut = trio.current_time()
    charger.power_cycle()
    stop = await home.central.heard("StopTransaction")
    assert stop["reason"] == "PowerLoss"
    assert trio.current_time() - cut >= 10
    finishing = await home.central.heard("StatusNotification", connectorId=1, status="Finishing")
    assert stop["timestamp"] < finishing["timestamp"]


async def test_every_trigger_is_answered_and_sent(autojump_clock: MockClock, home: Home) -> None:
    """054 and 055: each requested message arrives; a connector that is not there is Rejected."""
    await home.charger()
    for message in (
        "Heartbeat",
        "StatusNotification",
        "MeterValues",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "BootNotification",
    ):
        before = len(home.central.having(message))
        assert await home.central.call("TriggerMessage", {"requestedMessage": message}) == {"status": "Accepted"}
        await home.central.heard(message, times=before + 1)
    assert home.central.having("FirmwareStatusNotification") == [{"status": "Idle"}]
    beyond = {"requestedMessage": "StatusNotification", "connectorId": 2}
    assert await home.central.call("TriggerMessage", beyond) == {"status": "Rejected"}


async def test_firmware_is_installed_over_a_reboot_when_no_car_charges(autojump_clock: MockClock, home: Home) -> None:
    """044_1: Downloading, Downloaded, Installing, Boot with the new version, Installed."""
    await home.charger()
    answer = await home.central.call(
        "UpdateFirmware",
        {"location": "https://files.example/wallbox-2.0.0.bin", "retrieveDate": NOW.isoformat()},
    )
    assert answer == {}
    await home.central.heard("FirmwareStatusNotification", status="Installed")
    statuses = [payload["status"] for payload in home.central.having("FirmwareStatusNotification")]
    assert statuses == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert home.central.having("BootNotification")[-1]["firmwareVersion"] == "wallbox-2.0.0"


async def test_what_cannot_be_fetched_or_uploaded_fails(autojump_clock: MockClock, home: Home) -> None:
    """044_2 and 045_2; a reachable place gets the diagnostics (045_1)."""
    await home.charger()
    await home.central.call("UpdateFirmware", {"location": "nowhere", "retrieveDate": NOW.isoformat()})
    await home.central.heard("FirmwareStatusNotification", status="DownloadFailed")
    assert "fileName" in await home.central.call("GetDiagnostics", {"location": "nowhere"})
    await home.central.heard("DiagnosticsStatusNotification", status="UploadFailed")
    await home.central.call("GetDiagnostics", {"location": "ftp://files.example/in"})
    await home.central.heard("DiagnosticsStatusNotification", status="Uploaded")


async def test_reservations_keep_the_connector_for_their_tag(autojump_clock: MockClock, home: Home) -> None:
    """046, 047, 051: Reserved, another tag is refused, the own one carries the reservationId; expiry frees it."""
    charger = await home.charger()
    reservation = {
        "connectorId": 1,
        "expiryDate": "2026-03-02T12:30:00Z",
        "idTag": "GUEST",
        "reservationId": 7,
    }
    assert await home.central.call("ReserveNow", reservation) == {"status": "Accepted"}
    await home.central.heard("StatusNotification", connectorId=1, status="Reserved")
    charger.plug_in()
    assert not await charger.present_id_tag("SOMEBODY")
    assert await charger.present_id_tag("GUEST")
    assert (await home.central.heard("StartTransaction"))["reservationId"] == 7
    assert await home.central.call("ReserveNow", reservation) == {"status": "Occupied"}
    charger.unplug()
    assert await home.central.call("ReserveNow", reservation) == {"status": "Accepted"}
    assert await home.central.call("CancelReservation", {"reservationId": 7}) == {"status": "Accepted"}
    assert await home.central.call("CancelReservation", {"reservationId": 7}) == {"status": "Rejected"}
    await home.central.call("ReserveNow", reservation)
    await home.central.heard("StatusNotification", times=3, connectorId=1, status="Reserved")
    before = len(home.central.having("StatusNotification", connectorId=1, status="Available"))
    await home.central.heard("StatusNotification", times=before + 1, connectorId=1, status="Available")
    assert charger.status() == "Available"


async def test_availability_waits_for_the_transaction_and_survives_a_boot(
    autojump_clock: MockClock, home: Home
) -> None:
    """B9.7 and B7.6: Scheduled while charging, Unavailable afterwards, also after a power cut."""
    charger = await home.charger()
    charger.plug_in()
    await charger.present_id_tag()
    off = {"connectorId": 1, "type": "Inoperative"}
    assert await home.central.call("ChangeAvailability", off) == {"status": "Scheduled"}
    charger.unplug()
    await home.central.heard("StatusNotification", connectorId=1, status="Unavailable")
    charger.power_cycle()
    await home.central.heard("BootNotification", times=2)
    await home.central.heard("StatusNotification", times=2, connectorId=1, status="Unavailable")
    assert await home.central.call("RemoteStartTransaction", {"idTag": "APP"}) == {"status": "Rejected"}
    on = {"connectorId": 0, "type": "Operative"}
    assert await home.central.call("ChangeAvailability", on) == {"status": "Accepted"}
    await home.central.heard("StatusNotification", times=2, connectorId=1, status="Available")


async def test_the_local_list_decides_when_there_is_no_link(autojump_clock: MockClock, home: Home) -> None:
    """043_4, 042_2 and offline authorization by the list."""
    charger = await home.charger()
    assert await home.central.call("GetLocalListVersion") == {"listVersion": 0}
    full = {
        "listVersion": 3,
        "updateType": "Full",
        "localAuthorizationList": [
            {"idTag": "GOOD", "idTagInfo": {"status": "Accepted"}},
            {"idTag": "BAD", "idTagInfo": {"status": "Blocked"}},
        ],
    }
    assert await home.central.call("SendLocalList", full) == {"status": "Accepted"}
    assert await home.central.call("GetLocalListVersion") == {"listVersion": 3}
    stale = {"listVersion": 3, "updateType": "Differential", "localAuthorizationList": [{"idTag": "GOOD"}]}
    assert await home.central.call("SendLocalList", stale) == {"status": "VersionMismatch"}
    charger.go_offline(600)
    await charger.wait_for(lambda each: not each.connected)
    charger.plug_in()
    assert not await charger.present_id_tag("BAD")
    assert await charger.present_id_tag("good")


async def test_the_rest_of_the_operations(autojump_clock: MockClock, home: Home) -> None:
    """ClearCache, DataTransfer, UnlockConnector, and what is not known."""
    charger = await home.charger()
    assert await home.central.call("ClearCache") == {"status": "Accepted"}
    assert await home.central.call("DataTransfer", {"vendorId": "x"}) == {"status": "UnknownVendorId"}
    assert await home.central.call("UnlockConnector", {"connectorId": 5}) == {"status": "NotSupported"}
    charger.plug_in()
    await charger.present_id_tag()
    assert await home.central.call("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
    assert (await home.central.heard("StopTransaction"))["reason"] == "UnlockCommand"
    assert (await home.central.raw_call("ClearVariables", {}))[2] == "NotImplemented"
    assert (await home.central.raw_call("Reset", []))[2] == "FormationViolation"
    assert (await home.central.raw_call("Reset", {}))[2] == "ProtocolError"
    assert (await home.central.raw_call("Reset", {"type": 5}))[2] == "TypeConstraintViolation"
    assert (await home.central.raw_call("ClearCache", None))[0] == 3


async def test_a_fault_ends_the_transaction_and_clears(autojump_clock: MockClock, home: Home) -> None:
    """Faulted with its error code; afterwards the cable is still in."""
    charger = await home.charger()
    charger.plug_in()
    await charger.present_id_tag()
    charger.fault(1, "GroundFailure")
    faulted = await home.central.heard("StatusNotification", connectorId=1, status="Faulted")
    assert faulted["errorCode"] == "GroundFailure"
    assert (await home.central.heard("StopTransaction"))["reason"] == "Other"
    charger.clear_fault(1)
    await home.central.heard("StatusNotification", connectorId=1, status="Finishing")


async def test_garbage_from_the_central_system_harms_nothing(autojump_clock: MockClock, home: Home) -> None:
    """J §4.1.3: unknown types are ignored; so is what is no message at all, and answers to no call."""
    await home.charger()
    assert home.central.connection is not None
    for text in ("", "{", "[]", "[1,2]", '[5,"a",{}]', '["2","a","Reset",{}]', '[3,"zz",{}]', "null", '[4,"1"]'):
        await home.central.connection.send_message(text)
    await home.central.connection.send_message(b"\x00\x01")
    assert await home.central.call("ClearCache") == {"status": "Accepted"}


async def test_one_call_at_a_time(autojump_clock: MockClock, home: Home) -> None:
    """J §4.1.1: with an answer outstanding nothing else is sent, and the other side's CALLs are answered."""
    charger = await home.charger()
    home.central.replies["Authorize"] = lambda _: None
    before = len(home.central.requests)
    charger.plug_in()
    home.nursery.start_soon(charger.present_id_tag)
    await home.central.heard("Authorize")
    charger.fault(1)
    charger.clear_fault(1)
    await trio.sleep(20)
    assert home.central.actions()[before:][-1] == "Authorize"
    assert await home.central.call("ClearCache") == {"status": "Accepted"}
    await home.central.heard("StatusNotification", connectorId=1, status="Faulted")
