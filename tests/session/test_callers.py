"""The caller's name, from a request to a session to the records and events of what came of it."""

import trio
from trio.testing import MockClock

from gateway.domain.commands import Reset, ResetType
from gateway.domain.events import (
    ChargePointDisconnected,
    CommandQueued,
    OperationAccepted,
    WantedChanged,
)
from gateway.domain.operations import OperationRecord
from gateway.store.filters import AuditFilter, RecordFilter
from tests.session.test_operations import START, answers, ready, settled
from tests.store.builders import of
from tests.support.harness import Harness

RESET = Reset(ResetType.SOFT)


def entries(harness: Harness) -> list[tuple[str, str, str]]:
    """Caller, action and subject of the audit, the oldest first."""
    return [(each.caller, each.action, each.subject) for each in harness.store.audit(AuditFilter(), None, 100)[::-1]]


async def test_a_command_carries_its_caller(harness: Harness, autojump_clock: MockClock) -> None:
    """In its record, its event and the audit; one that repeats it is answered with the first one's."""
    async with ready(harness) as charger, trio.open_nursery() as nursery:
        nursery.start_soon(answers, charger, "Reset")
        deadline = trio.current_time() + 60
        record = await harness.router.call("CP1", RESET, request_id="r", deadline=deadline, caller="app")
        again = await harness.router.call("CP1", RESET, request_id="r", deadline=deadline, caller="billing")
    assert getattr(record, "caller", None) == "app"
    assert again == record
    [body] = harness.bodies_of(CommandQueued)
    assert (body.caller, body.operation_id) == ("app", "")
    assert entries(harness) == [("app", "Reset", body.command_id)]
    assert harness.store.commands(None, None, 10, RecordFilter(("app",)))[0].command_id == body.command_id
    assert harness.store.commands(None, None, 10, RecordFilter(("billing",))) == []


async def test_an_operation_and_its_command_carry_its_caller(harness: Harness, autojump_clock: MockClock) -> None:
    """Both do; the audit has the operation alone, for that is what the caller asked for."""
    async with ready(harness) as charger:
        record = await harness.router.operate("CP1", START, "r", 60, "app")
        assert isinstance(record, OperationRecord)
        assert record.caller == "app"
        await answers(charger, "RemoteStartTransaction")
        await settled()
    stored = harness.store.operation(record.operation_id)
    assert stored is not None
    assert stored.caller == "app"
    [accepted] = harness.bodies_of(OperationAccepted)
    [queued] = harness.bodies_of(CommandQueued)
    assert (accepted.caller, queued.caller, queued.operation_id) == ("app", "app", record.operation_id)
    assert harness.command(queued.command_id).caller == "app"
    assert entries(harness) == [("app", "StartCharging", record.operation_id)]
    assert [each.caller for each in harness.store.find_operations(of(caller="app"), "", 10).records] == ["app"]
    assert harness.store.find_operations(of(caller="other"), "", 10).records == []


async def test_what_has_no_caller_leaves_no_entry(harness: Harness, autojump_clock: MockClock) -> None:
    """As where callers are not required."""
    async with ready(harness) as charger, trio.open_nursery() as nursery:
        nursery.start_soon(answers, charger, "Reset")
        await harness.router.call("CP1", RESET, request_id="r", deadline=trio.current_time() + 60)
        await harness.router.operate("CP1", START, "s", 60)
        await answers(charger, "RemoteStartTransaction")
        await settled()
    assert entries(harness) == []
    assert not harness.bodies_of(WantedChanged)


async def test_the_end_of_a_connection_names_who_asked_for_it(harness: Harness, autojump_clock: MockClock) -> None:
    """And no other end does."""
    async with ready(harness):
        assert harness.router.disconnect("CP1", caller="app")
        await settled()
    async with harness.connected():
        pass
    await settled()
    ended = [(each.reason, each.caller) for each in harness.bodies_of(ChargePointDisconnected)]
    assert ended == [("disconnected-by-operator", "app"), ("closed", "")]
    assert entries(harness) == [("app", "DisconnectChargePoint", "")]
