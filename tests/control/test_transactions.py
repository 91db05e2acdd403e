"""TransactionService over a real server and client, in front of a real store."""

from datetime import UTC, timedelta

import grpc
import pytest
import trio

from gateway.api.v1 import transaction_pb2 as pb
from gateway.api.v1.common_pb2 import QualityFlag
from gateway.domain import events as e
from gateway.domain.values import ConnectorAddress, Flag
from tests.control.fakes import NOW

ONE = ConnectorAddress(1, 1)


def started(number, tag="T"):
    return e.TransactionStarted(f"tx_{number}", number, ONE, tag, "Accepted", 1000 * number, f"key{number}", 5)


async def test_a_transaction_is_shown_from_its_start_to_its_stop(gateway):
    """Registers and energy exact, times as reported and as received."""
    epoch = await gateway.charge_point()
    stub, request = gateway.client.transactions, pb.GetTransactionRequest(transaction_id="tx_1")
    await gateway.append("CP1", epoch, started(1), reported_at=NOW, flags=(Flag.LATE,))
    found = (await gateway.call(stub.GetTransaction, request)).transaction
    assert found.state == pb.TRANSACTION_STATE_OPEN
    assert (found.charge_point, found.connector.evse, found.id_tag, found.number) == ("CP1", 1, "T", 1)
    assert (found.meter_start.watt_hours, found.meter_start.milliwatt_hours) == ("1000", 1_000_000)
    assert found.start_time.ToDatetime(UTC) == NOW
    assert found.start_receive_time.ToDatetime(UTC) == NOW + timedelta(minutes=1)
    assert found.reservation_id == 5
    assert not found.HasField("energy")
    assert not found.HasField("stop_time")
    stop = e.TransactionStopped("tx_1", ONE, 3500, "EVDisconnected", 2500, "T", "Accepted")
    await gateway.append("CP1", epoch, stop, reported_at=NOW + timedelta(hours=1))
    found = (await gateway.call(stub.GetTransaction, request)).transaction
    assert found.state == pb.TRANSACTION_STATE_STOPPED
    assert (found.energy.milliwatt_hours, found.stop_reason, found.stop_id_tag) == (2_500_000, "EVDisconnected", "T")
    assert found.stop_time.ToDatetime(UTC) == NOW + timedelta(hours=1)


async def test_lists_are_newest_first_in_pages_and_by_filter(gateway):
    """By charge point, state, time and tag."""
    epoch, other = await gateway.charge_point("CP1"), await gateway.charge_point("CP2")
    for number in range(1, 6):
        at = NOW + timedelta(hours=number)
        await gateway.append("CP1", epoch, started(number, f"T{number}"), reported_at=at)
    await gateway.append("CP1", epoch, e.TransactionStopped("tx_1", ONE, 2000, "Local", 1000))
    await gateway.append("CP2", other, started(9), reported_at=NOW)

    async def listed(**fields):
        request = pb.ListTransactionsRequest(page_size=2, **fields)
        pages = await trio.to_thread.run_sync(
            lambda: list(gateway.client.pages(gateway.client.transactions.ListTransactions, request))
        )
        return [each.transaction_id for page in pages for each in page.transactions]

    assert await listed() == ["tx_5", "tx_4", "tx_3", "tx_2", "tx_1", "tx_9"]
    assert await listed(charge_point="CP2") == ["tx_9"]
    assert await listed(state=pb.TRANSACTION_STATE_STOPPED) == ["tx_1"]
    assert await listed(id_tag="t3") == ["tx_3"]
    window = {"started_from_time": NOW + timedelta(hours=2), "started_before_time": NOW + timedelta(hours=4)}
    assert await listed(**window) == ["tx_3", "tx_2"]


async def test_readings_are_all_that_was_metered_in_pages(gateway, failing):
    """Start, reports and stop, in the order of receipt."""
    epoch = await gateway.charge_point()
    values = [
        [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": str(n)}, {"value": "1", "measurand": "SoC"}]}]
        for n in range(4)
    ]
    await gateway.append("CP1", epoch, started(1))
    await gateway.append("CP1", epoch, *(e.MeterValuesReported(ONE, value, "tx_1") for value in values))
    await gateway.append("CP1", epoch, e.MeterValuesReported(ONE, values[0], None))
    await gateway.append("CP1", epoch, e.TransactionStopped("tx_1", ONE, 2000, "Local", 1000))
    stub = gateway.client.transactions
    request = pb.ListTransactionReadingsRequest(transaction_id="tx_1", page_size=4)
    pages = await trio.to_thread.run_sync(lambda: list(gateway.client.pages(stub.ListTransactionReadings, request)))
    readings = [each for page in pages for each in page.readings]
    assert [len(page.readings) for page in pages] == [4, 2]
    assert [each.source for each in readings] == [1, 2, 2, 2, 2, 3]
    assert [len(each.samples) for each in readings] == [1, 2, 2, 2, 2, 1]
    assert readings[-1].samples[0].energy.watt_hours == "2000"
    assert not any(each.HasField("normalised") for each in readings)
    asking = pb.ListTransactionReadingsRequest(transaction_id="tx_1", normalised_readings=True)
    asked = (await gateway.call(stub.ListTransactionReadings, asking)).readings
    assert [len(each.normalised.readings) for each in asked] == [0, 2, 2, 2, 2, 0]
    assert [each.value for each in asked[3].normalised.readings] == [2.0, 1.0]
    assert asked[3].normalised.rules_version == 1
    assert [list(each.samples) for each in asked] == [list(each.samples) for each in readings]
    problem = await failing(stub.ListTransactionReadings, pb.ListTransactionReadingsRequest(transaction_id="tx_7"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TRANSACTION")


async def test_pages_end_early_where_they_would_grow_too_large(gateway):
    """By bytes: a charger may fill every message to the brim."""
    epoch = await gateway.charge_point()
    await gateway.append("CP1", epoch, started(1))
    large = [{"sampledValue": [{"value": "x" * 400} for _ in range(500)]}]
    await gateway.append("CP1", epoch, *(e.MeterValuesReported(ONE, large, "tx_1") for _ in range(20)))
    stub = gateway.client.transactions
    request = pb.ListTransactionReadingsRequest(transaction_id="tx_1")
    pages = await trio.to_thread.run_sync(lambda: list(gateway.client.pages(stub.ListTransactionReadings, request)))
    assert len(pages) > 1
    assert max(page.ByteSize() for page in pages) < 2_500_000
    assert sum(len(page.readings) for page in pages) == 21


async def test_orphaned_stops_are_listed_as_sent(gateway):
    """By charge point, or all."""
    for identity in ("CP1", "CP2"):
        epoch = await gateway.charge_point(identity)
        await gateway.append(identity, epoch, e.TransactionOrphaned(77, "unknown-number", {"meterStop": 5}))
    stub = gateway.client.transactions
    found = await gateway.call(stub.ListOrphans, pb.ListOrphansRequest())
    assert [each.charge_point for each in found.orphans] == ["CP1", "CP2"]
    found = await gateway.call(stub.ListOrphans, pb.ListOrphansRequest(charge_point="CP2"))
    (orphan,) = found.orphans
    body = orphan.transaction_orphaned
    assert (body.number, body.why, body.payload_json) == (77, "unknown-number", '{"meterStop":5}')


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("GetTransaction", pb.GetTransactionRequest()),
        ("ListTransactions", pb.ListTransactionsRequest(state=9)),
        ("ListTransactions", pb.ListTransactionsRequest(started_from_time={"seconds": -(2**60)})),
        ("ListTransactionReadings", pb.ListTransactionReadingsRequest()),
        ("ListTransactionReadings", pb.ListTransactionReadingsRequest(transaction_id="x", page_token="aGVsbG8=")),
        ("ListOrphans", pb.ListOrphansRequest(page_size=-5)),
    ],
)
async def test_what_can_not_be_meant_is_refused(gateway, failing, rpc, request_):
    """INVALID_ARGUMENT with one violation."""
    problem = await failing(getattr(gateway.client.transactions, rpc), request_)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert len(problem.violations) == 1


async def test_an_operator_closes_a_transaction_whose_stop_does_not_come(gateway, failing):
    """With a reason and an event, and the session knows; repeated, it answers what is; nothing else can be closed."""
    epoch = await gateway.charge_point()
    await gateway.append("CP1", epoch, started(1), e.TransactionStaleChanged("tx_1", ONE, True, "available"))
    stub, close = gateway.client.transactions, gateway.client.transactions.CloseTransaction
    found = (await gateway.call(stub.GetTransaction, pb.GetTransactionRequest(transaction_id="tx_1"))).transaction
    assert (found.state, found.stale_reason) == (pb.TRANSACTION_STATE_OPEN, "available")
    assert found.HasField("stale_time")
    assert list(found.flags) == [QualityFlag.QUALITY_FLAG_STALE]
    request = pb.CloseTransactionRequest(transaction_id="tx_1", reason="the charger was replaced")
    for _ in range(2):
        closed = (await gateway.call(close, request)).transaction
        assert (closed.state, closed.close_reason) == (pb.TRANSACTION_STATE_CLOSED, "the charger was replaced")
        assert closed.HasField("close_time")
        assert (closed.stale_reason, list(closed.flags)) == ("", [])
    body = e.TransactionClosed("tx_1", ONE, "the charger was replaced")
    assert gateway.commands.notified == [("closed", "CP1", body)]
    await gateway.append("CP1", epoch, e.TransactionStopped("tx_1", ONE, 2000, "Local", 1000))
    problem = await failing(close, request)
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TRANSACTION_NOT_OPEN")
    assert problem.metadata == {"transaction_id": "tx_1", "state": "STOPPED"}
    problem = await failing(close, pb.CloseTransactionRequest(transaction_id="tx_9", reason="x"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_TRANSACTION")


@pytest.mark.parametrize(
    ("transaction_id", "reason", "field"),
    [("", "x", "transaction_id"), ("tx_1", "", "reason"), ("tx_1", " ", "reason"), ("tx_1", "x" * 201, "reason"),
     ("tx_1", "a\nb", "reason")],
)  # fmt: skip
async def test_a_closing_without_a_transaction_or_a_reason_is_refused(gateway, failing, transaction_id, reason, field):
    """It names the field, and changes nothing."""
    epoch = await gateway.charge_point()
    await gateway.append("CP1", epoch, started(1))
    request = pb.CloseTransactionRequest(transaction_id=transaction_id, reason=reason)
    problem = await failing(gateway.client.transactions.CloseTransaction, request)
    assert [name for name, _ in problem.violations] == [field]
    listed = pb.ListTransactionsRequest(state=pb.TRANSACTION_STATE_OPEN)
    assert len((await gateway.call(gateway.client.transactions.ListTransactions, listed)).transactions) == 1
