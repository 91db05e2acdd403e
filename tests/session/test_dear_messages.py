"""Messages that are dear to read: answered, recorded where they must be, and paid for by who sent them."""

import gc
import json
import sys
import weakref

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.domain.commands import ClearCache, CommandRecord
from gateway.domain.events import MeterValuesReported, TransactionOrphaned, TransactionStarted, TransactionStopped
from gateway.domain.records import TransactionState
from gateway.domain.values import Flag
from gateway.ocpp import rpc
from gateway.ocpp.payload_bounds import PIECE_BYTES, SMALL_BYTES
from gateway.session.fault_log import LINES_AT_ONCE
from gateway.session.turns import PAID_NODES, ReadTurns
from tests.hostile import payloads
from tests.session.commands.test_commands import ready
from tests.support.harness import EPOCH, Harness, boot
from tests.support.wire import FakeTransport, ScriptedCharger

WIDE = "[" + "[]," * 300_000 + "1]"
DEEP = "[" * 60 + "]" * 60


async def answer_to(charger: ScriptedCharger, text: str | bytes) -> list[object]:
    await charger.send_raw(text)
    return await charger.next_answer()


@pytest.mark.parametrize("values", [WIDE, DEEP], ids=["wide", "deep"])
async def test_a_stop_that_is_not_read_ends_its_transaction(
    harness: Harness, autojump_clock: MockClock, values: str
) -> None:
    """Confirmed, flagged, its register and time as sent, and all of it kept as text; sent again, recorded once."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as charger:
        await boot(charger)
        started = await charger.call(
            "StartTransaction",
            {"connectorId": 1, "idTag": "TAG", "meterStart": 1000, "timestamp": EPOCH.isoformat()},
        )
        number = started["transactionId"]
        fields = f'"transactionId":{number},"meterStop":1500,"timestamp":"{EPOCH.isoformat()}"'
        payload = f'{{{fields},"transactionData":{values}}}'
        for message_id in ("first", "again"):
            reply = await answer_to(charger, f'[2,"{message_id}","StopTransaction",{payload}]')
            assert reply == [3, message_id, {}]
        [stored] = harness.events("transaction.stopped")
        [body] = harness.bodies("transaction.stopped")
        assert isinstance(body, TransactionStopped)
        assert (body.meter_stop, body.energy, body.meter_value, body.payload_text) == (1500, 500, (), payload)
        assert {Flag.UNREAD, Flag.DEVIATES} <= set(stored.flags)
        transaction = harness.store.transaction(body.transaction_id)
        assert transaction is not None
        assert transaction.state is TransactionState.STOPPED


async def test_meter_values_and_starts_that_are_not_read_are_recorded(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """With what can be made out; meter values that are sent again are recorded once."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        values = f'{{"connectorId":3,"meterValue":{WIDE}}}'
        for message_id in ("first", "again"):
            assert (await answer_to(charger, f'[2,"{message_id}","MeterValues",{values}]')) == [3, message_id, {}]
        [reported] = harness.bodies("meter_values.reported")
        assert isinstance(reported, MeterValuesReported)
        assert (reported.connector.evse, reported.meter_value, reported.payload_text) == (3, (), values)
        start = f'{{"connectorId":2,"idTag":"T","meterStart":7,"timestamp":"{EPOCH.isoformat()}","x":{DEEP}}}'
        kind, _, confirmation = await answer_to(charger, f'[2,"s","StartTransaction",{start}]')
        assert kind == 3
        assert isinstance(confirmation, dict)
        [started] = harness.bodies("transaction.started")
        assert isinstance(started, TransactionStarted)
        assert (started.connector.evse, started.id_tag, started.meter_start) == (2, "T", 7)
        assert (started.number, started.payload_text) == (confirmation["transactionId"], start)
        orphan = f'{{"transactionId":987654,"meterStop":1,"timestamp":"{EPOCH.isoformat()}","transactionData":{DEEP}}}'
        assert (await answer_to(charger, f'[2,"o","StopTransaction",{orphan}]'))[0] == 3
        [orphaned] = harness.bodies("transaction.orphaned")
        assert isinstance(orphaned, TransactionOrphaned)
        assert (orphaned.number, orphaned.payload) == (987654, orphan)


async def test_large_messages_that_are_malformed_hold_no_turn(harness: Harness, autojump_clock: MockClock) -> None:
    """Each is answered, one behind the other, until there were too many; another session's are read then, too."""
    for identity in ("CP1", "CP2"):
        harness.add_charge_point(identity)
    broken = f'[2,"bad","DataTransfer",{{"vendorId":"V","data":"{"x" * SMALL_BYTES}"'
    whole = f'[2,"good","DataTransfer",{{"vendorId":"V","data":"{"x" * SMALL_BYTES}"}}]'
    with trio.fail_after(60):
        async with harness.connected("CP1") as first, harness.connected("CP2") as second:
            await boot(first)
            await boot(second)
            await first.send_raw(broken)
            await first.send_raw(broken)
            assert [(await first.next_answer())[:2] for _ in range(2)] == [[4, "bad"]] * 2
            assert (await answer_to(second, whole))[0] == 3
            assert (await answer_to(first, whole))[0] == 3
            for _ in range(harness.limits.bad_messages):
                await first.send_raw(broken)
            assert (await first.sees_the_end())[0] == 1008
            assert (await answer_to(second, whole))[0] == 3


async def test_a_large_answer_that_is_malformed_holds_no_turn_while_it_is_recorded(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Nothing of it is in memory: another session's large message is read though the disk has not answered."""
    harness.add_charge_point("CP2")
    whole = f'[2,"good","Heartbeat",{{"x":"{"x" * SMALL_BYTES}"}}]'
    async with ready(harness) as (charger, asked), harness.connected("CP2") as second:
        await boot(second)
        outcome = asked.ask(ClearCache())
        message_id, _, _ = await charger.next_call("ClearCache")
        harness.journal.stall_seconds = 5
        before = trio.current_time()
        await charger.send_raw(f'[3,"{message_id}",{{"x":"{"x" * SMALL_BYTES}","y":{DEEP}}}]')
        await trio.sleep(0.01)
        assert (await answer_to(second, whole))[0] in (3, 4)
        assert trio.current_time() - before < 1
        assert isinstance(await outcome(), CommandRecord)
        assert trio.current_time() - before >= 5


@pytest.mark.parametrize("name", payloads.DEAR)
async def test_each_dear_message_is_answered_and_the_session_goes_on(
    harness: Harness, autojump_clock: MockClock, name: str
) -> None:
    """Confirmed where it must be recorded, or is honest; an error with its id else."""
    async with ready(harness) as (charger, _asked):
        message = payloads.DEAR[name]()
        kind, message_id, *_ = await answer_to(charger, message)
        assert message_id == "x"
        recorded = message.startswith(b'[2,"x","MeterValues"')
        honest = name in ("text-of-brackets", "escapes", "large-exponents")
        assert kind == (3 if recorded or honest else 4)
        await charger.call("Heartbeat", {})
        assert len(harness.events("meter_values.reported")) == recorded
        assert harness.events("charge_point.disconnected") == []


async def test_what_is_dear_is_paid_for(harness: Harness, autojump_clock: MockClock) -> None:
    """By its values and by its faults, beside its bytes; everyday messages cost nothing more."""
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport) as charger:
        await boot(charger)
        await charger.call("DataTransfer", {"vendorId": "V", "data": "x"})
        assert sum(transport.charged) == 0
        await answer_to(charger, payloads.recorded_objects())
        assert transport.charged[0] > 250_000 / PAID_NODES - 256
        transport.charged.clear()
        await answer_to(charger, payloads.wrong_samples(8_000))
        assert sum(transport.charged) > 60
        transport.charged.clear()
        await answer_to(charger, payloads.nested_lists())
        assert sum(transport.charged) == 0  # given up before it was read


async def test_large_messages_are_read_one_after_the_other_and_others_run_meanwhile(autojump_clock: MockClock) -> None:
    """In the order in which they came; between any two pieces everybody else has a turn."""
    turns = ReadTurns()
    order: list[str] = []
    passes = 0

    async def read(name: str, data: bytes) -> None:
        order.append(f"{name} comes")
        await turns.read(data, lambda _: False)
        order.append(f"{name} is read")
        turns.over()

    async def others() -> None:
        nonlocal passes
        while True:
            await trio.lowlevel.checkpoint()
            passes += 1

    data = payloads.escapes()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        async with trio.open_nursery() as readers:
            for name in ("a", "b", "c"):
                readers.start_soon(read, name, data)
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert order == ["a comes", "b comes", "c comes", "a is read", "b is read", "c is read"]
    assert passes >= 3 * (len(data) // PIECE_BYTES)


async def test_a_reader_that_is_cancelled_lets_the_next_one_read(autojump_clock: MockClock) -> None:
    """A session that ends half-way holds up no other."""
    turns = ReadTurns()
    data = payloads.escapes()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.read, data, lambda _: False)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    with trio.fail_after(1):
        await turns.read(data, lambda _: False)


async def test_a_session_that_ends_with_a_large_message_in_hand_lets_others_read_theirs(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """There is one turn at that for all sessions."""
    for identity in ("CP1", "CP2"):
        harness.add_charge_point(identity)
    sample = {"timestamp": EPOCH.isoformat(), "sampledValue": [{"value": str(n)} for n in range(2_000)]}
    readings = {"connectorId": 1, "meterValue": [sample]}
    assert len(json.dumps(readings)) > SMALL_BYTES
    async with harness.connected("CP1") as first:
        await boot(first)
        harness.journal.failing = True
        await first.send(2, "m", "MeterValues", readings)
        assert await first.sees_the_end() == (1011, "store-unavailable")
        first.gone = True
    harness.journal.failing = False
    async with harness.connected("CP2") as second:
        await boot(second)
        with trio.fail_after(60):
            assert await second.call("MeterValues", readings) == {}


class Remembering(ReadTurns):
    """Knows by weak references what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_last: list[weakref.ref[rpc.Frame]] = []

    async def read(self, data: bytes, is_recorded: rpc.IsRecorded) -> tuple[rpc.Frame, int]:
        frame, cost = await super().read(data, is_recorded)
        self.read_last.append(weakref.ref(frame))
        return frame, cost


LARGE = {"vendorId": "V", "data": "x" * 2 * SMALL_BYTES}


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ('[2,"m","Heartbeat",{}]', False),
        (json.dumps([2, "m", "DataTransfer", LARGE]), True),
        (json.dumps([2, "m", "NoSuch", LARGE]), True),
        (f'[2,"m","MeterValues",{{"connectorId":3,"meterValue":{WIDE}}}]', True),
        (json.dumps([3, "to nothing", LARGE]), True),
        (json.dumps([9, "m", LARGE]), True),
        (json.dumps([2, "m", LARGE]), True),
        ("rubbish" * SMALL_BYTES, True),
    ],
    ids=["small", "large", "unknown", "unread", "answers nothing", "ignored", "malformed", "rubbish"],
)
async def test_nothing_of_a_message_is_kept_until_the_next_one_comes(
    harness: Harness, autojump_clock: MockClock, text: str, is_read: bool
) -> None:
    """Neither as it came nor as it was read, and no collector is needed for it: ten thousand chargers, each of which
    has sent a megabyte and then nothing for a day, would fill the memory."""
    harness.read_turns = turns = Remembering()
    harness.asks_nothing()
    harness.add_charge_point()
    data = text.encode()
    gc.collect()
    gc.disable()
    try:
        async with harness.connected() as charger:
            await boot(charger)
            mine = sys.getrefcount(data)
            await charger.send_raw(data)
            await trio.sleep(1)
            assert sys.getrefcount(data) == mine
            assert [each() for each in turns.read_last] == [None] * is_read
    finally:
        gc.enable()


async def test_lines_of_the_log_belong_to_the_charger_and_not_to_its_connection(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Connecting anew for each bad message brings no more lines; after a wait comes another, which says how many
    were left out."""
    harness.add_charge_point()
    with capture_logs() as logs:
        for _ in range(2 * LINES_AT_ONCE):
            async with harness.connected() as charger:
                await boot(charger)
                await charger.send_raw("rubbish")
                await charger.call("Heartbeat", {})
        assert len([line for line in logs if line["event"] == "malformed message"]) == LINES_AT_ONCE
        await trio.sleep(120)
        async with harness.connected() as charger:
            await boot(charger)
            await charger.send_raw("rubbish")
            await charger.call("Heartbeat", {})
    *_, last = [line for line in logs if line["event"] == "malformed message"]
    assert last["unlogged_before"] == LINES_AT_ONCE


def test_payload_makers_keep_to_their_size() -> None:
    """The tests built on them rely on it; every whole one is JSON."""
    for name, make in payloads.DEAR.items():
        data = make()
        assert len(data) <= payloads.MEGABYTE
        if not name.startswith("open"):
            assert json.loads(data, parse_int=len)[0] == 1
    assert 0.99 * 4 * payloads.MEGABYTE < len(payloads.long_stop()) <= 4 * payloads.MEGABYTE
