"""A store that can't be read or written, as the callers of each RPC that needs it see it: UNAVAILABLE, by name.

INTERNAL would be a bug of the gateway's, and nothing to come back for. Commands have rules of their own, since one may
have been sent (``test_commands``).
"""

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2, diagnostics_pb2, energy_pb2, id_tag_pb2, transaction_pb2
from gateway.errors import StoreUnavailable

NEEDS_THE_STORE = {
    "charge_points.CreateChargePoint": charge_point_pb2.CreateChargePointRequest(
        charge_point=charge_point_pb2.ChargePoint(identity="NEW"), authorization_key=b"0123456789abcdef"
    ),
    "charge_points.GetChargePoint": charge_point_pb2.GetChargePointRequest(identity="CP1"),
    "charge_points.ListChargePoints": charge_point_pb2.ListChargePointsRequest(),
    "charge_points.DeleteChargePoint": charge_point_pb2.DeleteChargePointRequest(identity="CP1"),
    "id_tags.CreateIdTag": id_tag_pb2.CreateIdTagRequest(
        id_tag=id_tag_pb2.IdTag(id_tag="T", status=id_tag_pb2.ID_TAG_STATUS_ACCEPTED)
    ),
    "id_tags.GetIdTag": id_tag_pb2.GetIdTagRequest(id_tag="T"),
    "id_tags.ListIdTags": id_tag_pb2.ListIdTagsRequest(),
    "id_tags.DeleteIdTag": id_tag_pb2.DeleteIdTagRequest(id_tag="T"),
    "transactions.GetTransaction": transaction_pb2.GetTransactionRequest(transaction_id="tx_1"),
    "transactions.ListTransactions": transaction_pb2.ListTransactionsRequest(),
    "transactions.ListTransactionReadings": transaction_pb2.ListTransactionReadingsRequest(transaction_id="tx_1"),
    "transactions.CloseTransaction": transaction_pb2.CloseTransactionRequest(transaction_id="tx_1", reason="gone"),
    "transactions.ListOrphans": transaction_pb2.ListOrphansRequest(),
    "energy.ListTransactionEnergy": energy_pb2.ListTransactionEnergyRequest(transaction_id="tx_1"),
    "energy.ComputeCost": energy_pb2.ComputeCostRequest(
        transaction_id="tx_1",
        price_schedule=energy_pb2.PriceSchedule(
            currency="EUR",
            daily_prices=[energy_pb2.DailyPrice(start_of_day="00:00", end_of_day="24:00", price_per_kwh="1")],
        ),
    ),
    "energy.EstimateCompletion": energy_pb2.EstimateCompletionRequest(transaction_id="tx_1", soc_percent=80),
    "diagnostics.ListFrames": diagnostics_pb2.ListFramesRequest(charge_point="CP1"),
}


@pytest.mark.parametrize("rpc", NEEDS_THE_STORE)
async def test_a_caller_is_answered_that_the_store_is_unavailable(gateway, failing, monkeypatch, rpc):
    """With its reason, and nothing of what the disk said."""
    await gateway.charge_point("CP1")

    async def fails(*_, **__):
        raise StoreUnavailable("/var/lib/gateway.db: disk I/O error")

    monkeypatch.setattr(gateway.journal, "read", fails)
    monkeypatch.setattr(gateway.journal, "commit", fails)
    service, method = rpc.split(".")
    problem = await failing(getattr(getattr(gateway.client, service), method), NEEDS_THE_STORE[rpc])
    assert (problem.code, problem.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert "gateway.db" not in problem.message
