"""Commands are checked before they are sent: each rule of B9 and B10 that the gateway can know."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import charging as ch
from gateway.domain import commands as c
from gateway.domain import security_commands as s
from gateway.domain.records import ReservationRecord, TransactionRecord, TransactionState
from gateway.domain.state import ChargePointState
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Registration
from gateway.ocpp.v16.charge_point_checks import MAX_RESERVATIONS, check_against
from gateway.ocpp.v16.checks import check
from tests.domain.values import strategy_of
from tests.support.charger_certificates import DAY, SigningAuthority, key_pem, pem, request

NOW = datetime(2024, 5, 1, 10, 0, 0, tzinfo=UTC)
ONE, TWO = ConnectorAddress(1, 1), ConnectorAddress(2, 1)
PURPOSE, KIND = ch.ProfilePurpose, ch.ProfileKind
CA = SigningAuthority(NOW)
CHAIN, ROOT, KEY = CA.issue(request()), pem(CA.root), key_pem(CA.key)
UPSIDE_DOWN = CHAIN + pem(CA.root) + pem(CA.issuer)
EXPIRED, EARLY = CA.issue(request(), end=0 * DAY), CA.issue(request(), begin=DAY)
A, W = ch.ChargingRateUnit.AMPERE, ch.ChargingRateUnit.WATT


def state(**configuration):
    """An accepted charge point with transaction tx_1 open on connector 1."""
    transaction = TransactionRecord("tx_1", 7, "CP", ONE, "TAG", "Accepted", TransactionState.OPEN, 0, NOW, NOW, 1)
    return ChargePointState(
        "CP",
        1,
        Registration.ACCEPTED,
        ever_accepted=True,
        open_transactions={"tx_1": transaction},
        configuration=configuration,
    )


def schedule(*periods, unit=A, **more):
    made = tuple(ch.SchedulePeriod(start, Decimal(limit)) for start, limit in periods or [(0, "16")])
    return ch.ChargingSchedule(unit, made, **more)


def profile(purpose=PURPOSE.TX_DEFAULT, kind=KIND.ABSOLUTE, with_schedule=None, **more):
    return ch.ChargingProfile(1, 0, purpose, kind, with_schedule or schedule(), **more)


def limit(made, connector=ONE):
    return c.SetChargingProfile(connector, made)


def fields(violations):
    return [violation.field for violation in violations]


GOOD = {
    "cancel": c.CancelReservation(-5),
    "availability of all": c.ChangeAvailability(WHOLE_CHARGE_POINT, c.AvailabilityType.INOPERATIVE),
    "a value of -1": c.ChangeConfiguration("MeterValueSampleInterval", "-1"),
    "an empty value": c.ChangeConfiguration("MeterValuesAlignedData", ""),
    "a key of 16 bytes": c.ChangeConfiguration("AuthorizationKey", "0" * 32),
    "a key of 20 bytes": c.ChangeConfiguration("authorizationkey", "aF" * 20),
    "no pings": c.ChangeConfiguration("WebSocketPingInterval", "0"),
    "clear the cache": c.ClearCache(),
    "clear all profiles": c.ClearChargingProfile(),
    "clear by id": c.ClearChargingProfile(3),
    "clear by criteria": c.ClearChargingProfile(None, WHOLE_CHARGE_POINT, PURPOSE.TX, 0),
    "data": c.DataTransfer("V", "", "x" * 60_000),
    "a total schedule": c.GetCompositeSchedule(WHOLE_CHARGE_POINT, 1),
    "all keys": c.GetConfiguration(),
    "diagnostics": c.GetDiagnostics("ftp://u:p@host/d", 0, 0, NOW, NOW),
    "list version": c.GetLocalListVersion(),
    "remote start": c.RemoteStartTransaction("TAG"),
    "remote start with a limit": c.RemoteStartTransaction("TAG", ONE, profile(PURPOSE.TX, KIND.RELATIVE)),
    "remote stop": c.RemoteStopTransaction("tx_1"),
    "reserve any": c.ReserveNow(WHOLE_CHARGE_POINT, NOW, "TAG", 0, "GROUP"),
    "reset": c.Reset(c.ResetType.HARD),
    "clear the list": c.SendLocalList(1, c.UpdateType.FULL),
    "delete a tag": c.SendLocalList(1, c.UpdateType.DIFFERENTIAL, (c.LocalListEntry("A"),)),
    "the whole point's maximum": limit(profile(PURPOSE.CHARGE_POINT_MAX), WHOLE_CHARGE_POINT),
    "a default for all": limit(profile(), WHOLE_CHARGE_POINT),
    "a default for one": limit(profile(), ONE),
    "a transaction's": limit(profile(PURPOSE.TX, KIND.RELATIVE, transaction_id="tx_1")),
    "recurring": limit(profile(kind=KIND.RECURRING, recurrency_kind=ch.RecurrencyKind.DAILY)),
    "three periods": limit(profile(with_schedule=schedule((0, "6.0"), (1, "0"), (9, "32.5")))),
    "trigger": c.TriggerMessage(c.TriggeredMessage.STATUS_NOTIFICATION, ONE),
    "unlock": c.UnlockConnector(ConnectorAddress(99, 1)),
    "update": c.UpdateFirmware("https://host/f.bin", NOW),
    "certificate signed": s.CertificateSigned(CHAIN),
    "delete certificate": s.DeleteCertificate(s.CertificateHash(s.HashAlgorithm.SHA512, "aF" * 64, "0", "x" * 40)),
    "trigger a signing request": s.ExtendedTriggerMessage(s.ExtendedTrigger.SIGN_CERTIFICATE),
    "trigger values of one": s.ExtendedTriggerMessage(s.ExtendedTrigger.METER_VALUES, ONE),
    "installed certificates": s.GetInstalledCertificateIds(s.CertificateUse.MANUFACTURER_ROOT),
    "log": s.GetLog(s.LogType.SECURITY, 0, "ftp://host/" + "x" * 501, 0, 0, NOW, NOW),
    "install certificate": s.InstallCertificate(s.CertificateUse.CENTRAL_SYSTEM_ROOT, ROOT),
    "signed update": s.SignedUpdateFirmware(2**31 - 1, "https://host/f", NOW, ROOT, "c2ln", NOW),
}


@pytest.mark.parametrize("command", GOOD.values(), ids=GOOD)
def test_a_good_command_passes(command):
    """Alone, and against a charge point that has reported nothing about itself."""
    assert check(command) == ()
    if not isinstance(command, c.ReserveNow):
        assert check_against(command, state(), NOW) == ()


BAD = {
    "profile maximum on a connector": (limit(profile(PURPOSE.CHARGE_POINT_MAX), ONE), "connector"),
    "transaction's on the whole point": (
        limit(profile(PURPOSE.TX, transaction_id="tx_1"), WHOLE_CHARGE_POINT),
        "connector",
    ),
    "transaction's without its id": (limit(profile(PURPOSE.TX)), "charging_profile.transaction_id"),
    "default with a transaction": (limit(profile(transaction_id="tx_1")), "charging_profile.transaction_id"),
    "first period not at 0": (
        limit(profile(with_schedule=schedule((5, "6")))),
        "charging_profile.schedule.periods[0].start_period",
    ),
    "periods not rising": (
        limit(profile(with_schedule=schedule((0, "6"), (9, "6"), (9, "6")))),
        "charging_profile.schedule.periods[2].start_period",
    ),
    "no period": (limit(profile(with_schedule=ch.ChargingSchedule(A, ()))), "charging_profile.schedule.periods"),
    "two decimals": (
        limit(profile(with_schedule=schedule((0, "6.25")))),
        "charging_profile.schedule.periods[0].limit",
    ),
    "below zero": (limit(profile(with_schedule=schedule((0, "-1")))), "charging_profile.schedule.periods[0].limit"),
    "not a number": (limit(profile(with_schedule=schedule((0, "NaN")))), "charging_profile.schedule.periods[0].limit"),
    "four phases": (
        limit(profile(with_schedule=ch.ChargingSchedule(A, (ch.SchedulePeriod(0, Decimal(1), 4),)))),
        "charging_profile.schedule.periods[0].number_phases",
    ),
    "no time": (limit(profile(with_schedule=schedule(duration=0))), "charging_profile.schedule.duration"),
    "minimum of two decimals": (
        limit(profile(with_schedule=schedule(min_charging_rate=Decimal("0.05")))),
        "charging_profile.schedule.min_charging_rate",
    ),
    "recurrency of an absolute one": (
        limit(profile(recurrency_kind=ch.RecurrencyKind.DAILY)),
        "charging_profile.recurrency_kind",
    ),
    "recurring without recurrency": (limit(profile(kind=KIND.RECURRING)), "charging_profile.recurrency_kind"),
    "relative with a start": (
        limit(profile(kind=KIND.RELATIVE, with_schedule=schedule(start_schedule=NOW))),
        "charging_profile.schedule.start_schedule_time",
    ),
    "valid to before from": (limit(profile(valid_from=NOW, valid_to=NOW)), "charging_profile.valid_to_time"),
    "negative stack level": (
        limit(ch.ChargingProfile(1, -1, PURPOSE.TX_DEFAULT, KIND.ABSOLUTE, schedule())),
        "charging_profile.stack_level",
    ),
    "remote start on the whole point": (c.RemoteStartTransaction("TAG", WHOLE_CHARGE_POINT), "connector"),
    "remote start without a tag": (c.RemoteStartTransaction(""), "id_tag"),
    "remote start with 21 characters": (c.RemoteStartTransaction("x" * 21), "id_tag"),
    "remote start with a default": (
        c.RemoteStartTransaction("TAG", ONE, profile()),
        "charging_profile.purpose",
    ),
    "remote start with a transaction": (
        c.RemoteStartTransaction("TAG", ONE, profile(PURPOSE.TX, transaction_id="tx_1")),
        "charging_profile.transaction_id",
    ),
    "second connector of an evse": (c.UnlockConnector(ConnectorAddress(1, 2)), "connector.connector"),
    "negative connector": (c.UnlockConnector(ConnectorAddress(-1, 1)), "connector.evse"),
    "unlock the whole point": (c.UnlockConnector(WHOLE_CHARGE_POINT), "connector"),
    "short key": (c.ChangeConfiguration("AuthorizationKey", "0" * 30), "value"),
    "long key": (c.ChangeConfiguration("AuthorizationKey", "0" * 42), "value"),
    "half a byte": (c.ChangeConfiguration("AuthorizationKey", "0" * 33), "value"),
    "no hex": (c.ChangeConfiguration("AuthorizationKey", "secret-secret-secret-secret-1234"), "value"),
    "negative pings": (c.ChangeConfiguration("WebSocketPingInterval", "-1"), "value"),
    "nameless key": (c.ChangeConfiguration(" ", "1"), "key"),
    "long name": (c.ChangeConfiguration("k" * 51, "1"), "key"),
    "long value": (c.ChangeConfiguration("k", "v" * 501), "value"),
    "long key asked for": (c.GetConfiguration(("A", "k" * 51)), "keys[1]"),
    "too many keys": (c.GetConfiguration(("A",) * 501), "keys"),
    "id and criteria": (c.ClearChargingProfile(1, stack_level=0), "charging_profile_id"),
    "nameless vendor": (c.DataTransfer(""), "vendor_id"),
    "too much data": (c.DataTransfer("V", None, "x" * 70_000), "data"),
    "no duration": (c.GetCompositeSchedule(ONE, 0), "duration"),
    "no location": (c.GetDiagnostics(""), "location"),
    "no uri": (c.GetDiagnostics("over there"), "location"),
    "broken uri": (c.GetDiagnostics("ftp://[::1"), "location"),
    "negative retries": (c.GetDiagnostics("ftp://h/", -1), "retries"),
    "negative interval": (c.UpdateFirmware("ftp://h/", NOW, 1, -1), "retry_interval"),
    "stop before start": (
        c.GetDiagnostics("ftp://h/", start_time=NOW, stop_time=NOW - timedelta(seconds=1)),
        "stop_time",
    ),
    "no chain": (s.CertificateSigned("pem"), "certificate_chain"),
    "a chain too long": (s.CertificateSigned(CHAIN + "\n" * 10_000), "certificate_chain"),
    "a chain upside down": (s.CertificateSigned(UPSIDE_DOWN), "certificate_chain"),
    "a chain of an authority": (s.CertificateSigned(ROOT), "certificate_chain"),
    "a chain with a key": (s.CertificateSigned(CHAIN + KEY), "certificate_chain"),
    "hash of no digits": (
        s.DeleteCertificate(s.CertificateHash(s.HashAlgorithm.SHA256, "xyz", "0", "1")),
        "certificate.issuer_name_hash",
    ),
    "hash too long": (
        s.DeleteCertificate(s.CertificateHash(s.HashAlgorithm.SHA256, "0", "0" * 129, "1")),
        "certificate.issuer_key_hash",
    ),
    "serial too long": (
        s.DeleteCertificate(s.CertificateHash(s.HashAlgorithm.SHA256, "0", "0", "1" * 41)),
        "certificate.serial_number",
    ),
    "a certificate of a connector": (
        s.ExtendedTriggerMessage(s.ExtendedTrigger.SIGN_CERTIFICATE, ONE),
        "connector",
    ),
    "insisting on a log": (s.ExtendedTriggerMessage(s.ExtendedTrigger.LOG_STATUS, None, True), "insist"),
    "a log too far away": (s.GetLog(s.LogType.SECURITY, 0, "ftp://host/" + "x" * 502), "location"),
    "a negative request": (s.GetLog(s.LogType.SECURITY, -1, "ftp://host/"), "ocpp_request_id"),
    "a log that ends before it begins": (
        s.GetLog(s.LogType.SECURITY, 0, "ftp://h/", oldest_time=NOW, latest_time=NOW - timedelta(seconds=1)),
        "latest_time",
    ),
    "two certificates": (s.InstallCertificate(s.CertificateUse.MANUFACTURER_ROOT, ROOT + ROOT), "certificate"),
    "a certificate's key": (s.InstallCertificate(s.CertificateUse.MANUFACTURER_ROOT, KEY), "certificate"),
    "no signature": (s.SignedUpdateFirmware(1, "https://h/f", NOW, ROOT, ""), "signature"),
    "a signature too long": (s.SignedUpdateFirmware(1, "https://h/f", NOW, ROOT, "A" * 804), "signature"),
    "a signature in hexadecimal": (s.SignedUpdateFirmware(1, "https://h/f", NOW, ROOT, "a:b"), "signature"),
    "no signing certificate": (s.SignedUpdateFirmware(1, "https://h/f", NOW, "x", "c2ln"), "signing_certificate"),
    "installed before it is there": (
        s.SignedUpdateFirmware(1, "https://h/f", NOW, ROOT, "c2ln", NOW - timedelta(seconds=1)),
        "install_time",
    ),
    "list version 0": (c.SendLocalList(0, c.UpdateType.FULL), "list_version"),
    "a tag twice": (
        c.SendLocalList(1, c.UpdateType.DIFFERENTIAL, (c.LocalListEntry("A"), c.LocalListEntry("a"))),
        "entries[1].id_tag",
    ),
    "full without status": (c.SendLocalList(1, c.UpdateType.FULL, (c.LocalListEntry("A"),)), "entries[0].status"),
    "deleted with a parent": (
        c.SendLocalList(1, c.UpdateType.DIFFERENTIAL, (c.LocalListEntry("A", parent_id_tag="P"),)),
        "entries[0].status",
    ),
    "odd status": (c.SendLocalList(1, c.UpdateType.FULL, (c.LocalListEntry("A", "Fine"),)), "entries[0].status"),
    "trigger a heartbeat of a connector": (c.TriggerMessage(c.TriggeredMessage.HEARTBEAT, ONE), "connector"),
    "trigger of the whole point": (
        c.TriggerMessage(c.TriggeredMessage.METER_VALUES, WHOLE_CHARGE_POINT),
        "connector",
    ),
    "reservation beyond 32 bits": (c.CancelReservation(2**31), "reservation_id"),
}


@pytest.mark.parametrize(("command", "field"), BAD.values(), ids=BAD)
def test_a_bad_command_names_its_field(command, field):
    """B9, B10: by itself, as the API spells it, without its value."""
    violations = check(command)
    assert fields(violations) == [field]
    assert "secret" not in violations[0].description
    assert "-----BEGIN" not in violations[0].description


def test_everything_wrong_is_said_at_once():
    """One round trip for the caller."""
    command = c.ReserveNow(ConnectorAddress(1, 3), NOW, "", 2**31, "x" * 21)
    assert fields(check(command)) == ["connector.connector", "id_tag", "parent_id_tag", "reservation_id"]


AGAINST = {
    "a transaction that is over": (
        limit(profile(PURPOSE.TX, transaction_id="tx_9")),
        {},
        "charging_profile.transaction_id",
    ),
    "a transaction elsewhere": (limit(profile(PURPOSE.TX, transaction_id="tx_1"), TWO), {}, "connector"),
    "a stop of what is over": (c.RemoteStopTransaction("tx_9"), {}, "transaction_id"),
    "a stack too high": (
        limit(ch.ChargingProfile(1, 3, PURPOSE.TX_DEFAULT, KIND.ABSOLUTE, schedule())),
        {"ChargeProfileMaxStackLevel": "2"},
        "charging_profile.stack_level",
    ),
    "too many periods": (
        limit(profile(with_schedule=schedule((0, "6"), (1, "7")))),
        {"ChargingScheduleMaxPeriods": " 1 "},
        "charging_profile.schedule.periods",
    ),
    "a unit it does not take": (
        limit(profile(with_schedule=schedule(unit=W))),
        {"ChargingScheduleAllowedChargingRateUnit": "Current"},
        "charging_profile.schedule.rate_unit",
    ),
    "a unit it does not take, at a start": (
        c.RemoteStartTransaction("TAG", ONE, profile(PURPOSE.TX)),
        {"ChargingScheduleAllowedChargingRateUnit": "W"},
        "charging_profile.schedule.rate_unit",
    ),
    "more keys than it tells at once": (c.GetConfiguration(("A", "B")), {"GetConfigurationMaxKeys": "1"}, "keys"),
    "a longer list than it takes": (
        c.SendLocalList(1, c.UpdateType.DIFFERENTIAL, (c.LocalListEntry("A"), c.LocalListEntry("B"))),
        {"SendLocalListMaxLength": "1"},
        "entries",
    ),
    "a longer list than it holds": (
        c.SendLocalList(1, c.UpdateType.FULL, (c.LocalListEntry("A", "Accepted"), c.LocalListEntry("B", "Accepted"))),
        {"LocalAuthListMaxLength": "1"},
        "entries",
    ),
    "a reservation of any connector": (
        c.ReserveNow(WHOLE_CHARGE_POINT, NOW + timedelta(hours=1), "TAG", 1),
        {"ReserveConnectorZeroSupported": "false"},
        "connector",
    ),
    "a reservation of the past": (c.ReserveNow(ONE, NOW, "TAG", 1), {}, "expire_time"),
    "a chain that has expired": (s.CertificateSigned(EXPIRED), {}, "certificate_chain"),
    "a chain of tomorrow": (s.CertificateSigned(EARLY), {}, "certificate_chain"),
    "a longer chain than it takes": (
        s.CertificateSigned(CHAIN),
        {"CertificateSignedMaxChainSize": "500"},
        "certificate_chain",
    ),
    "a longer chain, by the key's other name": (
        s.CertificateSigned(CHAIN),
        {"CertificateSignedMaxSize": "500"},
        "certificate_chain",
    ),
    "a root of yesterday": (
        s.InstallCertificate(s.CertificateUse.MANUFACTURER_ROOT, pem(SigningAuthority(NOW - 4000 * DAY).root)),
        {},
        "certificate",
    ),
    "firmware signed in the past": (
        s.SignedUpdateFirmware(1, "https://h/f", NOW, pem(SigningAuthority(NOW - 4000 * DAY).root), "c2ln"),
        {},
        "signing_certificate",
    ),
    "a lower security profile": (c.ChangeConfiguration("SecurityProfile", "1"), {"SecurityProfile": "2"}, "value"),
}


@pytest.mark.parametrize(("command", "configuration", "field"), AGAINST.values(), ids=AGAINST)
def test_what_this_charge_point_can_not_take_names_its_field(command, configuration, field):
    """As far as it has reported about itself."""
    assert check(command) == ()
    assert fields(check_against(command, state(**configuration), NOW)) == [field]


@pytest.mark.parametrize(
    "configuration",
    [{}, {"ChargingScheduleAllowedChargingRateUnit": "Current,Power"}, {"ChargingScheduleAllowedChargingRateUnit": "W"},
     {"ChargingScheduleAllowedChargingRateUnit": "gibberish"}, {"ChargingScheduleAllowedChargingRateUnit": None},
     {"ChargeProfileMaxStackLevel": "many"}, {"ChargingScheduleMaxPeriods": ""}],
)  # fmt: skip
def test_what_a_charger_sent_unreadably_was_not_reported(configuration):
    """It is left to refuse for itself (quirk 31)."""
    assert check_against(limit(profile(with_schedule=schedule(unit=W))), state(**configuration), NOW) == ()


def test_a_charge_point_holds_so_many_reservations():
    """One more is refused; one that replaces is not."""
    full, later = state(), NOW + timedelta(hours=1)
    for number in range(MAX_RESERVATIONS):
        full.reservations[number] = ReservationRecord(number, ConnectorAddress(number + 1, 1), "TAG", later, NOW)
    assert fields(check_against(c.ReserveNow(ONE, later, "TAG", MAX_RESERVATIONS), full, NOW)) == ["reservation_id"]
    assert check_against(c.ReserveNow(ONE, later, "TAG", 0), full, NOW) == ()


BOOT = c.TriggerMessage(c.TriggeredMessage.BOOT_NOTIFICATION)


def test_a_charger_that_was_accepted_on_this_connection_is_not_asked_to_boot():
    """B1.7, SE 3.40."""
    accepted = state()
    accepted.boot_answer = Registration.ACCEPTED
    assert fields(check_against(BOOT, accepted, NOW)) == ["requested_message"]


@pytest.mark.parametrize("answer", [None, Registration.PENDING, Registration.REJECTED])
def test_a_charger_that_was_not_may_be_asked_to_boot(answer):
    """Reconnected without a Boot, or accepted by the operator since (B1.3, B1.10)."""
    other = state()
    other.boot_answer = answer
    assert check_against(BOOT, other, NOW) == ()


@pytest.mark.parametrize("operation", sorted(c.COMMANDS))
@given(data=st.data())
def test_any_command_is_checked_without_an_error(operation, data):
    """Whatever a caller puts in."""
    command = data.draw(strategy_of(c.COMMANDS[operation]))
    check(command)
    check_against(command, state(ChargingScheduleMaxPeriods="1"), NOW)
