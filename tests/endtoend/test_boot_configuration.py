"""Requests that the gateway sends unasked: the platform's configuration, and statuses after a reconnect."""

import time
from typing import Any

import pytest

from gateway.api.v1.charge_point_pb2 import ChargePoint
from tests.endtoend.asking import in_thread
from tests.endtoend.charger import Charger, chargers
from tests.endtoend.gateway_process import Gateway, eventually

WISHED = "Energy.Active.Import.Register,Power.Active.Import"
FALLBACK = "Energy.Active.Import.Register,Current.Import,Voltage"
SAMPLED, INTERVAL = "MeterValuesSampledData", "MeterValueSampleInterval"


@pytest.fixture
def gateway(gateway: Gateway) -> Gateway:
    gateway.add_charge_point("CP1")
    return gateway


def refuses_power(payload: dict[str, Any]) -> dict[str, str]:
    """A charger that measures no power refuses the whole list."""
    return {"status": "Rejected" if payload["value"] == WISHED else "Accepted"}


def outcomes(point: ChargePoint) -> list[tuple[str, str, str]]:
    return [(each.key, each.value, each.status) for each in point.boot_configuration]


async def configured(gateway: Gateway) -> ChargePoint:
    """Wait until both keys have an outcome."""
    read = lambda: gateway.charge_point("CP1")  # noqa: E731
    done = lambda point: [status != "Asked" for _, _, status in outcomes(point)] == [True, True]  # noqa: E731
    return await in_thread(eventually, "outcomes", read, done)


def asked(charger: Charger) -> list[tuple[str, str]]:
    return [(each["key"], each["value"]) for action, each in charger.asked if action == "ChangeConfiguration"]


async def test_a_charger_that_refuses_the_measurands_gets_the_fallback_once(gateway: Gateway) -> None:
    """The outcome is shown and recorded, and the next boot asks nothing again; other firmware is asked anew."""
    answers = {"ChangeConfiguration": refuses_power}
    async with chargers(gateway, "CP1", answers=answers) as (charger,):
        point = await configured(gateway)
        assert asked(charger) == [(SAMPLED, WISHED), (SAMPLED, FALLBACK), (INTERVAL, "60")]
    assert set(outcomes(point)) == {(SAMPLED, FALLBACK, "Accepted"), (INTERVAL, "60", "Accepted")}
    recorded = [e.boot_configuration_applied for e in gateway.history("CP1") if e.type == "configuration.applied"]
    assert [(each.value, each.status) for each in recorded] == [
        (WISHED, "Asked"),
        (WISHED, "Rejected"),
        (FALLBACK, "Asked"),
        (FALLBACK, "Accepted"),
        ("60", "Asked"),
        ("60", "Accepted"),
    ]
    async with chargers(gateway, "CP1", answers=answers) as (charger,):
        await charger.status("Available")
        await charger.boot()
        await in_thread(settle)
        await charger.status("Preparing")
        assert asked(charger) == []
    async with chargers(gateway, "CP1", answers=answers, boot=False) as (charger,):
        await charger.boot(firmwareVersion="2.0")
        for _ in range(3):
            await charger.is_asked("ChangeConfiguration")


async def test_a_charger_that_knows_no_such_key_is_asked_for_the_next_one(gateway: Gateway) -> None:
    """A CALLERROR is an outcome; one key's does not keep the others from being asked."""
    answers = {"ChangeConfiguration": lambda payload: None if payload["key"] == SAMPLED else {"status": "NotSupported"}}
    async with chargers(gateway, "CP1", answers=answers):
        point = await configured(gateway)
    assert set(outcomes(point)) == {
        (SAMPLED, WISHED, "Error:NotImplemented"),
        (INTERVAL, "60", "NotSupported"),
    }


async def test_nothing_is_asked_before_the_boot_is_answered(gateway: Gateway) -> None:
    """Commands before Boot.conf send some wallboxes into a boot loop (A5.7, quirk 7)."""
    async with chargers(gateway, "CP1", boot=False) as (charger,):
        await in_thread(settle)
        assert charger.asked == []
        await charger.boot()
        assert charger.asked == []
        await charger.is_asked("ChangeConfiguration")


async def test_a_reconnect_without_a_boot_is_asked_for_statuses(gateway: Gateway) -> None:
    """Accepted before, it is served at once, and asked once it has said something (J §5.4)."""
    async with chargers(gateway, "CP1"):
        await configured(gateway)
    async with chargers(gateway, "CP1", boot=False) as (charger,):
        assert await charger.call("Heartbeat", {})
        assert await charger.is_asked("TriggerMessage") == {"requestedMessage": "StatusNotification"}
        await charger.status("Charging")
        assert asked(charger) == []
    async with chargers(gateway, "CP1", boot=False) as (charger,):
        # A charger that says nothing at all: the gateway speaks after its patience.
        assert await charger.is_asked("TriggerMessage") == {"requestedMessage": "StatusNotification", "connectorId": 1}


def settle() -> None:
    """Longer than the settle delay of these gateways."""

    time.sleep(0.4)
