"""The table of endings, walked over gRPC: changes and reads with the store beside them, and what gRPC answers."""

import time
from contextlib import asynccontextmanager

import grpc
import pytest
import trio
from attrs import define, field

from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import energy_pb2 as energy
from gateway.api.v1 import id_tag_pb2 as tags
from gateway.api.v1 import transaction_pb2 as transactions
from gateway.api.v1 import vendor_data_pb2 as vendor
from gateway.client import problem_of
from gateway.control.outcomes import BARE, CHANGES, COMMANDS, READS, REQUESTS, Effect
from gateway.control.services.deserialization import MAX_RECEIVED_BYTES, MAX_REQUEST_BYTES
from gateway.domain.events import (
    NewEvent,
    TransactionAttributed,
    TransactionOrphaned,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.records import IdTagRecord
from gateway.domain.records import LiveSession as Live
from gateway.domain.values import ConnectorAddress
from gateway.errors import CommitUnknown, StoreUnavailable
from gateway.store.commits import Append, CreateChargePoint, PutIdTag
from tests.control.fakes import NOW, control
from tests.control.test_fleet_import import asking, one
from tests.control.test_outcomes import OVER_GRPC
from tests.support.outcomes_page import PAGE, page

KEY = b"\x00\xff:a key in bytes"
SECONDS = 1.0
"""Of a caller who does not wait for long."""


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    """The slow hash at its lowest cost: its strength is tested elsewhere."""
    monkeypatch.setattr("gateway.domain.credentials._LOG2_N", 1)


@define
class Gate:
    """The journal as the control interface sees it, with a disk that a test commands.

    ``commit``: "", "refused", "kept" or "lost" (neither is answered until the gate opens), "kept-failing" or
    "lost-failing" (in doubt at once), "bug" (after it was kept). ``read``: "", "refused", "stalled", "bug"; of reads
    after a commit only with ``after_commit``.
    """

    journal: object
    commit_: str = ""
    read_: str = ""
    after_commit: bool = False
    opened: trio.Event = field(factory=trio.Event)
    begun: trio.Event = field(factory=trio.Event)
    _committed: bool = False

    async def commit(self, write):
        self.begun.set()
        self._committed = True
        if self.commit_ == "refused":
            raise StoreUnavailable("the disk is full")
        result = None if self.commit_.startswith("lost") else await self.journal.commit(write)
        if self.commit_.endswith("failing"):
            raise CommitUnknown("the sync failed")
        if self.commit_ == "bug":
            raise KeyError("the secret of the house")
        if self.commit_:
            await self.opened.wait()
            if result is None:
                raise StoreUnavailable("it never came to it")
        return result

    async def read(self, fn, *args):
        if self.read_ and self._committed == self.after_commit:
            self.begun.set()
            if self.read_ == "refused":
                raise StoreUnavailable("the disk can't be read")
            if self.read_ == "bug":
                raise KeyError("the secret of the house")
            await self.opened.wait()
        return await self.journal.read(fn, *args)


@define
class Gateway:
    """A control interface behind a gate, with the charge point CP1 and the tag TAG."""

    control: object
    gate: Gate

    async def ends(self, send, seconds=10.0):
        """The end of ``send``: the problem, or None."""

        def call():
            began = time.monotonic()
            try:
                send(self.control.client, seconds)
            except grpc.RpcError as error:
                problem = problem_of(error)
            else:
                problem = None
            return problem, time.monotonic() - began

        problem, took = await trio.to_thread.run_sync(call)
        return problem, took


@asynccontextmanager
async def gateway(path, **options):
    gates = []

    def seen(journal):
        gates.append(Gate(journal))
        return gates[0]

    async with control(path, journal_seen=seen, **options) as running:
        await running.journal.commit(CreateChargePoint("CP1", "Accepted", (), NOW))
        await running.journal.commit(PutIdTag(IdTagRecord("TAG", "Accepted", NOW, NOW), create=True))
        stops = [TransactionOrphaned(number, "unknown-number", {"meterStop": 9}) for number in (7, 8)]
        there = (
            started("tx_1", 1),
            started("tx_2", 2),
            TransactionStopped("tx_2", CONNECTOR, 9, "Local", 9),
            *stops,
            started("tx_3", 3),
            started("tx_4", 4, 100),
            TransactionAttributed("tx_3", CONNECTOR, 5, "", 7, 9, "Local", 9, NOW, "found", "used"),
        )
        await running.journal.commit(Append("CP1", None, tuple(NewEvent(body, NOW) for body in there)))
        yield Gateway(running, gates[0])


CONNECTOR = ConnectorAddress(1, 1)


def started(transaction_id, number, register=0):
    return TransactionStarted(transaction_id, number, CONNECTOR, "TAG", "Accepted", register, f"key{number}")


# --- what changes something ---------------------------------------------------------------------------------------


def create(client, seconds, identity="NEW", key=KEY):
    request = points.CreateChargePointRequest(charge_point={"identity": identity}, authorization_key=key)
    client.call(client.charge_points.CreateChargePoint, request, seconds)


def update(client, seconds, identity="CP1", etag="", mask=("description",)):
    request = points.UpdateChargePointRequest(
        charge_point={"identity": identity, "description": "changed", "etag": etag}, update_mask={"paths": mask}
    )
    client.call(client.charge_points.UpdateChargePoint, request, seconds)


def delete(client, seconds, identity="CP1"):
    client.call(client.charge_points.DeleteChargePoint, points.DeleteChargePointRequest(identity=identity), seconds)


def disconnect(client, seconds, identity="CP1"):
    request = points.DisconnectChargePointRequest(identity=identity)
    client.call(client.charge_points.DisconnectChargePoint, request, seconds)


def bring_in(client, seconds, identity="NEW"):
    for _ in client.charge_points.ImportChargePoints(iter(asking(one(identity))), timeout=seconds):
        pass


def create_tag(client, seconds, tag="NEW"):
    client.call(client.id_tags.CreateIdTag, tags.CreateIdTagRequest(id_tag={"id_tag": tag, "status": 1}), seconds)


def update_tag(client, seconds, tag="TAG", etag="", mask=("status",)):
    request = tags.UpdateIdTagRequest(
        id_tag={"id_tag": tag, "status": tags.ID_TAG_STATUS_BLOCKED, "etag": etag}, update_mask={"paths": mask}
    )
    client.call(client.id_tags.UpdateIdTag, request, seconds)


def delete_tag(client, seconds, tag="TAG"):
    client.call(client.id_tags.DeleteIdTag, tags.DeleteIdTagRequest(id_tag=tag), seconds)


def close(client, seconds, transaction_id="tx_1", register=None):
    request = transactions.CloseTransactionRequest(
        transaction_id=transaction_id, reason="gone", meter_stop_watt_hours=register
    )
    client.call(client.transactions.CloseTransaction, request, seconds)


def attribute(client, seconds, number, transaction_id, request_id="new"):
    listed = client.call(client.transactions.ListOrphans, transactions.ListOrphansRequest(), seconds).orphans
    (orphan,) = [each.event_id for each in listed if each.transaction_orphaned.number == number]
    request = transactions.AttributeOrphanRequest(
        orphan_event_id=orphan, transaction_id=transaction_id, reason="found", request_id=request_id
    )
    client.call(client.transactions.AttributeOrphan, request, seconds)


DONE = {
    create: lambda store: store.charge_point("NEW") is not None,
    update: lambda store: store.charge_point("CP1").description == "changed",
    delete: lambda store: store.charge_point("CP1") is None,
    bring_in: lambda store: store.charge_point("NEW") is not None,
    create_tag: lambda store: store.id_tag("NEW") is not None,
    update_tag: lambda store: store.id_tag("TAG").status == "Blocked",
    delete_tag: lambda store: store.id_tag("TAG") is None,
    close: lambda store: store.transaction("tx_1").state == "CLOSED",
}
"""The changes that are kept, and whether one is."""

READ_FIRST = (update_tag, bring_in, close)
"""Changes that read before they write."""

READ_LAST = (create, update, create_tag, update_tag, close)
"""Changes that read back what they wrote."""

ABOUT = {create: "charge_point", update: "charge_point", delete: "charge_point", create_tag: "id_tag",
         update_tag: "id_tag", delete_tag: "id_tag", close: "transaction_id"}  # fmt: skip


def row_of(rows, name):
    (row,) = [each for each in rows if each.name == name]
    return row


WALKED = set()


def brings_about(*names):
    """The test brings these rows about."""
    WALKED.update(names)
    return lambda test: test


def check(row, problem):
    if row.status == "OK":
        assert problem is None
        return
    assert problem is not None
    assert (problem.code.name, problem.reason) == (row.status, row.reason), str(problem)
    assert set(row.metadata) <= problem.metadata.keys()
    if row.cause:
        assert problem.metadata["cause"] == row.cause
    assert "secret" not in str(problem)


async def is_settled(running, send, kept):
    """Also when the disk goes on: nothing comes of what was given up, and what was kept stays."""
    running.gate.opened.set()
    with trio.fail_after(60):
        while kept and not DONE[send](running.control.store):  # noqa: ASYNC110 - its thread does it, and says nothing
            await trio.sleep(0.01)
    await trio.sleep(0.1)
    assert DONE[send](running.control.store) is kept


@brings_about("changed")
@pytest.mark.parametrize("send", DONE)
async def test_a_change_that_is_answered_is_kept(tmp_path, send):
    """It is there when the answer comes."""
    async with gateway(tmp_path) as running:
        problem, _ = await running.ends(send)
        check(row_of(CHANGES, "changed"), problem)
        await is_settled(running, send, True)


REFUSALS = [
    ("malformed", lambda client, s: update(client, s, mask=("nothing",)), "INVALID_REQUEST"),
    ("malformed", lambda client, s: update_tag(client, s, mask=("nothing",)), "INVALID_REQUEST"),
    ("malformed", lambda client, s: create(client, s, key=b""), "INVALID_REQUEST"),
    ("malformed", lambda client, s: disconnect(client, s, ""), "INVALID_REQUEST"),
    ("no-such-thing", lambda client, s: update(client, s, "CP9"), "UNKNOWN_CHARGE_POINT"),
    ("no-such-thing", lambda client, s: delete(client, s, "CP9"), "UNKNOWN_CHARGE_POINT"),
    ("no-such-thing", lambda client, s: disconnect(client, s, "CP9"), "UNKNOWN_CHARGE_POINT"),
    ("no-such-thing", lambda client, s: update_tag(client, s, "TAG9"), "UNKNOWN_ID_TAG"),
    ("no-such-thing", lambda client, s: delete_tag(client, s, "TAG9"), "UNKNOWN_ID_TAG"),
    ("taken", lambda client, s: create(client, s, "CP1"), "CHARGE_POINT_EXISTS"),
    ("taken", lambda client, s: bring_in(client, s, "CP1"), "CHARGE_POINT_EXISTS"),
    ("taken", lambda client, s: create_tag(client, s, "TAG"), "ID_TAG_EXISTS"),
    ("changed-by-another", lambda client, s: update(client, s, etag="999"), "ETAG_MISMATCH"),
    ("changed-by-another", lambda client, s: update_tag(client, s, etag="999"), "ETAG_MISMATCH"),
    ("not-connected", disconnect, "CHARGE_POINT_OFFLINE"),
    ("no-such-thing", lambda client, s: close(client, s, "tx_9"), "UNKNOWN_TRANSACTION"),
    ("not-open", lambda client, s: close(client, s, "tx_2"), "TRANSACTION_NOT_OPEN"),
    ("below-the-last-register", lambda client, s: close(client, s, "tx_4", 99), "METER_BELOW_LAST"),
    ("below-the-start", lambda client, s: attribute(client, s, 8, "tx_4"), "METER_BELOW_START"),
    ("has-a-stop", lambda client, s: attribute(client, s, 8, "tx_2"), "TRANSACTION_STOPPED"),
    ("attributed", lambda client, s: attribute(client, s, 7, "tx_1"), "ORPHAN_ATTRIBUTED"),
    ("attributed-by-that-id", lambda client, s: attribute(client, s, 8, "tx_1", "used"), "REQUEST_ID_REUSED"),
    ("malformed", lambda client, s: attribute(client, s, 8, ""), "INVALID_REQUEST"),
]  # fmt: skip


@brings_about("malformed", "no-such-thing", "taken", "changed-by-another", "not-connected", "not-open")
@brings_about("below-the-last-register", "below-the-start", "has-a-stop", "attributed", "attributed-by-that-id")
@pytest.mark.parametrize(("name", "send", "reason"), REFUSALS)
async def test_a_change_that_is_refused_changes_nothing(tmp_path, name, send, reason):
    """The store's events are those of before."""
    async with gateway(tmp_path) as running:
        before = running.control.store.bounds().head
        problem, _ = await running.ends(send)
        row = row_of(CHANGES, name)
        assert (problem.code.name, problem.reason) == (row.status, reason)
        assert running.control.store.bounds().head == before
        assert running.control.store.id_tag("TAG").revision == 1


@brings_about("no-room-for-a-change")
@pytest.mark.parametrize("send", DONE)
async def test_a_change_beyond_what_the_bridge_carries_is_not_begun(tmp_path, send):
    """RESOURCE_EXHAUSTED, with a reason."""
    async with gateway(tmp_path, max_calls=0, max_streams=0) as running:
        problem, _ = await running.ends(send)
        check(row_of(CHANGES, "no-room-for-a-change"), problem)
        await is_settled(running, send, False)


@brings_about("no-time-to-change")
@pytest.mark.parametrize("send", DONE)
async def test_a_change_with_less_time_than_the_margin_is_not_begun(tmp_path, send):
    """And says so before the caller's clock runs out."""
    async with gateway(tmp_path) as running:
        problem, took = await running.ends(send, 0.2)
        assert took < 0.2
        check(row_of(CHANGES, "no-time-to-change"), problem)
        await is_settled(running, send, False)


@brings_about("no-time-to-change")
@pytest.mark.parametrize("send", READ_FIRST)
async def test_a_change_that_is_given_up_before_its_commit_never_happens(tmp_path, send):
    """The disk stalls while it reads; when it goes on, nothing comes of it."""
    async with gateway(tmp_path) as running:
        running.gate.read_ = "stalled"
        problem, took = await running.ends(send, SECONDS)
        assert took < SECONDS
        check(row_of(CHANGES, "no-time-to-change"), problem)
        await is_settled(running, send, False)


async def test_a_change_that_is_given_up_while_it_waits_for_another_never_happens(tmp_path):
    """Changes of charge points are committed one after the other, and no caller's end hurries one."""
    async with gateway(tmp_path) as running, trio.open_nursery() as nursery:
        running.gate.commit_ = "kept"
        nursery.start_soon(running.ends, update, SECONDS)
        await running.gate.begun.wait()
        problem, took = await running.ends(delete, SECONDS)
        assert took < SECONDS
        check(row_of(CHANGES, "no-time-to-change"), problem)
        await is_settled(running, update, True)
        assert running.control.store.charge_point("CP1") is not None


@brings_about("deadline-while-changing")
@pytest.mark.parametrize("kept", ["kept", "lost"])
@pytest.mark.parametrize("send", DONE)
async def test_a_change_that_the_disk_does_not_answer_in_time_is_unknown(tmp_path, send, kept):
    """With a reason, before the caller's clock runs out, however long the commit takes."""
    async with gateway(tmp_path) as running:
        running.gate.commit_ = kept
        problem, took = await running.ends(send, SECONDS)
        assert took < SECONDS
        check(row_of(CHANGES, "deadline-while-changing"), problem)
        assert ABOUT.get(send, "cause") in problem.metadata
        await is_settled(running, send, kept == "kept")


@brings_about("store-takes-no-change")
@pytest.mark.parametrize("send", DONE)
async def test_a_change_that_the_store_does_not_take_is_not_done(tmp_path, send):
    """UNAVAILABLE: it may be repeated as it is."""
    async with gateway(tmp_path) as running:
        running.gate.commit_ = "refused"
        problem, _ = await running.ends(send)
        check(row_of(CHANGES, "store-takes-no-change"), problem)
        await is_settled(running, send, False)


@brings_about("store-fails-while-changing")
@pytest.mark.parametrize("kept", ["kept", "lost"])
@pytest.mark.parametrize("send", DONE)
async def test_a_change_that_the_store_fails_at_is_unknown(tmp_path, send, kept):
    """It may be found on the disk, or not."""
    async with gateway(tmp_path) as running:
        running.gate.commit_ = f"{kept}-failing"
        problem, _ = await running.ends(send)
        check(row_of(CHANGES, "store-fails-while-changing"), problem)
        await is_settled(running, send, kept == "kept")


@brings_about("store-fails-after-the-change")
@pytest.mark.parametrize("send", READ_LAST)
async def test_a_change_that_can_not_be_read_back_is_unknown_and_not_undone(tmp_path, send):
    """It was STORE_UNAVAILABLE, of something that is there."""
    async with gateway(tmp_path) as running:
        running.gate.read_, running.gate.after_commit = "refused", True
        problem, _ = await running.ends(send)
        check(row_of(CHANGES, "store-fails-after-the-change"), problem)
        await is_settled(running, send, True)


async def stopped(running, send):
    """The end of a call that is under way when the gateway stops and its grace is over."""
    ended = []

    async def call():
        ended.append(await running.ends(send, 20.0))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await running.gate.begun.wait()
            await trio.sleep(0.05)
            running.control.server.drain(0.2)
    ((problem, _),) = ended
    return problem


@brings_about("stopped-before-the-change")
@pytest.mark.parametrize("send", READ_FIRST)
async def test_a_change_that_a_stop_overtakes_before_its_commit_never_happens(tmp_path, send):
    """UNAVAILABLE, with a reason."""
    async with gateway(tmp_path) as running:
        running.gate.read_ = "stalled"
        problem = await stopped(running, send)
        check(row_of(CHANGES, "stopped-before-the-change"), problem)
        await is_settled(running, send, False)


@brings_about("stopped-while-changing")
@pytest.mark.parametrize("kept", ["kept", "lost"])
@pytest.mark.parametrize("send", DONE)
async def test_a_change_that_a_stop_overtakes_at_its_commit_is_unknown(tmp_path, send, kept):
    """gRPC would end it without a reason."""
    async with gateway(tmp_path) as running:
        running.gate.commit_ = kept
        problem = await stopped(running, send)
        check(row_of(CHANGES, "stopped-while-changing"), problem)
        await is_settled(running, send, kept == "kept")


@brings_about("bug-before-the-change")
@pytest.mark.parametrize("send", READ_FIRST)
async def test_a_bug_before_the_commit_is_no_change(tmp_path, send):
    """INTERNAL, and nothing of the bug is shown."""
    async with gateway(tmp_path) as running:
        running.gate.read_ = "bug"
        problem, _ = await running.ends(send)
        check(row_of(CHANGES, "bug-before-the-change"), problem)
        await is_settled(running, send, False)


@brings_about("bug-after-the-change")
@pytest.mark.parametrize("send", DONE)
async def test_a_bug_at_the_commit_leaves_the_outcome_unknown(tmp_path, send):
    """INTERNAL would not say that it may have been done."""
    async with gateway(tmp_path) as running:
        running.gate.commit_ = "bug"
        problem, _ = await running.ends(send)
        check(row_of(CHANGES, "bug-after-the-change"), problem)
        await is_settled(running, send, True)


async def test_a_connection_that_was_closed_is_not_said_to_be_there(tmp_path):
    """DisconnectChargePoint is no commit, and changes something all the same."""
    async with gateway(tmp_path) as running:
        running.control.commands.connections["CP1"] = Live(1, NOW)
        problem, _ = await running.ends(disconnect)
        assert problem is None
        problem, _ = await running.ends(disconnect, 0.2)
        check(row_of(CHANGES, "no-time-to-change"), problem)
        assert running.control.commands.notified == [("disconnect", "CP1")]


# --- what changes nothing -----------------------------------------------------------------------------------------


def get(client, seconds, identity="CP1"):
    client.call(client.charge_points.GetChargePoint, points.GetChargePointRequest(identity=identity), seconds)


@brings_about("nothing-to-read", "no-time-to-read", "store-gives-nothing", "bug-while-reading")
@pytest.mark.parametrize(
    ("name", "read", "identity"),
    [
        ("nothing-to-read", "", "CP9"),
        ("no-time-to-read", "stalled", "CP1"),
        ("store-gives-nothing", "refused", "CP1"),
        ("bug-while-reading", "bug", "CP1"),
    ],
)
async def test_a_read_that_fails_says_why(tmp_path, name, read, identity):
    """Before the caller's clock runs out."""
    async with gateway(tmp_path) as running:
        running.gate.read_ = read
        problem, took = await running.ends(lambda client, s: get(client, s, identity), SECONDS)
        assert took < SECONDS
        check(row_of(READS, name), problem)


@brings_about("malformed-read", "nothing-to-bill", "too-much-to-read", "another-revision")
@pytest.mark.parametrize(
    ("name", "transaction_id", "most", "revision"),
    [("malformed-read", "", 10, 0), ("nothing-to-bill", "tx_1", 10, 0), ("too-much-to-read", "tx_1", 0, 0),
     ("another-revision", "tx_2", 10, 7)],
)  # fmt: skip
async def test_a_read_of_what_can_not_be_worked_out_says_why(
    tmp_path, monkeypatch, name, transaction_id, most, revision
):
    """A transaction that has only begun, and one with more messages than are taken."""
    monkeypatch.setattr("gateway.control.energy.MAX_EVENTS", most)
    daily = energy.DailyPrice(start_of_day="00:00", end_of_day="24:00", price_per_kwh="1")
    prices = energy.PriceSchedule(currency="EUR", daily_prices=[daily])
    request = energy.ComputeCostRequest(transaction_id=transaction_id, price_schedule=prices, revision=revision or None)
    async with gateway(tmp_path) as running:
        problem, _ = await running.ends(lambda client, s: client.call(client.energy.ComputeCost, request, s), SECONDS)
        check(row_of(READS, name), problem)


@brings_about("nothing-to-wait-for")
async def test_charging_that_has_ended_has_no_estimate(tmp_path):
    """The transaction is stopped."""
    request = energy.EstimateCompletionRequest(transaction_id="tx_2", energy_milliwatt_hours=1)
    async with gateway(tmp_path) as running:
        problem, _ = await running.ends(
            lambda client, s: client.call(client.energy.EstimateCompletion, request, s), SECONDS
        )
        check(row_of(READS, "nothing-to-wait-for"), problem)


@brings_about("stopped-while-reading")
async def test_a_read_that_a_stop_overtakes_may_be_repeated(tmp_path):
    """UNAVAILABLE, with a reason."""
    async with gateway(tmp_path) as running:
        running.gate.read_ = "stalled"
        check(row_of(READS, "stopped-while-reading"), await stopped(running, get))


# --- commands, where the router can't answer ----------------------------------------------------------------------


def reset(client, seconds):
    request = commands.ResetRequest(charge_point="CP1", request_id="r1", type=commands.RESET_TYPE_SOFT)
    client.call(client.commands.Reset, request, seconds)


def bug(_):
    raise KeyError("the secret of the house")


@brings_about("too-many-calls")
async def test_a_command_beyond_what_the_bridge_carries_says_what_it_did_not_do(tmp_path):
    """It looked for no earlier one."""
    async with gateway(tmp_path, max_calls=0) as running:
        problem, _ = await running.ends(reset)
        check(row_of(COMMANDS, "too-many-calls"), problem)
        assert running.control.commands.calls == []


@brings_about("bug")
async def test_a_bug_leaves_a_command_s_outcome_unknown(tmp_path):
    """It may have been sent before."""
    async with gateway(tmp_path) as running:
        running.control.commands.outcome = bug
        problem, _ = await running.ends(reset)
        check(row_of(COMMANDS, "bug"), problem)


@brings_about("ended-while-the-disk-stalls")
async def test_a_command_that_the_end_overtakes_is_unknown(tmp_path):
    """It was DRAINING, "nothing was sent", of one that was."""
    async with gateway(tmp_path) as running:
        running.control.commands.wait = 30.0
        running.gate.begun = running.control.commands.begun
        problem = await stopped(running, reset)
        check(row_of(COMMANDS, "ended-while-the-disk-stalls"), problem)


async def test_a_command_is_answered_though_the_loop_of_the_chargers_is_held_up(tmp_path):
    """From asyncio's side alone, with a reason, before the caller's clock runs out."""
    async with gateway(tmp_path) as running:

        def holds_up(_):
            time.sleep(2 * SECONDS)

        running.control.commands.outcome = holds_up
        problem, took = await running.ends(reset, SECONDS)
        assert took < 2 * SECONDS  # the loop is still held up
        # The gateway's answer, and not the caller's clock, whose DEADLINE_EXCEEDED has no reason.
        assert (problem.code.name, problem.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
        assert problem.metadata == {"charge_point": "CP1", "request_id": "r1", "cause": "deadline"}


# --- what gRPC answers --------------------------------------------------------------------------------------------


async def _cancelled(running):
    def call():
        request = commands.ResetRequest(charge_point="CP1", request_id="r1", type=commands.RESET_TYPE_SOFT)
        future = running.control.client.commands.Reset.future(request, timeout=60)
        trio.from_thread.run(running.control.commands.begun.wait)
        future.cancel()
        return future.code(), ""

    return await trio.to_thread.run_sync(call)


async def _deadline_passed(running):
    for _ in range(50):
        problem, _ = await running.ends(reset, 0.0001)
        if not problem.reason:
            break
        # The gateway's own word for it was in time, which is as good.
        assert (problem.code.name, problem.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
    return problem.code, problem.reason


async def _connection_lost(running):
    running.control.server.drain(0.0)
    await trio.sleep(0.5)
    problem, _ = await running.ends(reset)
    return problem.code, problem.reason


def _reset_with(data):
    """A call whose request has these bytes."""

    def send(client, seconds):
        client.channel.unary_unary("/gateway.api.v1.CommandService/Reset")(data, timeout=seconds)

    return send


def _of_length(length):
    """A request of so many bytes: a field that the message does not have, which is legal."""
    head = b"\xfa\x7f"  # field 2,047, delimited by its length
    body = length - len(head) - 4
    return (
        head + bytes([body & 0x7F | 0x80, body >> 7 & 0x7F | 0x80, body >> 14 & 0x7F | 0x80, body >> 21]) + b"x" * body
    )


async def _too_large(running):
    problem, _ = await running.ends(_reset_with(_of_length(MAX_RECEIVED_BYTES + 1)))
    return problem.code, problem.reason


async def _no_such_rpc(running):
    def send(client, seconds):
        client.channel.unary_unary("/gateway.api.v1.CommandService/Restart")(b"", timeout=seconds)

    problem, _ = await running.ends(send)
    return problem.code, problem.reason


BARELY = {
    "cancelled": _cancelled,
    "deadline-passed": _deadline_passed,
    "connection-lost": _connection_lost,
    "too-large": _too_large,
    "no-such-rpc": _no_such_rpc,
}


@pytest.mark.parametrize("row", BARE, ids=lambda row: row.name)
async def test_what_grpc_answers_has_no_reason(tmp_path, row):
    """And says nothing of what was done, unless nothing was begun."""
    async with gateway(tmp_path) as running:
        running.control.commands.wait = 30.0
        code, reason = await BARELY[row.name](running)
        assert (code.name, reason) == (row.status, "")
        if row.never_begun:
            assert running.control.commands.calls == []


# --- requests that are not read -----------------------------------------------------------------------------------


def _watches_with(data):
    def send(client, seconds):
        list(client.channel.unary_stream("/gateway.api.v1.EventService/WatchEvents")(data, timeout=seconds))

    return send


def _imports_with(data):
    def send(client, seconds):
        call = client.channel.stream_stream("/gateway.api.v1.ChargePointService/ImportChargePoints")
        list(call(iter([data]), timeout=seconds))

    return send


def _handles_with(data):
    """Also after a request that could be read."""
    registration = vendor.VendorDataRegistration(interests=[vendor.VendorInterest(vendor_id="acme")])
    first = vendor.HandleVendorDataRequest(registration=registration).SerializeToString()

    def send(client, seconds):
        call = client.channel.stream_stream("/gateway.api.v1.VendorDataService/HandleVendorData")
        list(call(iter([first, data]), timeout=seconds))

    return send


@pytest.mark.parametrize("sent", [_reset_with, _watches_with, _imports_with, _handles_with])
@pytest.mark.parametrize("row", REQUESTS, ids=lambda row: row.name)
async def test_a_request_that_is_not_read_is_refused_with_its_reason(tmp_path, row, sent):
    """One that is sent alone as well as one of several, and nothing of it is done."""
    data = b"\xff\xff\xff" if row.reason == "MALFORMED_REQUEST" else _of_length(MAX_REQUEST_BYTES + 1)
    async with gateway(tmp_path) as running:
        problem, _ = await running.ends(sent(data))
        assert (problem.code.name, problem.reason) == (row.status, row.reason)
        assert set(problem.metadata) == set(row.metadata)
        assert running.control.commands.calls == []


async def test_a_request_at_the_limit_is_read(tmp_path):
    """The fields that it does not know are passed over, and the others are as they are: none is set."""
    async with gateway(tmp_path) as running:
        problem, _ = await running.ends(_reset_with(_of_length(MAX_REQUEST_BYTES)))
        assert (problem.reason, problem.violations[0][0]) == ("INVALID_REQUEST", "charge_point")


# --- the table ----------------------------------------------------------------------------------------------------


def test_every_ending_is_brought_about():
    """The rows of the router's own are in ``test_outcomes``."""
    assert {row.name for row in CHANGES + READS} | OVER_GRPC == WALKED
    assert BARELY.keys() == {row.name for row in BARE}


def test_names_are_unique_and_no_row_invites_to_repeat_what_may_have_been_done():
    """UNAVAILABLE and ABORTED are repeated by generic layers: only where nothing was done."""
    rows = COMMANDS + CHANGES + READS
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        if row.status in ("UNAVAILABLE", "ABORTED"):
            assert row.effect is Effect.NOTHING
        if row.reason == "OUTCOME_UNKNOWN" or row.status == "UNKNOWN":
            assert (row.status, row.reason, row.effect) == ("UNKNOWN", "OUTCOME_UNKNOWN", Effect.MAYBE)


def test_the_page_is_the_table():
    """docs/outcomes.md never drifts from the code."""
    assert PAGE.read_text() == page()
