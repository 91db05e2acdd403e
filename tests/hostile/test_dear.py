"""Messages that are dear to read, sent by ten chargers at once and by one that connects anew for each of them."""

from __future__ import annotations

import json
import time

import pytest
import trio

from gateway.api.v1 import event_pb2 as events
from tests.endtoend.gateway_process import eventually
from tests.endtoend.wire import upgrade
from tests.hostile import payloads
from tests.hostile.conftest import MEGABYTE, Scene
from tests.hostile.link import Link
from tests.support.frames import CONT, TEXT, frame

TEN = 10

LIMIT = 4 * MEGABYTE
"""sessions.max_message_bytes, the default."""

BURST, RATE, PAID_BYTES = 300, 20, 4096
"""sessions.message_burst and max_messages_per_second, the defaults, and what counts as one more message."""


def attackers(scene: Scene, count: int = TEN) -> list[str]:
    """Chargers that owe nothing yet."""
    return [scene.attacker() for _ in range(count)]


def received(scene: Scene) -> list[object]:
    """The ends of sessions in the log so far, but for those whose charger left."""
    lines = [json.loads(line) for line in scene.gateway.log.read_text(errors="replace").splitlines()]
    ends = [line for line in lines if line["event"] == "session ended"]
    return [line for line in ends if line["initiator"] == "local" and line["reason"] != "replaced"]


@pytest.mark.parametrize("name", payloads.DEAR)
async def test_ten_at_once_are_answered_and_no_session_is_closed(scene: Scene, name: str) -> None:
    """Each gets its confirmation or its error, and goes on with its next message; no session ends."""
    before = received(scene)
    message = frame(TEXT, payloads.DEAR[name]())
    answers = []

    async def attack(identity: str) -> None:
        link = await Link.open(scene.gateway, identity)
        await link.send(message)
        answers.append((await link.answer("x", 90))[0])
        await link.lives(90)
        await link.cut()

    async with trio.open_nursery() as nursery:
        for identity in attackers(scene):
            nursery.start_soon(attack, identity)
    assert len(answers) == TEN
    assert set(answers) <= {3, 4}
    if message and b'"MeterValues"' in payloads.DEAR[name]()[:40]:
        assert set(answers) == {3}
    assert received(scene) == before


async def test_a_megabyte_on_each_of_many_connections_is_one_burst(scene: Scene) -> None:
    """45 reconnects: what is read of them all is bounded by the charger's one budget."""
    identity = scene.attacker()
    message = frame(TEXT, payloads.text_of_brackets())
    answered, begin = 0, time.monotonic()
    for _ in range(45):
        link = await Link.open(scene.gateway, identity, boot=False)
        with trio.move_on_after(0.3):
            await link.send(message)
            await link.answer("x", 90)
            answered += 1
        await link.cut()
    took = time.monotonic() - begin
    assert answered * MEGABYTE / PAID_BYTES <= BURST + took * RATE + MEGABYTE / PAID_BYTES


async def test_stops_of_four_megabytes_are_recorded_one_after_the_other(scene: Scene) -> None:
    """Ten hours of samples every ten seconds: three chargers at once, each of them confirmed."""
    before = scene.metric('gateway_answer_seconds_count{action="StopTransaction"}')

    async def stop(identity: str) -> None:
        link = await Link.open(scene.gateway, identity)
        start = {"connectorId": 1, "idTag": "T", "meterStart": 1, "timestamp": payloads.T}
        await link.say(json.dumps([2, "start", "StartTransaction", start]))
        data = payloads.long_stop(LIMIT, (await link.answer("start"))[2]["transactionId"])
        half = len(data) // 2
        await link.send(frame(TEXT, data[:half], fin=False) + frame(CONT, data[half:]))
        assert (await link.answer("x", 60))[0] == 3
        await link.lives(60)
        await link.cut()

    async with trio.open_nursery() as nursery:
        for identity in attackers(scene, 3):
            nursery.start_soon(stop, identity)
    assert scene.metric('gateway_answer_seconds_count{action="StopTransaction"}') == before + 3


async def test_a_message_beyond_the_limit_is_reported_by_charger_and_size(scene: Scene) -> None:
    """1009, an event of the charger that has the size, and metrics, also where only the head of the frame has come."""
    identity = scene.attacker()
    before = scene.metric("gateway_messages_too_large_total")
    link = await Link.open(scene.gateway, identity)
    await link.send(frame(TEXT, b"x" * (LIMIT + 1000))[:1000])
    assert await link.end() == 1009
    await link.cut()

    def ends() -> list[events.ChargePointDisconnected]:
        """Its own only: reading the attackers' history would fill the gateway's memory with their megabytes."""
        history = scene.gateway.history(identity)
        return [event.charge_point_disconnected for event in history if event.HasField("charge_point_disconnected")]

    [end] = await trio.to_thread.run_sync(eventually, "the end", ends, len)
    assert (end.reason, end.code, end.initiator) == ("message-too-large", 1009, "local")
    assert end.message_bytes == LIMIT + 1000
    assert scene.metric("gateway_messages_too_large_total") == before + 1
    assert scene.metric("gateway_message_too_large_bytes") == LIMIT + 1000


@pytest.mark.parametrize("spelling", [r'"a\"b"', '"' + "é" * 36 + '"', '"' + "x" * 200 + '"'])
async def test_a_bad_payload_is_answered_whatever_its_id_is_spelled_like(scene: Scene, spelling: str) -> None:
    """An escape, more than 36 bytes, more than 36 characters."""
    link = await Link.open(scene.gateway, scene.attacker())
    await link.say(f'[2,{spelling},"Heartbeat",{{"broken":')
    reply = await link.answer(json.loads(spelling))
    assert reply[0] == 4
    await link.lives()
    await link.cut()


async def test_lengths_that_are_not_minimal_are_refused(scene: Scene) -> None:
    """RFC 6455 §5.2: 1002, also behind a good message."""
    link = await Link.open(scene.gateway, scene.attacker())
    await link.say('[2,"good","Heartbeat",{}]')
    assert (await link.answer("good"))[0] == 3
    await link.send(b"\x81\xfe\x00\x02" + bytes(4) + b"[]")
    assert await link.end() == 1002
    await link.cut()


async def test_two_host_headers_are_refused(scene: Scene) -> None:
    """RFC 9112 §3.2: 400."""
    link = await Link.secure(scene.gateway)
    await link.send(upgrade(scene.attacker()).replace(b"Host: localhost\r\n", b"Host: localhost\r\nhost: other\r\n"))
    assert (await link.head()).startswith(b"HTTP/1.1 400 ")
    await link.cut()
