"""The frames that a session keeps for operators: all that passes the connection, and how it ended."""

import trio
from trio.testing import MockClock

from gateway.domain.diagnostics import FrameKind
from gateway.observability.frame_log import FrameLog
from gateway.transport.api import Peer
from tests.support.harness import Harness, boot, virtual_clock
from tests.support.wire import FakeTransport

PEER = Peer("127.0.0.1", 50000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
BEGINNING = (FrameKind.CONNECTED, "127.0.0.1 port 50000, TLSv1.3")


def keeping(harness: Harness) -> FrameLog:
    log = FrameLog(virtual_clock, 20)
    ring = log.opened("CP1", PEER)
    assert ring is not None
    harness.frames = ring
    harness.asks_nothing()
    harness.add_charge_point()
    return log


def shown(log: FrameLog) -> list[tuple[FrameKind, str]]:
    return [(each.kind, each.text) for each in log.of("CP1") or ()]


async def test_a_connection_is_shown_from_its_beginning_to_its_end(harness: Harness, autojump_clock: MockClock) -> None:
    """Both directions as on the wire, in order, and why it went."""
    log = keeping(harness)
    async with harness.connected() as charger:
        await charger.send_raw('[2, "1","Heartbeat",{}]')
        await charger.next_answer()
        await charger.hang_up(1000, "bye")
        await charger.sees_the_end()
    assert shown(log) == [
        BEGINNING,
        (FrameKind.RECEIVED, '[2, "1","Heartbeat",{}]'),
        (FrameKind.SENT, '[3,"1",{"currentTime":"2026-03-01T12:00:00Z"}]'),
        (FrameKind.CLOSED, "by the charger: 1000 bye"),
    ]


async def test_what_can_t_be_parsed_is_kept_as_it_came(harness: Harness, autojump_clock: MockClock) -> None:
    """It is what an operator wants to see most."""
    log = keeping(harness)
    async with harness.connected() as charger:
        await charger.send_raw('[2,"1","Heartb')
        await charger.next_answer()
    received = [text for kind, text in shown(log) if kind is FrameKind.RECEIVED]
    assert received == ['[2,"1","Heartb']


async def test_an_end_by_the_gateway_is_shown_with_its_code_and_reason(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The code and reason that the charger was given; also where its own Close comes in answer."""
    log = keeping(harness)
    async with harness.connected() as charger:
        harness.router.disconnect("CP1", "silent")
        await charger.sees_the_end()
    assert shown(log) == [BEGINNING, (FrameKind.CLOSED, "by the gateway: 1000 silent")]


async def test_a_link_that_broke_on_sending_is_not_shown_as_the_gateway_s_doing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Whichever task notices it first."""
    log = keeping(harness)
    async with harness.connected() as charger:
        await boot(charger)
        await charger.lose_link()
        await trio.sleep(1)
    assert shown(log)[-1] == (FrameKind.CLOSED, "by the network: 1006 connection reset")


async def test_an_answer_is_kept_once_though_the_charger_does_not_read_it(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Kept when it is handed over, and not again when the connection takes it."""
    log, transport = keeping(harness), FakeTransport()
    async with harness.connected(transport=transport) as charger:
        transport.sends_block = True
        await charger.send_raw('[2,"1","Heartbeat",{}]')
        await trio.sleep(1)
        transport.reads_again()
        await charger.next_answer()
    assert [kind for kind, _ in shown(log)].count(FrameKind.SENT) == 1
