"""Chargers that are let in and then take all they can get: time, memory, the gateway's patience."""

from __future__ import annotations

import json
import time
from collections import Counter
from functools import partial
from typing import Any

import grpc
import trio

from gateway.api.v1 import command_pb2 as commands
from tests.endtoend.asking import failure, in_thread
from tests.hostile.conftest import MEGABYTE, Scene
from tests.hostile.link import Link
from tests.hostile.test_messages import ANSWERS, SILENCE
from tests.support.frames import CONT, PING, TEXT, frame

RATE, BURST = 20, 300
"""sessions.max_messages_per_second and message_burst, the defaults."""


GIVEN_UP = 60.0
"""Where nothing is given up, the link stays for ever; the deadline itself is a few seconds."""

AT_ONCE = 60.0
"""Where a newcomer had to wait for the old link's end, it would wait for the silence limit."""


async def test_a_flood_of_messages_is_slowed_down_and_all_of_it_is_answered(scene: Scene) -> None:
    """In order, none dropped; the burst at once, the rest at the rate. The flooder's own ping waits its turn."""
    before = scene.metric('gateway_slowed_total{what="messages"}')
    link = await Link.open(scene.gateway, scene.attacker())
    more = 50
    begin = time.monotonic()
    for n in range(BURST + more):
        await link.say(f'[2,"{n}","Heartbeat",{{}}]')
    await link.send(frame(PING, b"late"))
    answers: list[Any] = []
    with trio.fail_after(60):
        while len(answers) < BURST + more:
            message = await link.message()
            if message[0] == 3:
                answers.append(message[1])
    assert answers == [str(n) for n in range(BURST + more)]
    assert time.monotonic() - begin > more / RATE * 0.8
    assert scene.metric('gateway_slowed_total{what="messages"}') > before
    await link.lives()
    await link.cut()


async def test_floods_without_end_are_read_at_their_rate(scene: Scene) -> None:
    """Messages, pings and unasked pongs, from several chargers at once, as fast as their sockets take them."""
    flooders = {
        "messages": frame(TEXT, b'[2,"1","Heartbeat",{}]') * 50,
        "unknown": frame(TEXT, b"[9]") * 100,
        "pings": frame(PING, b"x" * 125) * 20,
        "fragments": frame(TEXT, b"[", fin=False) + frame(CONT, b"9]"),
        "tiny-records": b"",
    }
    before = scene.metric('gateway_slowed_total{what="frames"}')
    sent = dict.fromkeys(flooders, 0)

    async def flood(name: str, data: bytes) -> None:
        link = await Link.open(scene.gateway, scene.attacker())
        ping = frame(PING)
        with trio.move_on_after(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drain, link)
                while True:
                    for piece in [data] if data else [ping[n : n + 1] for n in range(len(ping))]:
                        await link.send(piece)
                        sent[name] += len(piece)
        await link.cut()

    async with trio.open_nursery() as nursery:
        for name, data in flooders.items():
            nursery.start_soon(flood, name, data)
    assert sent["messages"] < 1 * MEGABYTE  # buffers on both sides, and three seconds at the rate
    assert scene.metric('gateway_slowed_total{what="frames"}') > before


async def drain(link: Link) -> None:
    try:
        while True:
            await link.frame()
    except Exception:
        await trio.sleep_forever()


async def test_a_charger_that_never_reads_is_given_up_at_the_write_deadline(scene: Scene) -> None:
    """Its answers fill the kernel's buffer, and then nothing waits for it any longer than that."""
    identity = scene.attacker()
    link = await Link.open(scene.gateway, identity, receive_buffer=4096)
    with trio.fail_after(GIVEN_UP):
        try:
            while True:
                await link.send(frame(PING, b"x" * 125) * 20)
        except trio.BrokenResourceError:
            pass
    await link.cut()
    link = await Link.open(scene.gateway, identity)
    await link.lives()
    await link.cut()


async def test_a_large_command_to_a_charger_that_never_reads_has_an_unknown_outcome(scene: Scene) -> None:
    """The caller is answered within the write deadline; other chargers' commands go on meanwhile."""
    identity = scene.attacker()
    link = await Link.open(scene.gateway, identity, receive_buffer=4096)
    await link.lives()
    with trio.move_on_after(0.7):  # settle_delay, and then the gateway's own questions
        await link.answer("nothing")
    request = commands.SendLocalListRequest(
        charge_point=identity,
        request_id="large",
        list_version=1,
        update_type=commands.LOCAL_LIST_UPDATE_TYPE_FULL,
        entries=[
            commands.LocalListEntry(id_tag=f"{n:020}", status=commands.AUTHORIZATION_STATUS_ACCEPTED)
            for n in range(5000)
        ],
    )
    begin = time.monotonic()
    status, reason, _ = await in_thread(failure, partial(scene.gateway.commands.SendLocalList, request, timeout=60))
    assert time.monotonic() - begin < 15
    assert (status, reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")
    await link.cut()


async def test_a_message_that_never_ends_costs_no_more_than_its_size(scene: Scene) -> None:
    """Ten chargers that send all but the last byte of the largest message, and stay."""
    before = scene.gateway.rss()
    links = [await Link.open(scene.gateway, scene.attacker()) for _ in range(10)]
    for link in links:
        await link.send(frame(TEXT, b"[" + b" " * (MEGABYTE // 2), fin=False))
        await link.send(frame(CONT, b" " * (MEGABYTE // 2 - 10), fin=False))
        await link.send(frame(PING))
        opcode, _ = await link.frame()
        assert opcode in (0xA, TEXT)
    assert scene.gateway.rss() - before < 10 * 3 * MEGABYTE
    for link in links:
        await link.send(frame(CONT, b"]"))
        await link.lives()
        await link.cut()


async def test_a_link_that_died_without_a_word_is_replaced_by_the_next(scene: Scene) -> None:
    """Half-open: the old socket is neither read nor closed (A6.7). The newcomer is served at once, time and again."""
    identity = scene.attacker()
    dead = []
    for _ in range(10):
        with trio.fail_after(AT_ONCE):
            link = await Link.open(scene.gateway, identity)
            await link.lives()
        dead.append(link)
    for link in dead[:-1]:
        assert await link.end() == 1008
    for link in dead:
        await link.cut()


async def test_the_worst_messages_again_and_again_take_no_more_memory(scene: Scene) -> None:
    """Memory for reading one is used for the next: no leak hides behind the bound on all."""
    worst = [sent for name, (sent, answer) in ANSWERS.items() if name.startswith("megabyte") and answer != SILENCE]

    async def send_all() -> None:
        for sent in worst:
            link = await Link.open(scene.gateway, scene.attacker())  # another each time: one alone is slowed down
            await link.say(sent)
            await link.answer("x")
            await link.cut()

    await send_all()
    await send_all()
    before = scene.gateway.rss()
    for _ in range(3):
        await send_all()
    assert scene.gateway.rss() - before < 24 * MEGABYTE


async def test_the_log_is_not_what_fills_the_disk(scene: Scene) -> None:
    """After all these attacks: some lines for each session that was let in, none for each message or refused stranger
    beyond a bound."""
    # Up to the last end of line: what follows it is being written. Other characters that end a line are a charger's.
    lines = scene.gateway.log.read_bytes().split(b"\n")[:-1]
    written: Counter[str] = Counter()
    for line in lines:
        try:
            written[json.loads(line)["event"]] += 1
        except ValueError as error:
            raise AssertionError(f"not a line of the log: {line[:1_000]!r}") from error
    assert len(lines) < 20 * (written["charger connected"] + 100), str(written.most_common(8))
