"""Configuration that the gateway sends or asks unasked: once, in order, with fallbacks, and its outcomes recorded."""

from pathlib import Path

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.records import AppliedConfiguration
from gateway.domain.state import ChargePointState
from gateway.domain.values import Registration
from gateway.session.commands.provisioning import (
    MAX_ATTEMPTS,
    MAX_COUNTED,
    DesiredKey,
    Triggers,
    attempts_so_far,
)
from gateway.store.commits import UpdateChargePoint
from tests.support.harness import BOOT, Harness, boot, virtual_clock
from tests.support.wire import ScriptedCharger

BEST = "Energy.Active.Import.Register,Power.Active.Import"
SECOND = "Energy.Active.Import.Register,Current.Import,Voltage"
DESIRED = (DesiredKey("MeterValuesSampledData", (BEST, SECOND)), DesiredKey("MeterValueSampleInterval", ("60",)))


@pytest.fixture
def wanting(harness: Harness, tmp_path: Path) -> Harness:
    """A harness with the platform's configuration, and an accepted charge point."""
    harness.boot_configuration = DESIRED
    return harness


async def configure(charger: ScriptedCharger, *answers: str) -> list[tuple[str, str]]:
    """Answer as many ChangeConfigurations; what was asked."""
    asked = []
    for answer in answers:
        message_id, _, payload = await charger.next_call("ChangeConfiguration")
        asked.append((payload["key"], payload["value"]))
        await charger.answer(message_id, {"status": answer})
    return asked


async def look(charger: ScriptedCharger, key: str, value: str | None) -> None:
    """Answer a GetConfiguration of a key; None: it is unknown."""
    message_id, _, payload = await charger.next_call("GetConfiguration")
    assert payload == {"key": [key]}
    known = {"configurationKey": [{"key": key, "readonly": False, "value": value}]}
    await charger.answer(message_id, {"unknownKey": [key]} if value is None else known)


def outcomes(harness: Harness) -> list[tuple[str, str, str]]:
    return [
        (body.key, body.value, body.status)
        for body in harness.bodies(e.BootConfigurationApplied.TYPE)
        if isinstance(body, e.BootConfigurationApplied) and body.status != "Asked"
    ]


async def test_an_accepted_charger_is_configured_once(wanting: Harness, autojump_clock: MockClock) -> None:
    """B1.8: the outcome is recorded, and neither another boot nor another connection asks again."""
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        asked = await configure(charger, "Accepted", "RebootRequired")
        assert asked == [("MeterValuesSampledData", BEST), ("MeterValueSampleInterval", "60")]
        await boot(charger)
        await charger.hears_nothing(200)
    assert outcomes(wanting) == [
        ("MeterValuesSampledData", BEST, "Accepted"),
        ("MeterValueSampleInterval", "60", "RebootRequired"),
    ]
    async with wanting.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(200)


@pytest.mark.parametrize("refusal", ["Rejected", "NotSupported"])
async def test_refused_measurands_are_followed_by_the_fallback(
    wanting: Harness, autojump_clock: MockClock, refusal: str
) -> None:
    """REQUIREMENTS: power, or else current and voltage; not asked again at the next boot."""
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        asked = await configure(charger, refusal, "Accepted", "Accepted")
        assert [value for _, value in asked] == [BEST, SECOND, "60"]
        await charger.hears_nothing(1)
    async with wanting.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(200)


async def test_other_firmware_is_asked_again(wanting: Harness, autojump_clock: MockClock) -> None:
    """Another firmware may take a key that one refused."""
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        await configure(charger, "Rejected", "Rejected", "Accepted")
        await charger.hears_nothing(1)
    async with wanting.connected() as charger:
        await charger.call("BootNotification", {**BOOT, "firmwareVersion": "2.0"})
        assert (await configure(charger, "Accepted"))[0] == ("MeterValuesSampledData", BEST)


async def test_a_charger_that_did_not_answer_is_asked_at_its_next_boot(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """No answer is no outcome: it is recorded as such, and asked again after a look."""
    wanting.boot_configuration = DESIRED[1:]
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        await charger.next_call("ChangeConfiguration")
        await charger.hears_nothing(wanting.limits.call_timeout + 1)
    assert outcomes(wanting) == [("MeterValueSampleInterval", "60", "Error:NoAnswer")]
    async with wanting.connected() as charger:
        await boot(charger)
        await look(charger, "MeterValueSampleInterval", "900")
        assert await configure(charger, "Accepted") == [("MeterValueSampleInterval", "60")]
        await charger.hears_nothing(1)
    assert outcomes(wanting)[1:] == [("MeterValueSampleInterval", "60", "Accepted")]


@pytest.mark.parametrize("lost", ["link", "answer", "error"])
async def test_a_value_that_is_there_already_is_not_set_again(
    wanting: Harness, autojump_clock: MockClock, lost: str
) -> None:
    """After an unknown outcome the charger is looked at first: some write each setting to flash, or boot for it. Keys
    compare without regard to case, and a later boot asks nothing more."""
    wanting.boot_configuration = DESIRED[1:]
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        message_id, *_ = await charger.next_call("ChangeConfiguration")
        if lost == "link":
            await charger.lose_link()
        elif lost == "answer":
            await charger.hears_nothing(wanting.limits.call_timeout + 1)
        else:
            await charger.send(4, message_id, "InternalError", "", {})
            await charger.hears_nothing(1)
    async with wanting.connected() as charger:
        await boot(charger)
        message_id, _, payload = await charger.next_call("GetConfiguration")
        assert payload == {"key": ["MeterValueSampleInterval"]}
        held = {"key": "METERVALUESAMPLEINTERVAL", "readonly": False, "value": "60"}
        await charger.answer(message_id, {"configurationKey": [held]})
        await charger.hears_nothing(100)
    assert outcomes(wanting)[-1] == ("MeterValueSampleInterval", "60", "Found")
    (shown,) = wanting.charge_point().boot_configuration
    assert (shown.status, shown.attempts) == ("Found", 2)
    async with wanting.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(100)


@pytest.mark.parametrize("answer", ["unknown", "error", "silence"])
async def test_a_look_that_shows_no_such_value_is_followed_by_the_setting_unless_nothing_is_answered(
    wanting: Harness, autojump_clock: MockClock, answer: str
) -> None:
    """The look and the setting are one attempt; a charger that does not answer is left alone until its next boot."""
    wanting.boot_configuration = DESIRED[1:]
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        await charger.next_call("ChangeConfiguration")
        await charger.lose_link()
    async with wanting.connected() as charger:
        await boot(charger)
        if answer == "unknown":
            await look(charger, "MeterValueSampleInterval", None)
        else:
            message_id, *_ = await charger.next_call("GetConfiguration")
            if answer == "error":
                await charger.send(4, message_id, "NotImplemented", "", {})
            else:
                await charger.hears_nothing(wanting.limits.call_timeout + 1)
        if answer != "silence":
            await configure(charger, "Accepted")
        await charger.hears_nothing(10)
    expected = "Error:NoAnswer" if answer == "silence" else "Accepted"
    assert outcomes(wanting) == [("MeterValueSampleInterval", "60", expected)]
    (shown,) = wanting.charge_point().boot_configuration
    assert shown.attempts == 2


async def test_a_charger_that_reconnects_without_a_boot_is_asked_for_its_status(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """J §5.4: it need not say it by itself; the configuration that is settled is not asked again."""
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        await configure(charger, "Accepted", "Accepted")
        await charger.hears_nothing(1)
    async with wanting.connected() as charger:
        await charger.call("Heartbeat", {})
        message_id, _, payload = await charger.next_call("TriggerMessage")
        assert payload == {"requestedMessage": "StatusNotification"}
        await charger.answer(message_id, {"status": "NotImplemented"})
        await charger.hears_nothing(200)


async def trigger(charger: ScriptedCharger, answer: str = "Accepted") -> dict[str, object]:
    """Answer a TriggerMessage; what was asked for."""
    message_id, _, payload = await charger.next_call("TriggerMessage")
    await charger.answer(message_id, {"status": answer})
    asked: dict[str, object] = payload
    return asked


def status(connector: int) -> dict[str, object]:
    return {"connectorId": connector, "errorCode": "NoError", "status": "Available"}


async def test_each_connector_is_asked_for_but_those_that_have_just_reported(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """A trigger without a connector brings many chargers to tell that of connector 0 alone."""
    wanting.boot_configuration = ()
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        for connector in range(4):
            await charger.call("StatusNotification", status(connector))
        await charger.hears_nothing(10)
    async with wanting.connected() as charger:
        await charger.call("StatusNotification", status(2))
        asked = [await trigger(charger) for _ in range(2)]
        assert [each["connectorId"] for each in asked] == [1, 3]
        await charger.hears_nothing(200)


async def test_a_charger_that_drops_the_link_on_a_request_is_asked_a_few_times_and_then_no_more(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """Each attempt counts before it is sent, is recorded and shown; other firmware begins anew."""
    wanting.boot_configuration = DESIRED[1:]
    wanting.add_charge_point()
    for attempt in range(1, MAX_ATTEMPTS + 3):
        async with wanting.connected() as charger:
            await boot(charger)
            if attempt <= MAX_ATTEMPTS:
                await charger.next_call("ChangeConfiguration" if attempt == 1 else "GetConfiguration")
                await charger.lose_link()
            else:
                await charger.hears_nothing(100)
    found = wanting.bodies_of(e.BootConfigurationApplied)
    assert [(each.status, each.attempts) for each in found] == [("Asked", n) for n in range(1, MAX_ATTEMPTS + 1)]
    (shown,) = wanting.charge_point().boot_configuration
    assert (shown.status, shown.attempts) == ("Asked", MAX_ATTEMPTS)
    async with wanting.connected() as charger:
        await charger.call("BootNotification", {**BOOT, "firmwareVersion": "2.0"})
        await configure(charger, "Accepted")


@pytest.mark.parametrize("failure", ["error", "silence", "link"])
async def test_whichever_way_a_key_fails_it_is_given_up(
    wanting: Harness, autojump_clock: MockClock, failure: str
) -> None:
    """A CALLERROR, no answer, a lost link."""
    wanting.boot_configuration = DESIRED[1:]
    wanting.add_charge_point()
    for attempt in range(MAX_ATTEMPTS):
        async with wanting.connected() as charger:
            await boot(charger)
            if attempt:
                await look(charger, "MeterValueSampleInterval", "900")
            message_id, *_ = await charger.next_call("ChangeConfiguration")
            if failure == "error":
                await charger.send(4, message_id, "InternalError", "", {})
                await charger.hears_nothing(1)
            elif failure == "silence":
                await charger.hears_nothing(wanting.limits.call_timeout + 1)
            else:
                await charger.lose_link()
    async with wanting.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(100)


async def test_a_charger_that_never_booted_here_is_asked_to_and_then_configured(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """It moves from another system; until then it is served like any other."""
    wanting.boot_configuration = DESIRED[1:]
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await charger.call("StatusNotification", status(1))
        assert await trigger(charger) == {"requestedMessage": "BootNotification"}
        await boot(charger)
        await configure(charger, "Accepted")


async def test_a_charger_that_drops_the_link_on_a_trigger_is_left_alone_after_a_few(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """The same kind of loop: one for all sessions counts them, and an answer sets the count back."""
    wanting.boot_configuration = ()
    wanting.add_charge_point()
    for _ in range(MAX_ATTEMPTS):
        async with wanting.connected() as charger:
            await charger.call("Heartbeat", {})
            await charger.next_call("TriggerMessage")
            await charger.lose_link()
    async with wanting.connected() as charger:
        await charger.call("Heartbeat", {})
        await charger.hears_nothing(200)


async def test_triggers_that_are_given_up_are_logged_once_for_all_connectors(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """A connection of a charger with two of them, neither of which is asked for."""
    wanting.boot_configuration = ()
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        for connector in (1, 2):
            await charger.call("StatusNotification", status(connector))
    for _ in range(MAX_ATTEMPTS):
        async with wanting.connected() as charger:
            await charger.call("Heartbeat", {})
            await charger.next_call("TriggerMessage")
            await charger.lose_link()
    with capture_logs() as logs:
        async with wanting.connected() as charger:
            await charger.call("Heartbeat", {})
            await charger.hears_nothing(200)
    assert [each["request"] for each in logs if each["event"] == "own request given up"] == ["StatusNotification"]


def test_failed_triggers_are_counted_of_so_many_charge_points_and_no_more() -> None:
    """Of one more the first is forgotten, and may be asked again."""
    triggers = Triggers()
    for number in range(MAX_COUNTED):
        for _ in range(MAX_ATTEMPTS):
            assert triggers.begin(f"CP{number}")
    assert not triggers.begin("CP1")
    assert not triggers.begin("CP0")
    assert triggers.begin("one more")
    assert triggers.begin("CP2")
    assert not triggers.begin("CP1")
    assert not triggers.begin("CP0")


@pytest.mark.parametrize("own", [False, None])
async def test_own_requests_can_be_turned_off_for_one_and_for_all(
    wanting: Harness, autojump_clock: MockClock, own: bool | None
) -> None:
    """A certification run needs that."""
    if own is None:
        wanting.asks_nothing()
    wanting.add_charge_point()
    await wanting.journal.commit(UpdateChargePoint("CP1", virtual_clock(), quirks={"own_requests": own}))
    async with wanting.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(100)
    async with wanting.connected() as charger:
        await charger.call("Heartbeat", {})
        await charger.hears_nothing(100)


async def test_own_requests_can_be_left_on_for_one_where_they_are_off_for_all(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """The decision for one counts."""
    wanting.asks_nothing()
    wanting.add_charge_point()
    await wanting.journal.commit(UpdateChargePoint("CP1", virtual_clock(), quirks={"own_requests": True}))
    async with wanting.connected() as charger:
        await boot(charger)
        await configure(charger, "Accepted", "Accepted")


async def test_a_charger_that_boots_after_reconnecting_is_not_asked_for_its_status(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """It says it by itself (SE 3.22)."""
    wanting.boot_configuration = ()
    wanting.add_charge_point()
    for _ in range(2):
        async with wanting.connected() as charger:
            await boot(charger)
            await charger.hears_nothing(200)


async def test_a_pending_charger_is_asked_to_boot_when_it_is_accepted(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """Only a Boot can tell it; then it is configured like any other."""
    wanting.boot_configuration = DESIRED[1:]
    wanting.add_charge_point(registration=Registration.PENDING)
    async with wanting.connected() as charger:
        assert (await charger.call("BootNotification", BOOT))["status"] == "Pending"
        await charger.hears_nothing(100)
        await wanting.journal.commit(UpdateChargePoint("CP1", virtual_clock(), registration=Registration.ACCEPTED))
        wanting.router.registration_changed("CP1", Registration.ACCEPTED)
        message_id, _, payload = await charger.next_call("TriggerMessage")
        assert payload == {"requestedMessage": "BootNotification"}
        await charger.answer(message_id, {"status": "Accepted"})
        await boot(charger)
        await configure(charger, "Accepted")


async def test_a_charger_that_is_no_longer_accepted_is_let_go(wanting: Harness, autojump_clock: MockClock) -> None:
    """It hears it from its next Boot."""
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        await configure(charger, "Accepted", "Accepted")
        await wanting.journal.commit(UpdateChargePoint("CP1", virtual_clock(), registration=Registration.REJECTED))
        wanting.router.registration_changed("CP1", Registration.REJECTED)
        assert await charger.sees_the_end() == (1001, "registration-changed")
    await trio.lowlevel.checkpoint()
    async with wanting.connected() as charger:
        assert (await charger.call("BootNotification", BOOT))["status"] == "Rejected"


@pytest.mark.parametrize(
    ("key", "first", "second"),
    [
        ("WifiPSK", "first-secret", "second-secret"),
        ("BackendUrl", "wss://cp:first-secret@host/", "wss://cp:second-secret@host/"),
    ],
)
async def test_another_secret_is_asked_again_and_the_same_is_not(
    wanting: Harness, autojump_clock: MockClock, key: str, first: str, second: str
) -> None:
    """B1.8: values that are shown alike are distinguished, without either of them in the record."""
    wanting.add_charge_point()
    for value, changed in ((first, True), (first, False), (second, True), (second, False)):
        wanting.boot_configuration = (DesiredKey(key, (value,)),)
        async with wanting.connected() as charger:
            await boot(charger)
            if changed:
                assert await configure(charger, "Accepted") == [(key, value)]
            await charger.hears_nothing(100)
    recorded = str(wanting.bodies_of(e.BootConfigurationApplied)) + str(wanting.store.charge_point("CP1"))
    assert "(redacted)" in recorded
    assert "-secret" not in recorded


async def test_a_refused_secret_is_followed_by_the_next_choice(wanting: Harness, autojump_clock: MockClock) -> None:
    """Though both are shown alike; both refused, neither is asked again."""
    wanting.boot_configuration = (DesiredKey("WifiPSK", ("first-secret", "second-secret")),)
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        asked = await configure(charger, "Rejected", "Rejected")
        assert [value for _, value in asked] == ["first-secret", "second-secret"]
        await charger.hears_nothing(1)
    async with wanting.connected() as charger:
        await boot(charger)
        await charger.hears_nothing(100)


async def test_a_secret_that_was_recorded_without_a_fingerprint_is_asked_once_more(
    wanting: Harness, autojump_clock: MockClock
) -> None:
    """An older version has kept nothing to tell it from another."""
    wanting.boot_configuration = (DesiredKey("WifiPSK", ("first-secret",)),)
    wanting.add_charge_point()
    async with wanting.connected() as charger:
        await boot(charger)
        await configure(charger, "Accepted")
        await charger.hears_nothing(1)
    (done,) = wanting.charge_point().boot_configuration

    def attempts(applied: AppliedConfiguration) -> int | None:
        applied = attrs.evolve(applied, firmware_version=None)
        state = ChargePointState("CP1", 1, Registration.ACCEPTED, boot_configuration={"WifiPSK": applied})
        requests = wanting.protocol.own_requests
        return attempts_so_far(state, wanting.boot_configuration[0], wanting.store.store_id, requests)

    assert attempts(done) is None
    assert attempts(attrs.evolve(done, fingerprint="")) == 0
