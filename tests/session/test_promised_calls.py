"""Each message that a charger may send, and each code that it may be answered with, held against hand-written lists."""

import json
from typing import Any

import pytest
from trio.testing import MockClock

from gateway.domain.commands import COMMANDS
from gateway.domain.events import BODIES
from gateway.domain.values import Registration
from gateway.ocpp.v16 import schemas
from gateway.ocpp.v16.profiles.routing import protocol
from gateway.ocpp.v16.repairs import NEVER_REFUSED
from tests.support import promised
from tests.support.harness import BOOT, Harness, boot


@pytest.mark.parametrize("action", promised.CALLS_OF_CHARGERS)
async def test_every_call_of_a_charger_is_confirmed(harness: Harness, autojump_clock: MockClock, action: str) -> None:
    """By a CALLRESULT that fits its schema, with nothing before it but a boot."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as charger:
        await boot(charger)
        confirmation = await charger.call(action, promised.CALLS_OF_CHARGERS[action])
    assert schemas.REPLIES[action].is_valid(confirmation)


REFUSED: dict[str, tuple[str, str]] = {
    "an action of nobody's": ('[2,"m","NoSuchAction",{}]', "NotImplemented"),
    "an action in another case": ('[2,"m","heartbeat",{}]', "NotImplemented"),
    "an action of the gateway's own": ('[2,"m","Reset",{"type":"Soft"}]', "NotSupported"),
    "a payload that is a list": ('[2,"m","Heartbeat",[1]]', "FormationViolation"),
    "a field that is missing": ('[2,"m","Authorize",{}]', "ProtocolError"),
    "a field of another type": ('[2,"m","Authorize",{"idTag":{"a":1}}]', "TypeConstraintViolation"),
    "a text that is too long": ('[2,"m","Authorize",{"idTag":"123456789012345678901"}]', "PropertyConstraintViolation"),
    "a word that is not allowed": (
        '[2,"m","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Melting"}]',
        "PropertyConstraintViolation",
    ),
    "a connector below none": (
        '[2,"m","StatusNotification",{"connectorId":-1,"errorCode":"NoError","status":"Available"}]',
        "PropertyConstraintViolation",
    ),
    "a CALL of three elements": ('[2,"m","Heartbeat"]', "FormationViolation"),
    "an action that is a number": ('[2,"m",5,{}]', "FormationViolation"),
    "what breaks off": ('[2,"m","Heartbeat",{', "GenericError"),
}
"""Frame → code, by J §4.2.3."""


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_call_is_answered_by_the_code_of_its_fault(
    harness: Harness, autojump_clock: MockClock, name: str
) -> None:
    """And by none that the specification doesn't have."""
    frame, code = REFUSED[name]
    assert code in promised.CALLERROR_CODES
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        await charger.send_raw(frame)
        kind, message_id, answered, description, details = await charger.next_answer()
        assert (kind, message_id, answered, details) == (4, "m", code, {})
        assert isinstance(description, str)


async def test_what_comes_before_the_boot_is_a_security_error(harness: Harness, autojump_clock: MockClock) -> None:
    """JE 3.8, of each call but the boot itself."""
    harness.add_charge_point(registration=Registration.PENDING)
    async with harness.connected() as charger:
        await charger.call("BootNotification", BOOT)
        for action, payload in promised.CALLS_OF_CHARGERS.items():
            if action != "BootNotification":
                assert (await charger.call_frame(action, payload))[:2] == [4, "SecurityError"]


BROKEN: tuple[Any, ...] = (
    {},
    {"connectorId": "x", "transactionId": [], "meterStop": {}, "meterStart": None, "timestamp": 7, "idTag": None},
    {"connectorId": -5, "transactionId": 2**70, "meterValue": "much", "unknown": [1]},
)


@pytest.mark.parametrize("action", promised.KEPT_UNTIL_CONFIRMED)
@pytest.mark.parametrize("payload", BROKEN, ids=["empty", "of other types", "out of range"])
async def test_what_a_charger_keeps_is_confirmed_whatever_is_in_it(
    harness: Harness, autojump_clock: MockClock, action: str, payload: Any
) -> None:
    """As long as it is an object (A4.2)."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        assert (await charger.call_frame(action, payload))[0] == 3


# --- the lists that other tests go through are these ----------------------------------------------------------


@pytest.mark.parametrize(
    ("of_the_gateway", "by_hand"),
    [
        (schemas.CHARGER_ACTIONS, promised.CALLS_OF_CHARGERS),
        (schemas.OPERATIONS, promised.OPERATIONS),
        (COMMANDS, promised.OPERATIONS),
        (NEVER_REFUSED, promised.KEPT_UNTIL_CONFIRMED),
        (BODIES, promised.EVENTS),
    ],
    ids=["CHARGER_ACTIONS", "OPERATIONS", "COMMANDS", "NEVER_REFUSED", "BODIES"],
)
def test_a_list_of_the_gateways_is_the_one_written_by_hand(of_the_gateway: Any, by_hand: Any) -> None:
    """So that tests which go through the gateway's own go through what was promised."""
    assert sorted(of_the_gateway) == sorted(by_hand)
    assert len(set(by_hand)) == len(by_hand)


def test_which_messages_are_kept_is_what_the_protocol_says() -> None:
    """Of all that a charger may send."""
    kept = [action for action in promised.CALLS_OF_CHARGERS if protocol().is_transaction_message(action)]
    assert sorted(kept) == sorted(promised.KEPT_UNTIL_CONFIRMED)
    assert json.dumps(promised.CALLS_OF_CHARGERS)  # plain data, as sent
