"""The energy of ended transactions: its revisions, their events, and when it is final."""

from datetime import timedelta

import grpc

from gateway.api.v1 import common_pb2, transaction_pb2
from gateway.api.v1 import energy_pb2 as pb
from gateway.control.energy import TransactionEnergies
from gateway.control.settlement import SETTLE_AFTER, Settlement
from gateway.domain import events as e
from gateway.domain.codec import body_of
from gateway.domain.values import ConnectorAddress, Flag, Registration
from gateway.energy.session import RULES_VERSION
from gateway.store.api import EventFilter
from gateway.store.commits import Append, Appended, GuardFailed, OpenSession, Trim
from gateway.store.energy_commits import SettleEnergy
from gateway.store.reads import Reads
from gateway.store.sqlite import SqliteStore
from tests.control.fakes import NOW
from tests.control.test_energy import charged, cost_request, energy_request, record, values

ONE = ConnectorAddress(1, 1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class Settled:
    """A settlement of what the control interface shows, with a clock that a test sets."""

    def __init__(self, gateway):
        self.now = NOW + 3 * HOUR
        self.gateway = gateway
        reads = Reads(gateway.store, gateway.journal)
        self.energies = TransactionEnergies(reads, lambda: self.now)
        self.settlement = Settlement(gateway.journal, reads, self.energies, lambda: self.now)

    async def settle(self):
        await self.settlement.settle_due()

    async def state(self, transaction_id="tx_1"):
        return (await self.energies.worked_out(transaction_id)).state.value


def revisions(store, transaction_id="tx_1"):
    """The bodies of its energy's events, in order."""
    page = store.events(0, 1_000, EventFilter(types=frozenset({"transaction.energy_changed"})))
    return [body for body in map(body_of, page.events) if body.transaction_id == transaction_id]


async def disconnect(gateway, epoch, at, heard):
    body = e.ChargePointDisconnected("closed", "peer", last_heard=heard)
    assert isinstance(await gateway.journal.commit(Append("CP1", epoch, (e.NewEvent(body, at),))), Appended)


async def connect(gateway, at):
    opened = await gateway.journal.commit(OpenSession("CP1", e.ChargePointConnected("192.0.2.1:1", "ocpp1.6", 2), at))
    return opened.epoch


async def test_an_ended_transactions_energy_is_recorded_once(gateway):
    """Some seconds after its end, with how it was found; while nothing comes, it is never recorded again."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    settled = Settled(gateway)
    settled.now = NOW + 2 * HOUR + SETTLE_AFTER - timedelta(milliseconds=1)
    await settled.settle()
    assert revisions(gateway.store) == []
    settled.now += timedelta(seconds=1)
    await settled.settle()
    await settled.settle()
    (first,) = revisions(gateway.store)
    assert (first.revision, first.mwh, first.previous_mwh) == (1, 8_000_000, None)
    assert (first.previous_state, first.state, first.why) == ("running", "provisional", "stopped")
    assert (first.basis, first.doubts, first.rules_version) == ("stop-minus-start", (), RULES_VERSION)
    shown = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert (shown.energy.revision, shown.energy.pending, shown.energy.rules_differ) == (1, False, False)
    assert shown.energy.recorded_energy.watt_hours == "8000"


async def test_an_open_transaction_has_no_revision(gateway):
    """Its energy runs, in the list as in its own answer, by the registers so far."""
    epoch = await gateway.charge_point()
    samples = [(NOW + n * MINUTE, 1000 + 100 * n) for n in range(1, 20)]
    await charged(gateway, epoch, samples=samples)
    settled = Settled(gateway)
    await settled.settle()
    assert revisions(gateway.store) == []
    stub = gateway.client.transactions
    one = await gateway.call(stub.GetTransaction, transaction_pb2.GetTransactionRequest(transaction_id="tx_1"))
    (listed,) = (await gateway.call(stub.ListTransactions, transaction_pb2.ListTransactionsRequest())).transactions
    for shown in (one.transaction, listed):
        assert shown.energy_so_far.watt_hours == "1900"
        assert shown.energy_summary.state == common_pb2.ENERGY_STATE_RUNNING
        assert shown.energy_summary.basis == common_pb2.ENERGY_BASIS_REGISTER_DELTAS
        assert (shown.energy_summary.revision, shown.energy_summary.pending) == (0, False)


async def test_an_ended_transaction_shows_its_recorded_energy_in_lists(gateway):
    """Without reading what was metered."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    request = transaction_pb2.ListTransactionsRequest()
    (before,) = (await gateway.call(gateway.client.transactions.ListTransactions, request)).transactions
    assert (before.energy_summary.pending, before.energy_summary.HasField("energy")) == (True, False)
    await Settled(gateway).settle()
    (shown,) = (await gateway.call(gateway.client.transactions.ListTransactions, request)).transactions
    summary = shown.energy_summary
    assert (summary.energy.watt_hours, summary.revision, summary.pending) == ("8000", 1, False)
    assert summary.basis == common_pb2.ENERGY_BASIS_STOP_MINUS_START
    assert not shown.HasField("energy_so_far")


async def test_a_late_sample_is_a_revision_though_the_total_stays(gateway, failing):
    """It says when the energy flowed; a cost by the revision before is refused, with both named."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    settled = Settled(gateway)
    await settled.settle()
    cost = gateway.client.energy.ComputeCost
    request = cost_request()
    request.revision = 1
    assert (await gateway.call(cost, request)).energy.revision == 1
    late = e.MeterValuesReported(ONE, values((NOW + HOUR, 2000)), "tx_1")
    await record(gateway, epoch, late, NOW + HOUR, NOW + 3 * HOUR, (Flag.LATE,))
    problem = await failing(cost, request)
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ENERGY_REVISED")
    assert (problem.metadata["wanted_revision"], problem.metadata["pending"]) == ("1", "true")
    pending = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert (pending.energy.revision, pending.energy.pending) == (1, True)
    settled.now += HOUR
    await settled.settle()
    first, second = revisions(gateway.store)
    assert (second.revision, second.mwh, second.previous_mwh, second.why) == (2, 8_000_000, 8_000_000, "readings")
    assert second.digest != first.digest
    problem = await failing(cost, request)
    assert "not of revision 1: it is of 2" in problem.message
    assert (problem.metadata["wanted_revision"], problem.metadata["revision"]) == ("1", "2")
    request.revision = 2
    found = await gateway.call(cost, request)
    assert found.energy.revision == 2
    assert found.energy.provenance == common_pb2.PROVENANCE_REPLAYED
    assert found.energy.replayed_message_count == 1


async def test_a_late_sample_that_changes_nothing_is_no_revision(gateway):
    """It is looked at once."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000, samples=[(NOW + HOUR, 5000)])
    settled = Settled(gateway)
    await settled.settle()
    again = e.MeterValuesReported(ONE, values((NOW + HOUR, 5000)), "tx_1")
    await record(gateway, epoch, again, NOW + HOUR, NOW + 3 * HOUR, (Flag.LATE,))
    settled.now += HOUR
    await settled.settle()
    assert len(revisions(gateway.store)) == 1
    assert gateway.store.due_energies(settled.now, 10) == []
    shown = await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())
    assert (shown.energy.revision, shown.energy.pending) == (1, False)


async def test_a_stop_after_a_lost_one_is_a_revision(gateway):
    """Old and new follow on each other."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 5000)])
    await record(gateway, epoch, e.TransactionLost("tx_1", ONE), None, NOW + 2 * HOUR)
    settled = Settled(gateway)
    await settled.settle()
    await record(gateway, epoch, e.TransactionStopped("tx_1", ONE, 9000, "Local", 8000), NOW + 2 * HOUR, NOW + 4 * HOUR)
    settled.now += 2 * HOUR
    await settled.settle()
    lost, stopped = revisions(gateway.store)
    assert (lost.why, lost.mwh, lost.doubts, lost.quiet_seconds) == ("lost", 4_000_000, ("stop-missing",), 86_400)
    assert (stopped.why, stopped.mwh, stopped.previous_mwh) == ("stop", 8_000_000, 4_000_000)
    assert (stopped.previous_state, stopped.state, stopped.doubts) == ("provisional", "provisional", ())


async def test_energy_is_final_when_its_charge_point_was_connected_and_quiet_for_long_enough(gateway):
    """In all, over several connections; what comes then all the same makes it provisional again."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    end = NOW + 2 * HOUR
    await disconnect(gateway, epoch, end + 6 * MINUTE, end + 5 * MINUTE)
    settled = Settled(gateway)
    settled.now = end + 10 * HOUR
    # The record tells of the flags of a stop by its time as sent, which is "raw" here: no time, so an hour is needed.
    await settled.settle()
    assert revisions(gateway.store)[0].quiet_seconds == 3600
    assert await settled.state() == "provisional"
    epoch = await connect(gateway, end + 10 * HOUR)
    settled.now = end + 10 * HOUR + 54 * MINUTE
    assert await settled.state() == "provisional"
    settled.now += MINUTE
    assert await settled.state() == "final"
    late = e.MeterValuesReported(ONE, values((NOW + HOUR, 2000)), "tx_1")
    await record(gateway, epoch, late, NOW + HOUR, settled.now, (Flag.LATE,))
    assert await settled.state() == "provisional"
    settled.now += MINUTE
    await settled.settle()
    assert revisions(gateway.store)[-1].previous_state == "final"
    assert await settled.state() == "provisional"
    settled.now += 59 * MINUTE
    assert await settled.state() == "final"


async def test_a_timely_stop_is_final_after_ten_minutes(gateway):
    """Its time as sent agrees with its receipt."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch)
    end = NOW + HOUR
    body = e.TransactionStopped("tx_1", ONE, 9000, "Local", 8000)
    stop = e.NewEvent(body, end, end, end.isoformat(), (), "message:m2")
    await gateway.journal.commit(Append("CP1", epoch, (stop,)))
    settled = Settled(gateway)
    await settled.settle()
    for minutes, state in ((9, "provisional"), (10, "final")):
        settled.now = end + minutes * MINUTE
        assert await settled.state() == state


async def test_what_ended_under_a_clock_that_was_ahead_is_settled(gateway):
    """Twelve years: the clock is right again by then, and its energy does not wait for it to come there."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000, end=NOW + timedelta(days=12 * 365))
    settled = Settled(gateway)
    await settled.settle()
    await settled.settle()
    (first,) = revisions(gateway.store)
    assert (first.revision, first.mwh) == (1, 8_000_000)


async def test_a_crash_between_a_stop_and_its_record_records_it_once(gateway, tmp_path):
    """That it is due is on disk with what made it so; a restart ends the connection where it was last heard of."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    settled = Settled(gateway)
    assert [each.transaction_id for each in gateway.store.due_energies(settled.now, 10)] == ["tx_1"]
    gateway.store.close()
    store = SqliteStore(tmp_path / "gateway.db")
    try:
        store.settle(NOW + 20 * HOUR)
        assert [each.transaction_id for each in store.due_energies(settled.now, 10)] == ["tx_1"]
        known = store.transaction("tx_1").settlement
        assert known.connected_since is None
        assert known.quiet <= timedelta()
    finally:
        store.close()


async def test_a_result_that_is_out_of_date_is_not_recorded(gateway):
    """An event between the reading and the commit is counted in the next round."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    settled = Settled(gateway)
    known = gateway.store.transaction("tx_1").settlement
    late = e.MeterValuesReported(ONE, values((NOW + HOUR, 2000)), "tx_1")
    await record(gateway, epoch, late, NOW + HOUR, NOW + 2 * HOUR)
    for position, revision in ((known.newest, 0), (gateway.store.transaction("tx_1").settlement.newest, 1)):
        write = SettleEnergy("CP1", "tx_1", position, revision, None)
        assert await gateway.journal.commit(write) == GuardFailed()
    await settled.settle()
    assert [each.revision for each in revisions(gateway.store)] == [1]


async def test_what_retention_takes_changes_no_revision(gateway):
    """Start and stop are left, and the recorded energy stands."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + HOUR, 5000)])
    await record(gateway, epoch, e.TransactionLost("tx_1", ONE), None, NOW + 2 * HOUR)
    settled = Settled(gateway)
    await settled.settle()
    while (await gateway.journal.commit(Trim(NOW + 90 * 24 * HOUR, 1_000))).deleted:
        pass
    late = e.MeterValuesReported(ONE, values((NOW + HOUR, 9000)), "tx_1")
    await record(gateway, epoch, late, NOW + HOUR, NOW + 3 * HOUR)
    settled.now += HOUR
    await settled.settle()
    record_ = gateway.store.transaction("tx_1").settlement
    assert (record_.revision, record_.mwh, record_.due) == (1, 4_000_000, False)


async def test_other_rules_change_no_bill_silently(gateway):
    """The recorded energy stands beside what these rules make of the same readings."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    known = gateway.store.transaction("tx_1").settlement
    older = e.TransactionEnergyChanged(
        "tx_1", ONE, 1, 7_999_000, None, "provisional", "running", "stopped", 0, "segments", "00", 600
    )
    write = SettleEnergy("CP1", "tx_1", known.newest, 0, e.NewEvent(older, NOW + 2 * HOUR))
    assert isinstance(await gateway.journal.commit(write), Appended)
    settled = Settled(gateway)
    await settled.settle()
    assert len(revisions(gateway.store)) == 1
    shown = (await gateway.call(gateway.client.energy.ListTransactionEnergy, energy_request())).energy
    assert (shown.rules_differ, shown.pending) == (True, False)
    assert (shown.energy.watt_hours, shown.rules_version) == ("8000", RULES_VERSION)
    assert (shown.recorded_energy.watt_hours, shown.recorded_rules_version) == ("7999", 0)


async def test_one_that_can_not_be_worked_out_keeps_none_from_it(gateway, monkeypatch):
    """It is looked at once, and those after it are settled."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000, samples=[(NOW + n * MINUTE, 1000 + n) for n in range(9)])
    await charged(gateway, epoch, 2, stop=9000)
    monkeypatch.setattr("gateway.control.energy.MAX_EVENTS", 5)
    settled = Settled(gateway)
    await settled.settle()
    await settled.settle()
    assert revisions(gateway.store) == []
    assert [each.mwh for each in revisions(gateway.store, "tx_2")] == [8_000_000]
    assert gateway.store.due_energies(settled.now, 10) == []


async def test_another_meter_on_the_way_begins_another_segment(gateway):
    """By the serial numbers of the boots between its registers, as they were flagged and as they follow one another."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, start=100_000, samples=[(NOW + HOUR, 104_000)])
    for serial, at, flags in (("M1", 61, ()), ("M2", 62, (Flag.METER_CHANGED,)), ("M3", 200, ())):
        boot = e.BootInformation("V", "M", meter_serial_number=serial)
        body = e.ChargePointBooted(boot, Registration.ACCEPTED, 300)
        await record(gateway, epoch, body, None, NOW + at * MINUTE, flags)
    sample = e.MeterValuesReported(ONE, values((NOW + 70 * MINUTE, 104_500), (NOW + 80 * MINUTE, 105_000)), "tx_1")
    await record(gateway, epoch, sample, NOW + 80 * MINUTE)
    stopped = e.TransactionStopped("tx_1", ONE, 106_000, "Local", 6000)
    await record(gateway, epoch, stopped, NOW + 2 * HOUR)
    await Settled(gateway).settle()
    (first,) = revisions(gateway.store)
    assert (first.mwh, first.basis) == (4_000_000 + 1_500_000, "segments")
    assert "meter-changed" in first.doubts


async def test_a_revision_and_a_position_are_not_asked_for_together(gateway, failing):
    """A position names earlier messages, and these have no revision."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, stop=9000)
    await Settled(gateway).settle()
    request = cost_request()
    request.revision, request.position = 1, 2
    problem = await failing(gateway.client.energy.ComputeCost, request)
    assert [name for name, _ in problem.violations] == ["revision"]
    request = cost_request()
    request.revision = -1
    problem = await failing(gateway.client.energy.ComputeCost, request)
    assert [name for name, _ in problem.violations] == ["revision"]
    earlier = await gateway.call(gateway.client.energy.ListTransactionEnergy, pb.ListTransactionEnergyRequest(
        transaction_id="tx_1", position=gateway.store.transaction("tx_1").start_sequence))  # fmt: skip
    assert (earlier.energy.revision, earlier.energy.pending, earlier.energy.HasField("recorded_energy")) == (
        0,
        False,
        False,
    )


async def test_a_list_works_out_no_large_messages(gateway):
    """Of an open transaction's first and last readings those that are large are left out; its own answer has all."""
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + MINUTE, 2000)])
    large = [{"timestamp": (NOW + HOUR).isoformat(), "sampledValue": [{"value": "3000", "context": "x" * 20_000}]}]
    await record(gateway, epoch, e.MeterValuesReported(ONE, large, "tx_1"), NOW + HOUR)
    stub = gateway.client.transactions
    one = await gateway.call(stub.GetTransaction, transaction_pb2.GetTransactionRequest(transaction_id="tx_1"))
    (listed,) = (await gateway.call(stub.ListTransactions, transaction_pb2.ListTransactionsRequest())).transactions
    assert one.transaction.energy_so_far.watt_hours == "2000"
    assert listed.energy_so_far.watt_hours == "1000"


async def test_an_open_transaction_with_too_many_readings_is_shown_all_the_same(gateway, monkeypatch):
    """Without the energy so far."""
    monkeypatch.setattr("gateway.control.energy.MAX_EVENTS", 2)
    epoch = await gateway.charge_point()
    await charged(gateway, epoch, samples=[(NOW + n * MINUTE, 2000) for n in range(1, 5)])
    stub = gateway.client.transactions.GetTransaction
    one = await gateway.call(stub, transaction_pb2.GetTransactionRequest(transaction_id="tx_1"))
    assert not one.transaction.HasField("energy_so_far")
    assert one.transaction.energy_summary.state == common_pb2.ENERGY_STATE_RUNNING
