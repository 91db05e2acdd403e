"""Messages broken in every way, each with what it gets: a CALLERROR, an answer, or nothing; and life goes on."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import trio

from tests.hostile.conftest import Scene
from tests.hostile.link import Ended, Link
from tests.ocpp.v16.test_decode_calls import EXAMPLES
from tests.ocpp.v16.test_large_payloads import METER_VALUES, ONE_TIME, STOP, filled
from tests.support.frames import TEXT, frame

KEPT, SILENCE = "kept", "silence"
"""A confirmation; no answer at all."""

ANSWERS: dict[str, tuple[str | bytes, str]] = {
    # A3.1-A3.5, A3.12: the frame.
    "unknown-action": ('[2,"x","Foo",{}]', "NotImplemented"),
    "lower-case-action": ('[2,"x","heartbeat",{}]', "NotImplemented"),
    "action-of-the-other-side": ('[2,"x","RemoteStartTransaction",{"idTag":"A"}]', "NotSupported"),
    "certificate-request-of-nothing": ('[2,"x","SignCertificate",{"csr":"x"}]', KEPT),
    "action-no-text": ('[2,"x",5,{}]', "FormationViolation"),
    "five-elements": ('[2,"x","Heartbeat",{},{}]', "FormationViolation"),
    "two-elements": ('[2,"x"]', "FormationViolation"),
    "long-id": (f'[2,"{"x" * 37}","Heartbeat",{{}}]', "FormationViolation"),
    "longest-echoed-id": (f'[2,"{"x" * 255}","Heartbeat",{{}}]', "FormationViolation"),
    "huge-id": (f'[2,"{"x" * 100_000}","Heartbeat",{{}}]', SILENCE),
    "empty-id": ('[2,"","Heartbeat",{}]', "FormationViolation"),
    "number-id": ('[2,7,"Heartbeat",{}]', SILENCE),
    "no-id": ("[2]", SILENCE),
    # A3.2: other kinds are ignored.
    **{f"type-{kind}": (f'[{kind},"x","Heartbeat",{{}}]', SILENCE) for kind in ("1", "5", '"2"', "2.0", "null", "-2")},
    # A3.6, A3.8: what is odd and means the same.
    "null-payload": ('[2,"x","Heartbeat",null]', KEPT),
    "white-space": ('\r\n\t [ 2 ,\n"x" , "Heartbeat" , { } ] \n', KEPT),
    "escapes": ('[2,"x","\\u0048eartbeat",{}]', KEPT),
    # A3.9: no frame at all.
    "empty": ("", SILENCE),
    "no-json": ("hello", SILENCE),
    "object": ('{"a":1}', SILENCE),
    "text": ('"[]"', SILENCE),
    "empty-list": ("[]", SILENCE),
    "cut-off": ('[2,"x","MeterValues",{"connectorId":', "GenericError"),
    "cut-off-in-the-id": ('[2,"x', SILENCE),
    # A3.10-A3.12: what claims to be an answer is never answered.
    "unasked-result": ('[3,"x",{"status":"Accepted"}]', SILENCE),
    "unasked-error": ('[4,"x","GenericError","",{}]', SILENCE),
    "malformed-result": ('[3,"x"]', SILENCE),
    "malformed-error": ('[4,"x"]', SILENCE),
    "cut-off-result": ('[3,"x",{"a":', SILENCE),
    "odd-error": ('[4,"x","GenericError",null,[1,2]]', SILENCE),
    # A3.13: JSON at its edges.
    "byte-order-mark": (b'\xef\xbb\xbf[2,"x","Heartbeat",{}]', KEPT),
    "duplicate-keys": ('[2,"x","DataTransfer",{"vendorId":1,"vendorId":"V"}]', KEPT),
    "not-a-number": ('[2,"x","DataTransfer",{"vendorId":"V","data":NaN}]', KEPT),
    "infinite": ('[2,"x","DataTransfer",{"vendorId":"V","data":1e400}]', KEPT),
    "lone-surrogate": ('[2,"x","DataTransfer",{"vendorId":"V","data":"\\ud800"}]', KEPT),
    "huge-integer": (f'[2,"x","DataTransfer",{{"vendorId":"V","data":{"9" * 5000}}}]', KEPT),
    "integer-of-64-bits": ('[2,"x","StopTransaction",{"transactionId":9223372036854775807,"meterStop":1,'
                           '"timestamp":"2026-01-01T00:00:00Z"}]', KEPT),
    "nul": ('[2,"x","DataTransfer",{"vendorId":"V","data":"a\\u0000b"}]', KEPT),
    "deep": (f'[2,"x","DataTransfer",{{"vendorId":"V","data":{"[" * 100}{"]" * 100}}}]', "GenericError"),
    "deeper-than-any-stack": (f'[2,"x","DataTransfer",{{"vendorId":"V","data":{"[" * 400_000}', "GenericError"),
    # A4: the payload.
    "missing-field": ('[2,"x","StatusNotification",{"connectorId":1,"status":"Available"}]', "ProtocolError"),
    "payload-a-list": ('[2,"x","Heartbeat",[]]', "FormationViolation"),
    "payload-a-text": ('[2,"x","Heartbeat","{}"]', "FormationViolation"),
    "wrong-type": ('[2,"x","Authorize",{"idTag":{}}]', "TypeConstraintViolation"),
    "unknown-name": ('[2,"x","DiagnosticsStatusNotification",{"status":"Perhaps"}]', "PropertyConstraintViolation"),
    "negative-connector": (
        '[2,"x","StatusNotification",{"connectorId":-1,"status":"Available","errorCode":"NoError"}]',
        "PropertyConstraintViolation",
    ),
    "long-tag": (f'[2,"x","Authorize",{{"idTag":"{"x" * 21}"}}]', "PropertyConstraintViolation"),
    # A4.2: transactions are never refused for what is in them.
    "start-of-nothing": ('[2,"x","StartTransaction",{}]', KEPT),
    "stop-of-nothing": ('[2,"x","StopTransaction",{}]', KEPT),
    "meter-values-of-nothing": ('[2,"x","MeterValues",{}]', KEPT),
    "meter-values-nonsense": ('[2,"x","MeterValues",{"connectorId":[],"meterValue":"x","other":{"a":[]}}]', KEPT),
    # A megabyte, wrong in every place: kept, and everybody else served meanwhile.
    "megabyte-of-empty-values": (filled(METER_VALUES.replace('"1"', '"x"'), "{}", "]}]"), KEPT),
    "megabyte-of-numbers": (filled(ONE_TIME.replace('"1"', '"x"', 1), '{"value":1}', "]}]}]"), KEPT),
    "megabyte-of-a-stop": (filled(STOP.replace('"1"', '"x"', 1), "0", "]}]"), KEPT),
    "megabyte-of-lists": (filled('[3,"x",[', "[]", "]]"), SILENCE),
    "megabyte-of-extra-fields": (
        json.dumps([2, "x", "Heartbeat", {f"key{n}": n for n in range(50_000)}]), "GenericError"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_broken_message_gets_its_answer_and_the_session_goes_on(scene: Scene, name: Any) -> None:
    """A3, A4: what comes before and after it is confirmed as ever."""
    sent, expected = ANSWERS[name]
    # A megabyte uses up what one charger may send for a while.
    link = await (Link.open(scene.gateway, scene.attacker()) if name.startswith("megabyte") else speaker(scene))
    await link.say(sent)
    await link.say('[2,"alive","Heartbeat",{}]')
    replies: list[list[object]] = []
    with trio.fail_after(60):
        while (message := await link.message())[1] != "alive":
            if message[0] != 2:
                replies.append(message)
    await link.cut()
    assert message[0] == 3
    if expected == SILENCE:
        assert replies == []
        return
    [reply] = replies
    assert reply[0] == (3 if expected == KEPT else 4), str(reply)[:200]
    if reply[0] == 4:
        assert reply[2] == expected
        assert len(json.dumps(reply)) < 800
        assert reply[4] == {}


async def speaker(scene: Scene) -> Link:
    scene.speaker = scene.speaker or scene.attacker()
    return await Link.open(scene.gateway, scene.speaker)


async def test_a_peer_that_is_never_understood_is_closed_with_1008(scene: Scene) -> None:
    """A3.9: after a budget of bad messages in a row; a good one in between starts it anew."""
    link = await speaker(scene)
    for _ in range(3):
        for _ in range(19):
            await link.say("nonsense")
        await link.lives()
    for _ in range(20):
        await link.say("nonsense")
    assert await link.end() == 1008
    await link.cut()


@pytest.mark.parametrize("seed", range(4))
async def test_messages_changed_at_random_never_end_the_session_for_others(scene: Scene, seed: int) -> None:
    """Bytes of real messages, exchanged, cut out and doubled: whatever the session makes of them, it answers the next
    heartbeat, or has closed with 1007 or 1008."""
    dice = random.Random(seed)
    link = await speaker(scene)
    texts = [json.dumps([2, f"r{n}", action, payload]) for n, (action, payload) in enumerate(EXAMPLES.items())]

    async def send() -> None:
        try:
            for n in range(120):
                text = bytearray(dice.choice(texts).encode())
                for _ in range(dice.randrange(1, 4)):
                    at = dice.randrange(len(text))
                    text[at : at + dice.randrange(3)] = bytes(
                        dice.choices(b'{}[]",:0129eE-+.\\untx ', k=dice.randrange(3))
                    )
                await link.send(frame(TEXT, bytes(text)))
                if n % 10 == 0:
                    await link.say('[2,"alive","Heartbeat",{}]')
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        answered, code = 0, None
        try:
            while answered < 12:
                await link.answer("alive")
                answered += 1
        except Ended as end:
            code = end.args[0]
    assert code in ((None,) if answered == 12 else (1007, 1008))
    await link.cut()


async def test_a_flood_of_answers_to_nothing_changes_nothing(scene: Scene) -> None:
    """A3.11: a command that is under way gets its own answer."""
    link = await speaker(scene)
    for n in range(250):
        await link.say(
            f'[{3 + n % 2},"{n}",{{"status":"Accepted"}}]' if n % 2 == 0 else f'[4,"{n}","GenericError","",{{}}]'
        )
    await link.lives()
    assert link.messages == []
    await link.cut()
